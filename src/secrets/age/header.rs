//! The header of an age file, read strictly: who it is encrypted to, and how long its content is.
//!
//! The `age` crate reads headers for itself, keeps what it finds, and has no limit. This reader comes first, so that what it
//! refuses never gets there.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read, Seek as _, sink};

use age::armor::ArmoredReader;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;

use super::crypt::Armor;
use super::error::AgeError;

/// How many bytes a header may have. One recipient takes 140 of them, or 2,300 if its key withstands quantum computers.
pub const HEADER_LIMIT: usize = 256 * 1024;

/// What the first line of a binary file begins with.
const MAGIC: &str = "age-encryption.org/";

/// What the first line of an armored file begins with.
const ARMOR: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";

/// How many columns a full line of a stanza's body has.
const COLUMNS: usize = 64;

/// What a chunk of the content takes at most, with its tag, and what the tag alone takes.
const CHUNK: u64 = 64 * 1024 + TAG;
const TAG: u64 = 16;

/// What stands in front of the chunks.
const NONCE: u64 = 16;

/// What says how one recipient opens the file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stanza {
    /// Its type, such as `X25519`.
    pub kind: String,
    /// What follows the type.
    pub args: Vec<String>,
}

/// The header of a file that may be an honest one, and the length of its content.
#[derive(Clone, Debug)]
pub struct Header {
    stanzas: Vec<Stanza>,
    armor: Armor,
    plaintext_len: u64,
}

impl Header {
    /// Reads the header of a whole file, with or without armor.
    pub fn of(bytes: &[u8]) -> Result<Self, AgeError> {
        Self::read(bytes)
    }

    /// Reads a file to its end, and keeps nothing but its header.
    pub fn read(from: impl Read) -> Result<Self, AgeError> {
        let (armor, mut from) = unarmored(from)?;
        let (stanzas, _) = begin(&mut from)?;
        let payload = std::io::copy(&mut from, &mut sink()).map_err(|error| broken(armor, error))?;
        Ok(Self { stanzas, armor, plaintext_len: plaintext_len(payload).ok_or(AgeError::Payload)? })
    }

    /// Reads no more than the header of a file that has `length` bytes, unless it is armored.
    pub fn of_file(file: &File, length: u64) -> Result<Self, AgeError> {
        let (armor, mut from) = unarmored(file)?;
        if armor == Armor::Ascii {
            drop(from);
            (&*file).rewind()?;
            return Self::read(file);
        }
        let (stanzas, text) = begin(&mut from)?;
        let payload = length.checked_sub(text.len() as u64).ok_or(AgeError::Payload)?;
        Ok(Self { stanzas, armor, plaintext_len: plaintext_len(payload).ok_or(AgeError::Payload)? })
    }

    /// The stanzas, in their order.
    pub fn stanzas(&self) -> &[Stanza] {
        &self.stanzas
    }

    /// Whether the file is armored.
    pub fn armor(&self) -> Armor {
        self.armor
    }

    /// How many bytes the content has when it is decrypted.
    pub fn plaintext_len(&self) -> u64 {
        self.plaintext_len
    }
}

impl Stanza {
    /// Whether it is there only to keep readers from relying on which types there are.
    pub fn is_grease(&self) -> bool {
        self.kind.ends_with("-grease")
    }
}

/// The same file without its armor.
pub(super) fn unarmored<'a>(from: impl Read + 'a) -> Result<(Armor, Box<dyn BufRead + 'a>), AgeError> {
    let mut from = BufReader::new(from);
    let first = from.fill_buf()?;
    if first.is_empty() {
        return Err(AgeError::Empty);
    }
    // White space around the armor does not count; the reader of armor allows it only behind.
    let white = first.len() - first.trim_ascii_start().len();
    if !first[white..].starts_with(ARMOR) {
        return Ok((Armor::Binary, Box::new(from)));
    }
    from.consume(white);
    Ok((Armor::Ascii, Box::new(ArmoredReader::new(from))))
}

