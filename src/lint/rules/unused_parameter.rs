//! The argument of a function that does not use it.

use super::{Check, Rule};
use crate::lint::file::File;
use crate::lint::finding::Finding;
use crate::lint::scope::Origin;

pub(super) const RULE: Rule = rule!("unused-parameter", Note, Check::File(check));

fn check(file: &File<'_>) -> Vec<Finding> {
    let names = file.names.defined.iter();
    let unused = names.filter(|name| name.origin == Origin::Argument && !name.used && !name.word.starts_with('_'));
    unused
        .map(|name| {
            let range = name.at.text_range();
            Finding::at(range, format!("`{}` is not used", name.word)).safe_fix(range, format!("_{}", name.word))
        })
        .collect()
}
