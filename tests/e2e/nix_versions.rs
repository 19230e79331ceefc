//! What hubctl says to Nix, and what it makes of the answers: flakes of all kinds, settings, and that a host's system is the
//! one that Nix itself would build. These tests pass with each supported version; which one runs them, they do not know.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Finished, Hub};

/// What a flake can know of itself however it is reached.
const FACTS: [&str; 7] = ["rev", "shortRev", "revCount", "lastModified", "lastModifiedDate", "narHash", "outPath"];

/// What it can know where it is a work tree of git.
const FACTS_OF_GIT: [&str; 5] = ["dirtyRev", "dirtyShortRev", "submodules", "sourceInfo.rev", "sourceInfo.dirtyRev"];

/// A flake with one host for each of `facts`, whose system holds that fact, and one whose system holds another file.
struct FlakeOfFacts {
    hub: Hub,
    hosts: Vec<String>,
}

impl FlakeOfFacts {
    fn new(facts: &[&str]) -> Self {
        let hub = Hub::offline();
        let host = |fact: &&str| format!("{} = self.{fact} or \"none\";", fact.replace('.', "-"));
        let hosts: Vec<_> = facts.iter().map(host).collect();
        hub.write("hub.toml", "");
        hub.write(
            "flake.nix",
            &format!(
                r#"{{
  outputs = {{ self }}: let
    facts = {{
      {}
      file = builtins.readFile ./hub.toml;
    }};
    host = name: fact: {{
      config.networking.hostName = name;
      config.system.build.toplevel = derivation {{
        name = "nixos-system-${{name}}";
        system = "x86_64-linux";
        builder = "/bin/sh";
        args = [ "-c" "echo \"$fact\" > $out" ];
        fact = builtins.toJSON fact;
      }};
    }};
  in {{ nixosConfigurations = builtins.mapAttrs host facts; }};
}}
"#,
                hosts.join("\n      ")
            ),
        );
        let names = facts.iter().map(|fact| fact.replace('.', "-"));
        Self { hub, hosts: names.chain(["file".to_owned()]).collect() }
    }

    /// Asserts that every host is what Nix would make of it, asked for the first time and again.
    fn assert_like_nix(&self, reference: &str, what: &str) {
        for turn in ["at first", "again"] {
            let ended = self.hub.json(&["test-all", "--parallel", "--flake", reference]).exits(0);
            for host in &self.hosts {
                let ours = ended.host(host)["wanted"].as_str().unwrap().to_owned();
                let theirs = wanted_by_nix(&self.hub, reference, host, &[]);
                let fact = fs::read_to_string(&ours).unwrap();
                assert_eq!(ours, theirs, "self.{host} of {what}, {turn}, is {fact} to hubctl");
            }
        }
    }
}

/// Nix itself, in the environment that hubctl has.
fn nix(hub: &Hub, words: &[&str]) -> Finished {
    let of_hub = hub.command(&[]);
    let mut nix = Command::new("nix");
    nix.args(words).current_dir(hub.root()).env_clear();
    nix.envs(of_hub.get_envs().filter_map(|(key, value)| value.map(|value| (key, value))));
    nix.output().unwrap().into()
}

/// What `nix build` would build for a host of the flake `reference`.
fn wanted_by_nix(hub: &Hub, reference: &str, host: &str, more: &[&str]) -> String {
    let attribute = format!("{reference}#nixosConfigurations.{host}.config.system.build.toplevel.outPath");
    nix(hub, &[&["eval", "--raw", &attribute], more].concat()).exits(0).stdout
}

/// What hubctl builds for a host.
fn wanted_by_hubctl(hub: &Hub, host: &str, more: &[&str]) -> String {
    let ended = hub.json(&[&["test-host", host], more].concat()).exits(0).ends(&[(host, "built")]);
    ended.host(host)["wanted"].as_str().unwrap().to_owned()
}

fn is_like_nix_whatever_happens_to_the_tree(facts: &[&str]) {
    let flake = FlakeOfFacts::new(facts);
    let hub = &flake.hub;
    flake.assert_like_nix(".", "a tree with a flake that is not committed");
    hub.commit("facts");
    flake.assert_like_nix(".", "a clean tree");
    for change in ["one", "two"] {
        hub.write("hub.toml", &format!("# change {change}\n"));
        flake.assert_like_nix(".", &format!("a changed tree, change {change}"));
    }
    // The same content over another commit.
    hub.git(&["commit", "--quiet", "--amend", "--allow-empty", "--message", "other facts"]);
    flake.assert_like_nix(".", "a changed tree over another commit");
    hub.commit("changed");
    flake.assert_like_nix(".", "a clean tree once more");
    let remote = format!("git+file://{}", hub.root().display());
    flake.assert_like_nix(&remote, "a reference to a repository");
    let revision = hub.git(&["rev-parse", "HEAD~1"]);
    flake.assert_like_nix(&format!("{remote}?rev={}", revision.trim()), "a reference to a commit");
    fs::remove_dir_all(hub.root().join(".git")).unwrap();
    flake.assert_like_nix(&format!("path:{}", hub.root().display()), "a directory outside of git");
}

