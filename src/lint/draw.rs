//! Findings on the lines that they are about.

use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};

use super::finding::{Finding, Severity};
use super::source::{Position, Source};

/// How many bytes apart places may be to be drawn in one excerpt, and how long a place may be. All that lies between them takes time,
/// for each finding anew.
const REACH: usize = 8 << 10;

/// How many bytes of a line are drawn on each side of a place. A terminal has fewer columns, and a file may be a single line.
const AROUND: usize = 300;

/// What stands for the rest of a line.
const REST: &str = "...";

/// Stands behind a path where the place is to be mended: an excerpt that begins within a line has other columns than the file.
const MARK: char = '\u{1}';

/// A finding drawn on the lines of its file, with its hint; with colours when `styled`.
pub fn draw(source: &Source, finding: &Finding, styled: bool) -> String {
    let renderer = if styled { Renderer::styled() } else { Renderer::plain() };
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let (excerpts, path) = (excerpts(source, finding), format!("{}{MARK}", source.path()));
    let title = level.primary_title(finding.message.as_str()).id(finding.rule);
    let snippets = excerpts.iter().map(|excerpt| excerpt.snippet(&path));
    let mut group = Group::with_title(title).elements(snippets);
    if let Some(hint) = &finding.hint {
        group = group.element(Level::HELP.with_name("hint").message(hint.as_str()));
    }
    let drawn = renderer.render(&[group]);
    excerpts.iter().fold(drawn, |drawn, excerpt| placed(drawn, excerpt.place))
}

/// A place with what it is.
struct Place<'a> {
    span: Range<usize>,
    kind: AnnotationKind,
    label: Option<&'a str>,
}

/// A piece of a file with places in it.
struct Excerpt<'a> {
    text: String,
    /// Where in the file the first of its places is.
    place: Position,
    first_line: usize,
    places: Vec<Place<'a>>,
}

/// The place of the finding with others near to it, and each of those that are far away.
fn excerpts<'a>(source: &Source, finding: &'a Finding) -> Vec<Excerpt<'a>> {
    let place = |span, kind, label| Place { span: cut(source, span), kind, label };
    let primary = place(&finding.span, AnnotationKind::Primary, finding.label.as_deref());
    let whole = primary.span.clone();
    let is_near = |other: &Place<'_>| whole.end.max(other.span.end) - whole.start.min(other.span.start) <= REACH;
    let related = finding.related.iter();
    let related = related.map(|related| place(&related.span, AnnotationKind::Context, Some(related.text.as_str())));
    let (near, far): (Vec<_>, Vec<_>) = related.partition(is_near);
    let groups = std::iter::once(std::iter::once(primary).chain(near).collect());
    groups.chain(far.into_iter().map(|place| vec![place])).map(|places| Excerpt::of(source, places)).collect()
}

/// What is drawn of a place: of one that is very long its first line, or the beginning of that.
fn cut(source: &Source, span: &Range<usize>) -> Range<usize> {
    let span = source.within(span);
    if span.len() <= REACH {
        return span;
    }
    let line_end = source.line(source.line_of(span.start)).end;
    source.within(&(span.start..line_end.min(span.start + REACH)))
}

impl<'a> Excerpt<'a> {
    /// The lines of places, each of them as far as it is near to one. The place of the first is that of the excerpt.
    fn of(source: &Source, mut places: Vec<Place<'a>>) -> Self {
        let start = places.iter().map(|place| place.span.start).min().unwrap_or_default();
        let end = places.iter().map(|place| place.span.end).max().unwrap_or_default();
        let (first_line, last_line) = (source.line_of(start), source.line_of(end));
        let lines = source.line(first_line).start..source.line(last_line).end.max(end);
        let near = source.within(&(start.saturating_sub(AROUND)..end + AROUND));
        let shown = lines.start.max(near.start)..lines.end.min(near.end);
        let [before, after] = [shown.start > lines.start, shown.end < lines.end].map(|cut| if cut { REST } else { "" });
        let place = source.position(places.first().map_or(start, |place| place.span.start));
        for place in &mut places {
            let at = |byte: usize| byte - shown.start + before.len();
            place.span = at(place.span.start)..at(place.span.end);
        }
        let text = format!("{before}{}{after}", &source.text()[shown]);
        Self { text, place, first_line, places }
    }

