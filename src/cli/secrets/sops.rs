//! Secrets that are files of SOPS: the same commands for them, by their rules in `.sops.yaml`.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::args::{Keys, SecretsCommand};
use super::ask::Terminal;
use super::place::{aside, repository, store, told};
use super::rekey::RekeyArgs;
use super::set::{SetArgs, content_for};
use super::show::{ShowArgs, may_be_shown};
use super::{content, status};
use crate::cli::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::process::Cmd;
use crate::report::{Cell, Output, Style, Table};
use crate::secrets::age::{AgeError, Ask, Identities};
use crate::secrets::sops::{Drift, SopsSecret, Source, Step, sources, steps};
use crate::secrets::{Rules, SecretsError};

/// How long a command that prints a key may take: it may ask for a passphrase in a window of its own.
const KEY_COMMAND: Duration = Duration::from_secs(120);

/// How it stands with a SOPS file.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Row {
    path: PathBuf,
    recipients: usize,
    /// Those whom the rule names and who cannot read it yet.
    missing: Vec<String>,
    /// Those who can read it and whom the rule does not name.
    stale: Vec<String>,
    /// What else is wrong.
    problem: Option<String>,
}

impl Row {
    pub(super) fn is_well(&self) -> bool {
        self.missing.is_empty() && self.stale.is_empty() && self.problem.is_none()
    }
}

/// Does a command as far as it is about SOPS files; nothing where the secrets of agenix are to be seen to.
pub(super) async fn run(hub: &Hub, command: &SecretsCommand) -> Result<Option<Exit>> {
    match command {
        SecretsCommand::Show(args) => match named(&repository(hub)?, &args.name)? {
            Some(secret) => show(hub, secret, args).await.map(Some),
            None if args.value.is_some() => Err(no_values(&args.name)),
            None => Ok(None),
        },
        SecretsCommand::Set(args) => match named(&repository(hub)?, &args.name)? {
            Some(secret) => set(hub, secret, args).await.map(Some),
            None if args.value.is_some() => Err(no_values(&args.name)),
            None => Ok(None),
        },
        SecretsCommand::Rekey(args) => rekey(hub, args).await,
        SecretsCommand::Status(args) => {
            let root = repository(hub)?;
            if has_agenix(&root) {
                return Ok(None);
            }
            let rows = rows(hub, &root).await?;
            if rows.is_empty() {
                return Ok(None);
            }
            status::tell_sops_alone(hub, &rows)?;
            let well = rows.iter().all(Row::is_well);
            Ok(Some(if args.check && !well { Exit::Failed } else { Exit::Success }))
        }
        // The others know the rules of secrets.nix alone.
        _ => Ok(None),
    }
}

fn no_values(name: &str) -> Error {
    Error::message(Kind::Usage, format!("{name} is no file of SOPS, and has no values of its own"))
        .hint("leave --value out")
}

fn has_agenix(root: &Path) -> bool {
    !matches!(Rules::find(root), Err(SecretsError::NoRules(_)))
}

/// The SOPS file that is named by its path, from here or from the root of the repository.
fn named(root: &Path, name: &str) -> Result<Option<SopsSecret>> {
    let cwd = std::env::current_dir().map_err(|error| Error::new(Kind::Failed, error))?;
    let places = [cwd.join(name), root.join(name)];
    for path in places.iter().filter_map(|place| below(root, place)) {
        let secret = SopsSecret::at(root, &path).map_err(|error| told(SecretsError::sops(&path, error)))?;
        // A rule that is for all files makes none of them of the short name of another secret.
        if let Some(secret) = secret.filter(|secret| secret.file().is_some() || is_likely(name)) {
            return Ok(Some(secret));
        }
    }
    Ok(None)
}

/// A path without `.` and `..` below the root; nothing where it leads out of that.
fn below(root: &Path, path: &Path) -> Option<PathBuf> {
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

/// The SOPS files that git knows, or would know.
async fn all(hub: &Hub, root: &Path) -> Result<Vec<(PathBuf, std::result::Result<SopsSecret, SecretsError>)>> {
    let git = Cmd::new("git").ends_by_itself().arg("-C").arg(root).env("LC_ALL", "C").deadline(Duration::from_secs(30));
    let listed = git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).output(&hub.cancel).await;
    hub.not_stopped()?;
    let Ok(listed) = listed else { return Ok(Vec::new()) };
    let text = String::from_utf8_lossy(&listed.stdout);
    let mut found = Vec::new();
    for name in text.split('\0').filter(|name| is_likely(name)) {
        let path = PathBuf::from(name);
        match SopsSecret::at(root, &path) {
            Ok(Some(secret)) if secret.file().is_some() => found.push((path, Ok(secret))),
            Ok(_) => {}
            Err(error) => found.push((path.clone(), Err(SecretsError::sops(&path, error)))),
        }
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(found)
}

/// Whether the name of a file is one that SOPS files have; all others are not even read.
fn is_likely(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("yaml" | "yml" | "json" | "env" | "ini" | "sops" | "enc" | "bin"))
        && !name.ends_with(".sops.yaml")
}

