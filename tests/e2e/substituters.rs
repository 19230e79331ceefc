//! Substituters: one that does not answer is found out once per run, told, and left out; from one that does, systems are fetched.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Finished, Hub, Lab, Server, eventually};

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

/// The messages of the warnings of a run.
fn warnings(ended: &Finished) -> Vec<Value> {
    ended.events().into_iter().filter(|event| event["event"] == "warning").collect()
}

/// The messages of a run that say that a substituter was left out.
fn left_out(ended: &Finished) -> Vec<String> {
    let messages = warnings(ended).into_iter().map(|event| event["message"].as_str().unwrap().to_owned());
    messages.filter(|message| message.contains("does not answer, and is left out of this run")).collect()
}

#[test]
fn builds_side_by_side_may_meet_a_substituter_for_the_first_time() {
    let cache = TempDir::new().unwrap();
    let mut hub = fresh(Hub::offline());
    cached_elsewhere(&hub, &format!("file://{}", cache.path().display()), &HOSTS);
    hub.write("hub.toml", &format!("{}\n[nix]\nask-substituters = false\n", hub.committed("hub.toml")));
    let server = Server::gathering(cache.path(), HOSTS.len());
    use_substituters(&mut hub, &[&server.url()], "max-jobs = 0");
    hub.json(&["test-all", "--parallel=4"]).exits(0);
}

#[test]
fn those_that_do_not_answer_are_asked_once_and_a_system_comes_from_the_one_that_does() {
    let cache = TempDir::new().unwrap();
    let mut hub = fresh(Hub::offline());
    cached_elsewhere(&hub, &format!("file://{}", cache.path().display()), &HOSTS);

    let (good, silent, refused) = (Server::of(cache.path()), Server::silent(), Server::refused());
    use_substituters(&mut hub, &[&silent.url(), &refused, &good.url()], "max-jobs = 0");
    let ended = hub.json(&["test-all", "--parallel"]).exits(0);
    assert!(ended.outcomes().values().all(|outcome| outcome == "built"), "nothing can be built here: {ended:?}");
    let fetched =
        good.requests().iter().filter(|request| request.method == "GET" && request.path.starts_with("/nar/")).count();
    assert!(fetched >= HOSTS.len(), "{:?}", good.requests());

    assert_eq!(silent.connections(), 1);
    let told = left_out(&ended);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains(&silent.url()) && told[0].contains("Timeout was reached"), "{told:?}");
    assert!(told[1].contains(&refused) && told[1].contains("onnect to server"), "{told:?}");
    let warnings = warnings(&ended);
    assert!(warnings.iter().all(|event| event.get("host").is_none()), "{warnings:?}");
    assert!(warnings.iter().all(|event| event["hint"].as_str().unwrap().contains("ask-substituters")), "{warnings:?}");
}

#[test]
fn nobody_is_asked_where_nothing_is_to_be_built() {
    let mut hub = fresh(Hub::offline());
    hub.json(&["test-all"]).exits(0);
    let (silent, there) = (Server::silent(), Server::of(Path::new("/nonexistent")));
    // Another version of the same settings, so that all is evaluated again.
    use_substituters(&mut hub, &[&silent.url(), &there.url()], "");
    for words in [
        &["hosts"][..],
        &["cache", "verify"],
        &["quick-deploy", "*", "--dry-run"],
        &["status"],
        &["why", "p620", "--offline"],
    ] {
        hub.run(words);
        assert_eq!((silent.connections(), there.connections()), (0, 0), "{words:?}");
    }
    let ended = hub.json(&["test-all"]).exits(0);
    assert_eq!((silent.connections(), there.connections(), left_out(&ended)), (0, 0, Vec::new()), "a no-op");
    hub.write("README.md", "Edited.\n");
    let ended = hub.json(&["test-all"]).exits(0);
    assert_eq!((silent.connections(), there.connections(), left_out(&ended)), (0, 0, Vec::new()), "another no-op");
}

