//! `hubctl report`.

mod command;
mod page;
mod parts;

pub(super) use command::{ReportArgs, run};
