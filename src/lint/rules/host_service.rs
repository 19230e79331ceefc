//! A service that is written out in a host's own file.

use rnix::ast::AttrpathValue;
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::ask::{is_option, replaces};
use crate::lint::file::File;
use crate::lint::finding::Finding;

/// What makes a service one of its own, and no change of another module's.
const BODY: [&str; 2] = ["systemd.services.*.script", "systemd.services.*.serviceConfig.ExecStart"];

pub(super) const RULE: Rule = rule!("host-service", Note, Check::Named(&["script", "ExecStart"], check));

fn check(entry: &AttrpathValue, file: &File<'_>) -> Option<Finding> {
    file.is_of_host().then_some(())?;
    let path = file.option_path(entry)?;
    BODY.iter().find(|option| is_option(&path, option))?;
    if replaces(entry.value()?) {
        return None;
    }
    let name = entry.attrpath()?.syntax().text_range();
    Some(
        Finding::at(name, format!("the service `{}` is written out in the file of a host", path[2]))
            .hint("make it a module with an `enable` option, and enable that here"),
    )
}
