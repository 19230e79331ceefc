//! `hubctl options`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;

use super::config::Config;
use super::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::evaluate::Evaluator;
use crate::files;
use crate::fleet::{Host, Inventory, Kind as HostKind};
use crate::lint::{Found, Index, Levels, Listed, Options, index};
use crate::nix::{FlakeRef, Query, ask};
use crate::report::{Cell, Output, Style, Table};
use crate::state::StateDirs;

/// Options of NixOS, home-manager and nix-darwin, as hubctl knows them without evaluating.
#[derive(Args, Debug)]
pub(super) struct OptionsArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Search(SearchArgs),
    Update(UpdateArgs),
}

/// Finds the options whose names have all of these words in them.
///
/// `<name>` and `*` in a name stand for any. Exits with 1 if there is none.
#[derive(Args, Debug)]
struct SearchArgs {
    /// Words, or parts of such, in any order and case.
    #[arg(required = true, value_name = "WORD")]
    words: Vec<String>,
}

/// Makes an index of the options of the flake's own inputs, by evaluating them.
///
/// `lint` and `options search` use it as long as flake.lock stays as it is. Options of home-manager are read from the hosts that import
/// it.
#[derive(Args, Debug)]
struct UpdateArgs {
    /// The hosts whose options are read; the first active one of each kind without one.
    #[arg(value_name = "HOST")]
    hosts: Vec<String>,
}

pub(super) async fn run(hub: &Hub, args: OptionsArgs) -> Result<Exit> {
    match args.action {
        Action::Search(SearchArgs { words }) => search(hub, &words),
        Action::Update(UpdateArgs { hosts }) => update(hub, &hosts).await,
    }
}

/// What the hub says of the rules, with the options that its inputs have where they are known.
pub(super) fn levels_of(hub: &Hub, config: &Config) -> Levels {
    config.lint().levels.with_index(known_index(hub))
}

/// The index that was made from what the flake is locked to by now.
fn known_index(hub: &Hub) -> Option<Index> {
    let file = index_file(&hub.flake().ok()?).ok()?;
    Index::of(fs::read_to_string(file).ok()?)
}

/// Where the index of a flake's inputs is kept.
fn index_file(flake: &FlakeRef) -> io::Result<PathBuf> {
    let root = flake.root().map(Path::to_path_buf).unwrap_or_default();
    let locks = fs::read_to_string(root.join("flake.lock")).unwrap_or_default();
    StateDirs::options(&root, &locks)
}

fn search(hub: &Hub, words: &[String]) -> Result<Exit> {
    let options = Options::read(known_index(hub).as_ref());
    let found = options.search(words);
    let written = if hub.ui.output() == Output::Json {
        hub.ui.data_json(&found.iter().map(told).collect::<Vec<_>>())
    } else {
        hub.ui.table(&table(&found))
    };
    written.map_err(|error| Error::new(Kind::Failed, error))?;
    hub.ui.status(&format!("{} found among: {}", found.len(), options.source()));
    Ok(if found.is_empty() { Exit::Failed } else { Exit::Success })
}

async fn update(hub: &Hub, words: &[String]) -> Result<Exit> {
    let (fleet, evaluator) = hub.load().await?;
    let hosts = if words.is_empty() { one_of_each(&fleet.inventory) } else { hub.select(&fleet.inventory, words)? };
    if hosts.is_empty() {
        return Err(Error::message(Kind::NoHost, "the fleet has no active host")
            .hint("hosts are the attributes of `nixosConfigurations` in the flake"));
    }
    let mut listed = Listed::new();
    for host in &hosts {
        hub.ui.status(&format!("reading the options of {} …", host.name));
        add(&mut listed, host, options_of(hub, &evaluator, host).await?);
    }
    if listed.is_empty() {
        return Err(Error::message(Kind::Failed, "the systems tell no options")
            .hint("options are known of systems that `nixpkgs.lib.nixosSystem` makes"));
    }
    let count = listed.len();
    add_shipped(&mut listed);
    let names: Vec<_> = hosts.iter().map(|host| host.name.as_str()).collect();
    let source = format!("{} of {}, {}", names.join(", "), fleet.flake, Timestamp::now().strftime("%Y-%m-%d"));
    let unwritten = |error| Error::new(Kind::Failed, anyhow::Error::new(error).context("the index cannot be kept"));
    let file = index_file(&fleet.flake).map_err(unwritten)?;
    files::keep(&file, index(&source, &listed).as_bytes()).map_err(unwritten)?;
    hub.ui.status(&format!("{count} options are known until flake.lock changes"));
    Ok(Exit::Success)
}

/// The first active host of each kind.
fn one_of_each(inventory: &Inventory) -> Vec<Host> {
    let mut hosts: BTreeMap<&str, Host> = BTreeMap::new();
    for host in inventory.active() {
        hosts.entry(host.attribute().output).or_insert_with(|| host.clone());
    }
    hosts.into_values().collect()
}

async fn options_of(hub: &Hub, evaluator: &Evaluator, host: &Host) -> Result<BTreeMap<String, String>> {
    let (nix, source) = (evaluator.nix(), evaluator.source());
    let query = Query::options(host.attribute(), source);
    let asked = ask(nix, source, &query, &hub.cancel, |_| ()).await.and_then(|answer| query.read(nix, source, &answer));
    hub.not_stopped()?;
    asked.map_err(|error| {
        Error::message(Kind::Failed, format!("the options of {} cannot be read: {error}", host.name))
            .hint("name another host: `hubctl options update HOST`")
    })
}

/// How the options of a home in a system begin.
const HOME: &str = "home-manager.users.<name>.";

fn add(listed: &mut Listed, host: &Host, options: BTreeMap<String, String>) {
    let letter = match host.kind {
        HostKind::Nixos => 'n',
        HostKind::Darwin => 'd',
        HostKind::Home => 'h',
    };
    for (name, kind) in options {
        if let Some(of_home) = name.strip_prefix(HOME) {
            listed.entry(of_home.to_owned()).or_default().insert('h', kind.clone());
        }
        listed.entry(name).or_default().insert(letter, kind);
    }
}

/// Of kinds of systems that the hub has none of, what hubctl brings along is better than nothing.
fn add_shipped(listed: &mut Listed) {
    let known: Vec<_> =
        ['n', 'd', 'h'].into_iter().filter(|kind| listed.values().any(|of| of.contains_key(kind))).collect();
    for (name, of) in Options::read(None).all() {
        for (kind, type_name) in of.into_iter().filter(|(kind, _)| !known.contains(kind)) {
            listed.entry(name.clone()).or_default().insert(kind, type_name);
        }
    }
}

fn told(found: &Found<'_>) -> serde_json::Value {
    let types: serde_json::Map<_, _> =
        found.types.iter().map(|(kind, name)| ((*kind).to_owned(), (*name).into())).collect();
    json!({ "option": found.name, "types": types })
}

fn table(found: &[Found<'_>]) -> Table {
    let mut table = Table::with_header(["OPTION", "OF", "TYPE"]);
    for option in found {
        for (kind, name) in &option.types {
            table.row([Cell::styled(Style::Bold, option.name), (*kind).into(), (*name).into()]);
        }
    }
    table
}
