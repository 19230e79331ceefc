//! A file as Nix would read it, or what keeps it from being read.

use super::finding::Finding;
use super::source::Source;
use super::{parse, scope};

/// What Nix would not accept of `source`.
pub(super) fn problems(source: &Source) -> Vec<Finding> {
    parse::parse(source.text()).map_or_else(|found| found, |tree| scope::problems(&tree))
}
