//! The line of one host, which looks the same while it works and when it is done.

use std::time::Duration;

use jiff::Timestamp;

use super::event::{HostFinished, StepName};
use super::failure::doing;
use super::line::Line;
use super::state::HostState;
use super::style::{Style, mark};
use super::{text, units};
use crate::fleet::HostName;

/// The columns of a progress bar, and of the terminal from which on there is room for one.
const BAR_COLUMNS: u64 = 10;
const ROOM_FOR_BAR: usize = 72;

/// The widths that all rows share, and the moment that they show.
#[derive(Debug)]
pub(super) struct Columns {
    now: Timestamp,
    name: usize,
    word: usize,
    time: usize,
    count: usize,
}

impl Columns {
    pub(super) fn of(hosts: &[(&HostName, &HostState)], now: Timestamp, widest_name: usize) -> Self {
        let widest = |width: &dyn Fn(&HostName, &HostState) -> usize| {
            hosts.iter().map(|(name, host)| width(name, host)).max().unwrap_or(0)
        };
        Self {
            now,
            name: widest(&|name, _| text::width(name.as_str())).min(widest_name),
            word: widest(&|_, host| text::width(word(host).1)).max("evaluating".len()),
            time: widest(&|_, host| text::width(&time(host, now))).max("59 s".len()),
            count: widest(&|_, host| count(host).map_or(0, |count| text::width(&count))),
        }
    }

    /// The row of a host, for a screen of `room` columns.
    pub(super) fn row(&self, name: &HostName, host: &HostState, room: usize) -> Line {
        let (style, word) = word(host);
        let sign = host.finished.as_ref().map_or(" ", |end| mark(end.outcome));
        let line = Line::new()
            .styled(style, sign)
            .blanks(1)
            .left(Some(Style::Host), name.as_str(), self.name)
            .blanks(2)
            .left(Some(style), word, self.word)
            .blanks(2)
            .right(None, &time(host, self.now), self.time)
            .blanks(2);
        match (&host.finished, host.current()) {
            (Some(end), _) => line.text(&in_short(end)),
            (None, Some((step, _))) => self.with_progress(line, host, step, room),
            (None, None) => match host.next() {
                Some(step) => line.styled(Style::Dim, &format!("to {}", step.as_str())),
                None => line,
            },
        }
    }

    fn with_progress(&self, mut line: Line, host: &HostState, step: StepName, room: usize) -> Line {
        if let (Some(progress), Some(count)) = (&host.progress, count(host)) {
            if room >= ROOM_FOR_BAR {
                let filled = progress.done.min(progress.expected).saturating_mul(BAR_COLUMNS) / progress.expected;
                let part = |sign: &str, columns: u64| sign.repeat(usize::try_from(columns).unwrap_or(0));
                line = line
                    .styled(Style::Changed, &part("━", filled))
                    .styled(Style::Dim, &part("─", BAR_COLUMNS.saturating_sub(filled)))
                    .blanks(2);
            }
            line = line.right(None, &count, self.count).blanks(2);
        }
        line.styled(Style::Dim, host.doing(step).unwrap_or_default())
    }
}

fn word(host: &HostState) -> (Style, &'static str) {
    match (&host.finished, host.current()) {
        (Some(end), _) => (Style::of(end.outcome), end.outcome.as_str()),
        (None, Some((step, _))) => (Style::Changed, doing(step)),
        (None, None) => (Style::Dim, "waiting"),
    }
}

fn time(host: &HostState, now: Timestamp) -> String {
    match (&host.finished, host.current()) {
        (Some(end), _) => units::duration(Duration::from_millis(end.duration_ms)),
        (None, Some((_, since))) => elapsed(since, now),
        (None, None) => String::new(),
    }
}

/// How far the step under way is, once Nix knows how far it has to go.
fn count(host: &HostState) -> Option<String> {
    let (step, _) = host.current()?;
    let progress = host.progress.as_ref().filter(|progress| progress.step == step && progress.expected > 0)?;
    Some(format!("{}/{}", progress.done, progress.expected))
}

/// The time that went by, for a person; none when the clock was set back.
pub(super) fn elapsed(since: Timestamp, now: Timestamp) -> String {
    units::elapsed(now.duration_since(since).try_into().unwrap_or_default())
}

/// A host's end in a few words. Store paths are told by their names; the report of a failure has them in full.
pub(super) fn in_short(end: &HostFinished) -> String {
    let text = match (&end.detail, &end.error) {
        (Some(detail), _) => detail,
        (None, Some(error)) => error.message.lines().next().unwrap_or_default(),
        (None, None) => return String::new(),
    };
    text::without_hashes(&text.replace('\n', " "))
}
