//! The hub's cache within a run: each closure is pushed to it once, and hosts fetch theirs from it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{Mutex as AsyncMutex, oneshot};

use super::build::BuildPlace;
use super::host::{HostPart, PROGRESS_EVERY};
use super::long::Long;
use super::prepare::Prepared;
use super::stop::Stop;
use crate::nix::{Cache, CopySource, Fetching, PushError, StorePath, StoreUri};
use crate::report::StepName;

/// The hub's cache, and what of it is under way.
#[derive(Debug)]
pub struct HubCache {
    cache: Cache,
    /// The keys that hosts are to accept.
    keys: Vec<String>,
    waiting: Mutex<Vec<Waiting>>,
    pushed: AsyncMutex<Pushed>,
}

/// A closure that is to be pushed.
#[derive(Debug)]
struct Waiting {
    path: StorePath,
    /// The store that it is in; none for this machine's.
    from: Option<StoreUri>,
    answer: oneshot::Sender<Result<(), Arc<PushError>>>,
}

/// What came of the pushes so far.
#[derive(Debug, Default)]
struct Pushed {
    there: BTreeSet<StorePath>,
    /// Why nothing more is pushed: what failed once is not waited for again by every host.
    failed: Option<Arc<PushError>>,
}

impl HubCache {
    /// A cache, and the keys of it that hosts are to accept.
    pub fn new(cache: Cache, keys: Vec<String>) -> Self {
        Self { cache, keys, waiting: Mutex::default(), pushed: AsyncMutex::default() }
    }

    /// Pushes the closure of `path`, which is in the store of `place`. While others are pushed, those that are wanted meanwhile
    /// gather, and go together: what they share goes once.
    async fn push(&self, part: &mut HostPart, place: &BuildPlace, path: &StorePath) -> Result<(), Arc<PushError>> {
        let (sender, mut answer) = oneshot::channel();
        let from = match place {
            BuildPlace::Here => None,
            BuildPlace::Target(builder) | BuildPlace::Other(builder) => Some(builder.store.clone()),
        };
        self.waiting().push(Waiting { path: path.clone(), from, answer: sender });
        let mut pushed = self.pushed.lock().await;
        // Whoever had the turn before may have taken this one along.
        loop {
            match answer.try_recv() {
                Ok(answer) => return answer,
                Err(oneshot::error::TryRecvError::Empty) => {}
                Err(oneshot::error::TryRecvError::Closed) => return Err(Arc::new(PushError::Elsewhere)),
            }
            let batch = self.next_batch();
            let result = self.push_batch(part, &batch, &mut pushed).await;
            for one in batch {
                // An asker that does not wait any more needs no answer.
                one.answer.send(result.clone()).ok();
            }
        }
    }

    /// The closures that wait and are in one and the same store.
    fn next_batch(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting();
        let from = waiting.first().and_then(|first| first.from.clone());
        let (batch, others) = std::mem::take(&mut *waiting).into_iter().partition(|one| one.from == from);
        *waiting = others;
        batch
    }

    async fn push_batch(
        &self,
        part: &mut HostPart,
        batch: &[Waiting],
        pushed: &mut Pushed,
    ) -> Result<(), Arc<PushError>> {
        if let Some(error) = &pushed.failed {
            return Err(error.clone());
        }
        let paths: BTreeSet<_> =
            batch.iter().map(|one| &one.path).filter(|path| !pushed.there.contains(path)).collect();
        let paths: Vec<_> = paths.into_iter().cloned().collect();
        if paths.is_empty() {
            return Ok(());
        }
        let context = part.context.clone();
        let (events, log) = part.split();
        let on_event = events.nix_log(StepName::Push, log);
        let from = batch.first().and_then(|one| one.from.as_ref()).map_or(CopySource::Local, CopySource::Remote);
        match self.cache.push(&context.nix, &paths, from, &context.cancel, on_event).await {
            Ok(()) => {
                pushed.there.extend(paths);
                Ok(())
            }
            Err(error) => {
                let error = Arc::new(error);
                if !matches!(*error, PushError::Elsewhere) {
                    pushed.failed = Some(error.clone());
                }
                Err(error)
            }
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Pushes what was built, for a run whose purpose that is.
pub(super) async fn push_only(part: &mut HostPart, place: &BuildPlace, path: &StorePath) -> Result<(), Stop> {
    let Some(cache) = part.context.cache.clone() else { return Ok(()) };
    let pushed = part.events().step(StepName::Push, cache.push(part, place, path)).await;
    pushed.map_err(|error| Stop::not_pushed(&error, &cache.cache))
}

/// Has the host's closure arrive by way of the cache, if there is one. Where that fails it is told, and the closure has to be
/// copied: gives whether the host has it.
pub(super) async fn arrives_by_cache(
    part: &mut HostPart,
    place: &BuildPlace,
    prepared: &Prepared,
) -> Result<bool, Stop> {
    let Some(cache) = part.context.cache.clone() else { return Ok(false) };
    let events = part.events();
    let path = &prepared.wanted.toplevel;
    let pushed = events.step(StepName::Push, cache.push(part, place, path)).await;
    part.stop_if_asked()?;
    if let Err(error) = pushed {
        part.context.told.once("push", || {
            let message = format!(
                "closures do not get to the cache {}: {error}\nthey are copied to the hosts directly",
                cache.cache.url
            );
            events.warning_of_all(message, error.hint());
        });
        return Ok(false);
    }
    events.step(StepName::Copy, fetch(part, &cache, prepared)).await
}

/// Has the host fetch its closure.
async fn fetch(part: &mut HostPart, cache: &HubCache, prepared: &Prepared) -> Result<bool, Stop> {
    let context = part.context.clone();
    let (events, log) = part.split();
    let command = cache.cache.fetch_command(&prepared.wanted.toplevel, &cache.keys);
    let (mut fetching, mut told) = (Fetching::default(), None::<Instant>);
    let on_line = |line: &str| {
        let line = cache.cache.masked_text(line);
        log.line(StepName::Copy, &line);
        if fetching.apply(&line) && told.is_none_or(|told| told.elapsed() >= PROGRESS_EVERY) {
            told = Some(Instant::now());
            events.fetching(&fetching);
        }
    };
    let realising = Long { command: &command, root: true };
    let ended = realising.run(&prepared.access.remote, &context.cancel, on_line).await.ok_or_else(Stop::cancelled)?;
    let why = match ended {
        Ok(ran) if ran.code == 0 => return Ok(true),
        Ok(_) => fetching.error().to_owned(),
        Err(error) => error.to_string(),
    };
    let message =
        format!("the host cannot fetch from {}: {why}\nits closure is copied directly", cache.cache.substituter());
    events.warning(message, Some(&cache.cache.fetch_hint(&why)));
    Ok(false)
}
