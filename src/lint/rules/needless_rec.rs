//! A `rec` that nothing needs.

use rnix::SyntaxKind::NODE_ATTR_SET;
use rnix::SyntaxNode;
use rnix::ast::AttrSet;
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::file::File;
use crate::lint::finding::Finding;
use crate::lint::scope::Origin;

pub(super) const RULE: Rule = rule!("needless-rec", Warning, Check::Nodes(&[NODE_ATTR_SET], check));

fn check(node: &SyntaxNode, file: &File<'_>) -> Option<Finding> {
    let word = AttrSet::cast(node.clone())?.rec_token()?;
    let range = node.text_range();
    let mut own = file.names.defined.iter().filter(|name| name.origin == Origin::Rec && range.contains_range(name.at.text_range()));
    // Those of sets within count too: better a `rec` too many than one too few.
    if own.any(|name| name.used || name.used_by_itself) {
        return None;
    }
    let end = word.next_token().filter(|next| next.kind().is_trivia()).map_or(word.text_range(), |space| space.text_range()).end();
    let cut = rnix::TextRange::new(word.text_range().start(), end);
    Some(Finding::at(word.text_range(), "no attribute of this set uses another one").safe_fix(cut, ""))
}
