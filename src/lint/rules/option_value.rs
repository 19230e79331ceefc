//! A value that its option does not take.

use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::finding::{Finding, Span};
use crate::lint::options::{Kind, Options, Place, Setting, Unsettled, accepts, item_type, was_never_taken};

pub(in crate::lint) const RULE: Rule = rule!("option-value", Error, Check::Options(check));

fn check(setting: &Setting, options: &Options) -> Option<Finding> {
    let Place::Known(Some(at)) = setting.place else { return None };
    let found = options.found(at);
    let types: Vec<_> = found.types.iter().map(|(_, name)| *name).collect();
    let is_wrong = |types: &[&str], kind: &Kind| {
        // Whether it is NixOS's, home-manager's or nix-darwin's is not known. Of options of another date, a type may be another one
        // by now.
        !types.iter().any(|name| accepts(name, kind))
            && (options.is_exact() || types.iter().all(|name| was_never_taken(found.name, name, kind)))
    };
    let kind = setting.kind()?;
    let wanted = types.first()?;
    if is_wrong(&types, &kind) {
        return Some(finding(setting.value.syntax().text_range(), found.name, &kind, wanted));
    }
    let items = types.iter().map(|name| item_type(name)).collect::<Option<Vec<_>>>()?;
    let (span, kind) = setting.items().find(|(_, kind)| is_wrong(&items, kind))?;
    Some(finding(span, found.name, &kind, wanted))
}

/// A value that an option of the hub's own does not take in any of the ways in which it is declared.
pub(in crate::lint) fn of_own(setting: &Unsettled, types: &[String]) -> Option<Finding> {
    let kind = setting.kind.as_ref()?;
    let wanted = types.first().filter(|_| !types.iter().any(|name| accepts(name, kind)))?;
    Some(finding(setting.value.clone(), &setting.path.join("."), kind, wanted))
}

fn finding(span: impl Span, name: &str, kind: &Kind, wanted: &str) -> Finding {
    Finding::at(span, format!("`{name}` does not take {}", kind.word()))
        .label(format!("it is of the type `{}`", shortened(wanted)))
}

fn shortened(name: &str) -> String {
    match name.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &name[..at]),
        None => name.to_owned(),
    }
}
