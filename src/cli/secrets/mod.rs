//! `hubctl secrets`.

mod add_host;
mod agenix;
mod args;
mod ask;
mod both;
mod check;
mod content;
mod create;
mod edit;
mod editor;
mod exec;
mod findings;
mod generated;
mod grant;
mod history;
mod hosts;
mod keys;
mod live;
mod matrix;
mod place;
mod rekey;
mod revoke;
mod rotate;
mod rules;
mod secret;
mod set;
mod show;
mod sops;
mod sops_rules;
mod status;
mod values;

pub(super) use agenix::Agenix;
pub(super) use args::{SecretsArgs, run};
pub(super) use check::staged_leaks;
pub(super) use findings::troubles;
