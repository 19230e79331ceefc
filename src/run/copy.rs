//! Copying a host's closure to it, from where it was built.

use std::time::{Duration, Instant};

use super::build::BuildPlace;
use super::cache::arrives_by_cache;
use super::host::HostPart;
use super::prepare::Prepared;
use super::stop::Stop;
use crate::nix::{CopyError, CopySource, CopyTrouble, StoreUri, copy};
use crate::process::Level;
use crate::report::StepName;

/// How often a connection that breaks is made anew, since what has arrived is kept.
const RECONNECTS: usize = 3;

/// How long contact is sought each time.
const PATIENCE: Duration = Duration::from_secs(30);

/// Copies the toplevel's closure to the host. A host whose store has it already is done at once.
pub(super) async fn copy_to_host(part: &mut HostPart, place: &BuildPlace, prepared: &Prepared) -> Result<(), Stop> {
    let Some(to) = prepared.access.remote.store() else { return Ok(()) };
    let from = match place {
        BuildPlace::Target(..) => return Ok(()),
        BuildPlace::Here => CopySource::Local,
        BuildPlace::Other(builder) => CopySource::Remote(&builder.store),
    };
    if arrives_by_cache(part, place, prepared).await? {
        return Ok(());
    }
    part.stop_if_asked()?;
    let events = part.events();
    events
        .step(StepName::Copy, async {
            let mut reconnects = 0;
            loop {
                match copy_once(part, from, &to, prepared).await {
                    Err(error) if error.kind == CopyTrouble::Disconnected && reconnects < RECONNECTS => {
                        events.warning(format!("{}; contact is sought again", error.failure), None);
                        if !reconnected(part, prepared).await {
                            return Err(error);
                        }
                        reconnects += 1;
                    }
                    ended => return ended,
                }
            }
        })
        .await
        .map_err(|error| match error {
            broken if broken.kind == CopyTrouble::Disconnected && part.context.cancel.is_requested() => {
                Stop::cancelled()
            }
            error => Stop::not_copied(&error),
        })
}

async fn copy_once(
    part: &mut HostPart,
    from: CopySource<'_>,
    to: &StoreUri,
    prepared: &Prepared,
) -> Result<(), CopyError> {
    let context = part.context.clone();
    let (events, log) = part.split();
    let on_event = events.nix_log(StepName::Copy, log);
    copy(&context.nix, &prepared.wanted.toplevel, from, to, &context.cancel, on_event).await
}

/// Makes the connection anew at the same control socket, so that Nix's next ssh finds it.
async fn reconnected(part: &HostPart, prepared: &Prepared) -> bool {
    let lost = prepared.access.remote.connection();
    part.context.reconnect(&part.host, lost, Instant::now() + PATIENCE, Level::Soft).await.is_some()
}
