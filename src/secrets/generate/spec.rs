//! How a new value is made, as a text says it: `password`, or `password:length=40,classes=lower+digit`.

use std::fmt;
use std::str::FromStr;

use super::password::Classes;
use crate::error::nearest;

/// How a new value is made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Generator {
    /// Characters of some classes, at least one of each.
    Password {
        /// How many characters.
        length: usize,
        /// Which.
        classes: Classes,
    },
    /// Words with `-` between.
    Passphrase {
        /// How many words.
        words: usize,
    },
    /// Bytes, as hexadecimal digits.
    Hex {
        /// How many bytes.
        bytes: usize,
    },
    /// Bytes, in base 64.
    Base64 {
        /// How many bytes.
        bytes: usize,
    },
    /// A private key of ssh, of the kind ed25519.
    SshKey {
        /// What stands behind its public key.
        comment: String,
    },
    /// A private key of age.
    AgeKey,
    /// A private key, as of `wg genkey`.
    Wireguard,
    /// A line of `htpasswd`: a user, and the bcrypt hash of a new password.
    Htpasswd {
        /// The user.
        user: String,
        /// How long the password is.
        length: usize,
    },
    /// The SHA-512 hash of a new password, as in `/etc/shadow`.
    Mkpasswd {
        /// How long the password is.
        length: usize,
    },
}

/// Why a text names no generator.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum GeneratorError {
    /// There is none of this name.
    #[error("there is no generator `{word}`{}", .nearest.map_or_else(
        || format!(", but {}", Generator::KINDS.join(", ")),
        |near| format!("; did you mean `{near}`?")
    ))]
    Unknown {
        /// What was asked for.
        word: String,
        /// What may have been meant.
        nearest: Option<&'static str>,
    },
    /// An option that this generator has not.
    #[error("`{kind}` has {}, and no `{option}`", if .known.is_empty() { "no options".to_owned() } else { .known.join(", ") })]
    Option {
        /// The generator.
        kind: &'static str,
        /// What was written.
        option: String,
        /// What it has.
        known: &'static [&'static str],
    },
    /// An option's value does not fit.
    #[error("`{option}` of `{kind}` is {wanted}, and not `{found}`")]
    Value {
        /// The generator.
        kind: &'static str,
        /// The option.
        option: &'static str,
        /// What it should be.
        wanted: String,
        /// What was written.
        found: String,
    },
    /// An option without which it says nothing.
    #[error("`{kind}` needs `{option}`, as in `{kind}:{option}={example}`")]
    Missing {
        /// The generator.
        kind: &'static str,
        /// The option.
        option: &'static str,
        /// A value of it.
        example: &'static str,
    },
}

type Result<T> = std::result::Result<T, GeneratorError>;

impl Generator {
    /// The names of all.
    pub const KINDS: [&'static str; 9] =
        ["password", "passphrase", "hex", "base64", "ssh-key", "age-key", "wireguard", "htpasswd", "mkpasswd"];

    /// Its name, without options.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Password { .. } => "password",
            Self::Passphrase { .. } => "passphrase",
            Self::Hex { .. } => "hex",
            Self::Base64 { .. } => "base64",
            Self::SshKey { .. } => "ssh-key",
            Self::AgeKey => "age-key",
            Self::Wireguard => "wireguard",
            Self::Htpasswd { .. } => "htpasswd",
            Self::Mkpasswd { .. } => "mkpasswd",
        }
    }

    /// Whether its value is a hash, so that the password itself has to be kept elsewhere.
    pub fn is_hash(&self) -> bool {
        matches!(self, Self::Htpasswd { .. } | Self::Mkpasswd { .. })
    }

    /// Whether its value has a public part.
    pub fn has_public_key(&self) -> bool {
        matches!(self, Self::SshKey { .. } | Self::AgeKey | Self::Wireguard)
    }
}

impl fmt::Display for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

impl FromStr for Generator {
    type Err = GeneratorError;

    fn from_str(text: &str) -> Result<Self> {
        let (word, options) = text.split_once(':').unwrap_or((text, ""));
        let unknown = || GeneratorError::Unknown { word: word.to_owned(), nearest: nearest(word, Self::KINDS) };
        let kind = Self::KINDS.into_iter().find(|kind| *kind == word).ok_or_else(unknown)?;
        let of = |known| Options::of(kind, known, options);
        match kind {
            "password" => {
                let options = of(&["length", "classes"])?;
                let classes = options.classes()?;
                Ok(Self::Password { length: options.number("length", 32, 8, 1024)?, classes })
            }
            "passphrase" => Ok(Self::Passphrase { words: of(&["words"])?.number("words", 8, 4, 64)? }),
            "hex" => Ok(Self::Hex { bytes: of(&["bytes"])?.number("bytes", 32, 8, 4096)? }),
            "base64" => Ok(Self::Base64 { bytes: of(&["bytes"])?.number("bytes", 32, 8, 4096)? }),
            "ssh-key" => {
                Ok(Self::SshKey { comment: of(&["comment"])?.word("comment")?.unwrap_or_default().to_owned() })
            }
            "age-key" => of(&[]).map(|_| Self::AgeKey),
            "wireguard" => of(&[]).map(|_| Self::Wireguard),
            "htpasswd" => {
                let options = of(&["user", "length"])?;
                let missing = GeneratorError::Missing { kind, option: "user", example: "alice" };
                let user = options.user()?.ok_or(missing)?.to_owned();
                // bcrypt looks at 72 bytes and no more.
                Ok(Self::Htpasswd { user, length: options.number("length", 24, 12, 64)? })
            }
            "mkpasswd" => Ok(Self::Mkpasswd { length: of(&["length"])?.number("length", 24, 12, 256)? }),
            _ => Err(unknown()),
        }
    }
}

