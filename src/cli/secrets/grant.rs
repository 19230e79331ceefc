//! `hubctl secrets grant`.

use clap::Args;

use super::args::Keys;
use super::place::{Place, aside, told};
use super::rules;
use crate::cli::hub::Hub;
use crate::error::{Exit, Result};
use crate::secrets::transaction::Change;
use crate::secrets::{Rule, Rules, edit_rules};

#[derive(Args, Debug)]
pub(super) struct GrantArgs {
    /// Who is to read them: a name that secrets.nix binds to a key or a list of them, or a key.
    #[arg(value_name = "WHO")]
    who: String,
    /// Secrets, by name or glob.
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    #[command(flatten)]
    keys: Keys,
}

pub(super) async fn run(hub: &Hub, place: &Place, args: &GrantArgs) -> Result<Exit> {
    let store = place.store(hub)?;
    let old = rules::text(place)?;
    let who = rules::who(&old, std::slice::from_ref(&args.who))?;
    let mut new = old.clone();
    for rule in place.rules.select(&args.names).map_err(told)? {
        let one = &who[0];
        new =
            edit_rules::grant(&new, &rule.name, one).map_err(|error| rules::patch(place, &error, &rule.name, &who))?;
    }
    let (after, rules_change) = rules::checked(hub, place, &old, &new).await?;
    let others = changed(&place.rules, &after);
    let count = others.len();
    let mut changes = anew(hub, place, others, &args.keys, false).await?;
    changes.push(rules_change);
    store.commit(&changes).map_err(told)?;
    hub.ui.status(&format!("{} can read {}", args.who, secrets(count)));
    Ok(Exit::Success)
}

/// The rules that name others than before.
pub(super) fn changed(before: &Rules, after: &Rules) -> Vec<Rule> {
    let same = |rule: &&Rule| {
        let old = before.list.iter().find(|old| old.name == rule.name);
        old.is_some_and(|old| {
            let (mut old, mut new) = (old.recipients.clone(), rule.recipients.clone());
            old.sort();
            new.sort();
            old == new
        })
    };
    after.list.iter().filter(|rule| !same(rule)).cloned().collect()
}

/// The new files of those secrets that have one.
pub(super) async fn anew(hub: &Hub, place: &Place, rules: Vec<Rule>, keys: &Keys, force: bool) -> Result<Vec<Change>> {
    let (vault, identities) = (place.vault.clone(), place.identities(hub, keys)?);
    aside(hub, move || {
        let mut there = Vec::new();
        for rule in &rules {
            if vault.bytes(&rule.path)?.is_some() {
                there.push(rule);
            }
        }
        vault.rekey(&there, &identities, force)
    })
    .await
}

pub(super) fn secrets(count: usize) -> String {
    if count == 1 { "1 secret more".to_owned() } else { format!("{count} secrets more") }
}
