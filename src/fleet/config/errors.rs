//! All that is wrong with one `hub.toml`, and how it is shown.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::problem::{Located, Problem};
use crate::lint::{floor, within};

/// How many problems are drawn; a file with more is better mended from the top.
const DRAWN: usize = 20;

/// A text and where it was read.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

impl Source {
    /// The line and column of a byte, both from 1, the column in characters.
    pub(super) fn position(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..floor(&self.text, offset)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

/// Everything that is wrong with one `hub.toml`, in the file's order.
///
/// `Display` is one line per problem, with path, line and column in front; [`ConfigErrors::render`] draws the file's
/// lines and adds the hints.
#[derive(Clone, Debug)]
pub struct ConfigErrors {
    source: Arc<Source>,
    found: Vec<Located>,
}

impl ConfigErrors {
    pub(super) fn new(source: Arc<Source>, mut found: Vec<Located>) -> Self {
        found.sort_by_key(|(span, _)| (span.start, span.end));
        Self { source, found }
    }

    /// The file that is at fault.
    pub fn path(&self) -> &Path {
        &self.source.path
    }

    /// Each problem with the number of its line.
    pub fn problems(&self) -> impl Iterator<Item = (usize, &Problem)> {
        self.found.iter().map(|(span, problem)| (self.source.position(span.start).0, problem))
    }

    /// The problems drawn on the file's own lines, with hints; with colours when `styled`.
    pub fn render(&self, styled: bool) -> String {
        let renderer = if styled { Renderer::styled() } else { Renderer::plain() };
        let mut drawn: Vec<String> =
            self.found.iter().take(DRAWN).map(|located| self.draw(&renderer, located)).collect();
        if let Some(rest) = self.found.len().checked_sub(DRAWN).filter(|rest| *rest > 0) {
            drawn.push(format!("{rest} more problems in {}", self.source.path.display()));
        }
        drawn.join("\n\n")
    }

    fn draw(&self, renderer: &Renderer, (span, problem): &Located) -> String {
        let path = self.source.path.to_string_lossy();
        let excerpt = Snippet::source(self.source.text.as_str())
            .path(path.as_ref())
            .annotation(AnnotationKind::Primary.span(within(&self.source.text, span)));
        let mut group = Group::with_title(Level::ERROR.primary_title(problem.to_string())).element(excerpt);
        if let Some(hint) = problem.hint() {
            group = group.element(Level::HELP.with_name("hint").message(hint));
        }
        renderer.render(&[group])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (span, problem)) in self.found.iter().enumerate() {
            let (line, column) = self.source.position(span.start);
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{}:{line}:{column}: {problem}", self.source.path.display())?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters() {
        let source = Source { path: "hub.toml".into(), text: "ä = 1\nb = ü\n".into() };
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(1), (1, 1), "the middle of a character is its beginning");
        assert_eq!(source.position(3), (1, 3));
        assert_eq!(source.position(7), (2, 1));
        assert_eq!(source.position(999), (3, 1));
    }

    #[test]
    fn a_span_beyond_the_text_is_cut() {
        assert_eq!(within("ä", &(1..99)), 0..2);
        assert_eq!(within("", &(5..9)), 0..0);
    }

    #[test]
    fn a_long_list_of_problems_is_cut_with_a_count() {
        let text = "x = 1\n".to_owned();
        let source = Arc::new(Source { path: "hub.toml".into(), text });
        let errors = ConfigErrors::new(source, vec![(0..1, Problem::RoleOfRole); 23]);
        assert!(errors.render(false).ends_with("\n\n3 more problems in hub.toml"));
        assert_eq!(errors.to_string().lines().count(), 23);
    }
}
