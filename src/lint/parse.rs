//! From a text to a tree, or to what keeps it from being one.

use rnix::Root;
use rnix::ast;

use super::finding::Finding;
use super::{guard, structure, syntax};

/// The tree of `text`, if it is Nix; else what is wrong with it, of which there may be several as soon as its brackets match.
pub(super) fn parse(text: &str) -> Result<ast::Root, Vec<Finding>> {
    if let Some(span) = guard::too_deep(text) {
        return Err(vec![syntax::too_deep(span)]);
    }
    let parsed = Root::parse(text);
    if let Some(error) = syntax::first_error(text, parsed.errors()) {
        return Err(vec![error]);
    }
    let tree = parsed.tree();
    let found = structure::problems(&tree, text);
    if found.is_empty() { Ok(tree) } else { Err(found) }
}

/// What can be told of the tree of a text that may be no Nix; nothing where it is nested too deeply.
pub(super) fn roughly(text: &str) -> Option<ast::Root> {
    guard::too_deep(text).is_none().then(|| Root::parse(text).tree())
}