#[test]
fn a_system_that_knows_its_revision_is_the_one_that_nix_builds() {
    is_like_nix_whatever_happens_to_the_tree(&FACTS);
}

#[test]
fn a_system_that_knows_what_git_alone_tells_is_the_one_that_nix_builds() {
    is_like_nix_whatever_happens_to_the_tree(&FACTS_OF_GIT);
}

#[test]
fn a_flake_below_the_root_of_its_repository_works_from_anywhere_in_it() {
    let hub = Hub::offline();
    let below = hub.root().join("nix/hub");
    fs::create_dir_all(&below).unwrap();
    for name in ["flake.nix", "hub.toml", "hosts", "shared", "lib"] {
        fs::rename(hub.root().join(name), below.join(name)).unwrap();
    }
    hub.commit("moved");
    let theirs = wanted_by_nix(&hub, &format!("git+file://{}?dir=nix/hub", hub.root().display()), "p620", &[]);
    for (directory, reference) in [
        (below.clone(), "."),
        (below.join("hosts/p620"), "."),
        (hub.root(), "./nix/hub"),
        (hub.root(), "nix/hub"),
        (std::path::PathBuf::from("/"), below.to_str().unwrap()),
    ] {
        let mut command = hub.command(&["test-host", "p620", "--json", "--flake", reference]);
        let ended: Finished = command.current_dir(&directory).output().unwrap().into();
        assert_eq!(ended.exits(0).host("p620")["wanted"], json!(theirs), "{reference} in {}", directory.display());
    }
    // The root of the repository is no flake now.
    hub.run(&["hosts"]).exits(2).says("there is no flake.nix");
    // A file of the flake that changed counts, wherever the flake is.
    hub.write("nix/hub/hosts/p620/motd.txt", "changed\n");
    let changed = hub.json(&["test-host", "p620", "--flake", "nix/hub"]).exits(0).host("p620")["wanted"].clone();
    assert_ne!(changed, json!(theirs));
    assert_eq!(changed, json!(wanted_by_nix(&hub, "./nix/hub", "p620", &[])));
}

#[test]
fn a_file_that_git_does_not_know_is_not_there() {
    let hub = Hub::offline();
    let text = hub.committed("hosts/p620/default.nix");
    hub.write("hosts/p620/default.nix", &format!("{text} // {{ motd = builtins.readFile ./new.txt; }}"));
    fs::write(hub.root().join("hosts/p620/new.txt"), "new\n").unwrap();
    hub.json(&["test-host", "p620"]).exits(1).ends(&[("p620", "eval-failed")]);
    hub.write("hosts/p620/new.txt", "new\n");
    assert_eq!(wanted_by_hubctl(&hub, "p620", &[]), wanted_by_nix(&hub, ".", "p620", &[]));
}

#[test]
fn flakes_that_cannot_be_used_are_told_as_what_they_are() {
    let hub = Hub::offline();
    for (flake, code, message) in [
        ("{ outputs = _: { }; }", 4, "the fleet has no"),
        ("{ outputs = _: { nixosConfigurations = { }; }; }", 4, "the fleet has no"),
        ("{ outputs = _: {", 2, "syntax error"),
        ("{ outputs = 1; }", 2, "expected a function"),
        ("{ }", 2, "outputs"),
        ("{ outputs = _: { nixosConfigurations = 7; }; }", 2, "the flake's hosts cannot be listed"),
        ("{ inputs.x.url = \"path:/nonexistent\"; outputs = _: { }; }", 2, "/nonexistent"),
    ] {
        hub.write("hub.toml", "");
        hub.write("flake.nix", flake);
        for words in [&["hosts"][..], &["test-all"], &["deploy-all"]] {
            let ended = hub.run(words).exits(code).says(message);
            assert_eq!(ended.stdout, "", "{flake}");
        }
    }
    let nowhere = hub.run(&["hosts", "--flake", "/nonexistent/hub"]).exits(2).says("/nonexistent/hub");
    assert_eq!(nowhere.stdout, "");
    hub.run(&["hosts", "--flake", "/"]).exits(2).says("there is no flake.nix");
    hub.run(&["hosts", "--flake", "git+file:///nonexistent/hub"]).exits(2).says("cannot be locked");
}

/// A flake whose host's system says what its input does.
fn flake_with_an_input(hub: &Hub) -> (String, String) {
    let outside = hub.root().with_file_name("inputs");
    let write = |name: &str| {
        let dir = outside.join(name);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("flake.nix"), format!("{{ outputs = _: {{ values.motd = \"from {name}\"; }}; }}")).unwrap();
        format!("path:{}", dir.display())
    };
    let (one, other) = (write("one"), write("other"));
    hub.take_input(&one);
    (one, other)
}

fn motd(toplevel: &str) -> String {
    fs::read_to_string(Path::new(toplevel).join("etc/lab-motd")).unwrap()
}

