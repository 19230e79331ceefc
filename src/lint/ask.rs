//! Questions that several rules ask of a tree.

use rnix::SyntaxKind::*;
use rnix::SyntaxNode;
use rnix::ast::{self, Attr, Expr, HasEntry};
use rowan::ast::AstNode as _;

use super::attributes::{bare, constant, constant_text, word};

/// A call with all its arguments, by the last part of the function's name: `lib.mkIf a b` is `mkIf` with two.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) name: String,
    pub(super) args: Vec<Expr>,
}

/// The call that `expr` is, if its function has a name.
pub(super) fn call(expr: &Expr) -> Option<Call> {
    let mut args = Vec::new();
    let mut head = bare(expr.clone());
    while let Expr::Apply(apply) = head {
        args.push(apply.argument()?);
        head = bare(apply.lambda()?);
    }
    args.reverse();
    (!args.is_empty()).then_some(())?;
    Some(Call { name: last_name(&head)?, args })
}

/// The last part of a name such as `lib.mkIf`.
pub(super) fn last_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Ident(ident) => Some(word(ident)),
        Expr::Select(select) if select.or_token().is_none() => constant(&select.attrpath()?.attrs().last()?),
        _ => None,
    }
}

/// A name such as `builtins.readFile`, as its parts.
pub(super) fn dotted(expr: &Expr) -> Option<Vec<String>> {
    match bare(expr.clone()) {
        Expr::Ident(ident) => Some(vec![word(&ident)]),
        Expr::Select(select) if select.or_token().is_none() => {
            let mut parts = dotted(&select.expr()?)?;
            for attr in select.attrpath()?.attrs() {
                parts.push(constant(&attr)?);
            }
            Some(parts)
        }
        _ => None,
    }
}

/// The built-in function that `expr` names: `builtins.x`, `__x`, or `x` where that is one of the few that need no prefix.
pub(super) fn builtin(expr: &Expr) -> Option<String> {
    let parts = dotted(expr)?;
    match parts.as_slice() {
        [builtins, name] if builtins == "builtins" => Some(name.clone()),
        [name] => match name.strip_prefix("__") {
            Some(bare) => Some(bare.to_owned()),
            None => super::globals::is_global(name).then(|| name.clone()),
        },
        _ => None,
    }
}

/// The functions of the module system that say when or how strongly a value holds. Their last argument is the value.
pub(super) const PROPERTIES: &[&str] =
    &["mkIf", "mkForce", "mkDefault", "mkOverride", "mkBefore", "mkAfter", "mkOrder", "mkVMOverride"];

/// A value without what says when or how strongly it holds.
pub(super) fn plain(expr: Expr) -> Expr {
    let expr = bare(expr);
    match call(&expr) {
        Some(mut call) if PROPERTIES.contains(&call.name.as_str()) => call.args.pop().map_or(expr, plain),
        _ => expr,
    }
}

/// The text that an expression is, if it is one without `${}`.
pub(super) fn text(expr: &Expr) -> Option<String> {
    match bare(expr.clone()) {
        Expr::Str(text) => constant_text(&text),
        _ => None,
    }
}

/// Whether an expression is this very name.
pub(super) fn is_name(expr: &Expr, name: &str) -> bool {
    matches!(bare(expr.clone()), Expr::Ident(ident) if ident.syntax().text() == name)
}

/// The whole number that an expression is.
pub(super) fn number(expr: &Expr) -> Option<i64> {
    match bare(expr.clone()) {
        Expr::Literal(literal) => literal.syntax().text().to_string().parse().ok(),
        _ => None,
    }
}

/// The value of an attribute of a set, by its name alone.
pub(super) fn attr(set: &ast::AttrSet, name: &str) -> Option<Expr> {
    let found = set.attrpath_values().find(|entry| {
        let attrs: Vec<_> = entry.attrpath().map(|path| path.attrs().collect()).unwrap_or_default();
        matches!(attrs.as_slice(), [only] if constant(only).as_deref() == Some(name))
    });
    found?.value()
}

/// Whether a set defines an attribute of this name, or one below it, in whatever way.
pub(super) fn defines(set: &ast::AttrSet, name: &str) -> bool {
    let is_it = |attr: &Attr| constant(attr).as_deref() == Some(name);
    set.attrpath_values()
        .any(|entry| entry.attrpath().and_then(|path| path.attrs().next()).is_some_and(|attr| is_it(&attr)))
        || set.inherits().any(|inherit| inherit.attrs().any(|attr| is_it(&attr)))
}

/// Whether a path is that of an option, in which `*` stands for any name.
pub(super) fn is_option(path: &[String], option: &str) -> bool {
    let mut parts = option.split('.');
    path.iter().all(|name| parts.next().is_some_and(|part| part == "*" || part == name)) && parts.next().is_none()
}

/// Whether the first set of an option's value is found, and it: `{ .. }`, `mkIf c { .. }`, `mkForce { .. }`.
pub(super) fn set(expr: Expr) -> Option<ast::AttrSet> {
    match plain(expr) {
        Expr::AttrSet(set) => Some(set),
        _ => None,
    }
}

/// Whether a command replaces the one of another module's service: by force, or after an empty one, which resets it.
pub(super) fn replaces(command: Expr) -> bool {
    let is_forced = call(&command).is_some_and(|call| call.name == "mkForce");
    let first = match plain(command) {
        Expr::List(list) => list.items().next(),
        _ => None,
    };
    is_forced || first.and_then(|first| text(&first)).as_deref() == Some("")
}

/// Whether a node is a default of a function's argument, which a caller may replace.
pub(super) fn is_default(node: &SyntaxNode) -> bool {
    node.ancestors().any(|above| above.kind() == NODE_PAT_ENTRY)
}
