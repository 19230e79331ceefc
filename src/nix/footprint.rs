//! What of the source an evaluation depends on, and when its result holds for another source.
//!
//! Opened files are seen by the kernel; what opening cannot show makes the footprint the whole tree. Every "cannot know" is on
//! the side of evaluating again.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What of the source a result depends on.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Footprint {
    /// The shape of the tree, and the contents of these files, by their hashes.
    Files(BTreeMap<String, String>),
    /// All of it, with its revision and time.
    Everything(Blind),
}

/// Why a footprint is everything.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blind {
    /// The derivation's closure holds the source, or names it.
    HoldsSource,
    /// A derivation that takes the source was built, and evaluation may have read what it made.
    BuiltFrom,
    /// A file asks for facts of the source itself, such as its revision.
    AsksForSource {
        /// The file.
        file: String,
        /// The word by which it asks.
        word: String,
    },
    /// More files were opened than the kernel's queue holds.
    Overflow,
    /// `flake.nix` was not seen opened: this Nix reads in another way.
    NotSeen,
    /// The source could not be watched.
    NotWatched(String),
    /// Inputs that are part of the tree itself are read elsewhere.
    LocalInputs,
    /// What this version of Nix reads without opening it is not known.
    UntriedNix,
}

/// A result's conditions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Conditions {
    /// What tells the source that was evaluated from any other: its content, revision and time.
    pub identity: String,
    /// Whether the source had a revision.
    pub revision: bool,
    /// The shape of the tree.
    pub shape: String,
    /// What of it was read.
    pub footprint: Footprint,
}

/// Why a result does not hold any more.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Changed {
    /// Anything in the source changed, and the result may depend on all of it.
    Source(Blind),
    /// The source has a revision now, or has none any more, which code of the flake's inputs may ask for.
    Revision,
    /// Files or directories came, went, or changed their type.
    Shape,
    /// A file that was read changed.
    File(String),
}

/// The source that a result is wanted for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// What tells it from any other.
    pub identity: &'a str,
    /// Whether it has a revision, where results may differ by that alone.
    pub revision: Option<bool>,
}

impl Conditions {
    /// Whether this result and another one were made from the same files, the one with a revision and the other without. Where
    /// they are equal as well, they show that the code of the flake's inputs, in which nobody looks for words that ask, does
    /// not ask for it.
    pub fn differs_in_revision_alone(&self, other: &Self) -> bool {
        let same = self.shape == other.shape && self.footprint == other.footprint;
        same && self.revision != other.revision && matches!(self.footprint, Footprint::Files(_))
    }
}

/// Whether a result that was made under `made` holds for the source `wanted` with this `shape`, whose files have the hashes
/// that `hash` tells. Settings and versions are compared before.
pub fn holds(
    made: &Conditions,
    wanted: Wanted<'_>,
    shape: impl FnOnce() -> String,
    hash: impl Fn(&str) -> Option<String>,
) -> Result<(), Changed> {
    if made.identity == wanted.identity {
        return Ok(());
    }
    let files = match &made.footprint {
        Footprint::Everything(blind) => return Err(Changed::Source(blind.clone())),
        Footprint::Files(files) => files,
    };
    if wanted.revision.is_some_and(|revision| revision != made.revision) {
        return Err(Changed::Revision);
    }
    if made.shape != shape() {
        return Err(Changed::Shape);
    }
    match files.iter().find(|(file, known)| hash(file).as_ref() != Some(*known)) {
        Some((file, _)) => Err(Changed::File(file.clone())),
        None => Ok(()),
    }
}

/// The facts of a source that an evaluation can ask for beside its files.
const FACTS: &[&str] = &[
    "rev",
    "shortRev",
    "dirtyRev",
    "dirtyShortRev",
    "revCount",
    "lastModified",
    "lastModifiedDate",
    "narHash",
    "sourceInfo",
    "outPath",
    "submodules",
];

/// Ways of taking the source's path for a text, which leave no trace of it where the text is hashed.
const PATHS_AS_TEXT: &[&str] = &[
    "toString ./",
    "toString ../",
    "toString self",
    "${self",
    "unsafeDiscardStringContext",
    "__curPos",
    "unsafeGetAttrPos",
];

