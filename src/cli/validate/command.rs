//! The command itself: the files first, then the flake and its hosts.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::super::config::Config;
use super::super::features::featured;
use super::super::findings::{Form, files_of, findings_json, summary, text};
use super::super::hub::{Fleet, Hub};
use super::super::job::{Kept, Wish, run_within};
use super::super::lint::{cache_of, leave_out_known, look};
use super::super::options::levels_of;
use super::super::secrets::troubles;
use super::super::select::HostsOrAll;
use super::{flake, hosts};
use crate::error::{Error, Exit, Kind, Result};
use crate::evaluate::Evaluator;
use crate::fleet::{FeatureProblem, Host};
use crate::lint::{Checked, Finding, Report, Scope, Severity, Suite, github, junit, rule as lint_rule, sarif};
use crate::nix::{EvalError, flake_check, outputs};
use crate::plan::{Goal, Rule, Waves};
use crate::report::Output;
use crate::run::Wants;

/// Checks all that can be known before something is built: the files, `hub.toml`, the lock file, secrets, and each host's evaluation.
///
/// What the files alone tell comes first: what check-syntax and lint find, and inputs that are there twice, could follow others, or are
/// old. Then hosts are evaluated, as far as what they read has changed, with their assertions, warnings and features, and secrets are looked
/// at without any private key. Exits with 1 if a host does not evaluate, or for an error or a warning of lint; other warnings are told.
#[derive(Args, Debug)]
pub(in crate::cli) struct ValidateArgs {
    #[command(flatten)]
    hosts: HostsOrAll,

    /// Only what the files tell; evaluates nothing.
    #[arg(long, conflicts_with = "hosts")]
    quick: bool,

    /// Builds the hosts too, and has Nix check the flake's other outputs and build its checks.
    #[arg(long, conflicts_with = "quick")]
    full: bool,

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
    let (mut judged, mut broken) = (Vec::new(), None);
    if !args.quick {
        match hub.load().await {
            Ok(loaded) => {
                let asked = Box::pin(full(hub, &args, &root, loaded, is_text)).await?;
                report.found.extend(asked.found);
                judged = asked.judged;
                hub.ui.status(&hosts::summary(&judged, begun));
            }
            // A person has read by now what the files tell; a program wants all of it in one document.
            Err(error) if is_text || error.kind() == Kind::Cancelled => return Err(error),
            Err(error) => {
                broken = Some(error.exit());
                report.found.push(flake::of_load(&root, &error));
            }
        }
    }
    let is_well =
        hosts::is_well(&judged, args.strict) && !report.findings().any(|finding| is_failing(finding, args.strict));
    tell(hub, &args, &root, report, &judged).map_err(failed)?;
    Ok(broken.unwrap_or(if is_well { Exit::Success } else { Exit::Failed }))
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

/// What only Nix tells.
struct Asked {
    /// Of the flake's outputs, its secrets and its features.
    found: Vec<Checked>,
    judged: Vec<hosts::Judged>,
}

/// What only Nix tells: the flake's outputs and secrets, its hosts, and where that is asked for what they are built to.
async fn full(
    hub: &Hub,
    args: &ValidateArgs,
    root: &Path,
    (fleet, evaluator): (Fleet, Arc<Evaluator>),
    is_text: bool,
) -> Result<Asked> {
    let hosts = args.hosts.select(hub, &fleet.inventory)?;
    let asked = outputs(evaluator.nix(), evaluator.source(), &hub.cancel).await;
    hub.not_stopped()?;
    let mut found = Vec::new();
    match asked {
        Ok(outputs) => found.extend(flake::of_outputs(root, &outputs)),
        Err(error) => tell_unknown(hub, &error),
    }
    found.extend(troubles(hub, root).await?);
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
    let (wrong, unknown) = features(hub, &evaluator, &hosts, &mut judged).await?;
    found.extend(flake::of_features(root, &unknown));
    if args.full {
        found.extend(checks(hub, root, &evaluator).await?);
    }
    let report = Report { files: 0, found };
    if is_text {
        text(hub, &report).map_err(failed)?;
        wrong.iter().try_for_each(|line| hub.ui.data(line)).map_err(failed)?;
    }
    if args.full {
        builds(hub, fleet, evaluator, hosts, &mut judged).await?;
    }
    Ok(Asked { found: report.found, judged })
}

/// Looks whether the features of the hosts that evaluate go together; gives what is wrong with them, in lines for a person, and names
/// that no feature has.
async fn features(
    hub: &Hub,
    evaluator: &Arc<Evaluator>,
    hosts: &[Host],
    judged: &mut [hosts::Judged],
) -> Result<(Vec<String>, Vec<FeatureProblem>)> {
    let evaluates = |host: &&Host| judged.iter().any(|one| one.host == host.name.as_str() && one.evaluates());
    let hosts: Vec<_> = hosts.iter().filter(evaluates).cloned().collect();
    let all = featured(hub, evaluator, &hosts, hosts.len()).await?;
    let mut lines = Vec::new();
    for one in judged {
        let host = one.host.clone();
        let of_host = all.wrong.iter().find(|(name, _)| name.as_str() == host);
        let problems = of_host.into_iter().flat_map(|(_, problems)| problems).map(ToString::to_string);
        let failed = all.failed.iter().filter(|(name, _)| name.as_str() == host);
        let failed = failed.map(|(_, error)| format!("its features cannot be read: {error}"));
        lines.extend(one.add_features(problems.chain(failed)));
    }
    Ok((lines, all.unknown))
}

/// What Nix says of the flake as a whole.
async fn checks(hub: &Hub, root: &Path, evaluator: &Evaluator) -> Result<Option<Checked>> {
    hub.ui.status("nix flake check …");
    let ui = hub.ui.clone();
    let on_line = move |line: &str| {
        if ui.is_verbose() {
            ui.status(line);
        }
    };
    let checked = flake_check(evaluator.nix(), evaluator.source(), &hub.cancel, on_line).await;
    hub.not_stopped()?;
    Ok(checked.err().map(|error| flake::of_check(root, &error)))
}

/// Builds the hosts that evaluate.
async fn builds(
    hub: &Hub,
    fleet: Fleet,
    evaluator: Arc<Evaluator>,
    mut hosts: Vec<Host>,
    judged: &mut [hosts::Judged],
) -> Result<()> {
    hosts.retain(|host| judged.iter().any(|one| one.host == host.name.as_str() && one.evaluates()));
    if hosts.is_empty() {
        return Ok(());
    }
    let wish = Wish {
        command: "validate",
        goal: Goal::Build,
        rule: Rule::Always,
        waves: Waves::at_once(&hosts),
        parallel: fleet.config.deploy().parallel.map_or(hosts.len(), NonZeroUsize::get),
        hosts,
        overruled: BTreeSet::new(),
        dry_run: false,
        wants: Wants::Flake(evaluator),
        cache: None,
        kept: Kept::default(),
    };
    let (_, finished) = run_within(hub, fleet, wish).await?;
    for one in judged {
        if let Some(ended) = finished.iter().find(|ended| ended.host.as_str() == one.host) {
            one.add_build(ended);
        }
    }
    hub.not_stopped()
}

fn tell_unknown(hub: &Hub, error: &EvalError) {
    let hint = format!("`{}` shows the same", error.command());
    hub.ui.warning(&format!("the flake's outputs cannot be listed: {error}"), Some(&hint));
}

/// Whether a finding makes the command fail. What no comment in a file can allow only does where it is asked for.
fn is_failing(finding: &Finding, is_strict: bool) -> bool {
    let is_of_lint = lint_rule(finding.rule).is_some() || finding.rule == "allow-comment";
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
