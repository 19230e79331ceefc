//! YAML: a tree with the place of every value and comment in the text.
//!
//! The events come from a parser that knows all of YAML but drops comments. Those stand in the gaps between the events.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use zeroize::Zeroizing;

use super::error::SopsError;
use super::tree::{Comment, Container, DEEPEST, Document, Entry, Item, Leaf, Node};
use super::value::Plain;
use super::yaml_scalar::{Resolved, resolve};

/// Parses a file, encrypted or not.
pub(super) fn parse(text: &str) -> Result<Document, SopsError> {
    let roots = roots(text)?;
    Document::nested(roots, |root, entry| if root.flow { member(text, root, entry) } else { lines(text, entry) })
}

/// How many places may be repeated by aliases.
const MOST_REPEATED: usize = 10_000;

/// Its documents, with the `sops` blocks in them. A map or a list that is repeated by an alias is refused: it would be encrypted in
/// one place and bound to another.
pub(super) fn roots(text: &str) -> Result<Vec<Container>, SopsError> {
    Builder::of(text, false)?.documents()
}

/// The documents of a file that is only read: aliases repeat whatever they name, with the places where that stands.
pub(super) fn expanded(text: &str) -> Result<Vec<Container>, SopsError> {
    Builder::of(text, true)?.documents()
}

/// An event with the bytes that it stands for.
struct Located<'t> {
    event: Event<'t>,
    span: Range<usize>,
}

fn events(text: &str) -> Result<Vec<Located<'_>>, SopsError> {
    if text.starts_with('\u{feff}') {
        return Err(SopsError::Syntax { line: 1, what: "a byte order mark is not supported".to_owned() });
    }
    // The parser counts characters.
    let offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let byte = |index: usize| offsets.get(index).copied().unwrap_or(text.len());
    let mut found: Vec<Located<'_>> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, Span { start, end }) =
            event.map_err(|error| SopsError::Syntax { line: error.marker().line(), what: error.info().to_owned() })?;
        let mut span = byte(start.index())..byte(end.index()).max(byte(start.index()));
        match event {
            Event::Scalar(_, ScalarStyle::Literal | ScalarStyle::Folded, ..) => {
                let before = found.iter().rev().map(|located| located.span.end).max().unwrap_or(0).min(span.start);
                span = block_span(text, before, &span)?;
            }
            // The parser counts the space behind the quotes, and a comment there.
            Event::Scalar(_, ScalarStyle::DoubleQuoted, ..) => span.end = quote_end(text, &span, '"'),
            Event::Scalar(_, ScalarStyle::SingleQuoted, ..) => span.end = quote_end(text, &span, '\''),
            _ => {}
        }
        found.push(Located { event, span });
    }
    Ok(found)
}

/// A block scalar with the sign that begins it, and without the line end that ends it.
fn block_span(text: &str, before: usize, content: &Range<usize>) -> Result<Range<usize>, SopsError> {
    let gap = &text[before..content.start];
    let sign = gap
        .char_indices()
        .find(|(at, sign)| matches!(sign, '|' | '>') && gap[..*at].ends_with([' ', '\t', '\n', ':', '-']))
        .map_or(content.start, |(at, _)| before + at);
    let end = text[..content.end].trim_end().len();
    let span = sign..end.max(sign + text[sign..].chars().next().map_or(0, char::len_utf8));
    let head = text[span.clone()].lines().next().unwrap_or_default();
    if head.contains('#') {
        let line = text[..span.start].matches('\n').count() + 1;
        let what = "a comment behind `|` or `>` cannot be kept: give it a line of its own".to_owned();
        return Err(SopsError::Syntax { line, what });
    }
    Ok(span)
}

/// Where the quotes end that begin within `span`.
fn quote_end(text: &str, span: &Range<usize>, quote: char) -> usize {
    let inner = &text[span.clone()];
    // An anchor or a tag in front of it has no quotes.
    let Some(open) = inner.find(quote) else { return span.end };
    let mut letters = inner[open + 1..].char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        let escaped = match letter {
            '\\' => quote == '"',
            '\'' => quote == '\'' && letters.peek().is_some_and(|(_, next)| *next == '\''),
            _ => false,
        };
        if escaped {
            letters.next();
        } else if letter == quote {
            return span.start + open + 1 + at + 1;
        }
    }
    span.end
}

/// A comment and where it stands in its line.
struct Found {
    /// Where its sign is.
    start: usize,
    /// What follows the sign.
    body: Range<usize>,
    column: usize,
    /// Whether something else stands before it in its line.
    inline: bool,
}

