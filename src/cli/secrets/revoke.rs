//! `hubctl secrets revoke`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args;
use jiff::Zoned;
use serde_json::json;

use super::args::Keys;
use super::both::{Anew, Both, Chosen, anew};
use super::grant::changed;
use super::place::{Place, store, told};
use super::sops::ENDINGS;
use super::{rules, sops_rules};
use crate::cli::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::process::Failure;
use crate::report::Output;
use crate::secrets::age::Recipient;
use crate::secrets::edit_rules::{self, Who};
use crate::secrets::sops::SopsSecret;
use crate::secrets::transaction::Change;
use crate::secrets::{Due, Rule, SecretsError, ToRotate, ever_readable, ever_readable_sops};

#[derive(Args, Debug)]
pub(super) struct RevokeArgs {
    /// Who is not to read them any more: a name that secrets.nix binds to a key, or that .sops.yaml has an anchor for, or a key.
    #[arg(value_name = "WHO")]
    who: String,
    /// Secrets, by name, path or glob; without one the key is taken out of everything.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Does it also when none of your own keys can read a secret afterwards.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    keys: Keys,
}

pub(super) async fn run(hub: &Hub, args: &RevokeArgs) -> Result<Exit> {
    let mut both = Both::of(hub).await?;
    let store = store(hub, &both.root)?;
    let keys = all_forms(&both, &both.keys_called(&args.who)?);
    let chosen = both.select(&args.names)?;
    let mut changes = Vec::new();
    let mut others = Chosen::default();
    let new = if args.names.is_empty() {
        sops_rules::revoked_everywhere(&both, &keys)?
    } else {
        sops_rules::revoked(&both, &chosen.sops, &keys)?
    };
    others.sops = new.secrets;
    changes.extend(new.changes);
    let is_named = |rule: &Rule| rule.recipients.iter().any(|one| keys.contains(one));
    let nothing_yet = changes.is_empty() && others.sops.is_empty();
    let is_meant = chosen.rules.iter().any(is_named) || (nothing_yet && !chosen.rules.is_empty());
    if let Some(place) = both.agenix.as_ref().filter(|_| is_meant) {
        let (rules, change) = taken_out(hub, place, &chosen.rules, &keys, args).await?;
        others.rules = rules;
        changes.push(change);
    } else if nothing_yet {
        return Err(Error::message(Kind::Refused, format!("{} can read none of them by the rules", args.who))
            .hint("`hubctl secrets status` tells who is still in a file"));
    }
    let revoked: Vec<_> = others.rules.iter().map(|rule| rule.path.clone()).chain(paths(&others.sops)).collect();
    let due = due(hub, &both, &keys, &others, args.names.is_empty()).await?;
    changes.extend(anew(hub, &both, Anew { chosen: others, all: false, forced: args.force }, &args.keys).await?);
    let reader = keys.iter().find_map(Recipient::comment).unwrap_or(&args.who);
    let since = Zoned::now().date().to_string();
    let due: Vec<_> = due
        .into_iter()
        .map(|(path, value)| Due { path, reader: reader.to_owned(), since: since.clone(), value })
        .collect();
    changes.extend(ToRotate::changed(&both.root, |list| list.add(due.iter().cloned())).map_err(told)?);
    store.commit(&changes).map_err(told)?;
    tell(hub, &args.who, &revoked, &due)
}

fn paths(secrets: &[SopsSecret]) -> impl Iterator<Item = PathBuf> {
    secrets.iter().map(|secret| secret.path.clone())
}

/// These keys, and what they are in another form, as far as rules or files name them so.
fn all_forms(both: &Both, keys: &[Recipient]) -> Vec<Recipient> {
    let of_agenix = both.agenix.iter().flat_map(|place| place.rules.list.iter().flat_map(|rule| &rule.recipients));
    let of_rules = both.sops.secrets.iter().filter_map(SopsSecret::rule).flat_map(|rule| &rule.recipients);
    let in_files = both.sops.secrets.iter().flat_map(sops_rules::recipients);
    let named: BTreeSet<_> = of_agenix.chain(of_rules).cloned().chain(in_files).collect();
    let mut all = keys.to_vec();
    all.extend(keys.iter().filter_map(Recipient::to_age));
    all.extend(named.into_iter().filter(|one| keys.iter().any(|key| key.is_same_key(one))));
    let mut seen = BTreeSet::new();
    all.retain(|key| seen.insert(key.clone()));
    all
}

