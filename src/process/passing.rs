//! Signals for the program that runs in the foreground, and that reach hubctl in its place.

use std::convert::Infallible;
use std::fs::{self, File};
use std::io;

use rustix::process::{Pid, Signal, getpgrp, kill_process};
use rustix::termios::tcgetpgrp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;

/// What a terminal sends to all that runs in its foreground, and so to the program as well.
const OF_TERMINAL: [Signal; 2] = [Signal::INT, Signal::QUIT];

/// What a program that talks with the user gets: what a terminal sends, it gets by itself.
pub(super) const TO_EDITOR: &[Signal] = &[Signal::TERM];

/// What a program gets that stands for hubctl.
pub(super) const TO_STAND_IN: &[Signal] =
    &[Signal::TERM, Signal::HUP, Signal::USR1, Signal::USR2, Signal::INT, Signal::QUIT];

/// Hears signals for as long as it lives.
pub(super) struct Passing {
    heard: UnboundedReceiver<Signal>,
    passed: &'static [Signal],
    _listening: JoinSet<()>,
}

impl Passing {
    /// Hears those that are to be passed on, and what a terminal sends.
    pub(super) fn listen(passed: &'static [Signal]) -> io::Result<Self> {
        let (sender, heard) = unbounded_channel();
        let mut listening = JoinSet::new();
        // What hubctl ignores, the program is to ignore too, which it would not once somebody listens.
        let mut kinds: Vec<_> = passed.iter().copied().filter(|kind| !is_ignored(*kind)).collect();
        kinds.push(Signal::INT);
        kinds.dedup();
        for kind in kinds {
            let (mut signals, sender) = (signal(SignalKind::from_raw(kind.as_raw()))?, sender.clone());
            listening.spawn(async move { while signals.recv().await.is_some() && sender.send(kind).is_ok() {} });
        }
        Ok(Self { heard, passed, _listening: listening })
    }

    /// Passes on what comes, and never ends.
    pub(super) async fn to(&mut self, program: Option<Pid>) -> Infallible {
        while let Some(signal) = self.heard.recv().await {
            let by_terminal = OF_TERMINAL.contains(&signal) && is_in_front();
            if let Some(program) = program.filter(|_| self.passed.contains(&signal) && !by_terminal) {
                // It may have ended by itself meanwhile, which is what most signals are for.
                let _ = kill_process(program, signal);
            }
        }
        std::future::pending().await
    }
}

/// Whether hubctl runs in the foreground of a terminal, whose signals its children get as well.
fn is_in_front() -> bool {
    let terminal = File::open("/dev/tty").ok();
    terminal.is_some_and(|terminal| tcgetpgrp(&terminal).is_ok_and(|group| group == getpgrp()))
}

/// Whether whoever started this process had it ignore a signal, before anything listened for it. See proc(5).
pub fn is_ignored(signal: Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // The first signal is the lowest bit.
    let bit = 1u64 << (signal.as_raw() - 1);
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & bit != 0)
}
