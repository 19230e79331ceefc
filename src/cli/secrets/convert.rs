//! Secrets of one format as those of the other.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::both::Both;
use super::import::{ImportArgs, Pair, To};
use super::place::{Place, aside, ask, told};
use super::secret::{checked, checked_sops};
use super::sops::{ENDINGS, below, is_likely};
use super::sops_rules::{MoreRules, for_sops, recipients};
use super::{hosts, rules};
use crate::cli::hub::Hub;
use crate::error::{Error, Kind, Result};
use crate::secrets::age::{Identities, Recipient};
use crate::secrets::edit_rules::{self, Who};
use crate::secrets::sops::{SopsSecret, steps};
use crate::secrets::transaction::Change;
use crate::secrets::{Rule, SecretsError};

type Plain = Zeroizing<Vec<u8>>;

/// What conversions come to.
pub(super) struct Converted {
    /// The new files, and the rules that name their readers.
    pub(super) changes: Vec<Change>,
    /// For each file, what of its content may have to be replaced once it was readable: its values, where it has several.
    pub(super) values: Vec<Vec<Option<String>>>,
}

/// The file that a secret becomes, below the root. `name` is what the user calls it.
pub(super) fn place_of(both: &Both, old: &Path, to: To, name: Option<&str>) -> Result<PathBuf> {
    if to == To::Agenix {
        let Some(place) = &both.agenix else { return Err(told(SecretsError::NoRules(both.root.clone()))) };
        let path = dir_of(place).join(rule_name(place, old, name));
        return below(&both.root, &both.root.join(&path)).ok_or_else(|| told(SecretsError::Outside { path }));
    }
    let Some(name) = name else {
        let path = old.with_extension("");
        let ending = path.extension().map(|ending| ending.to_string_lossy().into_owned() + ".").unwrap_or_default();
        return Ok(if is_likely(&path) { path } else { path.with_extension(ending + "bin") });
    };
    let cwd = std::env::current_dir().map_err(|error| Error::new(Kind::Failed, error))?;
    let path = below(&both.root, &cwd.join(name)).ok_or_else(|| told(SecretsError::Outside { path: name.into() }))?;
    if is_likely(&path) {
        return Ok(path);
    }
    Err(Error::message(Kind::Usage, format!("{} would not be known as a file of SOPS", path.display()))
        .hint(format!("have its name end in one of .{}", ENDINGS.join(", ."))))
}

fn dir_of(place: &Place) -> &Path {
    place.rules.file.parent().unwrap_or(Path::new(""))
}

/// The name in secrets.nix of what a file of SOPS becomes.
fn rule_name(place: &Place, old: &Path, name: Option<&str>) -> String {
    let default = || {
        let old = old.strip_prefix(dir_of(place)).unwrap_or(old);
        let is_whole = old.extension().is_some_and(|ending| ending == "bin");
        if is_whole { old.with_extension("") } else { old.to_path_buf() }.display().to_string()
    };
    let name = name.map_or_else(default, str::to_owned);
    name.strip_suffix(".age").unwrap_or(&name).to_owned() + ".age"
}

/// Files of SOPS with the contents of secrets of agenix: for those whom a rule names, or else for their own readers, whom new rules
/// name.
pub(super) async fn to_sops(
    hub: &Hub,
    both: &Both,
    old: &[Rule],
    pairs: &[Pair],
    args: &ImportArgs,
) -> Result<Converted> {
    let Some(place) = &both.agenix else { return Err(told(SecretsError::NoRules(both.root.clone()))) };
    let (text, known) = (rules::text(place)?, hosts::known(hub));
    let mut more = MoreRules::default();
    let mut new = Vec::new();
    for (rule, pair) in old.iter().zip(pairs) {
        let readers = || rule.recipients.iter().map(|key| for_sops(hub, &known, &text, key)).collect();
        new.push(more.secret(hub, both, &pair.path, readers)?);
    }
    let identities = both.identities(hub, &args.keys, &[]).await?;
    let (vault, sealed) = (place.vault.clone(), old.to_vec());
    let open = move || {
        let one = |rule: &Rule| Ok(vault.open(rule, &identities)?.1);
        sealed.iter().map(one).collect::<std::result::Result<Vec<Plain>, SecretsError>>()
    };
    let plain = aside(hub, open).await?;
    for (secret, plain) in new.iter().zip(&plain) {
        checked_sops(secret, plain, false)?;
    }
    let asked = ask(hub);
    let seal = move || {
        let (none, now) = (Identities::new(asked.clone()), Timestamp::now());
        let one = |(secret, plain): (&SopsSecret, &Plain)| {
            let wrong = |error| SecretsError::sops(&secret.path, error);
            let change = secret.set(plain, None, &none, &asked, now).map_err(wrong)?;
            let values = secret.values_of(change.content.bytes().unwrap_or_default()).map_err(wrong)?;
            Ok((change, values.into_iter().map(Some).collect()))
        };
        new.iter().zip(&plain).map(one).collect::<std::result::Result<Vec<_>, SecretsError>>()
    };
    let (mut changes, values): (Vec<_>, _) = aside(hub, seal).await?.into_iter().unzip();
    changes.extend(more.changes());
    Ok(Converted { changes, values })
}

