//! `hubctl format`.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::config::Config;
use super::findings::{aside, files_of, findings_json, text};
use super::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::lint::{Formatted, Layout, format};
use crate::report::Output;

/// Formats the Nix files of the flake in the style of RFC 166, as nixfmt does; evaluates nothing.
///
/// What is formatted is what Nix sees: files that git knows, as they are in the work tree. A file that is no Nix is told and left as it is.
/// Exits with 1 if there is one, and with --check if a file is not formatted.
#[derive(Args, Debug)]
pub(super) struct FormatArgs {
    /// Only these files, and those below these directories.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Changes nothing, and names the files that are not formatted.
    #[arg(long)]
    check: bool,
}

pub(super) async fn run(hub: &Hub, args: FormatArgs) -> Result<Exit> {
    let begun = Instant::now();
    let config = Config::of(&hub.flake()?)?;
    let (root, files) = files_of(hub, &config, &args.paths).await?;
    let layout = if args.check { Layout::Check } else { Layout::Write };
    let done = aside(hub, move || format(&root, &files, layout)).await?;
    show(hub, &done).map_err(|error| Error::new(Kind::Failed, error))?;
    hub.ui.status(&summary(&done, layout, begun));
    let is_well = done.wrong.found.is_empty() && (layout == Layout::Write || done.changed.is_empty());
    Ok(if is_well { Exit::Success } else { Exit::Failed })
}

fn show(hub: &Hub, done: &Formatted) -> std::io::Result<()> {
    if hub.ui.output() == Output::Json {
        let changed: Vec<_> = done.changed.iter().map(|path| path.to_string_lossy()).collect();
        return hub.ui.data_json(&json!({
            "files": done.files,
            "changed": changed,
            "findings": findings_json(&done.wrong),
        }));
    }
    text(hub, &done.wrong)?;
    done.changed.iter().try_for_each(|path| hub.ui.data(&path.to_string_lossy()))
}

fn summary(done: &Formatted, layout: Layout, begun: Instant) -> String {
    let files = |count: usize| format!("{count} file{}", if count == 1 { "" } else { "s" });
    let changed = match (done.changed.len(), layout) {
        (0, _) => "all is formatted".to_owned(),
        (count, Layout::Check) => format!("{} not formatted; `hubctl format` formats", files(count)),
        (count, Layout::Write) => format!("{} formatted", files(count)),
    };
    let wrong = match done.wrong.found.len() {
        0 => String::new(),
        count => format!(", {} cannot be", files(count)),
    };
    format!("{changed}{wrong}; {} looked at, after {} ms", files(done.files), begun.elapsed().as_millis())
}
