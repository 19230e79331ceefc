//! Asking hosts what they run, for `hubctl status`. Those that will probably be wanted are asked while the flake is still locked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::hub::this_machine;
use crate::fleet::{Host, HostName};
use crate::process::{Cancel, Level};
use crate::remote::{Ailment, Connect as _, Elevation, Facts, RunError, SshConnector};
use crate::run::{Stop, Tries, check_health, reach, target_of};

/// How much later hosts are asked that did not answer last time: connecting to those that do is work for this machine, which they would
/// share for nothing.
const LATER: Duration = Duration::from_millis(400);

/// The health checks that fail, where they could be run.
pub(super) type Checked = Result<Vec<Ailment>, RunError>;

/// What a host answered, and which of its health checks fail now.
pub(super) type Asked = Result<(Facts, Checked), Stop>;

/// Asks hosts.
pub(super) struct Asker {
    connector: Arc<SshConnector>,
    /// Whether health is checked too.
    pub(super) health: bool,
    pub(super) cancel: Cancel,
    early: Mutex<BTreeMap<HostName, (Host, JoinHandle<Asked>)>>,
    /// Those that did not answer when they were asked last.
    silent: Mutex<BTreeSet<HostName>>,
}

impl Asker {
    /// Asks by `connector`, and those last that were `silent` when they were asked before.
    pub(super) fn new(connector: Arc<SshConnector>, health: bool, silent: BTreeSet<HostName>, cancel: Cancel) -> Self {
        Self { connector, health, cancel, early: Mutex::default(), silent: Mutex::new(silent) }
    }

    /// Whether it goes over the connections of `connector`.
    pub(super) fn goes_over(&self, connector: &Arc<SshConnector>) -> bool {
        Arc::ptr_eq(&self.connector, connector)
    }

    /// Begins to ask hosts whose answers will probably be wanted. One that is not, or of which more is known by then, costs the host
    /// a look.
    pub(super) fn ask_early(self: &Arc<Self>, hosts: Vec<Host>) {
        for host in hosts {
            let (this, one) = (self.clone(), host.clone());
            let asking = tokio::spawn(async move { this.ask_now(&one).await });
            self.early().insert(host.name.clone(), (host, asking));
        }
    }

    /// What a host runs, and which of its health checks fail now.
    pub(super) async fn ask(&self, host: &Host) -> Asked {
        let early = self.early().remove(&host.name);
        if let Some((_, asking)) = early.filter(|(asked, _)| asked == host)
            && let Ok(answer) = asking.await
        {
            return answer;
        }
        self.ask_now(host).await
    }

    async fn ask_now(&self, host: &Host) -> Asked {
        // Once: a host that is asked again and again waits for its turn anyway.
        let was_silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner).remove(&host.name);
        if was_silent {
            self.cancel.unless(Level::Soft, sleep(LATER)).await.ok_or_else(Stop::cancelled)?;
        }
        let target = target_of(host, this_machine().as_deref());
        let platform = host.kind.platform();
        let access = reach(self.connector.as_ref(), &target, Elevation::default(), platform, &self.cancel).await?;
        let checked = if self.health {
            let checking = check_health(host, &target, &access.remote, Tries::One);
            self.cancel.unless(Level::Soft, checking).await.ok_or_else(Stop::cancelled)?
        } else {
            Ok(Vec::new())
        };
        Ok((access.facts, checked))
    }

    /// Ends the connections that are not kept.
    pub(super) async fn close(&self) {
        self.connector.close().await;
    }

    fn early(&self) -> std::sync::MutexGuard<'_, BTreeMap<HostName, (Host, JoinHandle<Asked>)>> {
        self.early.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
