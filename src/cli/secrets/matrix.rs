//! Which host needs which secret and can read what: the hosts' configurations joined with the rules and the headers of files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::both::Both;
use super::hosts::in_rules;
use crate::cli::hub::Hub;
use crate::error::Result;
use crate::fleet::{Host, HostName, Kind as HostKind};
use crate::nix::{EvalError, Sealed};
use crate::plan::{FileReaders, HostNeeds, HostSecret, HostSecrets, NeedProblem, SopsReaders, needs};
use crate::report::{Cell, Style, Table};
use crate::run::fan_out;
use crate::secrets::Rule;
use crate::secrets::age::Header;
use crate::secrets::sops::SopsSecret;

/// Hosts and their secrets.
pub(super) struct Matrix {
    hosts: Vec<HostSecrets>,
    /// Hosts of which it is not known.
    failed: Vec<(HostName, EvalError)>,
}

impl Matrix {
    /// Asks the configurations of the hosts that `words` select, or of all active ones: those that were evaluated before and did not
    /// change are not evaluated again. Homes have their users' keys, and are left out.
    pub(super) async fn of(hub: &Hub, both: &Both, words: &[String]) -> Result<Self> {
        let (fleet, evaluator) = hub.load().await?;
        let active = || fleet.inventory.active().cloned().collect();
        let mut hosts: Vec<Host> = if words.is_empty() { active() } else { hub.select(&fleet.inventory, words)? };
        hosts.retain(|host| host.kind != HostKind::Home && !fleet.inventory.is_missing_from_flake(&host.name));
        let (mut wanted, mut failed) = (Vec::new(), Vec::new());
        let evaluate = |host: Host| {
            let (evaluator, cancel) = (evaluator.clone(), hub.cancel.clone());
            async move {
                let answer = evaluator.system(host.attribute(), &cancel, &mut |_| ()).await;
                (host.name, answer.map(|answer| answer.value.sealed))
            }
        };
        // The evaluator itself bounds how many run at once.
        let at_once = hosts.len();
        fan_out(hosts, at_once, evaluate, |(host, sealed)| match sealed {
            Ok(sealed) => wanted.push((host, sealed)),
            Err(error) => failed.push((host, error)),
        })
        .await;
        hub.not_stopped()?;
        wanted.sort_by(|(one, _), (other, _)| one.cmp(other));
        failed.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(Self { hosts: join(both, wanted)?, failed })
    }

    /// Whether every host can read what it needs and nothing else, as far as that can be known here.
    pub(super) fn is_well(&self) -> bool {
        self.failed.is_empty() && self.hosts.iter().all(HostSecrets::is_well)
    }

    pub(super) fn json(&self) -> Value {
        let failed = self.failed.iter().map(|(host, error)| json!({ "host": host, "message": error.to_string() }));
        json!({ "hosts": self.hosts, "failed": failed.collect::<Vec<_>>() })
    }

    /// A row for each secret that some host needs or can read, and a column for each host.
    pub(super) fn table(&self) -> Table {
        let files: BTreeSet<_> = self.hosts.iter().flat_map(|host| &host.secrets).map(|secret| &secret.file).collect();
        let names = self.hosts.iter().map(|host| host.host.as_str());
        let mut table = Table::with_header(["SECRET"].into_iter().chain(names));
        for file in files {
            let cells = self.hosts.iter().map(|host| cell(host.secrets.iter().find(|secret| secret.file == *file)));
            table.row([Cell::styled(Style::Bold, file.display().to_string())].into_iter().chain(cells));
        }
        table
    }

    /// All that is wrong, each in a line, with what helps.
    pub(super) fn tell(&self, hub: &Hub) {
        for (message, hint) in self.hosts.iter().flat_map(complaints) {
            hub.ui.warning(&message, Some(hint));
        }
        for (host, error) in &self.failed {
            let hint = format!("`{}` shows the same", error.command());
            hub.ui.warning(&format!("what {host} needs is not known: {error}"), Some(&hint));
        }
    }

    /// All of it in a sentence.
    pub(super) fn summary(&self) -> String {
        let wrong = self.hosts.iter().filter(|host| !host.is_well()).count();
        let count = self.hosts.len();
        let hosts = if count == 1 { "1 host".to_owned() } else { format!("{count} hosts") };
        match (wrong, self.failed.len()) {
            (0, 0) if count == 0 => "there are no hosts that could need a secret".to_owned(),
            (0, 0) => format!("{hosts}: each can read what it needs, and nothing else"),
            (wrong, 0) => format!("{wrong} of {hosts} need something"),
            (wrong, unknown) => format!("{wrong} of {hosts} need something; {unknown} more are not known"),
        }
    }
}

/// Joins what hosts want with the rules and the files of the repository.
fn join(both: &Both, wanted: Vec<(HostName, Sealed)>) -> Result<Vec<HostSecrets>> {
    let (files, sops) = (of_agenix(both, &wanted), of_sops(both, &wanted));
    let of_host = |(host, sealed): (HostName, Sealed)| {
        let keys = in_rules(both, host.as_str())?;
        Ok(needs(&HostNeeds { host, keys, sealed }, &files, &sops))
    };
    wanted.into_iter().map(of_host).collect()
}

