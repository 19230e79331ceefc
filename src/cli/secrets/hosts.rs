//! `hubctl secrets hosts`: the keys that the rules have for hosts, held against those that the hosts have.

use std::collections::BTreeSet;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::add_host;
use super::both::Both;
use super::rules;
use crate::cli::hub::{Hub, this_machine};
use crate::error::{Error, Exit, Kind, Result};
use crate::fleet::{Host, HostName, Kind as HostKind};
use crate::process::Cancel;
use crate::remote::{Elevation, SshConnector, Target, known_keys};
use crate::report::{Cell, Output, Style, Table};
use crate::run::{fan_out, reach, target_of};
use crate::secrets::age::{Recipient, RecipientKind};
use crate::secrets::keys_of_host;

/// How many hosts are asked at once.
const AT_ONCE: usize = 64;

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct HostsArgs {
    #[command(subcommand)]
    command: Option<HostsCommand>,
    /// These hosts alone: names, globs and tags.
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<String>,
    /// Exits with 1 where a host has another key than the rules, for CI.
    #[arg(long)]
    check: bool,
}

#[derive(Debug, Subcommand)]
enum HostsCommand {
    /// Gives a host's key a name in secrets.nix and .sops.yaml, and the host the secrets that its configuration needs.
    Add(add_host::AddArgs),
}

/// The keys of a host.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct HostKeys {
    host: HostName,
    /// Those that the rules have for it.
    #[serde(serialize_with = "as_text")]
    rules: Vec<Recipient>,
    /// Those that it has.
    #[serde(serialize_with = "as_text")]
    live: Vec<Recipient>,
    /// Who says so.
    source: Option<Source>,
    state: State,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Source {
    /// The host itself.
    Host,
    /// The user's known hosts files.
    KnownHosts,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// The rules have the host's own key.
    Same,
    /// The rules have a key that is none of the host's.
    Other,
    /// The rules have none for it.
    NotInRules,
    /// Nobody says what its keys are.
    Unknown,
}

fn as_text<S: serde::Serializer>(keys: &[Recipient], serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_seq(keys.iter().map(ToString::to_string))
}

pub(super) async fn run(hub: &Hub, args: HostsArgs) -> Result<Exit> {
    if let Some(HostsCommand::Add(args)) = args.command {
        return add_host::run(hub, args).await;
    }
    let fleet = hub.reachable(&args.hosts).await?;
    let active = || fleet.inventory.active().cloned().collect();
    let mut hosts: Vec<Host> =
        if args.hosts.is_empty() { active() } else { hub.select(&fleet.inventory, &args.hosts)? };
    hosts.retain(|host| host.kind != HostKind::Home);
    let connector = hub.connector(&fleet.config)?;
    let mut answers = Vec::new();
    let ask = |host: Host| {
        let (connector, cancel) = (connector.clone(), hub.cancel.clone());
        async move {
            let keys = live_keys(&connector, &host, &cancel).await;
            (host.name, keys)
        }
    };
    fan_out(hosts, AT_ONCE, ask, |answer| answers.push(answer)).await;
    crate::remote::Connect::close(connector.as_ref()).await;
    hub.not_stopped()?;
    let both = Both::of(hub).await?;
    let compare = |(host, live): (HostName, _)| Ok(compared(host.clone(), in_rules(&both, host.as_str())?, live));
    let mut found: Vec<HostKeys> = answers.into_iter().map(compare).collect::<Result<_>>()?;
    found.sort_by(|one, other| one.host.cmp(&other.host));
    tell(hub, &found)?;
    let wrong = found.iter().any(|host| host.state == State::Other);
    Ok(if args.check && wrong { Exit::Failed } else { Exit::Success })
}

/// The names of hosts, as far as `hub.toml` and earlier runs know them: nothing is evaluated.
pub(super) fn known(hub: &Hub) -> BTreeSet<String> {
    // What is wrong with the flake matters to nobody here.
    let found = hub.guessed(|_| usize::MAX, |inventory| inventory.iter().cloned().collect());
    found.map(|(_, hosts)| hosts.into_iter().map(|host| host.name.to_string()).collect()).unwrap_or_default()
}

/// The keys that the rules of both formats have for a host.
pub(super) fn in_rules(both: &Both, host: &str) -> Result<Vec<Recipient>> {
    let mut keys = match &both.agenix {
        Some(place) => keys_of_host(&place.rules, &rules::text(place)?, host),
        None => Vec::new(),
    };
    for file in &both.sops.rules {
        keys.extend(both.sops_rules(file)?.named(host));
    }
    keys.sort();
    keys.dedup();
    Ok(keys)
}

