//! Waiting for what other processes do.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Waits until `holds`; fails after half a minute, naming `what` was waited for.
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(30), "not within half a minute: {what}");
        sleep(Duration::from_millis(100));
    }
}
