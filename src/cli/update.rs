//! `hubctl update`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::change_list::text;
use super::compare::{AskUnits, Compared, Comparer, Side};
use super::confirm::confirm_or;
use super::deploy::{Command, Course, How, deploy};
use super::diff::tell_unknown;
use super::hub::{Fleet, Hub};
use crate::error::{Error, Exit, Kind, Result, nearest};
use crate::evaluate::Evaluator;
use crate::fleet::Host;
use crate::nix::{
    InputChange, Pin, UpdateError, Updated, commit_lock, input_changes, input_names, keep_lock, lock_text, update_copy,
};
use crate::plan::Rule;
use crate::report::{Cell, Output, Style, Table};

/// How many characters of a commit are shown.
const REV_CHARS: usize = 9;

/// Updates the inputs of the flake, shows what that changes on every host, and keeps the new flake.lock only if you say yes.
///
/// All of it happens in a copy of the flake: the inputs are locked anew, every host is evaluated and built with them, and compared with
/// what the flake wants now. flake.lock itself is written last and in one step, so that whatever stops the command before that leaves it
/// as it was. With --deploy that is after the hosts were deployed: a host that does not end well leaves flake.lock as it was.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line, and most may be set together")]
pub(super) struct UpdateArgs {
    /// The inputs to update, such as `nixpkgs`; all without one.
    #[arg(value_name = "INPUT")]
    inputs: Vec<String>,
    /// Tells which inputs have something newer, and does no more.
    #[arg(long, conflicts_with_all = ["dry_run", "commit", "deploy", "yes"])]
    check: bool,
    /// The hosts that are built and deployed, in place of all active ones; may be given several times.
    #[arg(long = "on", value_name = "HOST")]
    hosts: Vec<String>,
    /// Commits flake.lock once it is kept.
    #[arg(long)]
    commit: bool,
    /// Deploys the hosts with the new inputs, and keeps these only if every host ends well.
    #[arg(long)]
    deploy: bool,
    /// Does not ask.
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    how: How,
}

/// What came of an update, for programs.
#[derive(Serialize)]
struct Told<'a> {
    inputs: &'a [InputChange],
    hosts: &'a [Compared],
}

pub(super) async fn run(hub: &Hub, args: UpdateArgs) -> Result<Exit> {
    let (fleet, evaluator) = hub.load().await?;
    let root = fleet.flake.root().map(Path::to_path_buf).ok_or_else(|| {
        Error::message(Kind::Usage, format!("{} is not a directory, so that its inputs are not yours", fleet.flake))
            .hint("run it where the flake is: `--flake DIR`")
    })?;
    let unreadable = |error| Error::new(Kind::Failed, error);
    let before = lock_text(&root).map_err(unreadable)?;
    let locks: Value = serde_json::from_str(evaluator.source().locks()).unwrap_or_default();
    let known = input_names(&locks);
    check_names(&args.inputs, &known)?;
    if known.is_empty() {
        show(hub, &[], &[])?;
        hub.ui.status("nothing to update: the flake has no inputs");
        return Ok(Exit::Success);
    }
    let hosts = selected(hub, &fleet, &args.hosts)?;

    let scratch = tempfile::Builder::new().prefix("hubctl-update-").tempdir().map_err(unreadable)?;
    let updated = updated(hub, &evaluator, &args.inputs, &scratch.path().join("flake")).await?;
    let changes = input_changes(&locks, &serde_json::from_str(&updated.lock).unwrap_or_default());
    if changes.is_empty() {
        show(hub, &changes, &[])?;
        hub.ui.status("nothing to update: the inputs are as new as they get");
        return Ok(Exit::Success);
    }
    if args.check {
        show(hub, &changes, &[])?;
        return Ok(Exit::Success);
    }

    let with_them = Arc::new(hub.evaluator_at(&evaluator, updated.flake.clone()).await?);
    let comparer = Arc::new(Comparer::new(hub, &fleet, AskUnits::IfThere, BTreeMap::new())?);
    let found = comparer.all(hosts.clone(), &Side::Flake(evaluator), &Side::Flake(with_them.clone())).await;
    hub.not_stopped()?;
    show(hub, &changes, &found)?;
    not_broken(&found)?;
    if args.how.dry_run {
        return Ok(Exit::Success);
    }
    ask(hub, &args, &hosts).await?;
    if args.deploy {
        let parallel = args.how.parallel.by_default(&fleet.config);
        let command = Command { name: "update", rule: Rule::IfChanged, course: Course::Usual };
        let exit = deploy(hub, command, fleet, with_them, hosts, parallel, &args.how).await?;
        if exit != Exit::Success {
            let hint = "hosts that run the new ones go back with `hubctl rollback`; `hubctl update` without --deploy keeps the inputs";
            hub.ui.warning("flake.lock stays as it was: not every host ended well with the new inputs", Some(hint));
            return Ok(exit);
        }
    }
    keep(hub, &root, before.as_deref(), &updated, &changes, args.commit).await?;
    Ok(Exit::Success)
}

