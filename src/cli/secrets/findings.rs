//! How it stands with the secrets of a flake, as findings in its files, for `validate`.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::ask::Terminal;
use super::check::{no_rules, of_leak, rules};
use super::place::Place;
use super::sops;
use super::status::{hosts, words};
use super::values::{self, Values};
use crate::cli::findings::is_nix;
use crate::cli::hub::Hub;
use crate::error::{Kind, Result};
use crate::lint::{Checked, Finding, Severity, Source};
use crate::secrets::rotation::Standing;
use crate::secrets::sops::SopsSecret;
use crate::secrets::{Condition, Report, Row, Rules, ToRotate, Vault, git_state, leaks, report};

/// The name under which it is told.
const RULE: &str = "secret-state";

/// What has to be done about the secrets of the flake at `root`, as far as that is known without any private key.
pub(in crate::cli) async fn troubles(hub: &Hub, root: &Path) -> Result<Vec<Checked>> {
    let rules = match rules(hub, root).await {
        Err(error) if error.kind() == Kind::Cancelled => return Err(error),
        Err(error) => return Ok(vec![of_file(root, "secrets.nix", [(0..0, error.to_string(), Severity::Error)])]),
        Ok(rules) => rules,
    };
    let mut found = Vec::new();
    if let Some(rules) = &rules {
        found.extend(of_rules(hub, root, rules).await?);
    }
    if let Ok(leaks) = leaks(root, &rules.unwrap_or_else(no_rules), false, &hub.cancel).await {
        found.extend(leaks.iter().map(of_leak));
    }
    match ToRotate::read(root) {
        Ok(list) => {
            let files = sops::all(hub, root).await?;
            found.extend(old_values(hub, root, &files.secrets).await?);
            found.extend(sops::rows(files, &list).iter().filter_map(|row| of_sops(root, row)));
        }
        Err(error) => found.push(of_file(root, "secrets.to-rotate", [(0..0, error.to_string(), Severity::Error)])),
    }
    hub.not_stopped()?;
    Ok(found)
}

/// Values that are older than they may become, or not those of their copies.
async fn old_values(hub: &Hub, root: &Path, files: &[SopsSecret]) -> Result<Vec<Checked>> {
    let place = match Rules::find(root) {
        Ok(file) => {
            let dir = file.parent().map(Path::to_path_buf).unwrap_or_default();
            Some(Place::with_rules(hub, root.to_path_buf(), &file, &dir).await?)
        }
        Err(_) => None,
    };
    let values = Values::of(hub, root, place.as_ref().map(|place| (place, &place.rules)))?;
    let of = |one: &Standing| {
        let troubles: Vec<_> = values::words(one).into_iter().map(|words| (0..0, words, Severity::Warning)).collect();
        (!troubles.is_empty()).then(|| of_file(root, &one.secret.to_string(), troubles))
    };
    Ok(values.standing(hub, files).await?.iter().filter_map(of).collect())
}

fn of_sops(root: &Path, row: &sops::Row) -> Option<Checked> {
    let drifted = row.drifted().map(|state| (0..0, state, Severity::Error));
    let due = row.due().map(|state| (0..0, state, Severity::Warning));
    let troubles: Vec<_> = drifted.into_iter().chain(due).collect();
    (!troubles.is_empty()).then(|| of_file(root, &row.path.to_string_lossy(), troubles))
}

async fn of_rules(hub: &Hub, root: &Path, rules: &Rules) -> Result<Vec<Checked>> {
    let paths: Vec<_> = rules.list.iter().map(|rule| rule.path.clone()).chain([rules.file.clone()]).collect();
    let git = git_state(root, &paths, &hub.cancel).await;
    hub.not_stopped()?;
    let vault = Vault::new(root, Arc::new(Terminal::new(hub.ui.clone())));
    let file = rules.file.to_string_lossy();
    let told = match report(root, &vault, rules, git.as_ref(), &hosts(hub)?) {
        Ok(told) => told,
        Err(error) => return Ok(vec![of_file(root, &file, [(0..0, error.to_string(), Severity::Error)])]),
    };
    let text = fs::read_to_string(root.join(&rules.file)).unwrap_or_default();
    let rows = told.secrets.iter().flat_map(|row| of_row(row, &text));
    let of_rules = of_file(root, &file, rows.collect::<Vec<_>>());
    let orphans = orphans(root, &told);
    Ok(Some(of_rules).filter(|checked| !checked.findings.is_empty()).into_iter().chain(orphans).collect())
}

/// A place, what is wrong there, and how much it matters.
type Trouble = (std::ops::Range<usize>, String, Severity);

/// What is wrong with a secret, at its rule in `text`.
fn of_row<'a>(row: &'a Row, text: &'a str) -> impl Iterator<Item = Trouble> + 'a {
    let quoted = format!("\"{}\"", row.name);
    let at = text.find(&quoted).map_or(0..0, |at| at..at + quoted.len());
    row.conditions.iter().filter(|condition| condition.is_wrong()).map(move |condition| {
        // A value that is to be replaced works until it is.
        let is_later = matches!(condition, Condition::ToRotate { .. });
        let severity = if is_later { Severity::Warning } else { Severity::Error };
        (at.clone(), format!("{}: {}", row.name, words(condition)), severity)
    })
}

fn orphans(root: &Path, report: &Report) -> Vec<Checked> {
    let of = |path: &std::path::PathBuf| {
        let trouble = (0..0, "no rule names this secret".to_owned(), Severity::Warning);
        of_file(root, &path.to_string_lossy(), [trouble])
    };
    report.orphans.iter().map(of).collect()
}

/// Findings in a file, which is shown where it is Nix.
fn of_file(root: &Path, path: &str, troubles: impl IntoIterator<Item = Trouble>) -> Checked {
    let is_shown = is_nix(Path::new(path));
    let text = if is_shown { fs::read_to_string(root.join(path)).unwrap_or_default() } else { String::new() };
    let finding = |(at, message, severity): Trouble| {
        Finding::other((RULE, severity), at, message, Some("`hubctl secrets status` tells more".to_owned()))
    };
    Checked { source: Source::new(path, text), findings: troubles.into_iter().map(finding).collect() }
}
