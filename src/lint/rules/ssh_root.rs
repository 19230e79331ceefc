//! Logins of root over ssh with a password.

use rnix::SyntaxKind::NODE_ATTRPATH_VALUE;
use rnix::SyntaxNode;
use rnix::ast::AttrpathValue;
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::ask::{is_option, option_path, plain, text};
use crate::lint::file::File;
use crate::lint::finding::Finding;

const OPTIONS: [&str; 2] = ["services.openssh.settings.PermitRootLogin", "services.openssh.permitRootLogin"];

pub(super) const RULE: Rule = rule!("ssh-root", Warning, Check::Nodes(&[NODE_ATTRPATH_VALUE], check));

fn check(node: &SyntaxNode, _: &File<'_>) -> Option<Finding> {
    let entry = AttrpathValue::cast(node.clone())?;
    if text(&plain(entry.value()?))? != "yes" {
        return None;
    }
    let path = option_path(&entry)?;
    OPTIONS.iter().find(|option| is_option(&path, option))?;
    Some(
        Finding::at(node.text_range(), "root may log in over ssh, with a password too")
            .hint("\"prohibit-password\" lets root in with a key, \"no\" not at all"),
    )
}
