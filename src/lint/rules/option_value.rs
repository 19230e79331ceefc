//! A value that its option does not take.

use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::finding::{Finding, Span};
use crate::lint::options::{Kind, Options, Place, Setting, Unsettled, accepts, was_never_taken};

pub(in crate::lint) const RULE: Rule = rule!("option-value", Error, Check::Options(check));

fn check(setting: &Setting, options: &Options) -> Option<Finding> {
    let Place::Known(Some(at)) = setting.place else { return None };
    let kind = setting.kind()?;
    let found = options.found(at);
    // Whether it is NixOS's, home-manager's or nix-darwin's is not known.
    if found.types.iter().any(|(_, name)| accepts(name, &kind)) {
        return None;
    }
    // Of options of another date, a type may be another one by now.
    if !options.is_exact() && !found.types.iter().all(|(_, name)| was_never_taken(found.name, name, &kind)) {
        return None;
    }
    let wanted = found.types.first()?.1;
    Some(finding(setting.value.syntax().text_range(), found.name, &kind, wanted))
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
