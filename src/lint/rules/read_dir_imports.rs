//! Modules that are imported by what lies in a directory.

use rnix::ast::{AttrpathValue, Expr};
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::ask::{is_option, last_name};
use crate::lint::file::File;
use crate::lint::finding::Finding;

/// Functions that list what is in a directory.
const LISTING: &[&str] = &["readDir", "listFilesRecursive", "filesystem.listFilesRecursive"];

pub(super) const RULE: Rule = rule!("read-dir-imports", Note, Check::Named(&["imports"], check));

fn check(entry: &AttrpathValue, file: &File<'_>) -> Option<Finding> {
    let value = entry.value()?;
    if !is_option(&file.option_path(entry)?, "imports") {
        return None;
    }
    let names = value.syntax().descendants().filter_map(Expr::cast);
    let listing = names.filter(|expr| matches!(expr, Expr::Ident(_) | Expr::Select(_))).find(|expr| {
        last_name(expr).is_some_and(|name| LISTING.contains(&name.as_str()))
    })?;
    Some(
        Finding::at(listing.syntax().text_range(), "a file becomes part of the system by where it lies")
            .hint("list the modules, so that a search for one finds who imports it"),
    )
}
