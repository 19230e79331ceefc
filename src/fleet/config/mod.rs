//! `hub.toml`: the one list of hosts and of how to reach and treat them.
//!
//! The text is parsed to values that know their place in it, and those are read by hand against one table of keys. So
//! every mistake in the file is found in one go, and each is shown with its line and the nearest thing that would be
//! right.

mod errors;
mod health;
mod hub_toml;
mod keys;
mod problem;
mod reader;
mod settings;
mod shapes;
#[cfg(test)]
mod tests;

pub use errors::ConfigErrors;
pub use hub_toml::HubToml;
pub use keys::{KnownKey, known_keys};
pub use problem::Problem;
pub(in crate::fleet) use settings::HostSettings;
pub use settings::{Cache, Deploy, Hooks, Lint, Metrics, Nix, Secrets, Ssh};
