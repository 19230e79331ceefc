//! What happens in a run, as typed events. Workers emit these and never format text; screens, logs and summaries are
//! folds over them. With `--json` each is one line; `docs/events.md` is their reference.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::outcome::Outcome;
use crate::fleet::HostName;
use crate::nix::StorePath;

/// One thing that happened, and when.
#[derive(Clone, Debug, Serialize)]
pub struct Stamped {
    /// When it happened, in UTC.
    pub time: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// One thing that happened in a run.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Event {
    /// The run's hosts are known and work begins. Always the first event.
    RunStarted {
        /// The deployment's id in `history`; absent when the command records nothing.
        #[serde(skip_serializing_if = "Option::is_none")]
        deployment: Option<String>,
        /// The canonical command, such as `quick-deploy`.
        command: String,
        /// What is to be reached on each host: `build`, `switch`, `boot`, `test`, `dry-activate` or `reboot`.
        goal: String,
        /// The selected hosts, in order.
        hosts: Vec<HostName>,
    },
    /// The flake was locked and copied to the store; every host of the run is evaluated from this one source.
    Source {
        /// The flake as the user named it, resolved.
        flake: String,
        /// The source in the store.
        path: StorePath,
        /// The commit, when the work tree is clean.
        #[serde(skip_serializing_if = "Option::is_none")]
        rev: Option<String>,
        /// Whether the work tree has changes that no commit has.
        dirty: bool,
    },
    /// A wave of hosts began; only in runs of more than one.
    WaveStarted {
        /// Its number, from 1 on.
        wave: usize,
        /// How many waves the run has.
        of: usize,
        /// Its hosts.
        hosts: Vec<HostName>,
        /// Why just these, for a person.
        reason: String,
    },
    /// All hosts of a wave have ended, and its soak is over.
    WaveFinished {
        /// Its number, from 1 on.
        wave: usize,
        /// How many waves the run has.
        of: usize,
        /// Its hosts that failed.
        failed: Vec<HostName>,
        /// Whether too many hosts failed by now, so that no further wave begins.
        stops: bool,
    },
    /// A host began a step.
    StepStarted {
        /// The host.
        host: HostName,
        /// The step.
        step: StepName,
    },
    /// A host ended a step, whatever its end; a failure is told by the host's own end.
    StepFinished {
        /// The host.
        host: HostName,
        /// The step.
        step: StepName,
        /// How long it took, in milliseconds.
        duration_ms: u64,
    },
    /// What a host is to run is known: it was evaluated, or known from before.
    Evaluated {
        /// The host.
        host: HostName,
        /// Whether it was known from before, so that nothing was evaluated.
        cached: bool,
        /// Why it was evaluated, or why it was not, for a person.
        reason: String,
    },
    /// What is to be done with a host, and why, once that is known.
    Decided {
        /// The host.
        host: HostName,
        /// The steps that are left to do, in order.
        steps: Vec<StepName>,
        /// The reason, for a person.
        reason: String,
    },
    /// A derivation of a host begins to be built.
    Building {
        /// The host that it is for.
        host: HostName,
        /// The derivation's name.
        name: String,
        /// The store of the remote builder of Nix that builds it; absent when Nix builds it itself.
        #[serde(skip_serializing_if = "Option::is_none")]
        builder: Option<String>,
    },
    /// How far a build or copy is. Sent at most ten times a second per host.
    Progress {
        /// The host.
        host: HostName,
        /// The step.
        step: StepName,
        /// Derivations or paths done.
        done: u64,
        /// Derivations or paths under way.
        running: u64,
        /// Derivations or paths in all, as far as Nix knows by now.
        expected: u64,
        /// The name of one that is under way.
        #[serde(skip_serializing_if = "Option::is_none")]
        current: Option<String>,
        /// The store of the remote builder that is at that one.
        #[serde(skip_serializing_if = "Option::is_none")]
        builder: Option<String>,
    },
    /// A line that a build or an activation printed.
    Log {
        /// The host.
        host: HostName,
        /// The step.
        step: StepName,
        /// The line, without its end and without terminal escapes.
        line: String,
    },
    /// Something that the user should know and that does not end the host's part.
    Warning {
        /// The host, when it concerns one.
        #[serde(skip_serializing_if = "Option::is_none")]
        host: Option<HostName>,
        /// What it is.
        message: String,
        /// What helps.
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// A host's part ended. Exactly one per host.
    HostFinished(HostFinished),
    /// The user asked to stop.
    Cancelling {
        /// Whether children are killed rather than let come to a safe point.
        forced: bool,
    },
    /// The run ended. Always the last event.
    Summary(Summary),
}

/// A step of a host's part.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepName {
    /// Ask the host what it runs.
    Probe,
    /// Evaluate the host's configuration.
    Evaluate,
    /// Build the toplevel.
    Build,
    /// Push the closure to the hub's cache.
    Push,
    /// Copy the closure to the host, or have the host fetch it from the cache.
    Copy,
    /// Set the profile and switch to the configuration.
    Activate,
    /// Reboot the host and wait until it is back.
    Reboot,
    /// Look at what the host really runs now, and have it keep that or take it back.
    Verify,
    /// Run the health checks, while it is verified.
    Health,
    /// Make the system that runs the boot default.
    Confirm,
    /// Leave the host to itself for a while before the next wave begins, and look whether it is still well.
    Soak,
}

impl StepName {
    /// The step's name, as it stands in every output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Evaluate => "evaluate",
            Self::Build => "build",
            Self::Push => "push",
            Self::Copy => "copy",
            Self::Activate => "activate",
            Self::Reboot => "reboot",
            Self::Verify => "verify",
            Self::Health => "health",
            Self::Confirm => "confirm",
            Self::Soak => "soak",
        }
    }
}

/// The end of one host's part of a run.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct HostFinished {
    /// The host.
    pub host: HostName,
    /// How it ended.
    pub outcome: Outcome,
    /// How long the host's part took, in milliseconds.
    pub duration_ms: u64,
    /// A sentence that says more than the outcome's name, such as what the host runs now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The toplevel that the host ran before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<StorePath>,
    /// The toplevel that the flake wants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<StorePath>,
    /// The Nix system that the toplevel is for, such as `x86_64-linux`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The generation of the system profile after the run, when one was made or found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// How long building took, when there was anything to build, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_ms: Option<u64>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failed>,
}

/// What went wrong with a host.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Failed {
    /// The step in which it went wrong.
    pub step: StepName,
    /// What failed.
    pub message: String,
    /// The command that was run, quoted for a shell; never with a secret in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The end of what the command printed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub output: Vec<String>,
    /// The flags, files or commands that help.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    /// Where the whole output is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
}

/// The end of a run.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Summary {
    /// The exit code.
    pub exit: u8,
    /// How long the run took, in milliseconds.
    pub duration_ms: u64,
    /// How many hosts ended with each outcome; outcomes without a host are left out.
    pub counts: BTreeMap<String, u64>,
    /// Each host's outcome.
    pub hosts: BTreeMap<HostName, Outcome>,
}
