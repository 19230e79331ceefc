//! `hubctl man`.

use std::path::PathBuf;

use clap::Args;

use super::args::command;
use super::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};

/// Prints the manual page, or writes one page per command into a directory.
#[derive(Args, Debug)]
pub(super) struct ManArgs {
    /// The directory to write `hubctl.1`, `hubctl-deploy.1` and so on into.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(hub: &Hub, args: ManArgs) -> Result<Exit> {
    let failed = |error: std::io::Error| Error::new(Kind::Failed, error);
    if let Some(dir) = args.out {
        std::fs::create_dir_all(&dir).map_err(failed)?;
        clap_mangen::generate_to(command(), &dir).map_err(failed)?;
    } else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command()).render(&mut page).map_err(failed)?;
        hub.ui.data(&String::from_utf8_lossy(&page)).map_err(failed)?;
    }
    Ok(Exit::Success)
}
