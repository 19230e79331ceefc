//! Hosts of `darwinConfigurations`, deployed by nix-darwin's contract to a host that answers as a Mac.

use crate::support::{Finished, Hub, Lab, MAC};

/// Short enough for a test, and long enough for a host that is busy.
const CONFIRM: &str = "confirm = \"8s\"\nactivation-timeout = \"10s\"";

/// Asserts that the Mac runs the system that was wanted, and that its profile has it.
#[track_caller]
fn runs_wanted(lab: &Lab, ended: &Finished) {
    let wanted = ended.host(MAC)["wanted"].as_str().unwrap().to_owned();
    assert!(wanted.contains("-darwin-system-"), "{wanted}");
    assert_eq!(lab.mac_runs(), (wanted.clone(), wanted));
}

/// Asserts that nothing of any activation is left on the Mac: no process, no root, no lock.
#[track_caller]
fn nothing_is_left(lab: &Lab) {
    let left = "ls -A /var/run/hubctl 2>/dev/null; ls /nix/var/nix/gcroots | grep hubctl; ps ax -o command= | grep '^/bin/sh /var/run/hubctl'";
    assert_eq!(lab.console(MAC, &format!("{left}; :")), "");
}

/// A Mac that was deployed once, and its hub.
fn deployed() -> (Lab, Hub) {
    let lab = Lab::mac();
    let hub = Hub::with_mac(&lab);
    hub.mac_toml(CONFIRM);
    runs_wanted(&lab, &hub.json(&["quick-deploy", MAC]).exits(0).ends(&[(MAC, "deployed")]));
    (lab, hub)
}

/// Deploys a system of these values, which must be taken back.
#[track_caller]
fn is_taken_back((lab, hub): &(Lab, Hub), values: &str, reason: &str) {
    let etc = || lab.console(MAC, "readlink -e /etc/static");
    let before = (lab.mac_runs(), etc());
    hub.set_mac(&format!("motd = \"new\"; {values}"));
    let run = hub.json(&["quick-deploy", MAC]).exits(1).ends(&[(MAC, "rolled-back")]);
    let error = run.host(MAC)["error"]["message"].as_str().unwrap().to_owned();
    assert!(error.contains(reason), "no `{reason}` in {error}");
    assert_eq!((lab.mac_runs(), etc()), before);
    nothing_is_left(lab);
}

