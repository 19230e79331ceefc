//! Making a host run a system that is in its store already.
//!
//! The whole of it runs on the host, under PID 1 and detached from any connection: setting the profile, switching, and writing the
//! exit code to a file. On NixOS that is one transient unit, with the name that `nixos-rebuild` gives its own, so that systemd
//! itself keeps two activations from running at once. What comes after the start is only watching, over as many connections
//! as it takes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::boot::{OneTime, boot_script};
use super::guard::{self, Guard, arm_script, confirm_script, disarm_script};
use super::lock::Lock;
use super::platform::Platform;
use super::refusal::Refusal;
use super::script::{Remote, RunError, Script};
use crate::nix::StorePath;
use crate::process::{LineSink, shell_quote};

/// What the host answers to being asked to start begins with this.
const STARTED: &str = "hubctl-start:";

/// How long starting the unit may take.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// How long one connection follows an activation before it is asked anew whether it still does.
const FOLLOW: Duration = Duration::from_secs(10 * 60);

/// What to activate, and how.
#[derive(Clone, Debug)]
pub struct Activation {
    /// How systems are run on the host.
    pub platform: Platform,
    /// Names the activation's directory on the host; letters, digits and dashes.
    pub id: String,
    /// The system that is the boot default then, if any is made that.
    pub toplevel: StorePath,
    /// What is to run: the system, or a specialisation of it.
    pub runs: StorePath,
    /// What is done with it.
    pub work: Work,
    /// What becomes of the profile first, and so of the boot default.
    pub profile: ProfileStep,
    /// The name that the host must have, where one is known.
    pub hostname: Option<String>,
    /// When it is taken back, where it is to be confirmed.
    pub guard: Option<Guard>,
    /// The activation that is confirmed first, so that this one begins only where that one stays.
    pub confirms: Option<String>,
    /// The deployment that must hold the host's lock, where it took it.
    pub locked: Option<String>,
}

/// What is done with a system.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Work {
    /// It is activated, with this verb of `switch-to-configuration`.
    Switch(&'static str),
    /// The host boots it, as its boot default.
    Boot {
        /// The boot that it runs in now, where that is known: in any other, this is done.
        from: Option<String>,
        /// How it goes back to the system before, where it can.
        one_time: Option<OneTime>,
        /// How long a boot waits to be confirmed.
        patience: Duration,
    },
}

/// What becomes of the system profile before a system is activated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProfileStep {
    /// It stays as it is.
    Keep,
    /// The system becomes its newest generation.
    Set,
    /// It goes to this generation, which must be the system's.
    SwitchTo(u64),
}

/// The step of an activation that an exit code belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    /// Setting the profile.
    Profile,
    /// `switch-to-configuration`.
    Switch,
}

/// How an activation that was started ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    /// With this exit code.
    Exited {
        /// The step that ended it.
        stage: Stage,
        /// The exit code.
        code: i32,
    },
    /// It was killed before it could write its exit code, or the host went down with it.
    Vanished,
}

/// What was seen of an activation, over as many connections as it took.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Seen {
    begun: bool,
    /// How many lines of its output were handed on.
    lines: u64,
    script_failed: bool,
}

/// What `switch-to-configuration` says when the activation script failed. Units that fail after that give it another exit
/// code.
const SCRIPT_FAILED: &str = "Failed to run activate script";

/// Why an activation is not known to have begun.
#[derive(Debug, thiserror::Error)]
pub enum ActivationError {
    /// The host declined.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The connection, or becoming root, failed. Over a lost connection the start may still have happened.
    #[error(transparent)]
    Run(#[from] RunError),
    /// `systemd-run` failed.
    #[error("systemd on the host does not start the activation: {0}")]
    NotStarted(String),
}

impl Seen {
    /// Whether the activation is known to have begun.
    pub fn begun(&self) -> bool {
        self.begun
    }
}

impl Activation {
    /// The shell command of a step.
    pub fn command(&self, stage: Stage) -> String {
        let profile = self.platform.profile();
        match (stage, self.profile) {
            (Stage::Switch, _) => match &self.work {
                Work::Switch(verb) => self.switching(verb, Platform::activate_command),
                Work::Boot { .. } => "systemctl reboot".to_owned(),
            },
            (Stage::Profile, ProfileStep::Keep) => "true".to_owned(),
            (Stage::Profile, ProfileStep::Set) => format!("nix-env --profile {profile} --set {}", self.toplevel),
            (Stage::Profile, ProfileStep::SwitchTo(number)) => {
                format!("nix-env --profile {profile} --switch-generation {number}")
            }
        }
    }

