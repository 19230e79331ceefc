//! What cannot be evaluated before something is built.

use rnix::SyntaxKind::NODE_APPLY;
use rnix::SyntaxNode;
use rnix::ast::{Apply, Expr};
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::ask::{builtin, call, dotted};
use crate::lint::attributes::bare;
use crate::lint::file::File;
use crate::lint::finding::Finding;

/// Functions that read a file while Nix evaluates.
const READERS: &[&str] = &["import", "readFile", "readDir", "fromJSON", "fromTOML", "scopedImport"];

/// Functions of nixpkgs that make a derivation, by their last name.
const MAKERS: &[&str] = &[
    "applyPatches",
    "buildEnv",
    "fetchFromBitbucket",
    "fetchFromGitea",
    "fetchFromGitHub",
    "fetchFromGitLab",
    "fetchFromSourcehut",
    "fetchgit",
    "fetchpatch",
    "fetchurl",
    "fetchzip",
    "mkDerivation",
    "runCommand",
    "runCommandLocal",
    "substituteAll",
    "symlinkJoin",
    "writeShellScript",
    "writeText",
    "writeTextFile",
];

pub(super) const RULE: Rule = rule!("import-from-derivation", Warning, Check::Nodes(&[NODE_APPLY], check));

fn check(node: &SyntaxNode, _: &File<'_>) -> Option<Finding> {
    let apply = Apply::cast(node.clone())?;
    let reader = builtin(&apply.lambda()?).filter(|name| READERS.contains(&name.as_str()))?;
    let argument = bare(apply.argument()?);
    let made = maker(&argument)?;
    Some(
        Finding::at(apply.lambda()?.syntax().text_range(), format!("`{reader}` of what `{made}` builds: nothing is evaluated before it is built"))
            .hint("take it as an input of the flake, or keep a copy of the file in the repository"),
    )
}

/// The function that makes the derivation of which `expr` is a path.
fn maker(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Apply(_) => {
            let call = call(expr)?;
            // Nix fetches by its built-in functions while it evaluates.
            let is_builtin = matches!(dotted(&head(expr)?)?.as_slice(), [only] if only.starts_with("__"))
                || dotted(&head(expr)?)?.first().is_some_and(|first| first == "builtins");
            (!is_builtin && MAKERS.contains(&call.name.as_str())).then_some(call.name)
        }
        Expr::BinOp(sum) => maker(&bare(sum.lhs()?)),
        Expr::Str(text) => {
            let first = text.parts().next()?;
            let rnix::ast::InterpolPart::Interpolation(inner) = first else { return None };
            maker(&bare(inner.expr()?))
        }
        _ => None,
    }
}

fn head(expr: &Expr) -> Option<Expr> {
    match bare(expr.clone()) {
        Expr::Apply(apply) => head(&apply.lambda()?),
        other => Some(other),
    }
}
