//! The command line as clap reads it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};

use super::{
    analyze, boot_space, cache, check_syntax, ci, cleanup, completions, deploy, deploy_all, diff, duplication,
    emergency_deploy, features, format, gc, generations, history, hook, hosts, info, lint, lock, man, metrics,
    optimize, options, perf_test, ping, quick_deploy, reboot, repl, report, resume, rollback, secrets, status,
    test_all, test_host, trace_option, update, validate, why,
};
use crate::error::Exit;

/// Runs a fleet of NixOS and nix-darwin hosts from one flake.
///
/// Hosts are named as they are in the flake, by glob (`web-*`) or by tag (`@edge`); `!` in front leaves them out. A host's
/// name alone deploys it: `hubctl p620`.
#[derive(Debug, Parser)]
#[command(name = "hubctl", version, max_term_width = 100, propagate_version = false)]
pub struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Options of every command.
#[derive(Args, Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line, and any of them may be set")]
#[command(next_help_heading = "Options of every command")]
pub(super) struct Global {
    /// The flake: a directory, or any reference that Nix understands.
    #[arg(long, global = true, value_name = "REF", default_value = ".", env = "HUBCTL_FLAKE", hide_env = true)]
    pub(super) flake: String,

    /// Writes machine-readable output to stdout: data, or events one per line.
    #[arg(long, global = true, conflicts_with_all = ["plain", "quiet"])]
    pub(super) json: bool,

    /// Writes timestamped lines instead of redrawing the screen.
    #[arg(long, global = true, conflicts_with = "quiet")]
    pub(super) plain: bool,

    /// Writes errors only.
    #[arg(long, short, global = true)]
    pub(super) quiet: bool,

    /// Shows what builds and activations print.
    #[arg(long, short, global = true)]
    pub(super) verbose: bool,

    /// Never asks anything.
    #[arg(long, global = true)]
    pub(super) no_input: bool,

    /// Sets a setting of Nix for this run.
    #[arg(long, global = true, num_args = 2, value_names = ["NAME", "VALUE"], action = clap::ArgAction::Append)]
    pub(super) option: Vec<String>,

    /// Uses another flake for an input.
    #[arg(long, global = true, num_args = 2, value_names = ["INPUT", "REF"], action = clap::ArgAction::Append)]
    pub(super) override_input: Vec<String>,

    /// Lets the flake set all that its `nixConfig` asks for.
    #[arg(long, global = true)]
    pub(super) accept_flake_config: bool,

    /// Lets evaluations see this machine's environment, time and files.
    #[arg(long, global = true)]
    pub(super) impure: bool,

    /// Has Nix build with these remote builders in place of those of its configuration, in the form of nix.conf's `builders`; ''
    /// for none.
    #[arg(long, global = true, value_name = "SPEC")]
    pub(super) builders: Option<String>,

    /// Evaluates everything, and remembers nothing of it.
    #[arg(long, global = true)]
    pub(super) no_cache: bool,

    /// Uses this ssh configuration instead of yours and the system's.
    #[arg(long, global = true, value_name = "FILE", env = "HUBCTL_SSH_CONFIG", hide_env = true)]
    pub(super) ssh_config: Option<PathBuf>,

    /// Reads the sudo password of the hosts from the first line of a file instead of asking for it.
    #[arg(long, global = true, value_name = "FILE", env = "HUBCTL_SUDO_PASSWORD_FILE", hide_env = true)]
    pub(super) sudo_password_file: Option<PathBuf>,
}

