//! Changes of `.sops.yaml` that keep comments, anchors and style.

use std::collections::BTreeMap;
use std::path::Path;

use zeroize::Zeroizing;

use super::error::SopsError;
use super::rules::{Home, SopsRule, SopsRules};
use super::tree::{Container, Edits, Entry, Leaf, Node, entries, splice};
use super::value::Plain;
use super::yaml::{self, dash, end_of};
use crate::secrets::age::Recipient;

impl SopsRules {
    /// The rules with another recipient for the files of the rule that is for `file`. A key that has a name in the file is named.
    pub fn granted(&self, file: &Path, recipient: &Recipient) -> Result<String, SopsError> {
        let (number, home) = self.home(file)?;
        if self.all()[number].recipients.contains(recipient) {
            return Ok(self.text.clone());
        }
        let name = anchors(&self.text)?.remove(&recipient.to_string()).map(|name| format!("*{name}"));
        let new = name.unwrap_or_else(|| recipient.to_string());
        let edit = match home {
            Home::List(list) => self.add_to_list(list, &new)?,
            Home::Text(leaf) => self.add_to_text(leaf, &recipient.to_string()),
        };
        let mut expected = self.all()[number].recipients.clone();
        expected.push(recipient.clone());
        self.checked(splice(&self.text, vec![edit]).to_string(), number, &expected)
    }

    /// The rules without a recipient for the files of the rule that is for `file`.
    pub fn revoked(&self, file: &Path, recipient: &Recipient) -> Result<String, SopsError> {
        let (number, home) = self.home(file)?;
        let mut expected = self.all()[number].recipients.clone();
        expected.retain(|one| one != recipient);
        if expected.len() == self.all()[number].recipients.len() {
            return Ok(self.text.clone());
        }
        if expected.is_empty() {
            return Err(SopsError::NoRecipient);
        }
        let edits = match home {
            Home::List(list) => self.remove_from_list(list, recipient),
            Home::Text(leaf) => self.remove_from_text(leaf, recipient),
        };
        self.checked(splice(&self.text, edits).to_string(), number, &expected)
    }

    /// The rules without these recipients in any of them.
    ///
    /// # Errors
    ///
    /// When a rule would have nobody left, or the text cannot be changed without changing more.
    pub fn revoked_everywhere(&self, keys: &[Recipient]) -> Result<String, SopsError> {
        let mut edits: Edits = Vec::new();
        for rule in self.all().iter().filter(|rule| rule.recipients.iter().any(|one| keys.contains(one))) {
            if rule.shamir {
                return Err(SopsError::Shamir);
            }
            for (home, key) in rule.homes.iter().flat_map(|home| keys.iter().map(move |key| (home, key))) {
                let found = match home {
                    Home::List(list) => self.remove_from_list(list, key),
                    Home::Text(leaf) => self.remove_from_text(leaf, key),
                };
                // A list that has a name stands in several rules.
                edits.extend(
                    found
                        .into_iter()
                        .filter(|(span, _)| edits.iter().all(|(there, _)| there != span))
                        .collect::<Vec<_>>(),
                );
            }
        }
        if edits.is_empty() {
            return Ok(self.text.clone());
        }
        let left =
            |rule: &SopsRule| -> Vec<_> { rule.recipients.iter().filter(|one| !keys.contains(one)).cloned().collect() };
        let expected: Vec<_> = self.all().iter().map(left).collect();
        if self.all().iter().zip(&expected).any(|(rule, left)| left.is_empty() && !rule.recipients.is_empty()) {
            return Err(SopsError::NoRecipient);
        }
        edits.sort_by_key(|(span, _)| span.start);
        if edits.windows(2).any(|two| two[0].0.end > two[1].0.start) {
            return Err(SopsError::TooClever);
        }
        self.as_expected(splice(&self.text, edits).to_string(), &expected)
    }

