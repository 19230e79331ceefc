//! hubctl killed in the middle of each step: nothing of it is left running, the host is whole, and the next run finishes or
//! repeats the work.

use std::fs;

use serde_json::Value;

use crate::support::{Hub, Lab, Processes, Running, eventually};

const UNIT: &str = "nixos-rebuild-switch-to-configuration.service";

/// A host that runs the system of the hub's first commit, and a hub that wants another one.
struct Killed {
    lab: Lab,
    hub: Hub,
    old: String,
}

impl Killed {
    /// The host's next deployment has `values`.
    fn before(values: &str) -> Self {
        let lab = Lab::up(&["p620"]);
        let hub = Hub::new(&lab);
        hub.write("hub.toml", &format!("{}\n[deploy]\nconfirm = \"5s\"\n", hub.committed("hub.toml")));
        hub.run(&["quick-deploy", "p620"]).exits(0);
        let old = lab.current("p620");
        let killed = Self { lab, hub, old };
        killed.want(values);
        killed
    }

    /// Wants a system that no store has yet, with `values`.
    fn want(&self, values: &str) {
        self.hub.set_host("p620", &format!("motd = \"{}\"; {values}", self.motd()));
    }

    fn motd(&self) -> String {
        format!("new in {}", self.hub.root().display())
    }

    fn start(&self) -> Running {
        self.hub.start(&["quick-deploy", "p620"])
    }

    /// Kills a run that is in the midst of what the test wants, and waits until all is gone that it had started.
    #[track_caller]
    fn kill(&self, run: Running, children: Processes) {
        run.signal("KILL");
        assert_eq!(run.finish().code, None);
        children.assert_gone();
        let current = self.lab.current("p620");
        let profile = self.lab.ssh("p620", "readlink -f /nix/var/nix/profiles/system");
        let whole = |system: &str| {
            system == self.old || self.lab.try_ssh("p620", &format!("test -x {system}/activate")).status.success()
        };
        assert!(whole(&current) && whole(&profile), "{current} {profile}");
    }

    /// The next run brings the host to what is wanted, and leaves nothing of the killed one behind.
    #[track_caller]
    fn next_run_ends(&self, outcome: &str) {
        let next = self.hub.json(&["quick-deploy", "p620"]).exits(0).ends(&[("p620", outcome)]);
        let wanted = next.host("p620")["wanted"].clone();
        assert_eq!(self.lab.current("p620"), wanted);
        assert_eq!(self.lab.ssh("p620", "readlink -f /nix/var/nix/profiles/system"), wanted);
        assert_ne!(wanted, self.old.as_str());
        assert_eq!(self.lab.ssh("p620", "tail -n 1 /etc/lab-motd"), self.motd());
        self.lab.assert_no_remains("p620");
        assert_eq!(self.hub.roots(), [""; 0]);

        let history = self.hub.json(&["history"]).exits(0).json();
        let [newest, killed, first] = history.as_array().unwrap().as_slice() else { panic!("{history}") };
        assert_eq!((&newest["exit"], &first["exit"]), (&Value::from(0), &Value::from(0)));
        assert!(killed["finished"].is_null() && killed["hosts"]["p620"]["outcome"].is_null(), "{killed}");
        self.hub.run(&["history"]).exits(0).prints("unfinished");
    }
}

#[test]
fn while_it_connects() {
    let killed = Killed::before("");
    let config = killed.hub.root().join("../stalled_config");
    let stalled = "Host *\n  ProxyCommand sleep 600\n";
    fs::write(&config, format!("{stalled}Include {}\n", killed.lab.ssh_config().display())).unwrap();
    let mut run = killed.hub.start(&["quick-deploy", "p620", "--ssh-config", config.to_str().unwrap()]);
    // The connection is begun before the run is on record.
    run.wait_for("run-started");
    let children = run.wait_for_process("sleep 600");
    killed.kill(run, children);
    killed.next_run_ends("deployed");
}

#[test]
fn while_it_probes() {
    let killed = Killed::before("");
    killed.lab.wrap("p620", "df", "touch /run/asked; sleep 600");
    let run = killed.start();
    eventually("the host is asked", || killed.lab.try_ssh("p620", "test -e /run/asked").status.success());
    let children = run.processes();
    killed.kill(run, children);
    killed.lab.unwrap("p620", "df");
    killed.next_run_ends("deployed");
}

