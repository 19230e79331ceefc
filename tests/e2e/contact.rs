//! Contact that is lost in the middle of something: what is told is what really happened on the host, and nothing is lost,
//! repeated or half-done.

use crate::support::{Finished, Hub, Lab};

/// Asserts that a host runs what the run wanted of it, and boots it by default.
#[track_caller]
fn runs_what_was_wanted(lab: &Lab, run: &Finished, host: &str) {
    let wanted = run.host(host)["wanted"].as_str().unwrap().to_owned();
    assert_eq!(lab.console(host, "readlink -f /run/current-system"), wanted);
    assert_eq!(lab.console(host, "readlink -f /nix/var/nix/profiles/system"), wanted);
}

/// Asserts that the output of an activation that took `seconds` with `lines` in each is in the log, whole and once.
#[track_caller]
fn log_is_whole(hub: &Hub, run: &Finished, host: &str, seconds: u32, lines: u32) {
    let wanted: Vec<_> = (0..seconds)
        .flat_map(|second| (1..=lines).map(move |line| format!("step {line} of second {second}")))
        .collect();
    let steps = |lines: Vec<String>| lines.into_iter().filter(|line| line.starts_with("step ")).collect::<Vec<_>>();
    assert_eq!(steps(hub.log(run, host)), wanted, "the log of {host}");
    let told = run.events().into_iter().filter(|event| event["event"] == "log" && event["host"] == host);
    assert_eq!(
        steps(told.map(|event| event["line"].as_str().unwrap().to_owned()).collect()),
        wanted,
        "events of {host}"
    );
}

