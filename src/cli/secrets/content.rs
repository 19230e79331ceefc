//! The content of secrets, on its way in and out: never copied to where it is not wiped.

use std::io::{self, Cursor, Read, Write};

use rustix::fd::AsFd;
use zeroize::Zeroizing;

use crate::error::{Error, Kind, Result};
use crate::secrets::WHOLE;

/// How large a content may be that has to be in memory as a whole, in bytes.
const MAX: usize = 256 * 1024 * 1024;

/// A content that somebody gives.
pub(super) enum Given {
    /// All of it.
    Whole(Zeroizing<Vec<u8>>),
    /// One that goes on after what was read.
    Long(Long),
}

/// A content of which the beginning is read.
pub(super) struct Long {
    begin: Zeroizing<Vec<u8>>,
    rest: Box<dyn Read + Send>,
    /// Whether a line break at its end is left out.
    trim: bool,
}

impl Given {
    /// Reads all there is, or the beginning of what is long. With `trim`, without a line break at its end.
    pub(super) fn read(mut from: impl Read + Send + 'static, trim: bool) -> Result<Self> {
        let mut begin = Zeroizing::new(Vec::new());
        if fill(&mut begin, &mut from, WHOLE)? {
            return Ok(Self::Long(Long { begin, rest: Box::new(from), trim }));
        }
        trim_end(&mut begin, trim);
        Ok(Self::Whole(begin))
    }

    /// All of it in memory; an error where it is too long for that.
    pub(super) fn whole(self) -> Result<Zeroizing<Vec<u8>>> {
        match self {
            Self::Whole(content) => Ok(content),
            Self::Long(Long { mut begin, mut rest, trim }) => {
                if fill(&mut begin, &mut rest, MAX)? {
                    let hint = "`hubctl secrets set` takes any length of what is no JSON, YAML, ENV or PEM by its name, and no file of SOPS";
                    return Err(
                        Error::message(Kind::Usage, "a content of more than 256 MiB is not looked through").hint(hint)
                    );
                }
                trim_end(&mut begin, trim);
                Ok(begin)
            }
        }
    }
}

impl Long {
    /// Whether what is read of it is nothing but white space.
    pub(super) fn begins_blank(&self) -> bool {
        is_blank(&self.begin)
    }

    /// All of it, to be read once.
    pub(super) fn reader(self) -> Box<dyn Read + Send> {
        let all = Cursor::new(self.begin).chain(self.rest);
        if self.trim { Box::new(Trimmed::new(all)) } else { Box::new(all) }
    }
}

/// Reads until there are `limit` bytes; gives whether there are more than that.
fn fill(content: &mut Zeroizing<Vec<u8>>, from: &mut impl Read, limit: usize) -> Result<bool> {
    let mut length = content.len();
    loop {
        if length == content.len() {
            // What grows is copied, and the old copy wiped.
            let mut larger = Zeroizing::new(vec![0; (length * 2).clamp(64 * 1024, limit + 1)]);
            larger[..length].copy_from_slice(&content[..length]);
            *content = larger;
        }
        match from.read(&mut content[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::new(Kind::Failed, error)),
        }
        if length > limit {
            break;
        }
    }
    content.truncate(length);
    Ok(length > limit)
}

fn trim_end(content: &mut Vec<u8>, trim: bool) {
    if trim && content.last() == Some(&b'\n') {
        content.pop();
    }
}

/// What is read, without a line break at its end.
struct Trimmed<R> {
    from: R,
    /// What was read and is not given yet: from the first place to the second.
    piece: Zeroizing<Vec<u8>>,
    left: (usize, usize),
    /// Whether a line break comes before that, which is given only if it is not the last.
    kept: bool,
}

impl<R: Read> Trimmed<R> {
    fn new(from: R) -> Self {
        Self { from, piece: Zeroizing::new(vec![0; 64 * 1024]), left: (0, 0), kept: false }
    }
}

impl<R: Read> Read for Trimmed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.left.0 == self.left.1 {
                self.left = (0, self.from.read(&mut self.piece)?);
            }
            let piece = &self.piece[self.left.0..self.left.1];
            let room = piece.len().min(buffer.len());
            if room == 0 {
                return Ok(0);
            }
            if std::mem::take(&mut self.kept) {
                buffer[0] = b'\n';
                return Ok(1);
            }
            let ends = piece[room - 1] == b'\n';
            if ends && room == 1 {
                self.kept = true;
                self.left.0 += 1;
                continue;
            }
            let given = room - usize::from(ends);
            buffer[..given].copy_from_slice(&piece[..given]);
            self.left.0 += given;
            return Ok(given);
        }
    }
}

/// Where contents go, with nothing in between that would keep them.
pub(super) struct Out<T>(pub(super) T);

impl<T: AsFd> Write for Out<T> {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(&self.0, content)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes all of it, unless whoever reads it went away, and wants no more.
pub(super) fn write(to: impl AsFd, content: &[u8]) -> io::Result<()> {
    match Out(to).write_all(content) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Whether there is nothing in it but white space.
pub(super) fn is_blank(content: &[u8]) -> bool {
    content.trim_ascii().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives so many bytes at once.
    struct Slow(Cursor<Vec<u8>>, usize);

    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = buffer.len().min(self.1);
            self.0.read(&mut buffer[..most])
        }
    }

    fn read(content: &[u8], at_once: usize, trim: bool) -> Given {
        Given::read(Slow(Cursor::new(content.to_vec()), at_once), trim).unwrap()
    }

    #[test]
    fn what_is_short_is_read_as_a_whole_and_what_is_long_goes_through() {
        for (length, trim) in
            [(0, true), (1, true), (WHOLE - 1, false), (WHOLE, true), (WHOLE + 1, true), (3 * WHOLE, false)]
        {
            let mut content = vec![b'x'; length];
            content.extend_from_slice(b"\n");
            let given = read(&content, 1_000_003, trim);
            assert_eq!(matches!(given, Given::Long(_)), content.len() > WHOLE, "{length}");
            let wanted = &content[..content.len() - usize::from(trim)];
            assert!(**given.whole().unwrap() == *wanted, "{length}");
            if let Given::Long(long) = read(&content, 1_000_003, trim) {
                let mut all = Vec::new();
                long.reader().read_to_end(&mut all).unwrap();
                assert!(all == wanted, "{length}");
            }
        }
    }

    #[test]
    fn only_the_last_line_break_is_left_out_however_it_is_read() {
        for text in ["", "\n", "\n\n", "a\n", "a\n\n", "a\nb\n\nc", "\na\n"] {
            for at_once in 1..5 {
                let from = Slow(Cursor::new(text.as_bytes().to_vec()), at_once);
                let mut all = String::new();
                Trimmed::new(from).read_to_string(&mut all).unwrap();
                assert_eq!(all, text.strip_suffix('\n').unwrap_or(text), "{text:?} {at_once}");
            }
        }
    }
}
