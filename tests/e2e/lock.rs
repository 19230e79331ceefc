//! Of several operators who deploy the same host, one does, and the others are told whose turn it is.

use std::time::SystemTime;

use crate::support::{Finished, Hub, Lab};

/// The operator `user` of a hub of their own.
fn operator(lab: &Lab, user: &str) -> Hub {
    let mut hub = Hub::new(lab);
    hub.set_env("USER", user);
    hub
}

/// A text that no store has yet, so that what contains it has to be built.
fn new_text() -> String {
    format!("{:?}", SystemTime::now())
}

/// Wants a system whose build takes so many seconds.
fn wants_build(hub: &Hub, seconds: u32) {
    hub.set_host("p620", &format!("motd = \"{}\"; build.seconds = {seconds};", new_text()));
}

/// Waits until somebody has the lock of the host.
#[track_caller]
fn wait_for_lock(lab: &Lab) {
    lab.wait_until("p620", "test -L /run/hubctl/lock");
}

#[track_caller]
fn is_told_of(run: &Finished, owner: &str) {
    let error = run.host("p620")["error"].clone();
    let message = error["message"].as_str().unwrap();
    for part in [&format!("p620 is locked by {owner}@"), " since 2", " (deployment 2"] {
        assert!(message.contains(part), "no `{part}` in {message}");
    }
    assert!(error["hints"][0].as_str().unwrap().contains("`hubctl lock break p620`"), "{error}");
}

#[test]
fn of_two_operators_one_deploys_and_the_other_is_told_who_it_is() {
    let lab = Lab::up(&["p620"]);
    let (ann, bob) = (operator(&lab, "ann"), operator(&lab, "bob"));
    for hub in [&ann, &bob] {
        wants_build(hub, 8);
    }
    let runs = [&ann, &bob].map(|hub| hub.start(&["quick-deploy", "p620"])).map(super::support::Running::finish);
    let won = usize::from(runs[0].code != Some(0));
    assert_eq!((runs[won].code, runs[1 - won].code), (Some(0), Some(5)), "{runs:#?}");
    is_told_of(&runs[1 - won], ["ann", "bob"][won]);
    assert_eq!(lab.current("p620"), runs[won].host("p620")["wanted"]);
    lab.assert_no_remains("p620");

    // While the other one activates, who comes later does not even evaluate to the end.
    ann.set_host("p620", "activation.seconds = 12;");
    let mut run = ann.start(&["quick-deploy", "p620"]);
    run.wait_for("taking 12 seconds");
    is_told_of(&bob.json(&["quick-deploy", "p620"]).exits(5).ends(&[("p620", "refused")]), "ann");
    bob.run(&["status", "p620"]).says("p620: locked by ann@");
    run.finish().exits(0).ends(&[("p620", "deployed")]);
    bob.set_host("p620", "motd = \"bob's\";");
    bob.json(&["quick-deploy", "p620"]).exits(0).ends(&[("p620", "deployed")]);
}

#[test]
fn the_lock_of_a_run_that_was_killed_is_taken_over() {
    let lab = Lab::up(&["p620"]);
    let (ann, bob) = (operator(&lab, "ann"), operator(&lab, "bob"));
    bob.json(&["quick-deploy", "p620"]).exits(0);
    let is_killed = || {
        wants_build(&ann, 600);
        let run = ann.start(&["quick-deploy", "p620"]);
        wait_for_lock(&lab);
        run.signal("KILL");
        run.finish();
    };
    let left_behind = "was left behind";

    // Who it belonged to knows at once that nobody has it any more.
    is_killed();
    is_told_of(&bob.json(&["quick-deploy", "p620"]).exits(5), "ann");
    ann.set_host("p620", "motd = \"ann's\";");
    ann.json(&["quick-deploy", "p620"]).exits(0).ends(&[("p620", "deployed")]).prints(left_behind);
    lab.assert_no_remains("p620");

    // Somebody else has to wait whether its owner is heard of again.
    is_killed();
    bob.run(&["lock", "p620"]).exits(0).prints("held").prints("ann@");
    lab.ssh("p620", "touch -h -d '-100 seconds' /run/hubctl/lock");
    bob.run(&["lock", "p620"]).exits(0).prints("left behind");
    bob.json(&["quick-deploy", "p620"]).exits(0).ends(&[("p620", "deployed")]).prints(left_behind);
    lab.assert_no_remains("p620");

    // Nothing is left where there is nothing to deploy either.
    is_killed();
    lab.ssh("p620", "touch -h -d '-100 seconds' /run/hubctl/lock");
    bob.json(&["quick-deploy", "p620"]).exits(0).ends(&[("p620", "unchanged")]).prints(left_behind);
    lab.assert_no_remains("p620");
}

