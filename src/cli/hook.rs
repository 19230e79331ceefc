//! `hubctl hook`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, Subcommand};

use super::config::Config;
use super::findings::{aside, files_of, is_nix, is_wanted, tell};
use super::formatter::{self, Chosen, Which};
use super::hub::Hub;
use super::lint::{STATE_VERSION, cache_of, leave_out_known};
use super::options::levels_of;
use super::secrets::staged_leaks;
use crate::error::{Error, Exit, Kind, Result};
use crate::files::{self, Mode};
use crate::lint::{Before, Staged, lint_staged, nix_among, unformatted};
use crate::nix::{FilesError, HooksPlace, changed_texts, hooks_place, staged_files};
use crate::process::shell_quote;

/// Has git check what is about to be committed, or checks it.
#[derive(Args, Debug)]
pub(super) struct HookArgs {
    #[command(subcommand)]
    command: HookCommand,
}

#[derive(Debug, Subcommand)]
enum HookCommand {
    /// Has git run `hubctl hook run` before each commit in this repository. A hook that is there already is left alone.
    Install {
        #[command(flatten)]
        how: How,
    },
    /// Takes that back.
    Uninstall,
    /// Checks what is about to be committed, as it will be committed: syntax, lint and format of Nix files, and secrets that are not
    /// encrypted.
    ///
    /// What is not staged is not told. Exits with 1 if there is an error, a warning, or a file that is not formatted.
    Run {
        #[command(flatten)]
        how: How,
    },
}

/// What is checked.
#[derive(Args, Clone, Copy, Debug)]
struct How {
    /// Does not ask for files to be formatted.
    #[arg(long)]
    no_format: bool,

    /// Asks for files to be formatted as this formatter does it. The flake's own one is used where `format` has made it known.
    #[arg(long, value_name = "WHICH", conflicts_with = "no_format")]
    formatter: Option<Which>,
}

/// What git runs before a commit.
const NAME: &str = "pre-commit";

/// The line by which a hook of hubctl's is known.
const MARK: &str = "# Written by `hubctl hook install`; `hubctl hook uninstall` removes it.";

pub(super) async fn run(hub: &Hub, args: HookArgs) -> Result<Exit> {
    match args.command {
        HookCommand::Install { how } => install(hub, how).await,
        HookCommand::Uninstall => uninstall(hub).await,
        HookCommand::Run { how } => check(hub, how).await,
    }
}

async fn place(hub: &Hub) -> Result<HooksPlace> {
    let flake = hub.flake()?;
    let place = hooks_place(&flake, &hub.cancel).await;
    hub.not_stopped()?;
    place.map_err(|error| match error {
        FilesError::Remote(_) => Error::new(Kind::Usage, error).hint("name a directory with --flake"),
        _ => Error::new(Kind::Usage, error).hint("hooks are git's; `git init` makes a repository"),
    })
}

/// Whether the hook at `file` is hubctl's; none where there is none.
fn is_ours(file: &Path) -> Result<Option<bool>> {
    match fs::read(file) {
        Ok(text) => Ok(Some(String::from_utf8_lossy(&text).lines().any(|line| line == MARK))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::message(Kind::Failed, format!("{} cannot be read: {error}", file.display()))),
    }
}

async fn install(hub: &Hub, how: How) -> Result<Exit> {
    let place = place(hub).await?;
    let file = place.hooks.join(NAME);
    if !place.is_own {
        let message = format!("{} has the hooks of other repositories too", place.hooks.display());
        return Err(Error::message(Kind::Refused, message)
            .hint("`git config --local core.hooksPath .git/hooks` gives this repository hooks of its own"));
    }
    let words = words(hub, &place, how)?;
    if is_ours(&file)? == Some(false) {
        let message = format!("there is a hook already: {}", file.display());
        return Err(
            Error::message(Kind::Refused, message).hint(format!("add this line to it: hubctl {words} || exit 1"))
        );
    }
    let program = std::env::current_exe().map_err(|error| Error::new(Kind::Failed, error))?;
    let program = program.display().to_string();
    let text = format!(
        "#!/bin/sh\n{MARK}\nhubctl=$(command -v hubctl) || hubctl={}\nexec \"$hubctl\" {words}\n",
        shell_quote(&program)
    );
    fs::create_dir_all(&place.hooks)
        .and_then(|()| files::write(&file, text.as_bytes(), Mode::Is(0o755)))
        .map_err(|error| Error::message(Kind::Failed, format!("{} cannot be written: {error}", file.display())))?;
    hub.ui.status(&format!(
        "{} checks what is committed from now on; `git commit --no-verify` does without",
        file.display()
    ));
    Ok(Exit::Success)
}

