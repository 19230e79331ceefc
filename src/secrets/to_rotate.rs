//! Values that somebody could read who must not any more, until each is another one.
//!
//! To encrypt a file anew takes nothing back: git has the old one, and its reader the key. So those values are listed in a file
//! beside the rules, without any content, until they are replaced.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::error::SecretsError;
use super::rotation::Target;
use super::rules::Rules;
use super::transaction::{Change, Seen, read_file};

/// A value that has to be replaced.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Due {
    /// The secret's file, below the root.
    pub path: PathBuf,
    /// Who could read it.
    pub reader: String,
    /// The day when that was to end.
    pub since: String,
    /// The value, such as `database/password`, in a file that has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

impl fmt::Display for Due {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.value {
            Some(value) => write!(f, "{path}#{value}"),
            None => write!(f, "{path}"),
        }
    }
}

/// All of them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ToRotate(pub Vec<Due>);

/// What stands at the beginning of the file.
const HEAD: &str = "# Secrets whose values were readable by keys that were revoked: secret, reader, day. `hubctl secrets rotate`, `set` and `edit` take them out.\n";

impl ToRotate {
    /// Where the list is, beside these rules.
    pub fn file(rules: &Path) -> PathBuf {
        rules.with_file_name("secrets.to-rotate")
    }

    /// Where the list of a repository is: beside its rules of agenix, or at its root where it has none.
    pub fn place(root: &Path) -> PathBuf {
        Self::file(&Rules::find(root).unwrap_or_default())
    }

    /// The list of a repository; an empty one where there is none.
    ///
    /// # Errors
    ///
    /// When its file cannot be read.
    pub fn read(root: &Path) -> Result<Self, SecretsError> {
        Ok(Self::seen(root, &Self::place(root))?.0)
    }

    /// The change of the repository's list, where `edit` makes another of it.
    ///
    /// # Errors
    ///
    /// When its file cannot be read.
    pub fn changed(root: &Path, edit: impl FnOnce(&mut Self)) -> Result<Option<Change>, SecretsError> {
        let path = Self::place(root);
        let (old, seen) = Self::seen(root, &path)?;
        let mut new = old.clone();
        edit(&mut new);
        Ok((new != old).then(|| Change { path, seen, content: new.render().into_bytes().into() }))
    }

    fn seen(root: &Path, path: &Path) -> Result<(Self, Seen), SecretsError> {
        let read = read_file(&root.join(path));
        let read = read.map_err(|error| SecretsError::Unreadable { path: path.to_path_buf(), error })?;
        let Some((bytes, _)) = read else { return Ok((Self::default(), Seen::Nothing)) };
        Ok((Self::parse(&String::from_utf8_lossy(&bytes)), Seen::of(&bytes)))
    }

    /// Reads the list. Lines that are none are left out.
    pub fn parse(text: &str) -> Self {
        let due = |line: &str| {
            let mut words = line.split('\t');
            let (secret, reader, since) = (words.next()?, words.next()?, words.next()?);
            let (path, value) = match words.next() {
                // As all lines were written once, and as those are of which the first word alone does not tell.
                Some(value) => (secret, Some(value).filter(|value| !value.is_empty())),
                None => Target::split(secret),
            };
            let value = value.map(str::to_owned);
            (!path.is_empty()).then(|| Due {
                path: path.into(),
                reader: reader.to_owned(),
                since: since.to_owned(),
                value,
            })
        };
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(due).collect())
    }

    /// The list as text.
    pub fn render(&self) -> String {
        let line = |due: &Due| {
            let [secret, path, reader] = [&due.to_string(), &due.path.display().to_string(), &due.reader]
                .map(|text| text.replace(['\t', '\n'], " "));
            let value = due.value.as_deref().unwrap_or_default().replace(['\t', '\n'], " ");
            if Target::split(&secret) == (path.as_str(), due.value.is_some().then_some(value.as_str())) {
                format!("{secret}\t{reader}\t{}\n", due.since)
            } else {
                format!("{path}\t{reader}\t{}\t{value}\n", due.since)
            }
        };
        self.0.iter().fold(HEAD.to_owned(), |text, due| text + &line(due))
    }

    /// Adds what is not in it yet.
    pub fn add(&mut self, due: impl IntoIterator<Item = Due>) {
        for due in due {
            let same = |one: &Due| (&one.path, &one.value, &one.reader) == (&due.path, &due.value, &due.reader);
            if !self.0.iter().any(same) {
                self.0.push(due);
            }
        }
        self.0.sort();
    }

    /// Takes out what is said of a secret that has another value now.
    pub fn remove(&mut self, path: &Path) {
        self.0.retain(|due| due.path != path);
    }

    /// The same for one value of a file that has several.
    pub fn remove_value(&mut self, path: &Path, value: &str) {
        let value = value.replace(['\t', '\n'], " ");
        self.0.retain(|due| due.path != path || due.value.as_ref().is_some_and(|there| *there != value));
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
            value: None,
        };
        let mut list = ToRotate::default();
        list.add([due("b.age", "root@p620"), due("a b.age", "x\ty"), due("b.age", "root@p620")]);
        assert_eq!(list.0.len(), 2);
        let mut read = ToRotate::parse(&list.render());
        assert_eq!(read.0, [due("a b.age", "x y"), due("b.age", "root@p620")]);
        read.remove(Path::new("b.age"));
        assert_eq!(read.0.len(), 1);
    }

    #[test]
    fn values_of_one_file_are_replaced_one_by_one() {
        let due = |value: &str| Due {
            path: "web.yaml".into(),
            reader: "p620".to_owned(),
            since: "2026-01-31".to_owned(),
            value: Some(value.to_owned()),
        };
        let mut list = ToRotate::default();
        list.add([due("a/b"), due("c"), due("c")]);
        let mut read = ToRotate::parse(&list.render());
        assert_eq!(read.0, [due("a/b"), due("c")]);
        read.remove_value(Path::new("web.yaml"), "c");
        assert_eq!((read.0.as_slice(), read.0[0].to_string().as_str()), (&[due("a/b")][..], "web.yaml#a/b"));
        // Lines as they were written once, and names that are no address.
        assert_eq!(ToRotate::parse("web.yaml\tp620\t2026-01-31\ta/b\n"), read);
        let mut clever = ToRotate::default();
        let named =
            |path: &str, value: Option<&str>| Due { path: path.into(), value: value.map(str::to_owned), ..due("") };
        clever.add([named("a#b.yaml", None), named("a#b.yaml", Some("c")), named("d.age", Some("e"))]);
        assert_eq!(ToRotate::parse(&clever.render()), clever);
        let list = ToRotate::parse("a#b.age\tp620\t2026-01-31\n");
        assert_eq!((list.0[0].path.as_path(), &list.0[0].value), (Path::new("a#b.age"), &None));
    }
}
