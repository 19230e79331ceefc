//! `hubctl resume`.

use std::collections::BTreeSet;

use clap::Args;

use super::deploy::{Command, Course, How, Resumable, deploy};
use super::history::{check_ended, command, find_ended, of_flake};
use super::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::evaluate::Evaluator;
use crate::fleet::{Host, HostName, Inventory};
use crate::plan::{Rule, Waves};
use crate::report::Outcome;
use crate::report::units::local;
use crate::state::Deployment;

/// How much of a commit's id is shown.
const REV_CHARS: usize = 10;

/// Goes on with a deployment that did not come to its end: deploys the hosts that are left, in the waves of then.
///
/// The goal and the options are those of that deployment, the flake is as it is now. Hosts that were deployed since, or that are
/// as wanted by now, stay as they are.
#[derive(Args, Debug)]
pub(super) struct ResumeArgs {
    /// The deployment, by its id or the beginning of it; `hubctl history` lists them. Without one, the last that left something.
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// Shows what would be done with each host, and does nothing.
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Shows what would change on each host, as `hubctl diff --units` does, and asks before it is done.
    #[arg(long, conflicts_with = "dry_run")]
    ask: bool,
}

/// A host that is left to be deployed, with the number of its wave.
type Left = (HostName, u64);

pub(super) async fn run(hub: &Hub, args: ResumeArgs) -> Result<Exit> {
    let (one, left) = chosen(hub, args.id.as_deref())?;
    let Resumable { mut how, parallel } = options(&one)?;
    (how.dry_run, how.ask) = (args.dry_run, args.ask);
    let names: BTreeSet<HostName> = left.iter().map(|(host, _)| host.clone()).collect();
    let choose = |inventory: &Inventory| inventory.iter().filter(|host| names.contains(&host.name)).cloned().collect();
    let (fleet, evaluator) = hub.load_to_reach(|_| parallel, choose).await?;
    let hosts: Vec<Host> = choose(&fleet.inventory);
    for gone in names.iter().filter(|name| fleet.inventory.get(name).is_none()) {
        hub.ui.warning(&format!("{gone} is no host of the flake any more, and is left out"), None);
    }
    if hosts.is_empty() {
        return Err(nothing_left(&one));
    }
    tell(hub, &one, hosts.len(), &evaluator);
    let left = left.into_iter().filter(|(host, _)| fleet.inventory.get(host).is_some());
    let waves = Waves::left(left, how.waves.policy(fleet.config.deploy().waves));
    let command = Command { name: "resume", rule: Rule::IfChanged, course: Course::Left(one.id, waves) };
    deploy(hub, command, fleet, evaluator, hosts, parallel, &how).await
}

/// The deployment to go on with, and what is left of it.
fn chosen(hub: &Hub, id: Option<&str>) -> Result<(Deployment, Vec<Left>)> {
    let all = of_flake(hub)?;
    let Some(id) = id else {
        let (one, left) = last_left(all).ok_or_else(|| {
            Error::message(Kind::NoHost, "no deployment of this flake left anything undone")
                .hint("`hubctl history` lists the deployments; `hubctl resume ID` goes on with one of them")
        })?;
        return check_ended(hub, &one).map(|()| (one, left));
    };
    let one = find_ended(hub, id)?;
    let left = left_of(&one, &later_than(&one, &all));
    if left.is_empty() { Err(nothing_left(&one)) } else { Ok((one, left)) }
}

fn later_than<'a>(one: &Deployment, all: &'a [Deployment]) -> Vec<&'a Deployment> {
    all.iter().filter(|other| (other.started, &other.id) > (one.started, &one.id)).collect()
}

/// The last of `all`, newest first, that can be resumed and left something.
fn last_left(all: Vec<Deployment>) -> Option<(Deployment, Vec<Left>)> {
    let left = |one: &Deployment| left_of(one, &later_than(one, &all));
    let is_open = |one: &Deployment| one.options.is_some() && !is_done_with(one, &all) && !left(one).is_empty();
    let at = all.iter().position(is_open)?;
    let left = left(&all[at]);
    all.into_iter().nth(at).map(|one| (one, left))
}

/// Whether a later run resumed a deployment or took it back, or took back the one that it resumed.
fn is_done_with(one: &Deployment, all: &[Deployment]) -> bool {
    let parent = |id: &String| all.iter().find(|other| other.id == *id).and_then(|other| other.follows.as_ref());
    let line: Vec<&String> = std::iter::successors(Some(&one.id), |id| parent(id)).collect();
    later_than(one, all).into_iter().filter_map(|other| other.follows.as_ref()).any(|id| line.contains(&id))
}

/// The hosts that a deployment did not bring to its goal, and that no `later` one did either.
fn left_of(one: &Deployment, later: &[&Deployment]) -> Vec<Left> {
    let is_done =
        |outcome: Option<Outcome>| outcome.is_some_and(|outcome| outcome.is_success() || outcome == Outcome::Degraded);
    let is_done_since =
        |host: &String| later.iter().any(|other| other.hosts.get(host).is_some_and(|record| is_done(record.outcome)));
    let left = one.hosts.iter().filter(|(host, record)| !is_done(record.outcome) && !is_done_since(host));
    left.filter_map(|(host, record)| Some((host.parse().ok()?, record.wave.unwrap_or(1)))).collect()
}