#[test]
fn while_it_evaluates() {
    let killed = Killed::before("evalWork = 600;");
    let run = killed.start();
    let children = run.wait_for_process("config.system.build.toplevel");
    killed.kill(run, children);
    killed.want("");
    killed.next_run_ends("deployed");
}

#[test]
fn while_it_builds() {
    let killed = Killed::before("build.seconds = 4;");
    let run = killed.start();
    let children = run.wait_for_process("sleep 4");
    killed.kill(run, children);
    killed.next_run_ends("deployed");
}

#[test]
fn while_it_copies() {
    let killed = Killed::before("closureMiB = 40;");
    killed.lab.stall_copies("p620");
    let mut run = killed.start();
    run.wait_for(r#""step-started","host":"p620","step":"copy""#);
    // Part of the closure is at the host when this is killed.
    eventually("copying has begun", || killed.lab.try_ssh("p620", "pidof nix-daemon").status.success());
    let children = run.wait_for_process("nix-daemon --stdio");
    assert_ne!(killed.hub.roots(), [""; 0]);
    killed.kill(run, children);
    killed.lab.resume_copies("p620");
    killed.next_run_ends("deployed");
}

#[test]
fn while_it_activates_and_the_activation_goes_on() {
    let killed = Killed::before("activation.seconds = 8;");
    let mut run = killed.start();
    run.wait_for(r#""step-started","host":"p620","step":"activate""#);
    eventually("the activation runs", || killed.lab.is_active("p620", UNIT));
    let children = run.processes();
    killed.kill(run, children);
    // The next run waits for it, and until the host has taken back what nobody confirmed.
    killed.next_run_ends("deployed");
}

#[test]
fn while_it_activates_and_the_activation_ends_before_the_next_run() {
    let killed = Killed::before("activation.seconds = 2;");
    let mut run = killed.start();
    run.wait_for(r#""step-started","host":"p620","step":"activate""#);
    eventually("the activation runs", || killed.lab.is_active("p620", UNIT));
    let children = run.processes();
    killed.kill(run, children);
    eventually("the activation ends", || !killed.lab.is_active("p620", UNIT));
    assert_ne!(killed.lab.ssh("p620", "ls /run/hubctl"), "");
    killed.next_run_ends("deployed");
}

#[test]
fn while_it_activates_and_the_host_goes_down_with_it() {
    let killed = Killed::before("activation.seconds = 8;");
    let mut run = killed.start();
    run.wait_for(r#""step-started","host":"p620","step":"activate""#);
    eventually("the activation runs", || killed.lab.is_active("p620", UNIT));
    let children = run.processes();
    run.signal("KILL");
    run.finish();
    children.assert_gone();
    killed.lab.kill("p620");
    killed.lab.boot("p620");
    killed.want("");
    killed.next_run_ends("deployed");
}

#[test]
fn while_it_verifies() {
    let killed = Killed::before("activation.seconds = 3;");
    let mut run = killed.start();
    run.wait_for(r#""step-started","host":"p620","step":"activate""#);
    killed.lab.wrap("p620", "df", "sleep 600");
    run.wait_for(r#""step-started","host":"p620","step":"verify""#);
    let children = run.processes();
    killed.kill(run, children);
    killed.lab.unwrap("p620", "df");
    killed.next_run_ends("deployed");
}

#[test]
fn what_a_run_changed_that_was_killed_can_be_taken_back() {
    let killed = Killed::before("activation.seconds = 2;");
    killed.hub.write("hub.toml", &format!("{}\n[deploy]\nconfirm = \"0s\"\n", killed.hub.committed("hub.toml")));
    let mut run = killed.start();
    run.wait_for("taking 2 seconds");
    run.signal("KILL");
    let run = run.finish();
    let id = run.events()[0]["deployment"].as_str().unwrap().to_owned();
    eventually("the activation ends", || !killed.lab.is_active("p620", UNIT));
    assert_ne!(killed.lab.current("p620"), killed.old);
    killed.hub.json(&["rollback", "--deployment", &id]).exits(0).ends(&[("p620", "deployed")]);
    assert_eq!(killed.lab.current("p620"), killed.old);
    killed.lab.assert_no_remains("p620");
}
