//! JSON: a tree with the place of every value in the text. Numbers that are whole are whole, as SOPS reads them.

use std::collections::BTreeSet;
use std::ops::Range;

use zeroize::Zeroizing;

use super::error::SopsError;
use super::tree::{Container, DEEPEST, Document, Entry, Item, Leaf, Node};
use super::value::Plain;
use super::yaml::member;

/// Parses a file, encrypted or not.
pub(super) fn parse(text: &str) -> Result<Document, SopsError> {
    let mut reader = Reader { text, at: 0 };
    let root = reader.value(0)?;
    reader.space();
    if reader.at < text.len() {
        return Err(reader.fault("something stands behind the end"));
    }
    let Node::Map(root) = root else { return Err(reader.fault("SOPS needs an object at the top")) };
    Document::nested(vec![root], |root, entry| member(text, root, entry))
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Result<Node, SopsError> {
        if depth > DEEPEST {
            return Err(self.fault("it is nested too deeply"));
        }
        self.space();
        let start = self.at;
        match self.peek() {
            Some(b'{') => self.container(depth, b'}').map(Node::Map),
            Some(b'[') => self.container(depth, b']').map(Node::List),
            Some(b'"') => {
                let text = self.string()?;
                Ok(self.leaf(Plain::Text(Zeroizing::new(text.as_bytes().to_vec())), start))
            }
            Some(_) => self.word(start),
            None => Err(self.fault("a value was expected")),
        }
    }

    fn word(&mut self, start: usize) -> Result<Node, SopsError> {
        let rest = &self.text[start..];
        let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c)).unwrap_or(rest.len());
        let word = &rest[..length];
        self.at += length;
        match word {
            "null" => return Ok(Node::Null(start..self.at)),
            "true" => return Ok(self.leaf(Plain::Bool(true), start)),
            "false" => return Ok(self.leaf(Plain::Bool(false), start)),
            _ => {}
        }
        // The library decides what is a number at all.
        let number = serde_json::from_str::<f64>(word).ok().filter(|number| number.is_finite());
        match (word.parse::<i64>(), number) {
            (Ok(int), Some(_)) => Ok(self.leaf(Plain::Int(int), start)),
            (Err(_), Some(float)) => Ok(self.leaf(Plain::Float(float), start)),
            _ => {
                self.at = start;
                Err(self.fault("a value was expected"))
            }
        }
    }

    fn container(&mut self, depth: usize, close: u8) -> Result<Container, SopsError> {
        let start = self.at;
        self.at += 1;
        let mut items = Vec::new();
        let mut keys = BTreeSet::new();
        loop {
            self.space();
            if self.peek() == Some(close) && items.is_empty() {
                break;
            }
            let begin = self.at;
            let key = if close == b'}' { Some(self.key(&mut keys)?) } else { None };
            let node = self.value(depth + 1)?;
            items.push(Item::Entry(Entry { key, start: begin, node }));
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(sign) if sign == close => break,
                _ => return Err(self.fault("a comma or a bracket was expected")),
            }
        }
        self.at += 1;
        Ok(Container { items, span: start..self.at, flow: true })
    }

    fn key(&mut self, keys: &mut BTreeSet<String>) -> Result<String, SopsError> {
        if self.peek() != Some(b'"') {
            return Err(self.fault("a key in quotes was expected"));
        }
        let key = self.string()?;
        if !keys.insert(key.to_string()) {
            return Err(self.fault("a key is there twice"));
        }
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.fault("a colon was expected"));
        }
        self.at += 1;
        Ok(key.to_string())
    }

    /// The text of a string, whose escapes the library knows.
    fn string(&mut self) -> Result<Zeroizing<String>, SopsError> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut end = start + 1;
        while bytes.get(end).is_some_and(|byte| *byte != b'"') {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        let quoted = self.text.get(start..=end).ok_or_else(|| self.fault("a text does not end"))?;
        let text = serde_json::from_str::<String>(quoted).map_err(|_| self.fault("a text has a bad escape"))?;
        self.at = end + 1;
        Ok(Zeroizing::new(text))
    }

    fn leaf(&self, value: Plain, start: usize) -> Node {
        Node::Leaf(Leaf { value, span: Range { start, end: self.at }, block: None })
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn fault(&self, what: &str) -> SopsError {
        let line = self.text.get(..self.at).unwrap_or(self.text).matches('\n').count() + 1;
        SopsError::Syntax { line, what: what.to_owned() }
    }
}
