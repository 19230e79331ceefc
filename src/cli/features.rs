//! `hubctl features`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::hub::Hub;
use super::select::{HostsOrAll, Parallel};
use crate::error::{Error, Exit, Kind, Result};
use crate::evaluate::Evaluator;
use crate::fleet::{Feature, FeatureProblem, Host, HostName, check_features, unknown_features};
use crate::nix::{EvalError, FeatureLook};
use crate::report::{Cell, Output, Style, Table};
use crate::run::fan_out;

/// Shows which hosts have which features, and whether what each host has goes together.
///
/// A feature is a boolean option below `features`, as the hub's own modules declare it. Beside its type, a declaration may say what the
/// feature requires, what it conflicts with and to which roles or tags it belongs. Exits with 1 if that does not hold somewhere.
#[derive(Args, Debug)]
pub(super) struct FeaturesArgs {
    #[command(flatten)]
    hosts: HostsOrAll,
    #[command(flatten)]
    parallel: Parallel,
}

/// The features of hosts: what each host has of them, and what is wrong with that.
#[derive(Debug, Default)]
pub(super) struct Featured {
    /// Every feature, with what it says of others.
    pub(super) features: BTreeMap<String, Feature>,
    /// What each host has enabled.
    pub(super) enabled: BTreeMap<HostName, BTreeSet<String>>,
    /// What is wrong with that.
    pub(super) wrong: BTreeMap<HostName, Vec<FeatureProblem>>,
    /// Names that no feature has.
    pub(super) unknown: Vec<FeatureProblem>,
    /// Hosts of which it is not known.
    pub(super) failed: Vec<(HostName, EvalError)>,
}

impl Featured {
    /// Whether all of it holds together.
    pub(super) fn is_well(&self) -> bool {
        self.unknown.is_empty() && self.failed.is_empty() && self.wrong.values().all(Vec::is_empty)
    }

    fn add(&mut self, host: &Host, looked: BTreeMap<String, FeatureLook>) {
        let enabled = looked.iter().filter(|(_, feature)| feature.enabled).map(|(name, _)| name.clone()).collect();
        let features: BTreeMap<_, _> = looked.into_iter().map(|(name, feature)| (name, said(feature))).collect();
        let groups = host.role.iter().chain(&host.tags).cloned().collect();
        self.wrong.insert(host.name.clone(), check_features(&features, &enabled, &groups));
        self.enabled.insert(host.name.clone(), enabled);
        for (name, feature) in features {
            // Hosts may import different modules: what any of them says counts.
            let known = self.features.entry(name).or_default();
            known.requires.extend(feature.requires);
            known.conflicts.extend(feature.conflicts);
            known.belongs_to.extend(feature.belongs_to);
        }
    }
}

fn said(feature: FeatureLook) -> Feature {
    Feature {
        requires: feature.requires.into_iter().collect(),
        conflicts: feature.conflicts.into_iter().collect(),
        belongs_to: feature.belongs_to.into_iter().collect(),
    }
}

/// Evaluates what `hosts` have, as far as that is not known already, so many at once.
pub(super) async fn featured(
    hub: &Hub,
    evaluator: &Arc<Evaluator>,
    hosts: &[Host],
    parallel: usize,
) -> Result<Featured> {
    let mut all = Featured::default();
    let look = |host: Host| {
        let (evaluator, cancel) = (evaluator.clone(), hub.cancel.clone());
        async move {
            let looked = evaluator.features(host.attribute(), &cancel).await;
            (host, looked)
        }
    };
    fan_out(hosts.iter().cloned(), parallel, look, |(host, looked)| match looked {
        Ok(looked) => all.add(&host, looked),
        Err(error) => all.failed.push((host.name, error)),
    })
    .await;
    hub.not_stopped()?;
    all.failed.sort_by(|(a, _), (b, _)| a.cmp(b));
    all.unknown = unknown_features(&all.features);
    Ok(all)
}

pub(super) async fn run(hub: &Hub, args: FeaturesArgs) -> Result<Exit> {
    let (fleet, evaluator) = hub.load().await?;
    let hosts = args.hosts.select(hub, &fleet.inventory)?;
    let parallel = args.parallel.by_default(&fleet.config);
    let all = featured(hub, &evaluator, &hosts, parallel).await?;
    let written =
        if hub.ui.output() == Output::Json { hub.ui.data_json(&told(&all)) } else { hub.ui.table(&table(&all)) };
    written.map_err(|error| Error::new(Kind::Failed, error))?;
    tell_wrong(hub, &all);
    if all.features.is_empty() && all.failed.is_empty() {
        let hint = "a feature is a boolean option below `features`: `options.features.docker.enable = lib.mkEnableOption \"Docker\";`";
        hub.ui.warning("no host has an option below `features`", Some(hint));
    }
    Ok(if all.is_well() { Exit::Success } else { Exit::Failed })
}

fn tell_wrong(hub: &Hub, all: &Featured) {
    for problem in &all.unknown {
        hub.ui.warning(&problem.to_string(), None);
    }
    for (host, problems) in &all.wrong {
        for problem in problems {
            hub.ui.warning(&format!("{host}: {problem}"), None);
        }
    }
    for (host, error) in &all.failed {
        hub.ui.warning(
            &format!("{host}: its features cannot be read: {error}"),
            Some(&format!("`{}` shows the same", error.command())),
        );
    }
}

fn table(all: &Featured) -> Table {
    let hosts: Vec<_> = all.enabled.keys().map(HostName::as_str).collect();
    let header = ["FEATURE"].into_iter().chain(hosts).chain(["REQUIRES", "CONFLICTS WITH", "BELONGS TO"]);
    let mut table = Table::with_header(header);
    let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
    for (name, feature) in &all.features {
        let has = all.enabled.values().map(|enabled| {
            if enabled.contains(name) { Cell::styled(Style::Ok, "yes") } else { Cell::styled(Style::Dim, "-") }
        });
        let said = [&feature.requires, &feature.conflicts, &feature.belongs_to].map(|names| Cell::from(list(names)));
        table.row([Cell::styled(Style::Bold, name.clone())].into_iter().chain(has).chain(said));
    }
    table
}

fn told(all: &Featured) -> Value {
    let features: BTreeMap<_, _> = all
        .features
        .iter()
        .map(|(name, feature)| {
            let hosts: Vec<_> =
                all.enabled.iter().filter(|(_, has)| has.contains(name)).map(|(host, _)| host).collect();
            let Feature { requires, conflicts, belongs_to } = feature;
            (name, json!({ "hosts": hosts, "requires": requires, "conflicts": conflicts, "belongs-to": belongs_to }))
        })
        .collect();
    let of_hosts =
        all.wrong.iter().flat_map(|(host, problems)| problems.iter().map(move |problem| (Some(host), problem)));
    let problems = of_hosts.chain(all.unknown.iter().map(|problem| (None, problem)));
    let problems =
        problems.map(|(host, problem)| json!({ "host": host, "what": problem, "message": problem.to_string() }));
    let failed = all.failed.iter().map(|(host, error)| json!({ "host": host, "message": error.to_string() }));
    json!({
        "features": features,
        "problems": problems.collect::<Vec<_>>(),
        "failed": failed.collect::<Vec<_>>(),
    })
}
