//! Services that may do everything.

use rnix::ast::{AttrSet, AttrpathValue};
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::ask::{attr, defines, is_option, replaces, set, text};
use crate::lint::file::File;
use crate::lint::finding::Finding;

/// What takes something away from a service. One is enough here: which ones fit, only its author knows.
const HARDENING: &[&str] = &[
    "CapabilityBoundingSet",
    "DynamicUser",
    "NoNewPrivileges",
    "PrivateTmp",
    "ProtectHome",
    "ProtectSystem",
    "SystemCallFilter",
    "User",
];

pub(super) const RULE: Rule = rule!("service-root", Note, Check::Named(&["serviceConfig"], check));

fn check(entry: &AttrpathValue, file: &File<'_>) -> Option<Finding> {
    let config = set(entry.value()?)?;
    let path = file.option_path(entry).filter(|path| is_option(path, "systemd.services.*.serviceConfig"))?;
    if !defines(&config, "ExecStart") || attr(&config, "ExecStart").is_some_and(replaces) || ends_by_itself(&config) || HARDENING.iter().any(|word| takes_away(&config, word)) {
        return None;
    }
    Some(
        Finding::at(entry.attrpath()?.syntax().text_range(), format!("the service `{}` runs as root, and may do everything", path[2]))
            .hint("begin with `DynamicUser = true;`, `ProtectSystem = \"strict\";` and `NoNewPrivileges = true;`"),
    )
}

/// Whether `word` is set, and a user is not root by another way of saying it.
fn takes_away(config: &AttrSet, word: &str) -> bool {
    let is_root = || attr(config, word).and_then(|user| text(&user)).is_some_and(|user| user == "root");
    defines(config, word) && !(word == "User" && is_root())
}

fn ends_by_itself(config: &AttrSet) -> bool {
    attr(config, "Type").and_then(|kind| text(&kind)).is_some_and(|kind| kind == "oneshot")
}
