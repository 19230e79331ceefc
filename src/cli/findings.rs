//! What was found in files, as a person or a program reads it.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::ValueEnum;
use globset::GlobSetBuilder;
use serde_json::{Value, json};

use super::config::Config;
use super::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::lint::{Finding, Report, Severity, Source, Suite, draw, github, junit, sarif};
use crate::nix::{FilesError, nix_files};
use crate::report::{Output, Palette};

/// The directory of the flake, and its Nix files without those that `hub.toml` leaves out, or those of them that are at or below
/// one of `paths`. A file that is named itself is looked at in any case.
pub(super) async fn files_of(hub: &Hub, config: &Config, paths: &[PathBuf]) -> Result<(PathBuf, Vec<PathBuf>)> {
    let flake = hub.flake()?;
    let listed = nix_files(&flake, &hub.cancel).await;
    hub.not_stopped()?;
    let mut listed = listed.map_err(|error| match error {
        FilesError::Remote(_) => Error::new(Kind::Usage, error).hint("fetch it, and name the directory with --flake"),
        _ => Error::new(Kind::Failed, error),
    })?;
    let root = flake.root().map(Path::to_path_buf).unwrap_or_default();
    let wanted = is_wanted(config)?;
    listed.retain(|file| wanted(file));
    if paths.is_empty() {
        return Ok((root, listed));
    }
    let mut chosen = Vec::new();
    for path in paths {
        chosen.extend(chosen_by(&root, &listed, path)?);
    }
    chosen.sort();
    chosen.dedup();
    Ok((root, chosen))
}

/// Whether a file is one of Nix by its name.
pub(super) fn is_nix(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "nix")
}

/// Whether `hub.toml` has a file looked at.
pub(super) fn is_wanted(config: &Config) -> Result<impl Fn(&Path) -> bool> {
    let mut globs = GlobSetBuilder::new();
    for glob in config.lint().exclude {
        globs.add(glob);
    }
    let excluded = globs.build().map_err(|error| Error::new(Kind::Config, error))?;
    Ok(move |file: &Path| !file.ancestors().any(|path| excluded.is_match(path)))
}

fn chosen_by(root: &Path, listed: &[PathBuf], path: &Path) -> Result<Vec<PathBuf>> {
    let whole = path
        .canonicalize()
        .map_err(|error| Error::message(Kind::Usage, format!("{} cannot be read: {error}", path.display())))?;
    let Ok(inside) = whole.strip_prefix(root) else {
        return Err(Error::message(Kind::Usage, format!("{} is not in the flake {}", path.display(), root.display()))
            .hint("--flake names another flake"));
    };
    if whole.is_file() {
        return Ok(vec![inside.to_path_buf()]);
    }
    let below: Vec<_> = listed.iter().filter(|file| file.starts_with(inside)).cloned().collect();
    if below.is_empty() {
        return Err(Error::message(Kind::Usage, format!("there is no Nix file below {}", path.display()))
            .hint("Nix sees only files that git knows: `git add` makes it know them"));
    }
    Ok(below)
}

/// Does `work` on a thread of its own, so that the user's wish to stop is heard meanwhile.
pub(super) async fn aside<T: Send + 'static>(
    hub: &Hub,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let working = tokio::task::spawn_blocking(work);
    let done = hub.unless_stopped(async { Ok(working.await) }).await?;
    done.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|error| Error::new(Kind::Failed, error))
}

/// The form of what was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(super) enum Form {
    /// Commands by which GitHub's actions mark lines of a change.
    Github,
    /// A log in the Static Analysis Results Interchange Format.
    Sarif,
    /// A report of tests, in the form that most CIs know.
    Junit,
}

/// Tells what was found, and gives the exit code: a failure where there is an error or a warning.
pub(super) fn tell(hub: &Hub, report: &Report, form: Option<Form>, begun: Instant) -> Result<Exit> {
    let written = match form {
        Some(Form::Github) => hub.ui.data(&github(report)),
        Some(Form::Sarif) => hub.ui.data_json(&sarif(report)),
        Some(Form::Junit) => {
            junit(&[Suite::of_files(report)]).map_err(io::Error::other).and_then(|text| hub.ui.data(&text))
        }
        None if hub.ui.output() == Output::Json => json(hub, report),
        None => text(hub, report),
    };
    written.map_err(|error| Error::new(Kind::Failed, error))?;
    hub.ui.status(&summary(report, begun));
    let is_well = report.findings().all(|finding| finding.severity == Severity::Note);
    Ok(if is_well { Exit::Success } else { Exit::Failed })
}

/// Draws what was found on the lines that it is about.
pub(super) fn text(hub: &Hub, report: &Report) -> io::Result<()> {
    let styled = hub.ui.out() == Palette::Colour;
    for checked in &report.found {
        for finding in &checked.findings {
            hub.ui.data(&format!("{}\n\n", draw(&checked.source, finding, styled)))?;
            if hub.ui.out_is_closed() {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn json(hub: &Hub, report: &Report) -> io::Result<()> {
    hub.ui.data_json(&json!({ "files": report.files, "findings": findings_json(report) }))
}

/// What was found, as `--json` tells it.
pub(super) fn findings_json(report: &Report) -> Vec<Value> {
    let each = report.found.iter();
    each.flat_map(|checked| checked.findings.iter().map(|found| one(&checked.source, found))).collect()
}

fn one(source: &Source, finding: &Finding) -> Value {
    let place = |span: &Range<usize>| json!({ "start": source.position(span.start), "end": source.position(span.end) });
    let related = finding.related.iter().map(|related| json!({ "place": place(&related.span), "text": related.text }));
    json!({
        "path": source.path(),
        "place": place(&finding.span),
        "rule": finding.rule,
        "severity": finding.severity,
        "message": finding.message,
        "label": finding.label,
        "related": related.collect::<Vec<_>>(),
        "hint": finding.hint,
        "fix": finding.fix.as_ref().map(|fix| if fix.safe { "safe" } else { "unsafe" }),
    })
}

/// What was found, in one line.
pub(super) fn summary(report: &Report, begun: Instant) -> String {
    let counted = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let found: Vec<_> = [Severity::Error, Severity::Warning, Severity::Note]
        .into_iter()
        .map(|severity| (report.count(severity), severity.as_str()))
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| counted(count, what))
        .collect();
    let found = if found.is_empty() { "nothing found".to_owned() } else { found.join(", ") };
    let mended = report.findings().filter(|finding| finding.fix.as_ref().is_some_and(|fix| fix.safe)).count();
    let found = if mended == 0 { found } else { format!("{found} ({mended} of them can be mended with --fix)") };
    format!("{found} in {}, after {} ms", counted(report.files, "file"), begun.elapsed().as_millis())
}
