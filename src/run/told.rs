//! What is told once per run, however many hosts meet it.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// What was told already.
#[derive(Debug, Default)]
pub struct Told(Mutex<BTreeSet<String>>);

impl Told {
    /// Calls `tell` with the first call for `what`, and not with later ones.
    pub(super) fn once(&self, what: &str, tell: impl FnOnce()) {
        let first = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(what.to_owned());
        if first {
            tell();
        }
    }
}
