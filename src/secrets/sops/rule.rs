//! Which values of a file are encrypted.

use regex::Regex;

use super::error::SopsError;
use super::tree::{Visit, What};

/// The suffix of keys that stay readable where nothing else is said.
pub(super) const DEFAULT_SUFFIX: &str = "_unencrypted";

/// The names of the rules in the `sops` block and in `.sops.yaml`. A file has at most one of them.
pub(super) const NAMES: [&str; 6] = [
    "unencrypted_suffix",
    "encrypted_suffix",
    "unencrypted_regex",
    "encrypted_regex",
    "unencrypted_comment_regex",
    "encrypted_comment_regex",
];

/// Says which values are encrypted.
#[derive(Clone, Debug)]
pub struct Rule {
    kind: Kind,
    text: String,
}

#[derive(Clone, Debug)]
enum Kind {
    UnencryptedSuffix,
    EncryptedSuffix,
    UnencryptedRegex(Regex),
    EncryptedRegex(Regex),
    UnencryptedCommentRegex(Regex),
    EncryptedCommentRegex(Regex),
}

impl Default for Rule {
    fn default() -> Self {
        Self { kind: Kind::UnencryptedSuffix, text: DEFAULT_SUFFIX.to_owned() }
    }
}

impl Rule {
    /// The rule of this name; none when it is not the name of a rule.
    pub(super) fn named(name: &str, text: &str) -> Option<Result<Self, SopsError>> {
        let regex = || Regex::new(text).map_err(|_| SopsError::Regex(text.to_owned()));
        let kind = match name {
            "unencrypted_suffix" => Ok(Kind::UnencryptedSuffix),
            "encrypted_suffix" => Ok(Kind::EncryptedSuffix),
            "unencrypted_regex" => regex().map(Kind::UnencryptedRegex),
            "encrypted_regex" => regex().map(Kind::EncryptedRegex),
            "unencrypted_comment_regex" => regex().map(Kind::UnencryptedCommentRegex),
            "encrypted_comment_regex" => regex().map(Kind::EncryptedCommentRegex),
            _ => return None,
        };
        Some(kind.map(|kind| Self { kind, text: text.to_owned() }))
    }

    /// The rule among these settings, of which at most one may be a rule that says something.
    pub(super) fn among<'a>(settings: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, SopsError> {
        let mut rules =
            settings.filter(|(_, text)| !text.is_empty()).filter_map(|(name, text)| Self::named(name, text));
        let rule = rules.next().transpose()?;
        if rules.next().is_some() {
            return Err(SopsError::Metadata(format!("has more than one of {}", NAMES.join(", "))));
        }
        Ok(rule.unwrap_or_default())
    }

    /// Its name and its text, as the `sops` block has them.
    pub(super) fn setting(&self) -> (&'static str, &str) {
        let name = match self.kind {
            Kind::UnencryptedSuffix => NAMES[0],
            Kind::EncryptedSuffix => NAMES[1],
            Kind::UnencryptedRegex(_) => NAMES[2],
            Kind::EncryptedRegex(_) => NAMES[3],
            Kind::UnencryptedCommentRegex(_) => NAMES[4],
            Kind::EncryptedCommentRegex(_) => NAMES[5],
        };
        (name, &self.text)
    }

    /// Whether the value or comment in this place is encrypted.
    pub(super) fn encrypts(&self, visit: &Visit<'_, '_>) -> bool {
        let suffixed = || visit.path.iter().any(|key| key.ends_with(&self.text));
        let keyed = |regex: &Regex| visit.path.iter().any(|key| regex.is_match(key));
        match &self.kind {
            Kind::UnencryptedSuffix => !suffixed(),
            Kind::EncryptedSuffix => suffixed(),
            Kind::UnencryptedRegex(regex) => !keyed(regex),
            Kind::EncryptedRegex(regex) => keyed(regex),
            Kind::UnencryptedCommentRegex(regex) => !visit.comments.iter().flatten().any(|text| regex.is_match(text)),
            Kind::EncryptedCommentRegex(regex) => {
                // The comment that asks for encryption stays readable itself, or nobody could tell later on.
                let all: Vec<_> = visit.comments.iter().flatten().collect();
                let itself = usize::from(matches!(visit.what, What::Comment(_)));
                all[..all.len().saturating_sub(itself)].iter().any(|text| regex.is_match(text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::super::tree::{Comment, Leaf};
    use super::super::value::Plain;
    use super::*;

    fn encrypts(name: &str, text: &str, path: &[&str], comments: &[&str], is_comment: bool) -> bool {
        let rule = Rule::named(name, text).unwrap().unwrap();
        let leaf = Leaf { value: Plain::Int(1), span: 0..0, block: None };
        let comment = Comment { text: Zeroizing::new(String::new()), span: 0..0 };
        let what = if is_comment { What::Comment(&comment) } else { What::Leaf(&leaf) };
        let path: Vec<_> = path.iter().map(|key| (*key).to_owned()).collect();
        rule.encrypts(&Visit { path: &path, steps: &[], comments: &[vec![], comments.to_vec()], what })
    }

    #[test]
    fn each_rule_looks_at_every_key_of_the_path() {
        for (name, text, path, expected) in [
            ("unencrypted_suffix", "_unencrypted", &["a_unencrypted", "b"][..], false),
            ("unencrypted_suffix", "_unencrypted", &["a", "b"], true),
            ("encrypted_suffix", "_enc", &["a_enc", "b"], true),
            ("encrypted_suffix", "_enc", &["a"], false),
            ("unencrypted_regex", "^(kind|meta)$", &["meta", "name"], false),
            ("unencrypted_regex", "^(kind|meta)$", &["metal"], true),
            ("encrypted_regex", "^(data|stringData)$", &["data", "x"], true),
            ("encrypted_regex", "^(data|stringData)$", &["kind"], false),
        ] {
            assert_eq!(encrypts(name, text, path, &[], false), expected, "{name} {path:?}");
        }
    }

    #[test]
    fn rules_of_comments_look_at_those_in_front() {
        assert!(encrypts("encrypted_comment_regex", "secret", &["a"], &["top secret"], false));
        assert!(!encrypts("encrypted_comment_regex", "secret", &["a"], &["public"], false));
        assert!(!encrypts("encrypted_comment_regex", "secret", &[], &["top secret"], true), "the marker itself");
        assert!(encrypts("encrypted_comment_regex", "secret", &[], &["top secret", "more"], true), "what follows it");
        assert!(!encrypts("unencrypted_comment_regex", "public", &["a"], &["public"], false));
        assert!(encrypts("unencrypted_comment_regex", "public", &["a"], &[], false));
    }

    #[test]
    fn two_rules_are_one_too_many() {
        let settings = [("encrypted_suffix", "a"), ("version", "3"), ("encrypted_regex", "b")];
        assert!(matches!(Rule::among(settings.into_iter()), Err(SopsError::Metadata(_))));
        let rule = Rule::among([("encrypted_suffix", ""), ("encrypted_regex", "b")].into_iter()).unwrap();
        assert_eq!(rule.setting(), ("encrypted_regex", "b"));
        assert_eq!(Rule::among(std::iter::empty()).unwrap().setting(), ("unencrypted_suffix", "_unencrypted"));
        assert!(matches!(Rule::among([("encrypted_regex", "(")].into_iter()), Err(SopsError::Regex(_))));
    }
}
