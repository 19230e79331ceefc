//! What is known of a host: what it runs, against what the flake wants, against who deployed it.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex as Lock, PoisonError};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::{Mutex, OnceCell};

use super::status_ask::{Asked, Asker};
use crate::evaluate::Evaluator;
use crate::fleet::{Host, HostName};
use crate::nix::{FlakeRef, StorePath};
use crate::plan::{Deployed, Drift, Sought, drifts};
use crate::remote::{Ailment, Facts};
use crate::report::Outcome;
use crate::state::{Filter, State};

/// How many deployments are looked at for what made a host what it is.
const LOOKED_AT: u32 = 300;

/// What looking at hosts needs.
pub(super) struct Looker {
    pub(super) asker: Arc<Asker>,
    evaluator: Option<Arc<Evaluator>>,
    flake: FlakeRef,
    records: Records,
    /// What the flake wants for each host: evaluated once, also where that fails.
    wanted: Lock<BTreeMap<HostName, Arc<OnceCell<Wanted>>>>,
    /// What is known of revisions: each is looked up once.
    orders: Mutex<BTreeMap<String, Option<Ordering>>>,
}

/// The deployments that changed each host, newest first.
pub(super) type Records = Arc<BTreeMap<String, Vec<Record>>>;

/// The system that the flake wants for a host, or why that is not known.
pub(super) type Wanted = std::result::Result<StorePath, String>;

/// A deployment that changed a host.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Record {
    /// The deployment's id.
    pub(super) id: String,
    pub(super) operator: String,
    pub(super) at: Timestamp,
    #[serde(skip)]
    command: String,
    #[serde(skip)]
    deployed: Deployed,
}

/// What is known of a host.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Seen {
    pub(super) host: HostName,
    pub(super) reachable: bool,
    /// The main one of the drifts.
    pub(super) drift: Option<Drift>,
    pub(super) drifts: Vec<Drift>,
    pub(super) wanted: Option<StorePath>,
    #[serde(flatten)]
    pub(super) facts: Option<Facts>,
    /// The deployment from here that made the host run what it runs.
    pub(super) deployed: Option<Record>,
    /// How many health checks were run.
    pub(super) checks: Option<usize>,
    pub(super) failed_checks: Vec<Ailment>,
    pub(super) errors: Vec<String>,
}

/// The deployments that changed each host. Without history, none is known.
pub(super) fn records(state: &State) -> Records {
    let filter = Filter { limit: Some(LOOKED_AT), ..Filter::default() };
    let mut records = BTreeMap::<_, Vec<Record>>::new();
    for mut deployment in state.deployments(&filter).unwrap_or_default() {
        for (host, record) in std::mem::take(&mut deployment.hosts) {
            let Some(toplevel) = record.wanted.filter(|_| record.outcome.is_some_and(Outcome::changed_host)) else {
                continue;
            };
            records.entry(host).or_default().push(Record {
                id: deployment.id.clone(),
                operator: deployment.operator.clone(),
                at: deployment.started,
                command: deployment.command.clone(),
                deployed: Deployed { toplevel, rev: deployment.rev.clone() },
            });
        }
    }
    Arc::new(records)
}

impl Looker {
    /// Looks at hosts that `asker` asks; without an evaluator, what the flake wants stays open.
    pub(super) fn new(asker: Arc<Asker>, evaluator: Option<Arc<Evaluator>>, flake: FlakeRef, records: Records) -> Self {
        Self { asker, evaluator, flake, records, wanted: Lock::default(), orders: Mutex::default() }
    }

    /// The same, with what was deployed since.
    pub(super) fn with_records(&self, records: Records) -> Self {
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let fresh = Self::new(self.asker.clone(), self.evaluator.clone(), self.flake.clone(), records);
        Self { wanted: Lock::new(wanted), ..fresh }
    }

    /// The same for another source of the flake, of which nothing is known yet.
    pub(super) fn with_flake(&self, evaluator: Arc<Evaluator>, flake: FlakeRef, records: Records) -> Self {
        Self::new(self.asker.clone(), Some(evaluator), flake, records)
    }

    /// What evaluates the flake, where something does.
    pub(super) fn evaluator(&self) -> Option<&Arc<Evaluator>> {
        self.evaluator.as_ref()
    }