/// How the deployment was wanted.
fn options(one: &Deployment) -> Result<Resumable<How>> {
    let again = "run the command again: hosts that are done stay as they are";
    let text = one.options.as_ref().ok_or_else(|| {
        Error::message(Kind::Usage, format!("the deployment {} cannot be resumed: it is a {}", one.id, one.command))
            .hint(again)
    })?;
    serde_json::from_str(text).map_err(|error| {
        let message = format!("the deployment {} was made by another version of hubctl: {error}", one.id);
        Error::message(Kind::Usage, message).hint(again)
    })
}

fn nothing_left(one: &Deployment) -> Error {
    Error::message(Kind::NoHost, format!("the deployment {} left nothing undone", one.id))
        .hint(format!("`hubctl history show {}` shows what became of its hosts", one.id))
}

/// Says what is resumed, how much of it is done, and whether it is the same source.
fn tell(hub: &Hub, one: &Deployment, left: usize, evaluator: &Evaluator) {
    let all = one.hosts.len();
    let begun = local(one.started);
    hub.ui.status(&format!(
        "resuming {}, {} by {} of {begun}: {} of {all} hosts are done",
        one.id,
        command(one),
        one.operator,
        all - left
    ));
    let source = evaluator.source();
    let shown = |rev: Option<&String>, dirty: bool| match rev {
        Some(rev) => rev.chars().take(REV_CHARS).collect(),
        None if dirty => "a work tree with uncommitted changes".to_owned(),
        None => "a source without a revision".to_owned(),
    };
    if source.rev.is_none() || source.rev != one.rev {
        let (then, now) = (shown(one.rev.as_ref(), one.dirty), shown(source.rev.as_ref(), source.dirty));
        hub.ui.status(&format!("it was made from {then}; the hosts that are left get {now}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::HostRecord;

    fn deployment(id: &str, hosts: &[(&str, Option<Outcome>)]) -> Deployment {
        let record = |outcome| HostRecord { outcome, wave: Some(2), ..HostRecord::default() };
        Deployment {
            id: id.to_owned(),
            command: "quick-deploy".to_owned(),
            goal: "switch".to_owned(),
            flake: "/hub".to_owned(),
            options: Some(String::new()),
            hosts: hosts.iter().map(|(host, outcome)| ((*host).to_owned(), record(*outcome))).collect(),
            ..Deployment::default()
        }
    }

    /// The deployment that would be resumed, and its hosts.
    fn resumed(all: &[Deployment]) -> Option<(String, Vec<String>)> {
        let found = last_left(all.to_vec());
        found.map(|(one, left)| (one.id, left.into_iter().map(|(host, _)| host.to_string()).collect()))
    }

    #[test]
    fn what_failed_and_what_was_not_tried_is_left() {
        use Outcome::{Degraded, Deployed, RolledBack, Skipped, Unchanged, Unknown};
        let ends = [Deployed, Unchanged, Degraded, RolledBack, Skipped, Unknown].map(Some);
        let hosts: Vec<_> = ["a", "b", "c", "d", "e", "f"].into_iter().zip(ends).chain([("g", None)]).collect();
        let (_, left) = resumed(&[deployment("1", &hosts)]).unwrap();
        assert_eq!(left, ["d", "e", "f", "g"]);
    }

    #[test]
    fn what_was_done_since_is_not_left() {
        use Outcome::{Deployed, Skipped, Unreachable};
        let first = deployment("1", &[("a", Some(Skipped)), ("b", Some(Skipped))]);
        let second = deployment("2", &[("a", Some(Deployed))]);
        assert_eq!(resumed(&[second.clone(), first.clone()]), Some(("1".to_owned(), vec!["b".to_owned()])));
        let third = deployment("3", &[("b", Some(Unreachable))]);
        let last = Some(("3".to_owned(), vec!["b".to_owned()]));
        assert_eq!(resumed(&[third, second, first.clone()]), last);
        assert_eq!(resumed(&[deployment("2", &[("a", Some(Deployed)), ("b", Some(Deployed))]), first]), None);
    }

    #[test]
    fn what_was_resumed_or_taken_back_is_done_with() {
        let first = deployment("1", &[("a", Some(Outcome::Skipped))]);
        let mut second = deployment("2", &[("b", Some(Outcome::Deployed))]);
        second.follows = Some("1".to_owned());
        assert_eq!(resumed(&[second.clone(), first.clone()]), None);
        second.hosts = deployment("2", &[("a", Some(Outcome::Skipped))]).hosts;
        assert_eq!(resumed(&[second.clone(), first.clone()]).unwrap().0, "2");
        let back = Deployment { follows: Some("1".to_owned()), ..deployment("3", &[("c", Some(Outcome::Deployed))]) };
        assert_eq!(resumed(&[back, second, first.clone()]), None);
        assert_eq!(resumed(&[Deployment { options: None, ..first }]), None);
    }
}
