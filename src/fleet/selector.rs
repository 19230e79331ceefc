//! How a person names a few hosts: `p620`, `web-*`, `@tag`, and `!` in front of any of those.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use globset::{Glob, GlobMatcher};

use super::host::is_word;
use super::{Host, HostName, Inventory, SelectError};

/// One word that names hosts, or with `!` in front takes them away.
#[derive(Clone, Debug)]
pub struct Selector {
    excludes: bool,
    pattern: Pattern,
}

#[derive(Clone, Debug)]
enum Pattern {
    Name(HostName),
    Tag(String),
    NameGlob(GlobMatcher),
    TagGlob(GlobMatcher),
}

impl FromStr for Selector {
    type Err = SelectError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let (excludes, positive) = match word.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, word),
        };
        // Names and tags are made of what lets both be told from globs.
        let exact = |text: &str| text.parse::<HostName>().map_err(|_| SelectError::Word { word: word.to_owned() });
        let pattern = match positive.strip_prefix('@') {
            Some(tag) if is_glob(tag) => Pattern::TagGlob(glob(tag, word)?),
            Some(tag) if !is_word(tag) => return Err(SelectError::Word { word: word.to_owned() }),
            Some(tag) => Pattern::Tag(tag.to_owned()),
            None if is_glob(positive) => Pattern::NameGlob(glob(positive, word)?),
            None => Pattern::Name(exact(positive)?),
        };
        Ok(Self { excludes, pattern })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = if self.excludes { "!" } else { "" };
        write!(f, "{not}{}", self.pattern)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name}"),
            Self::Tag(tag) => write!(f, "@{tag}"),
            Self::NameGlob(glob) => write!(f, "{}", glob.glob()),
            Self::TagGlob(glob) => write!(f, "@{}", glob.glob()),
        }
    }
}

impl Pattern {
    fn matches(&self, host: &Host) -> bool {
        match self {
            Self::Name(name) => host.name == *name,
            Self::Tag(tag) => host.tags.contains(tag),
            Self::NameGlob(glob) => glob.is_match(host.name.as_str()),
            Self::TagGlob(glob) => host.tags.iter().any(|tag| glob.is_match(tag)),
        }
    }

    /// The hosts that the pattern is about, archived ones too. None at all is an error: in an exclusion it would
    /// let a slip of the fingers deploy to the very host that was to be spared.
    fn all<'a>(&self, inventory: &'a Inventory, excludes: bool) -> Result<Vec<&'a Host>, SelectError> {
        let hosts: Vec<&Host> = inventory.iter().filter(|host| self.matches(host)).collect();
        if !hosts.is_empty() {
            return Ok(hosts);
        }
        Err(match self {
            Self::Name(name) => SelectError::unknown_host(name, inventory),
            Self::Tag(tag) => SelectError::unknown_tag(tag, inventory),
            Self::NameGlob(_) | Self::TagGlob(_) if excludes => {
                SelectError::NothingExcluded { pattern: self.to_string() }
            }
            Self::NameGlob(_) | Self::TagGlob(_) => SelectError::NoMatch { pattern: self.to_string() },
        })
    }

    /// The hosts that the pattern selects: an archived host only when it is named.
    fn selected<'a>(&self, inventory: &'a Inventory) -> Result<Vec<&'a Host>, SelectError> {
        let all = self.all(inventory, false)?;
        if matches!(self, Self::Name(_)) {
            return Ok(all);
        }
        let (archived, active): (Vec<&Host>, Vec<&Host>) = all.into_iter().partition(|host| host.archived);
        if active.is_empty() {
            let hosts = archived.into_iter().map(|host| host.name.clone()).collect();
            return Err(SelectError::OnlyArchived { pattern: self.to_string(), hosts });
        }
        Ok(active)
    }
}

/// The hosts that a command line names. Only exclusions mean all active hosts but those; no word at all means none,
/// and the command decides what that is to it.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    selectors: Vec<Selector>,
}

impl Selection {
    /// Reads words as the command line holds them, each a selector or several with commas between.
    pub fn parse<W: AsRef<str>>(words: impl IntoIterator<Item = W>) -> Result<Self, SelectError> {
        let mut selectors = Vec::new();
        for word in words {
            for part in parts(word.as_ref()) {
                selectors.push(part.parse()?);
            }
        }
        Ok(Self { selectors })
    }

    /// Whether it has no word at all.
    pub fn is_empty(&self) -> bool {
        self.selectors.is_empty()
    }

    /// The words of the selection.
    pub fn selectors(&self) -> &[Selector] {
        &self.selectors
    }

    pub(super) fn of<'a>(&self, inventory: &'a Inventory) -> Result<Vec<&'a Host>, SelectError> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        let (minus, plus): (Vec<&Selector>, Vec<&Selector>) = self.selectors.iter().partition(|word| word.excludes);
        let mut chosen: BTreeSet<&HostName> = BTreeSet::new();
        if plus.is_empty() {
            chosen.extend(inventory.active().map(|host| &host.name));
        }
        for word in plus {
            chosen.extend(word.pattern.selected(inventory)?.into_iter().map(|host| &host.name));
        }
        for word in minus {
            for host in word.pattern.all(inventory, true)? {
                chosen.remove(&host.name);
            }
        }
        if chosen.is_empty() {
            return Err(SelectError::NothingLeft);
        }
        Ok(chosen.into_iter().filter_map(|name| inventory.get(name)).collect())
    }
}

/// Whether `text` stands for more than the one name that it is.
pub(super) fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '[', ']', '{', '}'])
}

