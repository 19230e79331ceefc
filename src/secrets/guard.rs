//! Secrets that are about to get into git as they are: plaintext beside a secret, or in its place, and private keys.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::age::Header;
use super::past::contents;
use super::rules::Rules;
use super::sops::{Expected, Sealing};
use crate::process::{Cancel, Cmd, Failure};

/// How long git may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// What private keys begin with.
const KEYS: [&str; 3] = ["AGE-SECRET-KEY-1", "-----BEGIN OPENSSH PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY-----"];

/// A file that should not be in git as it is.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Leak {
    /// The file, below the root.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: LeakKind,
}

/// What is wrong with a file that is in git.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeakKind {
    /// It is in a secret's place, and is not encrypted.
    NotEncrypted,
    /// It is encrypted but for values that somebody wrote into it.
    PartlyEncrypted,
    /// Its name says that it is what a secret is when it is not encrypted.
    Plaintext,
    /// It has a private key in it.
    PrivateKey,
}

/// Looks at the files that are staged for the next commit, or at all that git knows.
pub async fn leaks(root: &Path, rules: &Rules, staged: bool, cancel: &Cancel) -> Result<Vec<Leak>, Failure> {
    let git = |words: &[&str]| {
        Cmd::new("git").ends_by_itself().arg("-C").arg(root).args(words).env("LC_ALL", "C").deadline(DEADLINE)
    };
    let words: &[&str] = if staged {
        &["diff", "--cached", "--name-only", "--relative", "-z", "--diff-filter=d"]
    } else {
        &["ls-files", "--cached", "-z"]
    };
    let listed = git(words).output(cancel).await?.stdout;
    let listed = String::from_utf8_lossy(&listed).into_owned();
    let mut places = Places { rules, expected: Expected::of(root) };
    let paths: Vec<_> = listed.split('\0').filter(|path| !path.is_empty()).map(Path::new).collect();
    let named = paths.iter().filter(|path| is_plaintext(path, rules));
    let mut found: Vec<_> = named.map(|path| Leak { path: path.to_path_buf(), what: LeakKind::Plaintext }).collect();
    // Of a name with the end of a line in it git cannot be asked in this way.
    let read: Vec<_> = paths
        .iter()
        .filter(|path| (staged || places.of(path).is_some()) && !path.to_string_lossy().contains('\n'))
        .collect();
    let asked = read.iter().fold(String::new(), |text, path| text + ":./" + &path.to_string_lossy() + "\n");
    let objects = git(&["cat-file", "--batch=%(objectname) %(objecttype) %(objectsize)"]).stdin(asked.into_bytes());
    let objects = objects.output(cancel).await?.stdout;
    let objects = contents(&objects);
    // An answer that is missing would have all others be taken for those of the next.
    if objects.len() == read.len() {
        for (path, (_, content)) in read.iter().zip(objects) {
            let what = kind_of(path, content, places.of(path));
            found.extend(what.map(|what| Leak { path: path.to_path_buf(), what }));
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Looks at files that are about to get into git, by their paths below the root.
pub fn leaks_among(root: &Path, files: &BTreeMap<String, Vec<u8>>, rules: &Rules) -> Vec<Leak> {
    let (mut found, mut places) = (Vec::new(), Places { rules, expected: Expected::of(root) });
    for (path, content) in files {
        let path = Path::new(path);
        let named = is_plaintext(path, rules).then_some(LeakKind::Plaintext);
        let kinds = named.into_iter().chain(kind_of(path, content, places.of(path)));
        found.extend(kinds.map(|what| Leak { path: path.to_path_buf(), what }));
    }
    found.sort();
    found
}

/// Which rules want a file encrypted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Of {
    Agenix,
    Sops,
}

/// What tells of a file by its path whether it is a secret.
struct Places<'a> {
    rules: &'a Rules,
    expected: Expected,
}

impl Places<'_> {
    fn of(&mut self, path: &Path) -> Option<Of> {
        if self.rules.list.iter().any(|rule| rule.path == path) {
            return Some(Of::Agenix);
        }
        self.expected.wants(path).then_some(Of::Sops)
    }
}

