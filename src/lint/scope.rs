//! Which name means what: as Nix does before it evaluates, every name is followed to what defines it.

use std::collections::{BTreeMap, HashMap};

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

/// What a name was defined by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Origin {
    /// `let`, by a value or by `inherit`.
    Let,
    /// A set with `rec`.
    Rec,
    /// A function's only argument, `x: ..`.
    Argument,
    /// An argument by its name, `{ x }: ..`.
    Formal,
    /// All arguments at once, `args@{ .. }: ..`.
    AllArguments,
}

/// A name that something defines.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) word: String,
    pub(super) origin: Origin,
    /// Where it is defined.
    pub(super) at: SyntaxNode,
    /// Whether anything but its own value uses it.
    pub(super) used: bool,
    /// Whether its own value uses it.
    pub(super) used_by_itself: bool,
}

/// A `with`, and whether a name may come from it.
#[derive(Debug)]
pub(super) struct With {
    pub(super) node: ast::With,
    pub(super) used: bool,
}

/// All names of a file.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) defined: Vec<Name>,
    pub(super) withs: Vec<With>,
}

/// The names of a tree, and what Nix would not accept of them: attributes that are defined twice included.
pub(super) fn names(root: &ast::Root) -> (Names, Vec<Finding>) {
    let mut walk = Walk::default();
    walk.node(root.syntax());
    let mut found = walk.found;
    found.extend(walk.undefined.into_iter().map(|(name, undefined)| undefined.finding(&name)));
    (walk.names, found)
}

#[derive(Default)]
struct Walk {
    names: Names,
    frames: Vec<Frame>,
    /// The names whose values are being looked at.
    within: Vec<usize>,
    undefined: BTreeMap<String, Undefined>,
    found: Vec<Finding>,
}

/// What adds names to those around it.
enum Frame {
    /// Names, each with its place in [`Names::defined`].
    Names(HashMap<String, usize>),
    /// A `with`, by its place in [`Names::withs`].
    With(usize),
}

impl Frame {
    fn names(&self) -> Option<&HashMap<String, usize>> {
        match self {
            Self::Names(names) => Some(names),
            Self::With(_) => None,
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
            NODE_IDENT => {
                if let Some(token) = node.first_token() {
                    self.reference(token.text(), node.text_range());
                }
            }
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
                    self.with(with);
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

    /// Looks a name up from the inside out. What a `with` brings comes after everything else.
    fn reference(&mut self, name: &str, at: TextRange) {
        let mut withs = Vec::new();
        for frame in self.frames.iter().rev() {
            match frame {
                Frame::Names(names) => {
                    if let Some(index) = names.get(name) {
                        let known = &mut self.names.defined[*index];
                        let place =
                            if self.within.contains(index) { &mut known.used_by_itself } else { &mut known.used };
                        *place = true;
                        return;
                    }
                }
                Frame::With(index) => withs.push(*index),
            }
        }
        if globals::is_global(name) {
            return;
        }
        for index in &withs {
            self.names.withs[*index].used = true;
        }
        if withs.is_empty() {
            self.undefined(name, at);
        }
    }

    fn undefined(&mut self, name: &str, at: TextRange) {
        if let Some(known) = self.undefined.get_mut(name) {
            known.more += 1;
            known.first = if at.start() < known.first.start() { at } else { known.first };
            return;
        }
        let visible = self.frames.iter().filter_map(Frame::names).flat_map(HashMap::keys).map(String::as_str);
        let known: Vec<&str> = visible.chain(globals::plain()).filter(|known| known.len() > 1).collect();
        // Of short names, one slip makes another word.
        let slip = || known.iter().copied().find(|known| name.len() > 2 && strsim::osa_distance(name, known) == 1);
        let near = nearest(name, known.iter().copied()).or_else(slip);
        let undefined = Undefined { first: at, more: 0, nearest: near.map(str::to_owned) };
        self.undefined.insert(name.to_owned(), undefined);
    }

    fn set(&mut self, set: &Set) {
        if !set.recursive {
            self.inherited(set);
            return self.values(set, None);
        }
        self.recursive(set, Origin::Rec, |_| {});
    }

    /// The values of a set whose attributes see each other, and what else sees them.
    fn recursive(&mut self, set: &Set, origin: Origin, body: impl FnOnce(&mut Self)) {
        self.inherited(set);
        let mut frame = HashMap::new();
        for (name, definition) in &set.attrs {
            frame.insert(name.clone(), self.define(name, origin, &definition.at));
        }
        self.frames.push(Frame::Names(frame));
        self.values(set, Some(self.frames.len() - 1));
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

    /// The values of a set, whose own names are in the frame `own`.
    fn values(&mut self, set: &Set, own: Option<usize>) {
        for from in &set.from {
            self.node(from.syntax());
        }
        for (name, definition) in &set.attrs {
            let index = own.and_then(|own| self.frames[own].names()?.get(name).copied());
            self.within.extend(index);
            self.value(&definition.value);
            if index.is_some() {
                self.within.pop();
            }
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
        self.recursive(&set, Origin::Let, |walk| walk.expr(inner.body()));
    }

    fn lambda(&mut self, lambda: &ast::Lambda) {
        let mut frame = HashMap::new();
        let mut define = |ident: Option<ast::Ident>, origin| {
            if let Some(ident) = ident {
                let name = attributes::word(&ident);
                let index = self.define(&name, origin, ident.syntax());
                frame.insert(name, index);
            }
        };
        let param = lambda.param();
        match &param {
            Some(Param::IdentParam(param)) => define(param.ident(), Origin::Argument),
            Some(Param::Pattern(pattern)) => {
                pattern.pat_entries().for_each(|entry| define(entry.ident(), Origin::Formal));
                define(pattern.pat_bind().and_then(|bind| bind.ident()), Origin::AllArguments);
            }
            None => {}
        }
        self.frames.push(Frame::Names(frame));
        if let Some(Param::Pattern(pattern)) = &param {
            pattern.pat_entries().for_each(|entry| self.expr(entry.default()));
        }
        self.expr(lambda.body());
        self.frames.pop();
    }

    fn with(&mut self, with: ast::With) {
        self.expr(with.namespace());
        let body = with.body();
        self.frames.push(Frame::With(self.names.withs.len()));
        self.names.withs.push(With { node: with, used: false });
        self.expr(body);
        self.frames.pop();
    }

    fn define(&mut self, name: &str, origin: Origin, at: &SyntaxNode) -> usize {
        self.names.defined.push(Name {
            word: name.to_owned(),
            origin,
            at: at.clone(),
            used: false,
            used_by_itself: false,
        });
        self.names.defined.len() - 1
    }
}
