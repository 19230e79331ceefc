//! Whether a file is encrypted to those whom it should be encrypted to, as far as its header tells without any key.

use std::collections::BTreeMap;

use super::header::Header;
use super::recipient::{Recipient, RecipientKind};

/// What a header and a set of recipients have not in common.
#[derive(Clone, Debug, Default)]
pub struct Compared {
    /// Recipients that have no stanza.
    pub missing: Vec<Recipient>,
    /// Stanzas that are nobody's, as `ssh-ed25519 TAG`.
    pub stale: Vec<String>,
    /// How many recipients without tags should be there, where another number is.
    pub untagged: Option<Untagged>,
    /// Whether that there is no difference means that there is none: recipients of age's own kind and those of plugins have no
    /// tags, so that one may have taken another's place.
    pub certain: bool,
}

/// Numbers of recipients without tags.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Untagged {
    /// In the header.
    pub found: usize,
    /// Among the recipients that there should be.
    pub wanted: usize,
}

impl Compared {
    /// Whether no difference was found.
    pub fn is_same(&self) -> bool {
        self.missing.is_empty() && self.stale.is_empty() && self.untagged.is_none()
    }
}

impl Header {
    /// Compares the stanzas with those whom the file should be encrypted to.
    pub fn compare(&self, wanted: &[Recipient]) -> Compared {
        let mut tags: BTreeMap<String, usize> = BTreeMap::new();
        let mut found = Counts::default();
        for stanza in self.stanzas().iter().filter(|stanza| !stanza.is_grease()) {
            match (stanza.kind.as_str(), stanza.args.first()) {
                (kind @ ("ssh-ed25519" | "ssh-rsa"), Some(tag)) => {
                    *tags.entry(format!("{kind} {tag}")).or_default() += 1;
                }
                ("X25519", _) => found.x25519 += 1,
                _ => found.other += 1,
            }
        }
        let wanted: std::collections::BTreeSet<_> = wanted.iter().collect();
        let mut expected = Counts::default();
        let mut missing = Vec::new();
        for recipient in wanted {
            let kind = match recipient.kind() {
                RecipientKind::SshEd25519 => "ssh-ed25519",
                RecipientKind::SshRsa => "ssh-rsa",
                RecipientKind::X25519 => {
                    expected.x25519 += 1;
                    continue;
                }
                RecipientKind::Tag | RecipientKind::Plugin(_) => {
                    expected.other += 1;
                    continue;
                }
            };
            match tags.get_mut(&format!("{kind} {}", recipient.tag().unwrap_or_default())) {
                Some(left) if *left > 0 => *left -= 1,
                _ => missing.push(recipient.clone()),
            }
        }
        let left = tags.into_iter().flat_map(|(tag, left)| std::iter::repeat_n(tag, left));
        Compared { missing, stale: left.collect(), untagged: found.differs(expected), certain: expected.is_zero() }
    }
}

/// How many recipients without tags there are.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    x25519: usize,
    /// Those of plugins, which may have several stanzas each.
    other: usize,
}

impl Counts {
    fn differs(self, wanted: Self) -> Option<Untagged> {
        let others_agree = if wanted.other == 0 { self.other == 0 } else { self.other >= wanted.other };
        let same = self.x25519 == wanted.x25519 && others_agree;
        (!same).then_some(Untagged { found: self.x25519 + self.other, wanted: wanted.x25519 + wanted.other })
    }

    fn is_zero(self) -> bool {
        self.x25519 + self.other == 0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Armor, Ask, Nobody, encrypt};
    use super::*;

    const ONE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN";
    const TWO: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIN1kHbTjMG2Q0RUzhoEqLfbrfk3MIwmtW1lkVoFBoyY1";

    fn recipients(texts: &[&str]) -> Vec<Recipient> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn compared(of: &[&str], with: &[&str]) -> Compared {
        let ask: Arc<dyn Ask> = Arc::new(Nobody);
        let file = encrypt(b"x", &recipients(of), Armor::Binary, &ask).unwrap();
        Header::of(&file).unwrap().compare(&recipients(with))
    }

    #[test]
    fn a_file_is_compared_by_its_tags() {
        let two: String = recipients(&[ONE])[0].to_age().unwrap().to_string();
        assert!(compared(&[ONE], &[ONE]).is_same() && compared(&[ONE], &[ONE]).certain);
        assert!(compared(&[ONE], &[ONE, ONE]).is_same(), "one who is named twice is one");
        let more = compared(&[ONE], &[ONE, &two]);
        assert_eq!((more.untagged, more.certain), (Some(Untagged { found: 0, wanted: 1 }), false));
        let fewer = compared(&[ONE, &two], &[&two]);
        assert_eq!((fewer.stale.as_slice(), fewer.missing.len()), (&["ssh-ed25519 PYX4ow".to_owned()][..], 0));
        let other = compared(&[&two], &[ONE]);
        assert_eq!((other.missing, other.untagged), (recipients(&[ONE]), Some(Untagged { found: 1, wanted: 0 })));
    }

    #[test]
    fn another_key_is_missing_and_the_old_one_stale() {
        // The second may be no point of the curve; then there is nothing to compare.
        let Ok(two) = TWO.parse::<Recipient>() else { return };
        let compared = compared(&[ONE], &[TWO]);
        assert_eq!((compared.missing, compared.stale.len()), (vec![two], 1));
    }
}