/// The keys that a host has, as it says itself over a connection that ssh has proved, or else as the known hosts files do.
async fn live_keys(connector: &Arc<SshConnector>, host: &Host, cancel: &Cancel) -> Option<(Source, Vec<Recipient>)> {
    let parsed = |keys: &mut dyn Iterator<Item = String>| keys.filter_map(|key| key.parse().ok()).collect::<Vec<_>>();
    let target = target_of(host, this_machine().as_deref());
    let access = reach(connector.as_ref(), &target, Elevation::default(), host.kind.platform(), cancel).await;
    if let Ok(access) = access {
        let keys = parsed(&mut access.facts.host_keys.into_iter().map(|key| key.public));
        return (!keys.is_empty()).then_some((Source::Host, keys));
    }
    let Target::Ssh(target) = &target else { return None };
    let keys = parsed(&mut known_keys(connector.options(), target, cancel).await.into_iter());
    (!keys.is_empty()).then_some((Source::KnownHosts, keys))
}

/// The ed25519 key of a host, or the one of RSA that it has instead.
pub(super) async fn key_of(hub: &Hub, connector: &Arc<SshConnector>, host: &Host) -> Option<Recipient> {
    let (_, keys) = live_keys(connector, host, &hub.cancel).await?;
    let best = keys.iter().find(|key| key.kind() == &RecipientKind::SshEd25519).or(keys.first());
    best.cloned()
}

fn compared(host: HostName, rules: Vec<Recipient>, live: Option<(Source, Vec<Recipient>)>) -> HostKeys {
    let (source, live) = live.map_or((None, Vec::new()), |(source, keys)| (Some(source), keys));
    let own = |key: &Recipient| live.iter().any(|live| live.is_same_key(key));
    let state = match rules.as_slice() {
        [] => State::NotInRules,
        _ if live.is_empty() => State::Unknown,
        keys if keys.iter().all(own) => State::Same,
        _ => State::Other,
    };
    HostKeys { host, rules, live, source, state }
}

fn tell(hub: &Hub, found: &[HostKeys]) -> Result<()> {
    let written = match hub.ui.output() {
        Output::Json => hub.ui.data_json(&found),
        _ if found.is_empty() => {
            hub.ui.status("the flake has no hosts, and the rules have no keys of any");
            return Ok(());
        }
        _ => hub.ui.table(&table(found)),
    };
    written.map_err(|error| Error::new(Kind::Failed, error))?;
    for host in found.iter().filter(|host| host.state == State::Other) {
        let name = &host.host;
        hub.ui.warning(
            &format!("the key of {name} in the rules is none of its own"),
            Some(&format!("if it was installed anew, `hubctl secrets hosts add {name}` gives the rules its new key")),
        );
    }
    Ok(())
}

fn table(found: &[HostKeys]) -> Table {
    let mut table = Table::with_header(["HOST", "IN THE RULES", "ITS OWN", "STATE"]);
    let short = |keys: &[Recipient]| keys.iter().map(Recipient::short).collect::<Vec<_>>().join(", ");
    for host in found {
        let by = if host.source == Some(Source::KnownHosts) { " (by known hosts)" } else { "" };
        let state = match host.state {
            State::Same => Cell::styled(Style::Ok, format!("the same{by}")),
            State::Other => Cell::styled(Style::Fail, format!("another key{by}")),
            State::NotInRules => Cell::styled(Style::Dim, "not in the rules"),
            State::Unknown => Cell::styled(Style::Warn, "its key is not known"),
        };
        table.row([
            Cell::styled(Style::Host, host.host.to_string()),
            short(&host.rules).into(),
            short(&host.live).into(),
            state,
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHMl8X4fivnBu+sbRnHNPU2QPo+TFu4SKYByzJS/1Cjl";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAZGY9b/nS54xGdLb/yAsmTXVgqX16AS+NVADYVVRRj8";

    #[test]
    fn the_keys_of_the_rules_have_to_be_the_hosts_own() {
        let keys = |texts: &[&str]| texts.iter().map(|text| text.parse::<Recipient>().unwrap()).collect::<Vec<_>>();
        let state = |rules: &[&str], live: &[&str]| {
            let live = (!live.is_empty()).then(|| (Source::Host, keys(live)));
            compared("p620".parse().unwrap(), keys(rules), live).state
        };
        assert_eq!(state(&[ONE], &[ONE, OTHER]), State::Same);
        assert_eq!(state(&[ONE], &[OTHER]), State::Other);
        assert_eq!(state(&[ONE, OTHER], &[ONE]), State::Other);
        assert_eq!(state(&[], &[ONE]), State::NotInRules);
        assert_eq!(state(&[ONE], &[]), State::Unknown);
        let of_age = keys(&[ONE])[0].to_age().unwrap().to_string();
        assert_eq!(state(&[&of_age], &[ONE]), State::Same);
    }
}
