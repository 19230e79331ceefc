//! What `let` defines and nothing uses.

use rnix::SyntaxKind::{NODE_ATTRPATH, NODE_ATTRPATH_VALUE, NODE_INHERIT};
use rnix::SyntaxNode;
use rnix::ast::Inherit;
use rnix::TextRange;
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::edit::without_line;
use crate::lint::file::File;
use crate::lint::finding::Finding;
use crate::lint::scope::{Name, Origin};

pub(super) const RULE: Rule = rule!("unused-binding", Warning, Check::File(check));

fn check(file: &File<'_>) -> Vec<Finding> {
    let unused = |name: &&Name| name.origin == Origin::Let && !name.used && !name.word.starts_with('_');
    file.names.defined.iter().filter(unused).map(|name| finding(name, file)).collect()
}

fn finding(name: &Name, file: &File<'_>) -> Finding {
    let message = if name.used_by_itself {
        format!("`{}` is used by nothing but itself", name.word)
    } else {
        format!("`{}` is not used", name.word)
    };
    let finding = Finding::at(name.at.text_range(), message);
    match cut(&name.at, file) {
        Some(cut) => finding.safe_fix(cut, ""),
        None => finding,
    }
}

/// What has to go so that the name is not defined any more; none where that is more than one piece.
fn cut(at: &SyntaxNode, file: &File<'_>) -> Option<std::ops::Range<usize>> {
    let parent = at.parent()?;
    let text = file.source.text();
    match parent.kind() {
        NODE_ATTRPATH => {
            let entry = parent.parent().filter(|entry| entry.kind() == NODE_ATTRPATH_VALUE)?;
            let name = at.text();
            let others = entry.parent()?.children().filter(|other| *other != entry);
            let same = others.filter_map(|other| other.first_child()?.first_child()).any(|first| first.text() == name);
            let is_whole = parent.children().count() == 1;
            (!same && is_whole).then(|| without_line(text, &entry))
        }
        NODE_INHERIT => {
            let inherit = Inherit::cast(parent.clone())?;
            if inherit.attrs().count() == 1 {
                return Some(without_line(text, &parent));
            }
            // With the space in front of it.
            let space = at.first_token()?.prev_token().filter(|token| token.kind().is_trivia())?;
            let from = if space.text().trim().is_empty() { space.text_range().start() } else { at.text_range().start() };
            let cut = TextRange::new(from, at.text_range().end());
            Some(cut.start().into()..cut.end().into())
        }
        _ => None,
    }
}