    /// How a system is activated, each time by a command that `one` makes. The boot loader takes only whole systems as its default.
    fn switching(&self, verb: &str, one: impl Fn(Platform, &StorePath, &str) -> String) -> String {
        let run = |system: &StorePath, verb: &str| one(self.platform, system, verb);
        match verb {
            "boot" => run(&self.toplevel, verb),
            "switch" if self.runs != self.toplevel => {
                format!("{} && {}", run(&self.toplevel, "boot"), run(&self.runs, "test"))
            }
            _ => run(&self.runs, verb),
        }
    }

    /// Whether the host goes down with it, so that a connection that breaks is no surprise.
    pub fn goes_down(&self) -> bool {
        matches!(self.work, Work::Boot { .. })
    }

    /// The shell commands that do the work.
    fn work_script(&self) -> String {
        match &self.work {
            Work::Switch(verb) => self.switching(verb, Platform::activate_script),
            Work::Boot { one_time, patience, .. } => {
                boot_script(&self.id, &self.toplevel, one_time.as_ref(), *patience)
            }
        }
    }

    /// The script that checks, writes the unit's own script, and starts the unit. An activation of the same id that began
    /// already, over a connection that was lost meanwhile, is left alone.
    fn start_script(&self) -> String {
        format!(
            include_str!("activate.sh"),
            dialect = self.platform.dialect(),
            id = self.id,
            root_check = self.platform.root_check(),
            toplevel = self.toplevel,
            hostname = shell_quote(self.hostname.as_deref().unwrap_or_default()),
            unit_script = shell_quote(&self.unit_script()),
            lock_check = self.lock_check(),
            boot_check = self.boot_check(),
            confirm = confirm_script(self.confirms.as_deref()),
            arm = arm_script(self.platform, &self.id, self.guard),
            disarm = disarm_script(&self.id, self.guard),
        )
    }

    /// What the unit runs, or the process in its place.
    fn unit_script(&self) -> String {
        let (begins, ends) = if self.makes_boot_default() {
            (format!("default_begins {}", self.toplevel), "default_ends $code")
        } else {
            (":".to_owned(), ":")
        };
        format!(
            include_str!("unit.sh"),
            dialect = self.platform.dialect(),
            id = self.id,
            toplevel = self.toplevel,
            begins = begins,
            set_profile = self.command(Stage::Profile),
            switch = self.work_script(),
            ends = ends,
        )
    }

    /// Whether the profile and the boot loader get its system, one after the other.
    fn makes_boot_default(&self) -> bool {
        self.platform.boots() && matches!(self.work, Work::Switch("switch" | "boot"))
    }

    /// The part of the start script that tells a boot that has been from one that is still to be begun.
    fn boot_check(&self) -> String {
        let Work::Boot { from: Some(boot_id), .. } = &self.work else { return String::new() };
        format!("[ \"$(boot_id)\" = {} ] || answer started", shell_quote(boot_id))
    }

    /// The part of the start script that declines where the deployment does not have the lock any more.
    fn lock_check(&self) -> String {
        let Some(id) = &self.locked else { return String::new() };
        let id = shell_quote(id);
        format!("held=$(readlink \"$hub/lock\")\ncase $held in {id}' '*) ;; *) answer unlocked 0 \"$held\" ;; esac")
    }

    /// Why the host did not start it, from what it said.
    fn not_started(&self, code: i32, printed: &str, stderr: &str) -> ActivationError {
        let answer = printed.lines().find_map(|line| line.strip_prefix(STARTED)).unwrap_or_default();
        let (word, rest) = answer.split_once(' ').unwrap_or((answer, ""));
        match word {
            "wrong-host" => {
                Refusal::WrongHost { expected: self.hostname.clone().unwrap_or_default(), found: rest.to_owned() }
                    .into()
            }
            "not-a-system" => Refusal::NotASystem(self.toplevel.clone(), self.platform).into(),
            "no-user" => Refusal::NoUser.into(),
            "no-systemd" => Refusal::NoSystemd.into(),
            "busy" => Refusal::Busy.into(),
            "unlocked" => Refusal::Unlocked(Lock::parse(rest)).into(),
            "unguarded" => Refusal::Unguarded.into(),
            "unconfirmed" => Refusal::Unconfirmed(guard::parse(rest)).into(),
            "not-root" => Refusal::NotRoot(rest.trim().parse().unwrap_or_default()).into(),
            _ => {
                let said = stderr.lines().chain(printed.lines()).rev().find(|line| !line.trim().is_empty());
                ActivationError::NotStarted(said.map_or_else(|| format!("exit code {code}"), str::to_owned))
            }
        }
    }

