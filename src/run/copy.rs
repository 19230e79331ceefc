//! Copying a host's closure to it, from where it was built.

use super::build::BuildPlace;
use super::host::HostPart;
use super::prepare::Prepared;
use super::stop::Stop;
use crate::nix::{CopyError, CopySource, StoreUri, copy};
use crate::report::StepName;

/// Copies the toplevel's closure to the host. A host whose store has it already is done at once; a connection that breaks is
/// made anew once, since what has arrived is kept.
pub(super) async fn copy_to_host(part: &mut HostPart, place: &BuildPlace, prepared: &Prepared) -> Result<(), Stop> {
    let Some(to) = prepared.access.remote.store() else { return Ok(()) };
    let from = match place {
        BuildPlace::Target(..) => return Ok(()),
        BuildPlace::Here => CopySource::Local,
        BuildPlace::Other(_, store) => CopySource::Remote(store),
    };
    let events = part.events();
    events
        .step(StepName::Copy, async {
            match copy_once(part, from, &to, prepared).await {
                Err(CopyError::Disconnected(failure)) if reconnects(part, prepared).await => {
                    events.warning(format!("{failure}; copying goes on over a new connection"), None);
                    copy_once(part, from, &to, prepared).await
                }
                ended => ended,
            }
        })
        .await
        .map_err(|error| Stop::not_copied(&error))
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
async fn reconnects(part: &HostPart, prepared: &Prepared) -> bool {
    prepared.access.remote.connection().discard().await;
    let target = part.context.target_of(&part.host);
    part.context.connect.connect(&target, &part.context.cancel).await.is_ok()
}
