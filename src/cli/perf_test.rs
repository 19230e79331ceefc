//! `hubctl perf-test`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use jiff::Timestamp;
use serde::Serialize;

use super::hub::{Fleet, Hub};
use super::select::HostsOrAll;
use crate::error::{Error, Exit, Kind, Result};
use crate::evaluate::Evaluator;
use crate::fleet::Host;
use crate::nix::{EvalError, Evaluation, GcRoot, build, local_closure};
use crate::plan::{Comparison, Judgement, Measure, Measured, compare};
use crate::report::units::{bytes, duration, local};
use crate::report::{Cell, Output, Style, Table};
use crate::run::fan_out;

/// What stands in place of a host's name for all hosts together.
const FLEET: &str = "";

/// Measures what evaluating and building hosts costs: each evaluation afresh, its memory, how fast an unchanged host is known to be one,
/// a build of what is there, the size of the system, and all evaluations at once.
///
/// What is measured first is kept to compare with. Later runs tell what got better or worse, by how much, and how sure that is; --save
/// keeps theirs instead.
#[derive(Args, Debug)]
pub(super) struct PerfTestArgs {
    #[command(flatten)]
    hosts: HostsOrAll,
    /// How often each thing is measured. Fewer than 3 prove nothing.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Measures this alone; may be given several times.
    #[arg(long, value_name = "WHAT", value_parser = measures())]
    only: Vec<Measure>,
    /// Keeps what is measured now to compare with.
    #[arg(long)]
    save: bool,
    /// Exits with 1 where something got worse.
    #[arg(long)]
    check: bool,
}

/// One line of the answer.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Line<'a> {
    /// The host; null for all of them together.
    host: Option<&'a str>,
    measure: Measure,
    /// In seconds, or in bytes.
    samples: &'a [f64],
    #[serde(flatten)]
    comparison: Comparison,
}

/// What it takes to measure.
struct Measuring<'a> {
    hub: &'a Hub,
    fleet: &'a Fleet,
    evaluator: Arc<Evaluator>,
    runs: u32,
    wanted: Vec<Measure>,
}

/// Measures by their names, with these in the help.
fn measures() -> impl TypedValueParser<Value = Measure> {
    PossibleValuesParser::new(Measure::ALL.map(Measure::as_str)).try_map(|name| {
        let found = Measure::ALL.into_iter().find(|measure| measure.as_str() == name);
        found.ok_or_else(|| format!("there is no measure `{name}`"))
    })
}

pub(super) async fn run(hub: &Hub, args: PerfTestArgs) -> Result<Exit> {
    let (fleet, evaluator) = hub.load().await?;
    let hosts = args.hosts.select(hub, &fleet.inventory)?;
    let wanted = if args.only.is_empty() { Measure::ALL.to_vec() } else { args.only };
    if wanted.iter().all(|measure| *measure == Measure::FanOut) && hosts.len() < 2 {
        return Err(Error::message(Kind::Usage, "`fan-out` is measured of two hosts at least")
            .hint("name more of them, or none for all"));
    }
    let measuring = Measuring { hub, fleet: &fleet, evaluator, runs: args.runs, wanted };
    let measured = measuring.all(&hosts).await;
    hub.not_stopped()?;
    let measured = measured?;

    let (state, _) = hub.state()?;
    let (failed, flake) = (|error| Error::new(Kind::Failed, error), fleet.flake.to_string());
    let baseline = state.perf_baseline(&flake).map_err(failed)?;
    let (before, made) = baseline.unzip();
    let before = before.unwrap_or_default();
    let lines = lines(&measured, &before);
    let written = match hub.ui.output() {
        Output::Json => hub.ui.data_json(&lines),
        _ => hub.ui.table(&table(&lines)),
    };
    written.map_err(|error| Error::new(Kind::Failed, error))?;
    let is_new = |line: &Line<'_>| line.comparison.verdict == Judgement::New;
    if let Some(made) = made.filter(|_| !lines.iter().all(is_new)) {
        hub.ui.status(&format!("compared with what was kept, last at {}", local(made)));
    }
    if args.save || lines.iter().any(is_new) {
        let first = || lines.iter().filter(|line| is_new(line)).map(|line| (line.host.unwrap_or(FLEET), line.measure));
        let kept = if args.save { measured.clone() } else { only(first(), &measured) };
        state.keep_perf_baseline(&flake, &kept, Timestamp::now()).map_err(failed)?;
        let what = if kept == measured { "kept to compare with" } else { "what is new is kept to compare with" };
        hub.ui.status(&format!("{what}; --save keeps a later one instead"));
    }
    let is_worse = lines.iter().any(|line| line.comparison.verdict == Judgement::Worse);
    Ok(if args.check && is_worse { Exit::Failed } else { Exit::Success })
}

