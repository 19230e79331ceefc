//! Which name means what: as Nix does before it evaluates, every name is followed to what defines it.

use std::collections::{BTreeMap, HashSet};

use rnix::SyntaxKind::*;
use rnix::ast::{self, Param};
use rnix::{SyntaxNode, TextRange};
use rowan::ast::AstNode as _;

use super::attributes::{self, Set, Value};
use super::finding::Finding;
use super::globals;
use crate::error::nearest;

/// The name of what nothing defines.
pub(super) const UNDEFINED: &str = "undefined-variable";

/// What Nix would not accept of the names of a tree: attributes that are defined twice included.
pub(super) fn problems(root: &ast::Root) -> Vec<Finding> {
    let mut walk = Walk::default();
    walk.node(root.syntax());
    let mut found = walk.found;
    found.extend(walk.undefined.into_iter().map(|(name, undefined)| undefined.finding(&name)));
    found
}

#[derive(Default)]
struct Walk {
    frames: Vec<Frame>,
    undefined: BTreeMap<String, Undefined>,
    found: Vec<Finding>,
}

/// What adds names to those around it.
enum Frame {
    Names(HashSet<String>),
    /// A `with`, of which only evaluating tells the names.
    With,
}

impl Frame {
    fn names(&self) -> Option<&HashSet<String>> {
        match self {
            Self::Names(names) => Some(names),
            Self::With => None,
        }
    }
}

/// A name that nothing defines.
struct Undefined {
    first: TextRange,
    more: usize,
    nearest: Option<String>,
}

impl Undefined {
    fn finding(self, name: &str) -> Finding {
        let finding = Finding::error(UNDEFINED, self.first, format!("nothing defines `{name}`"));
        let finding = match self.more {
            0 => finding,
            1 => finding.label("here and at one more place"),
            more => finding.label(format!("here and at {more} more places")),
        };
        match self.nearest {
            Some(near) => finding.hint(format!("did you mean `{near}`?")),
            None => finding,
        }
    }
}

impl Walk {
    fn node(&mut self, node: &SyntaxNode) {
        match node.kind() {
            NODE_IDENT => self.reference(&node.text().to_string(), node.text_range()),
            // The names of a path are no variables.
            NODE_ATTRPATH => {
                node.children().filter(|child| child.kind() != NODE_IDENT).for_each(|part| self.node(&part));
            }
            NODE_ATTR_SET => {
                if let Some(set) = ast::AttrSet::cast(node.clone()) {
                    let set = attributes::collect(&set, set.rec_token().is_some(), &mut self.found);
                    self.set(&set);
                }
            }
            NODE_LEGACY_LET => {
                if let Some(set) = ast::LegacyLet::cast(node.clone()) {
                    let set = attributes::collect(&set, true, &mut self.found);
                    self.set(&set);
                }
            }
            NODE_LET_IN => {
                if let Some(inner) = ast::LetIn::cast(node.clone()) {
                    self.let_in(&inner);
                }
            }
            NODE_LAMBDA => {
                if let Some(lambda) = ast::Lambda::cast(node.clone()) {
                    self.lambda(&lambda);
                }
            }
            NODE_WITH => {
                if let Some(with) = ast::With::cast(node.clone()) {
                    self.with(&with);
                }
            }
            _ => node.children().for_each(|child| self.node(&child)),
        }
    }

    fn expr(&mut self, expr: Option<ast::Expr>) {
        if let Some(expr) = expr {
            self.node(expr.syntax());
        }
    }

    /// Looks a name up. Whether what a `with` brings has it is not known.
    fn reference(&mut self, name: &str, at: TextRange) {
        let is_known = |frame: &Frame| frame.names().is_none_or(|names| names.contains(name));
        if !globals::is_global(name) && !self.frames.iter().any(is_known) {
            self.undefined(name, at);
        }
    }

    fn undefined(&mut self, name: &str, at: TextRange) {
        if let Some(known) = self.undefined.get_mut(name) {
            known.more += 1;
            known.first = if at.start() < known.first.start() { at } else { known.first };
            return;
        }
        let visible = self.frames.iter().filter_map(Frame::names).flatten().map(String::as_str);
        let near = nearest(name, visible.chain(globals::plain()).filter(|known| known.len() > 1));
        let undefined = Undefined { first: at, more: 0, nearest: near.map(str::to_owned) };
        self.undefined.insert(name.to_owned(), undefined);
    }

    fn set(&mut self, set: &Set) {
        if set.recursive {
            return self.recursive(set, |_| {});
        }
        self.inherited(set);
        self.values(set);
    }

    /// The values of a set whose attributes see each other, and what else sees them.
    fn recursive(&mut self, set: &Set, body: impl FnOnce(&mut Self)) {
        self.inherited(set);
        self.frames.push(Frame::Names(set.attrs.keys().cloned().collect()));
        self.values(set);
        body(self);
        self.frames.pop();
    }

    /// What a set inherits is looked for around it.
    fn inherited(&mut self, set: &Set) {
        for (name, definition) in &set.attrs {
            if matches!(definition.value, Value::Inherited) {
                self.reference(name, definition.at.text_range());
            }
        }
    }

    fn values(&mut self, set: &Set) {
        for from in &set.from {
            self.node(from.syntax());
        }
        for definition in set.attrs.values() {
            self.value(&definition.value);
        }
        for (attr, value) in &set.dynamic {
            self.node(attr.syntax());
            self.value(value);
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Expr(expr) => self.node(expr.syntax()),
            Value::Set(set) => self.set(set),
            Value::Inherited | Value::InheritedFrom => {}
        }
    }

    fn let_in(&mut self, inner: &ast::LetIn) {
        let set = attributes::collect(inner, true, &mut self.found);
        if let Some((attr, _)) = set.dynamic.first() {
            let message = "`let` takes names that are known without evaluating";
            self.found.push(Finding::error(super::syntax::SYNTAX, attr.syntax().text_range(), message));
        }
        self.recursive(&set, |walk| walk.expr(inner.body()));
    }

    fn lambda(&mut self, lambda: &ast::Lambda) {
        let param = lambda.param();
        let names: Vec<_> = match &param {
            Some(Param::IdentParam(param)) => param.ident().into_iter().collect(),
            Some(Param::Pattern(pattern)) => {
                let all = pattern.pat_bind().and_then(|bind| bind.ident());
                pattern.pat_entries().filter_map(|entry| entry.ident()).chain(all).collect()
            }
            None => Vec::new(),
        };
        self.frames.push(Frame::Names(names.iter().map(ToString::to_string).collect()));
        if let Some(Param::Pattern(pattern)) = &param {
            pattern.pat_entries().for_each(|entry| self.expr(entry.default()));
        }
        self.expr(lambda.body());
        self.frames.pop();
    }

    fn with(&mut self, with: &ast::With) {
        self.expr(with.namespace());
        self.frames.push(Frame::With);
        self.expr(with.body());
        self.frames.pop();
    }
}