/// Functions that tell which facts `self` has, or what they are, without a word of any of them.
const LISTS: &[&str] = &[
    "attrNames",
    "attrValues",
    "attrsToList",
    "filterAttrs",
    "foldlAttrs",
    "intersectAttrs",
    "mapAttrs",
    "mapAttrsToList",
    "removeAttrs",
    "toJSON",
    "toXML",
];

/// The first fact of the source that a file asks for, as far as its words can tell: any of them that is not just defined, as
/// in `rev = "…"`. Any file may be imported, whatever its name; only one that is JSON has no code that could ask.
pub(super) fn asked_fact(content: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(content);
    let asked = FACTS.iter().copied().find(|fact| uses_word(&text, fact));
    let hashed = || {
        let as_text = PATHS_AS_TEXT.iter().any(|way| text.contains(way));
        (as_text && uses_word(&text, "hashString")).then_some("hashString")
    };
    asked
        .or_else(hashed)
        .or_else(|| lists_self(&text))
        .filter(|_| serde_json::from_slice::<serde::de::IgnoredAny>(content).is_err())
}

/// The function by which a text may list what `self` has.
pub(super) fn lists_self(text: &str) -> Option<&'static str> {
    LISTS.iter().copied().find(|list| uses_word(text, list)).filter(|_| takes_self(text))
}

/// Whether `self` is used as a value, as all of it: not for one of its attributes nor its path, nor as a name that a function
/// takes or that is inherited.
fn takes_self(text: &str) -> bool {
    whole_words(text, "self").any(|(before, after)| {
        let (before, rest) = (before.trim_end(), after.trim_start());
        let is_part = after.starts_with('.') || rest.starts_with("or ") || rest.starts_with('+');
        let is_taken = rest.starts_with([',', ':', '@', '}']) || before.ends_with([',', '@']);
        let is_defined = rest.starts_with('=') && !rest.starts_with("==");
        let statement = before.rsplit([';', '{', '=']).next().unwrap_or_default().trim_start();
        let is_inherited = statement.strip_prefix("inherit").is_some_and(|from| !is_within(from));
        !(is_part || is_taken || is_defined || is_inherited)
    })
}

/// Whether a text ends in a parenthesis that it opens, with something in it.
fn is_within(text: &str) -> bool {
    let open = text.rfind('(').filter(|open| !text[*open..].contains(')'));
    open.is_some_and(|open| !text[open + 1..].trim().is_empty())
}

/// What is before and after each place where a text has a word as a whole.
fn whole_words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '\'');
    let places = text.match_indices(word).map(move |(at, _)| (&text[..at], &text[at + word.len()..]));
    places.filter(move |(before, after)| !before.ends_with(fits) && !after.starts_with(fits))
}

/// Whether a word is used, other than as the name of a definition.
fn uses_word(text: &str, word: &str) -> bool {
    whole_words(text, word).any(|(before, after)| {
        let rest = after.trim_start();
        let defined = rest.starts_with('=') && !rest.starts_with("==") && !before.trim_end().ends_with('.');
        !defined
    })
}

