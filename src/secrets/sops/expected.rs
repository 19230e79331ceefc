//! Which files the rules of SOPS want encrypted, and which of them are not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::file::SopsFile;
use super::format::Format;
use super::rules::{FILE, SopsRule, SopsRules};
use super::vault::may_be_sops;

/// What the names of files end in that lie beside secrets and are none, or none of SOPS.
const OPEN: [&str; 4] = ["nix", "md", "pub", "age"];

/// The rules of SOPS in a repository, each file of them read once.
#[derive(Debug)]
pub struct Expected {
    root: PathBuf,
    /// Rules that cannot be read want nothing.
    rules: BTreeMap<PathBuf, Option<SopsRules>>,
}

impl Expected {
    /// The rules in the repository at `root`, as they are in the work tree.
    pub fn of(root: &Path) -> Self {
        Self { root: root.to_path_buf(), rules: BTreeMap::new() }
    }

    /// Whether the file at `path` below the root has to be encrypted: the rule that is for it is one for secrets.
    pub fn wants(&mut self, path: &Path) -> bool {
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let is_open = path.extension().is_some_and(|extension| OPEN.iter().any(|open| extension == *open));
        if is_open || name == FILE || name.starts_with(".git") {
            return false;
        }
        let file = self.root.join(path);
        let Some(place) = SopsRules::find(&self.root, &file) else { return false };
        let rules = self.rules.entry(place.clone()).or_insert_with(|| SopsRules::read(&place).ok().flatten());
        let below = place.parent().and_then(|dir| file.strip_prefix(dir).ok()).unwrap_or(path);
        rules.as_ref().and_then(|rules| rules.rule_for(below)).is_some_and(SopsRule::is_for_secrets)
    }
}

/// How much of a file is encrypted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sealing {
    /// All that its rule says.
    Whole,
    /// It is one of SOPS, with a value in it that was not encrypted.
    Part,
    /// Nothing.
    None,
}

impl Sealing {
    /// How much of `content` is encrypted, which is in a file at `path`; no key is needed for that. What is empty has nothing to hide,
    /// and what is damaged is not plain.
    pub fn of(path: &Path, content: &[u8]) -> Self {
        match SopsFile::parse(Format::of(path), content) {
            _ if content.trim_ascii().is_empty() => Self::Whole,
            Ok(file) if file.has_open_values() => Self::Part,
            Err(_) if !may_be_sops(content) => Self::None,
            Ok(_) | Err(_) => Self::Whole,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_are_for_secrets_want_files_encrypted() {
        let dir = tempfile::tempdir().unwrap();
        let rules = "creation_rules:\n  - path_regex: ^secrets/\n  - path_regex: \\.ya?ml$\n  - age: \"\"\n";
        std::fs::write(dir.path().join(FILE), rules).unwrap();
        std::fs::create_dir_all(dir.path().join("inner/deep")).unwrap();
        std::fs::write(dir.path().join("inner").join(FILE), "creation_rules:\n  - path_regex: ^deep/.*\\.env$\n")
            .unwrap();
        let mut expected = Expected::of(dir.path());
        for path in ["secrets/a.yaml", "secrets/b", "secrets/c.txt", "inner/deep/a.env"] {
            assert!(expected.wants(Path::new(path)), "{path}");
        }
        // A rule for all files of a kind does not make secrets of them, nor one for all that there are.
        let others = ["ci.yaml", ".github/ci.yml", "a.json", "secrets/a.nix", "secrets/README.md", ".sops.yaml"];
        for path in others.into_iter().chain(["secrets/.gitkeep", "secrets/a.age", "inner/secrets/a.yaml"]) {
            assert!(!expected.wants(Path::new(path)), "{path}");
        }
        std::fs::write(dir.path().join(FILE), "creation_rules: [[").unwrap();
        assert!(!Expected::of(dir.path()).wants(Path::new("secrets/a.yaml")));
    }

    #[test]
    fn what_is_plain_is_told_from_what_is_damaged() {
        let of = |path: &str, text: &str| Sealing::of(Path::new(path), text.as_bytes());
        assert_eq!(of("a.yaml", "password: hunter2\n"), Sealing::None);
        assert_eq!(of("a.yaml", "not: [yaml"), Sealing::None);
        assert_eq!(of("a.txt", "hunter2"), Sealing::None);
        assert_eq!(of("a.txt", " \n"), Sealing::Whole);
        let sealed = "ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:str]";
        assert_eq!(of("a.yaml", &format!("a: {sealed}\nsops: [broken\n")), Sealing::Whole);
        let block =
            "sops:\n  age: []\n  lastmodified: \"2026-01-01T00:00:00Z\"\n  mac: x\n  unencrypted_suffix: _open\n";
        assert_eq!(of("a.yaml", &format!("a: {sealed}\nb_open: c\nd: \"\"\n{block}")), Sealing::Whole);
        assert_eq!(of("a.yaml", &format!("a: {sealed}\nb: hunter2\n{block}")), Sealing::Part);
        assert_eq!(of("a.yaml", &format!("a: {sealed}\nb: 1234\n{block}")), Sealing::Part);
    }
}
