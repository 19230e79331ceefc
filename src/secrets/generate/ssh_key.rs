//! A private key of ssh, of the kind ed25519, in OpenSSH's own format.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use curve25519_dalek::EdwardsPoint;
use rand::RngCore as _;
use rand::rngs::OsRng;
use sha2::{Digest as _, Sha512};
use zeroize::Zeroizing;

const KIND: &[u8] = b"ssh-ed25519";

/// How many characters a line has, as `ssh-keygen` writes them.
const LINE: usize = 70;

/// A new key: the file, and the public key as one line.
pub(super) fn ssh_key(comment: &str) -> (Zeroizing<Vec<u8>>, String) {
    let mut seed = Zeroizing::new([0; 32]);
    OsRng.fill_bytes(seed.as_mut());
    let public = public(&seed);
    let blob = [field(KIND), field(&public)].concat();
    let line = format!("ssh-ed25519 {} {comment}", STANDARD.encode(&blob));
    (file(&seed, &public, &blob, comment), line.trim_end().to_owned())
}

fn public(seed: &[u8; 32]) -> [u8; 32] {
    let hash = Zeroizing::new(<[u8; 64]>::from(Sha512::digest(seed)));
    let mut scalar = Zeroizing::new([0; 32]);
    scalar.copy_from_slice(&hash[..32]);
    EdwardsPoint::mul_base_clamped(*scalar).compress().to_bytes()
}

fn file(seed: &[u8; 32], public: &[u8; 32], blob: &[u8], comment: &str) -> Zeroizing<Vec<u8>> {
    // Of one that is not locked, the same number twice.
    let check = OsRng.next_u32().to_be_bytes();
    let mut both = Zeroizing::new([0; 64]);
    both[..32].copy_from_slice(seed);
    both[32..].copy_from_slice(public);
    let mut secret = Zeroizing::new(Vec::with_capacity(512 + comment.len()));
    for part in
        [&check, &check, &*field(KIND), &*field(public), &*Zeroizing::new(field(&*both)), &*field(comment.as_bytes())]
    {
        secret.extend(part);
    }
    let padding = (1..8).take((8 - secret.len() % 8) % 8);
    secret.extend(padding);
    let mut all = Zeroizing::new(Vec::with_capacity(1024 + comment.len()));
    all.extend(b"openssh-key-v1\0");
    for part in [field(b"none"), field(b"none"), field(b""), 1_u32.to_be_bytes().to_vec(), field(blob)] {
        all.extend(part);
    }
    all.extend(&*Zeroizing::new(field(&secret)));
    armored(&all)
}

fn armored(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let digits = Zeroizing::new(STANDARD.encode(bytes));
    let mut text = Zeroizing::new(Vec::with_capacity(digits.len() * 2));
    text.extend(b"-----BEGIN OPENSSH PRIVATE KEY-----\n");
    for line in digits.as_bytes().chunks(LINE) {
        text.extend(line);
        text.push(b'\n');
    }
    text.extend(b"-----END OPENSSH PRIVATE KEY-----\n");
    text
}

/// Bytes with their number in front of them.
fn field(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut field = Vec::with_capacity(bytes.len() + 4);
    field.extend(length.to_be_bytes());
    field.extend(bytes);
    field
}