impl fmt::Display for Blind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HoldsSource => f.write_str("its closure holds or names the source itself"),
            Self::BuiltFrom => {
                f.write_str("a derivation that takes all of the source was built, and may have been read")
            }
            Self::AsksForSource { file, word } => write!(f, "{file} asks for the source's `{word}`"),
            Self::Overflow => f.write_str("more files were opened than the kernel could tell"),
            Self::NotSeen => f.write_str("what it read was not seen"),
            Self::NotWatched(why) => write!(f, "the source could not be watched: {why}"),
            Self::LocalInputs => f.write_str("the flake has inputs inside itself"),
            Self::UntriedNix => f.write_str("it is not known what this version of Nix reads unseen"),
        }
    }
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(blind) => write!(f, "the source changed, and {blind}"),
            Self::Revision => {
                f.write_str("the source has a revision now, or none any more, and the flake's inputs may ask for it")
            }
            Self::Shape => f.write_str("files came, went, or changed their type"),
            Self::File(file) => write!(f, "{file} changed, which was read"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    fn conditions(footprint: &Footprint, revision: bool) -> Conditions {
        Conditions { identity: "s".into(), revision, shape: "1".into(), footprint: footprint.clone() }
    }

    #[test]
    fn the_table_of_what_holds() {
        let read = Footprint::Files(files(&[("flake.nix", "1"), ("hosts/a.nix", "2")]));
        let all = Footprint::Everything(Blind::HoldsSource);
        let tree = [("flake.nix", "1"), ("hosts/a.nix", "2"), ("hosts/b.nix", "3")];
        let other = files(&[("flake.nix", "1"), ("hosts/a.nix", "2"), ("hosts/b.nix", "9")]);
        let edited = files(&[("flake.nix", "1"), ("hosts/a.nix", "9")]);
        let table = [
            // what was read, same source, same shape, the files now, what has changed
            (&read, true, true, files(&tree), None),
            (&read, false, true, files(&tree), None),
            (&read, false, true, other, None),
            (&read, false, false, files(&tree), Some(Changed::Shape)),
            (&read, false, true, edited, Some(Changed::File("hosts/a.nix".into()))),
            (&read, false, true, files(&[("flake.nix", "1")]), Some(Changed::File("hosts/a.nix".into()))),
            (&all, true, true, files(&tree), None),
            (&all, false, true, files(&tree), Some(Changed::Source(Blind::HoldsSource))),
        ];
        for (footprint, same_source, same_shape, now, changed) in table {
            let made = conditions(footprint, false);
            let identity = if same_source { "s" } else { "t" };
            let shape = || if same_shape { "1".to_owned() } else { "2".to_owned() };
            let wanted = Wanted { identity, revision: None };
            let found = holds(&made, wanted, shape, |file| now.get(file).cloned());
            assert_eq!(found.err(), changed);
        }
    }

    #[test]
    fn a_revision_that_inputs_may_ask_for_is_a_change() {
        let read = Footprint::Files(files(&[("flake.nix", "1")]));
        let held = |made: &Conditions, revision| {
            holds(made, Wanted { identity: "t", revision }, || "1".to_owned(), |_| Some("1".to_owned())).is_ok()
        };
        for (made, wanted, holds) in [
            (false, None, true),
            (true, None, true),
            (false, Some(false), true),
            (true, Some(true), true),
            (false, Some(true), false),
            (true, Some(false), false),
        ] {
            assert_eq!(held(&conditions(&read, made), wanted), holds, "{made} {wanted:?}");
        }
        let other = Footprint::Files(files(&[("flake.nix", "2")]));
        let all = Footprint::Everything(Blind::HoldsSource);
        let with = conditions(&read, true);
        assert!(with.differs_in_revision_alone(&conditions(&read, false)));
        assert!(!with.differs_in_revision_alone(&with));
        assert!(!with.differs_in_revision_alone(&conditions(&other, false)));
        assert!(!conditions(&all, true).differs_in_revision_alone(&conditions(&all, false)));
    }

    #[test]
    fn asking_for_facts_of_the_source_is_noticed() {
        for asks in [
            "system.configurationRevision = self.rev or null;",
            "inherit (self) shortRev;",
            "x = inputs.self.lastModified;",
            "builtins.getAttr \"narHash\" self",
            "self.sourceInfo",
            "a = self.outPath;",
            "if self.rev == null then 1 else 2",
            "x.rev = 1;",
            "with self; rev",
            "hashString \"md5\" (toString ./x)",
            "builtins.attrNames self",
            "builtins.toJSON (builtins.attrNames inputs.self)",
            "lib.mapAttrsToList (n: _: n) self;",
            "attrValues (self // { })",
            "{ inherit (builtins.removeAttrs self [ \"outputs\" ]) inputs; }",
        ] {
            assert!(asked_fact(asks.as_bytes()).is_some(), "{asks}");
        }
        for quiet in [
            "src = fetchGit { rev = \"abc\"; };",
            "previous = 1;",
            "revision = 2;",
            "rev-parse",
            "prevRev",
            r#"{"rev": "abc"}"#,
            "hashString \"md5\" name",
            "{ self, nixpkgs }: mapAttrs (name: _: name) self.hosts",
            "{ nixpkgs, self }@inputs: attrNames (readDir ./hosts)",
            "{ self, ... }: mapAttrs f { specialArgs = { inherit inputs self; }; }",
            "attrNames { inherit (inputs) self nixpkgs; inherit self; }",
            "attrNames { inherit (inputs) nixpkgs self; }",
            "final: self: attrNames super",
            "toJSON (readDir (self + \"/data\")) + \"${self}\"",
            "{ a = f self; }",
        ] {
            assert_eq!(asked_fact(quiet.as_bytes()), None, "{quiet}");
        }
    }
}
