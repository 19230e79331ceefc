//! Each host's evaluation, and what its modules say of it.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use super::super::hub::{Fleet, Hub, indent};
use crate::evaluate::{Evaluator, Whence};
use crate::fleet::Host;
use crate::lint::{Checked, Finding, Severity, Source, Suite};
use crate::nix::{EvalError, Health, Missed};
use crate::process::Cancel;
use crate::report::{Failed, HostFinished, Palette, Style};
use crate::run::fan_out;

/// A host, and what became of its evaluation.
pub(super) struct Judged {
    pub(super) host: String,
    /// What its modules say of it.
    health: Health,
    /// Why it does not evaluate, with what helps.
    error: Option<(String, Vec<String>)>,
    /// What is wrong with the features that it has.
    features: Vec<String>,
    /// Whether it was built, or why not; nothing where that was not asked for.
    build: Option<Result<(), String>>,
    /// Whether nothing that its evaluation reads has changed.
    is_kept: bool,
}

/// Evaluates hosts, side by side. Each is given to `on_judged` as it is known.
pub(super) async fn judge(
    hub: &Hub,
    fleet: &Fleet,
    evaluator: &Arc<Evaluator>,
    hosts: Vec<Host>,
    mut on_judged: impl FnMut(&Judged),
) -> Vec<Judged> {
    let (missing, hosts): (Vec<_>, Vec<_>) =
        hosts.into_iter().partition(|host| fleet.inventory.is_missing_from_flake(&host.name));
    let mut judged: Vec<_> = missing.iter().map(missing_host).collect();
    judged.iter().for_each(&mut on_judged);
    // The evaluator itself bounds how many run at once.
    let parallel = hosts.len();
    let work = |host| one(evaluator.clone(), hub.cancel.clone(), host);
    fan_out(hosts, parallel, work, |one: Judged| {
        on_judged(&one);
        judged.push(one);
    })
    .await;
    judged.sort_by(|a, b| a.host.cmp(&b.host));
    judged
}

fn missing_host(host: &Host) -> Judged {
    let error =
        ("the flake has no such host".to_owned(), vec!["take it out of hub.toml, or archive it there".to_owned()]);
    Judged {
        host: host.name.to_string(),
        health: Health::default(),
        error: Some(error),
        features: Vec::new(),
        build: None,
        is_kept: false,
    }
}

async fn one(evaluator: Arc<Evaluator>, cancel: Cancel, host: Host) -> Judged {
    let name = host.name.to_string();
    let health = match evaluator.health(host.attribute(), &cancel, &mut |_| ()).await {
        Ok(health) => health.value,
        Err(error) => return failed(name, &evaluator, &cancel, &error).await,
    };
    if !health.assertions.is_empty() {
        return Judged { host: name, health, error: None, features: Vec::new(), build: None, is_kept: false };
    }
    match evaluator.system(host.attribute(), &cancel, &mut |_| ()).await {
        Ok(answer) => {
            let is_kept = answer.whence == Whence::Kept;
            Judged { host: name, health, error: None, features: Vec::new(), build: None, is_kept }
        }
        Err(error) => Judged { health, ..failed(name, &evaluator, &cancel, &error).await },
    }
}

/// A host that does not evaluate.
async fn failed(host: String, evaluator: &Evaluator, cancel: &Cancel, error: &EvalError) -> Judged {
    let missed = evaluator.missed(error, cancel).await;
    let command = format!("`{}` shows the same", error.command());
    let hints = missed.as_ref().map(Missed::hint).into_iter().chain([command]).collect();
    let error = Some((error.to_string(), hints));
    Judged { host, health: Health::default(), error, features: Vec::new(), build: None, is_kept: false }
}

impl Judged {
    /// Whether there is a system to build.
    pub(super) fn evaluates(&self) -> bool {
        self.error.is_none() && self.health.assertions.is_empty()
    }

    /// Adds what is wrong with its features; gives that as lines for a person.
    pub(super) fn add_features(&mut self, problems: impl Iterator<Item = String>) -> Vec<String> {
        self.features = problems.collect();
        self.features.iter().map(|problem| format!("{}: {problem}", self.host)).collect()
    }

    /// Adds how its build ended.
    pub(super) fn add_build(&mut self, ended: &HostFinished) {
        let words = |failed: &Failed| [std::slice::from_ref(&failed.message), &failed.output].concat().join("\n");
        let error = ended.error.as_ref().map(words);
        let failed = (!ended.outcome.is_success()).then(|| error.unwrap_or_else(|| ended.outcome.to_string()));
        self.build = Some(failed.map_or(Ok(()), Err));
    }

    /// Each thing that is wrong with it, in words.
    fn wrong(&self) -> Vec<String> {
        let errors = self.error.iter().map(|(error, _)| error);
        let build = self.build.iter().filter_map(|build| build.as_ref().err());
        errors.chain(&self.health.assertions).chain(&self.features).chain(build).cloned().collect()
    }

