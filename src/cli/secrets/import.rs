//! `hubctl secrets import`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::args::Keys;
use super::both::{Both, Chosen};
use super::convert::{Converted, place_of, to_agenix, to_sops};
use super::place::{store, told};
use super::rules;
use super::values::{Values, changed};
use crate::cli::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::report::Output;
use crate::secrets::rotation::{Policy, Target, last_changes};
use crate::secrets::transaction::{Change, seen};
use crate::secrets::{Due, SecretsError, ToRotate, edit_rules};

#[derive(Args, Debug)]
pub(super) struct ImportArgs {
    /// The secrets to convert, by name, path or glob: those of agenix as their rules name them, files of SOPS by their paths.
    #[arg(value_name = "FROM", required_unless_present = "all")]
    from: Vec<String>,
    /// The format to convert them to.
    #[arg(long)]
    to: To,
    /// Converts all secrets of the other format.
    #[arg(long, conflicts_with_all = ["from", "name", "value"])]
    all: bool,
    /// The new file; without it that of the old one without `.age`, or with it. A name that does not say which format its content has
    /// gets `.bin` as a file of SOPS.
    #[arg(long = "as", value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Only this value of a SOPS file, such as `database/password`.
    #[arg(long, value_name = "PATH")]
    pub(super) value: Option<String>,
    /// Removes the old files, and their rules in secrets.nix.
    #[arg(long, conflicts_with = "value")]
    remove: bool,
    /// Only tells what would be made; no key is needed for that.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    pub(super) keys: Keys,
}

/// A format of secrets.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(super) enum To {
    /// Files of SOPS, by the rules of .sops.yaml.
    Sops,
    /// Secrets of agenix, by the rules of secrets.nix.
    Agenix,
}

/// A secret, and the file that it becomes.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Pair {
    pub(super) from: Target,
    #[serde(rename = "to")]
    pub(super) path: PathBuf,
}

pub(super) async fn run(hub: &Hub, args: &ImportArgs) -> Result<Exit> {
    let mut both = Both::of(hub).await?;
    let chosen = chosen(hub, &mut both, args)?;
    let pairs = pairs(&both, &chosen, args)?;
    if args.dry_run || pairs.is_empty() {
        tell(hub, &pairs, args)?;
        return Ok(Exit::Success);
    }
    let store = store(hub, &both.root)?;
    // What is to go is what was there before anything was read of it.
    let gone = if args.remove { gone(&both.root, &pairs)? } else { Vec::new() };
    let Converted { mut changes, values } = match args.to {
        To::Sops => to_sops(hub, &both, &chosen.rules, &pairs, args).await?,
        To::Agenix => to_agenix(hub, &both, &chosen.sops, &pairs, args).await?,
    };
    if args.remove && args.to == To::Sops {
        changes.extend(without_rules(hub, &both, &chosen).await?);
    }
    changes.extend(gone);
    let list = ToRotate::changed(&both.root, |list| carry_over(list, &pairs, &values, args));
    changes.extend(list.map_err(told)?);
    changes.extend(recorded(hub, &both, &pairs, args).await?);
    for dir in changes.iter().filter_map(|change| change.path.parent()) {
        std::fs::create_dir_all(both.root.join(dir)).map_err(|error| Error::new(Kind::Failed, error))?;
    }
    store.commit(&changes).map_err(told)?;
    tell(hub, &pairs, args)?;
    Ok(Exit::Success)
}

/// The secrets that are meant, of the format that they are to leave.
fn chosen(hub: &Hub, both: &mut Both, args: &ImportArgs) -> Result<Chosen> {
    if (args.name.is_some() || args.value.is_some()) && args.from.len() != 1 {
        return Err(Error::message(Kind::Usage, "--as and --value are for one secret").hint("convert them one by one"));
    }
    let mut all = both.select(&args.from)?;
    let mut has_format = Vec::new();
    match args.to {
        To::Sops => has_format.extend(all.sops.drain(..).map(|secret| (secret.path, "a file of SOPS"))),
        To::Agenix => has_format.extend(all.rules.drain(..).map(|rule| (rule.path, "a secret of agenix"))),
    }
    if let (Some((path, format)), true) = (has_format.first(), !args.all && all.rules.is_empty() && all.sops.is_empty())
    {
        return Err(Error::message(Kind::Usage, format!("{} is {format} already", path.display())));
    }
    let mut missing = Vec::new();
    if let Some(place) = &both.agenix {
        for rule in std::mem::take(&mut all.rules) {
            let is_there = place.vault.is_there(&rule.path).map_err(told)?;
            if is_there { all.rules.push(rule) } else { missing.push(rule.path) }
        }
    }
    match missing.first() {
        Some(path) if all.rules.is_empty() && !args.all => Err(told(SecretsError::Missing(path.clone()))),
        _ => {
            for path in missing {
                hub.ui.warning(&format!("{} has no file, and is left out", path.display()), None);
            }
            if all.rules.len() + all.sops.len() > 1 && (args.name.is_some() || args.value.is_some()) {
                return Err(Error::message(Kind::Usage, "--as and --value are for one secret").hint("name just one"));
            }
            Ok(all)
        }
    }
}

