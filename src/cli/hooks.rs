//! Programs that are told of deployments: `[deploy.hooks]` of `hub.toml`.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::hub::{Fleet, Hub, indent};
use crate::error::{Error, Exit, Kind, Result};
use crate::fleet::HostName;
use crate::fleet::config::Hooks as Settings;
use crate::process::{Cancel, Cmd, Failure, Level};
use crate::report::{Event, EventSender, Summary};

/// How long a hook may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// The file of a run's logs that hooks print to. No host has such a name.
const LOG: &str = "@hooks.log";

/// The hooks of a deployment.
pub(super) struct Hooks {
    settings: Settings,
    /// Where they run: the hub's root, where it is on this machine.
    root: Option<PathBuf>,
    logs: PathBuf,
    told: Told,
    cancel: Cancel,
}

/// When a hook runs.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Moment {
    Before,
    After,
    Failed,
}

/// A deployment, as hooks are told of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Told {
    pub(super) deployment: String,
    pub(super) command: String,
    pub(super) goal: String,
    pub(super) operator: String,
    pub(super) flake: String,
    pub(super) rev: Option<String>,
    pub(super) dirty: bool,
    pub(super) hosts: Vec<HostName>,
    pub(super) waves: Vec<Vec<HostName>>,
}

/// What a hook reads.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Document<'a> {
    hook: Moment,
    #[serde(flatten)]
    told: &'a Told,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'a Summary>,
}

impl Hooks {
    /// The hooks of `fleet`, for the deployment that is `told`, whose logs are in `logs`.
    pub(super) fn of(hub: &Hub, fleet: &Fleet, logs: PathBuf, told: Told) -> Self {
        let root = fleet.config.root().map(Path::to_path_buf);
        Self { settings: fleet.config.deploy().hooks, root, logs, told, cancel: hub.cancel.clone() }
    }

    /// Asks the hook `before`. An error is its refusal.
    pub(super) async fn before(&self) -> Result<()> {
        let Some(failure) = self.run(Moment::Before, None).await else { return Ok(()) };
        if failure.is_cancelled() {
            return Err(Error::message(Kind::Cancelled, "stopped; nothing was changed"));
        }
        let output = indent(&failure.stderr);
        let message = format!("the hook `before` of hub.toml did not agree: {failure}\n{output}");
        Err(Error::message(Kind::Refused, message.trim_end()).hint(self.hint()))
    }

    /// Tells the hook `after` or `failed` how the deployment ended. What goes wrong with that is only a warning.
    pub(super) async fn ended(&self, summary: &Summary, exit: Exit, events: &EventSender) {
        let is_well = matches!(exit, Exit::Success | Exit::Degraded);
        let moment = if is_well { Moment::After } else { Moment::Failed };
        if let Some(failure) = self.run(moment, Some(summary)).await {
            let message = format!("the hook `{}` of hub.toml failed: {failure}", moment.as_str());
            events.emit(Event::Warning { host: None, message, hint: Some(self.hint()) });
        }
    }

    /// Runs the hook of a moment, if there is one; gives its failure.
    async fn run(&self, moment: Moment, summary: Option<&Summary>) -> Option<Failure> {
        let words = match moment {
            Moment::Before => &self.settings.before,
            Moment::After => &self.settings.after,
            Moment::Failed => &self.settings.failed,
        };
        let (program, args) = words.split_first()?;
        // What is being told here has happened, also where the user stopped it.
        let stop_at = if matches!(moment, Moment::Before) { Level::Soft } else { Level::Hard };
        let mut cmd = Cmd::new(self.program(program)).args(args).deadline(DEADLINE).stop_at(stop_at);
        if let Some(root) = &self.root {
            cmd = cmd.current_dir(root);
        }
        let cmd = match serde_json::to_vec(&Document { hook: moment, told: &self.told, summary }) {
            Ok(document) => cmd.stdin(document),
            Err(error) => return Some(cmd.failed_to_start(error.into())),
        };
        let mut lines = Vec::new();
        let mut on_line = |line: &str| lines.push(line.to_owned());
        let (stderr, failure) = match cmd.lines(&self.cancel, &mut on_line).await {
            Ok(output) => (output.stderr, None),
            Err(failure) => (failure.stderr.clone(), Some(failure)),
        };
        lines.extend(stderr);
        if let Err(error) = self.write(moment, &lines) {
            tracing::warn!(%error, "what a hook printed is not kept");
        }
        failure
    }

    /// Where to look when a hook failed.
    fn hint(&self) -> String {
        let log = self.log();
        let printed = if log.exists() { format!("; what it printed is in {}", log.display()) } else { String::new() };
        format!("it is set under [deploy.hooks] in hub.toml{printed}")
    }

    /// A program that is named by a path is one of the hub's.
    fn program(&self, program: &str) -> PathBuf {
        match &self.root {
            Some(root) if program.contains('/') => root.join(program),
            _ => program.into(),
        }
    }

    fn log(&self) -> PathBuf {
        self.logs.join(LOG)
    }

    fn write(&self, moment: Moment, lines: &[String]) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        fs::create_dir_all(&self.logs)?;
        let mut file = fs::File::options().create(true).append(true).open(self.log())?;
        lines.iter().try_for_each(|line| writeln!(file, "{:<8} | {line}", moment.as_str()))
    }
}

impl Moment {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
            Self::Failed => "failed",
        }
    }
}
