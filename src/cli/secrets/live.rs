//! `hubctl secrets status --live`: the secrets that hosts have in the clear.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::matrix::header;
use super::place::repository;
use super::status::StatusArgs;
use crate::cli::hub::{Hub, this_machine};
use crate::cli::passwords::elevations;
use crate::error::{Error, Exit, Kind, Result};
use crate::evaluate::Evaluator;
use crate::fleet::{Host, HostName, Kind as HostKind};
use crate::nix::{Evaluation, SealedSecret};
use crate::plan::{HeldSecret, LiveProblem, held};
use crate::process::{Cancel, Level};
use crate::remote::{Connect, Elevation, live_secrets};
use crate::report::{Cell, Output, Style, Table};
use crate::run::{fan_out, reach, target_of};

/// How many hosts are asked at once.
const AT_ONCE: usize = 64;

/// A host and the secrets that it has.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct LiveHost {
    host: HostName,
    secrets: Vec<HeldSecret>,
    /// Whether it runs the system whose secrets were looked for.
    deployed: bool,
    /// Why it is not known.
    error: Option<String>,
}

impl LiveHost {
    fn is_well(&self) -> bool {
        self.error.is_none() && self.secrets.iter().all(|secret| secret.problems.is_empty())
    }
}

/// What asking a host takes.
struct Asker {
    evaluator: Arc<Evaluator>,
    connect: Arc<dyn Connect>,
    cancel: Cancel,
    root: PathBuf,
}

pub(super) async fn run(hub: &Hub, args: &StatusArgs) -> Result<Exit> {
    let root = repository(hub)?;
    let (fleet, evaluator) = hub.load().await?;
    let active = || fleet.inventory.active().cloned().collect();
    let mut hosts: Vec<Host> =
        if args.hosts.is_empty() { active() } else { hub.select(&fleet.inventory, &args.hosts)? };
    hosts.retain(|host| host.kind != HostKind::Home && !fleet.inventory.is_missing_from_flake(&host.name));
    let connect: Arc<dyn Connect> = hub.connector(&fleet.config)?;
    let elevations = elevations(hub, connect.as_ref(), &hosts).await?;
    let asker = Arc::new(Asker { evaluator, connect: connect.clone(), cancel: hub.cancel.clone(), root });
    let mut found = Vec::new();
    let look = |host: Host| {
        let plain = Elevation { how: host.elevate, password: None };
        let (asker, elevation) = (asker.clone(), elevations.get(&host.name).cloned().unwrap_or(plain));
        async move {
            let name = host.name.clone();
            let looked = asker.look(host, elevation).await;
            looked.unwrap_or_else(|error| LiveHost {
                host: name,
                secrets: Vec::new(),
                deployed: false,
                error: Some(error),
            })
        }
    };
    fan_out(hosts, AT_ONCE, look, |host| found.push(host)).await;
    connect.close().await;
    hub.not_stopped()?;
    found.sort_by(|one: &LiveHost, other| one.host.cmp(&other.host));
    tell(hub, &found)?;
    Ok(if args.check && !found.iter().all(LiveHost::is_well) { Exit::Failed } else { Exit::Success })
}

impl Asker {
    async fn look(&self, host: Host, elevation: Elevation) -> std::result::Result<LiveHost, String> {
        let target = target_of(&host, this_machine().as_deref());
        let mut unheard = |_: &str| ();
        let evaluating = self.evaluator.system(host.attribute(), &self.cancel, &mut unheard);
        let reaching = reach(self.connect.as_ref(), &target, elevation, host.kind.platform(), &self.cancel);
        let (evaluated, reached) = tokio::join!(evaluating, reaching);
        let evaluation: Evaluation = evaluated.map_err(|error| format!("it does not evaluate: {error}"))?.value;
        let access =
            reached.map_err(|stop| stop.failed.map_or_else(|| "stopped".to_owned(), |failed| failed.message))?;
        let sealed = &evaluation.sealed;
        let paths: BTreeSet<_> = sealed.places().filter_map(|secret| secret.path.as_deref()).collect();
        let asking = live_secrets(&access.remote, &paths, 1, true);
        let answer = self.cancel.unless(Level::Soft, asking).await.ok_or("stopped")?;
        let live = answer.map_err(|error| error.to_string())?;
        let secrets = held(sealed, live, |secret| may_be_empty(&self.root, secret));
        let deployed = access.facts.system() == Some(&evaluation.out);
        Ok(LiveHost { host: host.name, secrets, deployed, error: None })
    }
}

/// Whether the file of a secret says that there is nothing in it, or says nothing.
fn may_be_empty(root: &Path, secret: &SealedSecret) -> bool {
    let header = secret.file.as_ref().and_then(|file| header(root, file));
    header.is_none_or(|header| header.plaintext_len() == 0)
}

fn tell(hub: &Hub, found: &[LiveHost]) -> Result<()> {
    let written = if hub.ui.output() == Output::Json { hub.ui.data_json(&found) } else { hub.ui.table(&table(found)) };
    written.map_err(|error| Error::new(Kind::Failed, error))?;
    for host in found {
        let name = &host.host;
        if let Some(error) = &host.error {
            hub.ui.warning(&format!("what {name} has is not known: {error}"), None);
        } else if !host.deployed && !host.is_well() {
            hub.ui.warning(
                &format!("{name} runs another system than the flake's, whose secrets were looked for"),
                Some(&format!("`hubctl quick-deploy {name}` deploys it")),
            );
        }
    }
    let wrong = found.iter().filter(|host| !host.is_well()).count();
    let hosts = if found.len() == 1 { "1 host".to_owned() } else { format!("{} hosts", found.len()) };
    hub.ui.status(&match wrong {
        0 => format!("{hosts}: all secrets are there as they should be"),
        wrong => format!("{wrong} of {hosts} need something"),
    });
    Ok(())
}

fn table(found: &[LiveHost]) -> Table {
    let mut table = Table::with_header(["HOST", "SECRET", "MODE", "OWNER", "BYTES", "STATE"]).right(4);
    for host in found {
        for secret in &host.secrets {
            let file = secret.live.file.as_ref();
            let text = |of: Option<String>| Cell::from(of.unwrap_or_default());
            table.row([
                Cell::styled(Style::Host, host.host.to_string()),
                Cell::styled(Style::Bold, secret.live.path.clone()),
                text(file.map(|file| file.mode.clone())),
                text(file.map(|file| format!("{}:{}", file.owner[1], file.group[1]))),
                text(file.and_then(|file| file.bytes).map(|bytes| bytes.to_string())),
                state(secret),
            ]);
        }
    }
    table
}

fn state(secret: &HeldSecret) -> Cell {
    let words: Vec<_> = secret.problems.iter().map(|problem| word(*problem)).collect();
    match &secret.name {
        _ if !words.is_empty() => Cell::styled(Style::Fail, words.join(", ")),
        Some(_) => Cell::styled(Style::Ok, "fine"),
        None => Cell::styled(Style::Dim, "not by its configuration"),
    }
}

const fn word(problem: LiveProblem) -> &'static str {
    match problem {
        LiveProblem::Missing => "missing",
        LiveProblem::Empty => "empty",
        LiveProblem::OtherMode => "another mode",
        LiveProblem::OtherOwner => "another owner",
        LiveProblem::WorldReadable => "for everybody",
    }
}
