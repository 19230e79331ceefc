//! The index of options: what is where in it.
//!
//! After its first lines come the names of types, then each option by what its name does not share with the one before it.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::{self, Write as _};
use std::ops::Range;
use std::sync::Arc;

use crate::lint::source::floor;

/// Made by `dev/options-index`.
const INDEX: &str = include_str!("index.txt");

/// Every option that is known, in the order of their names.
#[derive(Debug)]
pub struct Options {
    source: String,
    types: Vec<String>,
    /// All names, each with the kinds of systems that have it behind it.
    names: String,
    entries: Vec<Entry>,
    /// Where the first parts of names are among all names, each with the parts behind it: they are asked for often.
    roots: Vec<(Range<usize>, Vec<Range<usize>>)>,
    /// The entries whose names begin with each first part, so that none has to be searched for.
    firsts: HashMap<String, Range<usize>>,
    is_exact: bool,
}

/// Options by their names: the first letters of the kinds of systems that have one, each with its type there.
pub type Listed = BTreeMap<String, BTreeMap<char, String>>;

/// An option.
#[derive(Debug)]
struct Entry {
    /// Where its name is among all names.
    start: usize,
    end: usize,
    /// Where the first letters of the kinds of systems that have it end, which follow the name, each with the number of its type
    /// there.
    types_end: usize,
}

/// The options whose names begin with the same text: to look among them alone is what makes it fast.
#[derive(Debug)]
struct Beginning {
    /// Their places in the order.
    entries: Range<usize>,
    /// How long the text is, in bytes.
    length: usize,
}

/// An option with its types.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found<'a> {
    /// Its name; `<name>` and `*` stand for any.
    pub name: &'a str,
    /// Each kind of system that has it, with the name of its type there.
    pub types: Vec<(&'static str, &'a str)>,
}

/// What there is at the end of a path.
#[derive(Debug, Eq, PartialEq)]
pub(in crate::lint) enum Place {
    /// An option, by its place in the order, or what only has options below it.
    Known(Option<usize>),
    /// A value of an option, of which the index does not know the parts.
    Within,
    /// Nothing is known of this part of the path, of which all before it is: as the index writes it.
    Unknown { before: String, part: usize },
}

/// An index that was made from a hub's own inputs, in place of the one that hubctl brings along.
#[derive(Clone, Eq, PartialEq)]
pub struct Index(Arc<str>);

impl Index {
    /// The index that `text` is; none where it is of another version.
    pub fn of(text: String) -> Option<Self> {
        text.starts_with(FORM).then(|| Self(text.into()))
    }
}

/// The first line of an index.
const FORM: &str = "hubctl-options 1\n";

impl fmt::Debug for Index {
    /// What tells it from others.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Index({})", blake3::hash(self.0.as_bytes()).to_hex())
    }
}

impl Options {
    /// Reads an index; the one that hubctl brings along where there is no other.
    pub fn read(index: Option<&Index>) -> Self {
        let text = index.map_or(INDEX, |index| &index.0);
        let mut lines = text.lines();
        let source = lines.nth(1).unwrap_or_default().to_owned();
        let count = lines.next().and_then(|count| count.parse().ok()).unwrap_or_default();
        let types: Vec<_> = lines.by_ref().take(count).map(str::to_owned).collect();
        let (mut names, mut entries) = (String::with_capacity(2 * text.len()), Vec::with_capacity(40_000));
        let mut previous = 0..0;
        for line in lines {
            let mut parts = line.split('\t');
            let (Some(shared), Some(rest), Some(types)) = (parts.next(), parts.next(), parts.next()) else { continue };
            let shared = shared.parse().unwrap_or(0).min(previous.len());
            let shared = floor(&names[previous.clone()], shared);
            let start = names.len();
            let same = names[previous.start..previous.start + shared].to_owned();
            names.push_str(&same);
            names.push_str(rest);
            previous = start..names.len();
            names.push_str(types);
            entries.push(Entry { start, end: previous.end, types_end: names.len() });
        }
        let roots = roots(&names, &entries);
        let firsts = firsts(&names, &entries);
        Self { source, types, names, entries, roots, firsts, is_exact: index.is_some() }
    }

