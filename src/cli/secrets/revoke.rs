//! `hubctl secrets revoke`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use jiff::Zoned;
use serde_json::json;

use super::args::Keys;
use super::grant::{anew, changed};
use super::place::{Place, told};
use super::rules;
use crate::cli::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::report::Output;
use crate::secrets::age::Recipient;
use crate::secrets::edit_rules::{self, Who};
use crate::secrets::{Due, Rules, ever_readable};

#[derive(Args, Debug)]
pub(super) struct RevokeArgs {
    /// Who is not to read them any more: a name that secrets.nix binds to a key, or a key.
    #[arg(value_name = "WHO")]
    who: String,
    /// Secrets, by name or glob; without one the key is taken out of everything.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Does it also when none of your own keys can read a secret afterwards.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    keys: Keys,
}

pub(super) async fn run(hub: &Hub, place: &Place, args: &RevokeArgs) -> Result<Exit> {
    let store = place.store(hub)?;
    let old = rules::text(place)?;
    let (key, who) = everything_of(&old, &args.who)?;
    let new = taken_out(place, &old, &who, &args.names)?;
    let (after, rules_change) = rules::checked(hub, place, &old, &new).await?;
    let left = still(&after, &key, place, &args.names)?;
    if !left.is_empty() {
        return Err(Error::message(Kind::Refused, format!("rules still name {}: {}", args.who, left.join(", ")))
            .hint("they name it by way of a list; write their rules out, or take it out of everything"));
    }
    let others = changed(&place.rules, &after);
    let revoked: Vec<_> = others.iter().map(|rule| rule.path.clone()).collect();
    let mut changes = anew(hub, place, others, &args.keys, args.force).await?;
    let past = ever_readable(&place.root, &key, &hub.cancel).await;
    hub.not_stopped()?;
    let past =
        past.map_err(|failure| Error::message(Kind::Failed, format!("git's history cannot be read: {failure}")))?;
    let due = due(&after, &key, &revoked, past, args.names.is_empty());
    let reader = key.comment().map_or_else(|| args.who.clone(), str::to_owned);
    let since = Zoned::now().date().to_string();
    let list = due.iter().map(|path| Due { path: path.clone(), reader: reader.clone(), since: since.clone() });
    changes.extend(place.vault.list(&place.rules, |all| all.add(list)).map_err(told)?);
    changes.push(rules_change);
    store.commit(&changes).map_err(told)?;
    tell(hub, &args.who, &revoked, &due)
}

/// A key, and all that the rules call it.
fn everything_of(text: &str, word: &str) -> Result<(Recipient, Vec<Who>)> {
    let who = rules::who(text, &[word.to_owned()])?.remove(0);
    let key = match &who {
        Who::Key(key) => Some(key.clone()),
        Who::One(name) => edit_rules::key_of(text, name),
        Who::Group(_) => None,
    };
    let Some(key) = key else {
        return Err(Error::message(Kind::Usage, format!("`{word}` is not one key"))
            .hint("name one of its keys; keys are taken away one by one"));
    };
    let mut all = edit_rules::names_of_key(text, &key);
    all.extend([who, Who::Key(key.clone())]);
    let key = key.parse().map_err(|error| Error::new(Kind::Config, error))?;
    Ok((key, all))
}

fn taken_out(place: &Place, text: &str, who: &[Who], names: &[String]) -> Result<String> {
    let by_hand = |error: edit_rules::TooClever| {
        Error::message(Kind::Refused, format!("{} is not changed by itself: {error}", place.rules.file.display()))
            .hint("take the key out by hand, and run `hubctl secrets rekey`")
    };
    if names.is_empty() {
        return edit_rules::revoke(text, None, who).map_err(by_hand);
    }
    let mut text = text.to_owned();
    for rule in place.rules.select(names).map_err(told)? {
        text = edit_rules::revoke(&text, Some(&rule.name), who).map_err(by_hand)?;
    }
    Ok(text)
}

/// The rules among those that are meant which name the key all the same.
fn still(after: &Rules, key: &Recipient, place: &Place, names: &[String]) -> Result<Vec<String>> {
    let meant: BTreeSet<_> = place.rules.select(names).map_err(told)?.into_iter().map(|rule| &rule.name).collect();
    let left = after.list.iter().filter(|rule| meant.contains(&rule.name) && rule.recipients.contains(key));
    Ok(left.map(|rule| rule.name.clone()).collect())
}

/// The secrets whose values have to be replaced: what is taken away now, and what the key could read at any time before.
fn due(after: &Rules, key: &Recipient, revoked: &[PathBuf], past: BTreeSet<PathBuf>, everything: bool) -> Vec<PathBuf> {
    let mut due: BTreeSet<_> = revoked.iter().cloned().collect();
    let not_any_more =
        |path: &PathBuf| after.list.iter().any(|rule| rule.path == *path && !rule.recipients.contains(key));
    due.extend(past.into_iter().filter(|path| everything && not_any_more(path)));
    due.into_iter().collect()
}

fn tell(hub: &Hub, who: &str, revoked: &[PathBuf], due: &[PathBuf]) -> Result<Exit> {
    let written = if hub.ui.output() == Output::Json {
        hub.ui.data_json(&json!({ "revoked": revoked, "to-rotate": due }))
    } else {
        let lines = due.iter().map(|path| path.display().to_string());
        hub.ui.data(&lines.collect::<Vec<_>>().join("\n"))
    };
    written.map_err(|error| Error::new(Kind::Failed, error))?;
    hub.ui.status(&format!("{who} is taken out of {} secrets, which are encrypted anew", revoked.len()));
    if !due.is_empty() {
        hub.ui.warning(
            &format!("{who} could read the values of these {} and may have kept them: git has the old files", due.len()),
            Some("replace each where it is used, then `hubctl secrets set`; `hubctl secrets status` lists them until then"),
        );
    }
    Ok(Exit::Success)
}
