//! `ENC[AES256_GCM,...]`: one value, encrypted under the file's data key and bound to its path.

use aes_gcm::aead::consts::{U12, U16, U32};
use aes_gcm::aead::generic_array::{ArrayLength, GenericArray};
use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, KeyInit as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::RngCore as _;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

use super::error::SopsError;
use super::value::Plain;

/// What SOPS calls the type of a comment.
const COMMENT: &str = "comment";
const TAG: usize = 16;
const PREFIX: &str = "ENC[AES256_GCM,data:";

/// The key of a file's values. It is wiped when it is dropped.
pub struct DataKey(Zeroizing<[u8; 32]>);

impl DataKey {
    /// A new one, from the system's source of randomness.
    pub fn random() -> Self {
        let mut key = Zeroizing::new([0; 32]);
        OsRng.fill_bytes(key.as_mut());
        Self(key)
    }

    /// The key that a recipient's file held.
    pub fn of(bytes: &[u8]) -> Result<Self, SopsError> {
        let key: [u8; 32] = bytes.try_into().map_err(|_| SopsError::BadDataKey)?;
        Ok(Self(Zeroizing::new(key)))
    }

    /// Its bytes, to be encrypted to a recipient.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_ref()
    }
}

/// The nonce of an encrypted value. A value that did not change keeps its own, so that its text does not change either.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Nonce(Vec<u8>);

impl Nonce {
    pub(super) fn random() -> Self {
        let mut bytes = vec![0; 32];
        OsRng.fill_bytes(&mut bytes);
        Self(bytes)
    }
}

/// What a value or a comment decrypts to.
#[derive(Clone, PartialEq)]
pub(super) enum Opened {
    Value(Plain),
    Comment(Zeroizing<String>),
}

/// The parts of `ENC[...]`.
struct Sealed<'a> {
    data: Vec<u8>,
    nonce: Vec<u8>,
    type_name: &'a str,
}

impl<'a> Sealed<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let rest = text.strip_prefix(PREFIX)?.strip_suffix(']')?;
        let (data, rest) = rest.split_once(",iv:")?;
        let (nonce, rest) = rest.split_once(",tag:")?;
        let (tag, type_name) = rest.split_once(",type:")?;
        let mut data = STANDARD.decode(data).ok()?;
        let tag = STANDARD.decode(tag).ok().filter(|tag| tag.len() == TAG)?;
        data.extend(tag);
        Some(Self { data, nonce: STANDARD.decode(nonce).ok()?, type_name })
    }
}

/// How many bytes an encrypted value has in the clear, which its text tells without a key; nothing where it is not encrypted.
pub fn sealed_length(text: &str) -> Option<u64> {
    let sealed = Sealed::parse(text)?;
    u64::try_from(sealed.data.len() - TAG).ok()
}

