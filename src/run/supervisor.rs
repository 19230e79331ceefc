//! The one place that starts the hosts' parts, hears the user's signals, and writes down how each part ended.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::context::{Context, Wants};
use super::course::Course;
use super::fan_out::fan_out;
use super::host::{HostPart, Planned};
use crate::fleet::Host;
use crate::process::{Cancel, Canceller, Level, is_ignored};
use crate::report::{Event, EventSender, HostFinished};

/// Hears Ctrl-C, TERM and HUP, and turns each into the next level of the wish to stop. Ends when dropped. Under `nohup`, HUP
/// means nothing.
#[derive(Debug)]
pub struct Signals(JoinHandle<()>);

impl Signals {
    /// Begins to hear them.
    pub fn listen(canceller: Canceller) -> io::Result<Self> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = if is_ignored(Signal::HUP) { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self(tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = async { hangup.as_mut()?.recv().await }, if hangup.is_some() => {}
                }
                canceller.escalate();
            }
        })))
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Carries out the run and gives how each host's part ended, in the order of the hosts. `on_finished` sees each as it ends, and
/// once more if that turns out not to be its end.
pub async fn execute(context: &Arc<Context>, on_finished: impl FnMut(&HostFinished)) -> Vec<HostFinished> {
    let mut finished = Vec::new();
    let work = |host| {
        let part = HostPart::new(context.clone(), host);
        async move { Box::pin(part.run()).await }
    };
    let (sender, ends) = mpsc::unbounded_channel();
    let parts = fan_out(in_order(context), context.job.parallel, work, move |ended: HostFinished| {
        // The course hears of every end before it ends itself.
        sender.send(ended).ok();
    });
    let course = Course::new(context, ends, on_finished).run();
    announcing(context, async { ((), finished) = tokio::join!(parts, course) }).await;
    finished.sort_by(|a, b| a.host.cmp(&b.host));
    context.connect.close().await;
    finished
}

/// The hosts in the order in which they begin: wave by wave, so that one that waits for its wave waits for none that has not
/// begun. Those whose evaluation took longest the last time come first in theirs, so that no long one is left over at the end;
/// one by one, the order is the user's.
fn in_order(context: &Context) -> Vec<Host> {
    let mut hosts = context.job.hosts.clone();
    if let Wants::Flake(evaluator) = &context.wants
        && context.job.parallel > 1
    {
        hosts.sort_by_cached_key(|host| {
            let last = evaluator.last_cost(host.attribute());
            std::cmp::Reverse(last.map(|cost| cost.duration_ms))
        });
    }
    hosts.sort_by_cached_key(|host| context.job.waves.wave_of(&host.name));
    hosts
}

/// Finds out what the run would do with each host, in the order of their waves and names, and changes nothing.
pub async fn plan(context: &Arc<Context>) -> Vec<Planned> {
    let mut planned = Vec::new();
    let work = |host| {
        let part = HostPart::new(context.clone(), host);
        async move { part.plan().await }
    };
    let all = fan_out(context.job.hosts.clone(), context.job.parallel, work, |one: Planned| planned.push(one));
    announcing(context, all).await;
    planned.sort_by(|a, b| (a.wave, &a.host).cmp(&(b.wave, &b.host)));
    context.connect.close().await;
    planned
}

/// Does `work`, and tells each time that the user asks to stop more urgently.
async fn announcing(context: &Context, work: impl Future<Output = ()>) {
    tokio::select! {
        // First, so that a wish to stop is told also when it ends the work at once.
        biased;
        never = announce(&context.cancel, &context.events) => match never {},
        () = work => {}
    }
}

async fn announce(cancel: &Cancel, events: &EventSender) -> Infallible {
    let mut told = Level::None;
    for level in [Level::Soft, Level::Hard] {
        cancel.reached(level).await;
        let reached = cancel.level();
        if reached > told {
            events.emit(Event::Cancelling { forced: reached == Level::Hard });
            told = reached;
        }
    }
    std::future::pending().await
}
