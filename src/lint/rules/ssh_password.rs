//! Logins over ssh with a password.

use rnix::SyntaxKind::NODE_ATTRPATH_VALUE;
use rnix::SyntaxNode;
use rnix::ast::AttrpathValue;
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::ask::{is_name, is_option, option_path, plain};
use crate::lint::file::File;
use crate::lint::finding::Finding;

const OPTIONS: [&str; 3] = [
    "services.openssh.settings.PasswordAuthentication",
    "services.openssh.settings.KbdInteractiveAuthentication",
    "services.openssh.passwordAuthentication",
];

pub(super) const RULE: Rule = rule!("ssh-password", Warning, Check::Nodes(&[NODE_ATTRPATH_VALUE], check));

fn check(node: &SyntaxNode, _: &File<'_>) -> Option<Finding> {
    let entry = AttrpathValue::cast(node.clone())?;
    if !is_name(&plain(entry.value()?), "true") {
        return None;
    }
    let path = option_path(&entry)?;
    OPTIONS.iter().find(|option| is_option(&path, option))?;
    Some(Finding::at(node.text_range(), "who guesses a password gets in over ssh").hint("set it to false, and use keys"))
}
