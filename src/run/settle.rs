//! What an earlier run left on a host: an activation that goes on without it, or the remains of one that ended.

use std::time::{Duration, Instant};

use super::context::Context;
use super::host::HostEvents;
use super::reach::Access;
use super::stop::Stop;
use crate::fleet::Host;
use crate::process::Level;
use crate::remote::{Activator, Remains, Remote, forget, remains, settled};
use crate::report::Outcome;
use crate::state::{RunState, Runs, run_of};

/// How long to wait before a host is asked again that cannot be reached while it activates.
const RETRY: Duration = Duration::from_secs(1);

/// How long an activation that ends without a trace, or begins, may look like one that goes on.
const BEGINS: Duration = Duration::from_secs(2 * 60);

/// After how long nobody asks any more how an activation ended that was begun from elsewhere.
const FORGOTTEN: Duration = Duration::from_secs(24 * 60 * 60);

impl Context {
    /// Reaches `host`. An activation there that hubctl began, and whose run was killed or left it alone, is waited for as long
    /// as an activation may take: what is left to do depends on what came of it.
    pub(super) async fn reach_settled(&self, host: &Host, events: &HostEvents) -> Result<Access, Stop> {
        let mut access = self.reach(host).await?;
        self.check_lock(host, &access.facts)?;
        if access.facts.activating != Some(Activator::Hubctl) {
            return Ok(access);
        }
        events.warning(
            "an activation that hubctl began earlier is under way; it is waited for",
            Some("Ctrl-C stops waiting; the activation goes on"),
        );
        let until = Instant::now() + host.policy.activation_timeout;
        while access.facts.activating == Some(Activator::Hubctl) && Instant::now() < until {
            let settled = settled(&access.remote, until.saturating_duration_since(Instant::now()));
            let waited = self.cancel.unless(Level::Soft, settled).await.ok_or_else(Stop::cancelled)?;
            if waited.is_err() {
                // The activation may have cut the connection; a dead one must not be taken again.
                access.remote.connection().discard().await;
            }
            access = self.reach_again(host, until).await?;
            self.check_lock(host, &access.facts)?;
        }
        Ok(access)
    }

    /// Reaches `host`, again and again until it answers or time is up.
    async fn reach_again(&self, host: &Host, until: Instant) -> Result<Access, Stop> {
        loop {
            match self.reach(host).await {
                Err(stop) if stop.outcome == Outcome::Unreachable && Instant::now() < until => {
                    let pause = self.cancel.unless(Level::Soft, tokio::time::sleep(RETRY)).await;
                    pause.ok_or_else(Stop::cancelled)?;
                }
                reached => return reached,
            }
        }
    }

    /// Removes what runs left that ended without removing it themselves: what remains of activations, and the host's lock. What
    /// cannot be removed does no harm.
    pub(super) async fn tidy(&self, access: &Access, events: &HostEvents) {
        if !access.facts.remains || access.facts.activating.is_some() {
            return;
        }
        self.clear_lock(access, events).await;
        clear_remains(&access.remote, &self.runs).await;
    }
}

/// Removes what remains at `remote` of activations that nobody will ask for any more. What cannot be removed does no harm.
pub async fn clear_remains(remote: &Remote, runs: &Runs) {
    let Ok(found) = remains(remote).await else { return };
    let abandoned = |one: &Remains| is_abandoned(one, runs.state(run_of(&one.id)));
    let ids: Vec<_> = found.into_iter().filter(abandoned).map(|one| one.id).collect();
    if !ids.is_empty() {
        let _ = forget(remote, &ids).await;
    }
}

/// Whether nobody will ask any more how an activation ended.
fn is_abandoned(remains: &Remains, run: RunState) -> bool {
    match run {
        RunState::Live => false,
        RunState::Ended => remains.ended || remains.age > BEGINS,
        RunState::Unknown => remains.age > FORGOTTEN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_may_still_ask_for_is_left() {
        let abandoned = |run, ended, seconds| {
            let age = Duration::from_secs(seconds);
            is_abandoned(&Remains { id: String::new(), ended, age }, run)
        };
        assert!(!abandoned(RunState::Live, true, 1_000_000));
        assert!(abandoned(RunState::Ended, true, 0));
        assert!(!abandoned(RunState::Ended, false, 10));
        assert!(abandoned(RunState::Ended, false, 1000));
        assert!(!abandoned(RunState::Unknown, true, 1000));
        assert!(abandoned(RunState::Unknown, true, 100_000));
    }
}
