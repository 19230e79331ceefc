//! Packages of users in the system of a host.

use rnix::ast::{AttrpathValue, Expr};
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::ask::{is_option, plain};
use crate::lint::file::File;
use crate::lint::finding::Finding;

/// More packages than a host needs for itself.
const MANY: usize = 15;

pub(super) const RULE: Rule = rule!("host-packages", Note, Check::Named(&["systemPackages"], check));

fn check(entry: &AttrpathValue, file: &File<'_>) -> Option<Finding> {
    file.is_of_host().then_some(())?;
    let packages = match plain(entry.value()?) {
        Expr::With(with) => with.body()?,
        other => other,
    };
    let Expr::List(list) = packages else { return None };
    let count = list.items().count();
    if count <= MANY || !is_option(&file.option_path(entry)?, "environment.systemPackages") {
        return None;
    }
    let name = entry.attrpath()?.syntax().text_range();
    Some(
        Finding::at(name, format!("{count} packages are installed on this one host, for all its users"))
            .hint("put those that belong together into a module, and those of a user into their home"),
    )
}
