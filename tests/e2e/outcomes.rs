//! What an activation comes to: each exit code and each goal held against what the host runs, boots and was booted with.

use crate::support::{Finished, Hub, Lab};

/// What of a host counts: what runs, what is the boot default, and the generation that the boot loader boots.
fn state(lab: &Lab, host: &str) -> [String; 3] {
    [
        lab.current(host),
        lab.ssh(host, "readlink -f /nix/var/nix/profiles/system"),
        lab.ssh(host, "sed -n 's/^default //p' /boot/loader/loader.conf"),
    ]
}

#[track_caller]
fn message(run: &Finished, host: &str) -> String {
    run.host(host)["error"]["message"].as_str().unwrap().to_owned()
}

#[track_caller]
fn output(run: &Finished, host: &str) -> String {
    let lines = run.host(host)["error"]["output"].as_array().unwrap().clone();
    lines.iter().filter_map(|line| line.as_str()).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn wanted(run: &Finished, host: &str) -> String {
    run.host(host)["wanted"].as_str().unwrap().to_owned()
}

#[test]
fn every_exit_code_has_its_outcome() {
    let hosts = ["p620", "p510", "razer", "samsung"];
    let lab = Lab::up(&hosts);
    let hub = Hub::new(&lab);
    hub.run(&["quick-deploy", "*"]).exits(0);
    let before = hosts.map(|host| state(&lab, host));

    hub.set_host("p620", "activation.exit = 2;");
    hub.set_host("p510", "units.web.failing = true;");
    hub.set_host("razer", "activation.exit = 100;");
    hub.set_host("samsung", r#"activation.inhibit = "the battery is low";"#);
    let run = hub.json(&["quick-deploy", "*"]).exits(1).ends(&[
        ("p620", "rolled-back"),
        ("p510", "degraded"),
        ("razer", "reboot-needed"),
        ("samsung", "rolled-back"),
    ]);
    assert!(message(&run, "p620").contains("the activation script failed"), "{}", message(&run, "p620"));
    assert!(output(&run, "p620").contains("Activation script snippet 'lab' failed (1)"), "{}", output(&run, "p620"));
    assert_eq!(message(&run, "p510"), "the system is live, but units failed: web.service");
    assert!(output(&run, "p510").contains("web: told to fail"), "{}", output(&run, "p510"));
    assert_eq!(run.host("razer")["detail"], "new init interface: reboot to use it");
    assert!(
        message(&run, "samsung").contains("since switch-to-configuration exited with code 1"),
        "{}",
        message(&run, "samsung")
    );
    assert_eq!(state(&lab, "p620"), before[0]);
    assert!(output(&run, "samsung").contains("the battery is low"), "{}", output(&run, "samsung"));
    assert!(run.host("samsung")["error"]["command"].as_str().unwrap().ends_with("/bin/switch-to-configuration test"));
    assert_eq!(lab.current("p510"), wanted(&run, "p510"));
    assert_eq!(lab.current("razer"), before[2][0]);
    assert_eq!(state(&lab, "razer")[1..], [wanted(&run, "razer"), "nixos-generation-2.conf".to_owned()]);
    assert_eq!(lab.current("samsung"), before[3][0]);

    // Each code by itself; what does not change is deployed again, since it is not reached yet.
    hub.json(&["quick-deploy", "razer"]).exits(0).ends(&[("razer", "reboot-needed")]);
    hub.json(&["deploy", "p510"]).exits(3).ends(&[("p510", "degraded")]);
    hub.json(&["quick-deploy", "p510", "razer", "samsung"]).exits(1).ends(&[
        ("p510", "unchanged"),
        ("razer", "reboot-needed"),
        ("samsung", "rolled-back"),
    ]);
    // In a moment: a connection that the host goes down under may wait for ever.
    lab.ssh("razer", "systemd-run --quiet --on-active=0.5 systemctl reboot");
    lab.wait_until(
        "razer",
        "[ \"$(readlink -f /run/current-system)\" = \"$(readlink -f /nix/var/nix/profiles/system)\" ]",
    );
    lab.command(&["up", "razer"]);
    hub.json(&["quick-deploy", "razer"]).exits(0).ends(&[("razer", "unchanged")]);
}

#[test]
fn units_that_failed_before_are_told_from_those_that_fail_now() {
    let lab = Lab::up(&["p620", "p510", "razer"]);
    let hub = Hub::new(&lab);
    let failing = "units.old.failing = true;";
    hub.set_host("p620", failing);
    hub.set_host("p510", failing);
    let run = hub.json(&["quick-deploy", "p620", "p510", "razer"]).exits(3);
    let run = run.ends(&[("p620", "degraded"), ("p510", "degraded"), ("razer", "deployed")]);
    assert_eq!(message(&run, "p620"), "the system is live, but units failed: old.service");

    hub.set_host("p620", &format!(r#"{failing} motd = "other";"#));
    hub.set_host("p510", &format!("{failing} units.new.failing = true;"));
    // A later failure of units hides that of the activation script, which weighs more.
    hub.set_host("razer", "activation.exit = 2; units.new.failing = true;");
    let run = hub.json(&["quick-deploy", "p620", "p510", "razer"]).exits(1);
    let run = run.ends(&[("p620", "degraded"), ("p510", "degraded"), ("razer", "rolled-back")]);
    assert_eq!(message(&run, "p620"), "the system is live, but units still fail: old.service");
    assert_eq!(message(&run, "p510"), "the system is live, but units failed: new.service (and as before: old.service)");
    assert!(output(&run, "p510").contains("new: told to fail") && !output(&run, "p510").contains("old: told to fail"));
    assert!(message(&run, "razer").contains("the activation script failed"), "{}", message(&run, "razer"));

    // The user's part of an activation fails without any unit.
    hub.set_host("razer", r#"motd = "user"; activation.exit = 4;"#);
    let run = hub.json(&["quick-deploy", "razer"]).exits(3).ends(&[("razer", "degraded")]);
    assert_eq!(message(&run, "razer"), "the system is live, but switch-to-configuration says that a part of it failed");
    assert!(output(&run, "razer").contains("user activation for operator failed"), "{}", output(&run, "razer"));

    for host in ["p620", "p510", "razer"] {
        hub.set_host(host, r#"motd = "well";"#);
    }
    let run = hub.json(&["quick-deploy", "p620", "p510", "razer"]).exits(0);
    run.ends(&[("p620", "deployed"), ("p510", "deployed"), ("razer", "deployed")]);
}

#[test]
fn a_new_kernel_waits_for_a_reboot_and_says_so_until_then() {
    let lab = Lab::up(&["p620", "p510"]);
    let hub = Hub::new(&lab);
    hub.run(&["quick-deploy", "p620", "p510"]).exits(0);
    for host in ["p620", "p510"] {
        lab.kill(host);
        lab.boot(host);
    }
    hub.set_host("p620", r#"kernel = "6.12.41";"#);
    hub.set_host("p510", r#"kernelParams = [ "quiet" ];"#);

    let run = hub.json(&["quick-deploy", "p620", "p510"]).exits(0);
    let run = run.ends(&[("p620", "reboot-needed"), ("p510", "reboot-needed")]);
    assert_eq!(run.host("p620")["detail"], "new kernel, initrd, kernel modules: reboot to use it");
    assert_eq!(run.host("p510")["detail"], "new kernel parameters: reboot to use it");
    assert_eq!(lab.current("p620"), wanted(&run, "p620"));

    let pending = hub.json(&["quick-deploy", "p620", "p510"]).exits(0);
    let pending = pending.ends(&[("p620", "reboot-needed"), ("p510", "reboot-needed")]);
    let detail = pending.host("p620")["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("reboot pending") && detail.contains("kernel"), "{detail}");
    let steps = pending.events().into_iter().filter(|event| event["event"] == "step-started");
    let steps: Vec<_> = steps.filter(|event| event["step"] != "probe" && event["step"] != "evaluate").collect();
    assert!(steps.is_empty(), "{steps:?}");

    for host in ["p620", "p510"] {
        lab.kill(host);
        lab.boot(host);
    }
    hub.json(&["quick-deploy", "p620", "p510"]).exits(0).ends(&[("p620", "unchanged"), ("p510", "unchanged")]);
}

#[test]
fn each_goal_is_reached_and_no_more() {
    let hosts = ["p620", "p510", "razer"];
    let lab = Lab::up(&hosts);
    let hub = Hub::new(&lab);
    hub.run(&["quick-deploy", "p620", "p510", "razer"]).exits(0);
    let before = hosts.map(|host| state(&lab, host));
    let old = |host: usize| before[host][0].clone();
    let (first, second) = ("nixos-generation-1.conf".to_owned(), "nixos-generation-2.conf".to_owned());
    for host in hosts {
        hub.set_host(host, r#"motd = "new"; units.fresh.marker = "new";"#);
    }

    let run = hub.json(&["deploy", "--goal", "boot", "p620"]).exits(0).ends(&[("p620", "deployed")]);
    assert_eq!(run.host("p620")["detail"], "takes effect with the next boot");
    assert_eq!(state(&lab, "p620"), [old(0), wanted(&run, "p620"), second.clone()]);
    // It is the boot default, but does not run; `boot` again has nothing to do, `switch` has.
    hub.json(&["quick-deploy", "--goal", "boot", "p620"]).exits(0).ends(&[("p620", "unchanged")]);
    hub.json(&["quick-deploy", "p620"]).exits(0).ends(&[("p620", "deployed")]);
    assert_eq!(state(&lab, "p620"), [wanted(&run, "p620"), wanted(&run, "p620"), second.clone()]);

    let run = hub.json(&["deploy", "--goal", "dry-activate", "p510"]).exits(0).ends(&[("p510", "built")]);
    let would = "nothing on the host was changed; it would stop media.service, web.service; start fresh.service";
    assert_eq!(run.host("p510")["detail"], would);
    assert_eq!(state(&lab, "p510"), before[1]);
    let log = hub.log(&run, "p510");
    assert!(log.contains(&"would activate the configuration...".to_owned()), "{log:?}");
    assert!(log.contains(&"would start the following units: fresh.service".to_owned()), "{log:?}");

    let run = hub.json(&["deploy", "--goal", "test", "razer"]).exits(0).ends(&[("razer", "deployed")]);
    assert_eq!(state(&lab, "razer"), [wanted(&run, "razer"), old(2), first]);
    hub.json(&["quick-deploy", "--goal", "test", "razer"]).exits(0).ends(&[("razer", "unchanged")]);

    // What runs is made the boot default without touching what runs.
    let units = "systemctl show -p MainPID,InvocationID,ActiveEnterTimestampMonotonic fresh.service powersave.service sshd.service";
    let running = lab.ssh("razer", units);
    let run = hub.json(&["quick-deploy", "razer"]).exits(0).ends(&[("razer", "deployed")]);
    assert_eq!(state(&lab, "razer"), [wanted(&run, "razer"), wanted(&run, "razer"), second]);
    assert_eq!(lab.ssh("razer", units), running);
    let log = hub.log(&run, "razer");
    assert!(log.contains(&"updating the boot loader...".to_owned()), "{log:?}");
    assert!(!log.contains(&"activating the configuration...".to_owned()), "{log:?}");
    hub.json(&["quick-deploy", "razer"]).exits(0).ends(&[("razer", "unchanged")]);

    // A system that only a boot brings is no success of `test`, and looking at it is no failure.
    hub.set_host("razer", "activation.exit = 100;");
    let before = state(&lab, "razer");
    let run = hub.json(&["deploy", "--goal", "test", "razer"]).exits(1).ends(&[("razer", "rolled-back")]);
    assert!(message(&run, "razer").contains("only a boot brings this system"), "{}", message(&run, "razer"));
    hub.json(&["deploy", "--goal", "dry-activate", "razer"]).exits(0).ends(&[("razer", "built")]);
    assert_eq!(state(&lab, "razer"), before);
}

#[test]
fn an_activation_that_was_killed_is_no_success_and_is_done_again() {
    let lab = Lab::up(&["p620", "p510"]);
    let hub = Hub::new(&lab);
    // Nothing takes it back.
    hub.write("hub.toml", &format!("{}\n[deploy]\nconfirm = \"0s\"\n", hub.committed("hub.toml")));
    hub.run(&["quick-deploy", "p620", "p510"]).exits(0);
    hub.set_host("p620", "units.slow.startSeconds = 60;");

    // Everything points to the new system already when it is killed, and yet a unit of it does not run.
    let run = hub.start(&["quick-deploy", "p620", "p510"]);
    lab.wait_until("p620", "systemctl show -p ActiveState slow.service | grep -q activating");
    lab.console(
        "p620",
        "systemctl kill --signal KILL nixos-rebuild-switch-to-configuration.service; systemctl stop slow.service",
    );
    let run = run.finish().exits(1).ends(&[("p620", "activate-failed"), ("p510", "unchanged")]);
    assert!(message(&run, "p620").contains("was killed before its end"), "{}", message(&run, "p620"));
    assert_eq!(state(&lab, "p620")[..2], [wanted(&run, "p620"), wanted(&run, "p620")]);

    let status = hub.run(&["status", "p620", "--json"]);
    assert_eq!(status.json()[0]["drift"], "interrupted", "{}", status.stdout);
    lab.console(
        "p620",
        "mkdir -p /run/systemd/system/slow.service.d && printf '[Service]\\nExecStartPre=\\n' \
                 >/run/systemd/system/slow.service.d/fast.conf && systemctl daemon-reload",
    );
    let run = hub.json(&["quick-deploy", "p620"]).exits(0).ends(&[("p620", "deployed")]);
    let decided = run.events().into_iter().find(|event| event["event"] == "decided").unwrap();
    assert!(decided["reason"].as_str().unwrap().contains("did not come to its end"), "{decided}");
    assert_eq!(lab.ssh("p620", "systemctl is-active slow.service"), "active");
    hub.json(&["quick-deploy", "p620"]).exits(0).ends(&[("p620", "unchanged")]);
}

#[test]
fn rollback_works_whatever_has_become_of_the_flake() {
    let lab = Lab::up(&["p620", "p510"]);
    let hub = Hub::new(&lab);
    let mut systems = Vec::new();
    for motd in ["one", "two", "three"] {
        hub.set_host("p620", &format!(r#"motd = "{motd}"; units.app.marker = "{motd}";"#));
        let run = hub.json(&["quick-deploy", "p620", "p510"]).exits(0);
        systems.push(wanted(&run, "p620"));
    }
    let is = |system: usize| {
        let entry = format!("nixos-generation-{}.conf", system + 1);
        assert_eq!(state(&lab, "p620"), [systems[system].clone(), systems[system].clone(), entry]);
        let marker =
            lab.ssh("p620", "tr '\\0' '\\n' </proc/$(systemctl show -P MainPID app.service)/environ | grep MARKER");
        assert_eq!(marker, format!("MARKER={}", ["one", "two", "three"][system]));
        let generations = lab.ssh("p620", "ls -d /nix/var/nix/profiles/system-*-link | wc -l");
        assert_eq!(generations, "3", "going back makes no generation and removes none");
    };
    let rollback = |words: &[&str], outcome: &str| {
        let words: Vec<_> = ["rollback", "p620"].iter().chain(words).copied().collect();
        hub.json(&words).exits(0).ends(&[("p620", outcome)])
    };
    let run = rollback(&[], "deployed");
    assert_eq!((run.host("p620")["generation"].as_u64(), wanted(&run, "p620")), (Some(2), systems[1].clone()));
    is(1);
    rollback(&["--to", "2"], "unchanged");
    rollback(&["--to", "3"], "deployed");
    is(2);
    let missing = hub.json(&["rollback", "p620", "--to", "9"]).exits(5).ends(&[("p620", "refused")]);
    assert_eq!(message(&missing, "p620"), "the host has no generation 9");
    // The other host has only the one.
    let none = hub.json(&["rollback", "p510"]).exits(5).ends(&[("p510", "refused")]);
    assert!(message(&none, "p510").contains("no generation older than 1"), "{}", message(&none, "p510"));
    is(2);

    // A flake that does not even parse, with hub.toml and without.
    hub.write("flake.nix", "{ outputs = ");
    assert_ne!(hub.run(&["quick-deploy", "p620"]).code, Some(0));
    rollback(&["--to", "1"], "deployed");
    is(0);
    let none = hub.json(&["rollback", "p620"]).exits(5).ends(&[("p620", "refused")]);
    assert!(message(&none, "p620").contains("no generation older than 1"), "{}", message(&none, "p620"));
    hub.shell("rm hub.toml");
    let run = rollback(&["--to", "3"], "deployed");
    assert!(run.stderr.contains("the words are taken for names of hosts"), "{}", run.stderr);
    is(2);
    rollback(&[], "deployed");
    is(1);

    // What was rolled back to is what is booted.
    lab.kill("p620");
    lab.boot("p620");
    is(1);
}
