//! Ctrl-C and its like: what has not begun does not begin, what can be stopped is, an activation is let end, and nothing is
//! left running.

use std::fs;

use crate::support::{Hub, Lab, eventually};

const UNIT: &str = "nixos-rebuild-switch-to-configuration.service";

#[test]
fn a_build_is_stopped_and_hosts_whose_turn_has_not_come_are_left_alone() {
    for signal in ["INT", "TERM"] {
        let hub = Hub::offline();
        hub.set_host("p510", "build.seconds = 600;");
        let mut run = hub.start(&["test-host", "p510", "p620", "--parallel=1"]);
        run.wait_for(r#""step-started","host":"p510","step":"build""#);
        // What the derivation itself runs is the innermost process.
        let children = run.wait_for_process("sleep 600");
        run.signal(signal);
        let ended = run.finish().exits(130).ends(&[("p510", "cancelled"), ("p620", "cancelled")]);
        children.assert_gone();
        let told: Vec<_> = ended.events().into_iter().filter(|event| event["event"] == "cancelling").collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0]["forced"], false);
        let begun = |host: &str| ended.events().iter().any(|e| e["event"] == "step-started" && e["host"] == host);
        assert!(begun("p510") && !begun("p620"));
        assert_eq!(hub.roots(), [""; 0]);
    }
}

#[test]
fn a_terminal_that_goes_away_stops_a_run_that_was_not_told_otherwise() {
    let hub = Hub::offline();
    hub.set_host("p620", &format!("motd = \"{}\"; build.seconds = 5;", hub.root().display()));
    for (program, code, outcome) in [("env", 130, "cancelled"), ("nohup", 0, "built")] {
        let run = hub.start_by(program, &["test-host", "p620"]);
        run.wait_for_process("sleep 5");
        run.signal("HUP");
        run.finish().exits(code).ends(&[("p620", outcome)]);
    }
}

