//! From the words of the command line to the exit code: parse, dispatch, tell the error.

use std::ffi::OsString;

use clap::FromArgMatches as _;
use tracing_subscriber::EnvFilter;

use super::aliases::{self, Rewritten};
use super::args::{Cli, Command, Global, command};
use super::hub::Hub;
use super::{
    analyze, boot_space, cache, check_syntax, ci, cleanup, complete, completions, deploy, deploy_all, diff,
    duplication, emergency_deploy, features, format, gc, generations, history, hook, hosts, info, lint, lock, man,
    metrics, optimize, options, perf_test, ping, quick_deploy, reboot, repl, report, resume, rollback, secrets, status,
    test_all, test_host, trace_option, update, validate, why,
};
use crate::error::{Error, Exit, Kind, Result};
use crate::process::Canceller;
use crate::report::{Output, Ui};
use crate::run::Signals;

/// Runs the program with the words of its command line and gives its exit code. Errors are told on the way.
pub fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    let args: Vec<_> = args.into_iter().collect();
    if let Some(code) = complete::answer(&args) {
        return code;
    }
    if secrets::Agenix::is_called(&args) {
        return as_agenix(&args);
    }
    let described = command();
    let Rewritten { args, bare } = aliases::rewrite(args, &described);
    let cli = match described.try_get_matches_from(args).and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            // A reader of the help that went away is no error.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.code() } else { Exit::Success.code() };
        }
    };
    let Cli { global, command } = cli;
    run(global, bare, async |hub| Box::pin(dispatch(hub, command)).await).code()
}

/// Does `work` with a hub, tells the error that it ends with, and hears the user's signals meanwhile.
fn run(global: Global, bare: Option<String>, work: impl AsyncFnOnce(&Hub) -> Result<Exit>) -> Exit {
    let ui = ui_of(&global);
    log_to(&ui);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => {
            let ended = runtime.block_on(async {
                let (canceller, cancel) = Canceller::new();
                let _signals = Signals::listen(canceller).map_err(|error| Error::new(Kind::Failed, error))?;
                work(&Hub::new(ui.clone(), global, bare, cancel)).await
            });
            // What the user did not wait for is not waited for here either.
            runtime.shutdown_background();
            ended
        }
        Err(error) => Err(Error::new(Kind::Failed, error)),
    };
    ended.unwrap_or_else(|error| {
        ui.error(&error);
        error.exit()
    })
}

/// Runs the program as `agenix`, with agenix's exit codes: 0, and 1 for all else.
fn as_agenix(args: &[OsString]) -> u8 {
    match secrets::Agenix::parse(args) {
        Ok(agenix) => u8::from(run(agenix.global(), None, async |hub| agenix.run(hub).await) != Exit::Success),
        Err(told) => {
            // A reader of the help that went away is no error.
            let _ = told.print();
            u8::from(told.use_stderr())
        }
    }
}

async fn dispatch(hub: &Hub, command: Command) -> Result<Exit> {
    match command {
        Command::Hosts(args) => hosts::run(hub, args).await,
        Command::Ping(args) => ping::run(hub, args).await,
        Command::Status(args) => status::run(hub, args).await,
        Command::TestHost(args) => test_host::run(hub, args).await,
        Command::TestAll(args) => test_all::run(hub, args).await,
        Command::Deploy(args) => deploy::run(hub, args).await,
        Command::QuickDeploy(args) => quick_deploy::run(hub, args).await,
        Command::DeployAll(args) => deploy_all::run(hub, args).await,
        Command::EmergencyDeploy(args) => emergency_deploy::run(hub, args).await,
        Command::Diff(args) => diff::run(hub, args).await,
        Command::DiffHosts(args) => diff::run_between(hub, args).await,
        Command::PerfTest(args) => perf_test::run(hub, args).await,
        Command::Update(args) => update::run(hub, args).await,
        Command::Resume(args) => resume::run(hub, args).await,
        Command::Rollback(args) => rollback::run(hub, args).await,
        Command::Reboot(args) => reboot::run(hub, args).await,
        Command::History(args) => history::run(hub, args),
        Command::Report(args) => report::run(hub, args),
        Command::Metrics(_) => metrics::run(hub),
        Command::Lock(args) => lock::run(hub, args).await,
        Command::Generations(args) => generations::run(hub, args).await,
        Command::Gc(args) => gc::run(hub, args).await,
        Command::Optimize(args) => optimize::run(hub, args).await,
        Command::BootSpace(args) => boot_space::run(hub, args).await,
        Command::Cleanup(args) => cleanup::run(hub, args).await,
        Command::Info(_) => info::run(hub).await,
        Command::Analyze(args) => analyze::run(hub, args).await,
        Command::TraceOption(args) => trace_option::run(hub, args).await,
        Command::Repl(_) => repl::run(hub).await,
        Command::Why(args) => why::run(hub, args).await,
        Command::Cache(args) => cache::run(hub, args).await,
        Command::CheckSyntax(args) => check_syntax::run(hub, args).await,
        Command::Lint(args) => lint::run(hub, args).await,
        Command::Validate(args) => validate::run(hub, args).await,
        Command::Duplication(args) => duplication::run(hub, args).await,
        Command::Features(args) => features::run(hub, args).await,
        Command::Format(args) => format::run(hub, args).await,
        Command::Hook(args) => hook::run(hub, args).await,
        Command::Options(args) => options::run(hub, args).await,
        Command::Secrets(args) => secrets::run(hub, args).await,
        Command::Ci(args) => ci::run(hub, args).await,
        Command::Completions(args) => completions::run(hub, &args),
        Command::Man(args) => man::run(hub, args),
    }
}

fn ui_of(global: &Global) -> Ui {
    let output = match global {
        Global { json: true, .. } => Output::Json,
        Global { quiet: true, .. } => Output::Quiet,
        Global { plain: true, .. } => Output::Plain,
        _ => Output::Auto,
    };
    Ui::new(output).verbose(global.verbose).no_input(global.no_input)
}

/// Sends the program's own log to stderr, as far as `HUBCTL_LOG` asks for it.
fn log_to(ui: &Ui) {
    let Ok(filter) = EnvFilter::try_from_env("HUBCTL_LOG") else { return };
    // A second subscriber in one process can only be a test's own.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(ui.log_writer()).try_init();
}
