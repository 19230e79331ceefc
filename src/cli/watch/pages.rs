//! What the tabs of a host's page have, found out when they are opened.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::page::{Means, Row, Rows, Tab};
use crate::cli::change_list::text;
use crate::cli::compare::{AskUnits, Compared, Comparer, Side};
use crate::cli::generations::{made, marks};
use crate::cli::history::{command, milliseconds, outcome, revision};
use crate::cli::hub::{Fleet, Hub, this_machine};
use crate::error::Result;
use crate::evaluate::Evaluator;
use crate::fleet::Host;
use crate::process::Cancel;
use crate::remote::{Connect, Elevation, Remote, Unit, follow_log, generations, units};
use crate::report::units::local_minute;
use crate::report::{Cell, Palette, Style, cleaned};
use crate::run::{Access, reach, target_of};
use crate::state::{Deployment, Filter, State};

/// How many deployments of a host are listed.
const LISTED: u32 = 200;

/// What finding out about a host takes.
#[derive(Clone)]
pub(super) struct Finder {
    connect: Arc<dyn Connect>,
    comparer: Arc<Comparer>,
    evaluator: Option<Arc<Evaluator>>,
    state: Arc<State>,
    host: Host,
}

/// What is found, or why nothing is.
pub(super) type Found = std::result::Result<Rows, String>;

impl Finder {
    pub(super) fn new(
        hub: &Hub,
        fleet: &Fleet,
        connect: Arc<dyn Connect>,
        evaluator: Option<Arc<Evaluator>>,
        host: Host,
    ) -> Result<Self> {
        let comparer = Arc::new(Comparer::new(hub, fleet, AskUnits::IfThere, BTreeMap::new())?);
        let (state, _) = hub.state()?;
        Ok(Self { connect, comparer, evaluator, state, host })
    }

    /// What a tab has.
    pub(super) async fn find(self, tab: Tab) -> Found {
        match tab {
            Tab::Units => self.units().await,
            Tab::Diff => self.diff().await,
            Tab::History => self.history().await,
            Tab::Generations => self.generations().await,
            Tab::Overview | Tab::Log => Ok(Rows::default()),
        }
    }

    /// Follows the host's log, or that of a unit, and gives why that ended.
    pub(super) async fn follow(self, unit: Option<String>, mut on_line: impl FnMut(String) + Send) -> String {
        let remote = match self.reach().await {
            Ok(access) => access.remote,
            Err(why) => return why,
        };
        let mut cleanly = |line: &str| on_line(cleaned(line).into_owned());
        match follow(&remote, unit.as_deref(), &mut cleanly).await {
            Ok(()) => "the host has no more of it".to_owned(),
            Err(why) => why,
        }
    }

    async fn reach(&self) -> std::result::Result<Access, String> {
        let target = target_of(&self.host, this_machine().as_deref());
        let elevation = Elevation { how: self.host.elevate, password: None };
        let platform = self.host.kind.platform();
        let access = reach(self.connect.as_ref(), &target, elevation, platform, &Cancel::never()).await;
        access.map_err(|stop| stop.message())
    }

    async fn units(&self) -> Found {
        let found = units(&self.reach().await?.remote).await.map_err(|error| error.to_string())?;
        let found = found.ok_or("no systemd runs on the host, so nothing is known of its units")?;
        Ok(Rows { header: vec!["UNIT", "ACTIVE", "STATE", "DESCRIPTION"], rows: found.iter().map(unit).collect() })
    }

    async fn generations(&self) -> Found {
        let Access { remote, facts, .. } = self.reach().await?;
        let found = generations(&remote).await.map_err(|error| error.to_string())?;
        let row = |one: &crate::remote::Generation| Row {
            cells: vec![
                one.number.to_string().into(),
                made(one).into(),
                one.version.as_deref().unwrap_or("-").into(),
                one.toplevel.short_hash().into(),
                Cell::styled(Style::Changed, marks(one, &facts).join(", ")),
            ],
            means: Some(Means::Generation(one.number)),
        };
        let header = vec!["GENERATION", "MADE", "VERSION", "SYSTEM", "NOTE"];
        // The newest are what people look for.
        Ok(Rows { header, rows: found.iter().rev().map(row).collect() })
    }

    async fn history(&self) -> Found {
        let filter = Filter { host: Some(self.host.name.clone()), limit: Some(LISTED), ..Filter::default() };
        let state = self.state.clone();
        let read = tokio::task::spawn_blocking(move || state.deployments(&filter).map_err(|error| error.to_string()));
        let found = read.await.map_err(|error| error.to_string())??;
        let rows = found.iter().filter_map(|one| deployment(one, self.host.name.as_str())).collect();
        Ok(Rows { header: vec!["WHEN", "OUTCOME", "GEN", "COMMAND", "REVISION", "BY", "TOOK"], rows })
    }

    async fn diff(&self) -> Found {
        let Some(evaluator) = self.evaluator.clone() else {
            return Err("with --no-eval, what the flake wants is not known".to_owned());
        };
        let compared = self.comparer.all(vec![self.host.clone()], &Side::Running, &Side::Flake(evaluator)).await;
        match compared.iter().find_map(|one| one.error.clone()) {
            Some(error) => Err(error),
            None => Ok(Rows { header: Vec::new(), rows: changes(&compared) }),
        }
    }
}

async fn follow(
    remote: &Remote,
    unit: Option<&str>,
    on_line: &mut (dyn for<'line> FnMut(&'line str) + Send),
) -> std::result::Result<(), String> {
    follow_log(remote, unit, on_line).await.map_err(|error| error.to_string())
}

fn unit(one: &Unit) -> Row {
    let style = match one.active.as_str() {
        "failed" => Style::Fail,
        "active" => Style::Ok,
        "activating" | "deactivating" | "reloading" => Style::Warn,
        _ => Style::Dim,
    };
    let cells = vec![
        one.name.clone().into(),
        Cell::styled(style, one.active.clone()),
        one.sub.clone().into(),
        Cell::styled(Style::Dim, one.description.clone()),
    ];
    Row { cells, means: Some(Means::Unit(one.name.clone())) }
}

/// What became of a host in a deployment.
fn deployment(one: &Deployment, host: &str) -> Option<Row> {
    let record = one.hosts.get(host)?;
    let cells = vec![
        local_minute(one.started).into(),
        outcome(record),
        record.generation.map(|number| number.to_string()).unwrap_or_default().into(),
        command(one).into(),
        revision(one).into(),
        one.operator.clone().into(),
        record.duration_ms.map(milliseconds).unwrap_or_default().into(),
    ];
    Some(Row { cells, means: Some(Means::Deployment(one.id.clone())) })
}

/// The changes as `hubctl diff` tells them, line by line, and what is not known of them.
fn changes(compared: &[Compared]) -> Vec<Row> {
    let told = text(compared, Palette::Plain, None);
    let lines = told.lines().map(|line| match line.trim_start().chars().next() {
        Some('+' | '↑') => Row::text(Cell::styled(Style::Ok, line)),
        Some('-' | '↓') => Row::text(Cell::styled(Style::Fail, line)),
        Some('~') => Row::text(Cell::styled(Style::Changed, line)),
        _ => Row::text(line),
    });
    let notes =
        compared.iter().flat_map(|one| &one.notes).map(|note| Row::text(Cell::styled(Style::Dim, note.clone())));
    lines.chain(notes).collect()
}
