//! All that the view shows, as a value.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::order::Sort;
use super::page::Page;
use crate::cli::looker::Seen;
use crate::fleet::{Host, HostName};
use crate::plan::Drift;

/// All that the view shows.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// The hosts, in the order of their names.
    pub(super) entries: Vec<Entry>,
    /// What the flake is, for a person.
    pub(super) flake: String,
    /// Why the flake as it is now cannot be compared with; then it is as it was before.
    pub(super) flake_problem: Option<String>,
    /// Words that hosts must have to be shown.
    pub(super) filter: String,
    pub(super) sort: Sort,
    /// Whether the last come first.
    pub(super) reversed: bool,
    /// The host that keys act on, where no others are marked.
    pub(super) cursor: Option<HostName>,
    pub(super) marked: BTreeSet<HostName>,
    /// The first row that is shown.
    pub(super) top: usize,
    /// The host whose page is shown, instead of the table.
    pub(super) page: Option<Page>,
    /// What is asked of the user.
    pub(super) prompt: Option<Prompt>,
    /// Whether the keys are listed, and the first line of them that is shown.
    pub(super) help: Option<usize>,
    /// What the last key could not do, or what came of it.
    pub(super) note: Option<String>,
    pub(super) now: Timestamp,
    pub(super) size: Size,
}

/// The terminal's columns and rows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Size {
    pub(super) columns: u16,
    pub(super) rows: u16,
}

/// A host, and what is known of it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: HostName,
    pub(super) role: Option<String>,
    pub(super) tags: BTreeSet<String>,
    /// What it answered, or that it did not.
    pub(super) seen: Option<Seen>,
    /// When that was.
    pub(super) at: Option<Timestamp>,
    /// When it answered last.
    pub(super) answered: Option<Timestamp>,
    /// Since when it is being asked.
    pub(super) asking: Option<Timestamp>,
    /// Whether it is being found out what the flake wants for it.
    pub(super) comparing: bool,
}

/// What is asked of the user, on the last line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Prompt {
    /// The words of the filter of what is shown.
    Filter,
    /// Whether a command is to be run.
    Confirm { question: String, words: Vec<String> },
}

impl Entry {
    pub(super) fn new(host: &Host) -> Self {
        let (role, tags) = (host.role.clone(), host.tags.clone());
        let (seen, at, answered, asking, comparing) = (None, None, None, None, false);
        Self { name: host.name.clone(), role, tags, seen, at, answered, asking, comparing }
    }

    /// How the host is, in a word that the whole fleet is counted by.
    pub(super) fn word(&self) -> &'static str {
        match &self.seen {
            None => "not asked yet",
            Some(seen) if !seen.reachable => "unreachable",
            Some(_) if self.comparing => "comparing",
            Some(seen) => seen.drift.map_or("unreachable", Drift::as_str),
        }
    }

    /// Whether something of it wants to be looked at.
    pub(super) fn has_trouble(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| {
            let failed = seen.facts.as_ref().is_some_and(|facts| !facts.failed_units.is_empty());
            !seen.reachable || failed || !seen.failed_checks.is_empty() || !seen.errors.is_empty()
        })
    }
}

impl Model {
    /// A view of these hosts, of which nothing is known yet.
    pub(super) fn new(flake: String, hosts: &[Host], now: Timestamp, size: Size) -> Self {
        let mut model = Self { flake, now, size, ..Self::default() };
        model.take_hosts(hosts);
        model
    }

    /// Has the view show these hosts. What is known of those that it showed before stays.
    pub(super) fn take_hosts(&mut self, hosts: &[Host]) {
        let mut before = std::mem::take(&mut self.entries);
        for host in hosts {
            let known = before.iter().position(|entry| entry.name == host.name).map(|at| before.swap_remove(at));
            let known = known.unwrap_or_else(|| Entry::new(host));
            self.entries.push(Entry { role: host.role.clone(), tags: host.tags.clone(), ..known });
        }
        self.entries.sort_by(|a, b| a.name.cmp(&b.name));
        let is_there = |name: &HostName| self.entries.iter().any(|entry| entry.name == *name);
        self.marked.retain(is_there);
        if self.page.as_ref().is_some_and(|page| !is_there(&page.host)) {
            self.page = None;
        }
        self.settle();
    }

    pub(super) fn entry(&self, name: &HostName) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == *name)
    }

    pub(super) fn entry_mut(&mut self, name: &HostName) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.name == *name)
    }

    /// The hosts that are shown, in the order in which they are.
    pub(super) fn shown(&self) -> Vec<&Entry> {
        super::order::shown(&self.entries, &self.filter, self.sort, self.reversed)
    }

    /// The place of the cursor among those that are shown.
    pub(super) fn cursor_at(&self, shown: &[&Entry]) -> usize {
        shown.iter().position(|entry| Some(&entry.name) == self.cursor.as_ref()).unwrap_or(0)
    }

    /// The host of the page, or the one under the cursor.
    pub(super) fn current(&self) -> Option<&Entry> {
        if let Some(page) = &self.page {
            return self.entry(&page.host);
        }
        let shown = self.shown();
        shown.get(self.cursor_at(&shown)).copied()
    }

    /// The hosts that a key acts on: that of the page; otherwise those that are marked, or the one under the cursor.
    pub(super) fn chosen(&self) -> Vec<HostName> {
        if self.page.is_none() && !self.marked.is_empty() {
            return self.marked.iter().cloned().collect();
        }
        self.current().map(|entry| entry.name.clone()).into_iter().collect()
    }

    /// Moves the cursor to the row at `at`, or to the last one.
    pub(super) fn move_to(&mut self, at: usize) {
        let shown = self.shown();
        self.cursor = shown.get(at.min(shown.len().saturating_sub(1))).map(|entry| entry.name.clone());
        self.settle();
    }

    /// Puts the cursor onto a host that is shown, and the rows so that it is among them.
    pub(super) fn settle(&mut self) {
        let shown = self.shown();
        let at = self.cursor_at(&shown);
        let (cursor, count) = (shown.get(at).map(|entry| entry.name.clone()), shown.len());
        self.cursor = cursor;
        self.top = scrolled(self.top, at, count, self.rows());
    }

    /// How many hosts there is room for.
    pub(super) fn rows(&self) -> usize {
        super::draw_fleet::rows(self)
    }
}

/// The first row to show, so that the row `at` is among the `room` ones that are shown of `count`, and no more moves than must.
pub(super) fn scrolled(top: usize, at: usize, count: usize, room: usize) -> usize {
    let room = room.max(1);
    let last_top = count.saturating_sub(room);
    top.clamp((at + 1).saturating_sub(room), at).min(last_top)
}

#[cfg(test)]
mod tests {
    use super::scrolled;

    #[test]
    fn rows_scroll_no_more_than_they_must() {
        let cases = [
            ((0, 3, 10, 5), 0),
            ((0, 5, 10, 5), 1),
            ((4, 3, 10, 5), 3),
            ((9, 9, 10, 5), 5),
            ((3, 2, 3, 5), 0),
            ((0, 0, 0, 0), 0),
            ((2, 7, 8, 0), 7),
        ];
        for ((top, at, count, room), wanted) in cases {
            assert_eq!(scrolled(top, at, count, room), wanted, "{top} {at} {count} {room}");
        }
    }
}
