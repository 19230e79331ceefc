//! `hubctl completions`.

use clap::Args;
use clap_complete::Shell;
use clap_complete::env::Shells;

use super::complete::{BASH, VARIABLE};
use super::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};

/// Prints what has a shell complete hubctl's command lines: commands, options, hosts, tags, generations and deployments.
#[derive(Args, Debug)]
pub(super) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

pub(super) fn run(hub: &Hub, args: &CompletionsArgs) -> Result<Exit> {
    let failed = |error: std::io::Error| Error::new(Kind::Failed, error);
    let script = if args.shell == Shell::Bash { BASH.to_owned() } else { registration(args.shell).map_err(failed)? };
    hub.ui.data(&script).map_err(failed)?;
    Ok(Exit::Success)
}

/// What a shell loads. The program is looked up each time, so that a new one is asked after an update.
fn registration(shell: Shell) -> std::io::Result<String> {
    let name = shell.to_string();
    let all = Shells::builtins();
    let known = all.completer(&name).ok_or_else(|| std::io::Error::other(format!("{name} is not known")))?;
    let mut script = Vec::new();
    known.write_registration(VARIABLE, "hubctl", "hubctl", "hubctl", &mut script)?;
    Ok(String::from_utf8_lossy(&script).into_owned())
}