fn kind_of(path: &Path, content: &[u8], of: Option<Of>) -> Option<LeakKind> {
    let sealing = match of {
        Some(Of::Agenix) if Header::of(content).is_err() => Sealing::None,
        Some(Of::Agenix) | None => Sealing::Whole,
        Some(Of::Sops) => Sealing::of(path, content),
    };
    match (of, sealing) {
        (_, Sealing::None) => return Some(LeakKind::NotEncrypted),
        (_, Sealing::Part) => return Some(LeakKind::PartlyEncrypted),
        (Some(_), Sealing::Whole) => return None,
        (None, Sealing::Whole) => {}
    }
    let begins = |line: &str| KEYS.iter().any(|key| line.trim_start_matches(['"', '\'', ' ', '\t']).starts_with(key));
    let text = String::from_utf8_lossy(content);
    // The word alone may stand in a document; a key goes on behind it.
    let is_key = |line: &str| begins(line) && (line.contains("-----") || line.trim().len() > 60);
    text.lines().any(is_key).then_some(LeakKind::PrivateKey)
}

/// Whether a file's name says that it is a secret's content: `x`, `x.txt`, `x.plain` or `x.dec` for the secret `x.age`, `x.dec.EXT`, and
/// `.env`.
fn is_plaintext(path: &Path, rules: &Rules) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    if name == ".env" || name.contains(".dec.") {
        return true;
    }
    rules.list.iter().any(|rule| {
        let stem = rule.path.with_extension("");
        let with = |ending: &str| Path::new(&format!("{}.{ending}", stem.display())) == path;
        stem == path && rule.path != path || ["txt", "plain", "dec"].into_iter().any(with)
    })
}

impl LeakKind {
    /// What is wrong, in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::NotEncrypted => "a secret that is not encrypted",
            Self::PartlyEncrypted => "a secret of which a value is not encrypted",
            Self::Plaintext => "named as a secret's plaintext",
            Self::PrivateKey => "has a private key in it",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_looked_at_by_their_names_and_by_what_they_hold() {
        let rule = |path: &str| super::super::rules::Rule {
            name: path.to_owned(),
            path: path.into(),
            recipients: Vec::new(),
            armor: false,
        };
        let rules = Rules { file: "secrets.nix".into(), list: vec![rule("secrets/a.age"), rule("secrets/b.age")] };
        let key = format!("AGE-SECRET-KEY-1{}", "Q".repeat(58));
        let files = [("secrets/a.age", "plain"), ("secrets/b", "x"), ("key.txt", key.as_str()), ("a.nix", "{ }")];
        let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).into();
        let root = tempfile::tempdir().unwrap();
        let found: Vec<_> =
            leaks_among(root.path(), &files, &rules).into_iter().map(|leak| (leak.path, leak.what)).collect();
        let expected = [
            ("key.txt", LeakKind::PrivateKey),
            ("secrets/a.age", LeakKind::NotEncrypted),
            ("secrets/b", LeakKind::Plaintext),
        ];
        assert_eq!(found, expected.map(|(path, what)| (PathBuf::from(path), what)));
    }

    #[test]
    fn a_private_key_is_told_from_a_word_about_one() {
        assert_eq!(
            kind_of(Path::new("x"), b"key = \"x\"\n-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", None),
            Some(LeakKind::PrivateKey)
        );
        let key = format!("AGE-SECRET-KEY-1{}", "Q".repeat(58));
        assert_eq!(kind_of(Path::new("x"), key.as_bytes(), None), Some(LeakKind::PrivateKey));
        assert_eq!(kind_of(Path::new("x"), b"keys begin with `AGE-SECRET-KEY-1`\nAGE-SECRET-KEY-1\n", None), None);
        let plain = |of| kind_of(Path::new("x"), b"plain", of);
        assert_eq!([Some(Of::Agenix), Some(Of::Sops)].map(plain), [Some(LeakKind::NotEncrypted); 2]);
        assert_eq!(plain(None), None);
    }
}
