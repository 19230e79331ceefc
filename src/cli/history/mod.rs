//! `hubctl history`.

mod chart;
mod command;
mod find;
mod show;
mod words;

pub(super) use command::{HistoryArgs, run};
pub(super) use find::{check_ended, find_ended, of_flake};
pub(super) use words::{command, milliseconds, outcome, revision};