#[test]
fn a_mac_is_deployed_left_alone_looked_at_and_rolled_back() {
    let lab = Lab::mac();
    let hub = Hub::with_mac(&lab);
    let first = hub.json(&["quick-deploy", MAC]).exits(0).ends(&[(MAC, "deployed")]);
    runs_wanted(&lab, &first);
    hub.json(&["quick-deploy", MAC]).exits(0).ends(&[(MAC, "unchanged")]);

    hub.set_mac(r#"motd = "edited";"#);
    let dry = hub.run(&["quick-deploy", MAC, "--dry-run"]).exits(0);
    assert!(dry.stdout.contains("activate"), "{}", dry.stdout);
    let second = hub.json(&["quick-deploy", MAC]).exits(0).ends(&[(MAC, "deployed")]);
    runs_wanted(&lab, &second);
    assert_eq!(second.host(MAC)["generation"], 2);
    assert!(lab.console(MAC, "cat /etc/lab-motd").contains("edited"));
    nothing_is_left(&lab);

    let status = hub.run(&["status", MAC, "--json"]).exits(0).json();
    let seen = &status[0];
    assert_eq!(
        (&seen["drift"], &seen["system"], &seen["hostname"]),
        (&"none".into(), &"arm64-Darwin".into(), &MAC.into())
    );
    for known in ["boot-id", "machine-id", "uptime", "store-space", "nix"] {
        assert!(!seen[known].is_null(), "{known} in {seen}");
    }
    let generations = hub.run(&["generations", MAC, "--json"]).exits(0).json();
    assert_eq!(generations[1]["version"], "25.11.20260801.lab", "{generations}");
    assert_eq!(generations[1]["running"], true, "{generations}");

    // Neither knows before it has asked what kind of host it is.
    hub.run(&["status", MAC, "--no-eval"]).exits(0).prints("not compared");
    let back = hub.json(&["rollback", MAC]).exits(0).ends(&[(MAC, "deployed")]);
    runs_wanted(&lab, &back);
    assert_eq!(back.host(MAC)["wanted"], first.host(MAC)["wanted"]);
    nothing_is_left(&lab);
}

#[test]
fn a_mac_builds_its_own_system_and_is_built_for_elsewhere() {
    let lab = Lab::mac();
    let hub = Hub::with_mac(&lab);
    hub.set_mac(&format!("motd = \"{}\";", hub.root().display()));
    let ended = hub.json(&["deploy", MAC, "--build-on", "target"]).exits(0).ends(&[(MAC, "deployed")]);
    runs_wanted(&lab, &ended);
    assert!(!std::path::Path::new(ended.host(MAC)["wanted"].as_str().unwrap()).exists());

    hub.set_mac(r#"system = "aarch64-darwin";"#);
    let failed = hub.json(&["deploy", MAC]).exits(1).ends(&[(MAC, "build-failed")]);
    let hints = failed.host(MAC)["error"]["hints"].to_string();
    assert!(hints.contains("build-on = \\\\\\\"target\\\\\\\"") || hints.contains("build-on"), "{hints}");
    assert!(hints.contains("--builders"), "{hints}");
}

#[test]
fn what_macos_cannot_do_is_refused_and_changes_nothing() {
    let (lab, hub) = deployed();
    let before = lab.mac_runs();
    hub.set_mac(r#"motd = "new";"#);
    for (words, why) in [
        (&["deploy", MAC, "--goal", "boot"][..], "only the next boot brings"),
        (&["deploy", MAC, "--goal", "test"], "only lasts until the next boot"),
        (&["deploy", MAC, "--goal", "dry-activate"], "does not tell beforehand"),
        (&["deploy", MAC, "--specialisation", "gaming"], "has no specialisations"),
        (&["reboot", MAC], "never needs a boot"),
    ] {
        let run = hub.json(words).exits(5).ends(&[(MAC, "refused")]);
        let error = run.host(MAC)["error"].clone();
        assert!(error["message"].as_str().unwrap().contains(why), "{words:?}: {error}");
        assert_ne!(error["hints"].as_array().unwrap().len(), 0, "{words:?}: {error}");
    }
    assert_eq!(lab.mac_runs(), before);
    lab.console(MAC, "echo 7 >/etc/lab-battery");
    hub.json(&["quick-deploy", MAC]).exits(5).ends(&[(MAC, "refused")]);
    lab.console(MAC, "rm /etc/lab-battery");
    // A host of the other kind at the same address.
    hub.git(&["mv", "darwin/mac", "hosts/mac"]);
    let run = hub.json(&["quick-deploy", MAC]).exits(5).ends(&[(MAC, "refused")]);
    let message = run.host(MAC)["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("is for NixOS") && message.contains("arm64-Darwin"), "{message}");
    assert_eq!(lab.mac_runs(), before);
}

#[test]
fn a_system_that_cuts_the_network_of_a_mac_is_taken_back() {
    is_taken_back(&deployed(), "activation = { cutNetwork = true; };", "not confirmed within 8 s");
}

#[test]
fn a_system_that_stops_the_sshd_of_a_mac_is_taken_back() {
    is_taken_back(&deployed(), "activation = { stopSshd = true; };", "not confirmed within 8 s");
}

#[test]
fn an_activation_that_hangs_on_a_mac_is_taken_back() {
    is_taken_back(&deployed(), "activation = { hang = true; };", "did not end in time");
}

#[test]
fn an_activation_that_fails_on_a_mac_is_taken_back() {
    is_taken_back(&deployed(), "activation = { exit = 2; };", "the activation script failed");
}

#[test]
fn a_mac_that_goes_down_is_told_to_be_old_but_for_what_only_an_activation_brings() {
    let mac = deployed();
    is_taken_back(
        &mac,
        "activation = { reboot = true; };",
        "such as its launchd services, stays until the next activation",
    );
}

#[test]
fn without_anybody_a_mac_comes_back_and_the_next_look_tells() {
    let (lab, hub) = deployed();
    let before = lab.mac_runs();
    hub.set_mac("activation = { seconds = 2; };");
    let mut run = hub.start(&["quick-deploy", MAC]);
    run.wait_for("taking 2 seconds");
    let other = hub.json(&["lock", MAC]);
    assert!(other.stdout.contains("tester@"), "{}", other.stdout);
    run.signal("KILL");
    run.finish();
    lab.cut(MAC);
    lab.wait_until(MAC, "grep -q 'not confirmed' /var/run/hubctl/reverted");
    lab.heal(MAC);
    assert_eq!(lab.mac_runs(), before);
    hub.run(&["status", MAC]).says("since it was not confirmed within 8 s");
    hub.set_mac(r#"motd = "better";"#);
    runs_wanted(&lab, &hub.json(&["quick-deploy", MAC]).exits(0).ends(&[(MAC, "deployed")]));
    nothing_is_left(&lab);
}

#[test]
fn what_is_for_a_user_to_activate_is_activated_by_that_user() {
    let lab = Lab::mac();
    let hub = Hub::with_mac(&lab);
    hub.set_mac("darwin.activateUser = true;");
    let refused = hub.json(&["deploy", MAC]).exits(5).ends(&[(MAC, "refused")]);
    let message = refused.host(MAC)["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("before 25.05"), "{message}");

    // Root on the host trusts what another root built; this user is not asked.
    lab.console(MAC, "echo 'trusted-users = root deployer' >>/etc/nix/nix.conf; systemctl restart nix-daemon.service");
    hub.mac_toml("user = \"deployer\"\nelevate = \"sudo\"");
    runs_wanted(&lab, &hub.json(&["deploy", MAC]).exits(0).ends(&[(MAC, "deployed")]));
    assert_eq!(lab.console(MAC, "cat /tmp/lab-activated-by"), "deployer");
    nothing_is_left(&lab);
}