/// Reads the header off a file without armor. Gives its stanzas, and its text as it stands there.
pub(super) fn begin(from: &mut impl BufRead) -> Result<(Vec<Stanza>, Vec<u8>), AgeError> {
    let mut lines = Lines { from, text: Vec::new(), number: 0 };
    let first = lines.next()?;
    let version = first.strip_prefix(MAGIC).ok_or(AgeError::NotAge)?;
    if version != "v1" {
        return Err(AgeError::Version(version.chars().take(20).collect()));
    }
    let mut stanzas = Vec::new();
    loop {
        let line = lines.next()?;
        if let Some(words) = line.strip_prefix("-> ") {
            stanzas.push(stanza(words).ok_or_else(|| lines.damaged("a stanza has a word that cannot be"))?);
            body(&mut lines)?;
        } else if let Some(mac) = line.strip_prefix("--- ") {
            let mac = BASE64_STANDARD_NO_PAD.decode(mac).ok().filter(|mac| mac.len() == 32);
            mac.ok_or_else(|| lines.damaged("the authentication code is none"))?;
            break;
        } else {
            return Err(lines.damaged("neither a stanza nor the end of the header"));
        }
    }
    if stanzas.is_empty() {
        return Err(lines.damaged("there is no stanza"));
    }
    if stanzas.len() > 1 && stanzas.iter().any(|stanza| stanza.kind == "scrypt") {
        return Err(lines.damaged("a passphrase stands beside other recipients"));
    }
    Ok((stanzas, lines.text))
}

/// The header and what follows it, as one file again.
pub(super) fn rejoined<R: BufRead>(header: Vec<u8>, rest: R) -> impl BufRead {
    Cursor::new(header).chain(rest)
}

/// An error of reading, which is one of the armor where there is one.
pub(super) fn broken(armor: Armor, error: std::io::Error) -> AgeError {
    match (armor, error.kind()) {
        (Armor::Ascii, std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof) => {
            AgeError::Armor(error.to_string())
        }
        (_, std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof) => AgeError::Payload,
        _ => AgeError::Io(error),
    }
}

fn stanza(words: &str) -> Option<Stanza> {
    let mut words = words.split(' ');
    let is_word = |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic());
    let kind = words.next().filter(is_word)?.to_owned();
    let args = words.map(|word| Some(word).filter(is_word).map(str::to_owned)).collect::<Option<_>>()?;
    Some(Stanza { kind, args })
}

/// Reads the body of a stanza: full lines, and one that is not full.
fn body<R: BufRead>(lines: &mut Lines<'_, R>) -> Result<(), AgeError> {
    loop {
        let line = lines.next()?;
        if line.len() > COLUMNS || BASE64_STANDARD_NO_PAD.decode(&line).is_err() {
            return Err(lines.damaged("the body of a stanza is not in base64"));
        }
        if line.len() < COLUMNS {
            return Ok(());
        }
    }
}

struct Lines<'a, R> {
    from: &'a mut R,
    /// What was read.
    text: Vec<u8>,
    number: usize,
}

impl<R: BufRead> Lines<'_, R> {
    fn next(&mut self) -> Result<String, AgeError> {
        let start = self.text.len();
        let room = HEADER_LIMIT.saturating_sub(start) as u64;
        self.number += 1;
        self.from.by_ref().take(room).read_until(b'\n', &mut self.text).map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidData => AgeError::Armor(error.to_string()),
            _ => AgeError::Io(error),
        })?;
        let Some(line) = self.text[start..].strip_suffix(b"\n") else {
            let is_first = self.number == 1;
            return Err(match self.text.len() {
                HEADER_LIMIT => AgeError::HeaderTooLarge,
                0 => AgeError::Empty,
                _ if is_first => AgeError::NotAge,
                _ => self.damaged("it ends there"),
            });
        };
        let text = std::str::from_utf8(line).map(str::to_owned);
        text.map_err(|_| if self.number == 1 { AgeError::NotAge } else { self.damaged("it is no text") })
    }

    fn damaged(&self, what: &'static str) -> AgeError {
        AgeError::Header { line: self.number, what }
    }
}

