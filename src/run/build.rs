//! Building a host's toplevel: here, on the host itself, or on another host of the fleet.

use std::time::Instant;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::context::Context;
use super::host::{HostPart, milliseconds};
use super::long::Long;
use super::reach::{Access, reach};
use super::stop::Stop;
use crate::fleet::{BuildOn, Host, HostName};
use crate::nix::{CopySource, Evaluation, GcRoot, Nix, StoreUri, build, build_command, copy};
use crate::process::{Cancel, Level};
use crate::remote::Remote;
use crate::report::{Outcome, StepName};

/// Where a toplevel is built, with the way there.
#[derive(Debug)]
pub(super) enum BuildPlace {
    /// On this machine.
    Here,
    /// On the host that it is for.
    Target(Builder),
    /// On another host.
    Other(Builder),
}

/// A machine other than this one that builds.
#[derive(Debug)]
pub(super) struct Builder {
    pub(super) host: HostName,
    pub(super) remote: Remote,
    pub(super) store: StoreUri,
}

/// A toplevel that is built. What keeps it from being collected goes with this value.
#[derive(Debug)]
pub(super) struct Built {
    _root: Option<GcRoot>,
    /// Whether there was anything to build.
    anew: bool,
}

impl BuildPlace {
    /// Where the toplevel of `part`'s host is to be built. `access` is the way to the host, where the run has one.
    pub(super) async fn of(part: &HostPart, access: Option<&Access>) -> Result<Self, Stop> {
        let context = &part.context;
        let builder = match &part.host.build_on {
            BuildOn::Here => return Ok(Self::Here),
            BuildOn::Target => part.host.clone(),
            BuildOn::Host(name) => named(context, part, name.as_str())?,
        };
        let is_target = builder.name == part.host.name;
        let remote = if let Some(access) = access.filter(|_| is_target) {
            access.remote.clone()
        } else {
            let (target, elevation) = (context.target_of(&builder), context.elevation_of(&builder));
            let platform = builder.kind.platform();
            let reached = reach(context.connect.as_ref(), &target, elevation, platform, &context.cancel).await;
            reached.map_err(|stop| of_builder(&builder.name, stop))?.remote
        };
        let Some(store) = remote.store() else { return Ok(Self::Here) };
        let builder = Builder { host: builder.name, remote, store };
        Ok(if is_target { Self::Target(builder) } else { Self::Other(builder) })
    }
}

fn named(context: &Context, part: &HostPart, name: &str) -> Result<Host, Stop> {
    let found = context.fleet.values().find(|host| host.name.as_str() == name).cloned();
    found.ok_or_else(|| {
        let message = format!("{} is to be built on `{name}`, which is no host of the fleet", part.host.name);
        Stop::failed(Outcome::BuildFailed, StepName::Build, message).hint(Some("see `build-on` in hub.toml"))
    })
}

/// What goes wrong with a builder is a build that fails: the host that it is for has no part in it.
fn of_builder(builder: &HostName, mut stop: Stop) -> Stop {
    if let Some(failed) = &mut stop.failed {
        stop.outcome = Outcome::BuildFailed;
        failed.step = StepName::Build;
        failed.message = format!("the builder {builder}: {}", failed.message);
    }
    stop
}

/// Builds the toplevel.
pub(super) async fn build_host(
    part: &mut HostPart,
    place: &BuildPlace,
    evaluation: &Evaluation,
) -> Result<Built, Stop> {
    let (events, begun) = (part.events(), Instant::now());
    let built = events
        .step(StepName::Build, async {
            match place {
                BuildPlace::Here => build_here(part, evaluation).await,
                BuildPlace::Target(builder) => build_there(part, builder, evaluation).await,
                BuildPlace::Other(builder) => {
                    let turns = part.context.builders.turns(&builder.host);
                    let _turn = turn(&turns, &part.context.cancel).await?;
                    build_there(part, builder, evaluation).await.map_err(|stop| of_builder(&builder.host, stop))
                }
            }
        })
        .await?;
    part.build_ms = built.anew.then(|| milliseconds(begun.elapsed()));
    Ok(built)
}

