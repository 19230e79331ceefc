//! `networking.firewall.enable = false`.

use rnix::SyntaxKind::NODE_ATTRPATH_VALUE;
use rnix::SyntaxNode;
use rnix::ast::AttrpathValue;
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::ask::{is_name, is_option, option_path, plain};
use crate::lint::file::File;
use crate::lint::finding::Finding;

pub(super) const RULE: Rule = rule!("firewall-off", Warning, Check::Nodes(&[NODE_ATTRPATH_VALUE], check));

fn check(node: &SyntaxNode, _: &File<'_>) -> Option<Finding> {
    let entry = AttrpathValue::cast(node.clone())?;
    if !is_name(&plain(entry.value()?), "false") || !is_option(&option_path(&entry)?, "networking.firewall.enable") {
        return None;
    }
    Some(Finding::at(node.text_range(), "the firewall is off").hint("open the ports that are needed: `allowedTCPPorts`"))
}
