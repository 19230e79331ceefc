//! The formats of files, and how values are written in each.

use std::path::Path;

use zeroize::Zeroizing;

use super::error::SopsError;
use super::metadata::Wrapped;
use super::tree::{Comment, Container, Document, Edits, Leaf, splice};
use super::value::Plain;
use super::write::{flat_block, flat_recipients, json_block, json_recipients, yaml_block, yaml_recipients};
use super::{json, lines, yaml, yaml_write};

/// In which format a file is. A binary file is encrypted as a whole, in an envelope of JSON.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// YAML, of one or several documents.
    Yaml,
    /// JSON.
    Json,
    /// `KEY=value` in lines.
    Env,
    /// `key = value` in sections.
    Ini,
    /// Anything else.
    Binary,
}

impl Format {
    /// The format that the name of a file asks for.
    pub fn of(path: &Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("yaml" | "yml") => Self::Yaml,
            Some("json") => Self::Json,
            Some("env") => Self::Env,
            Some("ini") => Self::Ini,
            _ => Self::Binary,
        }
    }

    /// The format that sops-nix calls so.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "yaml" => Some(Self::Yaml),
            "json" => Some(Self::Json),
            "dotenv" => Some(Self::Env),
            "ini" => Some(Self::Ini),
            "binary" => Some(Self::Binary),
            _ => None,
        }
    }

    /// Whether this is a content that a file of this format can get.
    ///
    /// # Errors
    ///
    /// When it is not of this format, or has a block of SOPS already.
    pub fn check(self, plaintext: &[u8]) -> Result<(), SopsError> {
        if self == Self::Binary {
            return Ok(());
        }
        let document = self.parse(utf8(plaintext)?)?;
        if document.block.is_some() || !document.block_spans.is_empty() {
            return Err(SopsError::AlreadyEncrypted);
        }
        Ok(())
    }

    /// Parses a file that is encrypted, or is the plaintext of one.
    pub(super) fn parse(self, text: &str) -> Result<Document, SopsError> {
        match self {
            Self::Yaml => yaml::parse(text),
            Self::Json | Self::Binary => json::parse(text),
            Self::Env => lines::parse_env(text),
            Self::Ini => lines::parse_ini(text),
        }
    }

    /// Whether a root is in brackets, so that what is added goes before the last.
    fn in_brackets(document: &Document) -> bool {
        document.roots.first().is_some_and(|root| root.flow)
    }

    /// An encrypted value as it stands in the text.
    pub(super) fn sealed(self, leaf: &Leaf, sealed: &str) -> Zeroizing<String> {
        Zeroizing::new(match self {
            // In brackets a comma would end a value without quotes.
            Self::Yaml if leaf.block.is_some() && !sealed.is_empty() => sealed.to_owned(),
            Self::Yaml | Self::Json | Self::Binary => format!("\"{sealed}\""),
            Self::Env | Self::Ini => sealed.to_owned(),
        })
    }

    /// A value in the clear as it stands in the text, in the place of `leaf`. `blocks`: whether YAML may use several lines.
    pub(super) fn plain(
        self,
        value: &Plain,
        leaf: &Leaf,
        text: &str,
        blocks: bool,
    ) -> Result<Zeroizing<String>, SopsError> {
        match self {
            Self::Yaml => yaml_write::value(value, leaf, text, blocks),
            Self::Json | Self::Binary => yaml_write::json(value),
            Self::Env => Ok(Zeroizing::new(utf8(&value.bytes())?.replace('\n', "\\n"))),
            Self::Ini => ini(utf8(&value.bytes())?),
        }
    }

    /// A comment in the clear.
    pub(super) fn comment(self, comment: &Comment, plain: &str) -> Result<Zeroizing<String>, SopsError> {
        let several = plain.contains('\n') && self != Self::Ini;
        if several || comment.span.is_empty() {
            return Err(SopsError::Unwritable("a comment of several lines cannot be written"));
        }
        Ok(Zeroizing::new(plain.to_owned()))
    }

    /// The `sops` block as it stands in the text, for another body.
    pub(super) fn block(text: &str, document: &Document) -> String {
        let block: String = document.block_spans.iter().map(|span| &text[span.clone()]).collect();
        block.trim_start_matches(',').trim_end_matches(',').to_owned()
    }

    /// A body with a `sops` block behind all else.
    pub(super) fn join(self, body: &str, block: &str) -> Result<Zeroizing<String>, SopsError> {
        let document = self.parse(body)?;
        if Self::in_brackets(&document) {
            let root = &document.roots[0];
            let at = root.span.start + body[root.span.start..root.span.end - 1].trim_end().len();
            let comma = if root.items.is_empty() { "" } else { "," };
            let end = if block.contains('\n') && !body[at..root.span.end].contains('\n') { "\n" } else { "" };
            return Ok(splice(body, vec![(at..at, Zeroizing::new(format!("{comma}{block}{end}")))]));
        }
        let gap = if body.is_empty() || body.ends_with('\n') { "" } else { "\n" };
        Ok(Zeroizing::new([body, gap, block].concat()))
    }

    /// A new `sops` block for a body.
    pub(super) fn new_block(
        self,
        body: &str,
        recipients: &[Wrapped],
        settings: &[(String, String)],
    ) -> Result<String, SopsError> {
        Ok(match self {
            Self::Yaml if !Self::in_brackets(&self.parse(body)?) => yaml_block(recipients, settings),
            Self::Yaml | Self::Json | Self::Binary => json_block(body, recipients, settings),
            Self::Env => flat_block(lines::ENV_PREFIX, "=", recipients, settings),
            Self::Ini => format!("[sops]\n{}", flat_block("", " = ", recipients, settings)),
        })
    }

    /// What to change for a file to have these recipients and no others.
    pub(super) fn recipients(
        self,
        text: &str,
        document: &Document,
        recipients: &[Wrapped],
    ) -> Result<Edits, SopsError> {
        let nowhere = || SopsError::Metadata("has no list of age recipients".to_owned());
        let fields = document.block.as_deref().unwrap_or_default();
        match self {
            Self::Env => flat_recipients(text, fields, lines::ENV_PREFIX, "=", recipients).ok_or_else(nowhere),
            Self::Ini => flat_recipients(text, fields, "", " = ", recipients).ok_or_else(nowhere),
            Self::Yaml | Self::Json | Self::Binary => {
                let list: &Container = document.recipients.as_ref().ok_or_else(nowhere)?;
                let new = if list.flow {
                    json_recipients(text, list, recipients)
                } else {
                    yaml_recipients(text, list, recipients)
                };
                Ok(vec![(list.span.clone(), Zeroizing::new(new))])
            }
        }
    }

    /// A setting of the block as it stands in the text.
    pub(super) fn setting(self, document: &Document, text: &str) -> String {
        match self {
            Self::Yaml if !Self::in_brackets(document) => yaml_write::setting(text).to_string(),
            Self::Yaml | Self::Json | Self::Binary => format!("\"{text}\""),
            Self::Env | Self::Ini => text.to_owned(),
        }
    }
}

/// The text of a value that has to be one.
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, SopsError> {
    std::str::from_utf8(bytes)
        .map_err(|_| SopsError::Unwritable("a value is not text, which only a binary file can hold"))
}

fn ini(text: &str) -> Result<Zeroizing<String>, SopsError> {
    if text.contains(['\n', '\r']) {
        return Err(SopsError::Unwritable("an INI file cannot hold a value of several lines"));
    }
    let quote =
        text.contains([';', '#']) || text.trim() != text || text.starts_with(['"', '\'']) || text.ends_with('\\');
    if !quote {
        return Ok(Zeroizing::new(text.to_owned()));
    }
    if text.contains('`') {
        return Err(SopsError::Unwritable("an INI file cannot hold a value with both a backtick and `;` or `#`"));
    }
    Ok(Zeroizing::new(format!("`{text}`")))
}
