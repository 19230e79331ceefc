//! Changes of secrets.nix: made up, proved by evaluating them, and part of the same transaction as the secrets.

use super::place::{Place, told};
use crate::cli::hub::Hub;
use crate::error::{Error, Kind, Result, nearest};
use crate::secrets::age::Recipient;
use crate::secrets::edit_rules::{TooClever, Who, names};
use crate::secrets::transaction::{Change, Seen};
use crate::secrets::{Rules, SecretsError};

/// What the name of a file begins with that is evaluated before secrets.nix becomes it.
const TRIAL: &str = ".secrets.nix.hubctl-";

/// The text of secrets.nix.
pub(super) fn text(place: &Place) -> Result<String> {
    let file = &place.rules.file;
    let bytes = place.vault.bytes(file).map_err(told)?.unwrap_or_default();
    String::from_utf8(bytes).map_err(|_| Error::message(Kind::Config, format!("{} is no text", file.display())))
}

/// Whom words of the command line mean: names that secrets.nix binds, or keys.
pub(super) fn who(text: &str, words: &[String]) -> Result<Vec<Who>> {
    let known = names(text);
    words.iter().map(|word| one(&known, word)).collect()
}

fn one(known: &[Who], word: &str) -> Result<Who> {
    let is = |who: &&Who| matches!(who, Who::One(name) | Who::Group(name) if name == word);
    if let Some(who) = known.iter().find(is) {
        return Ok(who.clone());
    }
    if word.contains(' ') || word.starts_with("age1") {
        let key: Recipient = word.parse().map_err(|error| Error::new(Kind::Usage, error))?;
        let comment = key.comment().map(|comment| format!(" {comment}")).unwrap_or_default();
        return Ok(Who::Key(format!("{key}{comment}")));
    }
    let bound = known.iter().filter_map(|who| match who {
        Who::One(name) | Who::Group(name) => Some(name.as_str()),
        Who::Key(_) => None,
    });
    let bound: Vec<_> = bound.collect();
    let hint = match nearest(word, bound.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if bound.is_empty() => "secrets.nix binds no names to keys; give the key itself".to_owned(),
        None => format!("secrets.nix binds {}; a key itself will do too", bound.join(", ")),
    };
    Err(Error::message(Kind::Usage, format!("secrets.nix binds nothing to `{word}`")).hint(hint))
}

/// Evaluates what secrets.nix would be, and gives the rules that it would make, and its change.
pub(super) async fn checked(hub: &Hub, place: &Place, old: &str, new: &str) -> Result<(Rules, Change)> {
    let file = &place.rules.file;
    let dir = place.root.join(file);
    let dir = dir.parent().unwrap_or(&place.root);
    let failed = |error: std::io::Error| told(SecretsError::NotWritten { path: file.clone(), error, left: None });
    // Whoever has the lock is alone here: what is left there is of runs that were killed.
    for left in std::fs::read_dir(dir).map_err(failed)?.flatten() {
        if left.file_name().to_string_lossy().starts_with(TRIAL) {
            std::fs::remove_file(left.path()).map_err(failed)?;
        }
    }
    // Beside it, so that what it imports is found.
    let trial = tempfile::Builder::new().prefix(TRIAL).suffix(".nix").tempfile_in(dir).map_err(failed)?;
    std::fs::write(trial.path(), new).map_err(failed)?;
    let name = trial.path().strip_prefix(&place.root).unwrap_or(trial.path()).to_path_buf();
    let rules = Rules::read(&place.root, &name, None, &hub.cancel).await;
    hub.not_stopped()?;
    let mut rules = rules.map_err(told)?;
    rules.file.clone_from(file);
    let change = Change { path: file.clone(), seen: Seen::of(old.as_bytes()), content: new.as_bytes().to_vec().into() };
    Ok((rules, change))
}

/// What to tell where only the author of the rules can change them.
pub(super) fn patch(place: &Place, why: &TooClever, name: &str, who: &[Who]) -> Error {
    let keys = who.iter().map(|who| match who {
        Who::One(word) => format!("[ {word} ]"),
        Who::Group(word) => word.clone(),
        Who::Key(key) => format!("[ \"{key}\" ]"),
    });
    let keys: Vec<_> = keys.collect();
    let file = place.rules.file.display();
    Error::message(Kind::Refused, format!("{file} is not changed by itself: {why}"))
        .hint(format!("write it by hand: `\"{name}\".publicKeys = … ++ {};`", keys.join(" ++ ")))
}
