//! Secrets that are files of SOPS: where they are, how it stands with them, and whose keys open them.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::args::Keys;
use super::place::{ask, told};
use crate::cli::hub::Hub;
use crate::error::{Error, Kind, Result};
use crate::process::Cmd;
use crate::report::{Cell, Style, Table};
use crate::secrets::age::{AgeError, Identities};
use crate::secrets::sops::{Drift, RULES_FILE, SopsSecret, Source, sources};
use crate::secrets::{Due, SecretsError, ToRotate};

/// How long a command that prints a key may take: it may ask for a passphrase in a window of its own.
const KEY_COMMAND: Duration = Duration::from_secs(120);

/// How it stands with a SOPS file.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Row {
    pub(super) path: PathBuf,
    recipients: usize,
    /// Those whom the rule names and who cannot read it yet.
    missing: Vec<String>,
    /// Those who can read it and whom the rule does not name.
    stale: Vec<String>,
    /// Values that somebody could read who must not any more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    to_rotate: Vec<Due>,
    /// What else is wrong.
    problem: Option<String>,
}

impl Row {
    pub(super) fn is_well(&self) -> bool {
        self.missing.is_empty() && self.stale.is_empty() && self.to_rotate.is_empty() && self.problem.is_none()
    }

    /// What is wrong with who can read it, or with the file; nothing where that is as it should be.
    pub(super) fn drifted(&self) -> Option<String> {
        let words = |what: &str, names: &[String]| {
            let ends: Vec<_> = names.iter().map(|name| end(name)).collect();
            (!names.is_empty()).then(|| format!("{what} {}", ends.join(", ")))
        };
        let state = words("not yet for", &self.missing).into_iter().chain(words("still for", &self.stale));
        let state: Vec<_> = state.chain(self.problem.clone()).collect();
        (!state.is_empty()).then(|| state.join("; "))
    }

    /// Which values are to be replaced.
    pub(super) fn due(&self) -> impl Iterator<Item = String> {
        self.to_rotate.iter().map(|due| {
            let value = due.value.as_deref().unwrap_or("it");
            format!("{} could read {value} until {}: replace it", due.reader, due.since)
        })
    }
}

/// The SOPS file that is named by its path, from here or from the root of the repository.
pub(super) fn named(root: &Path, name: &str) -> Result<Option<SopsSecret>> {
    let cwd = std::env::current_dir().map_err(|error| Error::new(Kind::Failed, error))?;
    let places = [cwd.join(name), root.join(name)];
    for path in places.iter().filter_map(|place| below(root, place)) {
        let secret = SopsSecret::at(root, &path).map_err(|error| told(SecretsError::sops(&path, error)))?;
        // A rule that is for all files makes none of them of the short name of another secret.
        if let Some(secret) = secret.filter(|secret| secret.file().is_some() || is_likely(Path::new(name))) {
            return Ok(Some(secret));
        }
    }
    Ok(None)
}

/// A path without `.` and `..` below the root; nothing where it leads out of that.
pub(super) fn below(root: &Path, path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                clean.pop();
            }
            Component::CurDir => {}
            part => clean.push(part),
        }
    }
    let below = clean.strip_prefix(root).ok()?;
    (!below.as_os_str().is_empty()).then(|| below.to_path_buf())
}

/// The SOPS files of a repository.
#[derive(Default)]
pub(super) struct SopsFiles {
    /// Those that can be read.
    pub(super) secrets: Vec<SopsSecret>,
    /// Those that cannot, with why.
    pub(super) broken: Vec<SecretsError>,
    /// All `.sops.yaml`, below the root.
    pub(super) rules: Vec<PathBuf>,
}

/// The SOPS files that git knows, or would know.
pub(super) async fn all(hub: &Hub, root: &Path) -> Result<SopsFiles> {
    let git = Cmd::new("git").ends_by_itself().arg("-C").arg(root).env("LC_ALL", "C").deadline(Duration::from_secs(30));
    let listed = git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).output(&hub.cancel).await;
    hub.not_stopped()?;
    let mut found = SopsFiles::default();
    let Ok(listed) = listed else { return Ok(found) };
    let text = String::from_utf8_lossy(&listed.stdout);
    for path in text.split('\0').map(PathBuf::from) {
        if path.ends_with(RULES_FILE) {
            found.rules.push(path);
        } else if is_likely(&path) {
            match SopsSecret::at(root, &path) {
                Ok(Some(secret)) if secret.file().is_some() => found.secrets.push(secret),
                Ok(_) => {}
                Err(error) => found.broken.push(SecretsError::sops(&path, error)),
            }
        }
    }
    found.secrets.sort_by(|one, other| one.path.cmp(&other.path));
    found.rules.sort();
    Ok(found)
}

