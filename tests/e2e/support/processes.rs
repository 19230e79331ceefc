//! What a process has started, to see that it does not outlive it.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Processes of this machine, each with the time of its start, since numbers are used again.
#[derive(Debug)]
pub(crate) struct Processes(Vec<Process>);

#[derive(Debug)]
struct Process {
    pid: u32,
    started: u64,
    command: String,
}

impl Processes {
    /// All that `pid` has started and that runs now, and what those have started.
    pub(crate) fn below(pid: u32) -> Self {
        let mut found = Vec::new();
        let mut parents = vec![pid];
        while let Some(parent) = parents.pop() {
            let children = children(parent);
            parents.extend(&children);
            found.extend(children.into_iter().filter_map(Process::of));
        }
        Self(found)
    }

    /// All whose command line has `text`.
    pub(crate) fn with(text: &str) -> Self {
        let pids =
            fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        Self(pids.filter_map(Process::of).filter(|process| process.command.contains(text)).collect())
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them was started by a command line with `text`.
    pub(crate) fn has(&self, text: &str) -> bool {
        self.0.iter().any(|process| process.command.contains(text))
    }

    /// Sends a signal to each that still runs.
    pub(crate) fn signal(&self, signal: &str) {
        for process in self.0.iter().filter(|process| process.runs()) {
            // It may end at this very moment.
            let _ = Command::new("kill").args([&format!("-{signal}"), &process.pid.to_string()]).output();
        }
    }

    /// Waits until none of them runs any more.
    #[track_caller]
    pub(crate) fn assert_gone(self) {
        let begun = Instant::now();
        loop {
            let left: Vec<_> = self.0.iter().filter(|process| process.runs()).collect();
            if left.is_empty() {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(15), "these still run: {left:#?}");
            sleep(Duration::from_millis(50));
        }
    }
}

impl Process {
    fn of(pid: u32) -> Option<Self> {
        let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?.replace('\0', " ");
        Some(Self { pid, started: stat(pid)?.1, command })
    }

    fn runs(&self) -> bool {
        stat(self.pid).is_some_and(|(state, started)| state != "Z" && started == self.started)
    }
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<_>>()).collect()
}

/// A process's state and the time of its start. See proc(5).
fn stat(pid: u32) -> Option<(String, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut words = text.rsplit_once(')')?.1.split_whitespace();
    let state = words.next()?.to_owned();
    Some((state, words.nth(18)?.parse().ok()?))
}