    /// Whether the options are those of the hub's own inputs, and not of others of some date.
    pub(in crate::lint) fn is_exact(&self) -> bool {
        self.is_exact
    }

    /// All options, each with the first letters of the kinds of systems that have it and their types there.
    pub fn all(&self) -> Listed {
        let letter = |kind: &str| match kind {
            "home-manager" => 'h',
            "nix-darwin" => 'd',
            _ => 'n',
        };
        let found = (0..self.entries.len()).map(|at| self.found(at));
        let types =
            |found: &Found<'_>| found.types.iter().map(|(kind, name)| (letter(kind), (*name).to_owned())).collect();
        found.map(|found| (found.name.to_owned(), types(&found))).collect()
    }

    /// Of what and of when the options are.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The options whose names have all of `words` in them, in whatever case; the shortest names first.
    pub fn search(&self, words: &[String]) -> Vec<Found<'_>> {
        let words: Vec<_> = words.iter().map(|word| word.to_lowercase()).collect();
        let has_all = |name: &str| words.iter().all(|word| name.contains(word.as_str()));
        let mut found: Vec<_> = (0..self.entries.len())
            .filter(|at| has_all(&self.name(*at).to_lowercase()))
            .map(|at| self.found(at))
            .collect();
        found.sort_by_key(|found| (found.name.split('.').count(), found.name.len()));
        found
    }

    /// An option by its place in the order.
    pub(in crate::lint) fn found(&self, at: usize) -> Found<'_> {
        let mut types = Vec::new();
        let Entry { end, types_end, .. } = self.entries[at];
        let mut rest = &self.names[end..types_end];
        while let Some(letter) = rest.chars().next() {
            let digits = rest[1..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |end| end + 1);
            let number: usize = rest[1..digits].parse().unwrap_or_default();
            let kind = match letter {
                'h' => "home-manager",
                'd' => "nix-darwin",
                _ => "NixOS",
            };
            types.push((kind, self.types.get(number.wrapping_sub(1)).map_or("?", String::as_str)));
            rest = &rest[digits..];
        }
        Found { name: self.name(at), types }
    }

    /// What there is at `path`, whose parts are names, or `*` for what only evaluating tells.
    pub(in crate::lint) fn place(&self, path: &[String]) -> Place {
        let mut known = Beginning { entries: 0..self.entries.len(), length: 0 };
        for (at, part) in path.iter().enumerate() {
            let Some(next) = self.next(&known, part) else {
                let is_within = self.exact(&known).is_some() && !self.has_below(&known);
                let before = || self.begun(&known).to_owned();
                return if is_within { Place::Within } else { Place::Unknown { before: before(), part: at } };
            };
            known = next;
        }
        Place::Known(self.exact(&known))
    }

    /// What goes on from `before` with `part`, if there is anything.
    fn next(&self, before: &Beginning, part: &str) -> Option<Beginning> {
        let candidates = [part, "<name>", "*"].into_iter().filter(|next| part != "*" || *next != part);
        let is_there = |next: &Beginning| self.exact(next).is_some() || self.has_below(next);
        let found = candidates.map(|next| self.going_on(before, next)).find(is_there);
        found.or_else(|| (part == "*").then(|| self.going_on(before, "*")).filter(|next| self.has_below(next)))
    }

    /// Those of the options that begin with `before` which go on with `part`, or with what begins with it.
    fn going_on(&self, before: &Beginning, part: &str) -> Beginning {
        if before.length == 0 {
            let entries = self.firsts.get(part).cloned().unwrap_or_default();
            return Beginning { entries, length: part.len() };
        }
        let wanted = part.as_bytes();
        let compare = |entry: &Entry| match self.text(entry).as_bytes()[before.length..].split_first() {
            Some((first, rest)) => first.cmp(&b'.').then_with(|| rest[..wanted.len().min(rest.len())].cmp(wanted)),
            None => Ordering::Less,
        };
        let among = &self.entries[before.entries.clone()];
        let start = among.partition_point(|entry| compare(entry).is_lt());
        let count = among[start..].partition_point(|entry| compare(entry).is_eq());
        let start = before.entries.start + start;
        Beginning { entries: start..start + count, length: before.length + 1 + part.len() }
    }

    /// The names that may stand behind `before`, without those that stand for any.
    pub(in crate::lint) fn parts_behind(&self, before: &str) -> BTreeSet<&str> {
        let roots = || self.roots.iter();
        if before.is_empty() {
            return roots().map(|(root, _)| &self.names[root.clone()]).collect();
        }
        if !before.contains('.') {
            let of_root =
                roots().filter(|(root, _)| self.names[root.clone()] == *before).flat_map(|(_, behind)| behind);
            return of_root
                .map(|part| &self.names[part.clone()])
                .filter(|part| !part.starts_with(['<', '*']))
                .collect();
        }
        let prefix = format!("{before}.");
        let (mut at, mut parts) = (self.from(&prefix), BTreeSet::new());
        while let Some(rest) = self.entries.get(at).and_then(|_| self.name(at).strip_prefix(&prefix)) {
            let part = rest.split('.').next().unwrap_or(rest);
            parts.insert(part);
            // All that is below the part comes before what `/`, the next character, would follow.
            at = if part.len() < rest.len() { self.from(&format!("{prefix}{part}/")) } else { at + 1 };
        }
        parts.retain(|part| !part.starts_with(['<', '*']));
        parts
    }

    /// The place of the first option that does not come before `name`.
    fn from(&self, name: &str) -> usize {
        self.entries.partition_point(|entry| self.names[entry.start..entry.end] < *name)
    }

    /// The option whose name is the beginning: of those that begin so, it comes first.
    fn exact(&self, beginning: &Beginning) -> Option<usize> {
        let Beginning { entries, length } = beginning;
        let is_it = |at: &usize| *length > 0 && self.name(*at).len() == *length;
        Some(entries.start).filter(|at| !entries.is_empty() && is_it(at))
    }

    /// Whether there are options below the beginning.
    fn has_below(&self, beginning: &Beginning) -> bool {
        let among = &self.entries[beginning.entries.clone()];
        let next = |entry: &Entry| self.text(entry).as_bytes().get(beginning.length).copied();
        let at = among.partition_point(|entry| next(entry) < Some(b'.'));
        among.get(at).is_some_and(|entry| next(entry) == Some(b'.'))
    }

    /// What the names of a beginning begin with.
    fn begun(&self, beginning: &Beginning) -> &str {
        self.entries.get(beginning.entries.start).map_or("", |entry| &self.text(entry)[..beginning.length])
    }

    fn text(&self, entry: &Entry) -> &str {
        &self.names[entry.start..entry.end]
    }

    fn name(&self, at: usize) -> &str {
        self.text(&self.entries[at])
    }
}

