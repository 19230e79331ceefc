//! Times as a person writes them.

use std::time::Duration;

/// Longer than any sensible deadline, and short enough for every clock's arithmetic.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A time as hours, minutes and seconds, in that order, each at most once: `1h30m`. At most a week.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    if text.is_empty() {
        return None;
    }
    let mut rest = text;
    let mut seconds: u64 = 0;
    for (unit, length) in [('h', 3600), ('m', 60), ('s', 1)] {
        if let Some((count, behind)) = rest.split_once(unit) {
            // `parse` alone would take a sign.
            let digits = !count.is_empty() && count.chars().all(|c| c.is_ascii_digit());
            let count = count.parse::<u64>().ok().filter(|_| digits)?;
            seconds = count.checked_mul(length).and_then(|more| seconds.checked_add(more))?;
            rest = behind;
        }
    }
    let time = Duration::from_secs(seconds);
    (rest.is_empty() && time <= LONGEST).then_some(time)
}