    /// All that is known of a host.
    pub(super) async fn look(&self, host: Host) -> Seen {
        let (asked, wanted) = tokio::join!(self.asker.ask(&host), self.wanted(&host));
        let mut seen = self.answered(&host, asked).await;
        self.compare(&host, &mut seen, wanted).await;
        seen
    }

    /// What is known of a host by its own answer alone.
    pub(super) async fn answered(&self, host: &Host, asked: Asked) -> Seen {
        let (mut errors, mut failed_checks) = (Vec::new(), Vec::new());
        let mut checks = None;
        let facts = match asked {
            Ok((facts, checked)) => {
                match checked {
                    Ok(found) => (failed_checks, checks) = (found, self.asker.health.then_some(host.health.len())),
                    Err(error) => errors.push(format!("its health was not checked: {error}")),
                }
                Some(facts)
            }
            Err(stop) => {
                errors.extend(stop.failed.map(|failed| failed.message));
                None
            }
        };
        let records = self.records_of(&host.name);
        let runs = facts.as_ref().and_then(Facts::system);
        let deployed = records.iter().find(|record| Some(&record.deployed.toplevel) == runs).cloned();
        let (name, reachable) = (host.name.clone(), facts.is_some());
        let mut seen = Seen {
            host: name,
            reachable,
            drift: None,
            drifts: Vec::new(),
            wanted: None,
            facts,
            deployed,
            checks,
            failed_checks,
            errors,
        };
        self.judge(&mut seen, None).await;
        seen
    }

    /// Adds what the flake wants for the host, and how it differs from that.
    pub(super) async fn compare(&self, host: &Host, seen: &mut Seen, wanted: Option<Wanted>) {
        seen.wanted = wanted.and_then(|wanted| wanted.map_err(|error| seen.errors.push(error)).ok());
        self.judge(seen, host.specialisation.as_deref()).await;
    }

    async fn judge(&self, seen: &mut Seen, specialisation: Option<&str>) {
        let Some(facts) = &seen.facts else { return };
        let sought = seen.wanted.as_ref().map(|toplevel| Sought { toplevel, specialisation });
        seen.drifts = self.drifts(sought, facts, self.records_of(&seen.host)).await;
        seen.drift = Some(seen.drifts.first().copied().unwrap_or(Drift::None));
    }

    fn records_of(&self, host: &HostName) -> &[Record] {
        self.records.get(host.as_str()).map(Vec::as_slice).unwrap_or_default()
    }

    async fn drifts(&self, sought: Option<Sought<'_>>, facts: &Facts, records: &[Record]) -> Vec<Drift> {
        // What was gone back to is older than its record.
        let deployed: Vec<_> =
            records.iter().filter(|record| record.command != "rollback").map(|one| one.deployed.clone()).collect();
        let mut orders = BTreeMap::new();
        if sought.is_some_and(|sought| !sought.runs(facts) && !sought.boots(facts)) {
            let made_it = deployed.iter().filter(|one| Some(&one.toplevel) == facts.system());
            for rev in made_it.filter_map(|one| one.rev.as_deref()) {
                if let Some(order) = self.order(rev).await {
                    orders.insert(rev, order);
                }
            }
        }
        drifts(sought, facts, &deployed, |rev| orders.get(rev).copied())
    }

    /// Whether a revision is later than the flake at hand.
    async fn order(&self, rev: &str) -> Option<Ordering> {
        let mut orders = self.orders.lock().await;
        if let Some(known) = orders.get(rev) {
            return *known;
        }
        let order = self.flake.order_of(rev, &self.asker.cancel).await;
        orders.insert(rev.to_owned(), order);
        order
    }

    /// What the flake wants for a host; none where nothing is evaluated.
    pub(super) async fn wanted(&self, host: &Host) -> Option<Wanted> {
        let evaluator = self.evaluator.as_ref()?;
        let answer = {
            let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
            wanted.entry(host.name.clone()).or_default().clone()
        };
        let evaluate = async || {
            let evaluated = evaluator.system(host.attribute(), &self.asker.cancel, &mut |_| ()).await;
            evaluated
                .map(|answer| answer.value.out)
                .map_err(|error| format!("the configuration does not evaluate: {error}"))
        };
        Some(answer.get_or_init(evaluate).await.clone())
    }
}
