//! Durations and sizes as people read them.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

const BYTE_UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// How long something took: `38 ms`, `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `4 d 3 h`.
pub fn duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    let tenths = (millis + 50) / 100;
    if millis < 100 {
        format!("{millis} ms")
    } else if tenths < 100 {
        format!("{}.{} s", tenths / 10, tenths % 10)
    } else {
        whole_seconds((millis + 500) / 1000)
    }
}

/// How long something has been going on, in whole seconds, so that a display that is redrawn stays calm.
pub fn elapsed(duration: Duration) -> String {
    whole_seconds(u128::from(duration.as_secs()))
}

/// A number of bytes: `512 B`, `1.2 GiB`, `640 MiB`.
pub fn bytes(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut size = 1024;
    let mut units = BYTE_UNITS.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    // The check is made on the rounded number, so that 1023.96 KiB becomes 1 MiB and never 1024 KiB.
    while tenths(bytes, size) >= 10 * 1024 {
        let Some(next) = units.next() else { break };
        (size, unit) = (size * 1024, next);
    }
    match tenths(bytes, size) {
        tenths if tenths % 10 == 0 || tenths >= 1000 => format!("{} {unit}", (tenths + 5) / 10),
        tenths => format!("{}.{} {unit}", tenths / 10, tenths % 10),
    }
}

/// A number with its thousands apart: `127,000`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

/// A time of this machine's clock on the wall, from seconds since 1970: `2026-01-31 12:00:00`.
pub fn local_time(seconds: i64) -> String {
    Timestamp::from_second(seconds).map(local).unwrap_or_default()
}

/// A time of this machine's clock on the wall.
pub fn local(time: Timestamp) -> String {
    time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The same without its seconds, for where there is little room.
pub fn local_minute(time: Timestamp) -> String {
    time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string()
}

fn tenths(bytes: u64, size: u128) -> u128 {
    (u128::from(bytes) * 10 + size / 2) / size
}

fn whole_seconds(seconds: u128) -> String {
    let two = |big: u128, big_unit: &str, small: u128, small_unit: &str| match small {
        0 => format!("{big} {big_unit}"),
        _ => format!("{big} {big_unit} {small} {small_unit}"),
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => two(seconds / 60, "min", seconds % 60, "s"),
        3_600..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(
            [0, 12, 999, 1_000, 12_345, 127_000, 1_000_001].map(count),
            ["0", "12", "999", "1,000", "12,345", "127,000", "1,000,001"]
        );
    }

    #[test]
    fn durations_read_naturally_and_round_without_surprises() {
        let cases = [
            (0, "0 ms"),
            (38, "38 ms"),
            (99, "99 ms"),
            (100, "0.1 s"),
            (412, "0.4 s"),
            (9_949, "9.9 s"),
            (9_950, "10 s"),
            (59_499, "59 s"),
            (59_500, "1 min"),
            (200_000, "3 min 20 s"),
            (3_599_999, "1 h"),
            (7_500_000, "2 h 5 min"),
            (356_400_000, "4 d 3 h"),
        ];
        for (millis, text) in cases {
            assert_eq!(duration(Duration::from_millis(millis)), text, "{millis}");
        }
        assert_eq!(elapsed(Duration::from_millis(900)), "0 s");
        assert_eq!(elapsed(Duration::from_millis(61_900)), "1 min 1 s");
    }

    #[test]
    fn sizes_change_their_unit_on_the_rounded_number() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1_048_575, "1 MiB"),
            (1_288_490_189, "1.2 GiB"),
            (640 * 1024 * 1024, "640 MiB"),
            (107_000_000_000, "99.7 GiB"),
            (u64::MAX, "16 EiB"),
        ];
        for (number, text) in cases {
            assert_eq!(bytes(number), text, "{number}");
        }
    }
}
