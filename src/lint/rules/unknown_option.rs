//! An option that is not there, next to one that is.

use rnix::ast::Expr;

use super::{Check, Rule};
use crate::lint::finding::{Finding, Span};
use crate::lint::options::{Options, Own, Place, Setting, Standing, Unsettled};

pub(in crate::lint) const RULE: Rule = rule!("unknown-option", Warning, Check::Options(check));

fn check(setting: &Setting, options: &Options) -> Option<Finding> {
    let Place::Unknown { before, part } = &setting.place else { return None };
    if matches!(setting.value, Expr::AttrSet(_)) {
        return None;
    }
    let near = slip(options, before, &setting.path[*part..])?;
    Some(finding(setting.name, before, &setting.path[*part], near))
}

fn finding(span: impl Span, before: &str, name: &str, near: &str) -> Finding {
    let dot = if before.is_empty() { "" } else { "." };
    Finding::at(span, format!("there is no option `{before}{dot}{name}`"))
        .hint(format!("did you mean `{before}{dot}{near}`?"))
}

/// A slip in the name of an option of the hub's own: there is none of this name at `part`, and `names` are what there is.
pub(in crate::lint) fn of_own(setting: &Unsettled, part: usize, names: &[&str], own: &Own) -> Option<Finding> {
    let name = &setting.path[part];
    let has_rest = |near: &str| {
        let mut path = setting.path.clone();
        near.clone_into(&mut path[part]);
        !matches!(own.standing(&path), Standing::Unknown { .. })
    };
    let is_near = |near: &&&str| {
        let letters = strsim::osa_distance(near, name);
        letters == 1 && name.len() > 3 && !is_plural(near, name) || letters == 2 && name.len() > 6
    };
    let near = names.iter().filter(is_near).find(|near| has_rest(near))?;
    Some(finding(setting.span.clone(), &setting.path[..part].join("."), name, near))
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
