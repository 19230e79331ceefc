//! Arguments that a function takes by name and does not use.

use std::collections::HashMap;

use rnix::SyntaxKind::{NODE_PATTERN, TOKEN_COMMA};
use rnix::ast::{PatEntry, Pattern};
use rnix::{SyntaxNode, TextRange};
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::edit::has_comment;
use crate::lint::file::File;
use crate::lint::finding::Finding;
use crate::lint::scope::{Name, Origin};

pub(super) const RULE: Rule = rule!("unused-argument", Warning, Check::File(check));

fn check(file: &File<'_>) -> Vec<Finding> {
    let names = &file.names.defined;
    let unused = names.iter().filter(|name| !name.used && !name.used_by_itself && !name.word.starts_with('_'));
    // What holds for all arguments of a function is found out once.
    let mut patterns = HashMap::new();
    unused
        .filter_map(|name| match name.origin {
            Origin::Formal => {
                let entry = name.at.parent().and_then(PatEntry::cast)?;
                let node = entry.syntax().parent().filter(|node| node.kind() == NODE_PATTERN)?;
                let edit = *patterns.entry(node.clone()).or_insert_with(|| edit(node, names, file));
                Some(formal(name, &entry, edit?))
            }
            Origin::AllArguments => all_arguments(name),
            _ => None,
        })
        .collect()
}

/// What may be done with the arguments of a pattern that are not used.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Edit {
    /// They can be taken out.
    Cut,
    /// Whoever calls the function has to change too, or a comment stands there.
    ByHand,
}

/// None where those that are not used are there for a reason.
fn edit(pattern: SyntaxNode, names: &[Name], file: &File<'_>) -> Option<Edit> {
    let is_commented = has_comment(&pattern);
    let pattern = Pattern::cast(pattern)?;
    // Whoever takes all arguments at once names some to say that they must be there.
    let all = pattern.pat_bind().and_then(|bind| bind.ident());
    if all.is_some_and(|all| names.iter().any(|name| name.used && name.at == *all.syntax())) {
        return None;
    }
    let open = pattern.ellipsis_token().is_some();
    // A flake is called with all its inputs, whether it uses them or not.
    if !open && file.source.path().rsplit('/').next() == Some("flake.nix") {
        return None;
    }
    Some(if open && !is_commented { Edit::Cut } else { Edit::ByHand })
}

fn formal(name: &Name, entry: &PatEntry, edit: Edit) -> Finding {
    let finding = Finding::at(name.at.text_range(), format!("the argument `{}` is not used", name.word));
    if edit == Edit::Cut { finding.safe_fix(cut(entry.syntax()), "") } else { finding }
}

/// An argument with the comma behind it, and the space up to what comes next.
fn cut(entry: &SyntaxNode) -> TextRange {
    let start = entry.text_range().start();
    let mut end = entry.text_range().end();
    let mut next = entry.last_token().and_then(|last| last.next_token());
    let mut passed = false;
    while let Some(token) = next.filter(|token| token.kind().is_trivia() || (!passed && token.kind() == TOKEN_COMMA)) {
        passed |= token.kind() == TOKEN_COMMA;
        end = token.text_range().end();
        next = token.next_token();
    }
    TextRange::new(start, end)
}

fn all_arguments(name: &Name) -> Option<Finding> {
    let bind = name.at.parent()?;
    let finding = Finding::at(name.at.text_range(), format!("`{}`, which stands for all arguments, is not used", name.word));
    Some(finding.safe_fix(bind.text_range(), ""))
}