    fn snippet(&self, path: &'a str) -> Snippet<'_, Annotation<'_>> {
        let annotations = self.places.iter().map(|place| {
            let annotation = place.kind.span(place.span.clone());
            place.label.iter().fold(annotation, |annotation, label| annotation.label(*label))
        });
        Snippet::source(self.text.as_str()).path(path).line_start(self.first_line).annotations(annotations)
    }
}

/// The first path that is marked in `drawn` with the place in the file behind it.
fn placed(drawn: String, place: Position) -> String {
    let Some((before, behind)) = drawn.split_once(MARK) else { return drawn };
    let rest = behind.trim_start_matches(|c: char| c == ':' || c.is_ascii_digit());
    format!("{before}:{}:{}{rest}", place.line, place.column)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(span: Range<usize>) -> Finding {
        Finding::error("a-rule", span, "this is wrong").label("here").hint("mend it")
    }

    #[test]
    fn places_that_are_near_are_drawn_together() {
        let source = Source::new("a.nix", "{\n  a = 1;\n  b = 2;\n}\n");
        let drawn = draw(&source, &finding(13..14).related(4..5, "first here"), false);
        assert_eq!(
            drawn,
            "error[a-rule]: this is wrong\n --> a.nix:3:3\n  |\n2 |   a = 1;\n  |   - first here\n3 |   b = 2;\n  |   ^ here\n  |\n  = hint: mend it"
        );
    }

    #[test]
    fn a_long_line_is_drawn_around_its_place_and_the_place_is_the_file_s() {
        for word in ["abcdefgh ", "\u{e4}bcdefgh "] {
            let source = Source::new("a.nix", format!("first\n{}", word.repeat(10_000)));
            let drawn = draw(&source, &finding(source.text().len() / 2..source.text().len() / 2 + 2), false);
            let place = source.position(source.text().len() / 2);
            assert!(place.column > 40_000);
            assert!(drawn.contains(&format!(" --> a.nix:2:{}\n", place.column)), "{drawn}");
            assert!(drawn.contains("2 | ...") && drawn.contains("bcdefgh") && drawn.contains("here"), "{drawn}");
            assert!(drawn.len() < 1000 && !drawn.contains(MARK), "{drawn}");
        }
        // Both ends, and a place that is as long as the line.
        let source = Source::new("a.nix", "x".repeat(100_000));
        for (span, column) in [(0..1, 1), (99_999..100_000, 100_000), (100_000..100_000, 100_001), (0..100_000, 1)] {
            let drawn = draw(&source, &finding(span), true);
            assert!(drawn.contains(&format!("a.nix:1:{column}\n")) && drawn.len() < 10_000, "{drawn}");
        }
    }

    #[test]
    fn places_that_are_far_from_each_other_are_drawn_one_after_the_other() {
        let source = Source::new("a.nix", "abc\n".repeat(10_000));
        let drawn = draw(&source, &finding(39_996..39_999).related(5..6, "first here"), false);
        assert!(drawn.contains("--> a.nix:10000:1\n") && drawn.contains("::: a.nix:2:2\n"), "{drawn}");
        assert!(drawn.contains("- first here") && drawn.lines().count() < 15, "{drawn}");
        // Of what is very long, the beginning is drawn.
        let drawn = draw(&source, &finding(4..39_999), false);
        assert!(
            drawn.contains("--> a.nix:2:1\n") && drawn.contains("^^^ here") && drawn.lines().count() < 10,
            "{drawn}"
        );
    }
}
