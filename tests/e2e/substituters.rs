//! Substituters, which systems are fetched from.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::{Finished, Hub, Server};

const HOSTS: [&str; 4] = ["p510", "p620", "razer", "samsung"];

/// A hub whose hosts were never built.
fn fresh(mut hub: Hub) -> Hub {
    for host in HOSTS {
        let (file, motd) = (format!("hosts/{host}/motd.txt"), hub.root().display().to_string());
        hub.write(&file, &motd);
    }
    use_substituters(&mut hub, &[], "");
    hub
}

/// Has Nix use these substituters, whatever nobody signed included, with more settings.
fn use_substituters(hub: &mut Hub, urls: &[&str], more: &str) {
    let of_all =
        "experimental-features = nix-command flakes\nsandbox = false\nbuild-users-group =\nrequire-sigs = false\n";
    hub.set_env("NIX_CONFIG", &format!("{of_all}substituters = {}\n{more}\n", urls.join(" ")));
}

/// A program of Nix in the hub's environment.
fn nix_command(hub: &Hub, program: &str) -> Command {
    let mut command = Command::new(program);
    let of_hub = hub.command(&[]);
    command.env_clear().envs(of_hub.get_envs().filter_map(|(key, value)| value.map(|value| (key, value))));
    command
}

/// Runs a program of Nix in the hub's environment; it must succeed.
#[track_caller]
fn nix(hub: &Hub, program: &str, words: &[&str]) {
    Finished::from(nix_command(hub, program).args(words).output().unwrap()).exits(0);
}

/// Builds hosts, puts what they are into the store `url`, and takes it away here.
fn cached_elsewhere(hub: &Hub, url: &str, hosts: &[&str]) {
    let built = hub.json(&[&["test-all"], hosts].concat()).exits(0);
    for host in hosts {
        let toplevel = built.host(host)["wanted"].as_str().unwrap().to_owned();
        nix(hub, "nix", &["copy", "--no-check-sigs", "--to", url, &toplevel]);
        nix(hub, "nix-store", &["--delete", &toplevel]);
        assert!(!Path::new(&toplevel).exists());
    }
}

#[test]
fn builds_side_by_side_may_meet_a_substituter_for_the_first_time() {
    let cache = TempDir::new().unwrap();
    let mut hub = fresh(Hub::offline());
    cached_elsewhere(&hub, &format!("file://{}", cache.path().display()), &HOSTS);
    let server = Server::gathering(cache.path(), HOSTS.len());
    use_substituters(&mut hub, &[&server.url()], "max-jobs = 0");
    hub.json(&["test-all", "--parallel=4"]).exits(0);
}
