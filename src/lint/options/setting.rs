//! An attribute that a module sets, looked up among the options.

use rnix::TextRange;
use rnix::ast::{AttrpathValue, Expr, List, LiteralKind};
use rowan::ast::AstNode as _;

use super::index::{Options, Place};
use super::own::Unsettled;
use super::value::Kind;
use crate::lint::ask::{plain, text};
use crate::lint::file::File;
use crate::lint::finding::Span as _;
use crate::lint::option_path::OptionPath;

/// An attribute that a module sets.
#[derive(Debug)]
pub(in crate::lint) struct Setting {
    /// Its path from the module; a name that only evaluating tells is `*`.
    pub(in crate::lint) path: OptionPath,
    /// Where its name stands.
    pub(in crate::lint) name: TextRange,
    /// Its value, without what says when or how strongly it holds.
    pub(in crate::lint) value: Expr,
    /// What the index has there.
    pub(in crate::lint) place: Place,
}

impl Setting {
    /// What `entry` sets; none where that cannot be an option.
    pub(in crate::lint) fn of(entry: &AttrpathValue, file: &File<'_>, options: &Options) -> Option<Self> {
        let path = file.option_path(entry).filter(|path| path.len() > 1)?;
        let (name, value) = (entry.attrpath()?.syntax().text_range(), plain(entry.value()?));
        let place = options.place(&path);
        Some(Self { path, name, value, place })
    }

    /// What its value is, where it is written out.
    pub(in crate::lint) fn kind(&self) -> Option<Kind> {
        kind_of(&self.value)
    }

    /// Where it is a list that is written out, what stands in it as far as that is written out too.
    pub(in crate::lint) fn items(&self) -> impl Iterator<Item = (TextRange, Kind)> {
        let list = if let Expr::List(list) = &self.value { Some(list) } else { None };
        list.into_iter().flat_map(List::items).filter_map(|item| Some((item.syntax().text_range(), kind_of(&item)?)))
    }

    /// What only all files together can settle: whether it is an option of the hub's own.
    pub(in crate::lint) fn unsettled(&self) -> Option<Unsettled> {
        let Place::Unknown { part, .. } = &self.place else { return None };
        Some(Unsettled {
            path: self.path.to_vec(),
            known: *part,
            span: self.name.bytes(),
            value: self.value.syntax().text_range().bytes(),
            kind: self.kind(),
        })
    }
}

/// What a value is, where it is written out.
fn kind_of(value: &Expr) -> Option<Kind> {
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
