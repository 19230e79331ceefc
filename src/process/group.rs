//! The process group that a child lives in, and whatever it starts that does not leave it.
//!
//! Each group is led by a guard: a shell that waits for hubctl's word that all is well, and ends the group when hubctl is
//! gone without a word. The child joins the guard's group as it is spawned, so that there is no moment in which a hubctl that
//! is killed leaves something running. Children that end by themselves at once need no guard, which costs as much as they do.

use std::io;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin, Command};

/// How the guard ends its group: by TERM, and what is left by KILL.
const GUARD: &str = "trap '' HUP INT TERM; read -r _ && exit; kill -TERM 0; sleep 3; kill -KILL 0";

/// A process group that does not outlive this value: whoever drops it early, by an error or by dropping the future that
/// waits, ends the children with it.
#[derive(Debug)]
pub(super) struct Group {
    leader: Pid,
    guard: Option<(Child, ChildStdin)>,
    is_released: bool,
}

impl Group {
    /// A group with a guard and nobody else.
    #[expect(clippy::disallowed_methods, reason = "this is the process layer")]
    pub(super) fn guarded() -> io::Result<Self> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", GUARD]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let mut guard = command.spawn()?;
        let (Some(leader), Some(word)) = (pid_of(&guard), guard.stdin.take()) else {
            return Err(io::Error::other("the shell that guards a child ended at once"));
        };
        Ok(Self { leader, guard: Some((guard, word)), is_released: false })
    }

    /// The group that a child leads itself, without a guard.
    pub(super) fn led_by(child: &Child) -> io::Result<Self> {
        let leader = pid_of(child).ok_or_else(|| io::Error::other("the child has no number any more"))?;
        Ok(Self { leader, guard: None, is_released: false })
    }

    /// The number of the group, for the child to join.
    pub(super) fn id(&self) -> i32 {
        self.leader.as_raw_nonzero().get()
    }

    pub(super) fn signal(&self, signal: Signal) {
        // All of it may have ended by itself meanwhile, which is what the signal is for.
        let _ = kill_process_group(self.leader, signal);
    }

    /// The child ended; what it left running on purpose stays.
    pub(super) async fn release(mut self) {
        self.is_released = true;
        if let Some((_guard, mut word)) = self.guard.take() {
            // A guard that was killed needs no word.
            let _ = word.write_all(b"\n").await;
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.is_released {
            self.signal(Signal::KILL);
        }
    }
}

/// The number of a child that was not waited for yet.
pub(super) fn pid_of(child: &Child) -> Option<Pid> {
    child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
}