fn check_names(wanted: &[String], known: &[String]) -> Result<()> {
    let Some(unknown) = wanted.iter().find(|name| !known.contains(name)) else { return Ok(()) };
    let hint = match (unknown.split_once('/'), nearest(unknown, known.iter().map(String::as_str))) {
        (Some((outer, _)), _) if known.iter().any(|name| name == outer) => {
            format!("an input of an input changes with that one: `hubctl update {outer}`")
        }
        (_, Some(near)) => format!("did you mean `{near}`?"),
        _ if known.is_empty() => "the flake has no inputs".to_owned(),
        _ => format!("its inputs are: {}", known.join(", ")),
    };
    Err(Error::message(Kind::Usage, format!("the flake has no input `{unknown}`")).hint(hint))
}

fn selected(hub: &Hub, fleet: &Fleet, words: &[String]) -> Result<Vec<Host>> {
    if words.is_empty() { Ok(fleet.inventory.active().cloned().collect()) } else { hub.select(&fleet.inventory, words) }
}

async fn updated(hub: &Hub, evaluator: &Evaluator, inputs: &[String], directory: &Path) -> Result<Updated> {
    hub.ui.status("fetching the inputs …");
    let updating = Box::pin(update_copy(evaluator.nix(), evaluator.source(), inputs, directory, &hub.cancel));
    let updated = updating.await;
    hub.not_stopped()?;
    updated.map_err(|error| match error {
        UpdateError::BelowRoot => {
            Error::new(Kind::Refused, error).hint("`nix flake update` in the flake's directory updates the inputs")
        }
        error => Error::new(Kind::Failed, error).hint("flake.lock is as it was"),
    })
}

fn show(hub: &Hub, inputs: &[InputChange], hosts: &[Compared]) -> Result<()> {
    let written = if hub.ui.output() == Output::Json {
        hub.ui.data_json(&Told { inputs, hosts })
    } else {
        let (palette, width) = (hub.ui.out(), hub.ui.out_width());
        let inputs = (!inputs.is_empty()).then(|| table(inputs).render(palette, width) + "\n");
        let hosts = (!hosts.is_empty()).then(|| text(hosts, palette, width) + "\n");
        hub.ui.data(&inputs.into_iter().chain(hosts).collect::<String>())
    };
    written.map_err(|error| Error::new(Kind::Failed, error))?;
    if hub.ui.output() != Output::Json {
        tell_unknown(hub, hosts);
    }
    Ok(())
}

fn table(inputs: &[InputChange]) -> Table {
    let mut table = Table::new();
    for change in inputs {
        let (style, from) = match (&change.old, &change.new) {
            (None, _) => (Style::Ok, "new".to_owned()),
            (Some(old), None) => (Style::Fail, shown(old)),
            (Some(old), Some(_)) => (Style::Changed, shown(old)),
        };
        let to = change.new.as_ref().map_or_else(|| "gone".to_owned(), shown);
        table.row([
            Cell::styled(style, change.input.clone()),
            format!("{from} → {to}").into(),
            Cell::styled(Style::Dim, change.log.clone().unwrap_or_default()),
        ]);
    }
    table
}

/// What an input is locked to, with its day.
fn shown(pin: &Pin) -> String {
    let what = pin.rev.as_ref().map_or_else(|| pin.from.clone(), |rev| rev.chars().take(REV_CHARS).collect());
    match pin.last_modified {
        Some(time) => format!("{what} ({})", time.strftime("%Y-%m-%d")),
        None => what,
    }
}

