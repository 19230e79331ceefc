//! Having a host's lock for as long as a part changes it, and telling a lock that is held from one that was left behind.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::context::Context;
use super::host::{HostEvents, HostPart, Reached};
use super::reach::Access;
use super::stop::Stop;
use crate::fleet::Host;
use crate::process::Level;
use crate::remote::{
    Broken, Facts, Lock, LockError, Remote, RunError, Standing, Taken, break_lock, keep_lock, release_lock, take_lock,
};
use crate::report::units::{elapsed, local_time};
use crate::report::{Outcome, StepName};
use crate::state::{RunState, Runs};

/// How often a host is shown that the owner of its lock is there.
const KEEP_EVERY: Duration = Duration::from_secs(15);

/// After how many seconds without that, a lock is taken for one that was left behind.
const LEASE: u64 = 90;

/// How long contact is sought when it is lost while the lock is taken.
const PATIENCE: Duration = Duration::from_secs(30);

/// A host's lock that is ours. The host is shown that we are there until this value goes.
#[derive(Debug)]
pub struct HostLock {
    id: String,
    remote: Remote,
    keeper: JoinHandle<()>,
}

/// Whose a lock is that a host shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Holder {
    /// This run's.
    Ours,
    /// That of a run that goes on, as far as is known.
    Somebody,
    /// Nobody's any more: its run was killed, or is cut off for good.
    Nobody,
}

/// Whose `lock` is, seen by the run `ours`. `run` is what is known here of the run that took it.
pub fn holder(lock: &Lock, ours: &str, run: RunState) -> Holder {
    match run {
        _ if lock.id == ours => Holder::Ours,
        RunState::Ended => Holder::Nobody,
        RunState::Unknown if lock.age > LEASE => Holder::Nobody,
        RunState::Live | RunState::Unknown => Holder::Somebody,
    }
}

/// Who has a lock, since when and by which deployment, for a person.
pub fn held_since(lock: &Lock) -> String {
    format!("{} since {} (deployment {})", lock.owner, local_time(lock.since), lock.id)
}

impl HostLock {
    fn new(id: String, remote: Remote) -> Self {
        let keeping = {
            let (id, remote) = (id.clone(), remote.clone());
            async move {
                loop {
                    tokio::time::sleep(KEEP_EVERY).await;
                    // While the connection is lost there is nobody to show it to; the lease is long enough for that.
                    let _ = keep_lock(&remote, &id).await;
                }
            }
        };
        Self { id, remote, keeper: tokio::spawn(keeping) }
    }

    /// Takes the lock of the host at `remote` for the run `id` of `owner`, for work other than a deployment.
    pub async fn take(remote: &Remote, id: &str, owner: &str, runs: &Runs) -> Result<Self, String> {
        loop {
            let held = match take_lock(remote, id, owner).await {
                Ok(Taken::Ours(_)) => return Ok(Self::new(id.to_owned(), remote.clone())),
                Ok(Taken::Held(held)) => held,
                Err(error) => return Err(error.to_string()),
            };
            let is_left = holder(&held, id, runs.state(&held.id)) == Holder::Nobody;
            if !is_left || !matches!(break_lock(remote, &held, true).await, Ok(Broken::Gone)) {
                return Err(format!("it is locked by {}", held_since(&held)));
            }
        }
    }

    /// Gives it back.
    pub async fn release(self) {
        // One that is not given back is found abandoned.
        let _ = release_lock(&self.remote, &self.id).await;
    }

    /// The deployment that has it.
    pub(super) fn id(&self) -> &str {
        &self.id
    }
}

impl Drop for HostLock {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl HostPart {
    /// Gives the host's lock back at the part's end, unless that was done on the way. A host on which an activation may go on
    /// keeps it.
    pub(super) async fn unlock(&mut self, ended: &Result<Reached, Stop>) {
        let Some(lock) = self.lock.take() else { return };
        if !ended.as_ref().is_err_and(|stop| stop.outcome == Outcome::Unknown) {
            let cancel = self.context.cancel.clone();
            let _ = cancel.unless(Level::Hard, release_lock(&lock.remote, &lock.id)).await;
        }
    }
}

impl Context {
    /// Declines a host that somebody else deploys to.
    pub(super) fn check_lock(&self, host: &Host, facts: &Facts) -> Result<(), Stop> {
        match &facts.lock {
            Some(lock) if self.holder(lock) == Holder::Somebody => Err(locked(host, lock)),
            _ => Ok(()),
        }
    }

