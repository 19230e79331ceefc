//! A system that cannot stay is taken back by the host itself, and what is told is what happened.

use crate::support::{Finished, Hub, Lab, eventually};

/// Short enough for a test, and long enough for a host that is busy.
const CONFIRM: &str = "8s";

/// A lab of one host that was deployed once, and is to be confirmed.
struct Guarded {
    lab: Lab,
    hub: Hub,
    old: String,
    boots: String,
}

impl Guarded {
    fn up(policy: &str) -> Self {
        let lab = Lab::up(&["p510"]);
        let hub = Hub::new(&lab);
        let deploy = format!("[deploy]\nconfirm = \"{CONFIRM}\"\nactivation-timeout = \"10s\"\n{policy}\n");
        hub.write("hub.toml", &format!("{}\n{deploy}", hub.committed("hub.toml")));
        hub.json(&["quick-deploy", "p510"]).exits(0).ends(&[("p510", "deployed")]);
        let (old, boots) = (lab.current("p510"), boot_default(&lab));
        Self { lab, hub, old, boots }
    }

    /// Deploys a system of these values, which must be taken back.
    #[track_caller]
    fn is_taken_back(&self, values: &str, reason: &str) -> Finished {
        self.hub.set_host("p510", values);
        let run = self.hub.json(&["quick-deploy", "p510"]).exits(1).ends(&[("p510", "rolled-back")]);
        let error = run.host("p510")["error"]["message"].as_str().unwrap().to_owned();
        assert!(error.contains(reason), "no `{reason}` in {error}");
        self.is_as_before();
        run
    }

    /// The host is what it was, and nothing of the attempt is left.
    #[track_caller]
    fn is_as_before(&self) {
        assert_eq!(self.lab.current("p510"), self.old);
        assert_eq!(boot_default(&self.lab), self.boots);
        eventually("no timer is left", || {
            let units =
                self.lab.ssh("p510", "systemctl list-units --all --no-legend 'hubctl-revert-*' 'hubctl-confirm-*'");
            let roots = self.lab.ssh("p510", "ls /nix/var/nix/gcroots | grep hubctl || :");
            units.is_empty() && roots.is_empty()
        });
    }
}

/// What the host boots: its profile, and its boot loader's default.
fn boot_default(lab: &Lab) -> String {
    lab.ssh("p510", "readlink -f /nix/var/nix/profiles/system; grep default /boot/loader/loader.conf")
}

