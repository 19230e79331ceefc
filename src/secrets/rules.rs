//! Which secrets there are and who may read them: `secrets.nix`, evaluated once and looked at hard.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::age::Recipient;
use super::error::SecretsError;
use super::transaction::read_file;
use crate::error::nearest;
use crate::files;
use crate::lint::deeper_than;
use crate::process::{Cancel, Cmd};

/// What Nix is asked.
const QUESTION: &str = include_str!("rules.nix");

/// How long the evaluation may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// How large a file of rules, and its answer, may be, in bytes.
const MAX_RULES: usize = 8 * 1024 * 1024;

/// How deep the rules may be nested, by the measure of [`deeper_than`]: what reads them to change them does so level by level.
const DEEPEST: usize = 500;

/// How much memory the evaluation may take, in bytes, as the collector of Nix reads it.
const MAX_HEAP: &str = "1073741824";

type Result<T, E = SecretsError> = std::result::Result<T, E>;

/// The rules of a repository.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Their file, below the root.
    pub file: PathBuf,
    /// The rules, by name.
    pub list: Vec<Rule>,
}

/// Who may read a secret.
#[derive(Clone, Debug)]
pub struct Rule {
    /// As the file of rules names it: a path below that file's directory.
    pub name: String,
    /// The secret's file, below the root.
    pub path: PathBuf,
    /// Whom it is encrypted to.
    pub recipients: Vec<Recipient>,
    /// Whether it is armored.
    pub armor: bool,
}

/// A rule as Nix tells it.
#[derive(Debug, Deserialize, Serialize)]
struct Told {
    #[serde(default)]
    line: u32,
    keys: serde_json::Value,
    armor: serde_json::Value,
}

/// What Nix answers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Rules(BTreeMap<String, Told>),
    /// The type of something else.
    Type(String),
}

impl Rules {
    /// The file of rules of a repository, below its root.
    pub fn find(root: &Path) -> Result<PathBuf> {
        let there = ["secrets.nix", "secrets/secrets.nix"].map(|file| root.join(file).exists().then_some(file));
        match there {
            [Some(_), Some(_)] => Err(SecretsError::TwoRules(root.to_path_buf())),
            [Some(file), None] | [None, Some(file)] => Ok(file.into()),
            [None, None] => Err(SecretsError::NoRules(root.to_path_buf())),
        }
    }

    /// Reads the rules in `file`, which is below `root`, and whose names are paths below its own directory. The answer of a file that
    /// reads no other is kept in `cache`.
    pub async fn read(root: &Path, file: &Path, cache: Option<&Path>, cancel: &Cancel) -> Result<Self> {
        Self::read_for(root, file, file.parent().unwrap_or(Path::new("")), cache, cancel).await
    }

    /// As [`Rules::read`], of rules whose names are paths below `dir`, which is below `root` too.
    pub async fn read_for(root: &Path, file: &Path, dir: &Path, cache: Option<&Path>, cancel: &Cancel) -> Result<Self> {
        let unreadable = |error| SecretsError::Unreadable { path: file.to_path_buf(), error };
        let text = read_file(&root.join(file)).map_err(unreadable)?;
        let Some((text, _)) = text else { return Err(unreadable(std::io::ErrorKind::NotFound.into())) };
        let wrong = |what: String| SecretsError::Rules { file: file.to_path_buf(), line: None, what };
        if text.len() > MAX_RULES {
            return Err(wrong("it is larger than 8 MiB, which no list of secrets is".to_owned()));
        }
        let text = String::from_utf8(text).map_err(|_| wrong("it is no text".to_owned()))?;
        if deeper_than(DEEPEST, &text).is_some() {
            return Err(wrong("it is nested too deeply".to_owned()));
        }
        let kept = cache
            .filter(|_| stands_alone(&text))
            .map(|kept| kept.join(format!("{}.json", blake3::hash(text.as_bytes()))));
        if let Some(answer) = kept.as_deref().and_then(|kept| fs::read_to_string(kept).ok())
            && let Ok(rules) = Self::of_answer(root, file, dir, &answer)
        {
            return Ok(rules);
        }
        let answer = evaluate(root, file, cancel).await?;
        let rules = Self::of_answer(root, file, dir, &answer)?;
        if let Some(kept) = kept {
            // What is not kept is asked again.
            let _ = files::keep(&kept, answer.as_bytes());
        }
        Ok(rules)
    }