/// The secrets of agenix that have a rule or are needed.
fn of_agenix(both: &Both, wanted: &[(HostName, Sealed)]) -> BTreeMap<PathBuf, FileReaders> {
    let rules = both.agenix.iter().flat_map(|place| &place.rules.list);
    let of_rule = |rule: &Rule| {
        let readers = FileReaders { rule: Some(rule.recipients.clone()), header: header(&both.root, &rule.path) };
        (rule.path.clone(), readers)
    };
    let mut files: BTreeMap<_, _> = rules.map(of_rule).collect();
    for file in wanted.iter().flat_map(|(_, sealed)| &sealed.secrets).filter_map(|secret| secret.file.as_ref()) {
        let readers = || FileReaders { rule: None, header: header(&both.root, file) };
        files.entry(PathBuf::from(file)).or_insert_with(readers);
    }
    files
}

/// The files of SOPS that there are or that are needed.
fn of_sops(both: &Both, wanted: &[(HostName, Sealed)]) -> BTreeMap<PathBuf, SopsReaders> {
    let readers = |secret: &SopsSecret| SopsReaders {
        rule: secret.rule().map(|rule| rule.recipients.clone()),
        file: secret.file().cloned(),
    };
    let mut files: BTreeMap<_, _> =
        both.sops.secrets.iter().map(|secret| (secret.path.clone(), readers(secret))).collect();
    for file in wanted.iter().flat_map(|(_, sealed)| &sealed.sops.secrets).filter_map(|value| value.place.file.as_ref())
    {
        // One whose name does not say that it is one of SOPS, or that is none.
        let read = || SopsSecret::at(&both.root, Path::new(file)).ok().flatten();
        files.entry(PathBuf::from(file)).or_insert_with(|| read().as_ref().map(readers).unwrap_or_default());
    }
    files
}

/// The header of a file, where there is one.
pub(super) fn header(root: &Path, file: impl AsRef<Path>) -> Option<Header> {
    // What is wrong with a file `secrets status` tells; nobody can read it anyway.
    File::open(root.join(file)).ok().and_then(|file| Header::read(file).ok())
}

fn cell(secret: Option<&HostSecret>) -> Cell {
    let Some(secret) = secret else { return Cell::styled(Style::Dim, "-") };
    let words: Vec<_> = secret.problems.iter().map(|problem| word(*problem)).collect();
    match secret.reads {
        _ if !words.is_empty() => Cell::styled(Style::Fail, words.join(", ")),
        None => Cell::styled(Style::Dim, "needs, by another key"),
        Some(_) if !secret.values.is_empty() => Cell::styled(Style::Ok, format!("needs {}", values(secret))),
        Some(_) => Cell::styled(Style::Ok, "needs"),
    }
}

/// The values that a host needs of a file.
fn values(secret: &HostSecret) -> String {
    secret.values.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// What is wrong, as short as it can be told.
const fn word(problem: NeedProblem) -> &'static str {
    match problem {
        NeedProblem::NoFile => "no file",
        NeedProblem::NoValue => "no such value",
        NeedProblem::NoRule => "no rule",
        NeedProblem::CannotRead => "cannot read",
        NeedProblem::MoreThanNeeded => "not needed",
        NeedProblem::WorldReadable => "for everybody",
        NeedProblem::NoKey => "no key",
    }
}

/// What is wrong with a host, one thing a line: the secrets of which the same is wrong stand together.
fn complaints(host: &HostSecrets) -> Vec<(String, &'static str)> {
    let mut by_problem = BTreeMap::<NeedProblem, Vec<String>>::new();
    for problem in &host.problems {
        by_problem.entry(*problem).or_default();
    }
    for secret in &host.secrets {
        for problem in &secret.problems {
            let file = secret.file.display();
            let shown = if *problem == NeedProblem::NoValue {
                format!("{file} ({})", values(secret))
            } else {
                file.to_string()
            };
            by_problem.entry(*problem).or_default().push(shown);
        }
    }
    by_problem.into_iter().map(|(problem, files)| complaint(host.host.as_str(), problem, &files.join(", "))).collect()
}

fn complaint(host: &str, problem: NeedProblem, files: &str) -> (String, &'static str) {
    match problem {
        NeedProblem::NoFile => (
            format!("{host} needs what has no file, or a damaged one: {files}"),
            "`hubctl secrets set` gives one a content",
        ),
        NeedProblem::NoValue => (
            format!("{host} needs values that their files do not all have: {files}"),
            "correct `sops.secrets`, or add what is missing with `hubctl secrets edit FILE`",
        ),
        NeedProblem::NoRule => (
            format!("{host} needs what no rule names, so that nobody can change it: {files}"),
            "add a rule for it to secrets.nix, or for a file of SOPS to .sops.yaml",
        ),
        NeedProblem::CannotRead => (
            format!("{host} needs what its key does not open: {files}"),
            "add the host to its rule with `hubctl secrets grant`, or where the rule names it, `hubctl secrets rekey`",
        ),
        NeedProblem::MoreThanNeeded => (
            format!("{host} can read what it does not need: {files}"),
            "take the host's key out of its rule with `hubctl secrets revoke HOST NAME`, or have its configuration use it",
        ),
        NeedProblem::WorldReadable => (
            format!("on {host} everybody may read {files}"),
            "give it an `owner` in the configuration, and leave its `mode` at \"0400\"",
        ),
        NeedProblem::NoKey => (
            format!("{host} needs secrets, and no key in the rules is known to be its own"),
            "comment it there as `root@HOST`, or give it the host's name: `hubctl secrets hosts add HOST`",
        ),
    }
}
