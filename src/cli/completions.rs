//! `hubctl completions`.

use clap::Args;
use clap_complete::Shell;

use super::args::command;
use super::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};

/// Prints the completions for a shell, to be loaded by it.
#[derive(Args, Debug)]
pub(super) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

pub(super) fn run(hub: &Hub, args: &CompletionsArgs) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "hubctl", &mut script);
    hub.ui.data(&String::from_utf8_lossy(&script)).map_err(|error| Error::new(Kind::Failed, error))?;
    Ok(Exit::Success)
}
