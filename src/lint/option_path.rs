//! Where in the configuration of a module something stands.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Deref;
use std::rc::Rc;

use rnix::SyntaxKind::*;
use rnix::ast::{self, Expr};
use rnix::{SyntaxNode, TextRange};
use rowan::ast::AstNode as _;

use super::ask::{PROPERTIES, call, last_name};
use super::attributes::{bare, constant};

/// The names along the way to an option, from the module that it stands in; a name that only evaluating tells is `*`.
#[derive(Clone, Debug)]
pub(super) struct OptionPath {
    names: Rc<[String]>,
    /// 1 where the first name is the `config` of a module.
    from: usize,
}

impl Deref for OptionPath {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.names[self.from..]
    }
}

/// The paths of a file's entries: many ask for the same, and each begins with that of the one around it.
#[derive(Debug, Default)]
pub(super) struct OptionPaths(RefCell<HashMap<TextRange, Option<Rc<[String]>>>>);

impl OptionPaths {
    /// The path of what `entry` sets. None where it is no part of a module's own attributes.
    pub(super) fn of(&self, entry: &ast::AttrpathValue) -> Option<OptionPath> {
        let names = self.names(entry)?;
        let from = usize::from(names.len() > 1 && names[0] == "config");
        Some(OptionPath { names, from })
    }

    fn names(&self, entry: &ast::AttrpathValue) -> Option<Rc<[String]>> {
        let place = entry.syntax().text_range();
        let known = self.0.borrow().get(&place).cloned();
        known.unwrap_or_else(|| {
            let found = self.found(entry);
            self.0.borrow_mut().insert(place, found.clone());
            found
        })
    }

    fn found(&self, entry: &ast::AttrpathValue) -> Option<Rc<[String]>> {
        let mut node = entry.syntax().parent()?;
        // What `let` defines may be used anywhere.
        (node.kind() == NODE_ATTR_SET).then_some(())?;
        let own = names(entry)?;
        loop {
            let parent = node.parent()?;
            match parent.kind() {
                NODE_ATTRPATH_VALUE => {
                    let outer = self.names(&ast::AttrpathValue::cast(parent)?)?;
                    return Some(outer.iter().cloned().chain(own).collect());
                }
                NODE_PAREN | NODE_WITH | NODE_LET_IN | NODE_IF_ELSE | NODE_ASSERT | NODE_BIN_OP => node = parent,
                NODE_APPLY => {
                    let whole = outermost_call(parent);
                    let call = call(&Expr::cast(whole.clone())?)?;
                    (PROPERTIES.contains(&call.name.as_str()) || call.name == "mkMerge").then_some(())?;
                    node = whole;
                }
                NODE_LIST => {
                    let owner = parent.parent()?;
                    match owner.kind() {
                        // `mkMerge [ .. ]`
                        NODE_APPLY => node = parent,
                        // `modules = [ { .. } ]`
                        NODE_ATTRPATH_VALUE => {
                            let of = names(&ast::AttrpathValue::cast(owner)?)?;
                            matches!(of.last()?.as_str(), "modules" | "imports").then_some(())?;
                            return Some(own.into());
                        }
                        _ => return None,
                    }
                }
                NODE_LAMBDA if is_submodule(&parent) => return None,
                NODE_LAMBDA | NODE_ROOT => return Some(own.into()),
                _ => return None,
            }
        }
    }
}

/// Whether a function is the module of a submodule: what it sets are options of that.
fn is_submodule(lambda: &SyntaxNode) -> bool {
    let mut node = lambda.clone();
    while let Some(parent) = node.parent().filter(|parent| parent.kind() == NODE_PAREN) {
        node = parent;
    }
    let called = node.parent().and_then(ast::Apply::cast).and_then(|apply| apply.lambda());
    called.and_then(|function| last_name(&bare(function))).is_some_and(|name| name == "submodule")
}

fn outermost_call(mut apply: SyntaxNode) -> SyntaxNode {
    while let Some(parent) =
        apply.parent().filter(|parent| parent.kind() == NODE_APPLY && parent.first_child().as_ref() == Some(&apply))
    {
        apply = parent;
    }
    apply
}

fn names(entry: &ast::AttrpathValue) -> Option<Vec<String>> {
    Some(entry.attrpath()?.attrs().map(|attr| constant(&attr).unwrap_or_else(|| "*".to_owned())).collect())
}
