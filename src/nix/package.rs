//! Packages as the names of store objects tell them: where the version begins, and which of two versions is the newer one.
//!
//! Source: the Nix manual, `builtins.parseDrvName` and `builtins.compareVersions`; what the manual leaves open is tried with a real
//! Nix by the tests.

use std::cmp::Ordering;

/// Splits a name as `builtins.parseDrvName` does: the version begins behind the first dash that something else than a letter follows.
pub fn split_version(name: &str) -> (&str, &str) {
    let begins = |at: &usize| name[at + 1..].starts_with(|c: char| !c.is_ascii_alphabetic());
    let dash = name.match_indices('-').map(|(at, _)| at).find(begins);
    dash.map_or((name, ""), |at| (&name[..at], &name[at + 1..]))
}

/// The order of two versions, as `builtins.compareVersions` has it.
pub fn compare_versions(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    while !a.is_empty() || !b.is_empty() {
        let ordering = compare_components(component(&mut a), component(&mut b));
        if ordering.is_ne() {
            return ordering;
        }
    }
    Ordering::Equal
}

/// Takes the first component off a version: digits, or what is between digits, dots and dashes. An empty one at its end.
fn component<'a>(version: &mut &'a str) -> &'a str {
    let rest = version.trim_start_matches(['.', '-']);
    let is_number = rest.starts_with(|c: char| c.is_ascii_digit());
    let ends = |c: char| if is_number { !c.is_ascii_digit() } else { c.is_ascii_digit() || c == '.' || c == '-' };
    let (first, after) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
    *version = after;
    first
}

fn compare_components(a: &str, b: &str) -> Ordering {
    if is_less(a, b) {
        Ordering::Less
    } else if is_less(b, a) {
        Ordering::Greater
    } else {
        Ordering::Equal
    }
}

/// Whether a component goes before another one. A number goes behind a word, so that 2.3a is older than 2.3.1, but a version that ends
/// is older than one that goes on with a number. Nix takes what is too large for 32 bits for a word.
fn is_less(a: &str, b: &str) -> bool {
    match (a.parse::<i32>(), b.parse::<i32>()) {
        (Ok(a), Ok(b)) => a < b,
        (_, Ok(_)) if a.is_empty() => true,
        _ if a == "pre" => b != "pre",
        _ if b == "pre" => false,
        (_, Ok(_)) => true,
        (Ok(_), _) => false,
        _ => a < b,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_and_versions_are_told_apart() {
        for (name, split) in [
            ("firefox-129.0.2", ("firefox", "129.0.2")),
            ("nixos-system-p620-25.11", ("nixos-system-p620", "25.11")),
            ("unit-sshd.service", ("unit-sshd.service", "")),
            ("foo-unstable-2024-01-02", ("foo-unstable", "2024-01-02")),
            ("x--1", ("x", "-1")),
            ("x-_1", ("x", "_1")),
            ("x-", ("x-", "")),
            ("", ("", "")),
        ] {
            assert_eq!(split_version(name), split, "{name}");
        }
    }

    #[test]
    fn versions_have_an_order() {
        // From the manual's own examples on.
        for (older, newer) in [
            ("1.0", "2.3"),
            ("2.1", "2.3"),
            ("2.3", "2.5"),
            ("2.3", "3.1"),
            ("2.3", "2.3.1"),
            ("2.3a", "2.3.1"),
            ("2.3pre1", "2.3"),
            ("2.3pre3", "2.3pre12"),
            ("2.3a", "2.3c"),
            ("2.3pre1", "2.3c"),
            ("2.3pre1", "2.3q"),
            ("9", "10"),
            ("", "0"),
            ("4294967296", "5"),
        ] {
            assert_eq!(compare_versions(older, newer), Ordering::Less, "{older} {newer}");
            assert_eq!(compare_versions(newer, older), Ordering::Greater, "{newer} {older}");
        }
        for (a, b) in [("1.0", "1-0"), ("1.0", "1.00"), ("1.", "1"), ("1a", "1.a")] {
            assert_eq!(compare_versions(a, b), Ordering::Equal, "{a} {b}");
        }
    }

    proptest! {
        #[test]
        fn a_version_is_as_new_as_itself(a in ".*", b in ".*") {
            prop_assert_eq!(compare_versions(&a, &a), Ordering::Equal);
            prop_assert_eq!(compare_versions(&a, &b), compare_versions(&b, &a).reverse());
        }
    }
}
