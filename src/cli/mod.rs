//! The command line: one file per subcommand, each with its help, its arguments and its run. clap's types end here.

mod aliases;
mod args;
mod cache;
mod ci;
mod completions;
mod config;
mod confirm;
mod deploy;
mod deploy_all;
mod diff;
mod dispatch;
mod emergency_deploy;
mod generations;
mod history;
mod hooks;
mod hosts;
mod hub;
mod job;
mod lock;
mod man;
mod passwords;
mod ping;
mod plan;
mod quick_deploy;
mod reboot;
mod rollback;
mod select;
mod selection;
mod source_warnings;
mod status;
mod test_all;
mod test_host;
mod waves;
mod why;

pub use args::{Cli, command};
pub use dispatch::main;
