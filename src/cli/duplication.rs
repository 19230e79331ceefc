//! `hubctl duplication`.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use clap::Args;
use serde_json::{Value, json};

use super::config::Config;
use super::findings::{aside, files_of};
use super::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::fleet::Inventory;
use crate::lint::{Alike, Belongs, Duplication, Groups, duplication};
use crate::report::Output;

/// How many sets of hosts are told of, and how many statements of each.
const TOLD: usize = 10;
const STATEMENTS: usize = 8;

/// Shows what two or more hosts say alike, what sharing it would save and where it belongs; evaluates nothing.
///
/// Compared is what hosts say in their own files, below `hosts`, `machines` or `systems`. The last line tells how much of all that
/// hosts are made of is shared by now.
#[derive(Args, Debug)]
pub(super) struct DuplicationArgs {
    /// Shows all of it.
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(hub: &Hub, args: DuplicationArgs) -> Result<Exit> {
    let config = Config::of(&hub.flake()?)?;
    let groups = groups(&config);
    let (root, files) = files_of(hub, &config, &[]).await?;
    let found = aside(hub, move || duplication(&root, &files, &groups)).await?;
    if found.hosts.is_empty() {
        return Err(Error::message(Kind::NoHost, "no host of this flake has files of its own")
            .hint("files of hosts are looked for below `hosts`, `machines` and `systems`"));
    }
    let written =
        if hub.ui.output() == Output::Json { hub.ui.data_json(&told(&found)) } else { text(hub, &found, args.all) };
    written.map_err(|error| Error::new(Kind::Failed, error))?;
    Ok(Exit::Success)
}

/// The hosts of each role and tag, as `hub.toml` alone says.
fn groups(config: &Config) -> Groups {
    let mut groups = Groups::default();
    let Some(file) = config.file() else { return groups };
    let add = |all: &mut BTreeMap<String, BTreeSet<String>>, group: &str, host: &str| {
        all.entry(group.to_owned()).or_default().insert(host.to_owned());
    };
    for host in Inventory::from_file_only(file).iter() {
        host.role.iter().for_each(|role| add(&mut groups.roles, role, host.name.as_str()));
        host.tags.iter().for_each(|tag| add(&mut groups.tags, tag, host.name.as_str()));
    }
    groups
}

fn text(hub: &Hub, found: &Duplication, is_all: bool) -> io::Result<()> {
    let (sets, statements) = if is_all { (usize::MAX, usize::MAX) } else { (TOLD, STATEMENTS) };
    for alike in found.alike.iter().take(sets) {
        hub.ui.data(&format!("{}\n", heading(alike)))?;
        for said in alike.said.iter().take(statements) {
            hub.ui.data(&format!("    {}\n", shortened(&said.text)))?;
        }
        let more = alike.said.len().saturating_sub(statements);
        if more > 0 {
            hub.ui.data(&format!("    and {more} more\n"))?;
        }
        hub.ui.data("\n")?;
    }
    let more = found.alike.len().saturating_sub(sets);
    if more > 0 {
        hub.ui.status(&format!("{more} more with --all"));
    }
    hub.ui.data(&figure(found))
}

fn heading(alike: &Alike) -> String {
    let hosts = alike.hosts.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let lines = if alike.saves == 1 { "line" } else { "lines" };
    format!("{} {lines} less: {hosts}\n  {}", alike.saves, place(&alike.belongs))
}

fn place(belongs: &Belongs) -> String {
    match belongs {
        Belongs::Everywhere => "all hosts say it: a module that every host imports".to_owned(),
        Belongs::Template(role) => format!("these are the hosts of the role `{role}`: its template"),
        Belongs::Profile(tag) => format!("these are the hosts of the tag `{tag}`: a profile of it"),
        Belongs::Module(about) => {
            format!("all of it is about `{about}`: a module with an option that these hosts enable")
        }
        Belongs::NewProfile => "a profile that these hosts import".to_owned(),
    }
}

fn figure(found: &Duplication) -> String {
    let (figure, again) = (found.figure, found.alike.iter().map(|alike| alike.saves).sum::<usize>());
    format!(
        "{:.1} % shared: the {} hosts are made of {} lines, of which {} are written; {again} of those could go\n",
        100.0 * figure.shared(),
        found.hosts.len(),
        figure.used,
        figure.written,
    )
}

/// A statement in the width of a line.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(110) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

fn told(found: &Duplication) -> Value {
    let alike = found.alike.iter().map(|alike| {
        let said = alike.said.iter().map(|said| {
            let places = said.places.iter().map(|(path, line)| json!({ "path": path, "line": line }));
            json!({ "text": said.text, "places": places.collect::<Vec<_>>() })
        });
        let (kind, name) = match &alike.belongs {
            Belongs::Everywhere => ("everywhere", None),
            Belongs::Template(role) => ("template", Some(role)),
            Belongs::Profile(tag) => ("profile", Some(tag)),
            Belongs::Module(about) => ("module", Some(about)),
            Belongs::NewProfile => ("profile", None),
        };
        json!({
            "hosts": alike.hosts,
            "saves": alike.saves,
            "belongs": { "kind": kind, "name": name },
            "said": said.collect::<Vec<_>>(),
        })
    });
    json!({
        "hosts": found.hosts,
        "alike": alike.collect::<Vec<_>>(),
        "figure": { "used": found.figure.used, "written": found.figure.written, "shared": found.figure.shared() },
    })
}