    fn of_answer(root: &Path, file: &Path, dir: &Path, answer: &str) -> Result<Self> {
        let wrong = |line: u32, what: String| SecretsError::Rules {
            file: file.to_path_buf(),
            line: (line > 0).then_some(line),
            what,
        };
        if answer.len() > MAX_RULES {
            return Err(wrong(0, "what it comes to is larger than 8 MiB".to_owned()));
        }
        let told = match serde_json::from_str(answer) {
            Ok(Answer::Rules(told)) => told,
            Ok(Answer::Type(kind)) => return Err(wrong(0, format!("it is a {kind}, and should be a set of secrets"))),
            Err(_) => return Err(wrong(0, "it is not a set of secrets with their `publicKeys`".to_owned())),
        };
        let mut list = Vec::with_capacity(told.len());
        for (name, told) in told {
            let line = told.line;
            let path = checked(root, dir, &name).map_err(|what| wrong(line, format!("{name:?} {what}")))?;
            let (recipients, armor) = told.read().map_err(|what| wrong(line, format!("{name:?}: {what}")))?;
            list.push(Rule { name, path, recipients, armor });
        }
        Ok(Self { file: file.to_path_buf(), list })
    }

    /// The rule that `word` names: by its name, by its file below the root, or by the end of either without `.age`.
    pub fn get(&self, word: &str) -> Result<&Rule> {
        let wanted = Path::new(word);
        let is = |rule: &&Rule| rule.name == word || rule.path == wanted;
        if let Some(rule) = self.list.iter().find(is) {
            return Ok(rule);
        }
        let ends = |rule: &&Rule| rule.path.ends_with(wanted) || rule.path.with_extension("").ends_with(wanted);
        let mut found = self.list.iter().filter(ends);
        match (found.next(), found.next()) {
            (Some(rule), None) => Ok(rule),
            (Some(one), Some(other)) => Err(SecretsError::NoRule {
                word: word.to_owned(),
                nearest: Some(format!("{}` or `{}", one.name, other.name)),
            }),
            _ => {
                let names = self.list.iter().map(|rule| rule.name.as_str());
                Err(SecretsError::NoRule { word: word.to_owned(), nearest: nearest(word, names).map(str::to_owned) })
            }
        }
    }

    /// The rules that `words` name, each a name or a glob; all of them where there is no word.
    pub fn select(&self, words: &[String]) -> Result<Vec<&Rule>> {
        if words.is_empty() {
            return Ok(self.list.iter().collect());
        }
        let mut chosen: Vec<&Rule> = Vec::new();
        for word in words {
            if word.contains(['*', '?', '[', '{']) {
                let no_rule = || SecretsError::NoRule { word: word.clone(), nearest: None };
                let glob = globset::Glob::new(word).map_err(|_| no_rule())?.compile_matcher();
                let before = chosen.len();
                chosen.extend(self.list.iter().filter(|rule| glob.is_match(&rule.path) || glob.is_match(&rule.name)));
                if chosen.len() == before {
                    return Err(no_rule());
                }
            } else {
                chosen.push(self.get(word)?);
            }
        }
        chosen.sort_by(|one, other| one.name.cmp(&other.name));
        chosen.dedup_by(|one, other| one.name == other.name);
        Ok(chosen)
    }
}

impl Told {
    fn read(self) -> std::result::Result<(Vec<Recipient>, bool), String> {
        let armor = self.armor.as_bool().ok_or("`armor` is neither true nor false")?;
        let keys = match self.keys {
            serde_json::Value::Array(keys) if keys.is_empty() => {
                return Err("`publicKeys` is empty, so that nobody could read it".to_owned());
            }
            serde_json::Value::Array(keys) => keys,
            serde_json::Value::Null => return Err("it has no `publicKeys`".to_owned()),
            _ => return Err("`publicKeys` is no list".to_owned()),
        };
        let mut recipients: Vec<Recipient> = Vec::with_capacity(keys.len());
        for key in keys {
            let key = key.as_str().ok_or("one of its `publicKeys` is no string")?;
            let key: Recipient = key.parse().map_err(|error: super::age::AgeError| error.to_string())?;
            if !recipients.contains(&key) {
                recipients.push(key);
            }
        }
        Ok((recipients, armor))
    }
}

/// The file that a rule names, below the root: never outside of it, nor by way of a link.
fn checked(root: &Path, dir: &Path, name: &str) -> std::result::Result<PathBuf, &'static str> {
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err("is no name of a file");
    }
    let relative = Path::new(name);
    let is_plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
    // What `components` smooths out would be another name to Nix and to git.
    if !is_plain || relative.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/") != name {
        return Err("is no path below the directory of the rules");
    }
    let path = dir.join(relative);
    let mut parent = root.to_path_buf();
    for part in path.parent().into_iter().flat_map(Path::components) {
        parent.push(part);
        if fs::symlink_metadata(&parent).is_ok_and(|about| about.file_type().is_symlink()) {
            return Err("leads through a link");
        }
    }
    Ok(path)
}

