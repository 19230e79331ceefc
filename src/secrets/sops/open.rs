//! A file's values in the clear, once its MAC has been checked.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::Range;

use sha2::{Digest as _, Sha512};
use zeroize::Zeroizing;

use super::cipher::{self, DataKey, Nonce, Opened};
use super::error::{At as _, SopsError};
use super::metadata::Metadata;
use super::rule::Rule;
use super::tree::{Comment, Document, Leaf, Step, What, aad, walk};
use super::value::Plain;

/// What is hashed first where only encrypted values are, so that such a MAC is never one over all of them.
const ONLY_ENCRYPTED: [u8; 32] = [
    0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b, 0x0b, 0x97, 0x5b,
    0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
];

/// A value or a comment of a file.
pub(super) struct Content<'d> {
    /// What it is bound to.
    pub(super) aad: String,
    pub(super) path: Vec<String>,
    pub(super) steps: Vec<Step>,
    pub(super) kind: Kind<'d>,
    /// Whether the rule says that it is encrypted.
    pub(super) encrypted: bool,
    /// The nonce under which it stands in the file.
    pub(super) nonce: Option<Nonce>,
}

/// What it is, with the text in the clear.
pub(super) enum Kind<'d> {
    Value { leaf: &'d Leaf, plain: Plain },
    Comment { comment: &'d Comment, plain: Zeroizing<String> },
}

impl Content<'_> {
    pub(super) fn span(&self) -> &Range<usize> {
        match &self.kind {
            Kind::Value { leaf, .. } => &leaf.span,
            Kind::Comment { comment, .. } => &comment.span,
        }
    }
}

/// The contents of a document as they stand there, with what the rule says of each.
pub(super) fn contents<'d>(document: &'d Document, rule: &Rule) -> Result<Vec<Content<'d>>, SopsError> {
    let mut found = Vec::new();
    walk(&document.roots, &mut |visit| {
        let kind = match visit.what {
            What::Leaf(leaf) => Kind::Value { leaf, plain: leaf.value.clone() },
            What::Comment(comment) => Kind::Comment { comment, plain: comment.text.clone() },
        };
        found.push(Content {
            aad: visit.aad(),
            path: visit.path.to_vec(),
            steps: visit.steps.to_vec(),
            kind,
            encrypted: rule.encrypts(visit),
            nonce: None,
        });
        Ok(())
    })?;
    Ok(found)
}

/// Decrypts a document and checks its MAC.
pub(super) fn open<'d>(
    document: &'d Document,
    metadata: &Metadata,
    key: &DataKey,
) -> Result<Vec<Content<'d>>, SopsError> {
    let mut found = contents(document, &metadata.rule)?;
    let paths: Vec<Vec<String>> = found.iter().map(|content| content.path.clone()).collect();
    for (index, content) in found.iter_mut().enumerate() {
        if !content.encrypted {
            continue;
        }
        match &mut content.kind {
            Kind::Value { plain, .. } => {
                if let Some((value, nonce)) = open_value(plain, key, &content.aad).at(&content.path)? {
                    (*plain, content.nonce) = (value, Some(nonce));
                }
            }
            Kind::Comment { plain, .. } if cipher::is_sealed(plain) => {
                let near = &paths[index.saturating_sub(1)..paths.len().min(index + 2)];
                let opened = open_comment(plain, key, near);
                let (text, nonce, aad) = opened.ok_or(SopsError::Tampered).at(&content.path)?;
                (*plain, content.nonce, content.aad) = (text, Some(nonce), aad);
            }
            // Old versions of SOPS left comments as they were.
            Kind::Comment { .. } => {}
        }
    }
    let expected = cipher::open(&metadata.mac.text, key, &metadata.last_modified.text)
        .map_err(|_| SopsError::MacMismatch)
        .map(|(opened, _)| opened)?;
    let computed = mac(&found, metadata.mac_only_encrypted);
    match expected {
        Opened::Value(Plain::Text(text)) if *text == computed.into_bytes() => Ok(found),
        _ => Err(SopsError::MacMismatch),
    }
}

fn open_value(plain: &Plain, key: &DataKey, aad: &str) -> Result<Option<(Plain, Nonce)>, SopsError> {
    let Plain::Text(bytes) = plain else { return Err(SopsError::NotSealed) };
    if bytes.is_empty() {
        return Ok(None);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| SopsError::NotSealed)?;
    match cipher::open(text, key, aad)? {
        (Opened::Value(value), nonce) => Ok(Some((value, nonce))),
        (Opened::Comment(_), _) => Err(SopsError::NotSealed),
    }
}

/// A comment belongs to one of the maps around it; which one, only the library that SOPS uses knows. It opens for no other.
fn open_comment(text: &str, key: &DataKey, near: &[Vec<String>]) -> Option<(Zeroizing<String>, Nonce, String)> {
    let maps: BTreeSet<String> =
        near.iter().flat_map(|path| (0..=path.len()).map(|length| aad(&path[..length]))).collect();
    maps.into_iter().find_map(|aad| match cipher::open(text, key, &aad) {
        Ok((Opened::Comment(plain), nonce)) => Some((plain, nonce, aad)),
        _ => None,
    })
}

/// The MAC over the values in their order.
pub(super) fn mac(contents: &[Content<'_>], only_encrypted: bool) -> String {
    let mut hash = Sha512::new();
    if only_encrypted {
        hash.update(ONLY_ENCRYPTED);
    }
    for content in contents {
        if let Kind::Value { plain, .. } = &content.kind
            && (content.encrypted || !only_encrypted)
        {
            hash.update(&*plain.bytes());
        }
    }
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02X}");
        text
    })
}
