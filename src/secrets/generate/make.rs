//! New values.

use age::secrecy::ExposeSecret as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use curve25519_dalek::MontgomeryPoint;
use rand::RngCore as _;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

use super::bcrypt::{COST, bcrypt};
use super::password::{Classes, passphrase, password};
use super::sha512_crypt::{salt, sha512_crypt};
use super::spec::Generator;
use super::ssh_key::ssh_key;

/// A new value, and what belongs to it.
pub struct Made {
    /// The value of the secret.
    pub value: Zeroizing<Vec<u8>>,
    /// The public key of a private one, as one line, which anybody may know.
    pub public: Option<String>,
    /// The password of which the value is a hash.
    pub clear: Option<Zeroizing<Vec<u8>>>,
}

impl Made {
    fn of(value: Zeroizing<Vec<u8>>) -> Self {
        Self { value, public: None, clear: None }
    }
}

impl Generator {
    /// Makes a new value.
    pub fn make(&self) -> Made {
        match self {
            Self::Password { length, classes } => Made::of(password(*length, *classes)),
            Self::Passphrase { words } => Made::of(passphrase(*words)),
            Self::Hex { bytes } => Made::of(hex(&random(*bytes))),
            Self::Base64 { bytes } => Made::of(base64(&random(*bytes))),
            Self::SshKey { comment } => {
                let (value, public) = ssh_key(comment);
                Made { value, public: Some(public), clear: None }
            }
            Self::AgeKey => age_key(),
            Self::Wireguard => wireguard(),
            Self::Htpasswd { user, length } => {
                let clear = password(*length, Classes::default());
                let line = format!("{user}:{}\n", bcrypt(&clear, &salt_bytes(), COST));
                Made { value: Zeroizing::new(line.into_bytes()), public: None, clear: Some(clear) }
            }
            Self::Mkpasswd { length } => {
                let clear = password(*length, Classes::default());
                let hash = sha512_crypt(&clear, &salt(salt_bytes()));
                Made { value: Zeroizing::new(hash.into_bytes()), public: None, clear: Some(clear) }
            }
        }
    }
}

fn random(count: usize) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(vec![0; count]);
    OsRng.fill_bytes(&mut bytes);
    bytes
}

fn salt_bytes() -> [u8; 16] {
    let mut salt = [0; 16];
    OsRng.fill_bytes(&mut salt);
    salt
}

fn hex(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let digit = |half: u8| b"0123456789abcdef"[usize::from(half)];
    let mut text = Zeroizing::new(Vec::with_capacity(bytes.len() * 2));
    text.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
    text
}

fn base64(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(STANDARD.encode(bytes).into_bytes())
}

/// As `age-keygen` writes it, without the day.
fn age_key() -> Made {
    let key = age::x25519::Identity::generate();
    let public = key.to_public().to_string();
    let secret = key.to_string();
    let mut value = Zeroizing::new(Vec::with_capacity(256));
    for part in ["# public key: ", public.as_str(), "\n", secret.expose_secret(), "\n"] {
        value.extend(part.bytes());
    }
    Made { value, public: Some(public), clear: None }
}

/// As of `wg genkey`: the bits that every key has are set already.
fn wireguard() -> Made {
    let mut key = Zeroizing::new([0; 32]);
    OsRng.fill_bytes(key.as_mut());
    key[0] &= 0b1111_1000;
    key[31] = key[31] & 0b0111_1111 | 0b0100_0000;
    let public = STANDARD.encode(MontgomeryPoint::mul_base_clamped(*key).to_bytes());
    Made { value: base64(key.as_ref()), public: Some(public), clear: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(text: &str) -> Made {
        text.parse::<Generator>().unwrap().make()
    }

    #[test]
    fn bytes_are_written_as_is_asked_for() {
        let hex = made("hex:bytes=16").value;
        assert!(hex.len() == 32 && hex.iter().all(u8::is_ascii_hexdigit));
        assert_eq!(STANDARD.decode(&**made("base64:bytes=20").value).unwrap().len(), 20);
        assert_eq!(*super::hex(&[0x0f, 0xa0]), b"0fa0");
    }

    #[test]
    fn no_two_values_are_alike_and_only_hashes_have_a_password() {
        for kind in Generator::KINDS {
            let text = if kind == "htpasswd" { "htpasswd:user=alice" } else { kind };
            let generator: Generator = text.parse().unwrap();
            let (one, other) = (generator.make(), generator.make());
            assert_ne!(*one.value, *other.value, "{kind}");
            assert_eq!(one.clear.is_some(), generator.is_hash(), "{kind}");
            assert_eq!(one.public.is_some(), generator.has_public_key(), "{kind}");
        }
    }
}
