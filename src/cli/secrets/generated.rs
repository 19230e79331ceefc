//! What a generator makes beside the value of a secret: public keys, which are written or told, and passwords of which the secret is
//! the hash, which are told once where no other secret keeps them.

use std::path::{Path, PathBuf};

use serde_json::json;
use zeroize::Zeroizing;

use super::content;
use super::values::changed;
use crate::cli::hub::Hub;
use crate::error::{Error, Kind, Result};
use crate::report::Output;
use crate::secrets::rotation::Target;
use crate::secrets::transaction::Change;

/// What was made beside a value.
pub(super) struct Generated {
    pub(super) secret: Target,
    /// The public key.
    pub(super) public: Option<String>,
    /// Where the public key is written; it is told otherwise.
    pub(super) file: Option<PathBuf>,
    /// The password, where no secret keeps it.
    pub(super) clear: Option<Zeroizing<Vec<u8>>>,
}

impl Generated {
    /// Makes sure that passwords which nobody keeps can be told, before anything is changed.
    pub(super) fn may_be_told(hub: &Hub, all: &[Self], reveal: bool) -> Result<()> {
        let Some(one) = all.iter().find(|one| one.clear.is_some()) else { return Ok(()) };
        let keep = || format!("`clear` of [secrets.\"{}\"] in hub.toml names a secret that keeps it", one.secret);
        if hub.ui.output() == Output::Json {
            let message = format!("the password of {} would be lost: none is told as JSON", one.secret);
            return Err(Error::message(Kind::Refused, message).hint(keep()));
        }
        if !reveal && rustix::termios::isatty(std::io::stdout()) {
            let message = format!("the password of {} would stay on this terminal", one.secret);
            let hint = format!("--reveal shows it there; a pipe or a file takes it without; {}", keep());
            return Err(Error::message(Kind::Refused, message).hint(hint));
        }
        Ok(())
    }

    /// The files of public keys.
    pub(super) fn files(root: &Path, all: &[Self]) -> Result<Vec<Change>> {
        let mut changes = Vec::new();
        for one in all {
            let (Some(public), Some(file)) = (&one.public, &one.file) else { continue };
            if let Some(dir) = root.join(file).parent() {
                std::fs::create_dir_all(dir).map_err(|error| Error::new(Kind::Failed, error))?;
            }
            changes.extend(changed(root, file, true, || format!("{public}\n"))?);
        }
        Ok(changes)
    }

    /// The public key for programs.
    pub(super) fn public_json(&self) -> Option<serde_json::Value> {
        let public = self.public.as_ref()?;
        Some(json!({ "secret": self.secret, "public-key": public }))
    }
}

/// Prints public keys that no file has, and passwords that no secret keeps: alone where there is one, and each behind its secret's name
/// otherwise.
pub(super) fn tell_generated(hub: &Hub, all: &[Generated]) -> Result<()> {
    let told = |one: &&Generated| one.clear.is_some() || (one.public.is_some() && one.file.is_none());
    let all: Vec<_> = all.iter().filter(told).collect();
    for one in &all {
        let text = one.clear.as_ref().map(|clear| clear.as_slice()).or(one.public.as_ref().map(String::as_bytes));
        let text = text.unwrap_or_default();
        let name = if all.len() > 1 { format!("{}: ", one.secret) } else { String::new() };
        let mut line = Zeroizing::new(Vec::with_capacity(name.len() + text.len() + 1));
        for part in [name.as_bytes(), text, b"\n"] {
            line.extend(part);
        }
        content::write(std::io::stdout(), &line).map_err(|error| {
            Error::new(Kind::Failed, error)
                .hint("the secret has its new value; rotate it again where this was its password")
        })?;
        if one.clear.is_some() {
            hub.ui.status(&format!("this is the password of {}, and told only now", one.secret));
        }
    }
    Ok(())
}
