//! Each fault at each moment of `deploy --goal boot` and of the reboot after it: the host always runs one system whole, what is told
//! of it is true, the next run finishes the work, and nothing is left behind. Several hosts take the moments in turn, since what
//! takes long in this is to wait.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use crate::support::{Finished, Hub, Lab, Running};

const HOSTS: [&str; 4] = ["p620", "p510", "razer", "samsung"];

/// Within which a boot is to be confirmed, on a machine that is busy.
const PATIENCE: &str = "12s";

/// For longer than that.
const TOO_LONG: Duration = Duration::from_secs(14);

/// Within which a host goes back that nobody helps: it waits, and is booted twice.
const NIGHT: Duration = Duration::from_secs(180);

/// What activations and their guards are called while they go on.
const UNITS: &str =
    "systemctl list-units --plain --no-legend 'nixos-rebuild-switch*' 'hubctl-revert-*' 'hubctl-confirm-*'";

/// What a boot that is to be confirmed has on the host's disk.
const GUARD: &str = "ls -d /etc/systemd/system.attached 2>/dev/null";

/// How a host stands: what it runs and was booted with, what its profile has, and what its boot loader boots.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Stands {
    runs: String,
    booted: String,
    profile: String,
    boots: String,
}

/// A host of the lab, with a hub of its own.
struct Place<'a> {
    lab: &'a Lab,
    hub: Hub,
    host: &'static str,
}

/// The two commands that bring a system by way of a boot.
const BOOT: [&str; 3] = ["deploy", "--goal", "boot"];
const REBOOT: [&str; 2] = ["reboot", "--if-needed"];

impl<'a> Place<'a> {
    fn begin(lab: &'a Lab, host: &'static str) -> Self {
        let hub = Hub::new(lab);
        let settings = format!(
            "[defaults]\nreboot-timeout = \"{PATIENCE}\"\n[defaults.health]\ncommand = [{{ run = [\"true\"], timeout = \"1s\", retries = 0 }}]\n"
        );
        hub.write("hub.toml", &format!("{}\n{settings}", hub.committed("hub.toml")));
        hub.json(&["quick-deploy", host]).exits(0).ends(&[(host, "deployed")]);
        // Programs in here go before those of every system, from the next boot on.
        lab.ssh(host, "mkdir -p /usr/local/wrappers/bin && echo 'L+ /run/wrappers - - - - /usr/local/wrappers' >/etc/tmpfiles.d/wrappers.conf");
        lab.kill(host);
        lab.boot(host);
        Self { lab, hub, host }
    }

    /// One after the other, with the host's name.
    fn start(&self, words: &[&str]) -> Running {
        let words: Vec<_> = words.iter().copied().chain([self.host]).collect();
        self.hub.start(&words)
    }

    fn run(&self, words: &[&str]) -> Finished {
        let words: Vec<_> = words.iter().copied().chain([self.host]).collect();
        self.hub.json(&words)
    }

    fn stands(&self) -> Stands {
        let question = "readlink -f /run/current-system /run/booted-system /nix/var/nix/profiles/system
            entry=$(sed -n 's/^default //p' /boot/loader/loader.conf)
            sed -n 's|^options init=\\([^ ]*\\)/init.*|\\1|p' \"/boot/loader/entries/$entry\"";
        let told = self.lab.console(self.host, question);
        let [runs, booted, profile, boots] = told.lines().map(str::to_owned).collect::<Vec<_>>().try_into().unwrap();
        Stands { runs, booted, profile, boots }
    }

    /// Waits until the host will change no more by itself, and answers.
    fn rest(&self) {
        // What was killed here may be at its first script there.
        let begins = "pgrep -P \"$(pgrep -d, sshd)\" '^(ba)?sh$'";
        let asleep = format!(
            "[ -z \"$({begins}; {GUARD}; {UNITS})\" ] && case $(systemctl is-system-running) in running | degraded) ;; *) false ;; esac"
        );
        let begun = Instant::now();
        while !self.lab.holds(self.host, &asleep) {
            assert!(begun.elapsed() < NIGHT, "{} does not come to rest", self.host);
            sleep(Duration::from_millis(100));
        }
        self.lab.command(&["up", self.host]);
    }

