//! `hubctl secrets check`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::both::Both;
use super::matrix::Matrix;
use super::place::told;
use crate::cli::findings::is_nix;
use crate::cli::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::lint::{Checked, Finding, Severity, Source};
use crate::report::Output;
use crate::secrets::{Leak, Rules, SecretsError, leaks, leaks_among};
use crate::state::StateDirs;

/// The name under which files are told that should not be in git.
const RULE: &str = "plain-secret";

/// Files that the next commit has, by their paths below the root.
type Staged = BTreeMap<String, Vec<u8>>;

#[derive(Args, Debug)]
pub(super) struct CheckArgs {
    /// Looks only at what is staged for the next commit, and into it: for a hook of git.
    #[arg(long)]
    staged: bool,
    /// Looks also whether each host's key opens what its configuration needs and nothing else; that is evaluated where it changed.
    #[arg(long, conflicts_with = "staged")]
    hosts: bool,
}

pub(super) async fn run(hub: &Hub, args: &CheckArgs) -> Result<Exit> {
    let both = Both::of(hub).await?;
    let none = no_rules();
    let rules = both.agenix.as_ref().map_or(&none, |place| &place.rules);
    let found = leaks(&both.root, rules, args.staged, &hub.cancel).await;
    hub.not_stopped()?;
    let found = found.map_err(|failure| {
        Error::message(Kind::Failed, format!("git does not tell which files it has: {failure}"))
            .hint("only what is in git can be checked for what should not be there")
    })?;
    let matrix = if args.hosts { Some(Matrix::of(hub, &both, &[]).await?) } else { None };
    let written = if hub.ui.output() == Output::Json {
        let mut all = json!({ "leaks": found });
        if let Some(matrix) = &matrix {
            all["matrix"] = matrix.json();
        }
        hub.ui.data_json(&all)
    } else {
        hub.ui.data(&found.iter().map(line).collect::<Vec<_>>().join("\n"))
    };
    written.map_err(|error| Error::new(Kind::Failed, error))?;
    let are_well = matrix.is_none_or(|matrix| {
        matrix.tell(hub);
        matrix.is_well()
    });
    if found.is_empty() {
        return Ok(if are_well { Exit::Success } else { Exit::Failed });
    }
    hub.ui.warning(
        "secrets would be in git as they are, for good",
        Some("`git restore --staged FILE` takes one out of the next commit; one that was committed has to be replaced"),
    );
    Ok(Exit::Failed)
}

/// What of the files that are staged for the next commit should not get into git, as findings.
pub(in crate::cli) async fn staged_leaks(hub: &Hub, root: &Path, staged: &Staged) -> Result<Vec<Checked>> {
    // No secret is a file of Nix: without any other, nobody has to know what the rules say.
    let needs_rules = staged.keys().any(|path| !is_nix(Path::new(path)));
    let rules = if needs_rules { rules(hub, root).await? } else { None };
    let rules = rules.unwrap_or_else(no_rules);
    Ok(leaks_among(root, staged, &rules).iter().map(of_leak).collect())
}

/// A file that should not be in git, as a finding. What is in it is not shown.
pub(super) fn of_leak(leak: &Leak) -> Checked {
    let hint = "`git restore --staged FILE` takes it out of the next commit; what was committed has to be replaced";
    let finding = Finding::other((RULE, Severity::Error), 0..0, leak.what.words().to_owned(), Some(hint.to_owned()));
    Checked { source: Source::new(leak.path.to_string_lossy(), ""), findings: vec![finding] }
}

/// What there is where agenix has no rules.
pub(super) fn no_rules() -> Rules {
    Rules { file: PathBuf::new(), list: Vec::new() }
}

/// The rules of the repository; nothing where it has none.
pub(super) async fn rules(hub: &Hub, root: &Path) -> Result<Option<Rules>> {
    let file = match Rules::find(root) {
        Err(SecretsError::NoRules(_)) => return Ok(None),
        found => found.map_err(told)?,
    };
    let dirs = StateDirs::of_user().ok().filter(|_| !hub.global.no_cache);
    let cache = dirs.map(|dirs| dirs.root().join("rules"));
    let rules = Rules::read(root, &file, cache.as_deref(), &hub.cancel).await;
    hub.not_stopped()?;
    rules.map(Some).map_err(told)
}

fn line(leak: &Leak) -> String {
    format!("{}: {}", leak.path.display(), leak.what.words())
}
