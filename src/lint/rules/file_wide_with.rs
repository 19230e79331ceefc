//! `with lib;` around a whole file.

use rnix::SyntaxKind::{NODE_LAMBDA, NODE_LET_IN, NODE_PAREN, NODE_ROOT, NODE_WITH};
use rnix::SyntaxNode;
use rnix::ast::{Expr, With};
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::ask::dotted;
use crate::lint::file::File;
use crate::lint::finding::Finding;

pub(super) const RULE: Rule = rule!("file-wide-with", Warning, Check::Nodes(&[NODE_WITH], check));

fn check(node: &SyntaxNode, _: &File<'_>) -> Option<Finding> {
    let with = With::cast(node.clone())?;
    // A file that is one list of packages says so.
    if matches!(with.body()?, Expr::List(_)) {
        return None;
    }
    let wide = node.ancestors().skip(1).all(|above| match above.kind() {
        NODE_ROOT | NODE_LAMBDA | NODE_PAREN | NODE_WITH => true,
        NODE_LET_IN => above.children().last().is_some_and(|body| body.text_range().contains_range(node.text_range())),
        _ => false,
    });
    let head = rnix::TextRange::new(node.text_range().start(), with.semicolon_token()?.text_range().end());
    let namespace = dotted(&with.namespace()?)?.join(".");
    wide.then(|| {
        Finding::at(head, format!("with this, nobody can tell which names of the file come from `{namespace}`"))
            .hint(format!("write `{namespace}.name`, or `inherit ({namespace}) name;` in a `let`"))
    })
}