/// The rules of agenix that name others once these keys are taken out, and the change that does it.
async fn taken_out(
    hub: &Hub,
    place: &Place,
    chosen: &[Rule],
    keys: &[Recipient],
    args: &RevokeArgs,
) -> Result<(Vec<Rule>, Change)> {
    let old = rules::text(place)?;
    let who: Vec<Who> = keys.iter().flat_map(|key| everything_of(&old, key)).collect();
    let by_hand = |error: edit_rules::TooClever| {
        Error::message(Kind::Refused, format!("{} is not changed by itself: {error}", place.rules.file.display()))
            .hint("take the key out by hand, and run `hubctl secrets rekey`")
    };
    let mut new = old.clone();
    if args.names.is_empty() {
        new = edit_rules::revoke(&new, None, &who).map_err(by_hand)?;
    }
    for rule in chosen.iter().filter(|_| !args.names.is_empty()) {
        new = edit_rules::revoke(&new, Some(&rule.name), &who).map_err(by_hand)?;
    }
    let (after, change) = rules::checked(hub, place, &old, &new).await?;
    let is_chosen = |rule: &&Rule| chosen.iter().any(|one| one.name == rule.name);
    let left = after.list.iter().filter(is_chosen).filter(|rule| rule.recipients.iter().any(|one| keys.contains(one)));
    let left: Vec<_> = left.map(|rule| rule.name.clone()).collect();
    if !left.is_empty() {
        return Err(Error::message(Kind::Refused, format!("rules still name {}: {}", args.who, left.join(", ")))
            .hint("they name it by way of a list; write their rules out, or take it out of everything"));
    }
    Ok((changed(&place.rules, &after), change))
}

/// A key, and all that the rules of agenix call it.
fn everything_of(text: &str, key: &Recipient) -> Vec<Who> {
    let mut all = edit_rules::names_of_key(text, &key.to_string());
    all.push(Who::Key(key.to_string()));
    all
}

/// The values that have to be replaced: what is taken away now, and with `everything` what the keys could read at any time before.
async fn due(
    hub: &Hub,
    both: &Both,
    keys: &[Recipient],
    others: &Chosen,
    everything: bool,
) -> Result<BTreeSet<(PathBuf, Option<String>)>> {
    let mut due: BTreeSet<_> = others.rules.iter().map(|rule| (rule.path.clone(), None)).collect();
    let mut of_sops: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
    for secret in &others.sops {
        if sops_rules::recipients(secret).any(|one| keys.contains(&one)) {
            of_sops.entry(secret.path.clone()).or_default().extend(values(secret)?);
        }
    }
    let unread = |failure: Failure| Error::message(Kind::Failed, format!("git's history cannot be read: {failure}"));
    let likely: Vec<_> = ENDINGS.iter().map(|ending| format!("*.{ending}")).collect();
    for key in keys {
        if let Some(place) = both.agenix.as_ref().filter(|place| everything && is_of_agenix(place, key, keys)) {
            let past = ever_readable(&both.root, key, &hub.cancel).await;
            hub.not_stopped()?;
            let is_rule = |path: &PathBuf| place.rules.list.iter().any(|rule| rule.path == *path);
            due.extend(past.map_err(unread)?.into_iter().filter(is_rule).map(|path| (path, None)));
        }
        let past = ever_readable_sops(&both.root, key, &likely, &hub.cancel).await;
        hub.not_stopped()?;
        for (path, addresses) in past.map_err(unread)? {
            if everything || others.sops.iter().any(|secret| secret.path == path) {
                of_sops.entry(path).or_default().extend(addresses);
            }
        }
    }
    for (path, addresses) in of_sops {
        // What a file has no more has nothing to be replaced.
        let Some(secret) = both.sops.secrets.iter().find(|secret| secret.path == path) else { continue };
        let there = values(secret)?;
        due.extend(there.into_iter().filter(|one| addresses.contains(one)).map(|one| (path.clone(), Some(one))));
    }
    Ok(due)
}

/// Whether files of agenix may have been encrypted to a key: one that is only another's form is none of theirs, and leaves no tag.
fn is_of_agenix(place: &Place, key: &Recipient, all: &[Recipient]) -> bool {
    let is_form = all.iter().any(|one| one.to_age().as_ref() == Some(key));
    !is_form || place.rules.list.iter().any(|rule| rule.recipients.contains(key))
}

fn values(secret: &SopsSecret) -> Result<Vec<String>> {
    secret.values().map_err(|error| told(SecretsError::sops(&secret.path, error)))
}

fn tell(hub: &Hub, who: &str, revoked: &[PathBuf], due: &[Due]) -> Result<Exit> {
    let lines: Vec<_> = due.iter().map(ToString::to_string).collect();
    let written = if hub.ui.output() == Output::Json {
        hub.ui.data_json(&json!({ "revoked": revoked, "to-rotate": lines }))
    } else {
        hub.ui.data(&lines.join("\n"))
    };
    written.map_err(|error| Error::new(Kind::Failed, error))?;
    hub.ui.status(&format!("{who} is taken out of {} secrets, which are encrypted anew", revoked.len()));
    if !due.is_empty() {
        hub.ui.warning(
            &format!("{who} could read the values of these {} and may have kept them: git has the old files", due.len()),
            Some("replace each where it is used, by `hubctl secrets rotate` or `set`; `hubctl secrets status` lists them until then"),
        );
    }
    Ok(Exit::Success)
}