/// How it stands with all SOPS files, without any private key.
pub(super) async fn rows(hub: &Hub, root: &Path) -> Result<Vec<Row>> {
    let row = |(path, secret): (PathBuf, std::result::Result<SopsSecret, SecretsError>)| {
        let recipients = secret.as_ref().ok().and_then(SopsSecret::file).map_or(0, |file| file.recipients().count());
        let (missing, stale, problem) = match secret.map(|secret| secret.drift()) {
            Ok(Ok(Drift::None)) => (Vec::new(), Vec::new(), None),
            Ok(Ok(Drift::Recipients { missing, stale })) => (missing, stale, None),
            Ok(Ok(Drift::NoRule)) => (Vec::new(), Vec::new(), Some("no rule of .sops.yaml is for it".to_owned())),
            Ok(Err(error)) | Err(SecretsError::Sops { error, .. }) => (Vec::new(), Vec::new(), Some(error.to_string())),
            Err(error) => (Vec::new(), Vec::new(), Some(error.to_string())),
        };
        Row { path, recipients, missing, stale, problem }
    };
    Ok(all(hub, root).await?.into_iter().map(row).collect())
}

/// Puts the rows into the table of all secrets.
pub(super) fn tabulate(rows: &[Row], table: &mut Table) {
    for row in rows {
        let words = |what: &str, names: &[String]| {
            let ends: Vec<_> = names.iter().map(|name| end(name)).collect();
            (!names.is_empty()).then(|| format!("{what} {}", ends.join(", ")))
        };
        let state = words("not yet for", &row.missing).into_iter().chain(words("still for", &row.stale));
        let state: Vec<_> = state.chain(row.problem.clone()).collect();
        let state = if state.is_empty() {
            Cell::styled(Style::Ok, "fine")
        } else {
            Cell::styled(Style::Fail, state.join("; "))
        };
        let name = Cell::styled(Style::Bold, row.path.display().to_string());
        table.row([name, row.recipients.to_string().into(), "".into(), state]);
    }
}

/// A key cut to what tells it from others.
fn end(name: &str) -> String {
    let key = name.split_whitespace().last().unwrap_or_default();
    format!("…{}", key.get(key.len().saturating_sub(8)..).unwrap_or(key))
}

async fn show(hub: &Hub, secret: SopsSecret, args: &ShowArgs) -> Result<Exit> {
    let stdout = std::io::stdout();
    may_be_shown(hub, &stdout, args.reveal)?;
    let identities = identities(hub, &args.keys, &secret).await?;
    let value: Option<Vec<Step>> = args.value.as_deref().map(steps);
    let plain = aside(hub, move || {
        secret.open(value.as_deref(), &identities).map_err(|error| SecretsError::sops(&secret.path, error))
    })
    .await?;
    content::write(&stdout, &plain).map_err(|error| Error::new(Kind::Failed, error))?;
    Ok(Exit::Success)
}

async fn set(hub: &Hub, secret: SopsSecret, args: &SetArgs) -> Result<Exit> {
    let plain = content_for(hub, args, &secret.path).await?;
    let identities = identities(hub, &Keys::default(), &secret).await?;
    let store = store(hub, &repository(hub)?)?;
    let (value, ask, path) = (args.value.as_deref().map(steps), ask(hub), secret.path.clone());
    let change = aside(hub, move || {
        let change = secret.set(&plain, value.as_deref(), &identities, &ask, Timestamp::now());
        change.map_err(|error| SecretsError::sops(&secret.path, error))
    })
    .await?;
    store.commit(&[change]).map_err(told)?;
    hub.ui.status(&format!("{} is set", path.display()));
    Ok(Exit::Success)
}