impl Found {
    fn comment(&self, text: &str) -> Comment {
        Comment { text: Zeroizing::new(text[self.body.clone()].to_owned()), span: self.body.clone() }
    }
}

/// The comments in the gaps between events, in their order.
fn comments(text: &str, events: &[Located<'_>]) -> VecDeque<Found> {
    let mut found = VecDeque::new();
    let mut at = 0;
    let taken = events.iter().filter(|located| !located.span.is_empty()).map(|located| located.span.clone());
    for span in taken.chain(std::iter::once(text.len()..text.len())) {
        if span.start > at {
            comments_in(text, at..span.start, &mut found);
        }
        at = at.max(span.end);
    }
    found
}

fn comments_in(text: &str, gap: Range<usize>, into: &mut VecDeque<Found>) {
    let mut at = gap.start;
    while let Some(hash) = text[at..gap.end].find('#').map(|found| at + found) {
        let line_start = text[..hash].rfind('\n').map_or(0, |newline| newline + 1);
        let before = &text[line_start..hash];
        if !before.is_empty() && !before.ends_with([' ', '\t']) {
            at = hash + 1;
            continue;
        }
        let end = text[hash..].find('\n').map_or(text.len(), |newline| hash + newline);
        let end = hash + text[hash..end].trim_end_matches('\r').len();
        let inline = !before.trim().is_empty();
        into.push_back(Found { start: hash, body: hash + 1..end, column: before.chars().count(), inline });
        at = end.min(gap.end);
        if at == gap.end {
            return;
        }
    }
}

struct Builder<'t> {
    text: &'t str,
    events: VecDeque<Located<'t>>,
    comments: VecDeque<Found>,
    /// What has a name for others to repeat it by, once it has ended.
    anchors: BTreeMap<usize, Node>,
    /// Whether maps and lists may be repeated.
    expands: bool,
    /// How many places were repeated.
    repeated: usize,
}

impl<'t> Builder<'t> {
    fn of(text: &'t str, expands: bool) -> Result<Self, SopsError> {
        let events = events(text)?;
        let comments = comments(text, &events);
        Ok(Self { text, events: events.into(), comments, anchors: BTreeMap::new(), expands, repeated: 0 })
    }

    fn documents(&mut self) -> Result<Vec<Container>, SopsError> {
        let mut roots = Vec::new();
        while let Some(Located { event, .. }) = self.events.pop_front() {
            if let Event::DocumentStart(_) = event {
                roots.push(self.document()?);
            }
        }
        if roots.is_empty() {
            roots.push(Container::default());
        }
        // What stands behind the last value belongs to the document.
        let rest: Vec<_> = self.comments.drain(..).collect();
        if let Some(root) = roots.last_mut() {
            for comment in &rest {
                place(self.text, comment, &mut root.items);
            }
        }
        Ok(roots)
    }

    fn document(&mut self) -> Result<Container, SopsError> {
        let Some(root) = self.events.pop_front() else { return Ok(Container::default()) };
        let line = self.line(root.span.start);
        match self.node(root, 0, None)? {
            Node::Map(root) => Ok(root),
            Node::Null(span) => Ok(Container { span, ..Container::default() }),
            _ => Err(SopsError::Syntax { line, what: "SOPS needs a map at the top of a document".to_owned() }),
        }
    }

