//! Logins of root over ssh with a password.

use rnix::ast::AttrpathValue;
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::ask::{is_name, is_option, plain, text};
use crate::lint::file::File;
use crate::lint::finding::Finding;

const OPTIONS: [&str; 2] = ["services.openssh.settings.PermitRootLogin", "services.openssh.permitRootLogin"];

pub(super) const RULE: Rule = rule!("ssh-root", Warning, Check::Named(&["PermitRootLogin", "permitRootLogin"], check));

fn check(entry: &AttrpathValue, file: &File<'_>) -> Option<Finding> {
    if text(&plain(entry.value()?))? != "yes" {
        return None;
    }
    let path = file.option_path(entry)?;
    OPTIONS.iter().find(|option| is_option(&path, option))?;
    if takes_no_passwords(file) {
        return None;
    }
    Some(
        Finding::at(entry.syntax().text_range(), "root may log in over ssh, with a password too")
            .hint("\"prohibit-password\" lets root in with a key, \"no\" not at all"),
    )
}

/// Whether the file has sshd take keys only: then root needs one as well.
fn takes_no_passwords(file: &File<'_>) -> bool {
    let entries = file.tree.syntax().descendants().filter_map(AttrpathValue::cast);
    entries.into_iter().any(|entry| {
        let last = entry.attrpath().and_then(|path| path.attrs().last()).map(|last| last.to_string());
        let is_it = last.is_some_and(|last| last.eq_ignore_ascii_case("passwordAuthentication"));
        is_it && entry.value().is_some_and(|value| is_name(&plain(value), "false"))
    })
}