    /// The rules with one more behind all others: for this file alone. Keys that have a name in the file are named.
    ///
    /// # Errors
    ///
    /// When the rules are written in brackets, or an earlier one is for the file.
    pub fn added(&self, file: &Path, recipients: &[Recipient]) -> Result<String, SopsError> {
        let pattern = format!("^{}$", regex::escape(&file.to_string_lossy())).replace('\'', "''");
        let names = anchors(&self.text)?;
        let key = |indent: &str, key: &Recipient| {
            let key = key.to_string();
            let key = names.get(&key).map_or(key, |name| format!("*{name}"));
            format!("\n{indent}          - {key}")
        };
        let rule = |indent: &str| {
            let keys: String = recipients.iter().map(|one| key(indent, one)).collect();
            format!("{indent}- path_regex: '{pattern}'\n{indent}  key_groups:\n{indent}    - age:{keys}\n")
        };
        let roots = yaml::expanded(&self.text)?;
        let text = match roots.first().and_then(|root| super::rules::member(root, "creation_rules")) {
            Some(Node::List(list)) if !list.flow => {
                let entry = entries(&list.items).last().ok_or(SopsError::TooClever)?;
                let dash = dash(&self.text, entry.start);
                let line = self.text[..dash].rfind('\n').map_or(0, |newline| newline + 1);
                let end = end_of(&entry.node).max(entry.start);
                let kept = self.text[..end].trim_end().len();
                // What stands behind its last word on the same line is about it.
                let at = self.text[kept..].find('\n').map_or(self.text.len(), |newline| kept + newline + 1);
                let indent = " ".repeat(self.text[line..dash].chars().count());
                let newline = if self.text[..at].ends_with('\n') { "" } else { "\n" };
                format!("{}{newline}{}{}", &self.text[..at], rule(&indent), &self.text[at..])
            }
            None | Some(Node::Null(_)) if !self.text.contains("creation_rules") => {
                let newline = if self.text.is_empty() || self.text.ends_with('\n') { "" } else { "\n" };
                format!("{}{newline}creation_rules:\n{}", self.text, rule("  "))
            }
            _ => return Err(SopsError::TooClever),
        };
        let mut expected: Vec<_> = self.all().iter().map(|rule| rule.recipients.clone()).collect();
        expected.push(recipients.to_vec());
        let new = Self::parse(&text).map_err(|_| SopsError::TooClever)?;
        let is_last = new.number_for(file) == Some(self.all().len());
        let same = new.all().iter().zip(self.all()).all(|(new, old)| new.pattern() == old.pattern());
        let right = new.all().iter().map(|rule| &rule.recipients).eq(&expected);
        if is_last && same && right { Ok(text) } else { Err(SopsError::TooClever) }
    }

    /// The rules with this key under a name: in the place of the one that has it, wherever that stands, or behind the keys that have
    /// names. Where none has one, they stay as they are.
    ///
    /// # Errors
    ///
    /// When the text cannot be changed without changing more.
    pub fn bound(&self, name: &str, key: &Recipient) -> Result<String, SopsError> {
        let old = self.named(name);
        let text = match (&old, self.named_keys()?) {
            (Some(old), _) => self.text.replace(&old.to_string(), &key.to_string()),
            (None, None) => return Ok(self.text.clone()),
            (None, Some(list)) => {
                splice(&self.text, vec![self.add_to_list(&list, &format!("&{name} {key}"))?]).to_string()
            }
        };
        let renamed = |rule: &SopsRule| {
            let mut renamed: Vec<Recipient> = Vec::new();
            for one in &rule.recipients {
                let one = if old.as_ref() == Some(one) { key } else { one };
                if !renamed.contains(one) {
                    renamed.push(one.clone());
                }
            }
            renamed
        };
        let text = self.as_expected(text, &self.all().iter().map(renamed).collect::<Vec<_>>())?;
        let new = Self::parse(&text)?;
        let others_stay = self.names().iter().all(|other| other == name || new.named(other) == self.named(other));
        if others_stay && new.named(name).as_ref() == Some(key) { Ok(text) } else { Err(SopsError::TooClever) }
    }

    /// The list at the top in which keys have names.
    fn named_keys(&self) -> Result<Option<Container>, SopsError> {
        let roots = yaml::expanded(&self.text)?;
        let is_named = |entry: &Entry| match &entry.node {
            Node::Leaf(leaf) => self.text[leaf.span.clone()].starts_with('&'),
            _ => false,
        };
        let lists = roots.iter().flat_map(|root| entries(&root.items)).filter_map(|entry| match &entry.node {
            Node::List(list) if entries(&list.items).any(is_named) => Some(list.clone()),
            _ => None,
        });
        Ok(lists.last())
    }

    /// The key that the file gives this name.
    pub fn named(&self, name: &str) -> Option<Recipient> {
        let found = anchors(&self.text).ok()?;
        found.iter().find(|(_, there)| *there == name)?.0.parse().ok()
    }

    /// The names that the file gives to keys.
    pub fn names(&self) -> Vec<String> {
        let keys = anchors(&self.text).unwrap_or_default().into_iter();
        keys.filter(|(key, _)| key.parse::<Recipient>().is_ok()).map(|(_, name)| name).collect()
    }

    /// The one place where the recipients of a file's rule stand.
    fn home(&self, file: &Path) -> Result<(usize, &Home), SopsError> {
        let number = self.number_for(file).ok_or(SopsError::NoRule)?;
        let rule = &self.all()[number];
        if rule.shamir {
            return Err(SopsError::Shamir);
        }
        match rule.homes.as_slice() {
            [home] => Ok((number, home)),
            _ => Err(SopsError::TooClever),
        }
    }

    /// Makes sure that a change did what it should to one rule, and nothing to the others.
    fn checked(&self, text: String, number: usize, expected: &[Recipient]) -> Result<String, SopsError> {
        let wanted = |(at, rule): (usize, &SopsRule)| if at == number { expected } else { &rule.recipients }.to_vec();
        self.as_expected(text, &self.all().iter().enumerate().map(wanted).collect::<Vec<_>>())
    }