fn glob(text: &str, word: &str) -> Result<GlobMatcher, SelectError> {
    let refuse = |error: globset::Error| SelectError::Glob { word: word.to_owned(), reason: error.kind().to_string() };
    Ok(Glob::new(text).map_err(refuse)?.compile_matcher())
}

/// Splits at commas, but not at those of a glob's `{a,b}`.
fn parts(word: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_usize);
    for (at, c) in word.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&word[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&word[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::fleet::config::HubToml;

    fn inventory() -> Inventory {
        let text = "
            hosts.p620.tags = ['amd', 'cache']
            hosts.p510.tags = ['laptop-old']
            hosts.p510.role = 'server'
            hosts.razer.tags = ['laptop', 'amd']
            hosts.web-1 = {}
            hosts.web-2 = {}
            hosts.dex5550 = { archived = true, tags = ['amd', 'attic'] }
        ";
        Inventory::from_file_only(&HubToml::parse(text, Path::new("hub.toml")).unwrap())
    }

    fn select(words: &str) -> Result<String, SelectError> {
        let inventory = inventory();
        let selection = Selection::parse(words.split(' '))?;
        let names: Vec<&str> = inventory.select(&selection)?.into_iter().map(|host| host.name.as_str()).collect();
        Ok(names.join(" "))
    }

    #[test]
    fn words_select_hosts_in_the_order_of_their_names() {
        let cases = [
            ("razer p620 razer", "p620 razer"),
            ("razer,p620", "p620 razer"),
            ("web-*", "web-1 web-2"),
            ("web-{1,2},p620", "p620 web-1 web-2"),
            ("web-[!1]", "web-2"),
            ("p?20", "p620"),
            ("@amd", "p620 razer"),
            ("@lap*", "p510 razer"),
            ("@amd dex5550", "dex5550 p620 razer"),
            ("@amd,!razer", "p620"),
            ("!razer @amd", "p620"),
            ("!web-*", "p510 p620 razer"),
            ("!@amd", "p510 web-1 web-2"),
            ("!@lap* !web-1", "p620 web-2"),
            ("* !dex5550", "p510 p620 razer web-1 web-2"),
            ("dex5550", "dex5550"),
            ("dex5550 razer !@amd p510", "p510"),
        ];
        for (words, expected) in cases {
            assert_eq!(select(words).unwrap(), expected, "{words}");
        }
    }

    #[test]
    fn no_word_is_an_empty_selection() {
        let selection = Selection::parse::<&str>([]).unwrap();
        assert!(selection.is_empty());
        assert!(inventory().select(&selection).unwrap().is_empty());
        assert!(!Selection::parse(["!razer"]).unwrap().is_empty());
    }

    #[test]
    fn a_selector_is_shown_as_it_was_written() {
        for word in ["p620", "!p620", "@amd", "!@lap*", "web-*"] {
            assert_eq!(word.parse::<Selector>().unwrap().to_string(), word);
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_what_is_near() {
        let hosts = "the hosts are `dex5550`, `p510`, `p620`, `razer`, `web-1` and `web-2`";
        let cases = [
            ("p62", "there is no host `p62`", "did you mean `p620`?"),
            ("zzz", "there is no host `zzz`", hosts),
            ("!zzz", "there is no host `zzz`", hosts),
            ("amd", "there is no host `amd`", "did you mean `@amd`?"),
            ("@amdd", "no host has the tag `amdd`", "did you mean `@amd`?"),
            ("@razer", "no host has the tag `razer`", "did you mean `razer`?"),
            ("@q", "no host has the tag `q`", "the tags are `amd`, `attic`, `cache`, `laptop` and `laptop-old`"),
            (
                "@server",
                "no host has the tag `server`",
                "`server` is a role; write `tags = [\"server\"]` in `[roles.server]` of hub.toml to select by it",
            ),
        ];
        for (words, message, hint) in cases {
            let error = select(words).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.hint().as_str()), (message, hint), "{words}");
            assert!(!error.is_no_host(), "{words}");
        }
    }

    #[test]
    fn finding_nothing_is_told_from_being_wrong() {
        let cases = [
            ("db-*", "`db-*` matches no host"),
            ("@x*", "`@x*` matches no host"),
            ("dex*", "`dex*` matches archived hosts only"),
            ("@attic", "`@attic` matches archived hosts only"),
            ("p620 !p620", "no host is left to work on"),
            ("!*", "no host is left to work on"),
        ];
        for (words, message) in cases {
            let error = select(words).unwrap_err();
            assert_eq!(error.to_string(), message);
            assert!(error.is_no_host(), "{words}");
        }
        let archived = select("dex*").unwrap_err();
        assert_eq!(archived.hint(), "an archived host is selected by its name alone: `dex5550`");
        let spared = select("p620 !db-*").unwrap_err();
        assert_eq!(spared.to_string(), "`!db-*` excludes no host");
        assert!(!spared.is_no_host(), "the exclusion was meant to spare something");
    }

    #[test]
    fn words_that_name_nothing_by_any_rule_are_refused() {
        for words in
            ["", "p620,", ",p620", "!", "@", "!!p620", "-p620", "@-x", "p620;ls", "web-[", "web-{1", "@@amd", "a/b"]
        {
            let error = select(words).unwrap_err();
            assert!(matches!(error, SelectError::Word { .. } | SelectError::Glob { .. }), "{words}: {error}");
            assert!(!error.is_no_host() && !error.hint().is_empty());
        }
    }

    proptest! {
        #[test]
        fn no_word_panics(word in "\\PC*|[!@*?{}\\[\\],a-z0-9\\\\^-]{0,20}") {
            if let Err(error) = select(&word) {
                prop_assert!(!error.to_string().is_empty() && !error.hint().is_empty());
            }
        }
    }
}
