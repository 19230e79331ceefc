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

/// How a secret came to its file that was another one's before: it got no new value.
const IMPORT: &str = "import";

/// What a secret is on record for that somebody was let read: it got no new value.
const GRANT: &str = "grant:";

/// How a value is said to have been made of which git's history tells alone: it may be younger.
const IN_GIT: &str = "git";

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

impl Rotation {
    fn is_new_value(&self) -> bool {
        self.how != IMPORT && !self.how.starts_with(GRANT)
    }
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

    /// Adds that `new` has the value that `old` has: it is as old as that, by what is on record or else by `in_git`.
    pub fn import(&mut self, old: &Target, new: &Target, in_git: Option<Timestamp>, now: Timestamp) {
        let name = old.to_string();
        let before: Vec<_> = self.0.iter().filter(|one| one.secret == name && one.is_new_value()).cloned().collect();
        let id = |at: Timestamp| format!("{:08x}", at.as_second());
        if let (true, Some(at)) = (before.is_empty(), in_git) {
            self.add([new], at, IN_GIT, &id(at));
        }
        let secret = new.to_string();
        self.0.extend(before.into_iter().map(|one| Rotation { secret: secret.clone(), ..one }));
        self.add([new], now, IMPORT, &id(now));
    }

    /// Adds that `who` was let read these secrets.
    pub fn granted<'a>(&mut self, secrets: impl IntoIterator<Item = &'a Target>, who: &str, now: Timestamp) {
        self.add(
            secrets,
            now,
            &format!("{GRANT}{}", who.replace(['\t', '\n'], " ")),
            &format!("{:08x}", now.as_second()),
        );
    }

    /// Whether it is on record when a secret got its value.
    pub fn knows(&self, secret: &Target) -> bool {
        self.last().contains_key(secret.to_string().as_str())
    }

    /// All, by secret and then by time.
    pub fn all(&self) -> &[Rotation] {
        &self.0
    }

    /// The last new value of each secret.
    pub fn last(&self) -> BTreeMap<&str, &Rotation> {
        let mut last: BTreeMap<&str, &Rotation> = BTreeMap::new();
        for one in self.0.iter().filter(|one| one.is_new_value()) {
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

    #[test]
    fn what_is_in_another_file_is_as_old_as_it_was() {
        let of = |path: &str| Target::file(Path::new(path));
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (old, now) = (at("2026-01-01T10:00:00Z"), at("2026-05-01T10:00:00Z"));
        let mut record = Record::default();
        record.add([&of("a.age"), &of("copy.age")], old, "hex", "x0");
        record.import(&of("a.age"), &of("a.bin"), None, now);
        record.import(&of("b.age"), &of("b.bin"), Some(old), now);
        record.import(&of("c.age"), &of("c.bin"), None, now);
        let last = record.last();
        assert_eq!((last["a.bin"].at, last["a.bin"].id.as_str()), (old, "x0"));
        assert_eq!((last["b.bin"].at, last["b.bin"].how.as_str()), (old, "git"));
        assert!(!record.knows(&of("c.bin")) && record.all().iter().any(|one| one.secret == "c.bin"));
        record.granted([&of("b.bin")], "p620", "2026-06-01T10:00:00Z".parse().unwrap());
        assert_eq!(record.last()["b.bin"].how, "git");
        record.import(&of("a.bin"), &of("a.age"), None, now);
        assert_eq!(record.last()["a.age"].at, old);
        assert_eq!(Record::parse(&record.render()), record);
    }
}
