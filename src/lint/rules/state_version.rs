//! A `stateVersion` that changes by itself.

use rnix::ast::{AttrpathValue, Expr};
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::ask::{dotted, is_option, plain};
use crate::lint::file::File;
use crate::lint::finding::Finding;

/// What follows nixpkgs.
const MOVING: [&str; 4] = ["release", "version", "nixosRelease", "nixpkgsVersion"];

pub(super) const RULE: Rule = rule!("state-version", Error, Check::Named(&["stateVersion"], check));

/// Words of what is made anew with each start, and has no data to keep.
const INSTALLERS: [&str; 5] = ["installation-cd", "installer", "iso", "live", "netboot"];

/// Whether a file is about an image that one starts from, such as an installer's.
fn is_of_installer(file: &File<'_>) -> bool {
    let has = |text: &str| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').any(|word| INSTALLERS.contains(&word));
    has(file.source.path()) || has(file.source.text())
}

fn check(entry: &AttrpathValue, file: &File<'_>) -> Option<Finding> {
    let value = plain(entry.value()?);
    let Expr::Select(_) = value else { return None };
    let name = dotted(&value)?;
    let path = file.option_path(entry)?;
    let is_it = is_option(&path, "system.stateVersion") || is_option(&path, "home.stateVersion");
    (is_it && MOVING.contains(&name.last()?.as_str()) && !is_of_installer(file)).then(|| {
        Finding::at(value.syntax().text_range(), "the state version follows nixpkgs, and so is of no use")
            .hint("write the release that the host was installed with, such as \"24.11\", and never change it")
    })
}
