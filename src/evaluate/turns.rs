//! How many evaluations run at once: bounded by cores, and by the memory that each is remembered to need.

use std::fs;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::state::Cost;

/// What an evaluation is taken to need that was never measured, in MiB. A NixOS system of some size needs about as much.
const UNKNOWN: u32 = 1024;

/// What every evaluation is taken to need at least, in MiB: a peak is sampled, and the beginning may be missed.
const LEAST: u32 = 64;

/// The places that evaluations take while they run.
#[derive(Debug)]
pub(super) struct Turns {
    cores: Semaphore,
    jobs: u32,
    memory: Semaphore,
    /// In MiB.
    available: u32,
}

/// A place; given back when dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    _cores: SemaphorePermit<'a>,
    _memory: SemaphorePermit<'a>,
}

impl Turns {
    /// At most `jobs` at once, in the memory that is available now.
    pub(super) fn new(jobs: usize) -> Self {
        Self::within(jobs, available_memory().unwrap_or(u32::MAX / 2))
    }

    fn within(jobs: usize, available: u32) -> Self {
        let jobs = u32::try_from(jobs.max(1)).unwrap_or(u32::MAX).min(1024);
        // A tenth is left to everything else.
        let available = (available - available / 10).clamp(1, u32::MAX / 16);
        Self { cores: Semaphore::new(jobs as usize), jobs, memory: Semaphore::new(available as usize), available }
    }

    /// Waits for a place for an evaluation that cost as much the last time. One that needs more than there is runs alone.
    pub(super) async fn take(&self, last: Option<Cost>) -> Option<Turn<'_>> {
        let peak =
            last.and_then(|cost| cost.peak_kib).map_or(UNKNOWN, |kib| u32::try_from(kib / 1024).unwrap_or(u32::MAX));
        self.take_many(1, peak.max(LEAST).min(self.available)).await
    }

    /// Waits until nothing else is evaluated.
    pub(super) async fn alone(&self) -> Option<Turn<'_>> {
        self.take_many(self.jobs, self.available).await
    }

    /// The semaphores are never closed, so there is always a turn in the end.
    async fn take_many(&self, cores: u32, memory: u32) -> Option<Turn<'_>> {
        let cores = self.cores.acquire_many(cores).await.ok()?;
        let memory = self.memory.acquire_many(memory).await.ok()?;
        Some(Turn { _cores: cores, _memory: memory })
    }
}

/// The memory that can be had without swapping, in MiB. Source: proc(5), `MemAvailable`.
fn available_memory() -> Option<u32> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    u32::try_from(kib / 1024).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(mib: u64) -> Cost {
        Cost { duration_ms: 1, peak_kib: Some(mib * 1024) }
    }

    fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn cores_and_memory_both_bound_what_runs_at_once() {
        let turns = Turns::within(3, 10_000);
        let first = at_once(turns.take(Some(cost(4_000)))).unwrap();
        let second = at_once(turns.take(Some(cost(4_000)))).unwrap();
        assert!(at_once(turns.take(Some(cost(4_000)))).is_none(), "the memory is taken");
        let third = at_once(turns.take(Some(cost(100)))).unwrap();
        assert!(at_once(turns.take(Some(cost(100)))).is_none(), "the cores are taken");
        drop((first, second, third));
        let large = at_once(turns.take(Some(cost(50_000)))).unwrap();
        assert!(at_once(turns.take(Some(cost(100)))).is_none(), "one that needs more than there is runs alone");
        drop(large);
        let alone = at_once(turns.alone()).unwrap();
        assert!(at_once(turns.take(Some(cost(100)))).is_none());
        drop(alone);
        assert!(at_once(turns.take(None)).is_some());
    }
}
