//! A value that its option does not take.

use rnix::SyntaxNode;
use rnix::ast::{AttrpathValue, Expr, LiteralKind};
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::ask::{option_path, plain, text};
use crate::lint::finding::Finding;
use crate::lint::options::{Kind, Options, Place, accepts};

pub(super) const RULE: Rule = rule!("option-value", Error, Check::Options(check));

fn check(node: &SyntaxNode, options: &Options) -> Option<Finding> {
    let entry = AttrpathValue::cast(node.clone())?;
    let value = plain(entry.value()?);
    let kind = kind(&value)?;
    let path = option_path(&entry).filter(|path| path.len() > 1)?;
    let Place::Known(Some(at)) = options.place(&path) else { return None };
    let found = options.found(at);
    // Whether it is NixOS's, home-manager's or nix-darwin's is not known.
    if found.types.iter().any(|(_, name)| accepts(name, &kind)) {
        return None;
    }
    let wanted = found.types.first()?.1;
    Some(
        Finding::at(value.syntax().text_range(), format!("`{}` does not take {}", found.name, kind.word()))
            .label(format!("it is of the type `{}`", shortened(wanted))),
    )
}

/// What a value is, where it is written out.
fn kind(value: &Expr) -> Option<Kind> {
    match value {
        Expr::Str(_) => Some(Kind::Text(text(value))),
        Expr::List(_) => Some(Kind::List),
        Expr::AttrSet(_) => Some(Kind::Set),
        Expr::PathAbs(_) | Expr::PathRel(_) => Some(Kind::Path),
        Expr::Ident(ident) => match ident.to_string().as_str() {
            "true" | "false" => Some(Kind::Bool),
            "null" => Some(Kind::Null),
            _ => None,
        },
        Expr::Literal(literal) => match literal.kind() {
            LiteralKind::Integer(number) => number.value().ok().map(Kind::Int),
            LiteralKind::Float(_) => Some(Kind::Float),
            LiteralKind::Uri(_) => Some(Kind::Text(None)),
        },
        _ => None,
    }
}

fn shortened(name: &str) -> String {
    match name.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &name[..at]),
        None => name.to_owned(),
    }
}