impl Global {
    /// The options as another hubctl takes them that is to do the same in the same way.
    pub(super) fn words(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec!["--flake".into(), self.flake.clone().into()];
        let flags = [
            (self.verbose, "--verbose"),
            (self.no_input, "--no-input"),
            (self.accept_flake_config, "--accept-flake-config"),
            (self.impure, "--impure"),
            (self.no_cache, "--no-cache"),
        ];
        words.extend(flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag.into()));
        for (flag, pairs) in [("--option", &self.option), ("--override-input", &self.override_input)] {
            for pair in pairs.chunks_exact(2) {
                words.extend([flag.into(), pair[0].clone().into(), pair[1].clone().into()]);
            }
        }
        let mut with = |flag: &str, value: Option<OsString>| {
            words.extend(value.into_iter().flat_map(|value| [flag.into(), value]));
        };
        with("--builders", self.builders.clone().map(Into::into));
        with("--ssh-config", self.ssh_config.clone().map(Into::into));
        with("--sudo-password-file", self.sudo_password_file.clone().map(Into::into));
        words
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Hosts(hosts::HostsArgs),
    Ping(ping::PingArgs),
    Status(status::StatusArgs),
    TestHost(test_host::TestHostArgs),
    TestAll(test_all::TestAllArgs),
    Deploy(deploy::DeployArgs),
    QuickDeploy(quick_deploy::QuickDeployArgs),
    DeployAll(deploy_all::DeployAllArgs),
    EmergencyDeploy(emergency_deploy::EmergencyDeployArgs),
    Diff(diff::DiffArgs),
    DiffHosts(diff::DiffHostsArgs),
    Update(update::UpdateArgs),
    PerfTest(perf_test::PerfTestArgs),
    Resume(resume::ResumeArgs),
    Rollback(rollback::RollbackArgs),
    Reboot(reboot::RebootArgs),
    History(history::HistoryArgs),
    Report(report::ReportArgs),
    Metrics(metrics::MetricsArgs),
    Lock(lock::LockArgs),
    Generations(generations::GenerationsArgs),
    Gc(gc::GcArgs),
    Optimize(optimize::OptimizeArgs),
    BootSpace(boot_space::BootSpaceArgs),
    Cleanup(cleanup::CleanupArgs),
    Info(info::InfoArgs),
    Why(why::WhyArgs),
    Analyze(analyze::AnalyzeArgs),
    TraceOption(trace_option::TraceOptionArgs),
    Repl(repl::ReplArgs),
    Cache(cache::CacheArgs),
    CheckSyntax(check_syntax::CheckSyntaxArgs),
    Lint(lint::LintArgs),
    Validate(validate::ValidateArgs),
    Duplication(duplication::DuplicationArgs),
    Features(features::FeaturesArgs),
    Format(format::FormatArgs),
    Hook(hook::HookArgs),
    Options(options::OptionsArgs),
    Secrets(secrets::SecretsArgs),
    Ci(ci::CiArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// The command line's description, for completions and manual pages, with the exit codes under every command's help.
pub fn command() -> clap::Command {
    let codes = exit_codes();
    let names: Vec<_> = Cli::command().get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    names
        .iter()
        .fold(Cli::command(), |all, name| all.mut_subcommand(name, |sub| sub.after_long_help(codes.clone())))
        .after_long_help(codes)
}

fn exit_codes() -> String {
    let line = |(exit, meaning): &(Exit, &str)| format!("  {:<4} {meaning}", exit.code());
    let lines: Vec<_> = Exit::TABLE.iter().map(line).collect();
    format!("Exit codes:\n{}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::Cli;

    #[test]
    fn options_reach_another_hubctl_as_they_were_given() {
        let given = [
            "hubctl",
            "hosts",
            "--flake",
            "/srv/hub",
            "--verbose",
            "--no-input",
            "--accept-flake-config",
            "--impure",
            "--no-cache",
            "--option",
            "cores",
            "2",
            "--option",
            "a",
            "b c",
            "--override-input",
            "nixpkgs",
            "/src",
            "--builders",
            "",
            "--ssh-config",
            "/etc/x",
            "--sudo-password-file",
            "/run/pw",
        ];
        let global = Cli::parse_from(given).global;
        let words = [vec!["hubctl".into(), "hosts".into()], global.words()].concat();
        assert_eq!(format!("{:?}", Cli::parse_from(words).global), format!("{global:?}"));
        assert!(global.words().len() == given.len() - 2);
    }
}
