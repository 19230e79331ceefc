//! `hubctl metrics`, and the metrics that runs leave for a monitoring system.

use std::io;
use std::path::Path;
use std::time::Duration;

use clap::Args;

use super::config::Config;
use super::hub::{Hub, this_machine};
use crate::error::{Error, Exit, Kind, Result};
use crate::files::{self, Mode};
use crate::plan::Drift;
use crate::process::Cmd;
use crate::report::FamilyKind::{Counter, Gauge, Summary};
use crate::report::{Family, Output, Sample, exposition};
use crate::state::{RunTally, Sighting, State, StateError, Tally};

/// How long a push gateway may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Prints metrics of deployments and drift in the text format of Prometheus.
///
/// They come from what earlier runs wrote down: nobody is asked. `[metrics]` in hub.toml has every run leave them in a file
/// for a collector, or at a push gateway.
#[derive(Args, Debug)]
pub(super) struct MetricsArgs {}

/// Where to look when metrics are not left where they are wanted.
pub(super) const HINT: &str = "it is set under [metrics] in hub.toml";

type Labels = Vec<(&'static str, String)>;

pub(super) fn run(hub: &Hub) -> Result<Exit> {
    let (state, _) = hub.state()?;
    let families = families(&state).map_err(|error| Error::new(Kind::Failed, error))?;
    let written =
        if hub.ui.output() == Output::Json { hub.ui.data_json(&families) } else { hub.ui.data(&exposition(&families)) };
    written.map_err(|error| Error::new(Kind::Failed, error))?;
    Ok(Exit::Success)
}

/// Leaves the metrics where hub.toml wants them, and gives what went wrong with it in a line each.
pub(super) async fn publish(hub: &Hub, config: &Config, state: &State) -> Vec<String> {
    let wanted = config.metrics();
    if wanted.file.is_none() && wanted.push.is_none() {
        return Vec::new();
    }
    let text = match families(state) {
        Ok(families) => exposition(&families),
        Err(error) => return vec![format!("the metrics are not known: {error}")],
    };
    let mut wrong = Vec::new();
    if let Some(file) = &wanted.file
        && let Err(error) = write(file, &text)
    {
        wrong.push(format!("the metrics cannot be written to {}: {error}", file.display()));
    }
    if let Some(url) = &wanted.push
        && let Err(failure) = push(hub, url, text).await
    {
        wrong.push(format!("the metrics were not pushed: {failure}"));
    }
    wrong
}

/// Writes a file that is always whole, and that others may read: whoever collects it is another user.
fn write(file: &Path, text: &str) -> io::Result<()> {
    // Collectors take files that end in `.prom`, which it does not until it is whole.
    files::write(file, text.as_bytes(), Mode::Is(0o644))
}

async fn push(hub: &Hub, url: &str, text: String) -> std::result::Result<(), String> {
    let options = ["--fail", "--silent", "--show-error", "--netrc-optional", "--request", "PUT", "--data-binary", "@-"];
    let curl = Cmd::new("curl").args(options).arg(group(url)).stdin(text).deadline(DEADLINE);
    let pushed = curl.output(&hub.cancel).await;
    pushed.map(drop).map_err(|failure| failure.stderr.last().cloned().unwrap_or_else(|| failure.to_string()))
}

/// The group of the gateway that these metrics replace: that of the URL, or one for this machine.
fn group(url: &str) -> String {
    if url.contains("/metrics/") {
        return url.to_owned();
    }
    let machine = this_machine().unwrap_or_else(|| "unknown".to_owned());
    format!("{}/metrics/job/hubctl/instance/{machine}", url.trim_end_matches('/'))
}

fn families(state: &State) -> std::result::Result<Vec<Family>, StateError> {
    let mut families = of_deployments(&state.tallies()?);
    families.push(of_runs(&state.run_tallies()?));
    families.extend(of_sightings(&state.sightings()?));
    Ok(families)
}

#[expect(clippy::cast_precision_loss, reason = "no count here comes near to 2^52")]
fn float(number: u64) -> f64 {
    number as f64
}

fn seconds(milliseconds: u64) -> f64 {
    float(milliseconds) / 1000.0
}

fn of_host(flake: &str, host: &str) -> Labels {
    vec![("flake", flake.to_owned()), ("host", host.to_owned())]
}

fn with(mut labels: Labels, label: &'static str, value: &str) -> Labels {
    labels.push((label, value.to_owned()));
    labels
}

fn of_deployments(tallies: &[Tally]) -> Vec<Family> {
    let labels = |one: &Tally| of_host(&one.flake, &one.host);
    let counts =
        tallies.iter().map(|one| Sample::new(with(labels(one), "outcome", one.outcome.as_str()), float(one.count)));
    let (mut durations, mut last, mut last_duration, mut success) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for of_one in tallies.chunk_by(|a, b| (&a.flake, &a.host) == (&b.flake, &b.host)) {
        let labels = labels(&of_one[0]);
        durations.push(Sample::part("_sum", labels.clone(), seconds(of_one.iter().map(|one| one.duration_ms).sum())));
        durations.push(Sample::part("_count", labels.clone(), float(of_one.iter().map(|one| one.count).sum())));
        if let Some(newest) = of_one.iter().max_by_key(|one| one.last) {
            last_duration.push(Sample::new(labels.clone(), seconds(newest.last_ms)));
            let outcome = with(labels.clone(), "outcome", newest.outcome.as_str());
            last.push(Sample::new(outcome, newest.last.as_duration().as_secs_f64()));
        }
        if let Some(newest) = of_one.iter().filter(|one| one.outcome.is_success()).map(|one| one.last).max() {
            success.push(Sample::new(labels, newest.as_duration().as_secs_f64()));
        }
    }
    vec![
        Family::new(
            "hubctl_host_deployments_total",
            Counter,
            "How often a host's part of a deployment ended in which way.",
            counts.collect(),
        ),
        Family::new(
            "hubctl_host_deployment_duration_seconds",
            Summary,
            "How long a host's parts of deployments took.",
            durations,
        ),
        Family::new(
            "hubctl_host_last_deployment_timestamp_seconds",
            Gauge,
            "When the last deployment of a host began, with its outcome.",
            last,
        ),
        Family::new(
            "hubctl_host_last_deployment_duration_seconds",
            Gauge,
            "How long the last deployment of a host took.",
            last_duration,
        ),
        Family::new(
            "hubctl_host_last_success_timestamp_seconds",
            Gauge,
            "When the last deployment of a host began that was a success.",
            success,
        ),
    ]
}

fn of_runs(tallies: &[RunTally]) -> Family {
    let sample = |one: &RunTally| {
        let labels = vec![("flake", one.flake.clone()), ("command", one.command.clone())];
        Sample::new(with(labels, "exit", &one.exit.to_string()), float(one.count))
    };
    let help = "How often a command that changes hosts ended with which exit code.";
    Family::new("hubctl_runs_total", Counter, help, tallies.iter().map(sample).collect())
}

fn of_sightings(sightings: &[(String, String, Sighting)]) -> Vec<Family> {
    let gauge = |name, help, value: &dyn Fn(&Sighting) -> Option<f64>| {
        let sample =
            |(flake, host, one): &(String, String, Sighting)| Some(Sample::new(of_host(flake, host), value(one)?));
        Family::new(name, Gauge, help, sightings.iter().filter_map(sample).collect())
    };
    let drift = sightings.iter().filter_map(|(flake, host, one)| {
        Some(Sample::new(with(of_host(flake, host), "drift", one.drift.map(Drift::name)?), 1.0))
    });
    let drift = Family::new(
        "hubctl_host_drift",
        Gauge,
        "How what a host runs differs from what the flake wants, as it was last seen.",
        drift.collect(),
    );
    vec![
        drift,
        gauge("hubctl_host_reachable", "Whether a host answered when it was last asked.", &|one| {
            Some(if one.reachable { 1.0 } else { 0.0 })
        }),
        gauge("hubctl_host_asked_timestamp_seconds", "When a host was last asked.", &|one| {
            Some(one.asked.as_duration().as_secs_f64())
        }),
        gauge("hubctl_host_failed_units", "How many units of a host had failed.", &|one| one.failed_units.map(float)),
        gauge("hubctl_host_generation", "The generation that a host boots by default.", &|one| {
            one.generation.map(float)
        }),
        gauge("hubctl_host_store_free_bytes", "The space that is left for a host's store.", &|one| {
            one.store.map(|space| float(space.free))
        }),
        gauge("hubctl_host_boot_free_bytes", "The space that is left in a host's /boot.", &|one| {
            one.boot.map(|space| float(space.free))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn metrics_have_a_group_of_their_own_at_the_gateway() {
        let own = group("http://gateway:9091/");
        assert!(own.starts_with("http://gateway:9091/metrics/job/hubctl/instance/"), "{own}");
        let given = "http://gateway:9091/metrics/job/hub";
        assert_eq!(group(given), given);
    }

    #[test]
    fn a_file_is_replaced_whole_and_may_be_read_by_others() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("hubctl.prom");
        for text in ["old\n", "new\n"] {
            write(&file, text).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
        }
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
