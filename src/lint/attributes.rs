//! The attributes of a set as Nix puts them together: `a.b = 1; a = { c = 2; };` is one `a` with two attributes.
//!
//! Source: the Nix manual, "Attribute set", and what Nix accepts. That a set which is merged into another loses its `rec`, and that
//! a name of it is then looked for where it is merged to, is what Nix does too.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use rnix::ast::{self, Attr, HasEntry, InterpolPart};
use rnix::{SyntaxKind, SyntaxNode};
use rowan::ast::AstNode as _;

use super::finding::{Finding, Severity};

/// The name of what is defined more than once.
pub(super) const DUPLICATE: &str = "duplicate-attribute";

/// The attributes of a set, of `let`, or of what a path such as `a.b` implies.
#[derive(Debug, Default)]
pub(super) struct Set {
    pub(super) recursive: bool,
    pub(super) attrs: BTreeMap<String, Definition>,
    /// What attributes are inherited from.
    pub(super) from: Vec<ast::Expr>,
    /// Attributes whose names are known when they are evaluated.
    pub(super) dynamic: Vec<(Attr, Value)>,
}

/// An attribute.
#[derive(Debug)]
pub(super) struct Definition {
    /// Its name, where it is defined first.
    pub(super) at: SyntaxNode,
    pub(super) value: Value,
}

/// What an attribute is defined as.
#[derive(Debug)]
pub(super) enum Value {
    Expr(ast::Expr),
    Set(Set),
    /// From the scope around the set.
    Inherited,
    /// From one of [`Set::from`].
    InheritedFrom,
}

/// The attributes of `node`, and what Nix would not accept of them.
pub(super) fn collect(node: &impl HasEntry, recursive: bool, found: &mut Vec<Finding>) -> Set {
    let mut set = Set { recursive, ..Set::default() };
    for entry in node.entries() {
        match entry {
            ast::Entry::Inherit(inherit) => add_inherited(&mut set, &inherit, found),
            ast::Entry::AttrpathValue(attr) => {
                let (Some(path), Some(value)) = (attr.attrpath(), attr.value()) else { continue };
                let value = value_of(value, found);
                add(&mut set, &path, value, found);
            }
        }
    }
    set
}

/// The name of an attribute, where it is known without evaluating.
pub(super) fn constant(attr: &Attr) -> Option<String> {
    match attr {
        Attr::Ident(ident) => Some(word(ident)),
        Attr::Str(text) => constant_text(text),
        Attr::Dynamic(dynamic) => match bare(dynamic.expr()?) {
            ast::Expr::Str(text) => constant_text(&text),
            _ => None,
        },
    }
}

/// A name as it is written: the text of its only token, which is found faster than that of a node.
pub(super) fn word(ident: &ast::Ident) -> String {
    ident.ident_token().map_or_else(|| ident.to_string(), |token| token.text().to_owned())
}

/// The content of a text without `${}`.
pub(super) fn constant_text(text: &ast::Str) -> Option<String> {
    // In a file that is no Nix, something else may stand in it, at which the parser's own library fails.
    if text.syntax().children().any(|child| child.kind() != SyntaxKind::NODE_INTERPOL) {
        return None;
    }
    let mut parts = text.normalized_parts();
    match (parts.pop(), parts.pop()) {
        (None, _) => Some(String::new()),
        (Some(InterpolPart::Literal(content)), None) => Some(content),
        _ => None,
    }
}

/// An expression without the brackets around it.
pub(super) fn bare(expr: ast::Expr) -> ast::Expr {
    match expr {
        ast::Expr::Paren(ref paren) => paren.expr().map_or(expr, bare),
        other => other,
    }
}

fn value_of(expr: ast::Expr, found: &mut Vec<Finding>) -> Value {
    match bare(expr) {
        ast::Expr::AttrSet(set) => Value::Set(collect(&set, set.rec_token().is_some(), found)),
        other => Value::Expr(other),
    }
}

