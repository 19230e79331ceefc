//! `hubctl validate`: all that can be known before something is built.

mod command;
mod flake;
mod hosts;

pub(super) use command::{ValidateArgs, run};