/// The entries whose names begin with each first part: all between the first and the last of that part, as `a-b` stands between `a`
/// and `a.b`, and begins with `a` too.
fn firsts(names: &str, entries: &[Entry]) -> HashMap<String, Range<usize>> {
    let mut firsts: HashMap<String, Range<usize>> = HashMap::new();
    let mut same = 0..0;
    let mut part = "";
    let mut add = |part: &str, same: &Range<usize>| {
        let entries = firsts.entry(part.to_owned()).or_insert_with(|| same.clone());
        entries.end = same.end;
    };
    for (at, Entry { start, end, .. }) in entries.iter().enumerate() {
        let name = &names[*start..*end];
        let first = name.split('.').next().unwrap_or(name);
        if first != part {
            add(part, &same);
            (part, same) = (first, at..at);
        }
        same.end = at + 1;
    }
    add(part, &same);
    firsts
}

/// The first parts of all names, each with those behind it.
fn roots(names: &str, entries: &[Entry]) -> Vec<(Range<usize>, Vec<Range<usize>>)> {
    let mut roots: Vec<(Range<usize>, Vec<Range<usize>>)> = Vec::new();
    let part = |from: usize, end: usize| from..names[from..end].find('.').map_or(end, |dot| from + dot);
    let add = |parts: &mut Vec<Range<usize>>, part: Range<usize>| {
        if parts.last().is_none_or(|last| names[last.clone()] != names[part.clone()]) {
            parts.push(part);
        }
    };
    for Entry { start, end, .. } in entries {
        let root = part(*start, *end);
        if roots.last().is_none_or(|(last, _)| names[last.clone()] != names[root.clone()]) {
            roots.push((root.clone(), Vec::new()));
        }
        if let Some((_, behind)) = roots.last_mut().filter(|_| root.end < *end) {
            add(behind, part(root.end + 1, *end));
        }
    }
    roots
}

