//! Values that somebody could read who must not any more, until each is another one.
//!
//! To encrypt a file anew takes nothing back: git has the old one, and its reader the key. So those values are listed in a file
//! beside the rules, without any content, until they are replaced.

use std::path::{Path, PathBuf};

use serde::Serialize;

/// A value that has to be replaced.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Due {
    /// The secret's file, below the root.
    pub path: PathBuf,
    /// Who could read it.
    pub reader: String,
    /// The day when that was to end.
    pub since: String,
}

/// All of them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ToRotate(pub Vec<Due>);

/// What stands at the beginning of the file.
const HEAD: &str = "# Secrets whose values were readable by keys that were revoked: path, reader, day. `hubctl secrets set` and `edit` take them out.\n";

impl ToRotate {
    /// Where the list is, beside these rules.
    pub fn file(rules: &Path) -> PathBuf {
        rules.with_file_name("secrets.to-rotate")
    }

    /// Reads the list. Lines that are none are left out.
    pub fn parse(text: &str) -> Self {
        let due = |line: &str| {
            let mut words = line.split('\t');
            let (path, reader, since) = (words.next()?, words.next()?, words.next()?);
            Some(Due { path: path.into(), reader: reader.to_owned(), since: since.to_owned() })
        };
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(due).collect())
    }

    /// The list as text.
    pub fn render(&self) -> String {
        let line =
            |due: &Due| format!("{}\t{}\t{}\n", due.path.display(), due.reader.replace(['\t', '\n'], " "), due.since);
        self.0.iter().fold(HEAD.to_owned(), |text, due| text + &line(due))
    }

    /// Adds what is not in it yet.
    pub fn add(&mut self, due: impl IntoIterator<Item = Due>) {
        for due in due {
            if !self.0.iter().any(|one| (&one.path, &one.reader) == (&due.path, &due.reader)) {
                self.0.push(due);
            }
        }
        self.0.sort();
    }

    /// Takes out what is said of a secret that has another value now.
    pub fn remove(&mut self, path: &Path) {
        self.0.retain(|due| due.path != path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read_as_it_was_written() {
        let due = |path: &str, reader: &str| Due {
            path: path.into(),
            reader: reader.to_owned(),
            since: "2026-01-31".to_owned(),
        };
        let mut list = ToRotate::default();
        list.add([due("b.age", "root@p620"), due("a b.age", "x\ty"), due("b.age", "root@p620")]);
        assert_eq!(list.0.len(), 2);
        let mut read = ToRotate::parse(&list.render());
        assert_eq!(read.0, [due("a b.age", "x y"), due("b.age", "root@p620")]);
        read.remove(Path::new("b.age"));
        assert_eq!(read.0.len(), 1);
    }
}