/// What becomes of each: files that are not there yet, each another one.
fn pairs(both: &Both, chosen: &Chosen, args: &ImportArgs) -> Result<Vec<Pair>> {
    let old = chosen.rules.iter().map(|rule| &rule.path).chain(chosen.sops.iter().map(|secret| &secret.path));
    let mut pairs: Vec<Pair> = Vec::new();
    for old in old {
        let path = place_of(both, old, args.to, args.name.as_deref())?;
        if both.root.join(&path).symlink_metadata().is_ok() {
            return Err(Error::message(Kind::Refused, format!("{} is there already", path.display()))
                .hint("remove it, or give the new one another name with --as"));
        }
        if let Some(other) = pairs.iter().find(|pair| pair.path == path) {
            let message = format!("{} and {} would both become {}", other.from, old.display(), path.display());
            return Err(Error::message(Kind::Usage, message).hint("convert one of them by itself, with --as"));
        }
        pairs.push(Pair { from: Target { path: old.clone(), value: args.value.clone() }, path });
    }
    Ok(pairs)
}

/// The changes that take the old files away.
fn gone(root: &Path, pairs: &[Pair]) -> Result<Vec<Change>> {
    let one = |pair: &Pair| {
        let path = &pair.from.path;
        let wrong = |error| told(SecretsError::Unreadable { path: path.clone(), error });
        Ok(Change::gone(path.clone(), seen(&root.join(path)).map_err(wrong)?))
    };
    pairs.iter().map(one).collect()
}

/// secrets.nix without the rules of these secrets, and otherwise as it is.
async fn without_rules(hub: &Hub, both: &Both, chosen: &Chosen) -> Result<Option<Change>> {
    let Some(place) = &both.agenix else { return Ok(None) };
    let by_hand = |error: edit_rules::TooClever| {
        Error::message(Kind::Refused, format!("{} is not changed by itself: {error}", place.rules.file.display()))
            .hint("leave --remove out, and remove the files and their rules by hand")
    };
    let text = rules::text(place)?;
    let mut new = text.clone();
    for rule in &chosen.rules {
        new = edit_rules::remove(&new, &rule.name).map_err(by_hand)?;
    }
    let (after, change) = rules::checked(hub, place, &text, &new).await?;
    let is_gone = |name: &String| chosen.rules.iter().any(|rule| rule.name == *name);
    let left = place.rules.list.iter().filter(|rule| !is_gone(&rule.name));
    let same = left
        .map(|rule| (&rule.name, &rule.recipients))
        .eq(after.list.iter().map(|rule| (&rule.name, &rule.recipients)));
    if same { Ok(Some(change)) } else { Err(by_hand(edit_rules::TooClever("a rule does not stand alone"))) }
}

/// What had to be replaced in old files has to be in the new ones. `values` are those of each new file, where it has several.
fn carry_over(list: &mut ToRotate, pairs: &[Pair], values: &[Vec<Option<String>>], args: &ImportArgs) {
    for (pair, values) in pairs.iter().zip(values) {
        let is_meant = |due: &&Due| due.path == pair.from.path && (args.value.is_none() || due.value == args.value);
        let due: Vec<_> = list.0.iter().filter(is_meant).cloned().collect();
        for value in values {
            let new = |due: &Due| Due { path: pair.path.clone(), value: value.clone(), ..due.clone() };
            list.add(due.iter().map(new));
        }
        if args.remove {
            list.remove(&pair.from.path);
        }
    }
}

/// The record as it is to be: a value is as old in its new file as it was in the old one.
async fn recorded(hub: &Hub, both: &Both, pairs: &[Pair], args: &ImportArgs) -> Result<Option<Change>> {
    let place = both.agenix.as_ref();
    let values = Values::of(hub, &both.root, place.map(|place| (place, &place.rules)))?;
    let old = values.record()?;
    let unknown = pairs.iter().map(|pair| pair.from.clone()).filter(|from| !old.knows(from)).collect();
    let in_git = last_changes(&both.root, &unknown, &hub.cancel).await;
    hub.not_stopped()?;
    let in_git =
        in_git.map_err(|failure| Error::message(Kind::Failed, format!("git's history cannot be read: {failure}")))?;
    let (mut record, now) = (old.clone(), Timestamp::now());
    for pair in pairs {
        record.import(&pair.from, &Target::file(&pair.path), in_git.get(&pair.from).copied(), now);
        if args.remove && values.policy(&pair.from) != Policy::default() {
            let (old, new) = (&pair.from, pair.path.display());
            let hint = format!("write what it says for [secrets.\"{new}\"]");
            hub.ui.warning(&format!("hub.toml may speak of {old}, which is {new} from now on"), Some(&hint));
        }
    }
    changed(&both.root, &values.record_file(), record != old, || record.render())
}

fn tell(hub: &Hub, pairs: &[Pair], args: &ImportArgs) -> Result<()> {
    if hub.ui.output() == Output::Json {
        let what = if args.dry_run { "would-import" } else { "imported" };
        let all = json!({ what: pairs, "removed": args.remove && !args.dry_run });
        return hub.ui.data_json(&all).map_err(|error| Error::new(Kind::Failed, error));
    }
    let old = if args.remove { "is gone" } else { "is still there" };
    for Pair { from, path } in pairs {
        let path = path.display();
        let line = if args.dry_run {
            format!("{path} would get the content of {from}")
        } else {
            format!("{path} has the content of {from}, which {old}")
        };
        hub.ui.status(&line);
    }
    if pairs.is_empty() {
        hub.ui.status("there is nothing to convert");
    } else if !args.dry_run {
        hub.ui.status("a flake sees new files once git knows them: `git add --all`");
        let option = if args.to == To::Sops { "sops.secrets" } else { "age.secrets" };
        hub.ui.status(&format!("hosts that need them have to name them in `{option}`"));
    }
    Ok(())
}