impl Measuring<'_> {
    /// Measures one host after the other, so that none is in another's way, and then all at once.
    async fn all(&self, hosts: &[Host]) -> Result<Measured> {
        let mut measured = Measured::new();
        for host in hosts {
            self.hub.ui.status(&format!("measuring {} …", host.name));
            let found = self.host(host, &mut measured).await;
            self.hub.not_stopped()?;
            found.map_err(|message| {
                Error::message(Kind::Failed, format!("{}: {message}", host.name))
                    .hint(format!("`hubctl test-host {}` shows the whole of it", host.name))
            })?;
        }
        if self.wants(Measure::FanOut) && hosts.len() > 1 {
            self.hub.ui.status("measuring all of them at once …");
            for _ in 0..self.runs {
                let took = self.at_once(hosts).await;
                self.hub.not_stopped()?;
                add(&mut measured, FLEET, Measure::FanOut, took.as_secs_f64());
            }
        }
        Ok(measured)
    }

    fn wants(&self, measure: Measure) -> bool {
        self.wanted.contains(&measure)
    }

    /// Measures a host; an error is a sentence for a person.
    async fn host(&self, host: &Host, measured: &mut Measured) -> std::result::Result<(), String> {
        let name = host.name.as_str();
        let broken = |error: EvalError| format!("the configuration does not evaluate: {error}");
        if self.wants(Measure::Evaluation) || self.wants(Measure::Memory) {
            for _ in 0..self.runs {
                let begun = Instant::now();
                let measuring = self.evaluator.measure(host.attribute(), &self.hub.cancel).await;
                let (_, cost) = measuring.map_err(broken)?;
                // Where Nix was not watched, what it took is what we waited.
                let took = cost.map_or_else(|| begun.elapsed(), |cost| Duration::from_millis(cost.duration_ms));
                self.add(measured, name, Measure::Evaluation, took.as_secs_f64());
                if let Some(kib) = cost.and_then(|cost| cost.peak_kib) {
                    self.add(measured, name, Measure::Memory, as_f64(kib.saturating_mul(1024)));
                }
            }
        }
        if ![Measure::Cache, Measure::Build, Measure::Closure].into_iter().any(|measure| self.wants(measure)) {
            return Ok(());
        }
        let evaluation = self.known(host).await.map_err(broken)?;
        if self.wants(Measure::Cache) {
            for _ in 0..self.runs {
                let begun = Instant::now();
                self.known(host).await.map_err(broken)?;
                self.add(measured, name, Measure::Cache, begun.elapsed().as_secs_f64());
            }
        }
        self.built(host, &evaluation, measured).await
    }

    async fn known(&self, host: &Host) -> std::result::Result<Evaluation, EvalError> {
        Ok(self.evaluator.system(host.attribute(), &self.hub.cancel, &mut |_| ()).await?.value)
    }

    /// Measures what takes a system that is built.
    async fn built(
        &self,
        host: &Host,
        evaluation: &Evaluation,
        measured: &mut Measured,
    ) -> std::result::Result<(), String> {
        if !self.wants(Measure::Build) && !self.wants(Measure::Closure) {
            return Ok(());
        }
        let (_, dirs) = self.hub.state().map_err(|error| error.to_string())?;
        let gcroots = Hub::gcroots(&dirs).map_err(|error| error.to_string())?;
        let root = GcRoot::at(gcroots.join(format!("{}-{}-perf", self.hub.run_id(&dirs), host.name)));
        let build_it = || async {
            let building = build(&self.fleet.nix, &evaluation.drv, &root, &self.hub.cancel, |_, _| ()).await;
            building.map_err(|error| format!("the toplevel does not build: {}", error.output.join("\n")))
        };
        build_it().await?;
        if self.wants(Measure::Build) {
            for _ in 0..self.runs {
                let begun = Instant::now();
                build_it().await?;
                self.add(measured, host.name.as_str(), Measure::Build, begun.elapsed().as_secs_f64());
            }
        }
        if self.wants(Measure::Closure) {
            let closure = local_closure(&self.fleet.nix, &evaluation.out, &self.hub.cancel).await;
            let size: u64 = closure.map_err(|failure| failure.to_string())?.iter().map(|(_, size)| size).sum();
            self.add(measured, host.name.as_str(), Measure::Closure, as_f64(size));
        }
        Ok(())
    }

    /// How long evaluating all hosts takes, as many at once as in any run. One that does not evaluate was told by then.
    async fn at_once(&self, hosts: &[Host]) -> Duration {
        let begun = Instant::now();
        let width = self.fleet.config.evaluations_at_once();
        let work = |host: Host| {
            let (evaluator, cancel) = (self.evaluator.clone(), self.hub.cancel.clone());
            async move { drop(evaluator.measure(host.attribute(), &cancel).await) }
        };
        fan_out(hosts.to_vec(), width, work, |()| ()).await;
        begun.elapsed()
    }

    fn add(&self, measured: &mut Measured, host: &str, measure: Measure, sample: f64) {
        if self.wants(measure) {
            add(measured, host, measure, sample);
        }
    }
}

