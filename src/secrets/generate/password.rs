//! Characters and words that are drawn at random.

use rand::Rng as _;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

use super::words::{COUNT, words};

/// The classes of characters, by name. The symbols are those that neither a shell in double quotes, nor a URL, YAML or an
/// environment file makes something else of.
const CLASSES: [(&str, &str); 4] = [
    ("lower", "abcdefghijklmnopqrstuvwxyz"),
    ("upper", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    ("digit", "0123456789"),
    ("symbol", "-_.+~^=@"),
];

/// Which characters a password is made of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Classes([bool; 4]);

impl Default for Classes {
    /// Letters and digits, which every program takes.
    fn default() -> Self {
        Self([true, true, true, false])
    }
}

impl Classes {
    /// The classes that are named, with `+` between.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut found = [false; 4];
        for word in text.split('+') {
            found[CLASSES.iter().position(|(name, _)| *name == word)?] = true;
        }
        Some(Self(found))
    }

    fn all(self) -> impl Iterator<Item = &'static str> {
        CLASSES.into_iter().zip(self.0).filter(|(_, is_wanted)| *is_wanted).map(|((_, characters), _)| characters)
    }
}

/// A password in which each class has one character at least; of all those, each is as likely as another.
pub(super) fn password(length: usize, classes: Classes) -> Zeroizing<Vec<u8>> {
    let characters: Vec<u8> = classes.all().flat_map(str::bytes).collect();
    loop {
        let mut password = Zeroizing::new(Vec::with_capacity(length));
        password.extend((0..length).map(|_| characters[OsRng.gen_range(0..characters.len())]));
        if classes.all().all(|class| password.iter().any(|byte| class.as_bytes().contains(byte))) {
            return password;
        }
    }
}

/// Words with `-` between.
pub(super) fn passphrase(count: usize) -> Zeroizing<Vec<u8>> {
    let words: Vec<&str> = words().collect();
    let longest = words.iter().map(|word| word.len()).max().unwrap_or_default();
    // Room for all, so that nothing is left behind where it grew.
    let mut phrase = Zeroizing::new(Vec::with_capacity(count * (longest + 1)));
    for at in 0..count {
        phrase.extend((at > 0).then_some(b'-'));
        phrase.extend(words[OsRng.gen_range(0..COUNT)].bytes());
    }
    phrase
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_has_its_length_and_one_of_each_class() {
        let classes = Classes::parse("lower+upper+digit+symbol").unwrap();
        for _ in 0..50 {
            let made = password(8, classes);
            assert_eq!(made.len(), 8);
            assert!(classes.all().all(|class| made.iter().any(|byte| class.as_bytes().contains(byte))));
        }
        let digits = password(1024, Classes::parse("digit").unwrap());
        assert!(digits.iter().all(u8::is_ascii_digit));
        assert!((b'0'..=b'9').all(|digit| digits.contains(&digit)), "every digit comes in a thousand");
        assert!(Classes::parse("").is_none() && Classes::parse("lower+").is_none());
    }

    #[test]
    fn a_passphrase_is_words() {
        let phrase = passphrase(64);
        let text = std::str::from_utf8(&phrase).unwrap();
        assert_eq!(text.split('-').count(), 64);
        assert!(text.split('-').all(|word| words().any(|one| one == word)));
        assert_ne!(*passphrase(8), *passphrase(8));
    }
}
