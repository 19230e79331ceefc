//! Reaching a host: a connection, what it runs, and whether commands become root there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::context::Context;
use super::stop::Stop;
use crate::fleet::Host;
use crate::plan::clock_skew;
use crate::process::{Cancel, Level};
use crate::remote::{
    Connect, Connection, Elevate, Elevation, Facts, Platform, ProbeError, Remote, Script, Target, probe,
};
use crate::report::{Outcome, StepName};

/// How long to wait before contact is sought again, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(300), Duration::from_secs(3));

/// A host that answered.
#[derive(Clone, Debug)]
pub struct Access {
    /// The way there.
    pub remote: Remote,
    /// What it runs.
    pub facts: Facts,
    /// By how many seconds its clock is ahead of ours, where that is worth a word.
    pub clock_skew: Option<i64>,
}

/// Connects and asks the host what it runs. A connection from an earlier run that turns out dead is made anew, once. The host is
/// likely of this `platform`; where it says otherwise, that holds.
pub async fn reach(
    connect: &dyn Connect,
    target: &Target,
    elevation: Elevation,
    platform: Platform,
    cancel: &Cancel,
) -> Result<Access, Stop> {
    let asking = async {
        let mut connection = connect.connect(target, cancel).await.map_err(|error| Stop::unreachable(&error))?;
        let reused = connection.is_reused();
        let mut remote = Remote::new(connection, elevation).on(platform);
        let mut asked = Timestamp::now();
        let mut probed = probe(&remote).await;
        if reused && probed.as_ref().is_err_and(ProbeError::is_connection) {
            // One that the host answered over meanwhile is only slow, and others are using it.
            if remote.connection().is_reused() {
                remote.connection().discard().await;
                connection = connect.connect(target, cancel).await.map_err(|error| Stop::unreachable(&error))?;
                remote = remote.over(connection);
            }
            asked = Timestamp::now();
            probed = probe(&remote).await;
        }
        if let Ok(facts) = &probed
            && facts.platform(platform) != platform
        {
            remote = remote.on(facts.platform(platform));
            asked = Timestamp::now();
            probed = probe(&remote).await;
        }
        let facts = probed.map_err(|error| Stop::not_probed(&error))?;
        let remote = remote.with_nix_in(facts.nix_directory.clone());
        let skew_of = |told| clock_skew(asked.as_second(), Timestamp::now().as_second(), told);
        Ok(Access { remote, clock_skew: facts.now.and_then(skew_of), facts })
    };
    tokio::select! {
        access = asking => access,
        () = cancel.reached(Level::Soft) => Err(Stop::cancelled()),
    }
}

impl Context {
    /// Replaces `lost`, a connection to `host`, trying again and again until the host answers; none when time is up or the
    /// user's wish to stop reaches `stop_at`.
    pub(super) async fn reconnect(
        &self,
        host: &Host,
        lost: &dyn Connection,
        until: Instant,
        stop_at: Level,
    ) -> Option<Arc<dyn Connection>> {
        let target = self.target_of(host);
        lost.discard().await;
        let seek = async {
            let mut pause = RETRY.0;
            loop {
                if let Ok(connection) = self.connect.connect(&target, &Cancel::never()).await {
                    return connection;
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(RETRY.1);
            }
        };
        tokio::select! {
            connection = seek => Some(connection),
            () = tokio::time::sleep_until(until.into()) => None,
            () = self.cancel.reached(stop_at) => None,
        }
    }

    /// Reaches `host` as the run needs it: with root where it will activate.
    pub(super) async fn reach(&self, host: &Host) -> Result<Access, Stop> {
        let elevation = self.elevation_of(host);
        let (target, platform) = (self.target_of(host), host.kind.platform());
        let access = reach(self.connect.as_ref(), &target, elevation, platform, &self.cancel).await?;
        if self.job.goal.needs_target() && platform.needs_root() {
            check_root(host, &access).await?;
        }
        Ok(access)
    }
}

/// Whether commands become root on the host, found out before anything is built for it.
pub async fn check_root(host: &Host, access: &Access) -> Result<(), Stop> {
    let refused = |message: String| Stop::failed(Outcome::Refused, StepName::Probe, message);
    if host.elevate == Elevate::None {
        let uid = access.facts.uid.unwrap_or_default();
        if uid == 0 {
            return Ok(());
        }
        let hint = "set `user = \"root\"`, or `elevate = \"sudo\"`, for the host in hub.toml";
        return Err(refused(format!("user id {uid} on {} is not root", host.name)).hint(Some(hint)));
    }
    let script = Script::new("id -u").as_root().deadline(Duration::from_secs(20));
    match access.remote.run(&script).await {
        Ok((_, uid)) if uid == "0" => Ok(()),
        Ok((_, uid)) => Err(refused(format!("{:?} on {} gives user id {uid}, not root", host.elevate, host.name))),
        Err(error) => Err(Stop::script(Outcome::Refused, StepName::Probe, &error)),
    }
}