    /// Makes sure that a changed text has these recipients in its rules, and is the same otherwise.
    fn as_expected(&self, text: String, expected: &[Vec<Recipient>]) -> Result<String, SopsError> {
        let new = Self::parse(&text).map_err(|_| SopsError::TooClever)?;
        let right = new.all().len() == self.all().len()
            && new.all().iter().zip(self.all()).zip(expected).all(|((new, old), expected)| {
                new.recipients == *expected && new.pattern() == old.pattern() && new.foreign == old.foreign
            });
        if right { Ok(text) } else { Err(SopsError::TooClever) }
    }

    fn add_to_list(
        &self,
        list: &Container,
        new: &str,
    ) -> Result<(std::ops::Range<usize>, Zeroizing<String>), SopsError> {
        let below = entries(&list.items).last().ok_or(SopsError::TooClever)?;
        let end = end_of(&below.node);
        if list.flow {
            return Ok((end..end, Zeroizing::new(format!(", {new}"))));
        }
        // On a line of its own, below the last and what stands behind that.
        let line_end = self.text[end..].find('\n').map_or(self.text.len(), |newline| end + newline);
        let dash = dash(&self.text, below.start);
        let line_start = self.text[..dash].rfind('\n').map_or(0, |newline| newline + 1);
        let indent = " ".repeat(self.text[line_start..dash].chars().count());
        let gap = &self.text[dash + 1..below.start];
        Ok((line_end..line_end, Zeroizing::new(format!("\n{indent}-{gap}{new}"))))
    }

    fn add_to_text(&self, leaf: &Leaf, new: &str) -> (std::ops::Range<usize>, Zeroizing<String>) {
        let text = &self.text[leaf.span.clone()];
        let inside = text.trim_end_matches(['"', '\'']);
        let at = leaf.span.start + inside.len();
        let comma = if inside.ends_with(',') { "" } else { "," };
        let line = text.rfind('\n').map(|newline| &text[newline + 1..]);
        let indent = line.map(|line| &line[..line.len() - line.trim_start().len()]);
        let gap = indent.map_or_else(String::new, |indent| format!("\n{indent}"));
        (at..at, Zeroizing::new(format!("{comma}{gap}{new}")))
    }

    fn remove_from_list(&self, list: &Container, recipient: &Recipient) -> Edits {
        let is_it = |entry: &&Entry| {
            super::rules::text_of(&entry.node).and_then(|text| text.parse().ok()).as_ref() == Some(recipient)
        };
        let span = |entry: &Entry| if list.flow { yaml::member(&self.text, list, entry) } else { self.line_of(entry) };
        entries(&list.items).filter(is_it).map(|entry| (span(entry), Zeroizing::default())).collect()
    }

    fn line_of(&self, entry: &Entry) -> std::ops::Range<usize> {
        let start = self.text[..entry.start].rfind('\n').map_or(0, |newline| newline + 1);
        let end = end_of(&entry.node);
        start..self.text[end..].find('\n').map_or(self.text.len(), |newline| end + newline + 1)
    }

    fn remove_from_text(&self, leaf: &Leaf, recipient: &Recipient) -> Edits {
        let text = &self.text[leaf.span.clone()];
        let wanted = recipient.to_string();
        let Some(at) = text.find(&wanted) else { return Vec::new() };
        let (before, behind) = (&text[..at], &text[at + wanted.len()..]);
        // With the comma behind it and what follows that up to the next, or with the one before it.
        let comma = behind.trim_start().starts_with(',').then(|| behind.find(',').unwrap_or_default() + 1);
        let span = match comma {
            Some(comma) => {
                let rest = &behind[comma..];
                at..at + wanted.len() + comma + (rest.len() - rest.trim_start().len())
            }
            None => before.trim_end().trim_end_matches(',').len()..at + wanted.len(),
        };
        vec![(leaf.span.start + span.start..leaf.span.start + span.end, Zeroizing::default())]
    }
}

/// The names that values have in a file.
fn anchors(text: &str) -> Result<BTreeMap<String, String>, SopsError> {
    let mut found = BTreeMap::new();
    for root in yaml::expanded(text)? {
        collect(text, &Node::Map(root), &mut found);
    }
    Ok(found)
}

fn collect(text: &str, node: &Node, into: &mut BTreeMap<String, String>) {
    match node {
        Node::Map(inner) | Node::List(inner) => {
            entries(&inner.items).for_each(|entry| collect(text, &entry.node, into));
        }
        Node::Leaf(Leaf { value: Plain::Text(value), span, .. }) => {
            let name = text[span.clone()].strip_prefix('&').and_then(|rest| rest.split_whitespace().next());
            if let (Some(name), Ok(value)) = (name, std::str::from_utf8(value)) {
                into.entry(value.to_owned()).or_insert_with(|| name.to_owned());
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
