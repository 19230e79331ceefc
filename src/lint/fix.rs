//! Edits that mend what was found.

use super::finding::{Finding, Fix};

/// Which edits are made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fixing {
    /// Those after which a file means the same.
    Safe,
    /// Others too.
    Unsafe,
}

/// `text` with the edits of `findings`, as far as they do not touch each other, and how many they are; none where there is none.
pub(super) fn apply(text: &str, findings: &[Finding], fixing: Fixing) -> Option<(String, usize)> {
    let wanted = |fix: &&Fix| fix.safe || fixing == Fixing::Unsafe;
    let mut fixes: Vec<_> = findings.iter().filter_map(|finding| finding.fix.as_ref()).filter(wanted).collect();
    fixes.sort_by_key(|fix| (fix.span.start, fix.span.end));
    let (mut mended, mut at, mut count) = (String::with_capacity(text.len()), 0, 0);
    for fix in fixes {
        // The next look at the file finds what is left for now.
        if fix.span.start < at || (count > 0 && fix.span.start == at) {
            continue;
        }
        mended.push_str(&text[at..fix.span.start]);
        mended.push_str(&fix.text);
        (at, count) = (fix.span.end, count + 1);
    }
    mended.push_str(&text[at..]);
    (count > 0).then_some((mended, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_that_touch_each_other_are_made_one_after_the_other() {
        let finding = |span: std::ops::Range<usize>, text: &str| Finding::at(span.clone(), "x").safe_fix(span, text);
        let all = [finding(4..5, "C"), finding(0..3, "A"), finding(1..2, "B"), finding(3..4, "")];
        assert_eq!(apply("abcde", &all, Fixing::Safe), Some(("AdC".to_owned(), 2)));
        let unsafe_one = [Finding::at(0..1, "x").unsafe_fix(0..1, "X")];
        assert_eq!(apply("ab", &unsafe_one, Fixing::Safe), None);
        assert_eq!(apply("ab", &unsafe_one, Fixing::Unsafe), Some(("Xb".to_owned(), 1)));
    }
}