/// What hubctl is told to check the flake from the top of the work tree.
fn words(hub: &Hub, place: &HooksPlace, how: How) -> Result<String> {
    let flake = hub.flake()?;
    let root = flake.root().unwrap_or(&place.top);
    let inside = root.strip_prefix(&place.top).unwrap_or(root);
    let inside = if inside.as_os_str().is_empty() { ".".into() } else { format!("./{}", inside.display()) };
    let format = match how {
        How { no_format: true, .. } => " --no-format".to_owned(),
        How { formatter: Some(which), .. } => format!(" --formatter {}", which.word()),
        How { .. } => String::new(),
    };
    Ok(format!("--flake {} hook run{format}", shell_quote(&inside)))
}

async fn uninstall(hub: &Hub) -> Result<Exit> {
    let file = place(hub).await?.hooks.join(NAME);
    match is_ours(&file)? {
        None => hub.ui.status("there is no hook"),
        Some(true) => {
            fs::remove_file(&file).map_err(|error| Error::new(Kind::Failed, error))?;
            hub.ui.status(&format!("{} is removed", file.display()));
        }
        Some(false) => {
            let message = format!("{} is not hubctl's", file.display());
            return Err(Error::message(Kind::Refused, message).hint("take the line with `hubctl` out of it"));
        }
    }
    Ok(Exit::Success)
}

async fn check(hub: &Hub, how: How) -> Result<Exit> {
    let begun = Instant::now();
    let flake = hub.flake()?;
    let config = Config::of(&flake)?;
    let levels = levels_of(hub, &config);
    let (listed, staged, cache) =
        tokio::join!(files_of(hub, &config, &[]), staged_files(&flake, &hub.cancel), cache_of(hub, &flake, &levels));
    let ((root, files), cache) = (listed?, cache?);
    let staged = staged.map_err(|error| Error::new(Kind::Failed, error))?;
    let leaks = staged_leaks(hub, &root, &staged).await?;
    let texts = texts(&config, &staged)?;
    if texts.is_empty() && leaks.is_empty() {
        return Ok(Exit::Success);
    }
    let loose = loose(hub, (&root, &files), &texts, how).await?;
    // Only what a commit changes there is told.
    let sets_version = texts.values().any(|text| text.contains(STATE_VERSION));
    let before = if sets_version { changed_texts(&flake, STATE_VERSION, &hub.cancel).await } else { Before::default() };
    let place = root.clone();
    let mut report = aside(hub, move || lint_staged(&place, &files, &texts, &levels, &before, cache)).await?;
    leave_out_known(hub, &root, &mut report, false)?;
    report.found.extend(leaks);
    let exit = tell(hub, &report, None, begun)?;
    if loose.is_empty() {
        return Ok(exit);
    }
    tell_loose(hub, &root, &loose);
    Ok(Exit::Failed)
}

/// The texts of the Nix files that are looked at.
fn texts(config: &Config, staged: &BTreeMap<String, Vec<u8>>) -> Result<Staged> {
    let wanted = is_wanted(config)?;
    let nix = staged.iter().filter(|(file, _)| is_nix(Path::new(file)) && wanted(Path::new(file)));
    Ok(nix.map(|(file, content)| (file.clone(), String::from_utf8_lossy(content).into_owned())).collect())
}

/// The files of which a formatter would make something else.
async fn loose(hub: &Hub, (root, files): (&Path, &[PathBuf]), texts: &Staged, how: How) -> Result<Vec<String>> {
    if how.no_format || texts.is_empty() {
        return Ok(Vec::new());
    }
    let texts = texts.clone();
    match formatter::at_hand(hub, root, files, how.formatter).await? {
        Some(Chosen::Rfc) => aside(hub, move || unformatted(&texts)).await,
        Some(Chosen::Own(program)) => {
            // What is no Nix is told by others.
            let nix = aside(hub, move || nix_among(&texts)).await?;
            let made = formatter::run(hub, root, &program, nix.clone()).await?;
            let is_other = |(path, text): &(String, Vec<u8>)| nix[path].as_bytes() != text;
            Ok(made.into_iter().filter(is_other).map(|(path, _)| path).collect())
        }
        None => {
            let hint = "`hubctl format --check` builds it, `--no-format` does without";
            hub.ui.warning("the flake's formatter is not at hand, and what is staged may not be formatted", Some(hint));
            Ok(Vec::new())
        }
    }
}

/// Names files that are not formatted as they are seen from here.
fn tell_loose(hub: &Hub, root: &Path, loose: &[String]) {
    let here = std::env::current_dir().unwrap_or_default();
    let seen_from_here = |path: &String| {
        let whole = root.join(path);
        whole.strip_prefix(&here).unwrap_or(&whole).display().to_string()
    };
    let loose: Vec<_> = loose.iter().map(seen_from_here).collect();
    let paths: Vec<_> = loose.iter().map(|path| shell_quote(path)).collect();
    let hint = format!("`hubctl format {0} && git add {0}`", paths.join(" "));
    hub.ui.warning(&format!("not formatted: {}", loose.join(", ")), Some(&hint));
}
