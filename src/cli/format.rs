//! `hubctl format`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::config::Config;
use super::findings::{aside, files_of, findings_json, text};
use super::formatter::{self, Chosen, Which};
use super::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::lint::{Formatted, Layout, format, formattable, take};
use crate::report::Output;

/// Formats the Nix files of the flake: with its own formatter where it has one, else in the style of RFC 166, as nixfmt does.
///
/// The flake's own formatter is its output `formatter`, as for `nix fmt`. It works on a copy, from which changed files are taken as a
/// whole. It is looked for where a file of the flake names a formatter or treefmt; nothing is evaluated for any other. What is formatted is what Nix sees: files that git knows, as they are in the work tree. A file that is no Nix is told and left as it is.
/// Exits with 1 if there is one, and with --check if a file is not formatted.
#[derive(Args, Debug)]
pub(super) struct FormatArgs {
    /// Only these files, and those below these directories.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Changes nothing, and names the files that are not formatted.
    #[arg(long)]
    check: bool,

    /// Formats with this formatter.
    #[arg(long, value_name = "WHICH")]
    formatter: Option<Which>,
}

pub(super) async fn run(hub: &Hub, args: FormatArgs) -> Result<Exit> {
    let begun = Instant::now();
    let config = Config::of(&hub.flake()?)?;
    // Whether there is a formatter may stand in any file.
    let (root, all) = files_of(hub, &config, &[]).await?;
    let files = if args.paths.is_empty() { all.clone() } else { files_of(hub, &config, &args.paths).await?.1 };
    let layout = if args.check { Layout::Check } else { Layout::Write };
    let choice = formatter::choose(hub, &root, &all, args.formatter).await?;
    let done = match &choice.chosen {
        Chosen::Rfc => by_rfc(hub, &root, &files, layout).await?,
        Chosen::Own(program) => by_own(hub, &root, &files, layout, program).await?,
    };
    // That may be what was just formatted.
    formatter::remember(hub, &root, &all, &choice).await?;
    show(hub, &done, &choice.chosen).map_err(|error| Error::new(Kind::Failed, error))?;
    hub.ui.status(&summary(&done, layout, begun));
    let is_well = done.wrong.found.is_empty() && (layout == Layout::Write || done.changed.is_empty());
    Ok(if is_well { Exit::Success } else { Exit::Failed })
}

async fn by_rfc(hub: &Hub, root: &Path, files: &[PathBuf], layout: Layout) -> Result<Formatted> {
    let (root, files) = (root.to_path_buf(), files.to_vec());
    aside(hub, move || format(&root, &files, layout)).await
}

/// Formats with the flake's own formatter, which is given what is Nix.
async fn by_own(hub: &Hub, root: &Path, files: &[PathBuf], layout: Layout, program: &Path) -> Result<Formatted> {
    let (place, files) = (root.to_path_buf(), files.to_vec());
    let (texts, wrong) = aside(hub, move || formattable(&place, &files)).await?;
    let made = formatter::run(hub, root, program, texts.clone()).await?;
    let root = root.to_path_buf();
    let mut done = aside(hub, move || take(&root, &texts, &made, layout)).await?;
    done.files += wrong.found.len();
    done.wrong.found.extend(wrong.found);
    Ok(done)
}

fn show(hub: &Hub, done: &Formatted, chosen: &Chosen) -> std::io::Result<()> {
    if hub.ui.output() == Output::Json {
        let formatter = match chosen {
            Chosen::Rfc => Which::Rfc.word().into(),
            Chosen::Own(program) => program.to_string_lossy(),
        };
        let changed: Vec<_> = done.changed.iter().map(|path| path.to_string_lossy()).collect();
        return hub.ui.data_json(&json!({
            "formatter": formatter,
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
