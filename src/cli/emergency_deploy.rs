//! `hubctl emergency-deploy`.

use std::collections::BTreeSet;

use clap::Args;

use super::ask::show_changes;
use super::compare::AskUnits;
use super::confirm::typed;
use super::deploy::{Command, Course, DeployGoal, How, deploy};
use super::hub::Hub;
use super::select::{Build, Cached, Despite, Parallel, Specialised};
use super::waves::WaveOptions;
use crate::error::{Error, Exit, Kind, Result};
use crate::fleet::{Host, HostName};
use crate::plan::Rule;

/// Deploys the named hosts now, all at once, after their names were typed a second time.
///
/// No host waits for another, and neither health checks nor failed units take anything back. What keeps a host reachable stays: a
/// system that cuts it off, or that fails to activate, is taken back by the host itself.
#[derive(Args, Debug)]
pub(super) struct EmergencyDeployArgs {
    /// The hosts, each by its whole name.
    #[arg(value_name = "HOST", required = true)]
    hosts: Vec<String>,
    /// The same names again, with commas between, in place of typing them when asked.
    #[arg(long, value_name = "HOST,..", value_delimiter = ',')]
    confirm: Vec<String>,
    #[command(flatten)]
    build: Build,
    #[command(flatten)]
    cached: Cached,
    #[command(flatten)]
    specialised: Specialised,
    #[command(flatten)]
    despite: Despite,
}

pub(super) async fn run(hub: &Hub, args: EmergencyDeployArgs) -> Result<Exit> {
    plain_names(&args.hosts)?;
    let count = args.hosts.len();
    let (fleet, evaluator) = hub.load_to_reach(|_| count, |inventory| Hub::guess(inventory, &args.hosts)).await?;
    let mut hosts = hub.select(&fleet.inventory, &args.hosts)?;
    if args.confirm.is_empty() && hub.ui.is_interactive() {
        // Nothing is copied for that: haste goes before completeness.
        show_changes(hub, &fleet, &evaluator, &hosts, AskUnits::IfThere).await?;
    }
    confirm(hub, &hosts, &args.confirm).await?;
    hosts.iter_mut().for_each(only_reachable);
    let how = How {
        goal: DeployGoal::Switch,
        parallel: Parallel { parallel: Some(count) },
        build: args.build,
        cached: args.cached,
        specialised: args.specialised,
        waves: WaveOptions::default(),
        dry_run: false,
        ask: false,
        despite: args.despite,
    };
    let command = Command { name: "emergency-deploy", rule: Rule::Always, course: Course::AtOnce };
    deploy(hub, command, fleet, evaluator, hosts, count, &how).await
}

/// What is broken already must not take back what mends something else.
fn only_reachable(host: &mut Host) {
    host.health.clear();
    host.policy.tolerate_failed_units();
}

/// In haste a glob reaches more than it was meant to: each host is named.
fn plain_names(words: &[String]) -> Result<()> {
    match words.iter().find(|word| word.parse::<HostName>().is_err()) {
        None => Ok(()),
        Some(word) => Err(Error::message(Kind::Usage, format!("`{word}` is not the name of one host"))
            .hint("emergency-deploy takes no globs, tags or lists: name each host by itself")),
    }
}

/// Has the user name the hosts a second time: `given` on the command line, or typed in.
async fn confirm(hub: &Hub, hosts: &[Host], given: &[String]) -> Result<()> {
    let refused = |message: String| Error::message(Kind::Refused, message);
    if !given.is_empty() {
        return differing(hosts, given).map_or(Ok(()), |name| {
            Err(refused(format!("`--confirm` and the hosts to deploy differ in `{name}`; nothing was changed")))
        });
    }
    let names: Vec<_> = hosts.iter().map(|host| host.name.as_str()).collect();
    if !hub.ui.is_interactive() {
        return Err(refused("emergency-deploy wants the hosts' names a second time".to_owned())
            .hint(format!("without a terminal to type them in, add `--confirm {}`", names.join(","))));
    }
    for name in names {
        let answer = typed(hub, format!("Type {name} to deploy it now:")).await?;
        if answer.trim() != name {
            return Err(refused(format!("that was not `{name}`; nothing was changed")));
        }
    }
    Ok(())
}

/// A name that only one of the two has.
fn differing(hosts: &[Host], given: &[String]) -> Option<String> {
    let hosts: BTreeSet<_> = hosts.iter().map(|host| host.name.as_str()).collect();
    let given: BTreeSet<_> = given.iter().map(String::as_str).collect();
    hosts.symmetric_difference(&given).next().map(|name| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_names_are_taken() {
        let words = |words: &[&str]| plain_names(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert!(words(&["p620", "web.example.org"]).is_ok());
        for word in ["*", "web-*", "@edge", "!p620", "p620,p510", ""] {
            assert!(words(&["p510", word]).is_err(), "{word}");
        }
    }
}
