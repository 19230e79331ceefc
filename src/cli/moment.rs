//! Times as a person names them on the command line.

use jiff::civil::{Date, DateTime};
use jiff::{Timestamp, ToSpan as _, Zoned};

use crate::fleet::parse_age;

/// A time, which is a while where it names a day.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Moment {
    /// When it begins.
    pub(super) begin: Timestamp,
    /// When it is over.
    pub(super) end: Timestamp,
}

/// Reads a word of `--since` and the like, with this machine's clock and time zone.
pub(super) fn parse_moment(text: &str) -> Result<Moment, String> {
    moment(text.trim(), &Zoned::now())
        .ok_or_else(|| "a time is `3d`, `12h`, `today`, `yesterday`, `2026-01-31` or `2026-01-31 12:00`".to_owned())
}

/// Reads `text` as of `now`.
fn moment(text: &str, now: &Zoned) -> Option<Moment> {
    let at = |time: Timestamp| Moment { begin: time, end: time };
    match text {
        "now" => Some(at(now.timestamp())),
        "today" => day(now.date(), now),
        "yesterday" => day(now.date().yesterday().ok()?, now),
        text if text.len() == "2026-01-31".len() && text.contains('-') => day(text.parse().ok()?, now),
        text => parse_age(text)
            .and_then(|ago| now.timestamp().checked_sub(ago).ok())
            .or_else(|| text.parse().ok())
            .or_else(|| Some(text.parse::<DateTime>().ok()?.to_zoned(now.time_zone().clone()).ok()?.timestamp()))
            .map(at),
    }
}

fn day(date: Date, now: &Zoned) -> Option<Moment> {
    let begin = date.to_zoned(now.time_zone().clone()).ok()?;
    let end = begin.checked_add(1.day()).ok()?;
    Some(Moment { begin: begin.timestamp(), end: end.timestamp() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<(String, String)> {
        let now: Zoned = "2026-03-30T12:00:00+02:00[Europe/Berlin]".parse().unwrap();
        moment(text, &now).map(|moment| (moment.begin.to_string(), moment.end.to_string()))
    }

    fn both(time: &str) -> (String, String) {
        (time.to_owned(), time.to_owned())
    }

    #[test]
    fn times_are_read_as_they_are_meant() {
        assert_eq!(of("2h"), Some(both("2026-03-30T08:00:00Z")));
        assert_eq!(of("1d12h"), Some(both("2026-03-28T22:00:00Z")));
        assert_eq!(of("now"), Some(both("2026-03-30T10:00:00Z")));
        assert_eq!(of("2026-01-31 12:00"), Some(both("2026-01-31T11:00:00Z")));
        assert_eq!(of("2026-01-31T12:00:00Z"), Some(both("2026-01-31T12:00:00Z")));
        // The clock was put forward in the night before: that day had 23 hours.
        let yesterday = Some(("2026-03-28T23:00:00Z".to_owned(), "2026-03-29T22:00:00Z".to_owned()));
        assert_eq!(of("yesterday"), yesterday);
        assert_eq!(of("2026-03-29"), yesterday);
        assert_eq!(of("today").unwrap().0, "2026-03-29T22:00:00Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "3", "3x", "d", "-3d", "2026-02-30", "99999999999999999999d", "tomorrow"] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