/// Rekeys the SOPS files among what is named, or all of them. Nothing where secrets of agenix are left to be seen to.
async fn rekey(hub: &Hub, args: &RekeyArgs) -> Result<Option<Exit>> {
    let root = repository(hub)?;
    let agenix = has_agenix(&root);
    let chosen = if args.names.is_empty() {
        if args.host.is_some() { Vec::new() } else { well(all(hub, &root).await?)? }
    } else {
        let named: Vec<_> = args.names.iter().map(|name| named(&root, name)).collect::<Result<_>>()?;
        match named.iter().flatten().count() {
            0 => return Ok(None),
            count if count < named.len() => {
                return Err(Error::message(Kind::Usage, "files of SOPS and secrets of agenix are named together")
                    .hint("name those of one kind, or none for all"));
            }
            _ => named.into_iter().flatten().collect(),
        }
    };
    if chosen.is_empty() {
        return Ok(None);
    }
    let done = rekey_these(hub, &root, chosen, args).await?;
    let alone = !agenix || !args.names.is_empty();
    if alone && hub.ui.output() == Output::Json {
        let key = if args.dry_run { "would-rekey" } else { "rekeyed" };
        hub.ui.data_json(&json!({ key: done })).map_err(|error| Error::new(Kind::Failed, error))?;
    }
    Ok(alone.then_some(Exit::Success))
}

fn well(found: Vec<(PathBuf, std::result::Result<SopsSecret, SecretsError>)>) -> Result<Vec<SopsSecret>> {
    found.into_iter().map(|(_, secret)| secret.map_err(told)).collect()
}

async fn rekey_these(hub: &Hub, root: &Path, chosen: Vec<SopsSecret>, args: &RekeyArgs) -> Result<Vec<PathBuf>> {
    let mut drifted = Vec::new();
    for secret in chosen {
        let drift = secret.drift().map_err(|error| told(SecretsError::sops(&secret.path, error)))?;
        let recipients = matches!(drift, Drift::Recipients { .. });
        if recipients || (args.all && drift == Drift::None) {
            drifted.push(secret);
        }
    }
    let paths: Vec<_> = drifted.iter().map(|secret| secret.path.clone()).collect();
    if args.dry_run || drifted.is_empty() {
        for path in &paths {
            hub.ui.status(&format!("{} would be encrypted anew", path.display()));
        }
        return Ok(paths);
    }
    let store = store(hub, root)?;
    let identities = identities(hub, &args.keys, &drifted[0]).await?;
    let (ask, anew, forced) = (ask(hub), args.all, args.force);
    let changes = aside(hub, move || {
        let now = Timestamp::now();
        let change = |secret: &SopsSecret| {
            let change = secret.rekey(anew, forced, &identities, &ask, now);
            change.map_err(|error| SecretsError::sops(&secret.path, error))
        };
        drifted.iter().map(change).collect::<std::result::Result<Vec<_>, _>>()
    })
    .await?;
    store.commit(&changes).map_err(told)?;
    for path in &paths {
        hub.ui.status(&format!("{} is encrypted anew", path.display()));
    }
    Ok(paths)
}

fn ask(hub: &Hub) -> Arc<dyn Ask> {
    Arc::new(Terminal::new(hub.ui.clone()))
}

/// The private keys to use: those that are named, or else those that SOPS would use.
async fn identities(hub: &Hub, keys: &Keys, secret: &SopsSecret) -> Result<Identities> {
    let root = repository(hub)?;
    let mut identities = Identities::new(ask(hub));
    let unusable = |error: AgeError| {
        let hint = error.hint();
        Error::new(Kind::Usage, error).hints(hint)
    };
    for file in &keys.identities {
        identities.add_file(file, Some(&root)).map_err(unusable)?;
    }
    if !keys.identities.is_empty() {
        return Ok(identities);
    }
    for source in sources(|name| std::env::var_os(name)) {
        match source {
            Source::Named(path) => identities.add_file(&path, Some(&root)).map_err(unusable)?,
            Source::Usual(path) if path.exists() => {
                if let Err(error) = identities.add_file(&path, Some(&root)) {
                    hub.ui.warning(&error.to_string(), error.hint().as_deref());
                }
            }
            Source::Usual(_) => {}
            Source::Text { origin, text } => identities.add_text(origin, &text).map_err(unusable)?,
            Source::Command { origin, words } => {
                let recipient = secret.file().and_then(|file| file.recipients().next()).unwrap_or_default();
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
