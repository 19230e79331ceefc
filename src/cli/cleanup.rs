//! `hubctl cleanup`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use super::hub::Hub;
use super::select::Hosts;
use super::upkeep::{self, RoomOptions, Upkeep};
use crate::error::{Exit, Result};
use crate::nix::STORE_DIR;
use crate::run::Work;

/// Does all that makes room: `gc` and `optimize` on hosts, what killed runs left there, and the `result` links of the flake.
#[derive(Args, Debug)]
pub(super) struct CleanupArgs {
    #[command(flatten)]
    hosts: Hosts,
    #[command(flatten)]
    options: RoomOptions,
}

pub(super) async fn run(hub: &Hub, args: CleanupArgs) -> Result<Exit> {
    let fleet = hub.reachable(&args.hosts.hosts).await?;
    let hosts = hub.select(&fleet.inventory, &args.hosts.hosts)?;
    let work = Work { policy: Some(args.options.policy(fleet.config.gc())), collect: true, optimise: true };
    let links = fleet.config.root().map(result_links).unwrap_or_default();
    upkeep::run(hub, &fleet, hosts, Upkeep { work, remains: true, links, options: args.options }).await
}

/// The links that `nix build` leaves in a directory: each keeps what it leads to.
fn result_links(root: &Path) -> Vec<PathBuf> {
    let is_result = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let named = name == "result" || name.starts_with("result-");
        named && fs::read_link(path).is_ok_and(|target| target.starts_with(STORE_DIR))
    };
    let entries = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut links: Vec<_> = entries.filter(is_result).collect();
    links.sort();
    links
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_links_into_the_store_are_results() {
        let dir = tempfile::tempdir().unwrap();
        let store = "/nix/store/0i3kvkpqpr1i9zx4dbdzvj6dcpqnmhhb-hello";
        for (name, target) in [("result", store), ("result-man", store), ("result-notes", "/etc"), ("other", store)] {
            symlink(target, dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("result-2"), "").unwrap();
        assert_eq!(result_links(dir.path()), [dir.path().join("result"), dir.path().join("result-man")]);
    }
}