    /// As lines for a person.
    pub(super) fn text(&self, palette: Palette) -> String {
        let (wrong, warnings) = (self.wrong(), &self.health.warnings);
        let (style, word) = match (wrong.len(), warnings.len(), self.is_kept) {
            (1.., _, _) => (Style::Fail, "does not evaluate".to_owned()),
            (0, 1, _) => (Style::Warn, "evaluates, with a warning".to_owned()),
            (0, 2.., _) => (Style::Warn, format!("evaluates, with {} warnings", warnings.len())),
            (0, 0, true) => (Style::Ok, "evaluates; nothing that it reads has changed".to_owned()),
            (0, 0, false) => (Style::Ok, "evaluates".to_owned()),
        };
        let mut lines = vec![format!("{}: {}", palette.paint(Style::Host, &self.host), palette.paint(style, &word))];
        let hints = self.error.iter().flat_map(|(_, hints)| hints);
        let all = wrong.iter().map(|text| ("error", text));
        let all = all.chain(warnings.iter().map(|text| ("warning", text))).chain(hints.map(|text| ("hint", text)));
        for (what, text) in all {
            let text: Vec<_> = format!("{what}: {}", text.trim()).lines().map(str::to_owned).collect();
            lines.push(indent(&text));
        }
        lines.join("\n")
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "host": self.host,
            "evaluates": self.evaluates(),
            "kept": self.is_kept,
            "error": self.error.as_ref().map(|(error, _)| error),
            "hints": self.error.iter().flat_map(|(_, hints)| hints).collect::<Vec<_>>(),
            "assertions": self.health.assertions,
            "warnings": self.health.warnings,
            "features": self.features,
            "built": self.build.as_ref().map(Result::is_ok),
            "build-error": self.build.as_ref().and_then(|build| build.as_ref().err()),
        })
    }

    /// What is wrong with it, and what it warns of, as findings of `source`.
    fn findings(&self, source: &Source) -> Vec<Finding> {
        let at = source.text().find(&self.host).map_or(0..0, |at| at..at + self.host.len());
        let finding = |rule, severity, text: &String, hint: Option<String>| {
            Finding::other((rule, severity), at.clone(), format!("{}: {}", self.host, text.trim()), hint)
        };
        let error = self.error.iter().map(|(error, hints)| {
            let hint = (!hints.is_empty()).then(|| hints.join("\n"));
            finding("host-evaluation", Severity::Error, error, hint)
        });
        let assertions = self.health.assertions.iter();
        let assertions = assertions.map(|text| finding("host-assertion", Severity::Error, text, None));
        let features = self.features.iter().map(|text| finding("host-features", Severity::Error, text, None));
        let warnings = self.health.warnings.iter();
        let warnings = warnings.map(|text| finding("host-warning", Severity::Warning, text, None));
        let build = self.build.iter().filter_map(|build| build.as_ref().err());
        let build = build.map(|text| finding("host-build", Severity::Error, text, None));
        error.chain(assertions).chain(features).chain(build).chain(warnings).collect()
    }
}

/// Hosts as findings in the flake's own file, for forms that know files alone.
pub(super) fn as_findings(root: &Path, judged: &[Judged]) -> Option<Checked> {
    let source = Source::new("flake.nix", std::fs::read_to_string(root.join("flake.nix")).unwrap_or_default());
    let findings: Vec<_> = judged.iter().flat_map(|one| one.findings(&source)).collect();
    (!findings.is_empty()).then_some(Checked { source, findings })
}

/// Hosts as tests.
pub(super) fn as_suite(judged: &[Judged], is_strict: bool) -> Suite {
    let wrong = |one: &Judged| {
        let warnings = one.health.warnings.iter().filter(|_| is_strict).cloned();
        one.wrong().into_iter().chain(warnings).collect()
    };
    Suite { name: "hosts".to_owned(), cases: judged.iter().map(|one| (one.host.clone(), wrong(one))).collect() }
}

/// Whether nothing is wrong with any host; and if that is `strict`, no warning either.
pub(super) fn is_well(judged: &[Judged], is_strict: bool) -> bool {
    judged.iter().all(|one| one.wrong().is_empty() && (!is_strict || one.health.warnings.is_empty()))
}

/// What became of all hosts, in one line.
pub(super) fn summary(judged: &[Judged], begun: Instant) -> String {
    let hosts = |count: usize| format!("{count} host{}", if count == 1 { "" } else { "s" });
    let wrong = judged.iter().filter(|one| !one.evaluates()).count();
    let told = match wrong {
        0 if judged.len() == 1 => "1 host evaluates".to_owned(),
        0 => format!("{} evaluate", hosts(judged.len())),
        wrong => format!("{wrong} of {} do not evaluate", hosts(judged.len())),
    };
    format!("{told}, after {} ms", begun.elapsed().as_millis())
}