#[test]
fn copying_goes_on_after_a_cut_and_fails_without_a_trace_when_contact_stays_lost() {
    let hosts = ["p620", "p510", "razer", "samsung"];
    let lab = Lab::up(&hosts);
    let hub = Hub::new(&lab);
    hub.run(&["quick-deploy", "*"]).exits(0);
    // What is received stops in the middle, until it is let go on. The programs of the system that runs come before those of
    // the machine, and the wrappers before both.
    let stall = r#"mkdir -p /run/wrappers/bin && cat >/run/wrappers/bin/nix-daemon <<'DAEMON'
#!/bin/sh
{ stdbuf --output=0 head -c 4000000; until [ -e /run/go-on ]; do sleep 0.1; done; cat; } | /usr/bin/nix-daemon "$@"
DAEMON
chmod 755 /run/wrappers/bin/nix-daemon"#;
    for host in ["p620", "p510", "razer"] {
        lab.console(host, stall);
    }
    for host in hosts {
        hub.set_host(host, "closureMiB = 12;");
    }
    let before = lab.traces("razer");

    let mut run = hub.start(&["quick-deploy", "*"]);
    for host in ["p620", "p510", "razer"] {
        lab.wait_until(host, "[ $(cat /nix/store/*payload* | wc -c) -gt 1000000 ]");
        lab.cut(host);
    }
    lab.heal("p620");
    lab.console("p620", "touch /run/go-on");
    // The connections of the other two end when three checks had no answer.
    for host in ["p510", "razer"] {
        run.wait_for(&format!(r#""event":"warning","host":"{host}""#));
    }
    lab.heal("p510");
    lab.console("p510", "touch /run/go-on");
    let run = run.finish().exits(1).ends(&[
        ("p620", "deployed"),
        ("p510", "deployed"),
        ("razer", "copy-failed"),
        ("samsung", "deployed"),
    ]);
    for host in ["p620", "p510", "samsung"] {
        runs_what_was_wanted(&lab, &run, host);
    }
    let error = run.host("razer")["error"].clone();
    assert_eq!(error["message"], "the connection broke while copying");
    assert!(error["hints"][0].as_str().unwrap().contains("run the command again"), "{error}");
    assert_eq!(lab.traces("razer"), before);

    lab.heal("razer");
    lab.console("razer", "touch /run/go-on");
    hub.json(&["quick-deploy", "*"]).exits(0).ends(&[
        ("p620", "unchanged"),
        ("p510", "unchanged"),
        ("razer", "deployed"),
        ("samsung", "unchanged"),
    ]);
}

#[test]
fn an_activation_goes_on_without_contact_and_its_end_is_told_truly() {
    let hosts = ["p620", "p510", "razer"];
    let lab = Lab::up(&hosts);
    let hub = Hub::new(&lab);
    hub.run(&["quick-deploy", "p620", "p510", "razer"]).exits(0);
    let seconds = [("p620", 8), ("p510", 45), ("razer", 6)];
    for (host, seconds) in seconds {
        // As older releases had it: whoever writes to where nobody reads is dead.
        let activation = format!("activation = {{ seconds = {seconds}; logLines = 40; fragileOutput = true; }};");
        hub.set_host(host, &activation);
    }

    let mut run = hub.start(&["quick-deploy", "p620", "p510", "razer"]);
    for host in hosts {
        run.wait_for(&format!(r#""event":"log","host":"{host}","step":"activate","line":"step 40 of second 0""#));
        lab.cut(host);
    }
    lab.heal("p620");
    // One comes back while it activates, one after it has ended.
    for host in ["p510", "razer"] {
        run.wait_for(&format!(r#""event":"warning","host":"{host}""#));
    }
    assert!(lab.holds("p510", "systemctl is-active nixos-rebuild-switch-to-configuration.service"));
    assert!(lab.holds("razer", "[ -e /run/hubctl/*/exit ]"));
    lab.heal("p510");
    lab.heal("razer");
    let run = run.finish().exits(0);
    let run = run.ends(&[("p620", "deployed"), ("p510", "deployed"), ("razer", "deployed")]);
    for (host, seconds) in seconds {
        runs_what_was_wanted(&lab, &run, host);
        log_is_whole(&hub, &run, host, seconds, 40);
        assert_eq!(lab.console(host, "ls -A /run/hubctl 2>/dev/null || :"), "");
    }
}

/// Has systems stay whatever they do, so that what is told of them is hubctl's alone; with another line of `[deploy]`.
fn unguarded(hub: &Hub, line: &str) {
    hub.write("hub.toml", &format!("{}\n[deploy]\nconfirm = \"0s\"\n{line}\n", hub.committed("hub.toml")));
}

#[test]
fn a_system_that_cuts_its_own_network_is_not_claimed_to_run() {
    let hosts = ["p620", "p510", "razer", "samsung"];
    let lab = Lab::up(&hosts);
    let hub = Hub::new(&lab);
    unguarded(&hub, "");
    hub.run(&["quick-deploy", "*"]).exits(0);
    hub.set_host("p620", "activation.cutNetwork = true;");
    hub.set_host("p510", "activation = { stopSshd = true; seconds = 2; logLines = 3; };");
    hub.set_host("razer", "activation.seconds = 600;");
    hub.set_host("samsung", "activation.hang = true;");

    // It stops its sshd, but not the connection that is there.
    let run = hub.json(&["quick-deploy", "p510"]).exits(0).ends(&[("p510", "deployed")]);
    runs_what_was_wanted(&lab, &run, "p510");
    log_is_whole(&hub, &run, "p510", 2, 3);
    assert!(!lab.holds("p510", "systemctl is-active sshd.service"));

    // Time is up before ssh itself notices that nobody answers.
    let timeout = |limit: &str| unguarded(&hub, &format!("activation-timeout = \"{limit}\""));
    timeout("8s");
    let run = hub.json(&["quick-deploy", "p620", "razer", "samsung"]).exits(1);
    let run = run.ends(&[("p620", "unknown"), ("razer", "unknown"), ("samsung", "unknown")]);
    let message = |run: &Finished, host: &str| run.host(host)["error"]["message"].as_str().unwrap().to_owned();
    let lost = "contact was lost during the activation, and the host was not reached again";
    assert_eq!(message(&run, "p620"), lost);
    assert!(run.host("p620")["error"]["hints"][0].as_str().unwrap().contains("hubctl status"));
    let slow = "the activation goes on on the host, longer than `activation-timeout` allows";
    assert_eq!([message(&run, "razer"), message(&run, "samsung")], [slow, slow]);
    assert!(lab.holds("razer", "systemctl is-active nixos-rebuild-switch-to-configuration.service"));

    // While it goes on nobody interferes, and nobody claims anything.
    let again = hub.json(&["quick-deploy", "razer", "samsung"]).exits(5);
    again.ends(&[("razer", "refused"), ("samsung", "refused")]);

    // The one without network runs the new system; what the next run can say of it is that it does not answer, and when it
    // does, that there is nothing left to do.
    runs_what_was_wanted(&lab, &run, "p620");
    hub.json(&["quick-deploy", "p620"]).exits(1).ends(&[("p620", "unreachable")]);
    lab.heal("p620");
    hub.json(&["quick-deploy", "p620"]).exits(0).ends(&[("p620", "unchanged")]);

    // Time is up after ssh has noticed.
    hub.set_host("p620", r#"activation.cutNetwork = true; motd = "again";"#);
    timeout("30s");
    let mut run = hub.start(&["quick-deploy", "p620"]);
    run.wait_for(r#""event":"warning","host":"p620""#);
    let run = run.finish().exits(1).ends(&[("p620", "unknown")]);
    assert_eq!(message(&run, "p620"), lost);
    runs_what_was_wanted(&lab, &run, "p620");
}

#[test]
fn a_host_that_goes_down_in_the_middle_is_judged_by_what_it_runs_when_it_is_back() {
    let hosts = ["p620", "p510", "razer"];
    let lab = Lab::up(&hosts);
    let hub = Hub::new(&lab);
    unguarded(&hub, "");
    // Its shutdown takes longer than it takes to end the activation.
    hub.set_host("p620", "units.slow.stopSeconds = 4;");
    hub.run(&["quick-deploy", "p620", "p510", "razer"]).exits(0);
    hub.set_host("p620", "units.slow.stopSeconds = 4; activation.reboot = true;");
    hub.set_host("p510", "activation.panic = true;");
    hub.set_host("razer", "activation.seconds = 20; activation.logLines = 1;");
    let boot = |host: &str| lab.console(host, "cat /proc/sys/kernel/random/boot_id; readlink -f /run/booted-system");
    let before = hosts.map(boot);

    let mut run = hub.start(&["quick-deploy", "p620", "p510", "razer"]);
    run.wait_for(r#""host":"razer","step":"activate","line":"step 1 of second 0""#);
    lab.kill("razer");
    lab.command(&["boot", "--no-wait", "razer"]);
    lab.wait_off("p510");
    lab.boot("p510");
    let run = run.finish().exits(0);
    let run = run.ends(&[("p620", "deployed"), ("p510", "deployed"), ("razer", "deployed")]);
    for (host, before) in hosts.iter().zip(before) {
        runs_what_was_wanted(&lab, &run, host);
        assert_ne!(boot(host), before);
        assert_eq!(run.host(host)["detail"], "the host went down during the activation and came back with this system");
    }

    // A test is over with the boot: the old system runs again.
    hub.set_host("p620", r#"motd = "tested"; units.slow.stopSeconds = 4; activation.reboot = true;"#);
    hub.set_host("p510", r#"motd = "tested"; activation.panic = true;"#);
    let old = ["p620", "p510"].map(|host| lab.current(host));
    let run = hub.start(&["deploy", "--goal", "test", "p620", "p510"]);
    lab.wait_off("p510");
    lab.boot("p510");
    let run = run.finish().exits(1).ends(&[("p620", "activate-failed"), ("p510", "activate-failed")]);
    for (host, old) in ["p620", "p510"].iter().zip(old) {
        let error = run.host(host)["error"].clone();
        assert!(error["message"].as_str().unwrap().contains(&format!("came back with {old}")), "{error}");
        assert_eq!(lab.current(host), old);
        assert_eq!(lab.console(host, "ls -A /run/hubctl 2>/dev/null || :"), "");
    }
}
