//! Findings on the lines that they are about.

use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};

use super::finding::{Finding, Severity};
use super::source::Source;

/// A finding drawn on the lines of its file, with its hint; with colours when `styled`.
pub fn draw(source: &Source, finding: &Finding, styled: bool) -> String {
    let renderer = if styled { Renderer::styled() } else { Renderer::plain() };
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let shown = shown(source, finding);
    let (text, first_line) = (&source.text()[shown.clone()], source.position(shown.start).line);
    let place = |span: &Range<usize>| {
        let span = source.within(span);
        span.start - shown.start..span.end - shown.start
    };
    let primary = AnnotationKind::Primary.span(place(&finding.span));
    let primary = finding.label.iter().fold(primary, |primary, label| primary.label(label.as_str()));
    let others = finding
        .related
        .iter()
        .map(|related| AnnotationKind::Context.span(place(&related.span)).label(related.text.as_str()));
    let annotations: Vec<Annotation<'_>> = std::iter::once(primary).chain(others).collect();
    let excerpt = Snippet::source(text).path(source.path()).line_start(first_line).annotations(annotations);
    let title = level.primary_title(finding.message.as_str()).id(finding.rule);
    let mut group = Group::with_title(title).element(excerpt);
    if let Some(hint) = &finding.hint {
        group = group.element(Level::HELP.with_name("hint").message(hint.as_str()));
    }
    renderer.render(&[group])
}

/// The lines that a finding is about. To draw on the whole of a large file takes long.
fn shown(source: &Source, finding: &Finding) -> Range<usize> {
    let spans = || std::iter::once(&finding.span).chain(finding.related.iter().map(|related| &related.span));
    let start = spans().map(|span| span.start).min().unwrap_or_default();
    let end = spans().map(|span| span.end).max().unwrap_or_default();
    let (first, last) = (source.position(start).line, source.position(end).line);
    source.line(first).start..source.line(last).end
}