/// The text of an index of `options`, which are of what `source` says in one line.
pub fn index(source: &str, options: &Listed) -> String {
    let plain = |text: &str| text.replace(['\t', '\n', '\r'], " ");
    let (mut numbers, mut types, mut lines) = (BTreeMap::new(), Vec::new(), String::new());
    let mut previous = String::new();
    for (name, of) in options {
        let name = plain(name);
        let mut kinds = String::new();
        for (letter, kind) in of {
            let number = *numbers.entry(plain(kind)).or_insert_with_key(|kind| {
                types.push(kind.clone());
                types.len()
            });
            // Writing to a text never fails.
            let _ = write!(kinds, "{letter}{number}");
        }
        let same = name.bytes().zip(previous.bytes()).take_while(|(a, b)| a == b).count();
        let same = floor(&name, same);
        let _ = writeln!(lines, "{same}\t{}\t{kinds}", &name[same..]);
        previous = name;
    }
    let types: Vec<_> = types.iter().map(|kind| format!("{kind}\n")).collect();
    format!("{FORM}{}\n{}\n{}{lines}", plain(source), types.len(), types.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(path: &str) -> Vec<String> {
        path.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn the_index_is_in_order_and_every_option_has_a_type() {
        let options = Options::read(None);
        assert!(options.entries.len() > 30_000, "{}", options.entries.len());
        assert!((1..options.entries.len()).all(|at| options.name(at - 1) < options.name(at)));
        let untyped = (0..options.entries.len()).map(|at| options.found(at)).find(|found| {
            found.types.is_empty() || found.types.iter().any(|(_, name)| *name == "?" || name.is_empty())
        });
        // The one of which the modules themselves do not tell it.
        assert!(untyped.is_none_or(|found| found.types.iter().any(|(_, name)| *name == "?")));
        assert!(options.source().contains("NixOS"));
    }

    #[test]
    fn paths_are_followed_through_any_name() {
        let options = Options::read(None);
        let known = |text: &str| match options.place(&path(text)) {
            Place::Known(Some(at)) => options.found(at).types[0].1.to_owned(),
            other => format!("{other:?}"),
        };
        assert_eq!(known("networking.firewall.enable"), "bool");
        assert_eq!(known("users.users.me.isNormalUser"), "bool");
        assert_eq!(known("users.users.*.isNormalUser"), "bool");
        assert_eq!(known("services"), "Known(None)");
        assert_eq!(known("environment.variables.EDITOR"), "Within");
        assert!(known("services.openssh.enabel").starts_with("Unknown"));
        assert!(options.parts_behind("services.openssh").contains(&"enable"));
    }

    #[test]
    fn an_index_that_was_made_is_read_as_it_was_meant() {
        let shipped = Options::read(None);
        let listed = shipped.all();
        let again = Options::read(Index::of(index("a hub", &listed)).as_ref());
        assert_eq!(again.all(), listed);
        assert_eq!((again.source(), again.is_exact(), shipped.is_exact()), ("a hub", true, false));
        assert_eq!(Index::of("hubctl-options 2\n".to_owned()), None);
        let odd = Listed::from([
            ("é.a".to_owned(), BTreeMap::from([('n', "a\tb".to_owned())])),
            ("è.b".to_owned(), BTreeMap::from([('h', "bool".to_owned())])),
        ]);
        let read = Options::read(Index::of(index("x\ny", &odd)).as_ref()).all();
        assert_eq!(read["é.a"][&'n'], "a b");
        assert_eq!(read.len(), 2);
    }

    #[test]
    fn all_words_are_searched_for() {
        let options = Options::read(None);
        let found = options.search(&["firewall".to_owned(), "TCPports".to_owned()]);
        assert_eq!(found[0].name, "networking.firewall.allowedTCPPorts");
        assert_eq!(found[0].types, [("NixOS", "listOf unsignedInt16")]);
    }
}