#[test]
fn a_lock_that_is_missing_or_stale_is_written_as_nix_does() {
    let hub = Hub::offline();
    let (_, other) = flake_with_an_input(&hub);
    assert!(motd(&wanted_by_hubctl(&hub, "p620", &[])).contains("from one"));
    let lock = || fs::read_to_string(hub.root().join("flake.lock")).unwrap();
    let first = lock();
    assert!(first.contains("inputs/one"), "{first}");
    assert_eq!(wanted_by_hubctl(&hub, "p620", &[]), wanted_by_nix(&hub, ".", "p620", &[]));
    hub.commit("locked");

    let flake = fs::read_to_string(hub.root().join("flake.nix")).unwrap();
    hub.write("flake.nix", &flake.replace("/inputs/one", "/inputs/other"));
    assert!(motd(&wanted_by_hubctl(&hub, "p620", &[])).contains("from other"));
    assert!(lock().contains(other.trim_start_matches("path:")), "{}", lock());
    assert_eq!(wanted_by_hubctl(&hub, "p620", &[]), wanted_by_nix(&hub, ".", "p620", &[]));
}

#[test]
fn another_input_for_one_run_is_not_kept() {
    let hub = Hub::offline();
    let (_, other) = flake_with_an_input(&hub);
    let before = wanted_by_hubctl(&hub, "p620", &[]);
    hub.commit("locked");
    let lock = fs::read(hub.root().join("flake.lock")).unwrap();

    let overridden = ["--override-input", "words", other.as_str()];
    for _ in 0..2 {
        let ours = wanted_by_hubctl(&hub, "p620", &overridden);
        assert!(motd(&ours).contains("from other"), "{}", motd(&ours));
        assert_eq!(ours, wanted_by_nix(&hub, ".", "p620", &overridden));
        assert_eq!(wanted_by_hubctl(&hub, "p620", &[]), before);
    }
    assert_eq!(fs::read(hub.root().join("flake.lock")).unwrap(), lock, "the lock was changed");
    // An input that changed is another input, also for one that was asked for before.
    let file = Path::new(other.trim_start_matches("path:")).join("flake.nix");
    fs::write(file, "{ outputs = _: { values.motd = \"from another\"; }; }").unwrap();
    assert!(motd(&wanted_by_hubctl(&hub, "p620", &overridden)).contains("from another"));
}

#[test]
fn impure_evaluations_see_this_machine_and_are_never_remembered() {
    let mut hub = Hub::offline();
    let text = hub.committed("hosts/p620/default.nix");
    hub.write("hosts/p620/default.nix", &format!("{text} // {{ motd = \"says ${{builtins.getEnv \"WORD\"}}.\"; }}"));
    for word in ["one", "other", "one"] {
        hub.set_env("WORD", word);
        let pure = wanted_by_hubctl(&hub, "p620", &[]);
        assert!(motd(&pure).contains("says ."), "{}", motd(&pure));
        let impure = wanted_by_hubctl(&hub, "p620", &["--impure"]);
        assert!(motd(&impure).contains(&format!("says {word}.")), "{}", motd(&impure));
    }
}

#[test]
fn settings_of_the_command_line_reach_every_call_of_nix() {
    let hub = Hub::offline();
    let p620 = hub.committed("hosts/p620/default.nix");
    // The evaluation is refused what it reads, or the build its only job.
    hub.write("hosts/p620/default.nix", &format!("{p620} // {{ motd = \"{}\"; }}", hub.root().display()));
    hub.json(&["test-host", "p620", "--option", "max-jobs", "0"]).exits(1).ends(&[("p620", "build-failed")]);
    hub.json(&["test-host", "p620"]).exits(0).ends(&[("p620", "built")]);
    hub.write("hosts/p620/default.nix", &format!("{p620} // {{ motd = 1 / 0; }}"));
    let plain = hub.json(&["test-host", "p620"]).exits(1).ends(&[("p620", "eval-failed")]);
    let traced = hub.json(&["test-host", "p620", "--option", "show-trace", "true"]).exits(1);
    let command = |ended: &Finished| ended.host("p620")["error"]["command"].as_str().unwrap().to_owned();
    assert!(command(&traced).contains("--option show-trace true"), "{}", command(&traced));
    assert!(!command(&plain).contains("show-trace"), "{}", command(&plain));
}

#[test]
fn hosts_of_all_kinds_are_listed_and_told_apart() {
    let hub = Hub::offline();
    hub.write("darwin/mac/default.nix", "{ }");
    hub.write("home/ann@p620/default.nix", "{ }");
    let hosts = hub.json(&["hosts"]).exits(0).json();
    let kinds: Vec<_> = hosts.as_array().unwrap().iter().map(kind).collect();
    assert_eq!(kinds, ["ann@p620 home", "mac darwin", "p510 nixos", "p620 nixos", "razer nixos", "samsung nixos"]);
}

fn kind(host: &Value) -> String {
    format!("{} {}", host["name"].as_str().unwrap(), host["kind"].as_str().unwrap())
}
