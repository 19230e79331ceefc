//! A host is brought into each kind of drift by hand, and `status` names it.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Hub, Lab, eventually};

/// What `status` says of p620.
fn seen(hub: &Hub) -> Value {
    hub.json(&["status", "p620"]).exits(0).json()[0].clone()
}

#[track_caller]
fn assert_drifts(hub: &Hub, wanted: &[&str]) {
    let seen = seen(hub);
    assert_eq!(seen["drifts"], json!(wanted), "{seen}");
    let main = wanted.first().copied().unwrap_or("none");
    assert_eq!(seen["drift"], main);
}

#[test]
fn every_kind_of_drift_is_named() {
    let lab = Lab::up(&["p620"]);
    let hub = Hub::new(&lab);
    let deploy = || hub.run(&["quick-deploy", "p620"]).exits(0);
    let file = "hosts/p620/default.nix";
    let base = hub.committed(file);
    let commit = |values: &str| {
        hub.write(file, &format!("{base}// {{ {values} }}\n"));
        hub.commit(values);
    };
    let by_hand = |link: &str, verb: &str| {
        lab.ssh("p620", &format!("{link}/bin/switch-to-configuration {verb}"));
    };
    let profile = "/nix/var/nix/profiles/system";

    deploy();
    assert_drifts(&hub, &[]);
    let one = seen(&hub);
    assert!(one["deployed"]["operator"].as_str().unwrap().starts_with("tester@"), "{one}");
    assert_eq!((&one["generation"], &one["checks"]), (&json!(1), &json!(0)));
    assert!(one["generation-made"].as_i64().unwrap() <= one["now"].as_i64().unwrap());

    // The flake moved on, and back behind what was deployed from it.
    commit(r#"motd = "two";"#);
    assert_drifts(&hub, &["behind"]);
    deploy();
    assert_drifts(&hub, &[]);
    hub.git(&["checkout", "--quiet", "HEAD~1"]);
    assert_drifts(&hub, &["ahead"]);
    hub.git(&["checkout", "--quiet", "main"]);
    // A revert is a later state, whatever it looks like.
    hub.git(&["revert", "--no-edit", "HEAD"]);
    assert_drifts(&hub, &["behind"]);
    hub.git(&["reset", "--quiet", "--hard", "HEAD~1"]);

    // Another hub, with a history of its own, deploys something else.
    let other = Hub::new(&lab);
    other.set_host("p620", r#"motd = "by somebody else";"#);
    other.run(&["quick-deploy", "p620"]).exits(0);
    assert_drifts(&hub, &["built-elsewhere"]);
    assert_eq!(seen(&hub)["deployed"], Value::Null);
    deploy();

    // The boot default and what runs are not the same.
    lab.ssh("p620", &format!("nix-env --profile {profile} --switch-generation 1"));
    assert_drifts(&hub, &["not-boot-default"]);
    by_hand(&format!("{profile}-3-link"), "test");
    assert_drifts(&hub, &["built-elsewhere", "not-boot-default"]);
    deploy();
    by_hand(&format!("{profile}-1-link"), "test");
    assert_drifts(&hub, &["not-running"]);
    deploy();
    assert_drifts(&hub, &[]);

    by_hand(&format!("{profile}/specialisation/gaming"), "test");
    let seen = seen(&hub);
    assert_eq!((&seen["drift"], &seen["specialisation"]), (&json!("specialisation"), &json!("gaming")));
    by_hand(profile, "switch");
    lab.ssh("p620", "mkdir -p /run/nixos; echo web.service >/run/nixos/start-list");
    assert_drifts(&hub, &["interrupted"]);
    lab.ssh("p620", "rm /run/nixos/start-list");

    // A kernel that only a boot brings.
    // The connection may end before the command does.
    let _ = lab.try_ssh("p620", "systemctl reboot");
    eventually("p620 is back with its system", || {
        !lab.try_ssh("p620", "readlink -e /run/booted-system").stdout.is_empty()
    });
    commit(r#"kernel = "6.12.41";"#);
    deploy();
    assert_drifts(&hub, &["reboot-pending"]);
    let alone = hub.json(&["status", "p620", "--no-eval"]).exits(0).json();
    assert_eq!(alone[0]["drifts"], json!(["unknown", "reboot-pending"]));
    commit(r#"motd = "more";"#);
    let text = hub.run(&["status", "p620"]).exits(0).stdout;
    assert!(text.contains("behind, reboot pending") && text.contains("ago by tester@"), "{text}");
}

#[test]
fn hosts_that_answer_are_shown_while_others_do_not() {
    let lab = Lab::up(&["p510", "p620", "razer"]);
    let hub = Hub::new(&lab);
    lab.cut("p510");
    let mut command = hub.command(&["status", "p510", "p620", "razer", "--no-eval"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut first: Vec<_> = lines.by_ref().take(3).map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    // Those that do not answer at the same time are shown in the order in which they do.
    first[1..].sort();
    assert_eq!(first, ["HOST", "p620", "razer"]);
    assert!(child.try_wait().unwrap().is_none(), "nobody was waited for");
    let rest: Vec<_> = lines.collect();
    assert!(rest.len() == 1 && rest[0].starts_with("p510   unreachable"), "{rest:?}");
    let ended = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.code() == Some(1) && told.contains("waiting for p510 …"), "{told}");
}