fn add(measured: &mut Measured, host: &str, measure: Measure, sample: f64) {
    measured.entry(host.to_owned()).or_default().entry(measure).or_default().push(sample);
}

/// What was measured of these hosts and measures.
fn only<'a>(which: impl Iterator<Item = (&'a str, Measure)>, measured: &Measured) -> Measured {
    let mut found = Measured::new();
    for (host, measure) in which {
        if let Some(samples) = measured.get(host).and_then(|measures| measures.get(&measure)) {
            found.entry(host.to_owned()).or_default().insert(measure, samples.clone());
        }
    }
    found
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below what an f64 tells apart")]
fn as_f64(number: u64) -> f64 {
    number as f64
}

fn lines<'a>(measured: &'a Measured, before: &Measured) -> Vec<Line<'a>> {
    let all = measured.iter().flat_map(|(host, measures)| measures.iter().map(move |(what, now)| (host, *what, now)));
    let mut lines: Vec<_> = all
        .filter_map(|(host, measure, samples)| {
            let was =
                before.get(host).and_then(|measures| measures.get(&measure)).map(Vec::as_slice).unwrap_or_default();
            let comparison = compare(measure, samples, was)?;
            Some(Line { host: Some(host.as_str()).filter(|host| *host != FLEET), measure, samples, comparison })
        })
        .collect();
    // What concerns all comes last.
    lines.sort_by_key(|line| line.host.is_none());
    lines
}

fn table(lines: &[Line<'_>]) -> Table {
    let mut table = Table::with_header(["HOST", "MEASURE", "MEDIAN", "LEAST", "MOST", "WAS", "CHANGE"]);
    for column in 2..6 {
        table = table.right(column);
    }
    for line in lines {
        let shown = |value: f64| shown(line.measure, value);
        let of = |pick: fn(f64, f64) -> f64| line.samples.iter().copied().reduce(pick).map(shown).unwrap_or_default();
        table.row([
            Cell::from(line.host.unwrap_or("all at once")),
            Cell::from(line.measure.as_str()),
            shown(line.comparison.median).into(),
            Cell::styled(Style::Dim, of(f64::min)),
            Cell::styled(Style::Dim, of(f64::max)),
            line.comparison.was.map(shown).unwrap_or_default().into(),
            change(&line.comparison),
        ]);
    }
    table
}

/// What changed by how much, and how sure that is.
fn change(comparison: &Comparison) -> Cell {
    let by = comparison.was.filter(|was| *was > 0.0).map(|was| (comparison.median / was - 1.0) * 100.0);
    let by = by.map(|by| format!("{by:+.0} %")).unwrap_or_default();
    let sure = format!("({:.0} % sure)", (comparison.confidence * 100.0).floor());
    match comparison.verdict {
        Judgement::New => Cell::styled(Style::Dim, "new"),
        Judgement::Same => Cell::styled(Style::Dim, "same"),
        Judgement::Better => Cell::styled(Style::Ok, format!("better: {by} {sure}")),
        Judgement::Worse => Cell::styled(Style::Fail, format!("worse: {by} {sure}")),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a size is neither negative nor that large"
)]
fn shown(measure: Measure, value: f64) -> String {
    match value {
        _ if measure.is_bytes() => bytes(value as u64),
        ..0.01 => format!("{:.1} ms", value * 1000.0),
        ..10.0 => format!("{:.0} ms", value * 1000.0),
        _ => duration(Duration::from_secs_f64(value)),
    }
}
