//! Which generations of a host's system profile are kept when room is made.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::duration::parse_age;

/// How many generations are kept at least, and for how long each is, whichever is more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeepPolicy {
    /// So many of the newest.
    pub keep: NonZeroUsize,
    /// Those that were made within this time.
    pub keep_since: Duration,
}

impl Default for KeepPolicy {
    fn default() -> Self {
        Self { keep: NonZeroUsize::MIN.saturating_add(4), keep_since: Duration::from_secs(7 * 24 * 60 * 60) }
    }
}

/// Reads an age such as `14d`, for `keep-since`.
pub fn keep_since(text: &str) -> Result<Duration, String> {
    parse_age(text).ok_or_else(|| "an age is a number with its unit, such as `36h`, `14d` or `8w`".to_owned())
}