/// Whether a text looks like an encrypted value.
pub(super) fn is_sealed(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// Decrypts `text`, which has to be for the place that `aad` names.
pub(super) fn open(text: &str, key: &DataKey, aad: &str) -> Result<(Opened, Nonce), SopsError> {
    let sealed = Sealed::parse(text).ok_or(SopsError::NotSealed)?;
    let payload = Payload { msg: &sealed.data, aad: aad.as_bytes() };
    let plain = match sealed.nonce.len() {
        32 => decrypt::<U32>(key, &sealed.nonce, payload),
        16 => decrypt::<U16>(key, &sealed.nonce, payload),
        12 => decrypt::<U12>(key, &sealed.nonce, payload),
        _ => return Err(SopsError::NotSealed),
    };
    let plain = Zeroizing::new(plain.ok_or(SopsError::Tampered)?);
    let opened = if sealed.type_name == COMMENT {
        let text = std::str::from_utf8(&plain).map_err(|_| SopsError::BadPlaintext)?;
        Opened::Comment(Zeroizing::new(text.to_owned()))
    } else {
        Opened::Value(Plain::decode(sealed.type_name, plain)?)
    };
    Ok((opened, Nonce(sealed.nonce)))
}

/// Encrypts a value for the place that `aad` names. An empty one stays empty, as everywhere in SOPS.
pub(super) fn seal(value: &Plain, key: &DataKey, nonce: &Nonce, aad: &str) -> Result<String, SopsError> {
    seal_bytes(&value.bytes(), value.type_name(), key, nonce, aad)
}

/// Encrypts a comment.
pub(super) fn seal_comment(text: &str, key: &DataKey, nonce: &Nonce, aad: &str) -> Result<String, SopsError> {
    seal_bytes(text.as_bytes(), COMMENT, key, nonce, aad)
}

fn seal_bytes(plain: &[u8], type_name: &str, key: &DataKey, nonce: &Nonce, aad: &str) -> Result<String, SopsError> {
    if plain.is_empty() {
        return Ok(String::new());
    }
    let payload = Payload { msg: plain, aad: aad.as_bytes() };
    let sealed = match nonce.0.len() {
        32 => encrypt::<U32>(key, &nonce.0, payload),
        16 => encrypt::<U16>(key, &nonce.0, payload),
        12 => encrypt::<U12>(key, &nonce.0, payload),
        _ => None,
    };
    let sealed = sealed.ok_or(SopsError::TooLarge)?;
    let (data, tag) = sealed.split_at(sealed.len() - TAG);
    let (data, nonce, tag) = (STANDARD.encode(data), STANDARD.encode(&nonce.0), STANDARD.encode(tag));
    Ok(format!("{PREFIX}{data},iv:{nonce},tag:{tag},type:{type_name}]"))
}

fn decrypt<N: ArrayLength<u8>>(key: &DataKey, nonce: &[u8], payload: Payload<'_, '_>) -> Option<Vec<u8>> {
    let cipher = AesGcm::<Aes256, N>::new_from_slice(key.bytes()).ok()?;
    cipher.decrypt(GenericArray::from_slice(nonce), payload).ok()
}

fn encrypt<N: ArrayLength<u8>>(key: &DataKey, nonce: &[u8], payload: Payload<'_, '_>) -> Option<Vec<u8>> {
    let cipher = AesGcm::<Aes256, N>::new_from_slice(key.bytes()).ok()?;
    cipher.encrypt(GenericArray::from_slice(nonce), payload).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_opens_in_its_place_and_nowhere_else() {
        let key = DataKey::random();
        let text = seal(&Plain::Int(7), &key, &Nonce::random(), "a:b:").unwrap();
        assert!(is_sealed(&text) && text.ends_with(",type:int]"), "{text}");
        assert!(matches!(open(&text, &key, "a:b:"), Ok((Opened::Value(Plain::Int(7)), _))));
        assert!(matches!(open(&text, &key, "a:c:"), Err(SopsError::Tampered)));
        assert!(matches!(open(&text, &DataKey::random(), "a:b:"), Err(SopsError::Tampered)));
    }

    #[test]
    fn the_same_nonce_gives_the_same_text() {
        let key = DataKey::random();
        let text = seal(&Plain::text("x"), &key, &Nonce::random(), "a:").unwrap();
        let Ok((Opened::Value(value), nonce)) = open(&text, &key, "a:") else { panic!("opens") };
        assert_eq!(seal(&value, &key, &nonce, "a:").unwrap(), text);
        assert_ne!(seal(&value, &key, &Nonce::random(), "a:").unwrap(), text);
    }

    #[test]
    fn every_byte_of_an_encrypted_value_counts() {
        let key = DataKey::random();
        let text = seal(&Plain::text("secret"), &key, &Nonce::random(), "a:").unwrap();
        // The name of the type is not authenticated by itself; the file's MAC sees what it does to the value.
        for at in 0..text.find(",type:").unwrap() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            if changed != text {
                assert!(open(&changed, &key, "a:").is_err(), "byte {at}");
            }
        }
    }

    #[test]
    fn what_is_no_encrypted_value_is_refused() {
        let key = DataKey::random();
        for text in [
            "",
            "ENC[AES256_GCM,data:,iv:,tag:,type:str]",
            "ENC[AES256_GCM,data:YQ==,iv:YQ==,tag:YQ==,type:str]",
            "ENC[AES256_GCM,data:%,iv:%,tag:%,type:str]",
            "plain",
        ] {
            assert!(matches!(open(text, &key, "a:"), Err(SopsError::NotSealed)), "{text}");
        }
    }

    #[test]
    fn nothing_is_hidden_of_nothing() {
        assert_eq!(seal(&Plain::text(""), &DataKey::random(), &Nonce::random(), "a:").unwrap(), "");
    }
}
