//! `hubctl secrets check`.

use clap::Args;
use serde_json::json;

use super::matrix::Matrix;
use super::place::Place;
use crate::cli::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::report::Output;
use crate::secrets::{Leak, LeakKind, leaks};

#[derive(Args, Debug)]
pub(super) struct CheckArgs {
    /// Looks only at what is staged for the next commit, and into it: for a hook of git.
    #[arg(long)]
    staged: bool,
    /// Looks also whether each host's key opens what its configuration needs and nothing else; that is evaluated where it changed.
    #[arg(long, conflicts_with = "staged")]
    hosts: bool,
}

pub(super) async fn run(hub: &Hub, place: &Place, args: &CheckArgs) -> Result<Exit> {
    let found = leaks(&place.root, &place.rules, args.staged, &hub.cancel).await;
    hub.not_stopped()?;
    let found = found.map_err(|failure| {
        Error::message(Kind::Failed, format!("git does not tell which files it has: {failure}"))
            .hint("only what is in git can be checked for what should not be there")
    })?;
    let matrix = if args.hosts { Some(Matrix::of(hub, place, &[]).await?) } else { None };
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

fn line(leak: &Leak) -> String {
    let what = match leak.what {
        LeakKind::NotEncrypted => "a secret that is not encrypted",
        LeakKind::Plaintext => "named as a secret's plaintext",
        LeakKind::PrivateKey => "has a private key in it",
    };
    format!("{}: {what}", leak.path.display())
}
