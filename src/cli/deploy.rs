//! `hubctl deploy`, and what the deploying commands have in common.

use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::ask::ask_first;
use super::hub::{Fleet, Hub, local_host, this_machine};
use super::job::{self, Kept, Wish};
use super::select::{Build, Cached, Despite, Parallel, Specialised};
use super::waves::WaveOptions;
use crate::error::{Error, Exit, Kind, Result, nearest};
use crate::evaluate::Evaluator;
use crate::fleet::Host;
use crate::plan::{Goal, Rule, Waves};
use crate::process::{Cmd, End};
use crate::run::Wants;

/// Deploys hosts: builds their systems, copies them there and activates them, also where they run already.
///
/// Without a HOST it deploys this machine, which must be a host of the flake. `quick-deploy` leaves alone what is as wanted.
#[derive(Args, Debug)]
pub(super) struct DeployArgs {
    /// The hosts: names, globs (`web-*`), tags (`@edge`), each with `!` in front to leave it out. This machine without one.
    #[arg(value_name = "HOST")]
    hosts: Vec<String>,
    #[command(flatten)]
    how: How,
    /// Deploys this machine by way of another program, which takes over the terminal.
    #[arg(long, value_name = "PROGRAM", conflicts_with_all = ["dry_run", "ask", "build_on", "parallel", "cached", "specialisation"])]
    via: Option<Via>,
    /// Kept for the fingers: hubctl has no slow preparations to leave out.
    #[arg(long, hide = true)]
    fast: bool,
}

/// Options of all deploying commands. They are written down, so that a deployment can be resumed.
#[derive(Args, Debug, Serialize, Deserialize)]
pub(super) struct How {
    /// What to reach: the system runs and is the boot default (switch), is the boot default (boot), runs until the next boot
    /// (test), or it is only told what would happen (dry-activate).
    #[arg(long, value_enum, default_value_t = DeployGoal::Switch)]
    pub(super) goal: DeployGoal,
    #[command(flatten)]
    pub(super) parallel: Parallel,
    #[command(flatten)]
    pub(super) build: Build,
    #[command(flatten)]
    pub(super) cached: Cached,
    #[command(flatten)]
    pub(super) specialised: Specialised,
    #[command(flatten)]
    pub(super) waves: WaveOptions,
    /// Shows what would be done with each host, and does nothing.
    #[arg(long, short = 'n')]
    pub(super) dry_run: bool,
    /// Shows what would change on each host, as `hubctl diff --units` does, and asks before it is done.
    #[arg(long, conflicts_with = "dry_run")]
    #[serde(skip)]
    pub(super) ask: bool,
    #[command(flatten)]
    pub(super) despite: Despite,
}

