//! The files of a work tree that are not as the last commit has them.

use std::collections::BTreeMap;

use super::flake::FlakeRef;
use super::git::{git, split};
use crate::process::Cancel;

/// The texts that the last commit has of the flake's Nix files of which lines with `word` have changed since, by their paths in the
/// flake's directory; nothing where git cannot tell.
pub async fn changed_texts(flake: &FlakeRef, word: &str, cancel: &Cancel) -> BTreeMap<String, String> {
    let Some(root) = flake.root().filter(|_| flake.is_git()) else { return BTreeMap::new() };
    let words = ["diff", "HEAD", "--name-only", "--relative", "--no-renames", "--no-ext-diff", "-z", "-G", word];
    let diff = git(root, &words).args(["--", "*.nix"]);
    let told = diff.output(cancel).await.map(|output| output.stdout).unwrap_or_default();
    let mut texts = BTreeMap::new();
    for path in split(&told, 0).map(|path| String::from_utf8_lossy(path).into_owned()) {
        // A file that is new was not there before.
        if let Ok(output) = git(root, &["show", &format!("HEAD:./{path}")]).output(cancel).await {
            texts.insert(path, output.text());
        }
    }
    texts
}

/// The files of the flake's repository that git tracks and that differ from the last commit, relative to its top and in order;
/// nothing where git cannot tell.
pub async fn changed_files(flake: &FlakeRef, cancel: &Cancel) -> Vec<String> {
    let Some(root) = flake.root().filter(|_| flake.is_git()) else { return Vec::new() };
    let status = git(root, &["status", "--porcelain", "-z", "--untracked-files=no", "--no-renames"]);
    let told = status.output(cancel).await.map(|output| output.stdout).unwrap_or_default();
    let mut files: Vec<_> = split(&told, 0).filter_map(file_of).collect();
    files.sort();
    files
}

/// The file of an entry such as ` M flake.nix`.
fn file_of(entry: &[u8]) -> Option<String> {
    Some(String::from_utf8_lossy(entry.get(3..)?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_names_a_file() {
        assert_eq!(file_of(b" M hosts/a b/default.nix").as_deref(), Some("hosts/a b/default.nix"));
        assert_eq!(file_of(b"??"), None);
    }
}