fn add_inherited(set: &mut Set, inherit: &ast::Inherit, found: &mut Vec<Finding>) {
    let from = inherit.from().and_then(|from| from.expr());
    let is_from = from.is_some();
    set.from.extend(from);
    for attr in inherit.attrs() {
        let Some(name) = constant(&attr) else { continue };
        let value = if is_from { Value::InheritedFrom } else { Value::Inherited };
        insert(set, name, Definition { at: attr.syntax().clone(), value }, 0, found);
    }
}

/// Adds what stands at `path`; the sets on its way are made where there are none.
fn add(set: &mut Set, path: &ast::Attrpath, value: Value, found: &mut Vec<Finding>) {
    let attrs: Vec<_> = path.attrs().collect();
    let Some((last, way)) = attrs.split_last() else { return };
    let mut set = set;
    for attr in way {
        let at = attr.syntax().clone();
        set = if let Some(name) = constant(attr) {
            let made = || Definition { at: at.clone(), value: Value::Set(Set::default()) };
            let definition = set.attrs.entry(name).or_insert_with(made);
            let first = definition.at.clone();
            let Value::Set(inner) = &mut definition.value else { return found.push(duplicate(&at, &first)) };
            inner
        } else {
            set.dynamic.push((attr.clone(), Value::Set(Set::default())));
            let Some((_, Value::Set(inner))) = set.dynamic.last_mut() else { return };
            inner
        };
    }
    match constant(last) {
        Some(name) => insert(set, name, Definition { at: last.syntax().clone(), value }, 0, found),
        None => set.dynamic.push((last.clone(), value)),
    }
}

/// Adds one attribute; two sets become one. `depth` is how many sets above it are being made one.
fn insert(set: &mut Set, name: String, new: Definition, depth: usize, found: &mut Vec<Finding>) {
    let known = match set.attrs.entry(name) {
        Entry::Vacant(place) => {
            place.insert(new);
            return;
        }
        Entry::Occupied(known) => known.into_mut(),
    };
    match (&mut known.value, new.value) {
        (Value::Set(into), Value::Set(from)) => {
            if depth > 0 && !into.attrs.is_empty() && !from.attrs.is_empty() {
                found.push(merged_by_newer_nix(&new.at, &known.at));
            }
            let known = found.iter().filter(|finding| finding.severity == Severity::Error).count();
            for (name, attr) in from.attrs {
                insert(into, name, attr, depth + 1, found);
                // Where a whole set stands twice, one of its attributes says so.
                if found.iter().filter(|finding| finding.severity == Severity::Error).count() > known {
                    break;
                }
            }
            into.from.extend(from.from);
            into.dynamic.extend(from.dynamic);
        }
        _ => found.push(duplicate(&new.at, &known.at)),
    }
}

fn duplicate(again: &SyntaxNode, first: &SyntaxNode) -> Finding {
    Finding::error(DUPLICATE, again.text_range(), format!("the attribute `{}` is defined twice", whole_path(again)))
        .related(first.text_range(), "first here")
}

fn merged_by_newer_nix(again: &SyntaxNode, first: &SyntaxNode) -> Finding {
    let message =
        format!("Nix 2.8 takes this for a second definition of `{}`; newer ones make one set of both", again.text());
    let finding = Finding::error(DUPLICATE, again.text_range(), message).related(first.text_range(), "first here");
    Finding { severity: Severity::Note, ..finding }
}

/// The path that ends with the attribute `node`, as it is written.
fn whole_path(node: &SyntaxNode) -> String {
    let Some(path) = node.parent().and_then(ast::Attrpath::cast) else { return node.text().to_string() };
    let end = node.text_range().end();
    let attrs = path.attrs().filter(|attr| attr.syntax().text_range().end() <= end);
    attrs.map(|attr| attr.syntax().text().to_string()).collect::<Vec<_>>().join(".")
}
