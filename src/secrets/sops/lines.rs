//! The formats of lines: ENV files and INI files.

use std::ops::Range;

use zeroize::Zeroizing;

use super::error::SopsError;
use super::tree::{Comment, Container, Document, Entry, Field, Item, Leaf, Node};
use super::value::Plain;

/// What the names of SOPS's own lines begin with in an ENV file.
pub(super) const ENV_PREFIX: &str = "sops_";

/// The lines of a text without their ends, with their places; the place of a line ends behind its end.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str, Range<usize>)> {
    let mut at = 0;
    text.split_inclusive('\n').enumerate().map(move |(index, line)| {
        let whole = at..at + line.len();
        at = whole.end;
        (index + 1, line.strip_suffix('\n').unwrap_or(line), whole)
    })
}

fn leaf(text: &str, span: Range<usize>) -> Node {
    Node::Leaf(Leaf { value: Plain::text(text), span, block: None })
}

/// Parses an ENV file: `KEY=value` with `\n` for a line end, and comments.
pub(super) fn parse_env(text: &str) -> Result<Document, SopsError> {
    let mut found = Document::default();
    let mut items = Vec::new();
    let mut block = Vec::new();
    for (number, line, whole) in lines(text) {
        if line.is_empty() {
            continue;
        }
        let start = whole.start;
        if let Some(comment) = line.strip_prefix('#') {
            let span = start + 1..start + line.len();
            items.push(Item::Comment(Comment { text: Zeroizing::new(comment.to_owned()), span }));
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            return Err(SopsError::Syntax { line: number, what: "it is not of the form KEY=value".to_owned() });
        };
        let span = start + key.len() + 1..start + line.len();
        let value = Zeroizing::new(value.replace("\\n", "\n"));
        if let Some(name) = key.strip_prefix(ENV_PREFIX) {
            found.block_spans.push(whole);
            block.push(Field { name: name.to_owned(), text: value.to_string(), span });
        } else {
            items.push(Item::Entry(Entry { key: Some(key.to_owned()), start, node: leaf(&value, span) }));
        }
    }
    found.roots.push(Container { items, span: 0..text.len(), flow: false });
    found.block = (!block.is_empty()).then_some(block);
    Ok(found)
}

/// Parses an INI file. Keys before the first section are in the section `DEFAULT`, as SOPS has it.
pub(super) fn parse_ini(text: &str) -> Result<Document, SopsError> {
    let mut ini = Ini { text, found: Document::default(), sections: vec![section("DEFAULT", 0)], comment: None };
    for (number, line, whole) in lines(text) {
        ini.line(number, line, &whole)?;
    }
    ini.flush();
    let mut items = Vec::new();
    for (section, node) in ini.sections {
        if section == "sops" {
            let mut fields = Vec::new();
            super::tree::flatten("", &node.node, &mut fields);
            for field in &mut fields {
                field.text = field.text.replace("\\n", "\n");
            }
            ini.found.block = Some(fields);
            ini.found.block_spans.push(block_span(text, node.start));
        } else {
            items.push(Item::Entry(node));
        }
    }
    ini.found.roots.push(Container { items, span: 0..text.len(), flow: false });
    Ok(ini.found)
}

struct Ini<'t> {
    text: &'t str,
    found: Document,
    sections: Vec<(String, Entry)>,
    /// The lines of comment that were seen last; they are about the key or section that follows.
    comment: Option<Range<usize>>,
}

impl Ini<'_> {
    fn line(&mut self, number: usize, line: &str, whole: &Range<usize>) -> Result<(), SopsError> {
        let fault = |what: &str| Err(SopsError::Syntax { line: number, what: what.to_owned() });
        let trimmed = line.trim();
        let at = whole.start + (line.len() - line.trim_start().len());
        if trimmed.starts_with([';', '#']) {
            let end = at + trimmed.len();
            let start = self.comment.as_ref().map_or(at, |comment| comment.start);
            self.comment = Some(start..end);
        } else if let Some(rest) = trimmed.strip_prefix('[') {
            let Some(name) = rest.strip_suffix(']') else { return fault("a section does not end") };
            if self.sections.iter().any(|(section, _)| section == name) {
                return fault("a section is there twice");
            }
            self.sections.push(section(name.trim(), whole.start));
            self.flush();
        } else if !trimmed.is_empty() {
            let Some(sign) = trimmed.find(['=', ':']) else { return fault("it is not of the form key = value") };
            let (key, value) = (trimmed[..sign].trim(), trimmed[sign + 1..].trim());
            let value_at = at + sign + 1 + (trimmed[sign + 1..].len() - trimmed[sign + 1..].trim_start().len());
            if value.ends_with('\\') || value.starts_with("\"\"\"") || key.starts_with(['"', '`']) || key == "-" {
                return fault("values of several lines, quoted keys and keys without a name are not supported");
            }
            let value = unquoted(value);
            if value.is_none_or(|value| value.contains([';', '#']) && value.len() == trimmed[sign + 1..].trim().len()) {
                return fault("a comment behind a value is not supported: give it a line of its own");
            }
            let span = value_at..at + trimmed.len();
            let node = leaf(value.unwrap_or_default(), span);
            self.push(Item::Entry(Entry { key: Some(key.to_owned()), start: whole.start, node }));
            self.flush();
        }
        Ok(())
    }

    /// SOPS has the comment of a key behind it, and that of a section before its first key.
    fn flush(&mut self) {
        let Some(span) = self.comment.take() else { return };
        let text = &self.text[span.clone()];
        let sign = if text.starts_with(';') { [';', ' '] } else { ['#', ' '] };
        let body = text.trim_start_matches(sign);
        let span = span.end - body.len()..span.end;
        self.push(Item::Comment(Comment { text: Zeroizing::new(body.to_owned()), span }));
    }

    fn push(&mut self, item: Item) {
        if let Some((_, Entry { node: Node::Map(section), .. })) = self.sections.last_mut() {
            section.items.push(item);
        }
    }
}

fn section(name: &str, start: usize) -> (String, Entry) {
    (name.to_owned(), Entry { key: Some(name.to_owned()), start, node: Node::Map(Container::default()) })
}

/// A value without the quotes around it.
fn unquoted(value: &str) -> Option<&str> {
    for quote in ['"', '`', '\''] {
        if let Some(rest) = value.strip_prefix(quote) {
            return rest.strip_suffix(quote).filter(|inner| !inner.contains(quote));
        }
    }
    Some(value)
}

/// A section up to the next one.
fn block_span(text: &str, start: usize) -> Range<usize> {
    let mut behind = lines(&text[start..]).skip(1).filter(|(_, line, _)| line.trim_start().starts_with('['));
    start..behind.next().map_or(text.len(), |(_, _, whole)| start + whole.start)
}
