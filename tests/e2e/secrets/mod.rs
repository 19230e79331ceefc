//! Secrets: the format, and what is done with them.

mod age;
mod agenix;
mod commands;
mod editing;
mod exec;
mod faults;
mod hostile;
mod hosts;
mod import;
mod long;
mod matrix;
mod readers;
mod rotate;
mod sops;
mod sops_commands;
mod testkit;
mod trace;
mod traced;
