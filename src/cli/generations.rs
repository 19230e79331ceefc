//! `hubctl generations`.

use clap::Args;

use super::hub::{Hub, this_machine};
use crate::error::{Error, Exit, Kind, Result};
use crate::process::Cancel;
use crate::remote::{Connect, Elevation, Facts, Generation, Platform, Target, generations};
use crate::report::units::local_minute;
use crate::report::{Cell, Output, Style, Table};
use crate::run::{reach, target_of};

/// Lists the generations of a host's system profile: what it can boot and be rolled back to.
#[derive(Args, Debug)]
pub(super) struct GenerationsArgs {
    /// The host.
    #[arg(value_name = "HOST")]
    host: String,
}

pub(super) async fn run(hub: &Hub, args: GenerationsArgs) -> Result<Exit> {
    let words = [args.host];
    let fleet = hub.reachable(&words).await?;
    let hosts = hub.select(&fleet.inventory, &words)?;
    let [host] = hosts.as_slice() else {
        return Err(Error::message(Kind::Usage, format!("`{}` selects {} hosts", words[0], hosts.len()))
            .hint("name one host: each has generations of its own"));
    };
    let connect = hub.connector(&fleet.config)?;
    let target = target_of(host, this_machine().as_deref());
    let asked = hub.unless_stopped(ask(connect.as_ref(), &target, host.kind.platform(), &hub.cancel)).await;
    connect.close().await;
    let (facts, found) = asked?;
    let written = if hub.ui.output() == Output::Json {
        let listed: Vec<_> = found.iter().map(|one| json(one, &facts)).collect();
        hub.ui.data_json(&listed)
    } else {
        hub.ui.table(&table(&found, &facts))
    };
    written.map_err(|error| Error::new(Kind::Failed, error))?;
    Ok(Exit::Success)
}

async fn ask(
    connect: &dyn Connect,
    target: &Target,
    platform: Platform,
    cancel: &Cancel,
) -> Result<(Facts, Vec<Generation>)> {
    let access = reach(connect, target, Elevation::default(), platform, cancel).await.map_err(|stop| {
        let failed = stop.failed.map(|failed| (failed.message, failed.hints)).unwrap_or_default();
        Error::message(Kind::Failed, failed.0).hints(failed.1)
    })?;
    let found = generations(&access.remote).await.map_err(|error| Error::new(Kind::Failed, error))?;
    Ok((access.facts, found))
}

/// What a generation is to its host now.
pub(super) fn marks(one: &Generation, facts: &Facts) -> Vec<&'static str> {
    let is = |path: &Option<crate::nix::StorePath>| path.as_ref() == Some(&one.toplevel);
    let marks = [
        (facts.generation == Some(one.number), "boot default"),
        (is(&facts.current), "running"),
        (is(&facts.booted), "booted"),
    ];
    marks.into_iter().filter(|(holds, _)| *holds).map(|(_, mark)| mark).collect()
}

/// When a generation was made, to the minute.
pub(super) fn made(one: &Generation) -> String {
    one.created.map_or_else(|| "-".to_owned(), local_minute)
}

fn table(found: &[Generation], facts: &Facts) -> Table {
    let mut table = Table::with_header(["GENERATION", "MADE", "VERSION", "SYSTEM", "NOTE"]).right(0);
    for one in found {
        table.row([
            one.number.to_string().into(),
            made(one).into(),
            one.version.as_deref().unwrap_or("-").into(),
            one.toplevel.short_hash().into(),
            Cell::styled(Style::Changed, marks(one, facts).join(", ")),
        ]);
    }
    table
}

fn json(one: &Generation, facts: &Facts) -> serde_json::Value {
    let marks = marks(one, facts);
    let has = |mark: &str| marks.contains(&mark);
    serde_json::json!({
        "generation": one.number, "created": one.created, "toplevel": one.toplevel, "version": one.version,
        "boot-default": has("boot default"), "running": has("running"), "booted": has("booted"),
    })
}
