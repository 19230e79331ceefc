//! Shell scripts run at a target: their own exit code, whatever the connection makes of it, and root where asked.

use std::sync::Arc;
use std::time::Duration;

use super::connection::{Connection, Lost};
use super::elevate::{Elevate, Elevation};
use super::platform::Platform;
use crate::nix::StoreUri;
use crate::process::LineSink;

/// What every script prints last, with its exit code. Without this line its end is not known: ssh says 255 both for a lost
/// connection and for a command that exits with it.
const END: &str = "hubctl-end:";

/// A POSIX shell script to run at a target.
#[derive(Clone, Debug)]
pub struct Script {
    text: String,
    root: bool,
    deadline: Duration,
}

impl Script {
    /// A script that runs as the user of the connection, with a deadline of 60 s.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), root: false, deadline: Duration::from_secs(60) }
    }

    /// Runs it as root, where the platform has any use for that.
    #[must_use]
    pub fn as_root(mut self) -> Self {
        self.root = true;
        self
    }

    /// Gives it another deadline.
    #[must_use]
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.deadline = limit;
        self
    }

    fn words(&self, elevation: &Elevation, root: bool) -> Vec<String> {
        let prefix: &[&str] = if root { elevation.how.prefix(elevation.password.is_some()) } else { &[] };
        // The subshell keeps an `exit` of the script from skipping the line that tells its code.
        let whole = format!("(\n{}\n)\nprintf '\\n{END}%d\\n' $?", self.text);
        prefix.iter().copied().chain(["sh", "-c", &whole]).map(str::to_owned).collect()
    }
}

/// A script that ran to its end.
#[derive(Clone, Debug, Default)]
pub struct Ran {
    /// Its exit code.
    pub code: i32,
    /// The end of what it printed on standard error.
    pub stderr: String,
}

/// Why nothing is known of a script's end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The connection broke.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// It took longer than it may; it may still be running there.
    #[error("the host did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// It did not become root.
    #[error("`{program}` on the host refuses: {said}")]
    NotElevated {
        /// The program that was to give it root.
        program: &'static str,
        /// What that program said.
        said: String,
    },
}

impl RunError {
    /// What helps.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Lost(_) | Self::TimedOut(_) => None,
            Self::NotElevated { program: "sudo", .. } => Some(
                "hubctl asks for the sudo password in a terminal and takes it from --sudo-password-file otherwise; or allow \
                 the user `NOPASSWD`",
            ),
            Self::NotElevated { .. } => {
                Some("allow the user to become root without a password, or set `user = \"root\"`")
            }
        }
    }
}

/// A target with a connection to it, a way to become root there, and the way that systems are run there.
#[derive(Clone, Debug)]
pub struct Remote {
    connection: Arc<dyn Connection>,
    elevation: Elevation,
    platform: Platform,
    nix_directory: Option<String>,
}

impl Remote {
    /// A target at the other end of `connection`.
    pub fn new(connection: Arc<dyn Connection>, elevation: Elevation) -> Self {
        Self { connection, elevation, platform: Platform::default(), nix_directory: None }
    }

    /// The same target, of this platform.
    #[must_use]
    pub fn on(self, platform: Platform) -> Self {
        Self { platform, ..self }
    }

    /// The same target, on which Nix's programs are in this directory and not on the search path.
    #[must_use]
    pub fn with_nix_in(self, nix_directory: Option<String>) -> Self {
        Self { nix_directory, ..self }
    }

    /// The same target over another connection.
    #[must_use]
    pub fn over(&self, connection: Arc<dyn Connection>) -> Self {
        Self { connection, ..self.clone() }
    }

    /// The same target with another way to become root.
    #[must_use]
    pub fn elevated_by(&self, elevation: Elevation) -> Self {
        Self { elevation, ..self.clone() }
    }

    /// The connection.
    pub fn connection(&self) -> &dyn Connection {
        self.connection.as_ref()
    }

    /// How commands become root there.
    pub fn becomes(&self) -> Elevate {
        self.elevation.how
    }

    /// How systems are run there.
    pub fn platform(&self) -> Platform {
        self.platform
    }

    /// The target's store; none when it is this machine's own.
    pub fn store(&self) -> Option<StoreUri> {
        let store = self.connection.store()?;
        Some(StoreUri { programs: self.nix_directory.clone(), ..store })
    }

    /// A script that may use what the platform has in its own way, and that finds Nix's programs.
    pub fn script(&self, text: &str) -> Script {
        Script::new(self.platform.dialect() + text)
    }

    /// Runs a script and gives its output as one text.
    pub async fn run(&self, script: &Script) -> Result<(Ran, String), RunError> {
        let mut stdout = String::new();
        let ran = self
            .run_lines(script, &mut |line| {
                stdout.push_str(line);
                stdout.push('\n');
            })
            .await?;
        stdout.truncate(stdout.trim_end().len());
        Ok((ran, stdout))
    }

    /// Runs a script and gives each line of its output to `on_line` as it comes.
    pub async fn run_lines(&self, script: &Script, on_line: LineSink<'_>) -> Result<Ran, RunError> {
        let mut code = None;
        // An empty line is held back until another one follows: the last one is not the script's, but stands before its end.
        let mut held = false;
        let mut watch = |line: &str| {
            if let Some(number) = line.strip_prefix(END) {
                code = number.trim().parse().ok();
                return;
            }
            if std::mem::replace(&mut held, line.is_empty()) {
                on_line("");
            }
            if !line.is_empty() {
                on_line(line);
            }
        };
        let root = script.root && self.platform.needs_root();
        let words = script.words(&self.elevation, root);
        let password = self.elevation.password.as_ref().filter(|_| root);
        let executed = tokio::time::timeout(script.deadline, self.connection.execute(&words, password, &mut watch))
            .await
            .map_err(|_| RunError::TimedOut(script.deadline))??;
        match code {
            Some(code) => Ok(Ran { code, stderr: executed.stderr }),
            None => Err(self.unended(root, executed.code, &executed.stderr)),
        }
    }

    fn unended(&self, root: bool, code: Option<i32>, stderr: &str) -> RunError {
        let program = match self.elevation.how {
            Elevate::None => None,
            Elevate::Sudo => Some("sudo"),
            Elevate::Doas => Some("doas"),
            Elevate::Run0 => Some("run0"),
        };
        let said = || stderr.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no reason given").to_owned();
        match (program, code) {
            // ssh's own 255 is the only code that may mean a lost connection.
            (Some(program), Some(code)) if root && code != 255 => RunError::NotElevated { program, said: said() },
            _ => Lost(said()).into(),
        }
    }
}