#[test]
fn a_run_keeps_its_lock_while_it_lasts_and_gives_it_back_however_it_ends() {
    let lab = Lab::up(&["p620"]);
    let hub = operator(&lab, "ann");
    hub.json(&["quick-deploy", "p620"]).exits(0).ends(&[("p620", "deployed")]);
    lab.assert_no_remains("p620");

    hub.set_host("p620", &format!("motd = \"{}\"; build.fail = true;", new_text()));
    hub.json(&["quick-deploy", "p620"]).exits(1).ends(&[("p620", "build-failed")]);
    lab.assert_no_remains("p620");

    hub.set_host("p620", "activation.exit = 2;");
    hub.json(&["quick-deploy", "p620"]).exits(1).ends(&[("p620", "rolled-back")]);
    lab.assert_no_remains("p620");

    wants_build(&hub, 600);
    hub.json(&["quick-deploy", "p620", "--dry-run"]).exits(0);
    lab.assert_no_remains("p620");
    let run = hub.start(&["quick-deploy", "p620"]);
    wait_for_lock(&lab);
    lab.ssh("p620", "touch -h -d '-80 seconds' /run/hubctl/lock");
    lab.wait_until("p620", "test $(($(date +%s) - $(stat -c %Y /run/hubctl/lock))) -lt 60");
    run.signal("INT");
    run.finish().exits(130).ends(&[("p620", "cancelled")]);
    lab.assert_no_remains("p620");
}

#[test]
fn a_lock_is_broken_when_somebody_says_so_and_its_owner_does_not_activate_then() {
    let lab = Lab::up(&["p620"]);
    let (ann, bob) = (operator(&lab, "ann"), operator(&lab, "bob"));
    ann.json(&["quick-deploy", "p620"]).exits(0);
    bob.run(&["lock"]).exits(1).prints("free").prints("unreachable");
    bob.run(&["lock", "break", "p620"]).exits(0).says("p620 is not locked");
    wants_build(&ann, 10);
    let run = ann.start(&["quick-deploy", "p620"]);
    wait_for_lock(&lab);
    let before = lab.current("p620");

    let asked = bob.run(&["lock", "break", "p620"]).exits(5).says("p620 is locked by ann@").says("--yes");
    assert!(asked.stderr.contains("Break the lock of p620?"), "{}", asked.stderr);
    lab.wait_until("p620", "test -L /run/hubctl/lock");
    let broken = bob.json(&["lock", "break", "p620", "--yes"]).exits(0).json();
    assert_eq!((&broken[0]["host"], &broken[0]["broken"]), (&"p620".into(), &true.into()));
    assert!(broken[0]["lock"]["owner"].as_str().unwrap().starts_with("ann@"), "{broken}");

    let run = run.finish().exits(5).ends(&[("p620", "refused")]);
    let message = run.host("p620")["error"]["message"].to_string();
    assert!(message.contains("the host's lock was lost: somebody broke it"), "{message}");
    assert_eq!(lab.current("p620"), before);
    lab.assert_no_remains("p620");
}

#[test]
fn what_changed_on_the_host_before_the_lock_was_taken_is_decided_anew() {
    let lab = Lab::up(&["p620"]);
    let hub = operator(&lab, "ann");
    for text in ["one", "two"] {
        hub.set_host("p620", &format!("motd = \"{text}\";"));
        hub.json(&["quick-deploy", "p620"]).exits(0).ends(&[("p620", "deployed")]);
    }
    let two = lab.current("p620");
    // What is wanted is what ran before; to evaluate that takes a while.
    hub.set_host("p620", "motd = \"one\"; evalWork = 8;");
    let mut run = hub.start(&["quick-deploy", "p620"]);
    run.wait_for(r#""step-finished","host":"p620","step":"probe""#);
    let profile = "/nix/var/nix/profiles/system";
    lab.ssh("p620", &format!("nix-env -p {profile} --rollback && {profile}/bin/switch-to-configuration switch"));
    assert_ne!(lab.current("p620"), two);
    let run = run.finish().exits(0).ends(&[("p620", "unchanged")]).prints("decided anew");
    assert_eq!(run.host("p620")["wanted"], lab.current("p620"));
    lab.assert_no_remains("p620");
}
