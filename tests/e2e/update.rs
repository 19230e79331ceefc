//! Updating inputs: what it would change is shown first, and flake.lock is the old or the new one, whatever happens.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{Hub, Lab};

/// A hub of which every host says what an input says, which is a flake in a repository of its own.
struct Updating {
    hub: Hub,
    input: PathBuf,
}

impl Updating {
    fn new(hub: Hub) -> Self {
        let input = hub.root().with_file_name("words");
        fs::create_dir(&input).unwrap();
        git(&input, &["init", "--quiet", "--initial-branch=main"]);
        let updating = Self { hub, input };
        updating.publish(r#"{ motd = "one"; }"#);
        updating.hub.take_input(&format!("git+file://{}", updating.input.display()));
        updating.hub.run(&["hosts"]).exits(0);
        updating.hub.commit("with an input");
        updating
    }

    /// Has the input say these values to hosts.
    fn publish(&self, values: &str) -> String {
        fs::write(self.input.join("flake.nix"), format!("{{ outputs = _: {{ values = {values}; }}; }}")).unwrap();
        git(&self.input, &["add", "flake.nix"]);
        git(&self.input, &["commit", "--quiet", "--message", "more"]);
        git(&self.input, &["rev-parse", "HEAD"]).trim().to_owned()
    }

    fn lock(&self) -> String {
        fs::read_to_string(self.hub.root().join("flake.lock")).unwrap()
    }

    fn locked(&self) -> String {
        let lock: Value = serde_json::from_str(&self.lock()).unwrap();
        lock["nodes"]["words"]["locked"]["rev"].as_str().unwrap().to_owned()
    }

    /// The work tree is as it was committed.
    #[track_caller]
    fn is_untouched(&self) {
        assert_eq!(self.hub.git(&["status", "--porcelain"]), "");
    }
}

fn git(directory: &Path, words: &[&str]) -> String {
    let identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"];
    let output = Command::new("git").arg("-C").arg(directory).args(identity).args(words).output().unwrap();
    assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn what_an_update_changes_is_shown_and_only_a_yes_keeps_it() {
    let updating = Updating::new(Hub::offline());
    let (hub, old) = (&updating.hub, updating.locked());
    hub.run(&["update"]).exits(0).says("nothing to update");
    let new = updating.publish(r#"{ motd = "two"; }"#);

    let told = hub.run(&["check-updates"]).exits(0);
    let wanted =
        [format!("words  {}", &old[..9]), format!("→ {}", &new[..9]), format!("git -C {}", updating.input.display())];
    for text in wanted {
        assert!(told.stdout.contains(&text), "no `{text}` in {}", told.stdout);
    }
    updating.is_untouched();
    let shown = hub.run(&["update", "--dry-run"]).exits(0);
    assert!(shown.stdout.contains("p620 p510") || shown.stdout.contains("p510 p620"), "{}", shown.stdout);
    assert!(shown.stdout.contains("/etc"), "{}", shown.stdout);
    let json: Value =
        serde_json::from_str(&hub.json(&["update", "--dry-run", "--on", "p620"]).exits(0).stdout).unwrap();
    assert_eq!((&json["inputs"][0]["new"]["rev"], &json["hosts"][0]["host"]), (&new.as_str().into(), &"p620".into()));
    assert_eq!(json["hosts"].as_array().unwrap().len(), 1);
    hub.run(&["update"]).exits(5).says("--yes answers with yes");
    updating.is_untouched();

    hub.run(&["update", "words", "--yes"]).exits(0).says("flake.lock is updated");
    assert_eq!(updating.locked(), new);
    assert_eq!(hub.git(&["status", "--porcelain"]), " M flake.lock\n");
    hub.run(&["update", "--yes"]).exits(0).says("nothing to update");
}

#[test]
fn a_flake_without_inputs_has_nothing_to_update() {
    let hub = Hub::offline();
    hub.run(&["update", "--yes"]).exits(0).says("the flake has no inputs");
    hub.run(&["update", "nixpkgs"]).exits(2).says("the flake has no inputs");
    assert_eq!(hub.git(&["status", "--porcelain"]), "");
}

#[test]
fn the_lock_file_alone_is_committed() {
    let updating = Updating::new(Hub::offline());
    let hub = &updating.hub;
    hub.git(&["config", "user.name", "Test"]);
    hub.git(&["config", "user.email", "test@example.org"]);
    let new = updating.publish(r#"{ motd = "two"; }"#);
    hub.write("notes", "mine\n");
    hub.git(&["add", "notes"]);
    hub.run(&["update", "--yes", "--commit"]).exits(0).says("and committed");
    let commit = hub.git(&["show", "--name-only", "--format=%B", "HEAD"]);
    assert!(commit.starts_with("flake.lock: update words\n"), "{commit}");
    assert!(commit.contains(&format!("→ {}", &new[..9])) && commit.ends_with("\nflake.lock\n"), "{commit}");
    assert_eq!(hub.git(&["status", "--porcelain"]), "A  notes\n");
}

#[test]
fn inputs_that_break_a_host_are_not_kept() {
    let updating = Updating::new(Hub::offline());
    updating.publish(r#"{ evalError = "the new input is wrong"; }"#);
    let run = updating.hub.run(&["update", "--yes", "--on", "p620"]).exits(1);
    run.says("the new input is wrong").says("p620 cannot be built: flake.lock stays as it was");
    updating.is_untouched();
    updating.hub.run(&["update", "wrods"]).exits(2).says("did you mean `words`?");
    updating.hub.run(&["update", "words/nixpkgs"]).exits(2).says("`hubctl update words`");
}

#[test]
fn killed_at_any_step_it_leaves_the_tree_as_it_was() {
    for step in ["flake lock", "flake metadata", "eval", "build"] {
        let mut updating = Updating::new(Hub::offline());
        updating.publish(r#"{ motd = "two"; }"#);
        // The flake as it is has been evaluated and built, so that what is stalled is the new one's.
        updating.hub.run(&["test-all", "--parallel"]).exits(0);
        updating.hub.stall_nix(step);
        for signal in ["KILL", "INT"] {
            let running = updating.hub.start(&["update", "--yes"]);
            running.wait_for_process(step);
            running.signal(signal);
            running.finish();
            updating.is_untouched();
        }
    }
}

#[test]
fn deployed_hosts_that_do_not_end_well_take_the_lock_back() {
    let lab = Lab::up(&["p620", "p510"]);
    let updating = Updating::new(Hub::new(&lab));
    let hub = &updating.hub;
    let hosts = ["--on", "p620", "--on", "p510"];
    hub.json(&["quick-deploy", "p620", "p510"]).exits(0);
    let (old, before) = (lab.current("p620"), updating.lock());

    updating.publish("{ activation = { exit = 2; }; }");
    let update = ["update", "--yes", "--deploy", "--canary", "1"];
    let run = hub.run(&[&update[..], &hosts].concat()).exits(1);
    run.says("flake.lock stays as it was: not every host ended well").says("`hubctl update` without --deploy");
    assert_eq!((lab.current("p620"), updating.lock()), (old.clone(), before));
    updating.is_untouched();

    let new = updating.publish(r#"{ motd = "two"; }"#);
    hub.run(&[&update[..], &hosts].concat()).exits(0).says("flake.lock is updated");
    assert_eq!(updating.locked(), new);
    assert_ne!(lab.current("p620"), old);
    hub.json(&["quick-deploy", "p620", "p510"]).exits(0).ends(&[("p510", "unchanged"), ("p620", "unchanged")]);
}