#[test]
fn a_build_of_what_is_evaluated_already_asks_as_well() {
    let mut hub = fresh(Hub::offline());
    let silent = Server::silent();
    use_substituters(&mut hub, &[&silent.url()], "");
    let built = hub.json(&["test-host", "p620"]).exits(0);
    nix(&hub, "nix-store", &["--delete", built.host("p620")["wanted"].as_str().unwrap()]);
    let before = silent.connections();
    let again = hub.json(&["test-host", "p620"]).exits(0).ends(&[("p620", "built")]);
    assert!(again.events().iter().any(|event| event["event"] == "evaluated" && event["cached"] == true));
    assert_eq!((silent.connections() - before, left_out(&again).len()), (1, 1));
}

#[test]
fn comparing_systems_asks_once_as_well() {
    let mut hub = fresh(Hub::offline());
    let silent = Server::silent();
    use_substituters(&mut hub, &[&silent.url()], "");
    let compared = hub.run(&["diff-hosts", "p620", "p510"]).exits(0);
    assert_eq!((silent.connections(), compared.stderr.matches("does not answer").count()), (1, 1), "{compared:?}");
    hub.run(&["diff-hosts", "p620", "p510"]).exits(0);
    assert_eq!(silent.connections(), 1, "both are here by now");
}

#[test]
fn one_that_nix_remembers_is_asked_all_the_same() {
    let cache = TempDir::new().unwrap();
    let mut hub = fresh(Hub::offline());
    cached_elsewhere(&hub, &format!("file://{}", cache.path().display()), &["p620"]);
    let server = Server::of(cache.path());
    use_substituters(&mut hub, &[&server.url()], "download-attempts = 1");
    assert_eq!(left_out(&hub.json(&["test-host", "p620"]).exits(0)), Vec::<String>::new());
    drop(server);
    let ended = hub.json(&["test-host", "p510"]).exits(0).ends(&[("p510", "built")]);
    assert_eq!(left_out(&ended).len(), 1, "{ended:?}");
}

#[test]
fn one_that_answers_with_something_else_is_left_to_nix() {
    let mut hub = fresh(Hub::offline());
    let none = Server::of(Path::new("/nonexistent"));
    use_substituters(&mut hub, &[&none.url()], "");
    let ended = hub.json(&["test-host", "p620"]).exits(0);
    assert_eq!(left_out(&ended), Vec::<String>::new());
    assert!(none.connections() > 0);
}

#[test]
fn hub_toml_can_say_that_nobody_is_asked() {
    let mut hub = fresh(Hub::offline());
    let silent = Server::silent();
    use_substituters(&mut hub, &[&silent.url()], "stalled-download-timeout = 1\ndownload-attempts = 2");
    hub.write("hub.toml", &format!("{}\n[nix]\nask-substituters = false\n", hub.committed("hub.toml")));
    let ended = hub.json(&["test-host", "p620"]).exits(0);
    assert_eq!(left_out(&ended), Vec::<String>::new());
    assert_eq!(silent.connections(), 2, "Nix itself tries as often as it is told");
}

#[test]
fn those_of_a_flake_are_asked_when_they_are_accepted() {
    let silent = Server::silent();
    let mut hub = fresh(Hub::offline());
    let text = hub.committed("flake.nix");
    let config = format!("\n  nixConfig.extra-substituters = [ \"{}\" ];\n  outputs =", silent.url());
    hub.write("flake.nix", &text.replacen("\n  outputs =", &config, 1));
    use_substituters(&mut hub, &[], "");
    let declined = hub.json(&["test-host", "p620"]).exits(0).says("left out: extra-substituters");
    assert_eq!((silent.connections(), left_out(&declined)), (0, Vec::new()));
    let accepted = hub.json(&["test-host", "p510", "--accept-flake-config"]).exits(0);
    assert_eq!((silent.connections(), left_out(&accepted).len()), (1, 1), "{accepted:?}");
}

