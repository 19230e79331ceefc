//! An option that takes anything.

use rnix::SyntaxKind::NODE_APPLY;
use rnix::SyntaxNode;
use rnix::ast::{Expr, HasEntry as _};
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::ask::{call, defines};
use crate::lint::file::File;
use crate::lint::finding::Finding;

pub(super) const RULE: Rule = rule!("option-type", Warning, Check::Nodes(&[NODE_APPLY], check));

fn check(node: &SyntaxNode, _: &File<'_>) -> Option<Finding> {
    let call = call(&Expr::cast(node.clone())?).filter(|call| call.name == "mkOption")?;
    let [Expr::AttrSet(option)] = call.args.as_slice() else { return None };
    let head = node.first_child()?.text_range();
    // What only says how a value is used adds to an option that is declared elsewhere.
    let extends = defines(option, "apply") && option.entries().count() == 1;
    (!defines(option, "type") && !extends).then(|| {
        Finding::at(head, "an option without `type` takes anything, and its definitions cannot be merged")
            .hint("for example `type = lib.types.str;`")
    })
}
