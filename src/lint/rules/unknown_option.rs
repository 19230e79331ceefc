//! An option that is not there, next to one that is.

use rnix::SyntaxNode;
use rnix::ast::{AttrpathValue, Expr};
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::ask::{option_path, plain};
use crate::lint::finding::Finding;
use crate::lint::options::{Options, Place};

pub(super) const RULE: Rule = rule!("unknown-option", Warning, Check::Options(check));

fn check(node: &SyntaxNode, options: &Options) -> Option<Finding> {
    let entry = AttrpathValue::cast(node.clone())?;
    if matches!(plain(entry.value()?), Expr::AttrSet(_)) {
        return None;
    }
    let path = option_path(&entry).filter(|path| path.len() > 1)?;
    let Place::Unknown { before, part } = options.place(&path) else { return None };
    let near = slip(options, &before, &path[part..])?;
    let dot = if before.is_empty() { "" } else { "." };
    let name = &path[part];
    Some(
        Finding::at(entry.attrpath()?.syntax().text_range(), format!("there is no option `{before}{dot}{name}`"))
            .hint(format!("did you mean `{before}{dot}{near}`?")),
    )
}

/// More names than these in one place, and two that differ in one letter are nothing strange.
const MANY: usize = 60;

/// The name that was meant with the first part of `rest`. Newer modules have options that the index does not have, and a hub has its
/// own: so it is one that is mistyped in one letter, or has letters exchanged, and has what is behind it.
fn slip<'a>(options: &'a Options, before: &str, rest: &[String]) -> Option<&'a str> {
    let (name, rest) = rest.split_first()?;
    // What stands in `settings` is passed on to a program, which knows more of them.
    if before.split('.').any(|part| part == "settings") {
        return None;
    }
    let parts = options.parts_behind(before);
    let is_slip = |part: &&&str| {
        part.len().abs_diff(name.len()) <= 1
            && !part.eq_ignore_ascii_case(name)
            && match strsim::osa_distance(part, name) {
                1 => is_exchanged(part, name) || (parts.len() <= MANY && name.len() > 4 && !is_plural(part, name)),
                2 => is_exchanged(part, name),
                _ => false,
            }
    };
    let has_rest = |part: &&str| {
        let path = before.split('.').filter(|part| !part.is_empty()).chain([*part]).map(str::to_owned);
        let path: Vec<_> = path.chain(rest.iter().cloned()).collect();
        !matches!(options.place(&path), Place::Unknown { .. })
    };
    parts.iter().filter(is_slip).copied().find(has_rest)
}

/// Whether two names have the same letters.
fn is_exchanged(a: &str, b: &str) -> bool {
    let letters = |text: &str| {
        let mut letters: Vec<_> = text.chars().collect();
        letters.sort_unstable();
        letters
    };
    letters(a) == letters(b)
}

/// Whether one name is the other one's plural: of such pairs, both are usual.
fn is_plural(a: &str, b: &str) -> bool {
    a.strip_suffix('s') == Some(b) || b.strip_suffix('s') == Some(a)
}
