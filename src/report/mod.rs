//! Typed events in; bars, plain lines or NDJSON out. stdout is data, everything else goes to stderr.

mod bars;
mod chart;
mod event;
mod exposition;
mod failure;
mod html;
mod json;
mod line;
mod next;
mod outcome;
mod plain;
mod reporter;
mod row;
#[cfg(test)]
pub(crate) mod samples;
mod screen;
mod state;
mod style;
mod summary;
mod table;
mod terminal;
mod text;
mod ui;
pub mod units;

pub use chart::{bar, sparkline};
pub use event::{Event, Failed, HostFinished, Stamped, StepName, Summary};
pub use exposition::{Family, FamilyKind, Sample, exposition};
pub use html::{Column, columns, html_escaped};
pub use outcome::{Outcome, UnknownOutcome, exit_of};
pub use reporter::{EventReceiver, EventSender, Reporter};
pub use screen::Size;
pub use state::{Counts, HostState, Progress, RunState};
pub use style::{Palette, Style, mark};
pub use table::{Cell, Table};
pub use text::{clean as cleaned, truncate as shortened};
pub use ui::{Captured, LogWriter, Output, Ui};