/// The length of the content, from that of all that follows the header; nothing for a length that no content gives.
fn plaintext_len(payload: u64) -> Option<u64> {
    let chunks = payload.checked_sub(NONCE)?;
    let (full, last) = (chunks / CHUNK, chunks % CHUNK);
    match (full, last) {
        (0, 0) => None,
        (_, 0) => Some(chunks - full * TAG),
        // Only the content that is empty has a chunk without any.
        (0, TAG) => Some(0),
        (_, last) if last <= TAG => None,
        _ => Some(chunks - (full + 1) * TAG),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: &str = "--- WyJp9F/9FOZh7gJdheq2WIJcwHgYc8NIVh3ddwhrcNg\n";

    fn of(stanzas: &str) -> Result<Header, AgeError> {
        let mut bytes = format!("{MAGIC}v1\n{stanzas}{MAC}").into_bytes();
        bytes.extend([0; 40]);
        Header::of(&bytes)
    }

    #[test]
    fn a_header_tells_its_stanzas_and_the_length_of_the_content() {
        let header = of("-> X25519 abcd\nAAAA\n-> x-grease\n\n").unwrap();
        assert_eq!(header.stanzas()[0], Stanza { kind: "X25519".to_owned(), args: vec!["abcd".to_owned()] });
        assert!(header.stanzas()[1].is_grease());
        assert_eq!((header.plaintext_len(), header.armor()), (8, Armor::Binary));
    }

    #[test]
    fn what_breaks_the_rules_is_refused() {
        for stanzas in [
            "",
            "-> X25519  two-spaces\nAAAA\n",
            "-> \nAAAA\n",
            "-> X25519 abcd\nAAAA\r\n",
            "-> X25519 abcd\nAAA=\n",
            "-> X25519 abcd\nAAB\n",
            "-> X25519 abcd\n",
            "-> X25519 ab\u{7f}cd\nAAAA\n",
            "-> scrypt abcd 10\nAAAA\n-> X25519 abcd\nAAAA\n",
            "garbage\n",
        ] {
            assert!(of(stanzas).is_err(), "{stanzas:?}");
        }
        let full = "A".repeat(64);
        assert!(of(&format!("-> X25519 abcd\n{full}\n")).is_err(), "a body has to end with a line that is not full");
        assert!(of(&format!("-> X25519 abcd\n{full}\n\n")).is_ok());
        assert!(matches!(Header::of(b""), Err(AgeError::Empty)));
        assert!(matches!(Header::of(b"hello"), Err(AgeError::NotAge)));
        assert!(matches!(Header::of(b"age-encryption.org/v2\n"), Err(AgeError::Version(version)) if version == "v2"));
    }

    #[test]
    fn a_header_without_end_is_not_read_to_its_end() {
        let bomb = format!("-> x {}\n\n", "a".repeat(1000)).repeat(1000);
        assert!(matches!(of(&bomb), Err(AgeError::HeaderTooLarge)));
        let endless = std::io::repeat(b'-');
        assert!(matches!(Header::read(endless), Err(AgeError::HeaderTooLarge)));
    }

    #[test]
    fn lengths_that_no_content_gives_are_refused() {
        let (nonce, tag, chunk) = (16, 16, 65_536 + 16);
        for (payload, expected) in [
            (0, None),
            (nonce, None),
            (nonce + 15, None),
            (nonce + tag, Some(0)),
            (nonce + tag + 1, Some(1)),
            (nonce + chunk, Some(65_536)),
            (nonce + chunk + tag, None),
            (nonce + chunk + tag + 1, Some(65_537)),
            (nonce + 2 * chunk, Some(131_072)),
        ] {
            assert_eq!(plaintext_len(payload), expected, "{payload}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_reader_fall(bytes: Vec<u8>) {
            let _ = Header::of(&bytes);
            let _ = Header::of(&[format!("{MAGIC}v1\n").as_bytes(), &bytes].concat());
            let _ = Header::of(&[ARMOR, b"\n", &bytes].concat());
        }
    }
}
