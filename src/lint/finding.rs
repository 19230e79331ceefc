//! What was found, and where.

use std::ops::Range;

use rnix::TextRange;
use serde::Serialize;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Works, and should not stay so.
    Warning,
    /// Does not work, or must not be deployed.
    Error,
}

impl Severity {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Another place that has to do with a finding.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Related {
    /// Its bytes in the same file.
    pub span: Range<usize>,
    /// What it is.
    pub text: String,
}

/// Something that was found in a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// The name of what was looked for.
    pub rule: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// Its bytes in the file.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// The words at the place itself; none where the message says it all.
    pub label: Option<String>,
    /// Other places that it takes to see why.
    pub related: Vec<Related>,
    /// What helps.
    pub hint: Option<String>,
}

impl Finding {
    /// An error at `span`.
    pub(super) fn error(rule: &'static str, span: impl Span, message: impl Into<String>) -> Self {
        Self {
            rule,
            severity: Severity::Error,
            span: span.bytes(),
            message: message.into(),
            label: None,
            related: Vec::new(),
            hint: None,
        }
    }

    /// Adds the words at the place.
    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Adds another place.
    pub(super) fn related(mut self, span: impl Span, text: impl Into<String>) -> Self {
        self.related.push(Related { span: span.bytes(), text: text.into() });
        self
    }

    /// Adds what helps.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// What can say where something is.
pub(super) trait Span {
    /// The bytes.
    fn bytes(self) -> Range<usize>;
}

impl Span for Range<usize> {
    fn bytes(self) -> Range<usize> {
        self
    }
}

impl Span for TextRange {
    fn bytes(self) -> Range<usize> {
        usize::from(self.start())..usize::from(self.end())
    }
}
