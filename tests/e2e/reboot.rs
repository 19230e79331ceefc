//! Reboots bring the boot default; a boot that is not confirmed is not the host's last word.

use std::fs;
use std::path::Path;

use crate::support::{Finished, Hub, Lab, Running};

/// How long a host may take to be back, on a machine that is busy.
const LONG: &str = "60s";

/// The same where a test waits for its end.
const SHORT: &str = "12s";

/// A lab of one host that was deployed once, and booted with that.
struct Booted {
    lab: Lab,
    hub: Hub,
    old: String,
}

impl Booted {
    /// With these values of the host, this `reboot-timeout`, and this text in hub.toml.
    fn up(values: &str, timeout: &str, policy: &str) -> Self {
        let lab = Lab::up(&["p510"]);
        let hub = Hub::new(&lab);
        let defaults = format!("[defaults]\nreboot-timeout = \"{timeout}\"\n");
        hub.write("hub.toml", &format!("{}\n{defaults}\n{policy}\n", hub.committed("hub.toml")));
        hub.set_host("p510", values);
        hub.json(&["quick-deploy", "p510"]).exits(0).ends(&[("p510", "deployed")]);
        lab.kill("p510");
        lab.boot("p510");
        let old = lab.current("p510");
        Self { lab, hub, old }
    }

    /// Makes a system of these values the boot default, and gives it.
    fn make_default(&self, values: &str) -> String {
        self.hub.set_host("p510", values);
        let run = self.hub.json(&["deploy", "--goal", "boot", "p510"]).exits(0).ends(&[("p510", "deployed")]);
        run.host("p510")["wanted"].as_str().unwrap().to_owned()
    }

    /// What the host runs, what it was booted with, and the generation that it boots.
    fn state(&self) -> [String; 3] {
        let booted = self.lab.ssh("p510", "readlink -f /run/booted-system");
        [self.lab.current("p510"), booted, self.default_entry()]
    }

    fn default_entry(&self) -> String {
        self.lab.ssh("p510", "sed -n 's/^default //p' /boot/loader/loader.conf")
    }

    /// The host runs its old system whole, and nothing of the attempt is left.
    #[track_caller]
    fn is_back(&self) {
        let old = self.old.clone();
        assert_eq!(self.state(), [old.clone(), old.clone(), "nixos-generation-1.conf".to_owned()]);
        assert_eq!(self.lab.ssh("p510", "readlink -f /nix/var/nix/profiles/system"), old);
        self.nothing_is_left();
    }

    #[track_caller]
    fn nothing_is_left(&self) {
        let left = "ls -d /etc/systemd/system.attached /var/lib/hubctl /boot/loader/lab-oneshot 2>/dev/null || :";
        assert_eq!(self.lab.ssh("p510", left), "");
        assert_eq!(
            self.lab.ssh("p510", "systemctl list-units --all --no-legend 'hubctl-confirm*' 'hubctl-revert*'"),
            ""
        );
        self.lab.assert_no_remains("p510");
    }

