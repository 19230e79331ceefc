//! `$2y$`: the hash of a password with bcrypt, as `htpasswd` and libxcrypt read it.

use base64::Engine as _;
use base64::alphabet::BCRYPT;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use blowfish::Blowfish;
use zeroize::Zeroizing;

/// How often it is hashed, as the power of two.
pub(super) const COST: u32 = 10;

/// What is encrypted again and again.
const TEXT: &[u8; 24] = b"OrpheanBeholderScryDoubt";

/// Its base 64.
const DIGITS: GeneralPurpose = GeneralPurpose::new(&BCRYPT, NO_PAD);

/// The hash of a password of at most 71 bytes with this salt.
pub(super) fn bcrypt(password: &[u8], salt: &[u8; 16], cost: u32) -> String {
    // A zero ends it, as C has it.
    let mut key = Zeroizing::new(Vec::with_capacity(password.len() + 1));
    key.extend(password.iter().chain(&[0]));
    let mut cipher: Blowfish = Blowfish::bc_init_state();
    cipher.salted_expand_key(salt, &key);
    for _ in 0..1_u32 << cost {
        cipher.bc_expand_key(&key);
        cipher.bc_expand_key(salt);
    }
    let mut hash = Vec::with_capacity(TEXT.len());
    for block in TEXT.chunks_exact(8) {
        let word = |at: usize| u32::from_be_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]);
        let words = (0..64).fold([word(0), word(4)], |words, _| cipher.bc_encrypt(words));
        hash.extend(words.into_iter().flat_map(u32::to_be_bytes));
    }
    // The last byte has always been left out.
    format!("$2y${cost:02}${}{}", DIGITS.encode(salt), DIGITS.encode(&hash[..23]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_libxcrypt_makes_of_it() {
        for (password, cost, salt, hash) in [
            ("a", 4, "0123456789abcdefghijku", "oMYMpofo5uVZq5oQrkClwObWwJ8dbhC"),
            ("correct horse", 5, "./AZaz09./AZaz09./AZae", "mHfsw37xUSkaIqTudGxLfzctRzEk/Om"),
        ] {
            let bytes: [u8; 16] = DIGITS.decode(salt).unwrap().try_into().unwrap();
            assert_eq!(bcrypt(password.as_bytes(), &bytes, cost), format!("$2y${cost:02}${salt}{hash}"));
        }
    }
}
