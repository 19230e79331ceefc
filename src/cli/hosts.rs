//! `hubctl hosts`.

use clap::Args;
use serde::Serialize;

use super::hub::Hub;
use super::select::HostsOrAll;
use crate::error::{Error, Exit, Kind, Result};
use crate::fleet::{Host, Kind as HostKind};
use crate::report::{Cell, Output, Style, Table};

/// Lists the hosts of the fleet, archived ones too, from hub.toml and the flake; evaluates no system.
#[derive(Args, Debug)]
pub(super) struct HostsArgs {
    #[command(flatten)]
    hosts: HostsOrAll,
}

/// A host as `--json` tells it.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Listed<'a> {
    #[serde(flatten)]
    host: &'a Host,
    in_flake: bool,
}

pub(super) async fn run(hub: &Hub, args: HostsArgs) -> Result<Exit> {
    let (fleet, _) = hub.load().await?;
    let mut hosts = match args.hosts.hosts.as_slice() {
        [] => fleet.inventory.iter().cloned().collect(),
        words => hub.select(&fleet.inventory, words)?,
    };
    if hosts.is_empty() {
        return Err(Error::message(Kind::NoHost, "the fleet has no host")
            .hint("hosts are the attributes of `nixosConfigurations` and `darwinConfigurations` in the flake"));
    }
    let (state, _) = hub.state()?;
    for host in &mut hosts {
        if host.system.is_none() {
            let remembered = state.system_of(&fleet.flake_key(), &host.name);
            host.system = remembered.map_err(|error| Error::new(Kind::Failed, error))?;
        }
    }
    let in_flake = |host: &Host| !fleet.inventory.is_missing_from_flake(&host.name);
    let written = if hub.ui.output() == Output::Json {
        let listed: Vec<_> = hosts.iter().map(|host| Listed { host, in_flake: in_flake(host) }).collect();
        hub.ui.data_json(&listed)
    } else {
        hub.ui.table(&table(&hosts, in_flake))
    };
    written.map_err(|error| Error::new(Kind::Failed, error))?;
    Ok(Exit::Success)
}

fn table(hosts: &[Host], in_flake: impl Fn(&Host) -> bool) -> Table {
    let mut table = Table::with_header(["HOST", "SYSTEM", "ROLE", "TAGS", "TARGET", "NOTE"]);
    for host in hosts {
        let kind = match host.kind {
            HostKind::Nixos => None,
            HostKind::Darwin => Some("nix-darwin"),
            HostKind::Home => Some("home-manager"),
        };
        let notes = [kind, host.archived.then_some("archived"), (!in_flake(host)).then_some("not in the flake")];
        let notes: Vec<_> = notes.into_iter().flatten().collect();
        table.row([
            Cell::styled(Style::Host, host.name.to_string()),
            host.system.as_deref().unwrap_or("-").into(),
            host.role.as_deref().unwrap_or("-").into(),
            host.tags.iter().cloned().collect::<Vec<_>>().join(", ").into(),
            destination(host).into(),
            Cell::styled(Style::Dim, notes.join(", ")),
        ]);
    }
    table
}

fn destination(host: &Host) -> String {
    let user = host.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
    let port = host.port.map(|port| format!(":{port}")).unwrap_or_default();
    format!("{user}{}{port}", host.target)
}