    /// Starts the activation, unless it was seen to have begun, and watches it until it ends or the connection does. `seen` is
    /// what was seen of it already, of whose output `on_line` has every line, so that another connection goes on where this one
    /// broke. None means: still running.
    ///
    /// An activation that may have begun over a connection that broke before it could say so is started again: the host leaves
    /// one that did begin alone.
    pub async fn see(
        &self,
        remote: &Remote,
        seen: &mut Seen,
        on_line: LineSink<'_>,
    ) -> Result<Option<Ended>, ActivationError> {
        let follow = self.follow_script(seen);
        let text = if seen.begun { follow } else { format!("(\n{}\n) || exit $?\n{follow}", self.start_script()) };
        let script = Script::new(text).as_root().deadline(FOLLOW);
        let begun = AtomicBool::new(seen.begun);
        let (mut ended, mut said) = (None, String::new());
        // Lines count as seen when the host's word comes that all of them were sent: those of a batch that the connection
        // broke off are sent again over the next one.
        let mut batch = Vec::<String>::new();
        let mut watch = |line: &str| {
            if let Some(answer) = line.strip_prefix(STARTED) {
                seen.begun |= answer == "started";
                begun.store(seen.begun, Ordering::Relaxed);
            }
            if !seen.begun {
                said.push_str(line);
                said.push('\n');
                return;
            }
            match line.strip_prefix("hubctl-follow:") {
                Some(answer) => match answer.strip_prefix("seen ") {
                    Some(lines) => {
                        seen.lines = lines.trim().parse().unwrap_or(seen.lines);
                        for line in batch.drain(..) {
                            seen.script_failed |= line == SCRIPT_FAILED;
                            on_line(&line);
                        }
                    }
                    None => ended = parse_end(answer),
                },
                None => batch.extend(line.strip_prefix('|').map(str::to_owned)),
            }
        };
        let overdue = async {
            tokio::time::sleep(START_DEADLINE).await;
            if begun.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        let ran = tokio::select! {
            ran = remote.run_lines(&script, &mut watch) => ran?,
            () = overdue => return Err(RunError::TimedOut(START_DEADLINE).into()),
        };
        if !seen.begun {
            return Err(self.not_started(ran.code, &said, &ran.stderr));
        }
        Ok(match ended {
            Some(Ended::Exited { stage: Stage::Switch, code }) => {
                let code = self.platform.exit_code(code);
                Some(Ended::Exited {
                    stage: Stage::Switch,
                    code: if code == 4 && seen.script_failed { 2 } else { code },
                })
            }
            ended => ended,
        })
    }

    fn follow_script(&self, seen: &Seen) -> String {
        let (dialect, seconds) = (self.platform.dialect(), FOLLOW.as_secs() - 30);
        format!(include_str!("follow.sh"), dialect = dialect, id = self.id, seen = seen.lines, seconds = seconds)
    }
}

fn parse_end(answer: &str) -> Option<Ended> {
    let mut words = answer.split_whitespace();
    match words.next()? {
        "vanished" => Some(Ended::Vanished),
        "exited" => {
            let stage = match words.next()? {
                "profile" => Stage::Profile,
                _ => Stage::Switch,
            };
            Some(Ended::Exited { stage, code: words.next()?.parse().ok()? })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::connection::{Connection, Executed, Lost, Password};
    use super::super::elevate::Elevation;
    use super::*;
    use crate::nix::StoreUri;

    fn activation() -> Activation {
        let toplevel: StorePath =
            "/nix/store/0i3kvkpqpr1i9zx4dbdzvj6dcpqnmhhb-nixos-system-p620-25.11".parse().unwrap();
        Activation {
            platform: Platform::Nixos,
            id: "7-p620".to_owned(),
            runs: toplevel.clone(),
            toplevel,
            work: Work::Switch("switch"),
            profile: ProfileStep::Set,
            hostname: Some("p620".to_owned()),
            guard: None,
            confirms: None,
            locked: Some("7".to_owned()),
        }
    }

    #[test]
    fn the_boot_loader_gets_the_whole_system_and_the_specialisation_runs() {
        let runs: StorePath = "/nix/store/1i3kvkpqpr1i9zx4dbdzvj6dcpqnmhhb-nixos-system-p620-25.11".parse().unwrap();
        let command =
            |verb| Activation { runs: runs.clone(), work: Work::Switch(verb), ..activation() }.command(Stage::Switch);
        let program = |system: &StorePath| format!("{system}/bin/switch-to-configuration");
        let base = program(&activation().toplevel);
        assert_eq!(activation().command(Stage::Switch), format!("{base} switch"));
        assert_eq!(command("switch"), format!("{base} boot && {} test", program(&runs)));
        assert_eq!(command("test"), format!("{} test", program(&runs)));
        assert_eq!(command("boot"), format!("{base} boot"));
    }

    #[test]
    fn the_hosts_answers_are_told_apart() {
        let read = |printed: &str| activation().not_started(0, printed, "noise\n");
        let wrong = Refusal::WrongHost { expected: "p620".to_owned(), found: "p510".to_owned() };
        assert!(matches!(read("hubctl-start:wrong-host p510"), ActivationError::Refused(found) if found == wrong));
        assert!(matches!(read("hubctl-start:busy"), ActivationError::Refused(Refusal::Busy)));
        let lost = |printed| match read(printed) {
            ActivationError::Refused(refusal) => refusal.to_string(),
            other => panic!("{other}"),
        };
        assert!(lost("hubctl-start:unlocked 0 8-a 17 me@here").ends_with("me@here has it (deployment 8-a)"));
        assert!(lost("hubctl-start:unlocked 0 ").ends_with("somebody broke it, or the host was booted"));
        assert!(matches!(read(""), ActivationError::NotStarted(said) if said == "noise"));
    }

    /// A host that prints these lines and then breaks the connection, or ends.
    #[derive(Debug)]
    struct Printing(&'static [&'static str], bool);

    #[async_trait::async_trait]
    impl Connection for Printing {
        async fn execute(&self, _: &[String], _: Option<&Password>, on_line: LineSink<'_>) -> Result<Executed, Lost> {
            self.0.iter().for_each(|line| on_line(line));
            if !self.1 {
                return Err(Lost("cut".to_owned()));
            }
            on_line("hubctl-end:0");
            Ok(Executed { code: Some(0), stderr: String::new() })
        }

        fn store(&self) -> Option<StoreUri> {
            None
        }

        async fn discard(&self) {}
    }

    const CUT: [&str; 6] = ["hubctl-start:started", "|one", "", "hubctl-follow:seen 1", "|two", "|Failed to"];
    const REST: [&str; 4] =
        ["|two", "|Failed to run activate script", "hubctl-follow:seen 3", "hubctl-follow:exited switch 4"];

    #[tokio::test]
    async fn output_of_which_the_end_was_lost_is_taken_from_the_next_connection_alone() {
        let mut seen = Seen::default();
        let mut lines = Vec::new();
        let mut follow = async |printed, whole| {
            let remote = Remote::new(Arc::new(Printing(printed, whole)), Elevation::default());
            let mut on_line = |line: &str| lines.push(line.to_owned());
            let ended = activation().see(&remote, &mut seen, &mut on_line).await;
            (ended, seen.lines, lines.clone())
        };
        let (ended, count, lines) = follow(&CUT, false).await;
        assert!(matches!(ended, Err(ActivationError::Run(RunError::Lost(_)))));
        assert_eq!((count, lines), (1, vec!["one".to_owned()]));
        let (ended, count, lines) = follow(&REST, true).await;
        assert_eq!(ended.unwrap(), Some(Ended::Exited { stage: Stage::Switch, code: 2 }));
        assert_eq!((count, lines), (3, ["one", "two", SCRIPT_FAILED].map(str::to_owned).to_vec()));
    }

    #[test]
    fn ends_are_read() {
        assert_eq!(parse_end("exited switch 4"), Some(Ended::Exited { stage: Stage::Switch, code: 4 }));
        assert_eq!(parse_end("exited profile 1"), Some(Ended::Exited { stage: Stage::Profile, code: 1 }));
        assert_eq!(parse_end("vanished"), Some(Ended::Vanished));
        assert_eq!(parse_end("running"), None);
    }
}
