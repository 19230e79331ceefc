//! A command to run, as a value, and the two ways of running it: for its output, or in the foreground.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use super::cancel::{Cancel, Level};
use super::child;
use super::failure::{End, Failure};
use super::lines::LineSink;
use super::passing;
use super::quote::shell_quote;

/// A command to run. It inherits the environment but for what is set or removed here.
#[derive(Clone, Debug)]
pub struct Cmd {
    pub(super) program: OsString,
    pub(super) args: Vec<OsString>,
    pub(super) env: Vec<(OsString, Option<OsString>)>,
    pub(super) cwd: Option<PathBuf>,
    pub(super) stdin: Zeroizing<Vec<u8>>,
    pub(super) deadline: Option<Duration>,
    pub(super) stop_at: Level,
    pub(super) view: Option<(PathBuf, PathBuf)>,
    pub(super) ends_by_itself: bool,
}

/// What a child that succeeded left.
#[derive(Debug, Default)]
pub struct Output {
    /// All of its standard output.
    pub stdout: Vec<u8>,
    /// The last lines of its standard error.
    pub stderr: Vec<String>,
}

impl Output {
    /// Standard output as text, without white space at its ends.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim().to_owned()
    }
}

impl Cmd {
    /// A command without arguments, with empty standard input and without a deadline, which the first Ctrl-C stops.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: None,
            stdin: Zeroizing::default(),
            deadline: None,
            stop_at: Level::Soft,
            view: None,
            ends_by_itself: false,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of the environment.
    #[must_use]
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((key.into(), Some(value.into())));
        self
    }

    /// Removes a variable of the environment.
    #[must_use]
    pub fn env_remove(mut self, key: impl Into<OsString>) -> Self {
        self.env.push((key.into(), None));
        self
    }

    /// Makes paths in variables of the environment whole, for a command that is run in another directory.
    #[must_use]
    pub fn absolute_env(mut self, keys: &[&str]) -> Self {
        for key in keys {
            let value = std::env::var_os(key).map(PathBuf::from).filter(|value| value.is_relative());
            if let Some(whole) = value.and_then(|value| std::path::absolute(value).ok()) {
                self = self.env(*key, whole);
            }
        }
        self
    }

    /// Runs it in `dir`.
    #[must_use]
    pub fn current_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cwd = Some(dir.into());
        self
    }

    /// What it reads on standard input; wiped from memory afterwards, since it may be a secret.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Zeroizing::new(bytes.into());
        self
    }

    /// Stops it when it runs longer than this.
    #[must_use]
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.deadline = Some(limit);
        self
    }

    /// Nobody watches over it for the case that hubctl is killed: it ends by itself at once, and changes nothing.
    #[must_use]
    pub fn ends_by_itself(mut self) -> Self {
        self.ends_by_itself = true;
        self
    }

    /// Only a wish to stop of this level stops it.
    #[must_use]
    pub fn stop_at(mut self, level: Level) -> Self {
        self.stop_at = level;
        self
    }

    /// Gives it a view of `directory` of its own, which [`Self::output_watched`] lets somebody watch. `empty` is an empty
    /// directory. Linux only; where the kernel does not allow it, the command fails to start.
    #[must_use]
    pub fn own_view(mut self, directory: impl Into<PathBuf>, empty: impl Into<PathBuf>) -> Self {
        self.view = Some((directory.into(), empty.into()));
        self
    }

    /// The command line, quoted for a shell.
    pub fn display(&self) -> String {
        let quoted = |word: &OsStr| shell_quote(&word.to_string_lossy()).into_owned();
        std::iter::once(quoted(&self.program))
            .chain(self.args.iter().map(|arg| quoted(arg)))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Runs it and collects its output; anything but exit code 0 is a [`Failure`].
    pub async fn output(&self, cancel: &Cancel) -> Result<Output, Failure> {
        self.output_with(cancel, |_| ()).await
    }

    /// Like [`Self::output`], and gives each line of standard error to `on_line` as it comes.
    pub async fn output_with(&self, cancel: &Cancel, mut on_line: impl FnMut(&str) + Send) -> Result<Output, Failure> {
        child::captured(self, cancel, child::Sinks::stderr(&mut on_line), None).await
    }

    /// Like [`Self::output_with`], and calls `on_start` with the child's process id when its view is set up and before its
    /// program begins.
    pub async fn output_watched(
        &self,
        cancel: &Cancel,
        mut on_line: impl FnMut(&str) + Send,
        on_start: impl FnOnce(u32) + Send,
    ) -> Result<Output, Failure> {
        let on_start: child::OnStart<'_> = Box::new(on_start);
        child::captured(self, cancel, child::Sinks::stderr(&mut on_line), Some(on_start)).await
    }

    /// Runs it and gives each line of standard output to `on_line` as it comes, instead of collecting it.
    pub async fn lines(&self, cancel: &Cancel, on_line: LineSink<'_>) -> Result<Output, Failure> {
        let sinks = child::Sinks { stdout: Some(on_line), stderr: &mut |_| () };
        child::captured(self, cancel, sinks, None).await
    }

    /// Runs it in the foreground, with hubctl's own terminal: for programs that talk with the user. Ctrl-C is theirs.
    pub async fn foreground(&self) -> Result<(), Failure> {
        child::foreground(self, passing::TO_EDITOR).await
    }

    /// Runs it in hubctl's place, with its terminal, its input and its output: whoever has started hubctl, and sends it signals, means
    /// this program.
    pub async fn stand_in(&self) -> Result<(), Failure> {
        child::foreground(self, passing::TO_STAND_IN).await
    }

    /// The failure of a command that could not be started for a reason of hubctl's own, such as a file it needs.
    pub fn failed_to_start(&self, error: std::io::Error) -> Failure {
        self.failure(End::Io(error), Vec::new())
    }

    pub(super) fn failure(&self, end: End, stderr: Vec<String>) -> Failure {
        Failure { command: self.display(), end, stderr }
    }
}