/// What stands behind the name of a generator.
struct Options<'a> {
    kind: &'static str,
    all: Vec<(&'static str, &'a str)>,
}

impl<'a> Options<'a> {
    fn of(kind: &'static str, known: &'static [&'static str], text: &'a str) -> Result<Self> {
        let mut all = Vec::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let is = |known: &&&'static str| **known == name;
            let unknown = || GeneratorError::Option { kind, option: name.to_owned(), known };
            all.push((*known.iter().find(is).ok_or_else(unknown)?, value));
        }
        Ok(Self { kind, all })
    }

    fn get(&self, name: &str) -> Option<(&'static str, &'a str)> {
        self.all.iter().rev().find(|(option, _)| *option == name).copied()
    }

    fn wrong(&self, option: &'static str, wanted: String, found: &str) -> GeneratorError {
        GeneratorError::Value { kind: self.kind, option, wanted, found: found.to_owned() }
    }

    fn number(&self, name: &str, default: usize, least: usize, most: usize) -> Result<usize> {
        let Some((option, text)) = self.get(name) else { return Ok(default) };
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| self.wrong(option, format!("a whole number from {least} to {most}"), text))
    }

    fn classes(&self) -> Result<Classes> {
        let Some((option, text)) = self.get("classes") else { return Ok(Classes::default()) };
        let wanted = || "some of lower, upper, digit and symbol with `+` between".to_owned();
        Classes::parse(text).ok_or_else(|| self.wrong(option, wanted(), text))
    }

    fn word(&self, name: &str) -> Result<Option<&'a str>> {
        let Some((option, text)) = self.get(name) else { return Ok(None) };
        let fits = !text.is_empty() && text.len() <= 200 && !text.contains(char::is_control);
        if fits { Ok(Some(text)) } else { Err(self.wrong(option, "a text of one line".to_owned(), text)) }
    }

    /// A user of `htpasswd`, which ends names with a colon.
    fn user(&self) -> Result<Option<&'a str>> {
        let user = self.word("user")?;
        match user {
            Some(user) if user.contains([':', '#']) || user.contains(char::is_whitespace) => {
                Err(self.wrong("user", "a name without spaces, `:` and `#`".to_owned(), user))
            }
            user => Ok(user),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_says_how_a_value_is_made() {
        let of = |text: &str| text.parse::<Generator>().unwrap();
        for kind in Generator::KINDS {
            let text = if kind == "htpasswd" { "htpasswd:user=alice".to_owned() } else { kind.to_owned() };
            assert_eq!(of(&text).kind(), kind);
        }
        assert_eq!(of("hex:bytes=16"), Generator::Hex { bytes: 16 });
        let classes = Classes::parse("lower+digit").unwrap();
        assert_eq!(of("password:length=40,classes=lower+digit"), Generator::Password { length: 40, classes });
        assert_eq!(of("ssh-key:comment=deploy@hub"), Generator::SshKey { comment: "deploy@hub".to_owned() });
    }

    #[test]
    fn what_names_no_generator_is_told_with_what_would() {
        for (text, told) in [
            ("pasword", "there is no generator `pasword`; did you mean `password`?"),
            ("shell", "there is no generator `shell`, but password, passphrase, hex, base64, ssh-key, age-key"),
            ("", "there is no generator ``, but password"),
            ("hex:length=3", "`hex` has bytes, and no `length`"),
            ("age-key:bytes=3", "`age-key` has no options, and no `bytes`"),
            ("hex:bytes=3", "`bytes` of `hex` is a whole number from 8 to 4096, and not `3`"),
            ("hex:bytes", "and not ``"),
            ("password:classes=lower+emoji", "`classes` of `password` is some of lower, upper, digit and symbol"),
            ("htpasswd", "`htpasswd` needs `user`, as in `htpasswd:user=alice`"),
            ("htpasswd:user=a:b", "`user` of `htpasswd` is a name without"),
        ] {
            let error = text.parse::<Generator>().unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
