//! Each fault at each moment of a deployment: the host always runs one system whole, what is told of it is true, the next run
//! finishes the work, and nothing is left behind.

use std::thread::sleep;
use std::time::Duration;

use crate::support::{Finished, Hub, Lab, Running, eventually};

/// How the host stands.
#[derive(Debug, Eq, PartialEq)]
struct Stands {
    runs: String,
    boots: String,
}

struct Sweep {
    lab: Lab,
    hub: Hub,
}

/// What activations and their guards are called while they go on.
const UNITS: &str =
    "systemctl list-units --plain --no-legend 'nixos-rebuild-switch*' 'hubctl-revert-*' 'hubctl-confirm-*'";

impl Sweep {
    fn begin() -> Self {
        let lab = Lab::up(&["p620"]);
        let hub = Hub::new(&lab);
        let settings = "[deploy]\nconfirm = \"3s\"\n[defaults.health]\ncommand = [{ run = [\"true\"], timeout = \"1s\", retries = 0 }]\n";
        hub.write("hub.toml", &format!("{}\n{settings}", hub.committed("hub.toml")));
        hub.json(&["quick-deploy", "p620"]).exits(0).ends(&[("p620", "deployed")]);
        Self { lab, hub }
    }

    fn stands(&self) -> Stands {
        let links = "readlink -f /run/current-system /nix/var/nix/profiles/system";
        let told = self.lab.console("p620", links);
        let [runs, boots] = told.lines().collect::<Vec<_>>()[..] else { panic!("{told}") };
        Stands { runs: runs.to_owned(), boots: boots.to_owned() }
    }

    /// Has `fault` happen at each moment of a deployment in turn; it gets the run and gives what that told at its end.
    fn each(&self, fault: impl Fn(&Lab, Running) -> Finished) {
        let mut point = 0;
        loop {
            let old = self.stands();
            let motd = format!("moment {point} in {}", self.hub.root().display());
            self.hub.set_host("p620", &format!("motd = \"{motd}\"; activation.seconds = 1;"));
            let mut run = self.hub.start(&["quick-deploy", "p620"]);
            let mut steps = 0;
            let is_there = run.reaches(|line| {
                steps += usize::from(line.contains(r#""event":"step-"#));
                steps > point
            });
            if !is_there {
                run.finish().exits(0).ends(&[("p620", "deployed")]);
                break;
            }
            // Between the moments that are told there are others.
            sleep(Duration::from_millis((point as u64 * 137) % 300));
            let told = fault(&self.lab, run);
            let new = self.next_run_finishes(&motd, &old, &told, point);
            assert_ne!(old.runs, new);
            point += 1;
        }
        assert!(point >= 14, "a deployment has more moments than {point}");
    }

    /// What the next run does, and how it finds the host.
    fn next_run_finishes(&self, motd: &str, old: &Stands, told: &Finished, point: usize) -> String {
        let moment = format!("at moment {point}, told:\n{}\n{}", told.stdout, told.stderr);
        eventually("the host is at rest", || self.lab.console("p620", UNITS).is_empty());
        let found = self.stands();
        // A power loss may be just after the boot loader was installed, before that is noted.
        let is_noted = !self.lab.holds("p620", "[ /nix/var/nix/hubctl-boot-default -ef /nix/var/nix/profiles/system ]");
        let next = self.hub.json(&["quick-deploy", "p620"]);
        let end = next.host("p620");
        let wanted = end["wanted"].as_str().unwrap_or_else(|| panic!("{moment}\n{}", next.stdout)).to_owned();
        assert_eq!(end["old"], found.runs.as_str(), "{moment}");

        // One system whole. That the profile has the new one already while the boot loader has the old one, which runs then, is
        // a moment that power can be lost in.
        let new = Stands { runs: wanted.clone(), boots: wanted.clone() };
        let between = Stands { runs: old.runs.clone(), boots: wanted.clone() };
        assert!([old, &new, &between].contains(&&found), "{found:?} {moment}");
        if told.code.is_some() {
            let outcome = &told.outcomes()["p620"];
            let truth = match outcome.as_str() {
                "deployed" => found == new,
                "rolled-back" | "cancelled" | "unreachable" | "copy-failed" | "refused" => found == *old,
                "activate-failed" => told.stdout.contains("came back with the old one") == (found == between),
                "unknown" => true,
                other => panic!("{other} {moment}"),
            };
            assert!(truth, "{outcome}, and {found:?} {moment}");
        }
        let outcome = if found == new && is_noted { "unchanged" } else { "deployed" };
        assert_eq!(end["outcome"], outcome, "{moment}\n{}", next.stdout);
        assert_eq!(self.stands(), new, "{moment}");
        assert_eq!(self.lab.console("p620", "tail -n 1 /etc/lab-motd").trim(), motd, "{moment}");

        // Neither lock nor timer, neither unit nor root.
        let left = format!(
            "ls -A /run/hubctl 2>/dev/null; ls -d /nix/var/nix/gcroots/hubctl-* /nix/var/nix/hubctl-* 2>/dev/null; {UNITS}"
        );
        assert_eq!(self.lab.console("p620", &left).trim(), "", "{moment}");
        assert_eq!(self.hub.roots(), [""; 0], "{moment}");
        wanted
    }
}

#[test]
fn hubctl_is_killed_at_each_moment() {
    Sweep::begin().each(|_, run| {
        let children = run.processes();
        run.signal("KILL");
        let told = run.finish();
        children.assert_gone();
        told
    });
}

#[test]
fn the_host_loses_its_power_at_each_moment() {
    Sweep::begin().each(|lab, run| {
        lab.kill("p620");
        lab.boot("p620");
        run.finish()
    });
}

#[test]
fn the_link_is_cut_at_each_moment() {
    Sweep::begin().each(|lab, run| {
        lab.cut("p620");
        // Long enough that a system waits in vain for its confirmation.
        sleep(Duration::from_secs(6));
        lab.heal("p620");
        run.finish()
    });
}
