//! The types of YAML's plain scalars, as the YAML library of SOPS sees them: what goes into the MAC depends on it.

use std::sync::LazyLock;

use jiff::civil::Date;
use regex::{Captures, Regex};

use super::value::Plain;

/// What a plain scalar is.
#[derive(Debug)]
pub(super) enum Resolved {
    Null,
    Value(Plain),
    /// A whole number that SOPS cannot represent.
    TooLarge,
}

/// The type and value of a scalar without quotes and tag.
pub(super) fn resolve(text: &str) -> Resolved {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Resolved::Null,
        "true" | "True" | "TRUE" => return Resolved::Value(Plain::Bool(true)),
        "false" | "False" | "FALSE" => return Resolved::Value(Plain::Bool(false)),
        ".nan" | ".NaN" | ".NAN" => return Resolved::Value(Plain::Float(f64::NAN)),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Resolved::Value(Plain::Float(f64::INFINITY)),
        "-.inf" | "-.Inf" | "-.INF" => return Resolved::Value(Plain::Float(f64::NEG_INFINITY)),
        _ => {}
    }
    let number = match text.as_bytes()[0] {
        b'0'..=b'9' | b'+' | b'-' => time(text).map(Resolved::Value).or_else(|| number(text)),
        b'.' => text[1..].starts_with(|c: char| c.is_ascii_digit()).then(|| float(text)).flatten(),
        _ => None,
    };
    number.unwrap_or_else(|| Resolved::Value(Plain::text(text)))
}

fn number(text: &str) -> Option<Resolved> {
    let plain = text.replace('_', "");
    let (negative, digits) = match plain.as_bytes() {
        [b'-', ..] => (true, &plain[1..]),
        [b'+', ..] => (false, &plain[1..]),
        _ => (false, plain.as_str()),
    };
    whole(negative, digits).or_else(|| float(&plain))
}

fn float(text: &str) -> Option<Resolved> {
    static FORM: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$").expect("it is one"));
    FORM.is_match(text).then(|| text.parse().ok()).flatten().map(|float| Resolved::Value(Plain::Float(float)))
}

/// A whole number: decimal, or with the prefix of another base. A leading zero is octal, as in YAML 1.1.
fn whole(negative: bool, digits: &str) -> Option<Resolved> {
    let lower = digits.to_ascii_lowercase();
    let (base, digits) = [("0x", 16), ("0b", 2), ("0o", 8)]
        .into_iter()
        .find_map(|(prefix, base)| lower.strip_prefix(prefix).map(|rest| (base, rest)))
        .or_else(|| lower.strip_prefix('0').filter(|rest| !rest.is_empty()).map(|rest| (8, rest)))
        .unwrap_or((10, &lower));
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(base)) {
        return None;
    }
    let Ok(magnitude) = i128::from_str_radix(digits, base) else { return None };
    let number = if negative { -magnitude } else { magnitude };
    match i64::try_from(number) {
        Ok(number) => Some(Resolved::Value(Plain::Int(number))),
        Err(_) if u64::try_from(number).is_ok() => Some(Resolved::TooLarge),
        // Beyond that it is a fraction, as long as it is decimal.
        Err(_) => None,
    }
}

/// A timestamp, normalised as RFC 3339.
fn time(text: &str) -> Option<Plain> {
    static FORM: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(concat!(
            r"^(\d{4})-(\d{1,2})-(\d{1,2})",
            r"(?:(?:[Tt](\d{1,2}):(\d{1,2}):(\d{1,2})(\.\d+)?(Z|[-+]\d\d:\d\d))",
            r"|(?: (\d{1,2}):(\d{1,2}):(\d{1,2})(\.\d+)?))?$"
        ))
        .expect("it is one")
    });
    let parts = FORM.captures(text)?;
    let date = Date::new(part(&parts, 1)?, part(&parts, 2)?, part(&parts, 3)?).ok()?;
    let (at, zone) = if parts.get(4).is_some() { (4, parts.get(8)?.as_str()) } else { (9, "Z") };
    let clock: Vec<u8> = if parts.get(at).is_some() {
        (at..at + 3).map(|at| part(&parts, at)).collect::<Option<_>>()?
    } else {
        vec![0, 0, 0]
    };
    if clock[0] > 23 || clock[1] > 59 || clock[2] > 59 {
        return None;
    }
    let fraction = parts.get(at + 3).map_or("", |fraction| fraction.as_str());
    let fraction = fraction.get(..10).unwrap_or(fraction).trim_end_matches('0').trim_end_matches('.');
    let zone = if matches!(zone, "+00:00" | "-00:00") { "Z" } else { zone };
    Some(Plain::Time(format!("{date}T{:02}:{:02}:{:02}{fraction}{zone}", clock[0], clock[1], clock[2])))
}

fn part<T: std::str::FromStr>(parts: &Captures<'_>, at: usize) -> Option<T> {
    parts.get(at)?.as_str().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match resolve(text) {
            Resolved::Null => "null".to_owned(),
            Resolved::TooLarge => "too large".to_owned(),
            Resolved::Value(value) => {
                format!("{} {}", value.type_name(), String::from_utf8(value.bytes().to_vec()).unwrap())
            }
        }
    }

    #[test]
    fn plain_scalars_have_the_types_that_sops_gives_them() {
        for (text, expected) in [
            ("", "null"),
            ("~", "null"),
            ("Null", "null"),
            ("nULL", "str nULL"),
            ("true", "bool True"),
            ("FALSE", "bool False"),
            ("yes", "str yes"),
            ("on", "str on"),
            ("12", "int 12"),
            ("-12", "int -12"),
            ("+12", "int 12"),
            ("1_000", "int 1000"),
            ("0x1F", "int 31"),
            ("0o17", "int 15"),
            ("017", "int 15"),
            ("0b11", "int 3"),
            ("018", "float 18"),
            ("0", "int 0"),
            ("1.5", "float 1.5"),
            ("1.", "float 1"),
            (".5", "float 0.5"),
            ("1e3", "float 1000"),
            ("-1E-2", "float -0.01"),
            ("-.inf", "float -Inf"),
            (".nan", "float NaN"),
            ("9223372036854775807", "int 9223372036854775807"),
            ("9223372036854775808", "too large"),
            ("99999999999999999999", "float 100000000000000000000"),
            ("2024-01-02", "time 2024-01-02T00:00:00Z"),
            ("2024-1-2", "time 2024-01-02T00:00:00Z"),
            ("2024-01-02 3:04:05.50", "time 2024-01-02T03:04:05.5Z"),
            ("2024-01-02T03:04:05+02:00", "time 2024-01-02T03:04:05+02:00"),
            ("2024-13-02", "str 2024-13-02"),
            ("2024-01-02T03:04:05", "str 2024-01-02T03:04:05"),
            ("1.2.3.4", "str 1.2.3.4"),
            ("10:20", "str 10:20"),
            ("-", "str -"),
            ("+", "str +"),
            (".", "str ."),
            ("...", "str ..."),
            ("0x", "str 0x"),
            ("1e", "str 1e"),
            ("ENC[x]", "str ENC[x]"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }
}
