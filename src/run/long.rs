//! Commands on other machines that take long and are told line by line: builds, and what hosts fetch for themselves.

use std::time::Duration;

use crate::process::{Cancel, Level};
use crate::remote::{Ran, Remote, RunError, Script};

/// How long a command may take.
const DEADLINE: Duration = Duration::from_secs(24 * 60 * 60);

/// How long it may take to stop.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// A command that takes long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Long<'a> {
    /// The command, a simple one of the shell.
    pub(super) command: &'a str,
    /// Whether root runs it.
    pub(super) root: bool,
}

impl Long<'_> {
    /// Runs it, with each line that it prints for `on_line`. None where the user asked to stop, which stops it there as well.
    pub(super) async fn run(
        self,
        remote: &Remote,
        cancel: &Cancel,
        mut on_line: impl FnMut(&str) + Send,
    ) -> Option<Result<Ran, RunError>> {
        let script = self.script(remote, &format!(include_str!("long.sh"), command = self.command)).deadline(DEADLINE);
        let mut pid = None;
        let mut sort = |line: &str| match line.strip_prefix("hubctl-long:") {
            Some(word) => pid = pid.or_else(|| word.parse::<u32>().ok()),
            None => on_line(line),
        };
        let ended = cancel.unless(Level::Soft, remote.run_lines(&script, &mut sort)).await;
        if let (None, Some(pid)) = (&ended, pid) {
            let kill = format!("kill {pid} && while kill -0 {pid} 2>/dev/null; do sleep 0.1; done");
            // Where this fails the command there ends by itself, since nobody listens any more.
            let _ = remote.run(&self.script(remote, &kill).deadline(STOP_DEADLINE)).await;
        }
        ended
    }

    fn script(self, remote: &Remote, text: &str) -> Script {
        let script = remote.script(text);
        if self.root { script.as_root() } else { script }
    }
}
