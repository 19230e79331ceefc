//! `hubctl analyze`.

use clap::Args;
use serde_json::json;

use super::hub::{Fleet, Hub};
use crate::error::{Error, Exit, Kind, Result};
use crate::evaluate::Evaluator;
use crate::fleet::Host;
use crate::nix::{Closure, GcRoot, Silent, StorePath, build, local_closure, why_depends};
use crate::report::units::{bytes, count};
use crate::report::{Output, Style, Table, cleaned};

/// How many paths may be asked for at once why they are there.
const EXPLAINED: usize = 5;

/// Tells what makes a host's system large: the largest store paths of its closure, or why something is in it.
///
/// The system is that which the flake wants, and is built here first.
#[derive(Args, Debug)]
pub(super) struct AnalyzeArgs {
    /// The host.
    #[arg(value_name = "HOST")]
    host: String,
    /// So many of the largest paths.
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,
    /// Tells in place of that by which references the system needs what has this in its name.
    #[arg(long, value_name = "NAME")]
    why: Option<String>,
}

pub(super) async fn run(hub: &Hub, args: AnalyzeArgs) -> Result<Exit> {
    let (fleet, evaluator) = hub.load().await?;
    let hosts = hub.select(&fleet.inventory, std::slice::from_ref(&args.host))?;
    let [host] = hosts.as_slice() else {
        return Err(Error::message(Kind::Usage, format!("`{}` selects {} hosts", args.host, hosts.len()))
            .hint("name one host: each has a system of its own"));
    };
    let (_, dirs) = hub.state()?;
    let root = GcRoot::at(Hub::gcroots(&dirs)?.join(format!("{}-{}", hub.run_id(&dirs), host.name)));
    let system = built(hub, &fleet, &evaluator, host, &root).await?;
    let closure = local_closure(&fleet.nix, &system, &hub.cancel).await;
    hub.not_stopped()?;
    let closure = closure.map_err(|failure| Error::message(Kind::Failed, failure))?;
    match &args.why {
        Some(name) => explain(hub, &fleet, &system, &closure, name).await?,
        None => largest(hub, &system, &closure, args.top).map_err(|error| Error::new(Kind::Failed, error))?,
    }
    Ok(Exit::Success)
}

/// The system that the flake wants for a host, in this machine's store.
async fn built(hub: &Hub, fleet: &Fleet, evaluator: &Evaluator, host: &Host, root: &GcRoot) -> Result<StorePath> {
    let evaluated = evaluator.system(host.attribute(), &hub.cancel, &mut |_| ()).await;
    hub.not_stopped()?;
    let wanted = evaluated
        .map_err(|error| Error::message(Kind::Failed, format!("the configuration does not evaluate: {error}")))?
        .value;
    let substituters = fleet.substituters(!wanted.out.as_path().exists());
    let nix =
        substituters.nix(&hub.cancel, |silent: &Silent| hub.ui.warning(&silent.to_string(), Some(Silent::HINT))).await;
    let ended = build(nix, &wanted.drv, root, &hub.cancel, |_, _| ()).await;
    hub.not_stopped()?;
    let failed = |output: &[String]| format!("the toplevel does not build: {}", output.join("\n"));
    ended.map_err(|error| Error::message(Kind::Failed, failed(&error.output)))?;
    Ok(wanted.out)
}

fn largest(hub: &Hub, system: &StorePath, closure: &Closure, top: usize) -> std::io::Result<()> {
    let mut paths: Vec<_> = closure.iter().collect();
    paths.sort_by_key(|(path, size)| (std::cmp::Reverse(*size), *path));
    let total = paths.len();
    paths.truncate(top);
    if hub.ui.output() == Output::Json {
        let largest: Vec<_> = paths.iter().map(|(path, size)| json!({ "path": path, "size": size })).collect();
        let told = json!({ "system": system, "size": closure.size(), "paths": total, "largest": largest });
        return hub.ui.data_json(&told);
    }
    let heading = hub.ui.out().paint(Style::Bold, system.as_str());
    let total = count(u64::try_from(total).unwrap_or_default());
    hub.ui.data(&format!("{heading}\n{} in {total} paths", bytes(closure.size())))?;
    let mut table = Table::new().right(0).right(1);
    for (path, size) in paths {
        let share = size.saturating_mul(100).checked_div(closure.size()).unwrap_or_default();
        table.row([bytes(size), format!("{share} %"), path.name().to_owned()]);
    }
    hub.ui.table(&table)
}

async fn explain(hub: &Hub, fleet: &Fleet, system: &StorePath, closure: &Closure, name: &str) -> Result<()> {
    let found: Vec<_> =
        closure.iter().map(|(path, _)| path).filter(|path| path.as_str().contains(name) && *path != system).collect();
    if found.is_empty() {
        return Err(Error::message(
            Kind::Usage,
            format!("nothing in the closure of {system} has `{name}` in its name"),
        )
        .hint("`hubctl analyze HOST --top 1000` lists it"));
    }
    if found.len() > EXPLAINED {
        let left = found.len() - EXPLAINED;
        hub.ui.warning(&format!("{left} more have `{name}` in their names"), Some("give more of the name"));
    }
    let mut told = Vec::new();
    for path in found.into_iter().take(EXPLAINED) {
        let explained = why_depends(&fleet.nix, system, path, &hub.cancel).await;
        hub.not_stopped()?;
        let lines = explained.map_err(|failure| Error::message(Kind::Failed, failure))?;
        let lines: Vec<_> = lines.iter().map(|line| cleaned(line).into_owned()).collect();
        told.push((path, lines));
    }
    let written = if hub.ui.output() == Output::Json {
        let told: Vec<_> = told.iter().map(|(path, lines)| json!({ "path": path, "why": lines })).collect();
        hub.ui.data_json(&told)
    } else {
        told.iter().try_for_each(|(_, lines)| hub.ui.data(&format!("{}\n", lines.join("\n"))))
    };
    written.map_err(|error| Error::new(Kind::Failed, error))
}
