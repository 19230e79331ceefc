//! Why a host's part of a run ends before it has reached its goal.

use std::fmt::Display;

use crate::nix::{BuildError, Cache, CopyError, EvalError, Missed, PushError};
use crate::plan::Objection;
use crate::process::Failure;
use crate::remote::{ActivationError, ConnectError, ProbeError, RunError};
use crate::report::{Failed, Outcome, StepName};

/// The end of a host's part before its goal.
#[derive(Clone, Debug)]
pub struct Stop {
    /// How it ended.
    pub outcome: Outcome,
    /// What is told where nothing went wrong.
    pub detail: Option<String>,
    /// What went wrong; none when the user stopped it, or when its wave did not begin.
    pub failed: Option<Box<Failed>>,
}

impl Stop {
    /// The user asked to stop.
    pub fn cancelled() -> Self {
        Self { outcome: Outcome::Cancelled, detail: None, failed: None }
    }

    /// The wave of the host does not begin, for this reason.
    pub fn skipped(reason: &str) -> Self {
        Self { outcome: Outcome::Skipped, detail: Some(reason.to_owned()), failed: None }
    }

    /// Something went wrong in `step`.
    pub fn failed(outcome: Outcome, step: StepName, message: impl Display) -> Self {
        let failed = Failed {
            step,
            message: message.to_string(),
            command: None,
            output: Vec::new(),
            hints: Vec::new(),
            log: None,
        };
        Self { outcome, detail: None, failed: Some(Box::new(failed)) }
    }

    /// What went wrong, in a line.
    pub fn message(&self) -> String {
        let first = self.failed.as_ref().and_then(|failed| failed.message.lines().next().map(str::to_owned));
        first.unwrap_or_else(|| self.outcome.to_string())
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: Option<impl Into<String>>) -> Self {
        if let Some(failed) = &mut self.failed {
            failed.hints.extend(hint.map(Into::into));
        }
        self
    }

    /// Adds the command that was run and the end of what it printed.
    #[must_use]
    pub fn command(mut self, command: &str, output: Vec<String>) -> Self {
        if let Some(failed) = &mut self.failed {
            failed.command = Some(command.to_owned());
            failed.output = output;
        }
        self
    }

    /// Something that speaks against changing a host.
    pub fn objection(step: StepName, objection: Objection) -> Self {
        Self::failed(Outcome::Refused, step, objection.message).hint(Some(objection.hint))
    }

    /// A host that cannot be reached.
    pub fn unreachable(error: &ConnectError) -> Self {
        match error {
            ConnectError::Cancelled => Self::cancelled(),
            error => Self::failed(Outcome::Unreachable, StepName::Probe, error).hint(error.hint()),
        }
    }

    /// A host that does not say what it runs.
    pub fn not_probed(error: &ProbeError) -> Self {
        let hint = match error {
            ProbeError::Run(error) => error.hint().map(str::to_owned),
            ProbeError::NoShell(_) => {
                Some("give the ssh user a login shell such as bash, or set another `user`".to_owned())
            }
        };
        Self::failed(Outcome::Unreachable, StepName::Probe, error).hint(hint)
    }

    /// A configuration that does not evaluate, for want of the file `missed` where that is known.
    pub fn not_evaluated(error: &EvalError, host: &str, missed: Option<&Missed>) -> Self {
        if error.is_cancelled() {
            return Self::cancelled();
        }
        let message = match error {
            EvalError::Nix(failure) if failure.mentions("does not provide attribute") => {
                format!("the flake has no host `{host}`, or `{host}` is no system configuration")
            }
            EvalError::Nix(_) => format!("the configuration of {host} does not evaluate"),
            EvalError::Unexpected { .. } => error.to_string(),
        };
        Self::failed(Outcome::EvalFailed, StepName::Evaluate, message)
            .command(error.command(), error.output())
            .hint(missed.map(Missed::hint))
    }

    /// A toplevel that does not build.
    pub fn not_built(error: &BuildError) -> Self {
        if error.is_cancelled() {
            return Self::cancelled();
        }
        Self::failed(Outcome::BuildFailed, StepName::Build, "the toplevel does not build")
            .command(&error.failure.command, error.output.clone())
            .hint(error.wants_builder().then_some(
                "this machine's Nix has nobody who builds this: have the host build it itself with `build-on = \"target\"` in \
                 hub.toml, name another host there that can, or give Nix a builder for the system with --builders or in its \
                 nix.conf (`nix.buildMachines`)",
            ))
    }

    /// A closure that did not arrive.
    pub fn not_copied(error: &CopyError) -> Self {
        if error.failure.is_cancelled() {
            return Self::cancelled();
        }
        Self::failed(Outcome::CopyFailed, StepName::Copy, error)
            .command(&error.failure.command, error.failure.stderr.clone())
            .hint(error.hint())
    }

    /// A closure that was to be pushed to the cache and was not.
    pub fn not_pushed(error: &PushError, cache: &Cache) -> Self {
        if error.failure().is_some_and(Failure::is_cancelled) {
            return Self::cancelled();
        }
        let message = format!("it is built, and not in the cache {}: {error}", cache.url);
        let stop = Self::failed(Outcome::CopyFailed, StepName::Push, message).hint(error.hint());
        match error.failure() {
            Some(failure) => stop.command(&failure.command, failure.stderr.clone()),
            None => stop,
        }
    }

    /// A script that did not come to its end, in a step that changes nothing.
    pub fn script(outcome: Outcome, step: StepName, error: &RunError) -> Self {
        Self::failed(outcome, step, error).hint(error.hint())
    }

    /// An activation that did not begin.
    pub fn not_activated(error: &ActivationError) -> Self {
        match error {
            ActivationError::Refused(refusal) => {
                Self::failed(Outcome::Refused, StepName::Activate, refusal).hint(Some(refusal.hint()))
            }
            ActivationError::Run(error @ RunError::NotElevated { .. }) => {
                Self::script(Outcome::Refused, StepName::Activate, error)
            }
            ActivationError::Run(error) => Self::script(Outcome::Unknown, StepName::Activate, error),
            ActivationError::NotStarted(_) => Self::failed(Outcome::ActivateFailed, StepName::Activate, error),
        }
    }
}