/// Secrets of agenix with the contents of files of SOPS: for those whom their rules name, or else for the files' own readers, whom new
/// rules name.
pub(super) async fn to_agenix(
    hub: &Hub,
    both: &Both,
    old: &[SopsSecret],
    pairs: &[Pair],
    args: &ImportArgs,
) -> Result<Converted> {
    let Some(place) = &both.agenix else { return Err(told(SecretsError::NoRules(both.root.clone()))) };
    let (new, mut changes) = ruled(hub, place, old, pairs, args).await?;
    let identities = Arc::new(both.identities(hub, &args.keys, old).await?);
    let (with, sealed) = (identities.clone(), old.to_vec());
    let value = args.value.as_deref().map(steps);
    let open = move || {
        let one = |secret: &SopsSecret| {
            secret.open(value.as_deref(), &with).map_err(|error| SecretsError::sops(&secret.path, error))
        };
        sealed.iter().map(one).collect::<std::result::Result<Vec<Plain>, _>>()
    };
    let plain = aside(hub, open).await?;
    for (rule, plain) in new.iter().zip(&plain) {
        checked(rule, plain, false)?;
    }
    let values = vec![vec![None]; new.len()];
    let vault = place.vault.clone();
    let seal = move || {
        let one = |(rule, plain): (&Rule, &Plain)| vault.seal(rule, plain, None, &identities);
        new.iter().zip(&plain).map(one).collect::<std::result::Result<Vec<_>, _>>()
    };
    changes.extend(aside(hub, seal).await?);
    Ok(Converted { changes, values })
}

/// The rules that secrets.nix has for these, or gets.
async fn ruled(
    hub: &Hub,
    place: &Place,
    old: &[SopsSecret],
    pairs: &[Pair],
    args: &ImportArgs,
) -> Result<(Vec<Rule>, Vec<Change>)> {
    let text = rules::text(place)?;
    let known = known_keys(place, &text);
    let mut new = text.clone();
    let has_rule = |path: &Path| place.rules.list.iter().any(|rule| rule.path == path);
    for (secret, pair) in old.iter().zip(pairs) {
        if has_rule(&pair.path) {
            hub.ui.status(&format!(
                "secrets.nix has a rule for {} already, which says who can read it",
                pair.path.display()
            ));
            continue;
        }
        let name = rule_name(place, &secret.path, args.name.as_deref());
        let who: Vec<_> = recipients(secret).map(|key| for_agenix(&known, &text, key)).collect();
        new = edit_rules::add(&new, &name, &who).map_err(|error| rules::patch(place, &error, &name, &who))?;
    }
    let (after, changes) = if new == text {
        (None, Vec::new())
    } else {
        let (after, change) = rules::checked(hub, place, &text, &new).await?;
        (Some(after), vec![change])
    };
    let after = after.as_ref().unwrap_or(&place.rules);
    let of_pair = |pair: &Pair| {
        let found = after.list.iter().find(|rule| rule.path == pair.path).cloned();
        found.ok_or_else(|| told(SecretsError::Missing(pair.path.clone())))
    };
    Ok((pairs.iter().map(of_pair).collect::<Result<_>>()?, changes))
}

/// The keys that secrets.nix names.
fn known_keys(place: &Place, text: &str) -> Vec<Recipient> {
    let bound = edit_rules::names(text).into_iter().filter_map(|who| match who {
        Who::One(name) => edit_rules::key_of(text, &name)?.parse::<Recipient>().ok(),
        Who::Group(_) | Who::Key(_) => None,
    });
    let of_rules = place.rules.list.iter().flat_map(|rule| rule.recipients.iter().cloned());
    let found: BTreeSet<_> = bound.chain(of_rules).collect();
    found.into_iter().collect()
}

/// A reader of a file of SOPS as the rules of agenix would name them: by name where they have one there, and as an ssh key where that is
/// known, since hosts of agenix open nothing else.
fn for_agenix(known: &[Recipient], text: &str, key: Recipient) -> Who {
    let is_ssh = |one: &&Recipient| one.tag().is_some() && one.is_same_key(&key);
    let key = known.iter().find(is_ssh).cloned().unwrap_or(key);
    let named = edit_rules::names_of_key(text, &key.to_string()).into_iter().next();
    let comment = key.comment().map(|comment| format!(" {comment}")).unwrap_or_default();
    named.unwrap_or_else(|| Who::Key(format!("{key}{comment}")))
}
