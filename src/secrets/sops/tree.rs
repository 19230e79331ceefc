//! A document as SOPS sees it, whatever its format: maps and lists in order, comments among them, and where in the text
//! each value stands.

use std::ops::Range;

use zeroize::Zeroizing;

use super::error::SopsError;
use super::value::Plain;

/// How deep a document may be nested.
pub(super) const DEEPEST: usize = 100;

/// A map, a list, a value or nothing.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Map(Container),
    List(Container),
    Leaf(Leaf),
    /// Null, which SOPS neither encrypts nor counts.
    Null(Range<usize>),
}

/// A map or a list with its place in the text: its brackets included where it has some, and all of its lines otherwise.
#[derive(Clone, Debug, Default)]
pub(super) struct Container {
    pub(super) items: Vec<Item>,
    pub(super) span: Range<usize>,
    /// Whether it is written in brackets.
    pub(super) flow: bool,
}

/// A whole file: its documents, of which most have one, without their `sops` blocks.
#[derive(Clone, Debug, Default)]
pub(super) struct Document {
    pub(super) roots: Vec<Container>,
    /// The `sops` block of the first document: names as the flat formats have them, with the values.
    pub(super) block: Option<Vec<Field>>,
    /// Where the blocks stand, so that a text without these is the file without SOPS.
    pub(super) block_spans: Vec<Range<usize>>,
    /// The list of age recipients in the block.
    pub(super) recipients: Option<Container>,
}

/// A setting of the `sops` block.
#[derive(Clone, Debug)]
pub(super) struct Field {
    /// Such as `age__list_0__map_enc`.
    pub(super) name: String,
    pub(super) text: String,
    pub(super) span: Range<usize>,
}

/// What stands in a map or a list. A comment stands before what it is about, also one at the end of a line.
#[derive(Clone, Debug)]
pub(super) enum Item {
    Comment(Comment),
    Entry(Entry),
}

/// A comment without the sign that begins it.
#[derive(Clone, Debug)]
pub(super) struct Comment {
    pub(super) text: Zeroizing<String>,
    pub(super) span: Range<usize>,
}

/// A key of a map with its value, or an element of a list, which has no key.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: Option<String>,
    /// Where the key begins, or the element.
    pub(super) start: usize,
    pub(super) node: Node,
}

/// A single value.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) value: Plain,
    pub(super) span: Range<usize>,
    /// In YAML the column of the key or dash that it belongs to, where a block may stand in its place.
    pub(super) block: Option<usize>,
}

/// A step on the way to a value.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Step {
    /// The value of a key.
    Key(String),
    /// An element of a list, from 0.
    Index(usize),
}

/// What a walk comes by.
pub(super) enum What<'a> {
    Leaf(&'a Leaf),
    Comment(&'a Comment),
}

/// A place in the document.
pub(super) struct Visit<'a, 'w> {
    /// The keys above it, without the indexes of lists: what a value is bound to, and what rules look at.
    pub(super) path: &'w [String],
    /// The way to it, with the indexes.
    pub(super) steps: &'w [Step],
    /// The comments in front of it and of all that it is in.
    pub(super) comments: &'w [Vec<&'a str>],
    pub(super) what: What<'a>,
}

impl Visit<'_, '_> {
    /// What an encrypted value is bound to.
    pub(super) fn aad(&self) -> String {
        aad(self.path)
    }
}

/// What an encrypted value below these keys is bound to.
pub(super) fn aad(path: &[String]) -> String {
    path.iter().flat_map(|key| [key.as_str(), ":"]).collect::<String>() + if path.is_empty() { ":" } else { "" }
}

/// Goes through all values and comments in their order. Several documents follow each other as in one.
pub(super) fn walk<'a>(
    roots: &'a [Container],
    visit: &mut dyn FnMut(&Visit<'a, '_>) -> Result<(), SopsError>,
) -> Result<(), SopsError> {
    for root in roots {
        Walker { path: Vec::new(), steps: Vec::new(), comments: Vec::new(), visit: &mut *visit }.items(&root.items)?;
    }
    Ok(())
}

