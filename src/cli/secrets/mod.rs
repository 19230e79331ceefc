//! `hubctl secrets`.

mod args;
mod ask;
mod content;
mod place;
mod rekey;
mod set;
mod show;
mod sops;
mod status;

pub(super) use args::{SecretsArgs, run};
