//! In which waves a fleet is deployed, as `hub.toml` and the command line say it.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::duration::parse_duration;

/// How many hosts a wave takes at most.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Batch {
    /// So many.
    Hosts(NonZeroUsize),
    /// So many of a hundred of the run's hosts, rounded up.
    Percent(u8),
}

/// A text that is no size of a wave.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no number of hosts: a number from 1 to 10000, or a share from 1% to 100%")]
pub struct BatchError(String);

/// What becomes of the hosts that are done when a later wave fails.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnFailure {
    /// They keep their new systems.
    #[default]
    Keep,
    /// They are brought back to the systems that they ran before.
    RollBack,
}

/// In which waves a fleet is deployed, and when it stops.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct WavePolicy {
    /// How many hosts go first, in a wave of their own; 0 for none.
    pub canary: usize,
    /// How many hosts a wave takes; all where nothing is said.
    pub batch: Option<Batch>,
    /// Tags: hosts with the first of them go first, and hosts without any of them last.
    pub order: Vec<String>,
    /// How many hosts may fail before no further wave begins.
    pub max_failures: usize,
    /// How long the hosts of a wave are left to show themselves before the next one begins.
    pub soak: Duration,
    /// What becomes of the hosts that are done when a later wave fails.
    pub on_failure: OnFailure,
}

/// The most hosts that a number may mean, so that it fits every counter that it may be given to.
const MOST: usize = 10_000;

impl Batch {
    /// How many hosts that is in a run of `all`; at least one.
    pub fn of(self, all: usize) -> usize {
        match self {
            Self::Hosts(count) => count.get(),
            Self::Percent(percent) => (all * usize::from(percent)).div_ceil(100).max(1),
        }
    }
}

impl FromStr for Batch {
    type Err = BatchError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |digits: &str| {
            // `parse` alone would take a sign.
            let plain = digits.chars().all(|c| c.is_ascii_digit());
            digits.parse::<usize>().ok().filter(|_| plain)
        };
        let found = match text.strip_suffix('%') {
            Some(share) => number(share)
                .and_then(|share| u8::try_from(share).ok())
                .filter(|share| (1..=100).contains(share))
                .map(Self::Percent),
            None => number(text).filter(|count| *count <= MOST).and_then(NonZeroUsize::new).map(Self::Hosts),
        };
        found.ok_or_else(|| BatchError(text.to_owned()))
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hosts(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// Reads a time as `hub.toml` and the command line have it, such as `1h30m`.
pub fn soak_time(text: &str) -> Result<Duration, &'static str> {
    parse_duration(text).ok_or("not a time such as \"60s\", \"5m\" or \"1h30m\", at most a week")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_a_number_or_a_share() {
        let of = |text: &str, all| text.parse::<Batch>().unwrap().of(all);
        assert_eq!(
            (of("4", 12), of("4", 2), of("50%", 12), of("50%", 5), of("1%", 5), of("100%", 7)),
            (4, 4, 6, 3, 1, 7)
        );
        for bad in ["", "0", "-1", "+1", "0%", "101%", "256%", "%", "4 %", "10001", "half"] {
            assert!(bad.parse::<Batch>().is_err(), "{bad}");
        }
        for text in ["7", "33%"] {
            assert_eq!(text.parse::<Batch>().unwrap().to_string(), text);
        }
    }
}
