//! When secrets got new values, and how: a list in the repository, which all who work on it share, without any value.
//!
//! A file that is encrypted anew is another file with the same value, so git's history alone does not tell. Each line stands for
//! itself and has its place by its secret, so that what two people add can be merged.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::target::Target;

/// The name of the file.
const FILE: &str = "secrets.rotated";

/// What stands at its beginning.
const HEAD: &str = "# When secrets got new values: secret, moment, how, and one word for all that got the same value at once. Kept by `hubctl secrets`.\n";

/// A new value of a secret.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Rotation {
    /// The secret, as a [`Target`] is written.
    pub secret: String,
    /// When it got the value.
    pub at: Timestamp,
    /// By what: a generator's name, or a command's.
    pub how: String,
    /// The same for all secrets that got the same value at once.
    pub id: String,
}

/// All that is on record.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Record(Vec<Rotation>);

impl Record {
    /// Where it is kept: beside the rules of agenix, where there are any.
    pub fn file(rules: Option<&Path>) -> PathBuf {
        rules.map_or_else(|| PathBuf::from(FILE), |rules| rules.with_file_name(FILE))
    }

    /// Reads the list. Lines that are none are left out.
    pub fn parse(text: &str) -> Self {
        let rotation = |line: &str| {
            let mut words = line.split('\t').map(str::to_owned);
            let (secret, at) = (words.next()?, words.next()?.parse().ok()?);
            Some(Rotation { secret, at, how: words.next()?, id: words.next()? })
        };
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(rotation).collect())
    }

    /// The list as text.
    pub fn render(&self) -> String {
        let line = |one: &Rotation| format!("{}\t{}\t{}\t{}\n", one.secret, one.at, one.how, one.id);
        self.0.iter().fold(HEAD.to_owned(), |text, one| text + &line(one))
    }

    /// Adds that these secrets got the same value.
    pub fn add<'a>(&mut self, secrets: impl IntoIterator<Item = &'a Target>, at: Timestamp, how: &str, id: &str) {
        // Parts of a second are of no use to anybody.
        let at = Timestamp::from_second(at.as_second()).unwrap_or(at);
        let rotation =
            |secret: &Target| Rotation { secret: secret.to_string(), at, how: how.to_owned(), id: id.to_owned() };
        self.0.extend(secrets.into_iter().map(rotation));
        self.0.sort();
        self.0.dedup();
    }

    /// All, by secret and then by time.
    pub fn all(&self) -> &[Rotation] {
        &self.0
    }

    /// The last of each secret.
    pub fn last(&self) -> BTreeMap<&str, &Rotation> {
        let mut last: BTreeMap<&str, &Rotation> = BTreeMap::new();
        for one in &self.0 {
            let newest = last.entry(&one.secret).or_insert(one);
            if one.at >= newest.at {
                *newest = one;
            }
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read_as_it_was_written() {
        let of = |path: &str| Target::file(Path::new(path));
        let mut record = Record::default();
        record.add([&of("b.age"), &of("a b.age")], "2026-03-01T10:00:00.5Z".parse().unwrap(), "hex", "x1");
        record.add([&of("b.age")], "2026-01-01T10:00:00Z".parse().unwrap(), "set", "x0");
        let text = record.render();
        assert!(text.contains("\nb.age\t2026-03-01T10:00:00Z\thex\tx1\n"), "{text}");
        let read = Record::parse(&format!("{text}<<<<<<< ours\nnonsense\tx\ty\tz\n"));
        assert_eq!(read, record);
        assert_eq!(read.all().len(), 3);
        assert_eq!(read.last()["b.age"].id, "x1");
    }
}