async fn build_here(part: &mut HostPart, evaluation: &Evaluation) -> Result<Built, Stop> {
    let context = part.context.clone();
    let root = part.gc_root().map_err(|error| {
        let message = format!("no root can be made in {}: {error}", context.places.gcroots.display());
        Stop::failed(Outcome::BuildFailed, StepName::Build, message)
    })?;
    let (events, log) = part.split();
    let on_event = events.nix_log(StepName::Build, log);
    let nix = context.building().await;
    let built = build(nix, &evaluation.drv, &root, &context.cancel, on_event).await;
    let anew = built.map_err(|error| Stop::not_built(&error))?;
    Ok(Built { _root: Some(root), anew })
}

/// Copies the derivation to another machine and builds it there. The result stays rooted until the run's next build there
/// or a reboot, whichever is first.
async fn build_there(part: &mut HostPart, builder: &Builder, evaluation: &Evaluation) -> Result<Built, Stop> {
    let context = part.context.clone();
    let Builder { remote, store, .. } = builder;
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
    let mut tail = Vec::new();
    let on_line = |line: &str| {
        log.line(StepName::Build, line);
        events.log(StepName::Build, line);
        keep_last(&mut tail, line);
    };
    let building = Long { command: &command, root: false };
    let ran = building.run(remote, &context.cancel, on_line).await.ok_or_else(Stop::cancelled)?;
    match ran {
        Ok(ran) if ran.code == 0 => Ok(Built { _root: None, anew: !tail.is_empty() }),
        Ok(_) => {
            Err(Stop::failed(Outcome::BuildFailed, StepName::Build, "the toplevel does not build")
                .command(&command, tail))
        }
        Err(error) => Err(Stop::script(Outcome::BuildFailed, StepName::Build, &error)),
    }
}

/// Builds a toplevel on another machine for somebody who only looks at it, under the name `name`: nothing is told meanwhile. The result
/// stays rooted there until the next build under that name or a reboot, whichever is first.
pub async fn build_away(
    nix: &Nix,
    remote: &Remote,
    evaluation: &Evaluation,
    name: &str,
    cancel: &Cancel,
) -> Result<(), Stop> {
    if let Some(store) = remote.store() {
        let copied = copy(nix, &evaluation.drv, CopySource::Local, &store, cancel, |_, _| ()).await;
        copied.map_err(|error| Stop::not_copied(&error))?;
    }
    let command = build_command(&evaluation.drv, &format!("/tmp/hubctl-root-{name}"));
    let mut tail = Vec::new();
    let ran = Long { command: &command, root: false }.run(remote, cancel, |line| keep_last(&mut tail, line)).await;
    match ran.ok_or_else(Stop::cancelled)? {
        Ok(ran) if ran.code == 0 => Ok(()),
        Ok(_) => {
            let message = format!("the toplevel does not build: {}", tail.join("\n"));
            Err(Stop::failed(Outcome::BuildFailed, StepName::Build, message))
        }
        Err(error) => Err(Stop::script(Outcome::BuildFailed, StepName::Build, &error)),
    }
}

/// Keeps the end of what a build prints.
fn keep_last(tail: &mut Vec<String>, line: &str) {
    tail.push(line.to_owned());
    tail.drain(..tail.len().saturating_sub(40));
}

/// Waits for a turn under `semaphore`, unless the user stops the run first.
async fn turn<'a>(semaphore: &'a Semaphore, cancel: &Cancel) -> Result<SemaphorePermit<'a>, Stop> {
    match cancel.unless(Level::Soft, semaphore.acquire()).await {
        Some(Ok(permit)) => Ok(permit),
        // The semaphore is never closed, so there is no permit only where the user stops the run.
        Some(Err(_)) | None => Err(Stop::cancelled()),
    }
}