    /// Begins a reboot that is still under way when the host is about to go down.
    fn begin_trial(&self) -> Running {
        let mut run = self.hub.start(&["reboot", "p510"]);
        run.wait_for(r#""step":"reboot""#);
        self.lab.watch("p510", "the boot is guarded", |root| {
            root.join("etc/systemd/system.attached/hubctl-confirm-boot.sh").exists()
        });
        run
    }

    /// Nobody confirms the boot, and the host goes back from it.
    #[track_caller]
    fn goes_back_alone(&self) {
        let runs = |root: &Path| fs::read_link(root.join("run/current-system")).unwrap_or_default();
        self.lab.watch("p510", "the new system is booted", |root| {
            !runs(root).as_os_str().is_empty() && runs(root) != Path::new(&self.old)
        });
        self.lab.watch("p510", "the old system is booted", |root| runs(root) == Path::new(&self.old));
        // Until ssh works again.
        self.lab.command(&["up", "p510"]);
        let reason = self.lab.ssh("p510", "cat /var/lib/hubctl/reverted");
        assert!(reason.ends_with("not confirmed within 12 s of its boot"), "{reason}");
    }

    #[track_caller]
    fn goes_back(&self, values: &str, reason: &str) {
        self.make_default(values);
        let run = self.hub.json(&["reboot", "p510"]).exits(1).ends(&[("p510", "rolled-back")]);
        let error = message(&run);
        assert!(error.contains(reason), "no `{reason}` in {error}");
        self.is_back();
    }
}

#[track_caller]
fn message(run: &Finished) -> String {
    run.host("p510")["error"]["message"].as_str().unwrap().to_owned()
}

#[test]
fn a_reboot_brings_the_boot_default_which_stays() {
    let booted = Booted::up("", LONG, "");
    let before = booted.lab.ssh("p510", "cat /proc/sys/kernel/random/boot_id");
    booted.hub.json(&["reboot", "--if-needed", "p510"]).exits(0).ends(&[("p510", "unchanged")]);
    let wanted = booted.make_default(r#"motd = "new";"#);
    let planned = booted.hub.run(&["reboot", "--dry-run", "p510"]).exits(0);
    planned.prints("reboot, verify, confirm").prints("goes back unless it is confirmed");

    let run = booted.hub.json(&["reboot", "--if-needed", "p510"]).exits(0).ends(&[("p510", "deployed")]);
    assert!(run.host("p510")["detail"].as_str().unwrap().starts_with("booted nixos-system-p510"));
    assert_ne!(booted.lab.ssh("p510", "cat /proc/sys/kernel/random/boot_id"), before);
    assert_eq!(booted.state(), [wanted.clone(), wanted.clone(), "nixos-generation-2.conf".to_owned()]);
    booted.nothing_is_left();
    // Not for one boot only.
    booted.lab.kill("p510");
    booted.lab.boot("p510");
    assert_eq!(booted.state(), [wanted.clone(), wanted.clone(), "nixos-generation-2.conf".to_owned()]);

    // Without --if-needed a host is rebooted that boots the same again.
    let same = booted.hub.json(&["reboot", "p510"]).exits(0).ends(&[("p510", "deployed")]);
    let events = same.events();
    let reason = events.iter().find(|event| event["event"] == "decided").unwrap()["reason"].as_str().unwrap();
    assert_eq!(reason, "asked for; the system is the one that was booted last");
    booted.nothing_is_left();
}

#[test]
fn a_system_that_does_not_come_up_is_left_behind() {
    let booted = Booted::up("", LONG, "");
    booted.goes_back("boot.panic = true;", "it did not come up");
}

#[test]
fn a_boot_that_nobody_can_reach_goes_back_by_itself() {
    let booted = Booted::up("", SHORT, "");
    booted.goes_back("activation.cutNetwork = true;", "not confirmed within 12 s of its boot");
}

#[test]
fn a_boot_of_which_units_fail_goes_back_where_the_policy_says_so() {
    let booted = Booted::up("", LONG, "[deploy]\nfailed-units = \"rollback\"");
    booted.goes_back("units.broken.failing = true;", "units failed: broken.service");
}

#[test]
fn a_boot_that_fails_its_health_checks_goes_back() {
    let check = r#"
        [[hosts.p510.health.command]]
        name = "motd"
        run = ["sh", "-c", "! grep -q bad /etc/lab-motd"]
        retries = 1
    "#;
    let booted = Booted::up("", LONG, check);
    booted.goes_back(r#"motd = "bad";"#, "health checks failed: motd");
    booted.make_default(r#"motd = "fine too";"#);
    booted.hub.json(&["reboot", "p510"]).exits(0).ends(&[("p510", "deployed")]);
}

#[test]
fn without_anybody_the_boot_is_taken_back_and_the_next_look_tells() {
    let booted = Booted::up("", SHORT, "");
    booted.make_default(r#"motd = "new";"#);
    let run = booted.begin_trial();
    run.signal("KILL");
    run.finish();
    booted.goes_back_alone();
    booted.hub.run(&["status", "p510"]).says("since it was not confirmed within 12 s of its boot");
    booted.hub.json(&["quick-deploy", "p510"]).exits(0).ends(&[("p510", "deployed")]);
    booted.nothing_is_left();
}

#[test]
fn a_host_that_loses_its_power_before_it_is_confirmed_is_back_on_its_old_system() {
    let check = r#"
        [[hosts.p510.health.file]]
        path = "/run/never"
        retries = 100
        every = "1s"
    "#;
    let booted = Booted::up("", LONG, "");
    booted.make_default(r#"motd = "new";"#);
    let text = fs::read_to_string(booted.hub.root().join("hub.toml")).unwrap();
    booted.hub.write("hub.toml", &format!("{text}{check}"));
    let mut run = booted.hub.start(&["reboot", "p510"]);
    run.wait_for(r#""step":"health""#);
    booted.lab.kill("p510");
    booted.lab.boot("p510");
    // What is looked for now is another boot's, in which the file could be.
    booted.lab.ssh("p510", "touch /run/never");
    let run = run.finish().exits(1).ends(&[("p510", "rolled-back")]);
    assert!(message(&run).contains("it went down before it was confirmed"), "{}", message(&run));
    booted.is_back();
}

#[test]
fn a_boot_loader_without_one_time_entries_is_told_and_the_host_stays() {
    let booted = Booted::up("boot.oneTime = false;", LONG, "");
    let wanted = booted.make_default("boot.oneTime = false; units.broken.failing = true;");
    let run = booted.hub.json(&["reboot", "p510"]).exits(3).ends(&[("p510", "degraded")]);
    let events = run.events();
    let warning = events.iter().find(|event| event["event"] == "warning").unwrap()["message"].as_str().unwrap();
    assert!(warning.contains("offers no one-time entry"), "{warning}");
    assert_eq!(booted.state(), [wanted.clone(), wanted, "nixos-generation-2.conf".to_owned()]);
    booted.nothing_is_left();
}

#[test]
fn a_host_whose_boot_cannot_be_tried_stays_as_it_is() {
    let booted = Booted::up("", LONG, "");
    let wanted = booted.make_default(r#"motd = "new";"#);
    // Where the variable of the firmware would be.
    booted.lab.ssh("p510", "mkdir /boot/loader/lab-oneshot");
    let run = booted.hub.json(&["reboot", "p510"]).exits(1).ends(&[("p510", "activate-failed")]);
    assert!(message(&run).contains("does not take nixos-generation-2.conf for one boot"), "{}", message(&run));
    assert_eq!(booted.state(), [booted.old.clone(), booted.old.clone(), "nixos-generation-2.conf".to_owned()]);
    assert_eq!(booted.lab.ssh("p510", "readlink -f /nix/var/nix/profiles/system"), wanted);
    booted.lab.ssh("p510", "rmdir /boot/loader/lab-oneshot");
    booted.nothing_is_left();
}

#[test]
fn ctrl_c_stops_waiting_and_nothing_else() {
    let booted = Booted::up("", SHORT, "");
    booted.make_default(r#"motd = "new";"#);
    let run = booted.begin_trial();
    run.signal("INT");
    let run = run.finish().exits(1).ends(&[("p510", "unknown")]);
    assert!(message(&run).contains("you chose not to wait"), "{}", message(&run));
    booted.goes_back_alone();
}

#[test]
fn a_host_that_stays_away_is_unknown() {
    let booted = Booted::up("boot.oneTime = false;", SHORT, "");
    let mut run = booted.hub.start(&["reboot", "p510"]);
    run.wait_for(r#""step":"reboot""#);
    booted.lab.kill("p510");
    let run = run.finish().exits(1).ends(&[("p510", "unknown")]);
    assert!(message(&run).contains("did not come back within 12 s"), "{}", message(&run));
}

#[test]
fn when_one_does_not_come_up_those_of_later_waves_stay_as_they_are() {
    let lab = Lab::up(&["p510", "p620"]);
    let hub = Hub::new(&lab);
    hub.write("hub.toml", &format!("{}\n[deploy]\norder = [\"cache\"]\nbatch = 1\n", hub.committed("hub.toml")));
    hub.run(&["quick-deploy", "p510", "p620"]).exits(0);
    for host in ["p510", "p620"] {
        lab.kill(host);
        lab.boot(host);
    }
    hub.set_host("p620", "boot.panic = true;");
    hub.set_host("p510", r#"motd = "new";"#);
    hub.run(&["deploy", "p510", "p620", "--goal", "boot"]).exits(0);
    let traces = lab.traces("p510");
    let boot = lab.ssh("p510", "cat /proc/sys/kernel/random/boot_id");
    let run = hub.json(&["reboot", "p510", "p620", "--parallel"]).exits(1);
    run.ends(&[("p510", "skipped"), ("p620", "rolled-back")]);
    assert_eq!((lab.ssh("p510", "cat /proc/sys/kernel/random/boot_id"), lab.traces("p510")), (boot, traces));
}

#[test]
fn what_must_not_be_rebooted_is_not() {
    let lab = Lab::up(&["p510"]);
    let hub = Hub::new(&lab);
    hub.write("hub.toml", &format!("{}\n[roles.server]\nreboot = \"never\"\n", hub.committed("hub.toml")));
    let run = hub.json(&["reboot", "p510"]).exits(5).ends(&[("p510", "refused")]);
    assert!(message(&run).contains("not to be rebooted"), "{}", message(&run));
    hub.run(&["reboot"]).exits(2);
    // One that hubctl never deployed has nothing to be booted with.
    hub.write("hub.toml", &hub.committed("hub.toml"));
    let run = hub.json(&["reboot", "p510"]).exits(5).ends(&[("p510", "refused")]);
    assert!(message(&run).contains("no system profile"), "{}", message(&run));
}

#[test]
fn a_boot_default_that_is_taken_back_is_the_one_before() {
    let booted = Booted::up("", LONG, "");
    let first = booted.make_default(r#"motd = "first";"#);
    let second = |values: &str| {
        booted.hub.set_host("p510", values);
        let run = booted.hub.json(&["deploy", "--goal", "boot", "p510"]).exits(0);
        assert_eq!(run.host("p510")["old"], first.as_str());
        run.events()[0]["deployment"].as_str().unwrap().to_owned()
    };
    let back = |id: &str| {
        booted.hub.json(&["rollback", "--deployment", id]).exits(0).ends(&[("p510", "deployed")]);
    };
    back(&second(r#"motd = "second";"#));
    assert_eq!(booted.state(), [booted.old.clone(), booted.old.clone(), "nixos-generation-2.conf".to_owned()]);
    assert_eq!(booted.lab.ssh("p510", "readlink -f /nix/var/nix/profiles/system"), first);

    // One that was booted is not waited with until the next boot.
    let id = second(r#"motd = "third";"#);
    booted.hub.json(&["reboot", "p510"]).exits(0).ends(&[("p510", "deployed")]);
    back(&id);
    assert_eq!((booted.lab.current("p510"), booted.default_entry()), (first, "nixos-generation-2.conf".to_owned()));
    booted.nothing_is_left();
}

#[test]
fn a_boot_loader_that_could_not_be_installed_is_installed_by_the_next_run() {
    let booted = Booted::up("", LONG, "");
    // Where the entry of the new generation would be.
    booted.lab.ssh("p510", "mkdir -p /boot/loader/entries/nixos-generation-2.conf.tmp");
    booted.hub.set_host("p510", r#"motd = "new";"#);
    booted.hub.json(&["deploy", "--goal", "boot", "p510"]).exits(1).ends(&[("p510", "activate-failed")]);
    assert_eq!(booted.default_entry(), "nixos-generation-1.conf");
    booted.hub.run(&["status", "p510"]).prints("interrupted");
    booted.lab.ssh("p510", "rmdir /boot/loader/entries/nixos-generation-2.conf.tmp");
    let planned = booted.hub.run(&["quick-deploy", "--goal", "boot", "--dry-run", "p510"]).exits(0);
    planned.prints("to make it the boot default was begun and did not come to its end");
    booted.hub.json(&["quick-deploy", "--goal", "boot", "p510"]).exits(0).ends(&[("p510", "deployed")]);
    assert_eq!(booted.default_entry(), "nixos-generation-2.conf");
    booted.hub.json(&["quick-deploy", "--goal", "boot", "p510"]).exits(0).ends(&[("p510", "unchanged")]);
    booted.lab.ssh("p510", "[ ! -L /nix/var/nix/hubctl-boot-default ]");
}
