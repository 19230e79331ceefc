//! hubctl runs a fleet of NixOS and nix-darwin hosts, and the hub that describes them, from one flake.
//!
//! The layers, of which each imports only those below it (`tests/layering.rs` holds them to it):
//!
//! ```text
//! cli                   one file per subcommand; clap's types end here
//! run                   one straight list of steps per host, under one supervisor
//! evaluate              evaluation that is incremental and never wrong
//! state                 what was done and with what outcome, in SQLite
//! report                typed events in; bars, plain lines or NDJSON out
//! plan                  what to do with a host, decided by pure functions
//! fleet                 hosts, selectors, hub.toml
//! remote                targets: probe, activate
//! nix                   sources, evaluation, builds, copies; all that depends on Nix's version
//! secrets               secrets of the repository: recipients, identities, transactions
//! process               the only place that spawns children
//! lint                  what can be known of Nix files without evaluating them
//! error                 kinds, hints, exit codes
//! files                 files that are written whole or not at all
//! ```

pub mod cli;
pub mod error;
pub mod evaluate;
pub mod files;
pub mod fleet;
pub mod lint;
pub mod nix;
pub mod plan;
pub mod process;
pub mod remote;
pub mod report;
pub mod run;
pub mod secrets;
pub mod state;
