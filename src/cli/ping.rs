//! `hubctl ping`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;

use super::hub::{Hub, this_machine};
use super::select::HostsOrAll;
use crate::error::{Error, Exit, Kind, Result};
use crate::fleet::{Host, HostName};
use crate::process::{Cancel, Level};
use crate::remote::{Connect, Elevation, Remote, Script, Target};
use crate::report::units::elapsed;
use crate::report::{Cell, Output, Style, Table};
use crate::run::{fan_out, target_of};

/// How long a host may take to run nothing.
const DEADLINE: Duration = Duration::from_secs(10);

/// How many hosts are asked at once.
const AT_ONCE: usize = 64;

/// Asks hosts by ssh whether they are there, all at once, and tells how long a round trip takes.
#[derive(Args, Debug)]
pub(super) struct PingArgs {
    #[command(flatten)]
    hosts: HostsOrAll,
}

struct Answer {
    host: HostName,
    target: String,
    result: std::result::Result<Duration, String>,
}

pub(super) async fn run(hub: &Hub, args: PingArgs) -> Result<Exit> {
    let fleet = hub.reachable(&args.hosts.hosts).await?;
    let hosts = args.hosts.select(hub, &fleet.inventory)?;
    let connect: Arc<dyn Connect> = hub.connector(&fleet.config)?;
    let mut answers = Vec::new();
    let work = |host| ask(connect.clone(), host, hub.cancel.clone());
    fan_out(hosts, AT_ONCE, work, |answer| answers.push(answer)).await;
    connect.close().await;
    hub.not_stopped()?;
    answers.sort_by(|a, b| a.host.cmp(&b.host));
    let written = if hub.ui.output() == Output::Json {
        hub.ui.data_json(&answers.iter().map(json).collect::<Vec<_>>())
    } else {
        hub.ui.table(&table(&answers))
    };
    written.map_err(|error| Error::new(Kind::Failed, error))?;
    Ok(if answers.iter().all(|answer| answer.result.is_ok()) { Exit::Success } else { Exit::Failed })
}

async fn ask(connect: Arc<dyn Connect>, host: Host, cancel: Cancel) -> Answer {
    let target = target_of(&host, this_machine().as_deref());
    let asked = cancel.unless(Level::Soft, round_trip(connect.as_ref(), &target, &cancel)).await;
    let result = asked.unwrap_or_else(|| Err("stopped".to_owned()));
    Answer { host: host.name, target: target.to_string(), result }
}

/// The time that an empty command takes over a connection that is open, so that it tells of the network and not of ssh's
/// handshake. A connection that turns out dead is made anew.
async fn round_trip(connect: &dyn Connect, target: &Target, cancel: &Cancel) -> std::result::Result<Duration, String> {
    let script = Script::new(":").deadline(DEADLINE);
    let mut tries = 0;
    loop {
        let connection = connect.connect(target, cancel).await.map_err(|error| error.to_string())?;
        let remote = Remote::new(connection, Elevation::default());
        let begun = Instant::now();
        match remote.run(&script).await {
            Ok(_) => return Ok(begun.elapsed()),
            Err(_) if remote.connection().is_reused() && tries == 0 => remote.connection().discard().await,
            Err(error) => return Err(error.to_string()),
        }
        tries += 1;
    }
}

fn table(answers: &[Answer]) -> Table {
    let mut table = Table::with_header(["HOST", "ANSWER", "ROUND TRIP", "TARGET"]).right(2);
    for answer in answers {
        let name = Cell::styled(Style::Host, answer.host.to_string());
        let target = Cell::styled(Style::Dim, answer.target.clone());
        match &answer.result {
            Ok(time) => table.row([name, Cell::styled(Style::Ok, "yes"), milliseconds(*time).into(), target]),
            Err(why) => table.row([name, Cell::styled(Style::Fail, format!("no: {why}")), "".into(), target]),
        }
    }
    table
}

fn milliseconds(time: Duration) -> String {
    if time < Duration::from_secs(1) { format!("{:.1} ms", time.as_secs_f64() * 1000.0) } else { elapsed(time) }
}

fn json(answer: &Answer) -> serde_json::Value {
    let milliseconds = answer.result.as_ref().ok().map(|time| time.as_secs_f64() * 1000.0);
    serde_json::json!({
        "host": answer.host, "target": answer.target, "reachable": answer.result.is_ok(),
        "round-trip-ms": milliseconds, "error": answer.result.as_ref().err(),
    })
}
