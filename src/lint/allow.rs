//! Comments that allow what a rule finds: `# hubctl: allow RULE: reason`.
//!
//! One behind code holds for its line, one on a line of its own for the next line with code, and `allow-file` for the whole file. A
//! reason has to be given, and one that allows nothing is found itself.

use std::collections::HashMap;
use std::ops::Range;

use rnix::SyntaxKind::TOKEN_COMMENT;
use rnix::ast;
use rowan::ast::AstNode as _;
use serde::{Deserialize, Serialize};

use super::finding::{Finding, Severity};
use super::rules::{self, RULES};
use super::source::Source;
use crate::error::nearest;

/// The name of what is wrong with such a comment.
pub(super) const ALLOW: &str = "allow-comment";

/// A rule that a comment allows.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Allow {
    rule: String,
    /// The line that it holds for; none for the whole file.
    line: Option<usize>,
    /// Where it stands.
    span: Range<usize>,
}

/// The comments of a tree that allow something, and what is wrong with them.
pub(super) fn allows(source: &Source, tree: &ast::Root) -> (Vec<Allow>, Vec<Finding>) {
    let (mut allows, mut found) = (Vec::new(), Vec::new());
    if !source.text().contains("hubctl:") {
        return (allows, found);
    }
    let code = Code::of(source);
    let tokens = tree.syntax().descendants_with_tokens().filter_map(rnix::NodeOrToken::into_token);
    for token in tokens.filter(|token| token.kind() == TOKEN_COMMENT) {
        let start = usize::from(token.text_range().start());
        let span = start..usize::from(token.text_range().end());
        match read(token.text()) {
            None => {}
            Some(Err(problem)) => found.push(warning(span, problem)),
            Some(Ok((is_for_file, names))) => {
                let line = (!is_for_file).then(|| line_of(source, &code, start));
                for name in names {
                    if rules::rule(name).is_none() {
                        found.push(unknown(span.clone(), name));
                        continue;
                    }
                    allows.push(Allow { rule: name.to_owned(), line, span: span.clone() });
                }
            }
        }
    }
    (allows, found)
}

/// Takes out what is allowed, and adds what allows nothing. `looked_for` tells whether a rule was looked for at all.
pub(super) fn apply(
    source: &Source,
    allows: &[Allow],
    findings: Vec<Finding>,
    looked_for: impl Fn(&str) -> bool,
) -> Vec<Finding> {
    let mut used = vec![false; allows.len()];
    let mut left = Vec::new();
    let mut places = HashMap::new();
    for (at, allow) in allows.iter().enumerate() {
        // The first of several that say the same is the one that is needed.
        places.entry((allow.rule.as_str(), allow.line)).or_insert(at);
    }
    for finding in findings {
        let lines = [Some(source.line_of(finding.span.start)), None];
        let allowing = lines.iter().filter_map(|line| places.get(&(finding.rule, *line)));
        match allowing.min() {
            Some(at) => used[*at] = true,
            None => left.push(finding),
        }
    }
    let unused = allows.iter().zip(used).filter(|(allow, used)| !used && looked_for(&allow.rule));
    left.extend(unused.map(|(allow, _)| {
        warning(allow.span.clone(), format!("`{}` is not found where this allows it", allow.rule))
            .hint("delete the comment")
    }));
    left
}

type Read<'a> = Result<(bool, Vec<&'a str>), String>;

/// Whether a comment allows something for its file, and what; none where it is another one.
fn read(comment: &str) -> Option<Read<'_>> {
    let text = comment.trim_start_matches(['#', '/', '*']).trim_end_matches(['*', '/']).trim();
    let rest = text.strip_prefix("hubctl:")?.trim_start();
    let (word, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let is_for_file = match word {
        "allow" => false,
        "allow-file" => true,
        other => {
            return Some(Err(format!(
                "`{other}` is nothing that hubctl reads here; it knows `allow` and `allow-file`"
            )));
        }
    };
    let (names, reason) = rest.split_once(':').unwrap_or((rest, ""));
    let names: Vec<_> = names.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        return Some(Err("this allows nothing: the name of a rule is missing".to_owned()));
    }
    if reason.trim().is_empty() {
        return Some(Err(format!("why `{}` is allowed is not said; write `: reason` behind it", names.join(", "))));
    }
    Some(Ok((is_for_file, names)))
}

/// For each line, the next one with code behind it.
struct Code(Vec<Option<usize>>);

impl Code {
    fn of(source: &Source) -> Self {
        let mut next = vec![None; source.lines() + 1];
        let mut code = None;
        for line in (1..=source.lines()).rev() {
            next[line] = code;
            let text = source.text()[source.line(line)].trim();
            if !text.is_empty() && !text.starts_with('#') {
                code = Some(line);
            }
        }
        Self(next)
    }

    fn behind(&self, line: usize) -> Option<usize> {
        self.0.get(line).copied().flatten()
    }
}

/// The line that a comment holds for.
fn line_of(source: &Source, code: &Code, start: usize) -> usize {
    let line = source.line_of(start);
    let alone = source.text()[source.line(line).start..start].trim().is_empty();
    if alone { code.behind(line).unwrap_or(line) } else { line }
}

fn warning(span: Range<usize>, message: String) -> Finding {
    Finding { severity: Severity::Warning, ..Finding::error(ALLOW, span, message) }
}

fn unknown(span: Range<usize>, name: &str) -> Finding {
    let finding = warning(span, format!("there is no rule `{name}`"));
    match nearest(name, RULES.iter().map(|rule| rule.name)) {
        Some(near) => finding.hint(format!("did you mean `{near}`?")),
        None => finding.hint("`hubctl lint --rules` lists them"),
    }
}
