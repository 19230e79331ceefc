//! `networking.firewall.enable = false`.

use rnix::ast::AttrpathValue;
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::ask::{is_name, is_option, plain};
use crate::lint::file::File;
use crate::lint::finding::Finding;

pub(super) const RULE: Rule = rule!("firewall-off", Warning, Check::Named(&["enable"], check));

fn check(entry: &AttrpathValue, file: &File<'_>) -> Option<Finding> {
    if !is_name(&plain(entry.value()?), "false") || !is_option(&file.option_path(entry)?, "networking.firewall.enable") {
        return None;
    }
    Some(Finding::at(entry.syntax().text_range(), "the firewall is off").hint("open the ports that are needed: `allowedTCPPorts`"))
}
