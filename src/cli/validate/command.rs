//! The command itself: the files first, then the flake and its hosts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::super::config::Config;
use super::super::features::featured;
use super::super::findings::{Form, files_of, findings_json, summary, text};
use super::super::hub::Hub;
use super::super::lint::{cache_of, leave_out_known, look};
use super::super::options::levels_of;
use super::super::select::HostsOrAll;
use super::{flake, hosts};
use crate::error::{Error, Exit, Kind, Result};
use crate::evaluate::Evaluator;
use crate::fleet::Host;
use crate::lint::{Finding, Report, Scope, Severity, Suite, github, junit, rule, sarif};
use crate::nix::{EvalError, outputs};
use crate::report::Output;

/// Checks all that can be known before something is built: the files, `hub.toml`, the lock file, and each host's evaluation.
///
/// What the files alone tell comes first: what check-syntax and lint find, and inputs that are there twice, could follow others, or are
/// old. Then hosts are evaluated, as far as what they read has changed, with their assertions and warnings. Exits with 1 if a host does
/// not evaluate, or for an error or a warning of lint; other warnings are told.
#[derive(Args, Debug)]
pub(in crate::cli) struct ValidateArgs {
    #[command(flatten)]
    hosts: HostsOrAll,

    /// Only what the files tell; evaluates nothing.
    #[arg(long, conflicts_with = "hosts")]
    quick: bool,

    /// Exits with 1 for warnings of hosts and of the lock file too.
    #[arg(long)]
    strict: bool,

    /// Tells it to another program: annotations of GitHub's actions, SARIF, or a report of tests.
    #[arg(long, value_name = "FORM", conflicts_with = "json")]
    form: Option<Form>,
}

pub(in crate::cli) async fn run(hub: &Hub, args: ValidateArgs) -> Result<Exit> {
    let begun = Instant::now();
    let config = Config::of(&hub.flake()?)?;
    let is_text = args.form.is_none() && hub.ui.output() != Output::Json;
    let (root, mut report) = quick(hub, &config).await?;
    if is_text {
        text(hub, &report).map_err(failed)?;
    }
    hub.ui.status(&format!("files: {}", summary(&report, begun)));
    let mut judged = Vec::new();
    if !args.quick {
        let (of_outputs, hosts) = full(hub, &args, &root, is_text).await?;
        if is_text {
            text(hub, &of_outputs).map_err(failed)?;
        }
        report.found.extend(of_outputs.found);
        judged = hosts;
        hub.ui.status(&hosts::summary(&judged, begun));
    }
    let is_well =
        hosts::is_well(&judged, args.strict) && !report.findings().any(|finding| is_failing(finding, args.strict));
    tell(hub, &args, &root, report, &judged).map_err(failed)?;
    Ok(if is_well { Exit::Success } else { Exit::Failed })
}

fn failed(error: std::io::Error) -> Error {
    Error::new(Kind::Failed, error)
}

/// What the files alone tell.
async fn quick(hub: &Hub, config: &Config) -> Result<(PathBuf, Report)> {
    let flake = hub.flake()?;
    let levels = levels_of(hub, config);
    let (listed, cache) = tokio::join!(files_of(hub, config, &[]), cache_of(hub, &flake, &levels));
    let (root, files) = listed?;
    let mut report = look(hub, &flake, (files, Scope::All), levels, cache?).await?;
    leave_out_known(hub, &root, &mut report, true)?;
    report.found.extend(flake::of_lock(&root, Timestamp::now()));
    Ok((root, report))
}

/// What only Nix tells: the flake's outputs, and its hosts.
async fn full(hub: &Hub, args: &ValidateArgs, root: &Path, is_text: bool) -> Result<(Report, Vec<hosts::Judged>)> {
    let (fleet, evaluator) = hub.load().await?;
    let hosts = args.hosts.select(hub, &fleet.inventory)?;
    let asked = outputs(evaluator.nix(), evaluator.source(), &hub.cancel).await;
    hub.not_stopped()?;
    let found = match asked {
        Ok(outputs) => flake::of_outputs(root, &outputs),
        Err(error) => {
            tell_unknown(hub, &error);
            None
        }
    };
    let report = Report { files: 0, found: found.into_iter().collect() };
    let palette = hub.ui.out();
    let mut written = Ok(());
    let on_judged = |one: &hosts::Judged| {
        if is_text && written.is_ok() {
            written = hub.ui.data(&one.text(palette));
        }
    };
    let mut judged = hosts::judge(hub, &fleet, &evaluator, hosts.clone(), on_judged).await;
    hub.not_stopped()?;
    written.map_err(failed)?;
    for line in features(hub, &evaluator, &hosts, &mut judged).await? {
        if is_text {
            hub.ui.data(&line).map_err(failed)?;
        }
    }
    Ok((report, judged))
}

/// Looks whether the features of the hosts that evaluate go together; gives what is wrong with them, in lines for a person.
async fn features(
    hub: &Hub,
    evaluator: &Arc<Evaluator>,
    hosts: &[Host],
    judged: &mut [hosts::Judged],
) -> Result<Vec<String>> {
    let evaluates = |host: &&Host| judged.iter().any(|one| one.host == host.name.as_str() && one.evaluates());
    let hosts: Vec<_> = hosts.iter().filter(evaluates).cloned().collect();
    let all = featured(hub, evaluator, &hosts, hosts.len()).await?;
    for problem in &all.unknown {
        hub.ui.warning(&problem.to_string(), Some("`hubctl features` shows which there are"));
    }
    let mut lines = Vec::new();
    for one in judged {
        let of_host = all.wrong.iter().find(|(host, _)| host.as_str() == one.host);
        lines.extend(of_host.map(|(_, problems)| one.add_features(problems)).into_iter().flatten());
    }
    Ok(lines)
}

fn tell_unknown(hub: &Hub, error: &EvalError) {
    let hint = format!("`{}` shows the same", error.command());
    hub.ui.warning(&format!("the flake's outputs cannot be listed: {error}"), Some(&hint));
}

/// Whether a finding makes the command fail. What no comment in a file can allow only does where it is asked for.
fn is_failing(finding: &Finding, is_strict: bool) -> bool {
    let is_of_lint = rule(finding.rule).is_some() || finding.rule == "allow-comment";
    finding.severity == Severity::Error || finding.severity == Severity::Warning && (is_strict || is_of_lint)
}

/// Tells all of it to another program.
fn tell(
    hub: &Hub,
    args: &ValidateArgs,
    root: &Path,
    mut report: Report,
    judged: &[hosts::Judged],
) -> std::io::Result<()> {
    match args.form {
        None if hub.ui.output() == Output::Json => hub.ui.data_json(&json!({
            "files": report.files,
            "findings": findings_json(&report),
            "hosts": judged.iter().map(hosts::Judged::json).collect::<Vec<_>>(),
        })),
        None => Ok(()),
        Some(Form::Junit) => {
            let suites = [Suite::of_files(&report), hosts::as_suite(judged, args.strict)];
            hub.ui.data(&junit(&suites[..if args.quick { 1 } else { 2 }]).map_err(std::io::Error::other)?)
        }
        Some(form) => {
            report.found.extend(hosts::as_findings(root, judged));
            if form == Form::Github { hub.ui.data(&github(&report)) } else { hub.ui.data_json(&sarif(&report)) }
        }
    }
}
