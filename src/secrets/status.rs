//! How it stands with secrets, without any private key.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::age::{AgeError, Compared, Header};
use super::error::SecretsError;
use super::git::InGit;
use super::rules::{Rule, Rules};
use super::to_rotate::ToRotate;
use super::vault::Vault;

/// How it stands with all secrets.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// The file of rules, below the root.
    pub rules: PathBuf,
    /// Each rule's secret.
    pub secrets: Vec<Row>,
    /// Files that end in `.age` and that no rule names.
    pub orphans: Vec<PathBuf>,
}

/// How it stands with one secret.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Row {
    /// As the rules name it.
    pub name: String,
    /// Its file, below the root.
    pub path: PathBuf,
    /// How many may read it.
    pub recipients: usize,
    /// How many bytes its content has.
    pub bytes: Option<u64>,
    /// What is wrong, the worst first; nothing where all is well.
    pub conditions: Vec<Condition>,
}

/// What may be wrong with a secret.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "condition")]
pub enum Condition {
    /// It has no file.
    Missing,
    /// Its file is no age file, or is cut off.
    Damaged {
        /// What is wrong.
        why: String,
    },
    /// It is not encrypted to those whom its rule names.
    Drifted {
        /// Who cannot read it yet.
        missing: Vec<String>,
        /// Stanzas of those who still can, by type and tag.
        stale: Vec<String>,
        /// Whether the number of recipients without tags differs.
        untagged: bool,
    },
    /// It has no content.
    Empty,
    /// git ignores it, so that it is not in the flake.
    Ignored,
    /// git does not know it, so that it is not in the flake.
    Untracked,
    /// Its recipients without tags are of the right number; whether they are the right ones only a key can tell.
    Unsure,
    /// A key could read its value that was revoked: the value has to be replaced.
    ToRotate {
        /// Who could read it.
        reader: String,
        /// The day when that was to end.
        since: String,
    },
    /// Of those who can read it, all but one are hosts: when that key is lost, nobody can change the secret any more.
    OneHuman,
}

impl Condition {
    /// Whether something has to be done about it.
    pub fn is_wrong(&self) -> bool {
        !matches!(self, Self::Unsure | Self::OneHuman)
    }
}

impl Row {
    /// Whether nothing has to be done.
    pub fn is_well(&self) -> bool {
        !self.conditions.iter().any(Condition::is_wrong)
    }
}

impl Report {
    /// Whether nothing has to be done.
    pub fn is_well(&self) -> bool {
        self.orphans.is_empty() && self.secrets.iter().all(Row::is_well)
    }
}

/// Looks at all secrets. `git` says what git makes of them, where there is one; `hosts` names the hosts.
pub fn report(
    root: &Path,
    vault: &Vault,
    rules: &Rules,
    git: Option<&InGit>,
    hosts: &BTreeSet<String>,
) -> Result<Report, SecretsError> {
    let mut secrets = Vec::with_capacity(rules.list.len());
    for rule in &rules.list {
        secrets.push(row(vault, rule, git, hosts)?);
    }
    let list = ToRotate::read(root)?;
    for row in &mut secrets {
        let due = list.0.iter().filter(|due| due.path == row.path);
        row.conditions
            .extend(due.map(|due| Condition::ToRotate { reader: due.reader.clone(), since: due.since.clone() }));
    }
    Ok(Report { rules: rules.file.clone(), secrets, orphans: orphans(root, rules) })
}

fn row(vault: &Vault, rule: &Rule, git: Option<&InGit>, hosts: &BTreeSet<String>) -> Result<Row, SecretsError> {
    let mut conditions = Vec::new();
    let mut bytes = None;
    match vault.header(rule) {
        Ok(None) => conditions.push(Condition::Missing),
        Err(SecretsError::Age { error, .. }) => conditions.push(match error {
            AgeError::Empty => Condition::Empty,
            error => Condition::Damaged { why: error.to_string() },
        }),
        Err(error) => return Err(error),
        Ok(Some(header)) => {
            bytes = Some(header.plaintext_len());
            conditions.extend(of_header(&header, rule));
            conditions.extend(git.and_then(|git| of_git(git, &rule.path)));
        }
    }
    conditions.extend(has_one_human(rule, hosts).then_some(Condition::OneHuman));
    Ok(Row { name: rule.name.clone(), path: rule.path.clone(), recipients: rule.recipients.len(), bytes, conditions })
}

fn of_header(header: &Header, rule: &Rule) -> Vec<Condition> {
    let compared = header.compare(&rule.recipients);
    let drifted = match &compared {
        compared if !compared.is_same() => Some(drifted(compared)),
        compared if !compared.certain => Some(Condition::Unsure),
        _ => None,
    };
    let empty = (header.plaintext_len() == 0).then_some(Condition::Empty);
    empty.into_iter().chain(drifted).collect()
}

fn drifted(compared: &Compared) -> Condition {
    Condition::Drifted {
        missing: compared.missing.iter().map(super::age::Recipient::short).collect(),
        stale: compared.stale.clone(),
        untagged: compared.untagged.is_some(),
    }
}

fn of_git(git: &InGit, path: &Path) -> Option<Condition> {
    if git.is_tracked(path) {
        None
    } else if git.is_ignored(path) {
        Some(Condition::Ignored)
    } else {
        Some(Condition::Untracked)
    }
}

/// Whether exactly one recipient is no host. A key whose comment is `root@HOST` is that of a host.
fn has_one_human(rule: &Rule, hosts: &BTreeSet<String>) -> bool {
    let is_host = |comment: &str| {
        comment.strip_prefix("root@").is_some_and(|host| hosts.contains(host)) || hosts.contains(comment)
    };
    let of_hosts = rule.recipients.iter().filter(|one| one.comment().is_some_and(is_host)).count();
    // Where no host is recognised, nobody knows who is one.
    of_hosts > 0 && rule.recipients.len() - of_hosts == 1
}

/// The files beside secrets that look like secrets and have no rule.
fn orphans(root: &Path, rules: &Rules) -> Vec<PathBuf> {
    let known: BTreeSet<_> = rules.list.iter().map(|rule| rule.path.as_path()).collect();
    let mut dirs: BTreeSet<_> = known.iter().filter_map(|path| path.parent()).collect();
    dirs.extend(rules.file.parent());
    let mut found = Vec::new();
    for dir in dirs {
        // One that is not there has no files either.
        let Ok(entries) = fs::read_dir(root.join(dir)) else { continue };
        for entry in entries.flatten() {
            let path = dir.join(entry.file_name());
            if path.extension().is_some_and(|extension| extension == "age") && !known.contains(path.as_path()) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
