//! Secrets that everybody on the host may read.

use rnix::ast::AttrpathValue;
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::ask::{is_option, plain, text};
use crate::lint::file::File;
use crate::lint::finding::Finding;

const MODES: [&str; 3] = ["age.secrets.*.mode", "sops.secrets.*.mode", "sops.templates.*.mode"];

pub(super) const RULE: Rule = rule!("secret-mode", Warning, Check::Named(&["mode"], check));

fn check(entry: &AttrpathValue, file: &File<'_>) -> Option<Finding> {
    let mode = text(&plain(entry.value()?))?;
    let others = u32::from_str_radix(&mode, 8).ok()? & 0o007;
    let path = file.option_path(entry).filter(|path| others != 0 && MODES.iter().any(|option| is_option(path, option)))?;
    if is_public(&path[2]) {
        return None;
    }
    Some(
        Finding::at(entry.syntax().text_range(), format!("everybody on the host may read or change the secret `{}`", path[2]))
            .hint("set `owner` or `group` to who needs it, and `mode` to \"0400\" or \"0440\""),
    )
}

/// Whether a name is that of the half of a pair of keys that everybody may know.
fn is_public(name: &str) -> bool {
    name.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| {
        word.eq_ignore_ascii_case("pub") || word.eq_ignore_ascii_case("public")
    })
}