struct Walker<'a, 'v> {
    path: Vec<String>,
    steps: Vec<Step>,
    comments: Vec<Vec<&'a str>>,
    visit: &'v mut dyn FnMut(&Visit<'a, '_>) -> Result<(), SopsError>,
}

impl<'a> Walker<'a, '_> {
    fn items(&mut self, items: &'a [Item]) -> Result<(), SopsError> {
        self.comments.push(Vec::new());
        let mut index = 0;
        for item in items {
            match item {
                Item::Comment(comment) => {
                    // A comment counts for itself too: a rule may go by what it says.
                    self.active().push(&comment.text);
                    self.meet(What::Comment(comment))?;
                }
                Item::Entry(entry) => {
                    self.entry(entry, index)?;
                    self.active().clear();
                    index += 1;
                }
            }
        }
        self.comments.pop();
        Ok(())
    }

    fn entry(&mut self, entry: &'a Entry, index: usize) -> Result<(), SopsError> {
        self.steps.push(entry.key.clone().map_or(Step::Index(index), Step::Key));
        self.path.extend(entry.key.clone());
        match &entry.node {
            Node::Map(inner) | Node::List(inner) => self.items(&inner.items)?,
            Node::Leaf(leaf) => self.meet(What::Leaf(leaf))?,
            Node::Null(_) => {}
        }
        self.steps.pop();
        if entry.key.is_some() {
            self.path.pop();
        }
        Ok(())
    }

    fn active(&mut self) -> &mut Vec<&'a str> {
        if self.comments.is_empty() {
            self.comments.push(Vec::new());
        }
        let last = self.comments.len() - 1;
        &mut self.comments[last]
    }

    fn meet(&mut self, what: What<'a>) -> Result<(), SopsError> {
        let visit = Visit { path: &self.path, steps: &self.steps, comments: &self.comments, what };
        (self.visit)(&visit)
    }
}

/// The settings of a nested `sops` block under the names that the flat formats have for them.
pub(super) fn flatten(prefix: &str, node: &Node, into: &mut Vec<Field>) {
    match node {
        Node::Map(map) => entries(&map.items).for_each(|entry| {
            let key = entry.key.as_deref().unwrap_or_default();
            let name = if prefix.is_empty() { key.to_owned() } else { format!("{prefix}__map_{key}") };
            flatten(&name, &entry.node, into);
        }),
        Node::List(list) => entries(&list.items)
            .enumerate()
            .for_each(|(index, entry)| flatten(&format!("{prefix}__list_{index}"), &entry.node, into)),
        Node::Leaf(leaf) => into.push(Field {
            name: prefix.to_owned(),
            text: String::from_utf8_lossy(&leaf.value.bytes()).into_owned(),
            span: leaf.span.clone(),
        }),
        Node::Null(_) => {}
    }
}

impl Document {
    /// Takes the `sops` blocks out of nested documents; `remove` says what to cut to be rid of one.
    pub(super) fn nested(
        mut roots: Vec<Container>,
        remove: impl Fn(&Container, &Entry) -> Range<usize>,
    ) -> Result<Self, SopsError> {
        let mut found = Self::default();
        for (index, root) in roots.iter_mut().enumerate() {
            let is_block = |item: &Item| matches!(item, Item::Entry(entry) if entry.key.as_deref() == Some("sops"));
            let Some(at) = root.items.iter().position(is_block) else { continue };
            if let Item::Entry(entry) = &root.items[at] {
                found.block_spans.push(remove(root, entry));
            }
            let Item::Entry(Entry { node: Node::Map(block), .. }) = root.items.remove(at) else {
                return Err(SopsError::Metadata("is not a map".to_owned()));
            };
            if index == 0 {
                found.take_block(block);
            }
        }
        found.roots = roots;
        Ok(found)
    }

    fn take_block(&mut self, mut block: Container) {
        let mut fields = Vec::new();
        for item in &mut block.items {
            let Item::Entry(entry) = item else { continue };
            let key = entry.key.clone().unwrap_or_default();
            flatten(&key, &entry.node, &mut fields);
            if key == "age"
                && let Node::List(list) = &mut entry.node
            {
                self.recipients = Some(std::mem::take(list));
            }
        }
        self.block = Some(fields);
    }
}

