//! Asking hosts again and again, each at its own pace: one that does not answer keeps no other waiting.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::driver::Report;
use super::update::Msg;
use crate::cli::looker::{Looker, Seen};
use crate::fleet::Host;

/// What asks hosts. Dropping it ends that.
pub(super) struct Asking {
    looker: watch::Sender<Arc<Looker>>,
    wake: Arc<Notify>,
    tasks: JoinSet<()>,
    every: Duration,
    turns: Arc<Semaphore>,
    reports: mpsc::UnboundedSender<Report>,
}

/// What asks one host.
struct Asker {
    host: Host,
    looker: watch::Receiver<Arc<Looker>>,
    wake: Arc<Notify>,
    every: Duration,
    turns: Arc<Semaphore>,
    reports: mpsc::UnboundedSender<Report>,
}

impl Asking {
    /// Asks nobody yet. Each host will be left alone for `every` between two questions, and so many are asked at once.
    pub(super) fn new(looker: Looker, every: Duration, at_once: usize, reports: mpsc::UnboundedSender<Report>) -> Self {
        let (looker, _) = watch::channel(Arc::new(looker));
        let (wake, turns) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(at_once)));
        Self { looker, wake, tasks: JoinSet::new(), every, turns, reports }
    }

    /// Asks these hosts, and no others any more.
    pub(super) fn ask(&mut self, hosts: impl IntoIterator<Item = Host>) {
        self.tasks = JoinSet::new();
        for host in hosts {
            let (looker, wake) = (self.looker.subscribe(), self.wake.clone());
            let (every, turns, reports) = (self.every, self.turns.clone(), self.reports.clone());
            let asker = Asker { host, looker, wake, every, turns, reports };
            self.tasks.spawn(asker.run());
        }
    }

    /// Asks all hosts now that are not being asked.
    pub(super) fn ask_now(&self) {
        self.wake.notify_waiters();
    }

    /// What hosts are looked at with.
    pub(super) fn looker(&self) -> Arc<Looker> {
        self.looker.borrow().clone()
    }

    /// Looks at hosts with another looker from their next turn on.
    pub(super) fn look_with(&self, looker: Looker) {
        self.looker.send_replace(Arc::new(looker));
    }
}

impl Asker {
    async fn run(self) {
        loop {
            let looker = self.looker.borrow().clone();
            self.once(&looker).await;
            tokio::select! {
                () = tokio::time::sleep(self.every) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    /// Asks, and tells what the host answers as soon as it does, also while what the flake wants is still being found out.
    async fn once(&self, looker: &Looker) {
        let wanting = looker.wanted(&self.host);
        let asking = async {
            // The semaphore is never closed.
            let _turn = self.turns.acquire().await;
            self.tell(Msg::Asking(self.host.name.clone()));
            looker.asker.ask(&self.host).await
        };
        tokio::pin!(wanting);
        tokio::pin!(asking);
        let (mut seen, wanted) = tokio::select! {
            biased;
            wanted = &mut wanting => (looker.answered(&self.host, asking.await).await, wanted),
            asked = &mut asking => {
                let seen = looker.answered(&self.host, asked).await;
                self.seen(seen.clone(), true);
                (seen, wanting.await)
            }
        };
        looker.compare(&self.host, &mut seen, wanted).await;
        self.seen(seen, false);
    }

    fn seen(&self, seen: Seen, comparing: bool) {
        self.tell(Msg::Seen { seen: Box::new(seen), comparing });
    }

    fn tell(&self, message: Msg) {
        // Who reads it is there for as long as this task is.
        self.reports.send(Report::Happened(message)).ok();
    }
}