    fn node(&mut self, located: Located<'t>, depth: usize, block: Option<usize>) -> Result<Node, SopsError> {
        let Located { event, span } = located;
        if depth > DEEPEST {
            return Err(self.fault(span.start, "it is nested too deeply"));
        }
        let (node, anchor) = match event {
            Event::MappingStart(anchor, _) => (Node::Map(self.container(span.start, depth, true, block)?), anchor),
            Event::SequenceStart(anchor, _) => (Node::List(self.container(span.start, depth, false, block)?), anchor),
            Event::Scalar(text, style, anchor, tag) => {
                let value = self.scalar(&text, style, tag.as_deref(), span.start)?;
                let leaf = |value| Node::Leaf(Leaf { value, span: span.clone(), block });
                (value.map_or_else(|| Node::Null(span.clone()), leaf), anchor)
            }
            Event::Alias(anchor) => return self.alias(anchor, span, block),
            _ => return Err(self.fault(span.start, "a value was expected")),
        };
        // Anchors are numbered from 1.
        if anchor > 0 && (self.expands || matches!(node, Node::Leaf(_) | Node::Null(_))) {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn alias(&mut self, anchor: usize, span: Range<usize>, block: Option<usize>) -> Result<Node, SopsError> {
        let node = match self.anchors.get(&anchor) {
            Some(Node::Leaf(leaf)) => return Ok(Node::Leaf(Leaf { value: leaf.value.clone(), span, block })),
            Some(Node::Null(_)) => return Ok(Node::Null(span)),
            Some(node) => node.clone(),
            None => return Err(self.fault(span.start, "an alias of a map or a list cannot be encrypted: write it out")),
        };
        self.repeated += size_of_node(&node);
        if self.repeated > MOST_REPEATED {
            return Err(self.fault(span.start, "aliases repeat too much"));
        }
        Ok(node)
    }

    fn scalar(&self, text: &str, style: ScalarStyle, tag: Option<&Tag>, at: usize) -> Result<Option<Plain>, SopsError> {
        let name = match tag {
            Some(tag) if tag.is_yaml_core_schema() => Some(tag.suffix.as_str()),
            Some(tag) if tag.handle == "!" && tag.suffix.is_empty() => Some("str"),
            Some(_) => return Err(self.fault(at, "a tag of its own cannot be encrypted")),
            None => None,
        };
        if name == Some("str") || (name.is_none() && style != ScalarStyle::Plain) {
            return Ok(Some(Plain::text(text)));
        }
        match resolve(text) {
            Resolved::Null if matches!(name, None | Some("null")) => Ok(None),
            Resolved::Value(value) if name.is_none_or(|name| fits(name, &value)) => Ok(Some(value)),
            Resolved::TooLarge => Err(self.fault(at, "a number is too large for SOPS: write it as a text, in quotes")),
            _ => Err(self.fault(at, "a value is not of the type that its tag says, or SOPS has no such type")),
        }
    }

    /// What stands up to the end of a map or a list that began at `start`, below a key in the column `block`.
    fn container(
        &mut self,
        start: usize,
        depth: usize,
        is_map: bool,
        block: Option<usize>,
    ) -> Result<Container, SopsError> {
        // The parser does not always say where a block begins: its first entry does.
        let first = self.events.front().map_or(start, |first| first.span.start);
        let begin = if is_map { first } else { dash(self.text, first) };
        let column = self.column(begin).max(if is_map { 0 } else { block.map_or(0, |key| key + 1) });
        let open = self.bracket(start, if is_map { '{' } else { '[' });
        let flow = open.is_some();
        let begin = open.unwrap_or(begin);
        let mut found = Container { items: Vec::new(), span: begin..begin, flow };
        let mut keys = BTreeSet::new();
        loop {
            let Some(next) = self.events.pop_front() else { return Err(self.fault(start, "it does not end")) };
            if matches!(next.event, Event::MappingEnd | Event::SequenceEnd) {
                let end = if flow { next.span.end } else { self.end_of_block() };
                self.comments_before(end, &mut found.items, (!flow).then_some(column));
                found.span.end = if flow { next.span.end } else { found.span.end };
                return Ok(found);
            }
            self.comments_before(next.span.start, &mut found.items, None);
            let entry = if is_map {
                self.member(&next, depth, flow, &mut keys, &mut found.items)?
            } else {
                self.element(next, depth, flow)?
            };
            let end = end_of(&entry.node).max(entry.start);
            found.span.end = found.span.end.max(end);
            found.items.push(Item::Entry(entry));
        }
    }

    /// How far a block reaches as far as comments are concerned: up to what comes next.
    fn end_of_block(&self) -> usize {
        let next = self.events.iter().find(|located| !matches!(located.event, Event::MappingEnd | Event::SequenceEnd));
        next.map_or(self.text.len(), |located| located.span.start)
    }

    fn member(
        &mut self,
        key: &Located<'t>,
        depth: usize,
        flow: bool,
        keys: &mut BTreeSet<String>,
        items: &mut Vec<Item>,
    ) -> Result<Entry, SopsError> {
        let start = key.span.start;
        let Event::Scalar(text, style, _, tag) = &key.event else {
            return Err(self.fault(start, "a key has to be a text"));
        };
        let Some(Plain::Text(_)) = self.scalar(text, *style, tag.as_deref(), start)? else {
            return Err(self.fault(start, "a key has to be a text: put it in quotes"));
        };
        let text = text.to_string();
        if !keys.insert(text.clone()) {
            return Err(self.fault(start, "a key is there twice"));
        }
        let Some(value) = self.events.pop_front() else { return Err(self.fault(start, "a key has no value")) };
        // What stands behind a key stands before it, and not among what it holds.
        while self.comments.front().is_some_and(|comment| comment.inline && comment.start < value.span.start) {
            let comment = self.comments.pop_front();
            items.extend(comment.map(|found| Item::Comment(found.comment(self.text))));
        }
        let block = (!flow).then(|| self.column(start));
        let node = self.node(value, depth + 1, block)?;
        Ok(Entry { key: Some(text), start, node })
    }

    fn element(&mut self, value: Located<'t>, depth: usize, flow: bool) -> Result<Entry, SopsError> {
        let start = value.span.start;
        let block = (!flow).then(|| self.column(start));
        let node = self.node(value, depth + 1, block)?;
        Ok(Entry { key: None, start, node })
    }

    /// Puts the comments up to `end` among the items. At the end of a block those that stand further left are not its own.
    fn comments_before(&mut self, end: usize, items: &mut Vec<Item>, column: Option<usize>) {
        while let Some(comment) = self.comments.front() {
            let foreign = !comment.inline && column.is_some_and(|column| comment.column < column);
            if comment.start >= end || foreign {
                return;
            }
            if let Some(comment) = self.comments.pop_front() {
                place(self.text, &comment, items);
            }
        }
    }

    /// Where the bracket is that opens what begins at `at`, behind its anchor and its tag.
    fn bracket(&self, at: usize, sign: char) -> Option<usize> {
        let mut at = at;
        while self.text[at..].starts_with(['&', '!']) {
            let word = self.text[at..].find(char::is_whitespace)?;
            at += word + self.text[at + word..].len() - self.text[at + word..].trim_start().len();
        }
        self.text[at..].starts_with(sign).then_some(at)
    }

    fn column(&self, at: usize) -> usize {
        let line_start = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        self.text[line_start..at].chars().count()
    }

    fn line(&self, at: usize) -> usize {
        self.text[..at].matches('\n').count() + 1
    }

    fn fault(&self, at: usize, what: &str) -> SopsError {
        SopsError::Syntax { line: self.line(at), what: what.to_owned() }
    }
}

fn size_of_node(node: &Node) -> usize {
    match node {
        Node::Map(inner) | Node::List(inner) => {
            1 + super::tree::entries(&inner.items).map(|entry| size_of_node(&entry.node)).sum::<usize>()
        }
        _ => 1,
    }
}

/// A comment behind a value stands before it, as SOPS has it, and all others where they are.
fn place(text: &str, found: &Found, items: &mut Vec<Item>) {
    let comment = Item::Comment(found.comment(text));
    let behind_value = found.inline
        && matches!(items.last(), Some(Item::Entry(entry)) if matches!(entry.node, Node::Leaf(_) | Node::Null(_)));
    let at = if behind_value { items.len() - 1 } else { items.len() };
    items.insert(at, comment);
}

fn fits(tag: &str, value: &Plain) -> bool {
    matches!(
        (tag, value),
        ("int", Plain::Int(_)) | ("float", Plain::Float(_)) | ("bool", Plain::Bool(_)) | ("timestamp", Plain::Time(_))
    )
}

/// Where the dash of the element is that begins at `at`.
pub(super) fn dash(text: &str, at: usize) -> usize {
    text[..at].rfind('-').unwrap_or(at)
}

/// Where a node ends.
pub(super) fn end_of(node: &Node) -> usize {
    match node {
        Node::Map(inner) | Node::List(inner) => inner.span.end,
        Node::Leaf(leaf) => leaf.span.end,
        Node::Null(span) => span.end,
    }
}

/// The whole lines of a key and its value.
fn lines(text: &str, entry: &Entry) -> Range<usize> {
    let start = text[..entry.start].rfind('\n').map_or(0, |newline| newline + 1);
    let end = end_of(&entry.node);
    start..text[end..].find('\n').map_or(text.len(), |newline| end + newline + 1)
}

/// A member of a map in brackets, with the comma that parts it from another.
pub(super) fn member(text: &str, root: &Container, entry: &Entry) -> Range<usize> {
    let end = end_of(&entry.node);
    let before = text[root.span.start + 1..entry.start].trim_end();
    if before.ends_with(',') {
        return root.span.start + before.len()..end;
    }
    let behind = text[end..].len() - text[end..].trim_start().len();
    let comma = text[end + behind..].starts_with(',');
    root.span.start + 1 + before.len()..if comma { end + behind + 1 } else { end }
}
