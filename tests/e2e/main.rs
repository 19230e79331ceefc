//! hubctl as a program: against real hosts of the lab, real Nix and real ssh. One binary, one module per subject.
#![expect(clippy::disallowed_methods, reason = "tests run the program and the lab as a user would")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod bench;
mod build_on;
mod builders;
mod cached;
mod cancel;
mod check_syntax;
mod checks;
mod ci;
mod cli;
mod completion;
mod contact;
mod darwin;
mod demo;
mod deploys;
mod diff;
mod drift;
mod emergency;
mod evaluation;
mod faults;
mod flake_config;
mod guard;
mod health;
mod history;
mod home;
mod hooks;
mod hub_toml;
mod kills;
mod lint;
mod lock;
mod look;
mod metrics;
mod nix_versions;
mod old_recipes;
mod outcomes;
mod readme;
mod reboot;
mod report;
mod room;
mod specialisation;
mod ssh;
mod substituters;
mod support;
mod sweep;
mod waves;
