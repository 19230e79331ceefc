//! `hubctl diff` and `hubctl diff-hosts`.

use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::hub::{Fleet, Hub, this_machine};
use super::select::HostsOrAll;
use crate::error::{Error, Exit, Kind, Result};
use crate::evaluate::Evaluator;
use crate::fleet::{Host, HostName};
use crate::nix::{
    Closure, GcRoot, Nix, PackageChange, Silent, StorePath, Substituters, build, closure_command, diff_closures,
    local_closure,
};
use crate::process::{Cancel, Level};
use crate::remote::{Connect, Elevation, Remote};
use crate::report::units::bytes;
use crate::report::{Cell, Output, Style, Table, Ui};
use crate::run::{fan_out, reach, target_of};

/// How many hosts are compared at once.
const AT_ONCE: usize = 8;

/// Shows what deploying would change on hosts: packages added, removed, up and down, and the size of the whole.
///
/// The base is what each host runs now. The wanted systems are built here first.
#[derive(Args, Debug)]
pub(super) struct DiffArgs {
    #[command(flatten)]
    hosts: HostsOrAll,
}

/// Shows what the systems that the flake wants for two hosts have different.
#[derive(Args, Debug)]
pub(super) struct DiffHostsArgs {
    /// The host to compare from.
    old: HostName,
    /// The host to compare with.
    new: HostName,
}

/// What differs between two systems, or why that is not known.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Compared {
    host: String,
    old: Option<StorePath>,
    new: Option<StorePath>,
    size_change: i64,
    changes: Vec<PackageChange>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// What comparing needs.
struct Comparer {
    ui: Ui,
    nix: Nix,
    substituters: Substituters,
    evaluator: Arc<Evaluator>,
    connect: Arc<dyn Connect>,
    gcroots: std::path::PathBuf,
    id: String,
    cancel: Cancel,
}

pub(super) async fn run(hub: &Hub, args: DiffArgs) -> Result<Exit> {
    let (fleet, evaluator) = hub.load().await?;
    let hosts = args.hosts.select(hub, &fleet.inventory)?;
    let comparer = Arc::new(comparer(hub, &fleet, evaluator)?);
    let mut found = Vec::new();
    let work = |host| {
        let comparer = comparer.clone();
        async move { comparer.with_running(&host).await }
    };
    fan_out(hosts, AT_ONCE, work, |one: Compared| found.push(one)).await;
    comparer.connect.close().await;
    hub.not_stopped()?;
    found.sort_by(|a, b| a.host.cmp(&b.host));
    show(hub, &found)
}

pub(super) async fn run_between(hub: &Hub, args: DiffHostsArgs) -> Result<Exit> {
    let (fleet, evaluator) = hub.load().await?;
    let one = |name: &HostName| {
        let hosts = hub.select(&fleet.inventory, &[name.to_string()])?;
        hosts.into_iter().next().ok_or_else(|| Error::message(Kind::NoHost, format!("there is no host {name}")))
    };
    let (old, new) = (one(&args.old)?, one(&args.new)?);
    let comparer = comparer(hub, &fleet, evaluator)?;
    let found = comparer.between(&old, &new).await;
    hub.not_stopped()?;
    show(hub, &[found])
}

fn comparer(hub: &Hub, fleet: &Fleet, evaluator: Arc<Evaluator>) -> Result<Comparer> {
    let (_, dirs) = hub.state()?;
    Ok(Comparer {
        id: hub.run_id(&dirs).to_owned(),
        ui: hub.ui.clone(),
        nix: fleet.nix.clone(),
        substituters: fleet.substituters(true),
        evaluator,
        connect: hub.connector(&fleet.config)?,
        gcroots: Hub::gcroots(&dirs)?,
        cancel: hub.cancel.clone(),
    })
}

impl Comparer {
    /// What the flake wants for `host` against what it runs.
    async fn with_running(&self, host: &Host) -> Compared {
        let target = target_of(host, this_machine().as_deref());
        let asked = async {
            let (elevation, platform) = (Elevation::default(), host.kind.platform());
            let access = reach(self.connect.as_ref(), &target, elevation, platform, &self.cancel).await;
            access.or_else(|stop| stop.failed.map_or_else(stopped, |failed| Err(failed.message)))
        };
        let both = tokio::try_join!(asked, self.wanted(host));
        let compared = match both {
            Err(error) => Err(error),
            Ok((access, (new, closure))) => match access.facts.current {
                None => Err("the host runs no system that Nix knows".to_owned()),
                Some(old) if old == new => Ok((Some(old), new, Closure::default(), Closure::default())),
                Some(old) => {
                    let asked = self.cancel.unless(Level::Soft, remote_closure(&access.remote, &old)).await;
                    asked.unwrap_or_else(stopped).map(|before| (Some(old), new, before, closure))
                }
            },
        };
        Compared::of(host.name.to_string(), compared)
    }

