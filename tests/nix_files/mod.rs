//! Nix files for the tests of what reads them: written side by side, and changed at random in the same way in each run.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

/// Files in a directory of their own, named by their place.
pub(crate) struct Files {
    pub(crate) dir: TempDir,
    pub(crate) names: Vec<PathBuf>,
}

impl Files {
    pub(crate) fn new(texts: &[String]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let names: Vec<_> = (0..texts.len()).map(|at| PathBuf::from(format!("{at:05}.nix"))).collect();
        for (name, text) in names.iter().zip(texts) {
            fs::write(dir.path().join(name), text).unwrap();
        }
        Self { dir, names }
    }
}

/// A sequence of numbers that is the same in each run.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}

/// The words of a text, each with what ends it.
pub(crate) fn words(text: &str) -> Vec<&str> {
    text.split_inclusive([' ', '\n', ';', '(', ')', '{', '}', '"']).collect()
}

/// A text with one of its words taken out, doubled, exchanged with its neighbour, or with one of `others` put in.
pub(crate) fn changed(text: &str, others: &[&str], numbers: &mut Numbers) -> String {
    let mut words = words(text);
    let at = numbers.below(words.len());
    match numbers.below(4) {
        0 => drop(words.remove(at)),
        1 => words.insert(at, words[at]),
        2 => {
            let next = (at + 1) % words.len();
            words.swap(at, next);
        }
        _ => words.insert(at, others[numbers.below(others.len())]),
    }
    words.concat()
}
