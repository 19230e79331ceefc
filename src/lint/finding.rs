//! What was found, and where.

use std::ops::Range;

use rnix::TextRange;
use serde::{Deserialize, Serialize};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
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
    /// What mends it.
    pub fix: Option<Fix>,
    /// Whether what stands at `span` must not be shown.
    pub hidden: bool,
}

/// An edit that mends a finding.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fix {
    /// The bytes that are replaced.
    pub span: Range<usize>,
    /// What they are replaced by.
    pub text: String,
    /// Whether the file is sure to mean the same afterwards.
    pub safe: bool,
}

impl Finding {
    /// An error at `span`.
    /// Something that none of the rules here has found, for those who find more.
    pub fn other(
        (rule, severity): (&'static str, Severity),
        span: Range<usize>,
        message: String,
        hint: Option<String>,
    ) -> Self {
        Self { rule, severity, span, message, label: None, related: Vec::new(), hint, fix: None, hidden: false }
    }

    pub(super) fn error(rule: &'static str, span: impl Span, message: impl Into<String>) -> Self {
        Self {
            rule,
            severity: Severity::Error,
            span: span.bytes(),
            message: message.into(),
            label: None,
            related: Vec::new(),
            hint: None,
            fix: None,
            hidden: false,
        }
    }

    /// A finding at `span`, for a rule that says the rest.
    pub(super) fn at(span: impl Span, message: impl Into<String>) -> Self {
        Self::error("", span, message)
    }

    /// Adds an edit that changes nothing of what the file means.
    pub(super) fn safe_fix(mut self, span: impl Span, text: impl Into<String>) -> Self {
        self.fix = Some(Fix { span: span.bytes(), text: text.into(), safe: true });
        self
    }

    /// Adds an edit that may change what the file means.
    pub(super) fn unsafe_fix(mut self, span: impl Span, text: impl Into<String>) -> Self {
        self.fix = Some(Fix { span: span.bytes(), text: text.into(), safe: false });
        self
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
