//! Where hosts' parts wait for the turn of their wave.

use std::pin::pin;
use std::sync::Arc;

use tokio::sync::watch;

use super::context::Context;
use super::stop::Stop;
use crate::process::Level;

/// Lets the hosts of a wave through once it has begun. Opened by whoever conducts the waves, awaited by the hosts' parts.
#[derive(Debug, Default)]
pub struct Gate(watch::Sender<Opened>);

/// How far the waves are.
#[derive(Clone, Debug, Default)]
struct Opened {
    /// How many waves have begun.
    begun: usize,
    /// Why no further one begins.
    stopped: Option<Arc<str>>,
}

impl Opened {
    /// Whether a wave may go on; none while that is not known.
    fn turn(&self, wave: usize) -> Option<Result<(), Stop>> {
        if wave < self.begun { Some(Ok(())) } else { self.stopped.as_deref().map(|reason| Err(Stop::skipped(reason))) }
    }
}

impl Gate {
    /// Has the wave of this number begin, which goes from 0 on.
    pub(super) fn begin(&self, wave: usize) {
        self.0.send_modify(|opened| opened.begun = opened.begun.max(wave + 1));
    }

    /// Has no further wave begin.
    pub(super) fn stop(&self, reason: &str) {
        self.0.send_modify(|opened| opened.stopped = Some(reason.into()));
    }

    /// Ends a part whose wave will not begin, once that is known.
    pub(super) fn check(&self, wave: usize) -> Result<(), Stop> {
        self.0.borrow().turn(wave).unwrap_or(Ok(()))
    }

    /// Waits until it is known whether the hosts of `wave` have their turn.
    async fn turn(&self, wave: usize) -> Result<(), Stop> {
        let mut opened = self.0.subscribe();
        let known = opened.wait_for(|opened| opened.turn(wave).is_some()).await;
        // The gate outlives those who wait at it, so that there is always an answer.
        known.ok().and_then(|opened| opened.turn(wave)).unwrap_or_else(|| Err(Stop::cancelled()))
    }
}

impl Context {
    /// Waits until `wave` has begun, if there is one to wait for. An error where it will not, or where the user stops the run first.
    pub(super) async fn turn(&self, wave: Option<usize>) -> Result<(), Stop> {
        let Some(wave) = wave else { return Ok(()) };
        self.cancel.unless(Level::Soft, self.gate.turn(wave)).await.unwrap_or_else(|| Err(Stop::cancelled()))
    }
}

/// Goes on with `work` until it is its `turn`, and gives the rest of it. Work that fails before ends the wait.
pub(super) async fn meanwhile<T>(
    turn: impl Future<Output = Result<(), Stop>>,
    work: impl Future<Output = Result<T, Stop>>,
) -> Result<impl Future<Output = Result<T, Stop>>, Stop> {
    let (mut turn, mut work) = (pin!(turn), Box::pin(work));
    let done = tokio::select! {
        // Where nothing is to be waited for, nothing is begun here.
        biased;
        turn = &mut turn => turn.map(|()| None)?,
        done = &mut work => {
            let done = done?;
            turn.await?;
            Some(done)
        }
    };
    Ok(async move {
        match done {
            Some(done) => Ok(done),
            None => work.await,
        }
    })
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;
    use crate::report::{Outcome, StepName};

    fn skipped(turn: Result<(), Stop>) -> Option<String> {
        turn.err().and_then(|stop| stop.detail)
    }

    #[tokio::test]
    async fn a_wave_waits_for_its_turn_and_what_was_let_through_stays_so() {
        let gate = Gate::default();
        gate.begin(0);
        assert!(gate.turn(0).await.is_ok());
        let (second, ()) = tokio::join!(gate.turn(1), async {
            tokio::task::yield_now().await;
            assert!(gate.check(1).is_ok());
            gate.begin(1);
        });
        assert!(second.is_ok());
        gate.stop("p510 failed");
        assert!(gate.turn(1).await.is_ok());
        assert_eq!(skipped(gate.turn(2).await).as_deref(), Some("p510 failed"));
        assert_eq!((skipped(gate.check(1)), skipped(gate.check(2)).as_deref()), (None, Some("p510 failed")));
    }

    #[tokio::test]
    async fn work_goes_on_while_its_turn_is_waited_for() {
        let skip = async { Err(Stop::skipped("p510 failed")) };
        let (work, fails) =
            (async { Ok(7) }, async { Err::<u8, _>(Stop::failed(Outcome::BuildFailed, StepName::Build, "no")) });
        assert!(meanwhile(pending(), fails).await.is_err_and(|stop| stop.outcome == Outcome::BuildFailed));
        assert!(
            meanwhile(skip, pending::<Result<u8, Stop>>()).await.is_err_and(|stop| stop.outcome == Outcome::Skipped)
        );
        assert_eq!(meanwhile(ready(Ok(())), work).await.ok().unwrap().await.ok(), Some(7));
        let late = async {
            tokio::task::yield_now().await;
            Ok(())
        };
        assert_eq!(meanwhile(late, ready(Ok(7))).await.ok().unwrap().await.ok(), Some(7));
    }
}