    /// What the flake wants for two hosts, against each other.
    async fn between(&self, old: &Host, new: &Host) -> Compared {
        let both = tokio::try_join!(self.wanted(old), self.wanted(new));
        let compared = both.map(|((old, before), (new, after))| (Some(old), new, before, after));
        Compared::of(format!("{} → {}", old.name, new.name), compared)
    }

    /// The toplevel that the flake wants for `host`, built, and its closure.
    async fn wanted(&self, host: &Host) -> std::result::Result<(StorePath, Closure), String> {
        let evaluation = {
            let evaluated = self.evaluator.system(host.attribute(), &self.cancel, &mut |_| ()).await;
            evaluated.map_err(|error| format!("the configuration does not evaluate: {error}"))?.value
        };
        let root = GcRoot::at(self.gcroots.join(format!("{}-{}", self.id, host.name)));
        let is_here = evaluation.out.as_path().exists();
        let tell = |silent: &Silent| self.ui.warning(&silent.to_string(), Some(Silent::HINT));
        let nix = if is_here { &self.nix } else { self.substituters.nix(&self.cancel, tell).await };
        build(nix, &evaluation.drv, &root, &self.cancel, |_, _| ())
            .await
            .map_err(|error| format!("the toplevel does not build: {}", error.output.join("\n")))?;
        let closure = local_closure(&self.nix, &evaluation.out, &self.cancel).await;
        let closure = closure.map_err(|error| error.to_string())?;
        Ok((evaluation.out, closure))
    }
}

/// What is told of a host whose part the user stopped.
fn stopped<T>() -> std::result::Result<T, String> {
    Err("stopped".to_owned())
}

async fn remote_closure(remote: &Remote, path: &StorePath) -> std::result::Result<Closure, String> {
    let asked = remote.run(&remote.script(&closure_command(path))).await;
    let (ran, printed) = asked.map_err(|error| error.to_string())?;
    let closure = Closure::parse(&printed);
    if closure.is_empty() {
        return Err(format!("the host does not tell the closure of {path}: {}", ran.stderr.trim()));
    }
    Ok(closure)
}

impl Compared {
    fn of(
        host: String,
        compared: std::result::Result<(Option<StorePath>, StorePath, Closure, Closure), String>,
    ) -> Self {
        match compared {
            Ok((old, new, before, after)) => Self {
                host,
                old,
                new: Some(new),
                size_change: signed(after.size()) - signed(before.size()),
                changes: diff_closures(&before, &after),
                error: None,
            },
            Err(error) => Self { host, old: None, new: None, size_change: 0, changes: Vec::new(), error: Some(error) },
        }
    }
}

fn show(hub: &Hub, compared: &[Compared]) -> Result<Exit> {
    let out = |error: std::io::Error| Error::new(Kind::Failed, error);
    if hub.ui.output() == Output::Json {
        hub.ui.data_json(&compared).map_err(out)?;
    } else {
        let palette = hub.ui.out();
        for one in compared {
            let heading = palette.paint(Style::Host, &one.host);
            hub.ui.data(&format!("{heading}  {}", headline(one))).map_err(out)?;
            hub.ui.table(&table(one)).map_err(out)?;
            if let Some(error) = &one.error {
                hub.ui.warning(&format!("{}: {error}", one.host), None);
            }
        }
    }
    Ok(if compared.iter().any(|one| one.error.is_some()) { Exit::Failed } else { Exit::Success })
}

fn headline(one: &Compared) -> String {
    match (&one.error, &one.old, &one.new) {
        (Some(_), ..) => "not compared".to_owned(),
        (None, Some(old), Some(new)) if old == new => "unchanged".to_owned(),
        (None, old, Some(new)) => {
            let old = old.as_ref().map_or("nothing", StorePath::short_hash);
            format!(
                "{old} → {}, {} packages differ, {}",
                new.short_hash(),
                one.changes.len(),
                signed_bytes(one.size_change)
            )
        }
        (None, _, None) => String::new(),
    }
}

fn table(one: &Compared) -> Table {
    let mut table = Table::new().right(3);
    for change in &one.changes {
        let (sign, style) = match (change.old.is_empty(), change.new.is_empty()) {
            (true, false) => ("+", Style::Ok),
            (false, true) => ("-", Style::Fail),
            _ => ("~", Style::Changed),
        };
        let versions =
            |list: &[String]| list.iter().map(|v| if v.is_empty() { "∅" } else { v }).collect::<Vec<_>>().join(", ");
        let versions = match sign {
            "+" => versions(&change.new),
            "-" => versions(&change.old),
            _ if change.old.is_empty() => "same version".to_owned(),
            _ => format!("{} → {}", versions(&change.old), versions(&change.new)),
        };
        table.row([
            Cell::styled(style, format!("  {sign}")),
            change.name.clone().into(),
            versions.into(),
            Cell::styled(Style::Dim, signed_bytes(change.size_change)),
        ]);
    }
    table
}

fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn signed_bytes(change: i64) -> String {
    let sign = if change < 0 { "-" } else { "+" };
    format!("{sign}{}", bytes(change.unsigned_abs()))
}