#[test]
fn what_is_confirmed_stays_and_boots() {
    let guarded = Guarded::up("");
    guarded.hub.set_host("p510", r#"motd = "new";"#);
    let run = guarded.hub.json(&["quick-deploy", "p510"]).exits(0).ends(&[("p510", "deployed")]);
    let wanted = run.host("p510")["wanted"].as_str().unwrap().to_owned();
    assert_eq!(guarded.lab.current("p510"), wanted);
    assert!(boot_default(&guarded.lab).starts_with(&wanted));
    assert_ne!(boot_default(&guarded.lab), guarded.boots);
    guarded.lab.assert_no_remains("p510");
    // Nobody takes it back later.
    guarded.lab.ssh("p510", "sleep 10");
    assert_eq!(guarded.lab.current("p510"), wanted);
}

#[test]
fn a_system_that_cuts_the_network_is_taken_back() {
    let guarded = Guarded::up("");
    guarded.is_taken_back("activation = { cutNetwork = true; };", "not confirmed within 8 s");
}

#[test]
fn a_system_that_removes_its_address_is_taken_back() {
    let guarded = Guarded::up("");
    guarded.is_taken_back("activation = { dropAddress = true; };", "not confirmed within 8 s");
}

#[test]
fn a_system_that_drops_all_traffic_is_taken_back() {
    let guarded = Guarded::up("");
    guarded.is_taken_back("activation = { dropTraffic = true; };", "not confirmed within 8 s");
}

#[test]
fn a_system_that_shows_another_host_key_is_taken_back() {
    let guarded = Guarded::up("");
    guarded.is_taken_back("activation = { otherHostKey = true; };", "not confirmed within 8 s");
}

#[test]
fn a_system_that_stops_sshd_is_taken_back() {
    let guarded = Guarded::up("");
    guarded.is_taken_back("activation = { stopSshd = true; };", "not confirmed within 8 s");
}

#[test]
fn an_activation_that_hangs_is_taken_back() {
    let guarded = Guarded::up("");
    guarded.is_taken_back("activation = { hang = true; };", "did not end in time");
}

#[test]
fn an_activation_that_fails_is_taken_back() {
    let guarded = Guarded::up("");
    guarded.is_taken_back("activation = { exit = 2; };", "the activation script failed");
}

#[test]
fn a_system_that_fills_the_disk_is_taken_back() {
    let guarded = Guarded::up("");
    // What fills the disk goes on to fail.
    let values = "activation = { fillDisk = true; exit = 2; };";
    guarded.is_taken_back(values, "the activation script failed");
}

/// A check that passes, and by which the host has begun to take the system back before hubctl confirms it.
const TOO_LATE: &str = r#"
    [[hosts.p510.health.command]]
    run = ["sh", "-c", """
      for revert in /run/hubctl/*/revert; do
        directory=${revert%/*}
        systemd-run --quiet sh "$revert" "somebody was faster"
        until [ -L "$directory/decided" ]; do sleep 0.1; done
      done
    """]
"#;

#[test]
fn what_the_host_takes_back_before_it_is_confirmed_does_not_become_the_boot_default() {
    let guarded = Guarded::up("");
    let text = std::fs::read_to_string(guarded.hub.root().join("hub.toml")).unwrap();
    guarded.hub.write("hub.toml", &format!("{text}{TOO_LATE}"));
    guarded.is_taken_back(r#"motd = "new";"#, "somebody was faster");
    guarded.lab.assert_no_remains("p510");
}

#[test]
fn a_host_that_goes_down_comes_back_with_its_old_system() {
    let guarded = Guarded::up("");
    guarded.is_taken_back("activation = { reboot = true; };", "went down");
}

#[test]
fn failed_units_are_treated_as_the_policy_says() {
    let failing = "units.broken.failing = true;";
    let guarded = Guarded::up("failed-units = \"rollback\"");
    guarded.is_taken_back(failing, "units failed: broken.service");
    let policy = |word: &str| {
        let text = guarded.hub.committed("hub.toml");
        guarded
            .hub
            .write("hub.toml", &format!("{text}\n[deploy]\nconfirm = \"{CONFIRM}\"\nfailed-units = \"{word}\"\n"));
    };
    policy("fail");
    guarded.hub.json(&["quick-deploy", "p510"]).exits(1).ends(&[("p510", "unhealthy")]);
    policy("tolerate");
    guarded.hub.set_host("p510", &format!("{failing} motd = \"again\";"));
    guarded.hub.json(&["quick-deploy", "p510"]).exits(3).ends(&[("p510", "degraded")]);
}

#[test]
fn without_anybody_the_host_comes_back_and_the_next_look_tells() {
    let guarded = Guarded::up("");
    guarded.hub.set_host("p510", "activation = { seconds = 2; };");
    let mut run = guarded.hub.start(&["quick-deploy", "p510"]);
    run.wait_for("taking 2 seconds");
    run.signal("KILL");
    run.finish();
    guarded.lab.cut("p510");
    guarded.lab.wait_until("p510", "grep -q 'not confirmed' /run/hubctl/reverted");
    guarded.lab.heal("p510");
    guarded.is_as_before();
    guarded.hub.run(&["status", "p510"]).says("since it was not confirmed within 8 s");
    guarded.hub.set_host("p510", r#"motd = "better";"#);
    guarded.hub.json(&["quick-deploy", "p510"]).exits(0).ends(&[("p510", "deployed")]);
    guarded.lab.assert_no_remains("p510");
}
