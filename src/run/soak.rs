//! Whether hosts that were just deployed are still well some time later.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::context::Context;
use super::fan_out::fan_out;
use super::health::{Tries, check_health, complaint};
use crate::fleet::{FailedUnits, Host, HostName};
use crate::remote::{Ailment, Facts};
use crate::report::Outcome;

/// How many hosts are asked at once.
const AT_ONCE: usize = 64;

/// How hosts stood when they were last looked at after an activation.
#[derive(Debug, Default)]
pub struct LastSeen(Mutex<BTreeMap<HostName, Facts>>);

impl LastSeen {
    pub(super) fn note(&self, host: &HostName, facts: &Facts) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(host.clone(), facts.clone());
    }

    fn of(&self, host: &HostName) -> Option<Facts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(host).cloned()
    }
}

/// What came of a look at a host: how it ended after all, and why; none where it is still well.
pub(super) type Findings = BTreeMap<HostName, (Outcome, String)>;

/// What a host says of itself, and the health checks that it fails.
struct Look {
    facts: Facts,
    ailments: Vec<Ailment>,
}

/// Asks the hosts how they stand, and gives those that are not well any more.
pub(super) async fn look_again(context: &Arc<Context>, hosts: Vec<Host>) -> Findings {
    let mut findings = Findings::new();
    let work = |host: Host| {
        let context = context.clone();
        async move {
            let looked = look(&context, &host).await;
            let found = finding(context.seen.of(&host.name).as_ref(), &looked, &host);
            (host.name, found)
        }
    };
    fan_out(hosts, AT_ONCE, work, |(host, found)| findings.extend(found.map(|found| (host, found)))).await;
    findings
}

async fn look(context: &Context, host: &Host) -> Result<Look, String> {
    let access = context.reach(host).await.map_err(|stop| stop.message())?;
    let checked = check_health(host, &context.target_of(host), &access.remote, Tries::All).await;
    Ok(Look { ailments: checked.map_err(|error| error.to_string())?, facts: access.facts })
}

/// What is wrong with a host that stood so `before` a while, and so `after` it. Units that failed meanwhile are treated as if they
/// had failed when they were started.
fn finding(before: Option<&Facts>, after: &Result<Look, String>, host: &Host) -> Option<(Outcome, String)> {
    let unhealthy = |why: String| Some((Outcome::Unhealthy, why));
    let Look { facts, ailments } = match after {
        Ok(look) => look,
        Err(why) => return unhealthy(format!("it does not answer any more: {why}")),
    };
    let before = before?;
    if facts.boot_id != before.boot_id {
        return unhealthy("it went down and came back".to_owned());
    }
    if facts.current != before.current {
        let runs = facts.current.as_ref().map_or("no known system", |path| path.as_str());
        return unhealthy(format!("it runs {runs} by now"));
    }
    if !ailments.is_empty() {
        return unhealthy(complaint(ailments));
    }
    let new: Vec<_> = facts.failed_units.iter().filter(|unit| !before.failed_units.contains(unit)).cloned().collect();
    let why = format!("units failed: {}", new.join(", "));
    match host.policy.on_failed(&new, &before.failed_units) {
        _ if new.is_empty() => None,
        FailedUnits::Tolerate => Some((Outcome::Degraded, why)),
        FailedUnits::Fail | FailedUnits::Rollback => Some((Outcome::Unhealthy, why)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::fleet::config::HubToml;
    use crate::fleet::{FlakeHosts, Inventory};

    fn look(failed: &[&str], boot: &str) -> Look {
        let failed_units = failed.iter().map(|unit| (*unit).to_owned()).collect();
        let facts = Facts { failed_units, boot_id: Some(boot.to_owned()), ..Facts::default() };
        Look { facts, ailments: Vec::new() }
    }

    fn host(settings: &str) -> Host {
        let hub = HubToml::parse(&format!("[hosts.a]\n{settings}"), Path::new("hub.toml")).unwrap();
        let flake = FlakeHosts { nixos: vec!["a".to_owned()], ..FlakeHosts::default() };
        let (inventory, _) = Inventory::new(Some(&hub), &flake).unwrap();
        inventory.get(&"a".parse().unwrap()).unwrap().clone()
    }

    #[test]
    fn only_what_went_wrong_since_is_found() {
        let before = look(&["old.service"], "1").facts;
        let found = |after: Result<Look, String>, settings: &str| finding(Some(&before), &after, &host(settings));
        let unhealthy = |why: &str| Some((Outcome::Unhealthy, why.to_owned()));
        let worse = || Ok(look(&["old.service", "web.service"], "1"));
        assert_eq!(found(Ok(look(&["old.service"], "1")), ""), None);
        assert_eq!(found(worse(), ""), Some((Outcome::Degraded, "units failed: web.service".to_owned())));
        assert_eq!(found(worse(), "failed-units = 'fail'"), unhealthy("units failed: web.service"));
        assert_eq!(found(Ok(look(&[], "2")), ""), unhealthy("it went down and came back"));
        assert_eq!(found(Err("no route".to_owned()), ""), unhealthy("it does not answer any more: no route"));
        let ailment = host("health.tcp = [22]").health[0].ailment("refused");
        let ill = Look { ailments: vec![ailment], ..look(&[], "1") };
        assert_eq!(found(Ok(ill), ""), unhealthy("health checks failed: TCP port 22: refused"));
    }
}
