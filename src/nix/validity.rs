//! Whether paths are valid in this machine's store: there, and whole. A path that merely exists may be half-built.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex as AsyncMutex, oneshot};

use super::program::Nix;
use super::store_path::StorePath;
use crate::process::Cancel;

/// How long an answer that nobody waited for is taken for true. A path may be collected at any moment, also between an answer
/// and its use; this is no longer than that.
const FRESH: Duration = Duration::from_secs(2);

/// Asks whether paths are valid: the store's database, or Nix. That for any number of askers with few processes: while one question is under way, the others
/// gather, and the next one asks for all of them.
#[derive(Debug)]
pub struct Validity {
    nix: Nix,
    waiting: Mutex<Vec<(StorePath, oneshot::Sender<bool>)>>,
    asking: AsyncMutex<()>,
    /// Paths that somebody will probably ask for.
    expected: Mutex<BTreeSet<StorePath>>,
    /// Expected paths that were found to be valid.
    found: Mutex<HashMap<StorePath, Instant>>,
}

impl Validity {
    /// Questions to this Nix.
    pub fn new(nix: Nix) -> Self {
        Self {
            nix,
            waiting: Mutex::default(),
            asking: AsyncMutex::default(),
            expected: Mutex::default(),
            found: Mutex::default(),
        }
    }

    /// Questions for these paths will probably come: the first one asks for all of them.
    #[must_use]
    pub fn expecting(self, paths: impl IntoIterator<Item = StorePath>) -> Self {
        locked(&self.expected).extend(paths);
        self
    }

    /// Whether `path` is valid; not so where that cannot be found out.
    pub async fn of(&self, path: &StorePath, cancel: &Cancel) -> bool {
        if let Some(valid) = self.nix.db().and_then(|db| db.is_valid(path)) {
            return valid;
        }
        if self.is_fresh(path) {
            return true;
        }
        let (sender, mut answer) = oneshot::channel();
        locked(&self.waiting).push((path.clone(), sender));
        let _turn = self.asking.lock().await;
        if self.is_fresh(path) {
            return true;
        }
        // Whoever had the turn before may have asked for this path as well.
        if let Ok(valid) = answer.try_recv() {
            return valid;
        }
        let mut asked = std::mem::take(&mut *locked(&self.waiting));
        // Those who had their answer from what was expected do not wait any more.
        asked.retain(|(_, sender)| !sender.is_closed());
        self.answer(asked, cancel).await;
        answer.try_recv().unwrap_or(false)
    }

    async fn answer(&self, asked: Vec<(StorePath, oneshot::Sender<bool>)>, cancel: &Cancel) {
        if asked.is_empty() {
            return;
        }
        let expected = std::mem::take(&mut *locked(&self.expected));
        let paths: BTreeSet<_> = asked.iter().map(|(path, _)| path).chain(&expected).map(StorePath::as_str).collect();
        let now = Instant::now();
        let invalid = self.nix.invalid_among(paths).output(cancel).await.map(|output| output.text());
        let is_valid =
            |path: &StorePath| invalid.as_ref().is_ok_and(|text| text.lines().all(|line| line != path.as_str()));
        locked(&self.found).extend(expected.into_iter().filter(is_valid).map(|path| (path, now)));
        for (path, sender) in asked {
            let valid = is_valid(&path);
            // An asker that does not wait any more needs no answer.
            sender.send(valid).ok();
        }
    }

    fn is_fresh(&self, path: &StorePath) -> bool {
        locked(&self.found).get(path).is_some_and(|found| found.elapsed() < FRESH)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
