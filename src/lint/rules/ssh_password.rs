//! Logins over ssh with a password.

use rnix::ast::AttrpathValue;
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::ask::{is_name, is_option, plain};
use crate::lint::file::File;
use crate::lint::finding::Finding;

const OPTIONS: [&str; 3] = [
    "services.openssh.settings.PasswordAuthentication",
    "services.openssh.settings.KbdInteractiveAuthentication",
    "services.openssh.passwordAuthentication",
];

pub(super) const RULE: Rule = rule!("ssh-password", Warning, Check::Named(&["PasswordAuthentication", "KbdInteractiveAuthentication", "passwordAuthentication"], check));

fn check(entry: &AttrpathValue, file: &File<'_>) -> Option<Finding> {
    if !is_name(&plain(entry.value()?), "true") {
        return None;
    }
    let path = file.option_path(entry)?;
    OPTIONS.iter().find(|option| is_option(&path, option))?;
    Some(Finding::at(entry.syntax().text_range(), "who guesses a password gets in over ssh").hint("set it to false, and use keys"))
}
