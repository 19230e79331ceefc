//! Building a host's toplevel: here, on the host itself, or on another host of the fleet.

use std::time::Duration;

use super::context::Context;
use super::host::HostPart;
use super::reach::{Access, reach};
use super::stop::Stop;
use crate::fleet::{BuildOn, Host};
use crate::nix::{CopySource, Evaluation, GcRoot, StoreUri, build, build_command, copy};
use crate::process::Level;
use crate::remote::{Remote, Script};
use crate::report::{Outcome, StepName};

/// How long a build on another machine may take.
const REMOTE_DEADLINE: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a build on another machine may take to stop.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// Where a toplevel is built, with the way there.
#[derive(Debug)]
pub(super) enum BuildPlace {
    /// On this machine.
    Here,
    /// On the host that it is for.
    Target(Remote, StoreUri),
    /// On another host.
    Other(Remote, StoreUri),
}

/// A toplevel that is built. What keeps it from being collected goes with this value.
#[derive(Debug)]
pub(super) struct Built {
    _root: Option<GcRoot>,
}

impl BuildPlace {
    /// Where the toplevel of `part`'s host is to be built. `access` is the way to the host, where the run has one.
    pub(super) async fn of(part: &HostPart, access: Option<&Access>) -> Result<Self, Stop> {
        let context = &part.context;
        let builder = match &part.host.build_on {
            BuildOn::Here => return Ok(Self::Here),
            BuildOn::Target => part.host.clone(),
            BuildOn::Host(name) => builder(context, part, name.as_str())?,
        };
        let is_target = builder.name == part.host.name;
        let remote = if let Some(access) = access.filter(|_| is_target) {
            access.remote.clone()
        } else {
            let (target, elevation) = (context.target_of(&builder), context.elevation_of(&builder));
            let reached = reach(context.connect.as_ref(), &target, elevation, &context.cancel).await;
            reached.map_err(|stop| as_builder(&builder, stop))?.remote
        };
        Ok(match remote.store() {
            None => Self::Here,
            Some(store) if is_target => Self::Target(remote, store),
            Some(store) => Self::Other(remote, store),
        })
    }
}

fn builder(context: &Context, part: &HostPart, name: &str) -> Result<Host, Stop> {
    let found = context.fleet.values().find(|host| host.name.as_str() == name).cloned();
    found.ok_or_else(|| {
        let message = format!("{} is to be built on `{name}`, which is no host of the fleet", part.host.name);
        Stop::failed(Outcome::BuildFailed, StepName::Build, message).hint(Some("see `build-on` in hub.toml"))
    })
}

/// A builder that cannot be reached is a build that fails, not a host that cannot be reached.
fn as_builder(builder: &Host, mut stop: Stop) -> Stop {
    if stop.outcome == Outcome::Unreachable {
        stop.outcome = Outcome::BuildFailed;
    }
    if let Some(failed) = &mut stop.failed {
        failed.step = StepName::Build;
        failed.message = format!("the builder {}: {}", builder.name, failed.message);
    }
    stop
}

/// Builds the toplevel.
pub(super) async fn build_host(
    part: &mut HostPart,
    place: &BuildPlace,
    evaluation: &Evaluation,
) -> Result<Built, Stop> {
    let events = part.events();
    events
        .step(StepName::Build, async {
            match place {
                BuildPlace::Here => build_here(part, evaluation).await,
                BuildPlace::Target(remote, store) | BuildPlace::Other(remote, store) => {
                    build_there(part, remote, store, evaluation).await?;
                    Ok(Built { _root: None })
                }
            }
        })
        .await
}

async fn build_here(part: &mut HostPart, evaluation: &Evaluation) -> Result<Built, Stop> {
    let context = part.context.clone();
    let root = part.gc_root().map_err(|error| {
        let message = format!("no root can be made in {}: {error}", context.places.gcroots.display());
        Stop::failed(Outcome::BuildFailed, StepName::Build, message)
    })?;
    let (events, log) = part.split();
    let on_event = events.nix_log(StepName::Build, log);
    build(&context.nix, &evaluation.drv, &root, &context.cancel, on_event)
        .await
        .map_err(|error| Stop::not_built(&error))?;
    Ok(Built { _root: Some(root) })
}

/// Copies the derivation to another machine and builds it there. The result stays rooted until the run's next build there
/// or a reboot, whichever is first.
async fn build_there(
    part: &mut HostPart,
    remote: &Remote,
    store: &StoreUri,
    evaluation: &Evaluation,
) -> Result<(), Stop> {
    let context = part.context.clone();
    let host = part.host.name.clone();
    let (events, log) = part.split();
    let on_event = events.nix_log(StepName::Build, &mut *log);
    copy(&context.nix, &evaluation.drv, CopySource::Local, store, &context.cancel, on_event).await.map_err(
        |error| {
            let mut stop = Stop::not_copied(&error);
            if stop.outcome == Outcome::CopyFailed {
                stop.outcome = Outcome::BuildFailed;
            }
            stop
        },
    )?;

    let command = build_command(&evaluation.drv, &format!("/tmp/hubctl-root-{host}"));
    let text = format!(include_str!("build.sh"), command = command);
    let (mut pid, mut tail) = (None, Vec::new());
    let script = Script::new(text).deadline(REMOTE_DEADLINE);
    let mut on_line = |line: &str| {
        if let Some(word) = line.strip_prefix("hubctl-build:") {
            pid = pid.or_else(|| word.parse::<u32>().ok());
            return;
        }
        log.line(StepName::Build, line);
        events.log(StepName::Build, line);
        tail.push(line.to_owned());
        tail.drain(..tail.len().saturating_sub(40));
    };
    let Some(ran) = context.cancel.unless(Level::Soft, remote.run_lines(&script, &mut on_line)).await else {
        if let Some(pid) = pid {
            let kill = Script::new(format!("kill {pid} && while kill -0 {pid} 2>/dev/null; do sleep 0.1; done"));
            // Where this fails the build there ends by itself, since nobody listens any more.
            let _ = remote.run(&kill.deadline(STOP_DEADLINE)).await;
        }
        return Err(Stop::cancelled());
    };
    match ran {
        Ok(ran) if ran.code == 0 => Ok(()),
        Ok(_) => {
            Err(Stop::failed(Outcome::BuildFailed, StepName::Build, "the toplevel does not build")
                .command(&command, tail))
        }
        Err(error) => Err(Stop::script(Outcome::BuildFailed, StepName::Build, &error)),
    }
}
