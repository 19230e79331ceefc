//! The page of a host: its tabs, and what each has.

use std::collections::VecDeque;

use super::model::scrolled;
use crate::fleet::HostName;
use crate::report::Cell;

/// How many lines of a log are kept. The oldest go first.
const LINES_KEPT: usize = 5000;

/// The page of a host.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) host: HostName,
    pub(super) tab: Tab,
    /// What the tabs have that were opened, but for the overview, which is what is known of the host anyway, and the log.
    pub(super) contents: [Content; 4],
    pub(super) log: Log,
    /// The row of the tab that keys act on.
    pub(super) cursor: usize,
    /// The first row that is shown.
    pub(super) top: usize,
    /// A text that rows must have to be shown.
    pub(super) filter: String,
}

/// A tab of a host's page.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Tab {
    #[default]
    Overview,
    Units,
    Log,
    Diff,
    History,
    Generations,
}

impl Tab {
    pub(super) const ALL: [Self; 6] =
        [Self::Overview, Self::Units, Self::Log, Self::Diff, Self::History, Self::Generations];

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Units => "Units",
            Self::Log => "Log",
            Self::Diff => "Diff",
            Self::History => "History",
            Self::Generations => "Generations",
        }
    }

    /// The tab so many to the right, going round.
    pub(super) fn beside(self, by: usize) -> Self {
        let at = Self::ALL.iter().position(|tab| *tab == self).unwrap_or_default();
        Self::ALL[(at + by) % Self::ALL.len()]
    }

    /// Where its content is, if it has one to be asked for.
    const fn slot(self) -> Option<usize> {
        match self {
            Self::Units => Some(0),
            Self::Diff => Some(1),
            Self::History => Some(2),
            Self::Generations => Some(3),
            Self::Overview | Self::Log => None,
        }
    }
}

/// What a tab has.
#[derive(Clone, Debug, Default)]
pub(super) enum Content {
    /// Nobody asked yet.
    #[default]
    Unknown,
    /// It is being found out.
    Asking,
    There(Rows),
    /// Why it cannot be found out.
    Failed(String),
}

/// A table, or lines of text as a table of one column.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Rows {
    pub(super) header: Vec<&'static str>,
    pub(super) rows: Vec<Row>,
}

/// A row of a tab.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Row {
    pub(super) cells: Vec<Cell>,
    pub(super) means: Option<Means>,
}

/// What a row stands for, so that a key can do something with it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Means {
    Unit(String),
    Deployment(String),
    Generation(u64),
}

/// A log that is followed.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    /// Of this unit alone.
    pub(super) unit: Option<String>,
    pub(super) lines: VecDeque<String>,
    /// Whether it is followed, be it that nothing came yet.
    pub(super) is_open: bool,
    /// Why nothing more comes.
    pub(super) ended: Option<String>,
    /// Whether the view stays at its end.
    pub(super) at_end: bool,
}

impl Page {
    pub(super) fn new(host: HostName) -> Self {
        let (contents, log) = Default::default();
        Self { host, tab: Tab::Overview, contents, log, cursor: 0, top: 0, filter: String::new() }
    }

    /// What the tab has that is shown, if it is one that has to be asked for.
    pub(super) fn content(&self) -> Option<&Content> {
        self.tab.slot().map(|slot| &self.contents[slot])
    }

    pub(super) fn content_mut(&mut self, tab: Tab) -> Option<&mut Content> {
        tab.slot().map(|slot| &mut self.contents[slot])
    }

    /// The rows of the tab that the filter lets through.
    pub(super) fn rows(&self) -> Vec<&Row> {
        match self.content() {
            Some(Content::There(rows)) => rows.rows.iter().filter(|row| self.lets_through(row)).collect(),
            _ => Vec::new(),
        }
    }

    fn lets_through(&self, row: &Row) -> bool {
        self.filter.is_empty() || row.cells.iter().any(|cell| has(cell.text(), &self.filter))
    }

    /// The lines of the log that the filter lets through.
    pub(super) fn lines(&self) -> Vec<&str> {
        self.log.lines.iter().map(String::as_str).filter(|line| has(line, &self.filter)).collect()
    }

    /// How many rows or lines the tab has; `overview` is the number of those of the overview.
    pub(super) fn len(&self, overview: usize) -> usize {
        match self.tab {
            Tab::Overview => overview,
            Tab::Log => self.lines().len(),
            _ => self.rows().len(),
        }
    }

    /// What the row under the cursor stands for.
    pub(super) fn means(&self) -> Option<&Means> {
        self.rows().get(self.cursor)?.means.as_ref()
    }

    /// Moves to a row, where there is room for so many of them. In a log, whoever goes to the end stays there.
    pub(super) fn move_to(&mut self, at: usize, overview: usize, room: usize) {
        let count = self.len(overview);
        let room = room.max(1);
        if matches!(self.tab, Tab::Log | Tab::Overview | Tab::Diff) {
            // Text has no cursor: what moves is the text.
            self.top = at.min(count.saturating_sub(room));
            self.log.at_end = self.tab == Tab::Log && at >= count.saturating_sub(room);
            self.cursor = self.top;
            return;
        }
        self.cursor = at.min(count.saturating_sub(1));
        self.top = scrolled(self.top, self.cursor, count, room);
    }

    /// Begins a log anew.
    pub(super) fn open_log(&mut self, unit: Option<String>) {
        self.log = Log { unit, is_open: true, at_end: true, ..Log::default() };
        (self.cursor, self.top) = (0, 0);
    }
}

impl Log {
    pub(super) fn add(&mut self, line: String) {
        if self.lines.len() == LINES_KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }
}

impl Row {
    /// A line of text.
    pub(super) fn text(cell: impl Into<Cell>) -> Self {
        Self { cells: vec![cell.into()], means: None }
    }
}

/// Whether `text` has `part`, in whatever case.
fn has(text: &str, part: &str) -> bool {
    part.is_empty() || text.to_lowercase().contains(&part.to_lowercase())
}