#[derive(Clone, Copy, Debug, ValueEnum, Serialize, Deserialize)]
pub(super) enum DeployGoal {
    Switch,
    Boot,
    Test,
    DryActivate,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Via {
    NixosRebuild,
}

impl From<DeployGoal> for Goal {
    fn from(goal: DeployGoal) -> Self {
        match goal {
            DeployGoal::Switch => Self::Switch,
            DeployGoal::Boot => Self::Boot,
            DeployGoal::Test => Self::Test,
            DeployGoal::DryActivate => Self::DryActivate,
        }
    }
}

/// A deploying command.
pub(super) struct Command {
    pub(super) name: &'static str,
    /// When it leaves a host alone.
    pub(super) rule: Rule,
    pub(super) course: Course,
}

/// In which waves a deploying command goes, and what it has to do with other deployments.
pub(super) enum Course {
    /// As the command line and `hub.toml` say. It can be resumed.
    Usual,
    /// Goes on with the deployment of this id, in what is left of its waves.
    Left(String, Waves),
    /// All hosts at once, whatever anybody says.
    AtOnce,
}

/// What a deployment needs to be resumed.
#[derive(Serialize, Deserialize)]
pub(super) struct Resumable<H> {
    pub(super) how: H,
    pub(super) parallel: usize,
}

pub(super) async fn run(hub: &Hub, args: DeployArgs) -> Result<Exit> {
    let parallel = |config: &_| args.how.parallel.by_default(config);
    let choose = |inventory: &_| Hub::guess(inventory, &args.hosts);
    let (fleet, evaluator) = hub.load_to_reach(parallel, choose).await?;
    if args.fast {
        tracing::debug!("--fast leaves nothing out");
    }
    let hosts = match args.hosts.as_slice() {
        [] => vec![this_host(&fleet)?],
        words => hub.select(&fleet.inventory, words)?,
    };
    if let Some(Via::NixosRebuild) = args.via {
        return nixos_rebuild(&fleet, &hosts, args.how.goal.into()).await;
    }
    let parallel = parallel(&fleet.config);
    let command = Command { name: "deploy", rule: Rule::Always, course: Course::Usual };
    deploy(hub, command, fleet, evaluator, hosts, parallel, &args.how).await
}

/// Deploys `hosts` as `how` says.
pub(super) async fn deploy(
    hub: &Hub,
    command: Command,
    fleet: Fleet,
    evaluator: Arc<Evaluator>,
    mut hosts: Vec<Host>,
    parallel: usize,
    how: &How,
) -> Result<Exit> {
    how.build.apply(&mut hosts, &fleet)?;
    how.specialised.apply(&mut hosts, how.goal.into())?;
    if how.ask {
        ask_first(hub, &fleet, &evaluator, &hosts, command.rule).await?;
    }
    let cache = how.cached.cache(hub, &fleet).await?;
    let options =
        || serde_json::to_string(&Resumable { how, parallel }).map_err(|error| Error::new(Kind::Failed, error));
    let (waves, kept) = match command.course {
        Course::Usual => {
            (how.waves.waves(hub, &fleet, &hosts).await?, Kept { options: Some(options()?), ..Kept::default() })
        }
        Course::Left(id, waves) => (waves, Kept { options: Some(options()?), follows: Some(id) }),
        Course::AtOnce => (Waves::at_once(&hosts), Kept::default()),
    };
    let wish = Wish {
        command: command.name,
        goal: how.goal.into(),
        rule: command.rule,
        waves,
        hosts,
        parallel,
        overruled: how.despite.doubts(),
        dry_run: how.dry_run,
        wants: Wants::Flake(evaluator),
        cache,
        kept,
    };
    job::run(hub, fleet, wish).await
}

fn this_host(fleet: &Fleet) -> Result<Host> {
    if let Some(host) = local_host(&fleet.inventory) {
        return Ok(host.clone());
    }
    let name = this_machine().unwrap_or_else(|| "without a name".to_owned());
    let near = nearest(&name, fleet.inventory.names().map(crate::fleet::HostName::as_str));
    Err(Error::message(Kind::Usage, format!("this machine, {name}, is no host of the flake"))
        .hint("name the hosts to deploy: `hubctl deploy HOST`")
        .hints(near.map(|near| format!("did you mean `hubctl deploy {near}`?"))))
}

/// Hands this machine over to `nixos-rebuild`, in the foreground.
async fn nixos_rebuild(fleet: &Fleet, hosts: &[Host], goal: Goal) -> Result<Exit> {
    let here = this_host(fleet)?;
    if hosts.iter().any(|host| host.name != here.name) {
        return Err(Error::message(Kind::Usage, "--via nixos-rebuild deploys this machine alone")
            .hint("leave out --via: hubctl deploys other hosts itself"));
    }
    let reference = format!("{}#{}", fleet.flake, here.name);
    let mut cmd =
        Cmd::new("nixos-rebuild").args([goal.as_str(), "--flake", &reference]).args(fleet.nix.settings().flake_flags());
    // What is booted is the system itself.
    if let Some(name) = here.specialisation.as_deref().filter(|_| goal.makes_current()) {
        cmd = cmd.args(["--specialisation", name]);
    }
    match cmd.foreground().await {
        Ok(()) => Ok(Exit::Success),
        Err(failure) => {
            let missing = matches!(failure.end, End::NotFound);
            let hint =
                if missing { "leave out --via: hubctl needs no nixos-rebuild" } else { "its own output is above" };
            Err(Error::new(Kind::Failed, failure).hint(hint))
        }
    }
}