    fn holder(&self, lock: &Lock) -> Holder {
        holder(lock, &self.job.id, self.runs.state(&lock.id))
    }

    /// Removes a lock that was left behind on a host where nothing goes on any more.
    pub(super) async fn clear_lock(&self, access: &Access, events: &HostEvents) {
        if let Some(lock) = &access.facts.lock
            && self.holder(lock) == Holder::Nobody
        {
            // What does not succeed is told when the lock is needed.
            let _ = take_over(&access.remote, lock, events).await;
        }
    }

    /// Takes the lock of `host`, and gives what it runs now.
    pub(super) async fn lock(
        &self,
        host: &Host,
        access: &Access,
        events: &HostEvents,
    ) -> Result<(HostLock, Standing), Stop> {
        let until = Instant::now() + PATIENCE;
        let mut remote = access.remote.clone();
        loop {
            let asked = take_lock(&remote, &self.job.id, &self.job.operator).await;
            let held = match asked {
                Ok(Taken::Ours(standing)) => return Ok((HostLock::new(self.job.id.clone(), remote), standing)),
                Ok(Taken::Held(held)) => held,
                Err(LockError::Run(error @ (RunError::Lost(_) | RunError::TimedOut(_)))) => {
                    let found = self.reconnect(host, remote.connection(), until, Level::Soft).await;
                    if self.cancel.is_requested() {
                        return Err(Stop::cancelled());
                    }
                    let lost = || Stop::script(Outcome::Unreachable, StepName::Probe, &error);
                    remote = remote.over(found.ok_or_else(lost)?);
                    continue;
                }
                Err(error) => return Err(Stop::failed(Outcome::Refused, StepName::Probe, error)),
            };
            if self.holder(&held) != Holder::Nobody || !take_over(&remote, &held, events).await {
                return Err(locked(host, &held));
            }
        }
    }
}

/// Removes a lock that is nobody's any more, and says so. Gives whether there is none now.
async fn take_over(remote: &Remote, lock: &Lock, events: &HostEvents) -> bool {
    let is_gone = matches!(break_lock(remote, lock, true).await, Ok(Broken::Gone));
    if is_gone {
        let silent = elapsed(Duration::from_secs(lock.age));
        let message = format!(
            "the lock of {} was left behind: its run ended, or was not heard of for {silent}; it is taken over",
            held_since(lock)
        );
        events.warning(message, None);
    }
    is_gone
}

fn locked(host: &Host, lock: &Lock) -> Stop {
    let hint = format!(
        "wait for that deployment to end; if its run is gone for good, `hubctl lock break {}` removes the lock",
        host.name
    );
    let message = format!("{} is locked by {}", host.name, held_since(lock));
    Stop::failed(Outcome::Refused, StepName::Probe, message).hint(Some(hint))
}

/// Waits for a lock and for what is built meanwhile. What is built for a host that cannot be locked, or that is not as
/// `decided`, is of no use, and ends.
pub(super) async fn beside<L, B>(
    locking: impl Future<Output = Result<L, Stop>>,
    decided: impl Fn(&L) -> bool,
    building: impl Future<Output = B>,
) -> (Result<L, Stop>, Option<B>) {
    tokio::pin!(locking, building);
    tokio::select! {
        locked = &mut locking => {
            let goes_on = locked.as_ref().is_ok_and(decided);
            let built = if goes_on { Some(building.await) } else { None };
            (locked, built)
        }
        // The host may have made the lock by now, so that its answer is waited for whatever became of the build.
        built = &mut building => (locking.await, Some(built)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_until_its_run_is_known_to_have_ended_or_its_lease_is_over() {
        let of =
            |id: &str, age, run| holder(&Lock { id: id.to_owned(), owner: String::new(), since: 0, age }, "b", run);
        assert_eq!(of("b", 1000, RunState::Live), Holder::Ours);
        assert_eq!(of("a", 1000, RunState::Live), Holder::Somebody);
        assert_eq!(of("a", 0, RunState::Ended), Holder::Nobody);
        assert_eq!(of("a", LEASE, RunState::Unknown), Holder::Somebody);
        assert_eq!(of("a", LEASE + 1, RunState::Unknown), Holder::Nobody);
    }
}
