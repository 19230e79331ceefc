//! The deployments as a list.

use std::collections::BTreeSet;
use std::io;

use clap::{Args, Subcommand};

use super::words::{command, outcomes, revision, took};
use super::{chart, show};
use crate::cli::hub::Hub;
use crate::cli::moment::{Moment, parse_moment};
use crate::error::{Error, Exit, Kind, Result, nearest};
use crate::fleet::HostName;
use crate::report::units::local;
use crate::report::{Cell, Outcome, Output, Style, Table};
use crate::state::{Deployment, Filter, State};

/// How many deployments are listed where nobody says it.
const LISTED: u32 = 20;

/// Lists the deployments that were made from here, newest first: who deployed what where, and how it ended.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(in crate::cli) struct HistoryArgs {
    /// Only deployments that this host took part in.
    #[arg(value_name = "HOST")]
    host: Option<HostName>,
    /// Only those that began at this time or later: `3d`, `12h`, `yesterday`, `2026-01-31`, `2026-01-31 12:00`.
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    since: Option<Moment>,
    /// Only those that began before the end of this time, in the same words.
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    until: Option<Moment>,
    /// Only those in which a host (or the named one) ended so: outcomes, `failed` for all that are no success, or `unfinished`.
    #[arg(long, value_name = "OUTCOME,..", value_delimiter = ',', value_parser = parse_ends)]
    outcome: Vec<Ends>,
    /// At most so many; 20 where no time is given.
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    /// Draws them, oldest first: how long each took, how hosts ended, and how each host fared.
    #[arg(long)]
    chart: bool,
    #[command(subcommand)]
    command: Option<HistoryCommand>,
}

#[derive(Debug, Subcommand)]
enum HistoryCommand {
    /// Shows all that is known of one deployment, with its logs.
    Show {
        /// Its id, or the beginning of it; the last one without it.
        id: Option<String>,
        /// Only the last N lines of each log; 0 for none.
        #[arg(long, value_name = "N")]
        tail: Option<usize>,
    },
}

/// One word of `--outcome`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ends {
    /// With this outcome.
    With(Outcome),
    /// Not as it was asked for.
    Failed,
    /// Not at all: the run was killed, or goes on.
    Unfinished,
}

fn parse_ends(word: &str) -> std::result::Result<Ends, String> {
    match word {
        "failed" => Ok(Ends::Failed),
        "unfinished" => Ok(Ends::Unfinished),
        word => word.parse().map(Ends::With).map_err(|_| {
            let words = || Outcome::ALL.map(Outcome::as_str).into_iter().chain(["failed", "unfinished"]);
            let near = nearest(word, words()).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            format!("there are {}{near}", words().collect::<Vec<_>>().join(", "))
        }),
    }
}

pub(in crate::cli) fn run(hub: &Hub, args: HistoryArgs) -> Result<Exit> {
    let (state, dirs) = hub.state()?;
    match args.command {
        Some(HistoryCommand::Show { id, tail }) => show::run(hub, &state, &dirs, id.as_deref(), tail),
        None => list(hub, &state, &filter(&args), args.chart),
    }
}

fn filter(args: &HistoryArgs) -> Filter {
    let timed = args.since.is_some() || args.until.is_some();
    Filter {
        host: args.host.clone(),
        since: args.since.map(|moment| moment.begin),
        until: args.until.map(|moment| moment.end),
        outcomes: outcomes_of(&args.outcome),
        limit: args.limit.or((!timed).then_some(LISTED)),
        ..Filter::default()
    }
}

/// What the words of `--outcome` stand for; none for no outcome yet.
fn outcomes_of(words: &[Ends]) -> Option<BTreeSet<Option<Outcome>>> {
    let stands_for = |word: &Ends| match *word {
        Ends::With(outcome) => vec![Some(outcome)],
        Ends::Unfinished => vec![None],
        Ends::Failed => Outcome::ALL.into_iter().filter(|outcome| !outcome.is_success()).map(Some).collect(),
    };
    (!words.is_empty()).then(|| words.iter().flat_map(stands_for).collect())
}

/// Leaves of each deployment only what became of `host`.
fn leave_only(host: &HostName, found: &mut [Deployment]) {
    for one in found {
        one.hosts.retain(|name, _| name == host.as_str());
    }
}

fn charts(hub: &Hub, found: &[Deployment]) -> io::Result<()> {
    let [times, outcomes, hosts] = chart::tables(found);
    hub.ui.table(&times)?;
    chart::legend(found).iter().try_for_each(|legend| hub.ui.data(legend))?;
    for table in [outcomes, hosts] {
        hub.ui.data("\n")?;
        hub.ui.table(&table)?;
    }
    Ok(())
}

fn list(hub: &Hub, state: &State, filter: &Filter, draw: bool) -> Result<Exit> {
    let mut found = state.deployments(filter).map_err(|error| Error::new(Kind::Failed, error))?;
    let written = if hub.ui.output() == Output::Json {
        hub.ui.data_json(&found)
    } else if found.is_empty() {
        let is_filtered = Filter { limit: None, ..filter.clone() } != Filter::default();
        let nothing = if is_filtered { "no deployment matches" } else { "nothing has been deployed from here yet" };
        hub.ui.status(nothing);
        Ok(())
    } else if draw {
        if let Some(host) = &filter.host {
            leave_only(host, &mut found);
        }
        charts(hub, &found)
    } else {
        hub.ui.table(&table(&found))
    };
    written.map_err(|error| Error::new(Kind::Failed, error))?;
    Ok(Exit::Success)
}

fn table(found: &[Deployment]) -> Table {
    let mut table = Table::with_header(["ID", "WHEN", "COMMAND", "REVISION", "BY", "TOOK", "HOSTS"]).right(5);
    for one in found {
        table.row([
            Cell::styled(Style::Bold, one.id.clone()),
            local(one.started).into(),
            command(one).into(),
            revision(one).into(),
            one.operator.clone().into(),
            took(one).into(),
            outcomes(one),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stands_for_outcomes() {
        assert_eq!(outcomes_of(&[]), None);
        let of = |word| outcomes_of(&[parse_ends(word).unwrap()]).unwrap();
        assert_eq!(of("deployed"), BTreeSet::from([Some(Outcome::Deployed)]));
        assert_eq!(of("unfinished"), BTreeSet::from([None]));
        assert!(of("failed").contains(&Some(Outcome::RolledBack)) && !of("failed").contains(&Some(Outcome::Unchanged)));
        assert!(parse_ends("deploid").unwrap_err().contains("did you mean `deployed`?"));
    }
}