/// Inputs with which a host does not evaluate or build are nothing to keep.
fn not_broken(found: &[Compared]) -> Result<()> {
    let broken: Vec<_> = found.iter().filter(|one| one.error.is_some()).map(|one| one.host.as_str()).collect();
    if broken.is_empty() {
        return Ok(());
    }
    let message = format!("with the new inputs, {} cannot be built: flake.lock stays as it was", broken.join(", "));
    Err(Error::message(Kind::Failed, message)
        .hint("`hubctl update INPUT` updates one input alone; --on HOST leaves hosts out of it"))
}

async fn ask(hub: &Hub, args: &UpdateArgs, hosts: &[Host]) -> Result<()> {
    if args.yes {
        return Ok(());
    }
    let question = if args.deploy {
        let names: Vec<_> = hosts.iter().map(|host| host.name.as_str()).collect();
        format!("Deploy {} with the new inputs, and keep these?", names.join(", "))
    } else {
        "Keep the new flake.lock?".to_owned()
    };
    confirm_or(hub, &question, "--yes answers with yes, --dry-run shows the changes alone").await
}

async fn keep(
    hub: &Hub,
    root: &Path,
    before: Option<&str>,
    updated: &Updated,
    changes: &[InputChange],
    commit: bool,
) -> Result<()> {
    keep_lock(root, before, &updated.lock)
        .map_err(|error| Error::new(Kind::Refused, error).hint("nothing was kept; run the command again"))?;
    hub.ui.status("flake.lock is updated");
    if commit {
        commit_lock(root, &message(changes), &hub.cancel)
            .await
            .map_err(|failure| Error::new(Kind::Failed, failure).hint("flake.lock is updated, but not committed"))?;
        hub.ui.status("and committed");
    }
    Ok(())
}

/// What a commit of the lock file says.
fn message(changes: &[InputChange]) -> String {
    let own: Vec<_> = changes.iter().map(|one| one.input.as_str()).filter(|name| !name.contains('/')).collect();
    let lines = changes.iter().map(|change| {
        let side = |pin: &Option<Pin>, none: &str| pin.as_ref().map_or_else(|| none.to_owned(), shown);
        let log = change.log.as_ref().map(|log| format!("\n  {log}")).unwrap_or_default();
        format!("{}: {} → {}{log}", change.input, side(&change.old, "new"), side(&change.new, "gone"))
    });
    let subject = if own.is_empty() { "inputs of inputs".to_owned() } else { own.join(", ") };
    format!("flake.lock: update {subject}\n\n{}\n", lines.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(input: &str, old: Option<&str>, new: Option<&str>) -> InputChange {
        let pin = |rev: &str| Pin { from: "github:a/b".to_owned(), rev: Some(rev.repeat(10)), last_modified: None };
        InputChange {
            input: input.to_owned(),
            old: old.map(pin),
            new: new.map(pin),
            log: Some("https://log".to_owned()),
        }
    }

    #[test]
    fn a_commit_tells_what_moved_and_where_to_read_about_it() {
        let changes = [change("nixpkgs", Some("a"), Some("b")), change("home/x", None, Some("c"))];
        let wanted = "flake.lock: update nixpkgs\n\nnixpkgs: aaaaaaaaa → bbbbbbbbb\n  https://log\n\
                      home/x: new → ccccccccc\n  https://log\n";
        assert_eq!(message(&changes), wanted);
        assert!(message(&changes[1..]).starts_with("flake.lock: update inputs of inputs\n"));
    }

    #[test]
    fn an_input_that_is_not_there_is_told_with_what_helps() {
        let known = ["nixpkgs", "home-manager"].map(str::to_owned);
        let hint = |name: &str| check_names(&[name.to_owned()], &known).unwrap_err().all_hints().join(" ");
        assert!(check_names(&known, &known).is_ok());
        assert_eq!(hint("nixpgks"), "did you mean `nixpkgs`?");
        assert!(hint("home-manager/nixpkgs").ends_with("`hubctl update home-manager`"));
        assert_eq!(hint("zzz"), "its inputs are: nixpkgs, home-manager");
    }
}
