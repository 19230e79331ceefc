//! `hubctl hook`.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, Subcommand};

use super::config::Config;
use super::findings::{aside, files_of, is_wanted, tell};
use super::hub::Hub;
use super::lint::{STATE_VERSION, cache_of, leave_out_known};
use super::options::levels_of;
use crate::error::{Error, Exit, Kind, Result};
use crate::lint::{lint_staged, unformatted};
use crate::nix::{FilesError, HooksPlace, changed_texts, hooks_place, staged_texts};
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
    /// Checks the Nix files that are about to be committed, as they will be committed: syntax, lint and format.
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
    write(&file, &text)
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
    let format = if how.no_format { " --no-format" } else { "" };
    Ok(format!("--flake {} hook run{format}", shell_quote(&inside)))
}

/// Writes a program, whole or not at all.
fn write(file: &Path, text: &str) -> io::Result<()> {
    let directory = file.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    fs::create_dir_all(&directory)?;
    let mut new = tempfile::NamedTempFile::new_in(&directory)?;
    new.write_all(text.as_bytes())?;
    new.as_file().set_permissions(fs::Permissions::from_mode(0o755))?;
    new.persist(file)?;
    Ok(())
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
    let (listed, staged, before, cache) = tokio::join!(
        files_of(hub, &config, &[]),
        staged_texts(&flake, &hub.cancel),
        changed_texts(&flake, STATE_VERSION, &hub.cancel),
        cache_of(hub, &flake, &levels)
    );
    let ((root, files), cache) = (listed?, cache?);
    let mut staged = staged.map_err(|error| Error::new(Kind::Failed, error))?;
    let wanted = is_wanted(&config)?;
    staged.retain(|file, _| wanted(Path::new(file)));
    if staged.is_empty() {
        return Ok(Exit::Success);
    }
    let place = root.clone();
    let (mut report, loose) = aside(hub, move || {
        let loose = if how.no_format { Vec::new() } else { unformatted(&staged)? };
        Ok((lint_staged(&place, &files, &staged, &levels, &before, cache)?, loose))
    })
    .await?;
    leave_out_known(hub, &root, &mut report, false)?;
    let exit = tell(hub, &report, None, begun)?;
    if loose.is_empty() {
        return Ok(exit);
    }
    let here = std::env::current_dir().unwrap_or_default();
    let seen_from_here = |path: &String| {
        let whole = root.join(path);
        whole.strip_prefix(&here).unwrap_or(&whole).display().to_string()
    };
    let loose: Vec<_> = loose.iter().map(seen_from_here).collect();
    let paths: Vec<_> = loose.iter().map(|path| shell_quote(path)).collect();
    let hint = format!("`hubctl format {0} && git add {0}`", paths.join(" "));
    hub.ui.warning(&format!("not formatted: {}", loose.join(", ")), Some(&hint));
    Ok(Exit::Failed)
}