    /// After a fault: what was told of it is true, and the next run finishes the work, from wherever the host stands.
    fn next_run_finishes(&self, old: &Stands, told: &Finished, moment: &str) {
        let moment = format!("{} {moment}, told:\n{}\n{}", self.host, told.stdout, told.stderr);
        self.rest();
        let found = self.stands();
        // A power loss may be just after the boot loader was installed, before that is noted.
        let halfway = "[ /nix/var/nix/hubctl-boot-default -ef /nix/var/nix/profiles/system ]";
        let is_halfway = self.lab.holds(self.host, halfway);
        let next = self.run(&["quick-deploy", "--goal", "boot"]).exits(0);
        let end = next.host(self.host);
        let new = end["wanted"].as_str().unwrap_or_else(|| panic!("{moment}\n{}", next.stdout)).to_owned();
        // One system whole: what was booted is what runs. Which one the next boot brings, a power loss may have left open.
        assert_eq!(found.runs, found.booted, "{moment}");
        for system in [&found.runs, &found.profile, &found.boots] {
            assert!([&old.runs, &new].contains(&system), "{found:?} {moment}");
        }
        self.told_the_truth(&old.runs, &new, &found, told, &moment);
        let is_default = found.profile == new && found.boots == new && !is_halfway;
        assert!(is_halfway || found.profile != new || found.boots == new, "{found:?} {moment}");
        let outcome = end["outcome"].as_str().unwrap();
        assert_eq!(outcome, if is_default { "unchanged" } else { "deployed" }, "{found:?} {moment}\n{}", next.stdout);
        let boots = self.stands();
        assert_eq!((&boots.profile, &boots.boots), (&new, &new), "{moment}\n{}", next.stdout);

        let next = self.run(&REBOOT).exits(0);
        let outcome = if found.runs == new { "unchanged" } else { "deployed" };
        assert_eq!(next.host(self.host)["outcome"], outcome, "{found:?} {moment}\n{}", next.stdout);
        self.nothing_is_left(&new, &moment);
    }

    /// What a run said that came to its end holds.
    fn told_the_truth(&self, old: &str, new: &str, found: &Stands, told: &Finished, moment: &str) {
        if told.code.is_none() {
            return;
        }
        let is = |runs: &str, boots: &str| found.runs == runs && found.profile == boots && found.boots == boots;
        let reboots = told.events()[0]["goal"] == "reboot";
        let outcome = told.outcomes()[self.host].clone();
        let holds = match outcome.as_str() {
            // A power loss is a boot too.
            "unchanged" | "deployed" if reboots => is(new, new),
            "deployed" => is(old, new) || is(new, new),
            "unreachable" | "copy-failed" | "refused" | "cancelled" if reboots => is(old, new) || is(new, new),
            "rolled-back" | "unreachable" | "copy-failed" | "refused" | "cancelled" => is(old, old),
            "activate-failed" => !is(new, new),
            "unknown" => true,
            other => panic!("{other} {moment}"),
        };
        assert!(holds, "{outcome}, and {found:?} {moment}");
    }

    /// The host runs and boots the system, and has neither lock nor timer, neither unit nor root, nor word of an earlier boot.
    fn nothing_is_left(&self, system: &str, moment: &str) {
        let all = || system.to_owned();
        let whole = Stands { runs: all(), booted: all(), profile: all(), boots: all() };
        assert_eq!(self.stands(), whole, "{moment}");
        let left = format!(
            "ls -A /run/hubctl 2>/dev/null
            ls -d /nix/var/nix/gcroots/hubctl-* /nix/var/nix/hubctl-* /var/lib/hubctl /boot/loader/lab-oneshot 2>/dev/null
            {GUARD}; {UNITS}"
        );
        assert_eq!(self.lab.console(self.host, &left).trim(), "", "{moment}");
        assert_eq!(self.hub.roots(), [""; 0], "{moment}");
    }

    /// Gives the host another system to come to.
    fn want(&self, what: &str) -> Stands {
        let motd = format!("{what} in {}", self.hub.root().display());
        self.hub.set_host(self.host, &format!("motd = \"{motd}\";"));
        self.stands()
    }

