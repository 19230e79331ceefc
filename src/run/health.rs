//! The health checks of hosts: whether what runs there does what it is there for.

use std::sync::Arc;
use std::time::Duration;

use super::activate::Contact;
use super::context::Context;
use super::host::HostPart;
use super::stop::Stop;
use crate::fleet::Host;
use crate::remote::{
    Ailment, Check, Claim, Elevation, LocalConnection, Place, Remote, RunError, Target, longest, run_checks,
};
use crate::report::{Outcome, StepName};

/// How many of the checks that failed are named in a sentence.
const NAMED: usize = 3;

/// How often a check is tried.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tries {
    /// As often as `hub.toml` says, since what was just started may need its time.
    All,
    /// Once, to see how it is now.
    One,
}

/// Runs the health checks of `host`, which is at `target`, over `remote` and from this machine, and gives those that fail. Side by
/// side and as the user of the connection, in one round trip.
pub async fn check_health(
    host: &Host,
    target: &Target,
    remote: &Remote,
    tries: Tries,
) -> Result<Vec<Ailment>, RunError> {
    let checks = host.health.iter().map(|check| located(check.clone(), target, tries));
    let (there, here): (Vec<_>, Vec<_>) = checks.partition(|check| check.from == Place::Host);
    let machine = Remote::new(Arc::new(LocalConnection), Elevation::default());
    let from_here = async {
        let ran = run_checks(&machine, &here).await;
        // What this machine cannot run says nothing of the connection to the host.
        ran.unwrap_or_else(|error| here.iter().map(|check| check.ailment(&error.to_string())).collect())
    };
    let (found, found_here) = tokio::join!(run_checks(remote, &there), from_here);
    let mut found = found?;
    found.extend(found_here);
    Ok(found)
}

/// The check as it is run. From this machine, the host itself is where ssh finds it.
fn located(mut check: Check, target: &Target, tries: Tries) -> Check {
    if let (Claim::Tcp { host: host @ None, .. }, Place::Operator, Target::Ssh(ssh)) =
        (&mut check.what, check.from, target)
    {
        *host = Some(ssh.host.clone());
    }
    if tries == Tries::One { check.once() } else { check }
}

impl Context {
    /// Runs the health checks of `host` over a connection of its own.
    pub async fn health_of(&self, host: &Host, tries: Tries) -> Result<Vec<Ailment>, Stop> {
        let access = self.reach(host).await?;
        let checked = check_health(host, &self.target_of(host), &access.remote, tries).await;
        checked.map_err(|error| Stop::script(Outcome::Unreachable, StepName::Health, &error))
    }
}

impl Tries {
    /// How long the checks of a host may take.
    pub(super) fn longest(self, host: &Host) -> Duration {
        match self {
            Self::All => longest(&host.health),
            Self::One => host.health.iter().cloned().map(|check| check.once().longest()).max().unwrap_or_default(),
        }
    }
}

/// Runs the health checks of a part's host, over as many connections as it takes; none when it is not reached again.
pub(super) async fn see_health(part: &HostPart, mut contact: Contact, tries: Tries) -> Option<(Contact, Vec<Ailment>)> {
    let target = part.context.target_of(&part.host);
    contact.until += tries.longest(&part.host);
    loop {
        match check_health(&part.host, &target, &contact.remote, tries).await {
            Ok(ailments) => return Some((contact, ailments)),
            Err(RunError::Lost(_) | RunError::TimedOut(_)) => contact = contact.regain(part).await?,
            Err(RunError::NotElevated { .. }) => return None,
        }
    }
}

/// What is wrong, in a sentence's part.
pub(super) fn complaint(ailments: &[Ailment]) -> String {
    let named: Vec<_> = ailments.iter().take(NAMED).map(ToString::to_string).collect();
    let more = ailments.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(", and {more} more checks failed") } else { String::new() };
    format!("health checks failed: {}{more}", named.join(", "))
}

/// What is live and stays, and is not well.
pub(super) fn unhealthy(ailments: &[Ailment]) -> Stop {
    let message = format!("the system is live, but {}", complaint(ailments));
    Stop::failed(Outcome::Unhealthy, StepName::Health, message).hint(Some(
        "`hubctl status HOST` runs the checks again, `hubctl rollback HOST` brings the last generation back",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::SshTarget;

    fn tcp(from: Place) -> Check {
        let second = Duration::from_secs(1);
        let what = Claim::Tcp { host: None, port: 22 };
        Check { name: None, what, from, timeout: second, retries: 3, every: second }
    }

    #[test]
    fn from_here_a_host_is_where_ssh_finds_it() {
        let ssh = Target::Ssh(SshTarget { host: "p510.lan".to_owned(), user: None, port: None });
        let host = |from, target: &Target| match located(tcp(from), target, Tries::All).what {
            Claim::Tcp { host, .. } => host,
            _ => None,
        };
        assert_eq!(host(Place::Operator, &ssh).as_deref(), Some("p510.lan"));
        assert_eq!(host(Place::Operator, &Target::Local), None);
        assert_eq!(host(Place::Host, &ssh), None);
        assert_eq!(located(tcp(Place::Host), &ssh, Tries::One).retries, 0);
    }

    #[test]
    fn a_complaint_names_a_few() {
        let ailment = tcp(Place::Host).ailment("refused");
        assert_eq!(complaint(std::slice::from_ref(&ailment)), "health checks failed: TCP port 22: refused");
        assert!(complaint(&vec![ailment; 5]).ends_with(", and 2 more checks failed"));
    }
}