/// Asks Nix for the rules: without network, without builds, and without a look at files outside of the repository.
async fn evaluate(root: &Path, file: &Path, cancel: &Cancel) -> Result<String> {
    let options = [
        ("restrict-eval", "true"),
        ("allow-import-from-derivation", "false"),
        ("substituters", ""),
        ("allowed-uris", ""),
        ("allow-unsafe-native-code-during-evaluation", "false"),
    ];
    let cmd = Cmd::new("nix-instantiate")
        .args(["--eval", "--strict", "--json"])
        .args(options.iter().flat_map(|(name, value)| ["--option", name, value]))
        .arg("-I")
        .arg(format!("hub={}", root.display()))
        .args(["--argstr", "file"])
        .arg(root.join(file))
        .args(["-E", QUESTION])
        .env("GC_MAXIMUM_HEAP_SIZE", MAX_HEAP)
        .ends_by_itself()
        .deadline(DEADLINE);
    let output = cmd.output(cancel).await;
    output.map(|output| output.text()).map_err(|failure| SecretsError::Evaluation { file: file.to_path_buf(), failure })
}

/// Whether a file of rules reads nothing but itself, so that its text alone says what it comes to. One that might is not taken
/// for one: whatever can lead elsewhere has one of these words or signs in it.
fn stands_alone(text: &str) -> bool {
    use rnix::SyntaxKind as Kind;
    let leads_elsewhere = |word: &str| {
        ["builtins", "import", "scopedImport"].contains(&word) || word.starts_with("__") || word.starts_with("fetch")
    };
    rnix::tokenize(text).all(|(kind, word)| match kind {
        Kind::TOKEN_IDENT => !leads_elsewhere(word),
        Kind::TOKEN_PATH_ABS | Kind::TOKEN_PATH_REL | Kind::TOKEN_PATH_HOME | Kind::TOKEN_PATH_SEARCH => false,
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN";

    fn rules(names: &[&str]) -> Result<Rules> {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc", dir.path().join("link")).unwrap();
        let one = |name: &&str| ((*name).to_owned(), serde_json::json!({ "line": 3, "keys": [KEY], "armor": false }));
        let answer: BTreeMap<_, _> = names.iter().map(one).collect();
        Rules::of_answer(dir.path(), Path::new("secrets.nix"), Path::new(""), &serde_json::to_string(&answer).unwrap())
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused_with_their_line() {
        for name in ["../x.age", "/etc/x.age", "a/../x.age", "./x.age", "a//x.age", "a/", "", "a\nb.age", "link/x.age"]
        {
            let error = rules(&[name]).unwrap_err().to_string();
            assert!(error.starts_with("secrets.nix:3: "), "{name:?}: {error}");
        }
        assert_eq!(rules(&["secrets/a b.age"]).unwrap().list[0].path, Path::new("secrets/a b.age"));
    }

    #[test]
    fn a_rule_is_found_by_what_tells_it_from_others() {
        let rules = rules(&["secrets/web.age", "secrets/db/web.age", "top.age"]).unwrap();
        let get = |word: &str| rules.get(word).map(|rule| rule.name.clone()).map_err(|error| error.hints().join(""));
        assert_eq!(get("secrets/web.age").unwrap(), "secrets/web.age");
        assert_eq!(
            (get("top").unwrap(), get("db/web").unwrap()),
            ("top.age".to_owned(), "secrets/db/web.age".to_owned())
        );
        assert!(get("web").unwrap_err().contains("secrets/db/web.age` or `secrets/web.age"));
        assert!(get("secrets/wep.age").unwrap_err().contains("did you mean `secrets/web.age`"));
        let names = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
            rules.select(&words).map(|rules| rules.len())
        };
        assert_eq!(
            (names(&[]).unwrap(), names(&["secrets/*"]).unwrap(), names(&["top", "top.age"]).unwrap()),
            (3, 2, 1)
        );
        assert!(names(&["nothing*"]).is_err());
    }

    #[test]
    fn what_is_no_rule_is_told() {
        let none = Path::new("");
        let read = |answer: &str| Rules::of_answer(Path::new("/"), Path::new("secrets.nix"), none, answer);
        let of = |answer: &str| read(answer).unwrap_err().to_string();
        assert!(of("\"lambda\"").contains("it is a lambda"));
        assert!(of("3").contains("not a set of secrets"));
        for (keys, expected) in [
            ("null", "has no `publicKeys`"),
            ("[]", "is empty"),
            ("\"x\"", "no list"),
            ("[1]", "no string"),
            ("[\"x\"]", "no recipient of age"),
        ] {
            let error = of(&format!(r#"{{"a.age": {{"line": 7, "keys": {keys}, "armor": false}}}}"#));
            assert!(error.starts_with("secrets.nix:7: \"a.age\"") && error.contains(expected), "{error}");
        }
    }

    #[test]
    fn only_what_reads_nothing_else_is_remembered() {
        assert!(stands_alone("let a = \"x\"; in { \"b.age\".publicKeys = [ a ] ++ [ a ]; }"));
        for text in [
            "import ./x.nix",
            "builtins.getEnv \"X\"",
            "{ a = ./b; }",
            "<nixpkgs>",
            "let i = __readFile; in i",
            "\"${import x}\"",
            "''${ ./x }''",
            "{ a = ~/x; }",
            "/etc/${x}",
            "a.${builtins.x}",
        ] {
            assert!(!stands_alone(text), "{text}");
        }
    }
}
