//! Whether paths are valid in this machine's store: there, and whole. A path that merely exists may be half-built.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, oneshot};

use super::program::Nix;
use super::store_path::StorePath;
use crate::process::Cancel;

/// Asks whether paths are valid, for any number of askers with few processes: while one question is under way, the others
/// gather, and the next one asks for all of them.
#[derive(Debug)]
pub struct Validity {
    nix: Nix,
    waiting: Mutex<Vec<(StorePath, oneshot::Sender<bool>)>>,
    asking: AsyncMutex<()>,
}

impl Validity {
    /// Questions to this Nix.
    pub fn new(nix: Nix) -> Self {
        Self { nix, waiting: Mutex::default(), asking: AsyncMutex::default() }
    }

    /// Whether `path` is valid; not so where that cannot be found out.
    pub async fn of(&self, path: &StorePath, cancel: &Cancel) -> bool {
        let (sender, mut answer) = oneshot::channel();
        self.waiting().push((path.clone(), sender));
        let _turn = self.asking.lock().await;
        // Whoever had the turn before may have asked for this path as well.
        if let Ok(valid) = answer.try_recv() {
            return valid;
        }
        let asked = std::mem::take(&mut *self.waiting());
        self.answer(asked, cancel).await;
        answer.try_recv().unwrap_or(false)
    }

    async fn answer(&self, asked: Vec<(StorePath, oneshot::Sender<bool>)>, cancel: &Cancel) {
        let paths: BTreeSet<_> = asked.iter().map(|(path, _)| path.as_str()).collect();
        if paths.is_empty() {
            return;
        }
        let invalid = self.nix.invalid_among(paths).output(cancel).await.map(|output| output.text());
        for (path, sender) in asked {
            let valid = invalid.as_ref().is_ok_and(|text| text.lines().all(|line| line != path.as_str()));
            // An asker that does not wait any more needs no answer.
            sender.send(valid).ok();
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<(StorePath, oneshot::Sender<bool>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
