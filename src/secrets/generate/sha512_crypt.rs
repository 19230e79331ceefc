//! `$6$`: the hash of a password with SHA-512, as in `/etc/shadow`.

use sha2::{Digest as _, Sha512};
use zeroize::Zeroizing;

/// The digits of its base 64, from 0 on.
const DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// How often it is hashed. It is the number that a hash without one has, and much for a password of which nobody can guess a part.
const ROUNDS: usize = 5000;

/// How many characters a salt has.
const SALT: usize = 16;

/// The digits of a salt for these bytes.
pub(super) fn salt(random: [u8; SALT]) -> String {
    random.iter().map(|byte| char::from(DIGITS[usize::from(byte % 64)])).collect()
}

/// The hash of a password with this salt.
pub(super) fn sha512_crypt(password: &[u8], salt: &str) -> String {
    let salt = salt.as_bytes();
    let first = first(password, salt);
    let p = repeated(&hash(std::iter::repeat_n(password, password.len())), password.len());
    let s = repeated(&hash(std::iter::repeat_n(salt, 16 + usize::from(first[0]))), salt.len());
    let mut last = first;
    for round in 0..ROUNDS {
        let odd = round % 2 == 1;
        let mut sum = Sha512::new();
        sum.update(if odd { &p[..] } else { &last[..] });
        if round % 3 != 0 {
            sum.update(&s[..]);
        }
        if round % 7 != 0 {
            sum.update(&p[..]);
        }
        sum.update(if odd { &last[..] } else { &p[..] });
        last.copy_from_slice(&sum.finalize());
    }
    format!("$6${}${}", String::from_utf8_lossy(salt), encoded(&last))
}

fn first(password: &[u8], salt: &[u8]) -> Zeroizing<[u8; 64]> {
    let other = hash([password, salt, password].into_iter());
    let mut sum = Sha512::new();
    sum.update(password);
    sum.update(salt);
    sum.update(&repeated(&other, password.len())[..]);
    let mut bits = password.len();
    while bits > 0 {
        sum.update(if bits & 1 == 1 { &other[..] } else { password });
        bits >>= 1;
    }
    Zeroizing::new(sum.finalize().into())
}

fn hash<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Zeroizing<[u8; 64]> {
    let mut sum = Sha512::new();
    parts.for_each(|part| sum.update(part));
    Zeroizing::new(sum.finalize().into())
}

fn repeated(hash: &[u8; 64], length: usize) -> Zeroizing<Vec<u8>> {
    let mut all = Zeroizing::new(Vec::with_capacity(length));
    all.extend(hash.iter().cycle().take(length));
    all
}

/// The bytes in the order of the format, three of them as four digits, the lowest first.
fn encoded(hash: &[u8; 64]) -> String {
    let mut text = String::new();
    let mut digits = |value: u32, count: u32| {
        text.extend((0..count).map(|at| char::from(DIGITS[(value >> (6 * at)) as usize & 63])));
    };
    let (mut one, mut two, mut three) = (0, 21, 42);
    for _ in 0..21 {
        digits(u32::from(hash[one]) << 16 | u32::from(hash[two]) << 8 | u32::from(hash[three]), 4);
        (one, two, three) = (two + 1, three + 1, one + 1);
    }
    digits(u32::from(hash[63]), 2);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_openssl_makes_of_it() {
        // openssl passwd -6 -salt SALT PASSWORD
        for (password, salt, hash) in [
            (
                "a",
                "0123456789abcdef",
                "qn2kMgR/Cs9pZI2hZfok3cbi0oHyRjH7NUyfGhPKp6EBvlZWbL3JMmASYlyEBxhP4jB3zti0119AKDkHdAVHI0",
            ),
            (
                "correct horse battery",
                "./AZaz09./AZaz09",
                "Dphw2TrnIMK5oTxuvCzjhgrDLeGkwCt.Im92X8NEh2Vo9VDSAdPWmdS517UNPMuNe/ff4eGkkSKW.lKy3Kwtc1",
            ),
            (
                "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
                "saltsaltsaltsalt",
                "oZGbPY7KYjiFIFPEzNoWksjF5Cfu3vB8dWop3OgxGy8KQvcr5GJyvOj/piDk2ikQ9ErmuJ5Vc4wB7yGx3m6pB/",
            ),
        ] {
            assert_eq!(sha512_crypt(password.as_bytes(), salt), format!("$6${salt}${hash}"));
        }
    }
}
