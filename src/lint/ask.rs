//! Questions that several rules ask of a tree.

use rnix::SyntaxKind::*;
use rnix::SyntaxNode;
use rnix::ast::{self, Attr, Expr, HasEntry};
use rowan::ast::AstNode as _;

use super::attributes::{bare, constant, constant_text};

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
        Expr::Ident(ident) => Some(ident.to_string()),
        Expr::Select(select) if select.or_token().is_none() => constant(&select.attrpath()?.attrs().last()?),
        _ => None,
    }
}

/// A name such as `builtins.readFile`, as its parts.
pub(super) fn dotted(expr: &Expr) -> Option<Vec<String>> {
    match bare(expr.clone()) {
        Expr::Ident(ident) => Some(vec![ident.to_string()]),
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
const PROPERTIES: &[&str] =
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

/// The names along the way to an option that `entry` sets, from the module that it stands in; a name that only evaluating tells is
/// `*`. None where it is no part of a module's own attributes.
pub(super) fn option_path(entry: &ast::AttrpathValue) -> Option<Vec<String>> {
    let mut path = names(entry)?;
    let mut node = entry.syntax().parent()?;
    // What `let` defines may be used anywhere.
    (node.kind() == NODE_ATTR_SET).then_some(())?;
    loop {
        let parent = node.parent()?;
        match parent.kind() {
            NODE_ATTRPATH_VALUE => {
                let outer = ast::AttrpathValue::cast(parent.clone())?;
                let mut outer = names(&outer)?;
                outer.append(&mut path);
                path = outer;
                node = parent.parent()?;
                (node.kind() == NODE_ATTR_SET).then_some(())?;
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
                        break;
                    }
                    _ => return None,
                }
            }
            NODE_LAMBDA if is_submodule(&parent) => return None,
            NODE_LAMBDA | NODE_ROOT => break,
            _ => return None,
        }
    }
    if path.len() > 1 && path[0] == "config" {
        path.remove(0);
    }
    Some(path)
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
