//! `hubctl secrets grant`.

use clap::Args;

use super::args::Keys;
use super::both::{Anew, Both, Chosen, anew, is_key};
use super::place::{Place, store, told};
use super::{hosts, rules, sops_rules};
use crate::cli::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::secrets::age::Recipient;
use crate::secrets::edit_rules::{self, Who};
use crate::secrets::transaction::Change;
use crate::secrets::{Rule, Rules};

#[derive(Args, Debug)]
pub(super) struct GrantArgs {
    /// Who is to read them: a name that secrets.nix binds to a key or a list of them, or that .sops.yaml has an anchor for, or a key.
    #[arg(value_name = "WHO")]
    who: String,
    /// Secrets, by name, path or glob.
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    #[command(flatten)]
    keys: Keys,
}

pub(super) async fn run(hub: &Hub, args: &GrantArgs) -> Result<Exit> {
    let mut both = Both::of(hub).await?;
    let store = store(hub, &both.root)?;
    let chosen = both.select(&args.names)?;
    let mut changes = Vec::new();
    let mut others = Chosen::default();
    if let Some(place) = both.agenix.as_ref().filter(|_| !chosen.rules.is_empty()) {
        let (rules, change) = granted(hub, &both, place, &chosen.rules, &args.who).await?;
        others.rules = rules;
        changes.push(change);
    }
    if !chosen.sops.is_empty() {
        let new = sops_rules::granted(&both, &chosen.sops, &key_for_sops(hub, &both, &args.who)?)?;
        others.sops = new.secrets;
        changes.extend(new.changes);
    }
    let count = others.rules.len() + others.sops.len();
    changes.extend(anew(hub, &both, Anew { chosen: others, all: false, forced: false }, &args.keys).await?);
    store.commit(&changes).map_err(told)?;
    hub.ui.status(&format!("{} can read {}", args.who, secrets(count)));
    Ok(Exit::Success)
}

/// The one key that a word means, as files of SOPS are to name it.
fn key_for_sops(hub: &Hub, both: &Both, word: &str) -> Result<Recipient> {
    let mut keys: Vec<Recipient> = Vec::new();
    // One may be there in both of its forms.
    for key in both.keys_called(word)? {
        if !keys.iter().any(|one| one.is_same_key(&key)) {
            keys.push(key);
        }
    }
    let [key] = keys.as_slice() else {
        return Err(Error::message(Kind::Usage, format!("the rules call several keys `{word}`"))
            .hint("give the key itself; `hubctl secrets keys` lists those of secrets.nix"));
    };
    for file in &both.sops.rules {
        let rules = both.sops_rules(file)?;
        // Who gave a key a name wants it as it is.
        if rules.names().iter().any(|name| rules.named(name).as_ref() == Some(key)) {
            return Ok(key.clone());
        }
    }
    let text = both.agenix.as_ref().map(rules::text).transpose()?.unwrap_or_default();
    Ok(sops_rules::for_sops(hub, &hosts::known(hub), &text, key))
}

/// The rules of agenix that name others than before, and the change that makes them.
async fn granted(hub: &Hub, both: &Both, place: &Place, chosen: &[Rule], word: &str) -> Result<(Vec<Rule>, Change)> {
    let old = rules::text(place)?;
    let who = match rules::who(&old, &[word.to_owned()]) {
        Ok(who) => who,
        Err(error) if is_key(word) || both.sops.rules.is_empty() => return Err(error),
        // Only .sops.yaml has that name.
        Err(_) => both.keys_called(word)?.into_iter().take(1).map(|key| Who::Key(key.to_string())).collect(),
    };
    let mut new = old.clone();
    for rule in chosen {
        let one = &who[0];
        new =
            edit_rules::grant(&new, &rule.name, one).map_err(|error| rules::patch(place, &error, &rule.name, &who))?;
    }
    let (after, change) = rules::checked(hub, place, &old, &new).await?;
    Ok((changed(&place.rules, &after), change))
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

fn secrets(count: usize) -> String {
    if count == 1 { "1 secret more".to_owned() } else { format!("{count} secrets more") }
}