/// What the names of SOPS files end in; all other files are not even read.
pub(super) const ENDINGS: [&str; 8] = ["yaml", "yml", "json", "env", "ini", "sops", "enc", "bin"];

/// Whether the name of a file is one that SOPS files have.
pub(super) fn is_likely(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| ENDINGS.contains(&extension)) && !path.ends_with(RULES_FILE)
}

/// How it stands with SOPS files, without any private key. `list` has the values that are to be replaced.
pub(super) fn rows(files: SopsFiles, list: &ToRotate) -> Vec<Row> {
    let row = |secret: SopsSecret| {
        let recipients = secret.file().map_or(0, |file| file.recipients().count());
        let to_rotate = list.0.iter().filter(|due| due.path == secret.path).cloned().collect();
        let (missing, stale, problem) = match secret.drift() {
            Ok(Drift::None) => (Vec::new(), Vec::new(), None),
            Ok(Drift::Recipients { missing, stale }) => (missing, stale, None),
            Ok(Drift::NoRule) => (Vec::new(), Vec::new(), Some("no rule of .sops.yaml is for it".to_owned())),
            Err(error) => (Vec::new(), Vec::new(), Some(error.to_string())),
        };
        Row { path: secret.path, recipients, missing, stale, to_rotate, problem }
    };
    let broken = |error: SecretsError| {
        let (path, problem) = match error {
            SecretsError::Sops { path, error } => (path, error.to_string()),
            error => (PathBuf::new(), error.to_string()),
        };
        let problem = Some(problem);
        Row { path, recipients: 0, missing: Vec::new(), stale: Vec::new(), to_rotate: Vec::new(), problem }
    };
    let mut rows: Vec<_> = files.secrets.into_iter().map(row).chain(files.broken.into_iter().map(broken)).collect();
    rows.sort_by(|one, other| one.path.cmp(&other.path));
    rows
}

/// Puts the rows into the table of all secrets; `more` is about their values.
pub(super) fn tabulate(rows: &[Row], table: &mut Table, more: &mut impl FnMut(&Path) -> Vec<String>) {
    for row in rows {
        let words: Vec<_> = row.drifted().into_iter().chain(row.due()).chain(more(&row.path)).collect();
        let state = state_of(&words);
        let name = Cell::styled(Style::Bold, row.path.display().to_string());
        table.row([name, row.recipients.to_string().into(), "".into(), state]);
    }
}

/// What is wrong, or that nothing is.
pub(super) fn state_of(words: &[String]) -> Cell {
    if words.is_empty() { Cell::styled(Style::Ok, "fine") } else { Cell::styled(Style::Fail, words.join("; ")) }
}

/// A key cut to what tells it from others.
fn end(name: &str) -> String {
    let key = name.split_whitespace().last().unwrap_or_default();
    format!("…{}", key.get(key.len().saturating_sub(8)..).unwrap_or(key))
}

/// The private keys to use: those that are named, or else those that SOPS would use.
pub(super) async fn identities(hub: &Hub, root: &Path, keys: &Keys, secret: Option<&SopsSecret>) -> Result<Identities> {
    let mut identities = Identities::new(ask(hub));
    let unusable = |error: AgeError| {
        let hint = error.hint();
        Error::new(Kind::Usage, error).hints(hint)
    };
    for file in &keys.identities {
        identities.add_file(file, Some(root)).map_err(unusable)?;
    }
    if !keys.identities.is_empty() {
        return Ok(identities);
    }
    for source in sources(|name| std::env::var_os(name)) {
        match source {
            Source::Named(path) => identities.add_file(&path, Some(root)).map_err(unusable)?,
            Source::Usual(path) if path.exists() => {
                if let Err(error) = identities.add_file(&path, Some(root)) {
                    hub.ui.warning(&error.to_string(), error.hint().as_deref());
                }
            }
            Source::Usual(_) => {}
            Source::Text { origin, text } => identities.add_text(origin, &text).map_err(unusable)?,
            Source::Command { origin, words } => {
                let recipient =
                    secret.and_then(SopsSecret::file).and_then(|file| file.recipients().next()).unwrap_or_default();
                let command = Cmd::new(&words[0]).args(&words[1..]).env("SOPS_AGE_RECIPIENT", recipient);
                let output = command.deadline(KEY_COMMAND).output(&hub.cancel).await;
                hub.not_stopped()?;
                let output = output.map_err(|error| Error::new(Kind::Failed, error))?;
                let text = zeroize::Zeroizing::new(output.text());
                identities.add_text(origin, &text).map_err(unusable)?;
            }
        }
    }
    Ok(identities)
}
