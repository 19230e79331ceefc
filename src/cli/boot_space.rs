//! `hubctl boot-space`.

use std::collections::BTreeSet;
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::hub::{Hub, this_machine};
use super::passwords;
use super::select::HostsOrAll;
use super::upkeep::confirmed;
use crate::error::{Error, Exit, Kind, Result};
use crate::fleet::{Host, HostName, KeepPolicy};
use crate::plan::fates;
use crate::process::Cancel;
use crate::remote::{BootFile, Connect, Elevation, Space, boot_files, generations};
use crate::report::units::bytes;
use crate::report::{Cell, Output, Style, Table};
use crate::run::{fan_out, reach, target_of};
use crate::state::State;

/// How many hosts are asked at once.
const AT_ONCE: usize = 64;

/// Tells what takes the space of hosts' /boot: which generation needs which kernel and initrd, and what `hubctl gc` would free.
#[derive(Args, Debug)]
pub(super) struct BootSpaceArgs {
    #[command(flatten)]
    hosts: HostsOrAll,
}

/// What lies in a host's /boot.
struct Seen {
    space: Option<Space>,
    files: Vec<BootFile>,
    /// The generations that `hubctl gc` would remove.
    going: BTreeSet<u64>,
}

type Asked = (HostName, std::result::Result<Seen, String>);

pub(super) async fn run(hub: &Hub, args: BootSpaceArgs) -> Result<Exit> {
    let fleet = hub.reachable(&args.hosts.hosts).await?;
    let hosts = args.hosts.select(hub, &fleet.inventory)?;
    let connect: Arc<dyn Connect> = hub.connector(&fleet.config)?;
    let elevations = hub.unless_stopped(passwords::elevations(hub, connect.as_ref(), &hosts)).await?;
    let (state, policy) = (hub.state()?.0, fleet.config.gc());
    let mut seen: Vec<Asked> = Vec::new();
    let work = |host: Host| {
        let (connect, state, cancel) = (connect.clone(), state.clone(), hub.cancel.clone());
        let plain = Elevation { how: host.elevate, password: None };
        let elevation = elevations.get(&host.name).cloned().unwrap_or(plain);
        async move { (host.name.clone(), look(connect.as_ref(), &host, elevation, &state, policy, &cancel).await) }
    };
    fan_out(hosts, AT_ONCE, work, |one| seen.push(one)).await;
    connect.close().await;
    hub.not_stopped()?;
    seen.sort_by(|(a, _), (b, _)| a.cmp(b));
    show(hub, &seen).map_err(|error| Error::new(Kind::Failed, error))?;
    Ok(if seen.iter().all(|(_, seen)| seen.is_ok()) { Exit::Success } else { Exit::Failed })
}

async fn look(
    connect: &dyn Connect,
    host: &Host,
    elevation: Elevation,
    state: &State,
    policy: KeepPolicy,
    cancel: &Cancel,
) -> std::result::Result<Seen, String> {
    let target = target_of(host, this_machine().as_deref());
    let access =
        reach(connect, &target, elevation, host.kind.platform(), cancel).await.map_err(|stop| stop.message())?;
    let asked = tokio::try_join!(boot_files(&access.remote), generations(&access.remote));
    let (files, found) = asked.map_err(|error| error.to_string())?;
    let confirmed = confirmed(state, &host.name).map_err(|error| error.to_string())?;
    let fates = fates(&found, &access.facts, &confirmed, policy);
    let going = fates.iter().filter(|fate| fate.may_go()).map(|fate| fate.generation.number).collect();
    Ok(Seen { space: access.facts.boot_space, files, going })
}

impl Seen {
    /// Whether a file would go with the generations that go; what no generation needs goes too.
    fn goes(&self, file: &BootFile) -> bool {
        file.generations.is_subset(&self.going)
    }

    fn freed(&self) -> u64 {
        self.files.iter().filter(|file| self.goes(file)).map(|file| file.size).sum()
    }

    /// How many more generations fit, if each brings files as large as the largest that are there.
    fn fit(&self) -> Option<u64> {
        let newest = self.files.iter().flat_map(|file| &file.generations).max()?;
        let of_newest = self.files.iter().filter(|file| file.generations.contains(newest));
        self.space?.free.checked_div(of_newest.map(|file| file.size).sum())
    }
}

fn show(hub: &Hub, seen: &[Asked]) -> std::io::Result<()> {
    if hub.ui.output() == Output::Json {
        let listed: Vec<_> = seen.iter().map(|(host, seen)| document(host, seen)).collect();
        return hub.ui.data_json(&listed);
    }
    for (host, seen) in seen {
        let heading = hub.ui.out().paint(Style::Host, host.as_str());
        match seen {
            Err(why) => hub.ui.data(&format!("{heading}  {}", hub.ui.out().paint(Style::Fail, why)))?,
            Ok(seen) => {
                hub.ui.data(&format!("{heading}  {}", headline(seen)))?;
                hub.ui.table(&table(seen))?;
            }
        }
    }
    Ok(())
}

fn headline(seen: &Seen) -> String {
    let space = seen.space.map_or_else(
        || "the host does not tell how large its /boot is".to_owned(),
        |space| format!("{} of {} free", bytes(space.free), bytes(space.total)),
    );
    let fit = seen.fit().map(|number| format!(", room for {number} more kernels")).unwrap_or_default();
    let freed = match seen.freed() {
        0 => String::new(),
        freed => format!("; `hubctl gc` frees {}", bytes(freed)),
    };
    format!("{space}{fit}{freed}")
}

fn table(seen: &Seen) -> Table {
    let mut table = Table::new().right(1);
    for file in &seen.files {
        let generations: Vec<_> = file.generations.iter().map(u64::to_string).collect();
        let needed = match generations.as_slice() {
            [] => "no generation".to_owned(),
            [one] => format!("generation {one}"),
            many => format!("generations {}", many.join(" ")),
        };
        let (style, goes) = if seen.goes(file) { (Style::Warn, "goes") } else { (Style::Dim, "") };
        table.row([
            format!("  {}", file.path.display()).into(),
            bytes(file.size).into(),
            needed.into(),
            Cell::styled(style, goes),
        ]);
    }
    table
}

fn document(host: &HostName, seen: &std::result::Result<Seen, String>) -> Value {
    let of = seen.as_ref().ok();
    let files = |seen: &Seen| {
        let file = |file: &BootFile| json!({ "path": file.path, "size": file.size, "generations": file.generations, "goes": seen.goes(file) });
        seen.files.iter().map(file).collect::<Vec<_>>()
    };
    json!({
        "host": host, "space": of.and_then(|seen| seen.space), "files": of.map(files), "freed": of.map(Seen::freed),
        "fit": of.and_then(Seen::fit), "error": seen.as_ref().err(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_generations_that_go_need_goes_with_them() {
        let file = |name: &str, size, generations: &[u64]| BootFile {
            path: name.into(),
            size,
            generations: generations.iter().copied().collect(),
        };
        let files = vec![file("a", 10, &[1]), file("b", 20, &[1, 2]), file("c", 30, &[2]), file("d", 5, &[])];
        let seen = Seen { space: Some(Space { total: 1000, free: 120 }), files, going: BTreeSet::from([1]) };
        assert_eq!((seen.freed(), seen.fit()), (15, Some(2)));
    }
}
