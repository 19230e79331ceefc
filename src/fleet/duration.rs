//! Times as a person writes them.

use std::time::Duration;

/// The units of ages, with their seconds.
const UNITS: [(char, u64); 5] = [('w', 7 * 24 * 60 * 60), ('d', 24 * 60 * 60), ('h', 60 * 60), ('m', 60), ('s', 1)];

/// The longest age: some thousand years, which fits every clock's arithmetic.
const OLDEST: u64 = 1000 * 365 * 24 * 60 * 60;

/// How long ago something is: numbers with their units, from weeks to seconds, such as `8w` or `1d12h`.
pub fn parse_age(text: &str) -> Option<Duration> {
    let mut seconds = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let at = rest.find(|c: char| !c.is_ascii_digit())?;
        let (_, length) = UNITS.into_iter().find(|(unit, _)| rest[at..].starts_with(*unit))?;
        seconds = seconds.checked_add(rest[..at].parse::<u64>().ok()?.checked_mul(length)?)?;
        rest = &rest[at + 1..];
    }
    (!text.is_empty() && seconds <= OLDEST).then(|| Duration::from_secs(seconds))
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_numbers_with_their_units() {
        let of = |text| parse_age(text).map(|age| age.as_secs());
        assert_eq!(of("1w2d3h4m5s"), Some(((((7 + 2) * 24 + 3) * 60) + 4) * 60 + 5));
        assert_eq!((of("90m"), of("0s")), (Some(5400), Some(0)));
        for text in ["", "3", "d", "-3d", "3x", "3 d", "99999999999w", "1d2"] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