/// The entries without the comments.
pub(super) fn entries(items: &[Item]) -> impl Iterator<Item = &Entry> {
    items.iter().filter_map(|item| if let Item::Entry(entry) = item { Some(entry) } else { None })
}

/// A way such as `a/b/0`. A number is a key where a map stands and an index where a list does, which only the document says.
pub fn steps(address: &str) -> Vec<Step> {
    address.split('/').filter(|part| !part.is_empty()).map(|part| Step::Key(part.to_owned())).collect()
}

/// Whether two ways are the same; a number is as good as an index.
pub(super) fn same_way(asked: &[Step], there: &[Step]) -> bool {
    asked.len() == there.len()
        && asked.iter().zip(there).all(|(asked, there)| match (asked, there) {
            (Step::Key(text), Step::Index(index)) => *text == index.to_string(),
            _ => asked == there,
        })
}

/// A way as the user writes it.
pub(super) fn shown(steps: &[Step]) -> String {
    let parts = steps.iter().map(|step| match step {
        Step::Key(key) => key.clone(),
        Step::Index(index) => index.to_string(),
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Parts of a text with what takes their place.
pub(super) type Edits = Vec<(Range<usize>, Zeroizing<String>)>;

/// Replaces parts of a text, all at once; the parts do not overlap.
pub(super) fn splice(text: &str, mut edits: Edits) -> Zeroizing<String> {
    edits.sort_by_key(|(span, _)| (span.start, span.end));
    // One piece of memory from the beginning, so that no copy of a secret is left behind by growing.
    let room = text.len() + edits.iter().map(|(_, new)| new.len()).sum::<usize>();
    let mut spliced = Zeroizing::new(String::with_capacity(room));
    let mut at = 0;
    for (span, new) in &edits {
        spliced.push_str(&text[at..span.start]);
        spliced.push_str(new);
        at = span.end;
    }
    spliced.push_str(&text[at..]);
    spliced
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(key: Option<&str>, value: i64) -> Item {
        let node = Node::Leaf(Leaf { value: Plain::Int(value), span: 0..0, block: None });
        Item::Entry(Entry { key: key.map(str::to_owned), start: 0, node })
    }

    fn comment(text: &str) -> Item {
        Item::Comment(Comment { text: Zeroizing::new(text.to_owned()), span: 0..0 })
    }

    #[test]
    fn a_walk_knows_paths_indexes_and_the_comments_in_front() {
        let list = Item::Entry(Entry {
            key: Some("list".to_owned()),
            start: 0,
            node: Node::List(Container {
                items: vec![comment("x"), leaf(None, 2), leaf(None, 3)],
                ..Container::default()
            }),
        });
        let items = vec![comment("top"), leaf(Some("a"), 1), comment("of the list"), list];
        let mut seen = Vec::new();
        walk(&[Container { items, ..Container::default() }], &mut |visit| {
            let comments: Vec<&str> = visit.comments.iter().flatten().copied().collect();
            seen.push(format!("{} {} {comments:?}", visit.aad(), shown(visit.steps)));
            Ok(())
        })
        .unwrap();
        let expected = [
            r#":  ["top"]"#,
            r#"a: a ["top"]"#,
            r#":  ["of the list"]"#,
            r#"list: list ["of the list", "x"]"#,
            r#"list: list/0 ["of the list", "x"]"#,
            r#"list: list/1 ["of the list"]"#,
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_number_is_a_key_or_an_index() {
        let there = [Step::Key("a".to_owned()), Step::Index(1)];
        assert!(same_way(&steps("a/1"), &there));
        assert!(same_way(&steps("/a/1/"), &there));
        assert!(!same_way(&steps("a/2"), &there) && !same_way(&steps("a"), &there));
    }

    #[test]
    fn parts_are_replaced_at_once() {
        let edits = vec![(4..5, Zeroizing::new("xx".to_owned())), (0..1, Zeroizing::new(String::new()))];
        assert_eq!(*splice("abcdef", edits), "bcdxxf");
    }
}