#[test]
fn an_evaluation_is_stopped() {
    let hub = Hub::offline();
    hub.set_host("p620", "evalWork = 600;");
    let mut run = hub.start(&["test-host", "p620"]);
    run.wait_for(r#""step-started","host":"p620","step":"evaluate""#);
    let children = run.wait_for_process("config.system.build.toplevel");
    run.signal("INT");
    run.finish().exits(130).ends(&[("p620", "cancelled")]);
    children.assert_gone();
}

#[test]
fn copying_is_stopped_and_the_host_stays_as_it_is() {
    let lab = Lab::up(&["p620"]);
    let hub = Hub::new(&lab);
    hub.run(&["quick-deploy", "p620"]).exits(0);
    let before = lab.current("p620");

    hub.set_host("p620", "closureMiB = 40;");
    lab.stall_copies("p620");
    let mut run = hub.start(&["quick-deploy", "p620"]);
    run.wait_for(r#""step-started","host":"p620","step":"copy""#);
    let children = run.wait_for_process("nix-daemon --stdio");
    run.signal("INT");
    run.finish().exits(130).ends(&[("p620", "cancelled")]);
    children.assert_gone();
    assert_eq!(lab.current("p620"), before);

    lab.resume_copies("p620");
    hub.json(&["quick-deploy", "p620"]).exits(0).ends(&[("p620", "deployed")]);
}

#[test]
fn an_activation_is_let_end_and_hosts_whose_turn_has_not_come_are_cancelled() {
    let lab = Lab::up(&["p510", "p620"]);
    let hub = Hub::new(&lab);
    hub.set_host("p510", "activation.seconds = 4;");
    let mut run = hub.start(&["quick-deploy", "p510", "p620", "--parallel=1"]);
    run.wait_for(r#""step-started","host":"p510","step":"activate""#);
    eventually("the activation runs", || lab.is_active("p510", UNIT));
    run.signal("INT");
    let ended = run.finish().exits(130).ends(&[("p510", "deployed"), ("p620", "cancelled")]);
    assert_eq!(lab.current("p510"), ended.host("p510")["wanted"]);
    assert_eq!(lab.current("p620"), "");
    lab.assert_no_remains("p510");

    // Alone, the host that was let end is all there is to tell.
    hub.set_host("p510", "activation.seconds = 4;\n  motd = \"again\";");
    let mut run = hub.start(&["quick-deploy", "p510"]);
    run.wait_for(r#""step-started","host":"p510","step":"activate""#);
    run.signal("TERM");
    run.finish().exits(0).ends(&[("p510", "deployed")]);
}

#[test]
fn the_second_wish_leaves_an_activation_to_itself() {
    let lab = Lab::up(&["p620"]);
    let hub = Hub::new(&lab);
    hub.set_host("p620", "activation.seconds = 15;");
    let mut run = hub.start(&["quick-deploy", "p620"]);
    run.wait_for(r#""step-started","host":"p620","step":"activate""#);
    eventually("the activation runs", || lab.is_active("p620", UNIT));
    let children = run.processes();
    run.signal("INT");
    run.wait_for(r#""cancelling","forced":false"#);
    run.signal("INT");
    let left = run.finish().exits(1).ends(&[("p620", "unknown")]);
    assert!(lab.is_active("p620", UNIT), "the activation was waited for");
    children.assert_gone();
    let error = left.host("p620")["error"]["message"].to_string();
    assert!(error.contains("the activation goes on on the host"), "{error}");

    // The next run waits for it rather than refusing, and finds the work done.
    let next = hub.json(&["quick-deploy", "p620"]).exits(0).ends(&[("p620", "unchanged")]);
    assert!(next.stdout.contains("it is waited for"), "{}", next.stdout);
    assert_eq!(lab.current("p620"), left.host("p620")["wanted"]);
    lab.assert_no_remains("p620");
}

#[test]
fn waiting_for_an_earlier_activation_can_be_stopped() {
    let lab = Lab::up(&["p620"]);
    let hub = Hub::new(&lab);
    hub.set_host("p620", "activation.hang = true;");
    let mut run = hub.start(&["quick-deploy", "p620"]);
    run.wait_for(r#""step-started","host":"p620","step":"activate""#);
    eventually("the activation runs", || lab.is_active("p620", UNIT));
    run.signal("KILL");
    run.finish();

    let mut run = hub.start(&["quick-deploy", "p620"]);
    run.wait_for("it is waited for");
    run.signal("INT");
    run.finish().exits(130).ends(&[("p620", "cancelled")]);

    // One that does not end is not waited for longer than an activation may take.
    hub.write("hub.toml", &format!("{}\n[deploy]\nactivation-timeout = \"2s\"\n", hub.committed("hub.toml")));
    hub.json(&["quick-deploy", "p620"])
        .exits(5)
        .ends(&[("p620", "refused")])
        .prints("longer than `activation-timeout`");
}

#[test]
fn locking_the_flake_and_listing_its_hosts_are_stopped() {
    let mut hub = Hub::offline();
    for stage in ["flake metadata", "builtins.attrNames"] {
        hub.stall_nix(stage);
        let commands: [&[&str]; 4] = [&["quick-deploy", "p620"], &["status"], &["diff", "p620"], &["hosts"]];
        for command in commands {
            let run = hub.start(command);
            // The stalled nix sleeps in place of the real one.
            let children = run.wait_for_process("sleep 600");
            run.signal("INT");
            run.finish().exits(130).prints("stopped; nothing was changed");
            children.assert_gone();
        }
    }
}

#[test]
fn commands_that_only_look_at_hosts_are_stopped() {
    let mut hub = Hub::offline();
    // Hosts that take a connection and never answer.
    let config = hub.root().join("../ssh_config");
    fs::write(&config, "Host *\n  ProxyCommand sleep 600\n").unwrap();
    hub.set_env("HUBCTL_SSH_CONFIG", config.to_str().unwrap());
    let commands: [&[&str]; 5] =
        [&["ping", "*"], &["status", "--no-eval"], &["status"], &["diff", "p620"], &["generations", "p620"]];
    for command in commands {
        let run = hub.start(command);
        let children = run.wait_for_process("sleep 600");
        run.signal("INT");
        run.finish().exits(130).prints("stopped; nothing was changed");
        children.assert_gone();
    }
}