    /// Has `fault` happen at the moment `point` of the two commands; false where they have no such moment.
    fn at(&self, point: usize, fault: &(impl Fn(&Self, Running) -> Finished + Sync)) -> bool {
        let old = self.want(&format!("moment {point}"));
        let mut begun = 0;
        for words in [&BOOT[..], &REBOOT] {
            let mut run = self.start(words);
            let is_there = run.reaches(|line| {
                begun += usize::from(line.contains(r#""event":"step-started""#));
                begun > point
            });
            if is_there {
                // Between the moments that are told there are others.
                sleep(Duration::from_millis((point as u64 * 137) % 300));
                let told = fault(self, run);
                self.next_run_finishes(&old, &told, &format!("at moment {point}"));
                return true;
            }
            run.finish().exits(0).ends(&[(self.host, "deployed")]);
        }
        assert!(point >= 11, "a boot has more moments than {point}");
        false
    }

    /// Has the host's power lost while one of its programs is at this call.
    fn without_power_at(&self, call: &Call) {
        let old = self.want(call.name);
        let place = format!("/usr/local/wrappers/bin/{}", call.program);
        self.lab.ssh(
            self.host,
            &format!("printf %s '{}' >{place}.new && chmod 755 {place}.new && mv {place}.new {place}", call.script()),
        );
        let words = if call.reboots {
            self.run(&BOOT).exits(0).ends(&[(self.host, "deployed")]);
            &REBOOT[..]
        } else {
            &BOOT
        };
        let run = self.start(words);
        let halted = format!("{} is at the call: {}", self.host, call.name);
        self.lab.watch(self.host, &halted, |root| root.join("root/halted").exists());
        self.lab.kill(self.host);
        self.lab.boot(self.host);
        self.lab.console(self.host, &format!("rm {place} /root/halted"));
        let told = run.finish();
        self.next_run_finishes(&old, &told, call.name);
    }
}

/// A call of a program by hubctl's own scripts on the host.
struct Call {
    name: &'static str,
    program: &'static str,
    /// What its words match, for the shell.
    words: &'static str,
    /// Whether it has been made, or is about to be.
    made: bool,
    /// Whether it belongs to the reboot.
    reboots: bool,
}

impl Call {
    /// What has the host stand still there, once.
    fn script(&self) -> String {
        let real = "PATH=${PATH#/run/wrappers/bin:}; real=${0##*/}";
        let make = if self.made { "\"$real\" \"$@\"" } else { ":" };
        let Self { words, .. } = self;
        format!(
            "#!/bin/sh\n{real}\ncase \" $* \" in {words}) {make}; sync; : >/root/halted; exec sleep 600 ;; esac\nexec \"$real\" \"$@\""
        )
    }
}

/// The calls after which the host is another than before.
const CALLS: [Call; 11] = {
    const fn call(name: &'static str, program: &'static str, words: &'static str, made: bool, reboots: bool) -> Call {
        Call { name, program, words, made, reboots }
    }
    [
        call("about to set the profile", "nix-env", "*--set*", false, false),
        call("the profile is set and the boot loader not", "nix-env", "*--set*", true, false),
        call("about to make the old system the default", "nix-env", "*--switch-generation*", false, true),
        call("the profile has the old system and the boot loader not", "nix-env", "*--switch-generation*", true, true),
        call("the old system is the default", "mkdir", "*system.attached*", false, true),
        call("the guard is laid", "bootctl", "*set-oneshot*", false, true),
        call("the new system is set for one boot", "bootctl", "*set-oneshot*", true, true),
        call("about to reboot", "systemctl", "\" reboot \"", false, true),
        call("about to confirm", "mv", "*boot.kept*", false, true),
        call("confirmed", "mv", "*boot.kept*", true, true),
        call("the guard does not wait any more", "systemctl", "*stop*hubctl-confirm-boot.timer*", true, true),
    ]
};

/// Has each host take the next case until there are none; `case` tells whether there was one.
fn each(case: impl Fn(&Place, usize) -> bool + Sync) {
    let lab = Lab::up(&HOSTS);
    let (next, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    scope(|threads| {
        for host in HOSTS {
            let (lab, next, is_over, case) = (&lab, &next, &is_over, &case);
            threads.spawn(move || {
                let place = Place::begin(lab, host);
                while !is_over.load(Ordering::Relaxed) {
                    if !case(&place, next.fetch_add(1, Ordering::Relaxed)) {
                        is_over.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
}

#[test]
fn hubctl_is_killed_at_each_moment_of_a_boot() {
    let kill = |_: &Place, run: Running| {
        let children = run.processes();
        run.signal("KILL");
        let told = run.finish();
        children.assert_gone();
        told
    };
    each(|place, point| place.at(point, &kill));
}

#[test]
fn the_host_loses_its_power_at_each_moment_of_a_boot() {
    let lose = |place: &Place, run: Running| {
        place.lab.kill(place.host);
        place.lab.boot(place.host);
        run.finish()
    };
    each(|place, point| place.at(point, &lose));
}

#[test]
fn the_link_is_cut_at_each_moment_of_a_boot() {
    let cut = |place: &Place, run: Running| {
        place.lab.cut(place.host);
        sleep(TOO_LONG);
        place.lab.heal(place.host);
        run.finish()
    };
    each(|place, point| place.at(point, &cut));
}

#[test]
fn the_host_loses_its_power_at_each_call_of_a_boot() {
    each(|place, point| CALLS.get(point).map(|call| place.without_power_at(call)).is_some());
}