#[test]
fn trouble_that_comes_later_is_told_once() {
    let mut hub = fresh(Hub::offline());
    let troubled = Server::troubled();
    use_substituters(&mut hub, &[&troubled.url()], "download-attempts = 2");
    // Whether a build fails by it is a matter of Nix and its settings.
    let ended = hub.json(&["test-all", "--parallel"]);
    assert_eq!(left_out(&ended), Vec::<String>::new());
    let told = warnings(&ended);
    let message = told.iter().map(|event| event["message"].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(message.len(), 1, "{message:?}");
    assert!(message[0].starts_with(&format!("Nix has trouble with {}: ", troubled.url())), "{message:?}");
}

#[test]
fn a_host_that_is_reached_by_ssh_serves_and_one_that_is_not_is_left_out() {
    let lab = Lab::up(&["p510"]);
    let mut hub = fresh(Hub::new(&lab));
    hub.set_env("NIX_SSHOPTS", &format!("-F {}", lab.ssh_config().display()));
    cached_elsewhere(&hub, "ssh-ng://p510", &["p620"]);
    use_substituters(&mut hub, &["ssh-ng://p510", "ssh-ng://samsung"], "max-jobs = 0");
    let ended = hub.json(&["test-host", "p620"]).exits(0).ends(&[("p620", "built")]);
    let told = left_out(&ended);
    assert!(told.len() == 1 && told[0].contains("ssh-ng://samsung"), "{told:?}");

    // A plan builds nothing.
    let silent = Server::silent();
    use_substituters(&mut hub, &[&silent.url()], "");
    hub.run(&["quick-deploy", "p510", "--dry-run"]).exits(0).prints("p510  build, copy, activate, verify");
    assert_eq!(silent.connections(), 0);
}

/// Nix's daemon for a hub, which trusts nobody who runs tests; it goes when this value is dropped.
struct Daemon(Child);

impl Daemon {
    fn serve(hub: &mut Hub) -> Self {
        let socket = hub.root().with_file_name("nix-socket");
        hub.set_env("NIX_DAEMON_SOCKET_PATH", socket.to_str().unwrap());
        let mut daemon = nix_command(hub, "nix-daemon");
        let config = daemon.get_envs().find(|(key, _)| *key == "NIX_CONFIG").unwrap().1.unwrap().to_str().unwrap();
        let config = format!("{config}trusted-users = nobody\n");
        let daemon = daemon.env("NIX_CONFIG", config).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        hub.set_env("NIX_REMOTE", "daemon");
        eventually("the daemon listens", || socket.exists());
        Self(daemon)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_user_whom_the_daemon_does_not_trust_leaves_out_as_well() {
    let cache = TempDir::new().unwrap();
    let mut hub = fresh(Hub::offline());
    cached_elsewhere(&hub, &format!("file://{}", cache.path().display()), &["p620"]);
    let (good, silent) = (Server::of(cache.path()), Server::silent());
    use_substituters(&mut hub, &[&silent.url(), &good.url()], "max-jobs = 0");
    let _daemon = Daemon::serve(&mut hub);
    let unknown = Server::of(cache.path());
    let mut asking = nix_command(&hub, "nix-store");
    asking.args(["--realise", "/nix/store/00000000000000000000000000000000-x"]);
    assert!(!asking.args(["--option", "substituters", &unknown.url()]).status().unwrap().success());
    assert_eq!(unknown.connections(), 0, "this user is trusted");
    let ended = hub.json(&["test-host", "p620"]).exits(0).ends(&[("p620", "built")]);
    assert_eq!((silent.connections(), left_out(&ended).len()), (1, 1), "{ended:?}");
    assert!(good.requests().iter().any(|request| request.method == "GET" && request.path.starts_with("/nar/")));
}
