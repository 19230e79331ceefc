//! The options that a file declares itself: `options.x = mkOption { .. }`, with those in submodules.

use std::ops::Range;

use rnix::SyntaxKind::NODE_APPLY;
use rnix::ast::{self, BinOpKind, Expr, HasEntry as _};
use rowan::ast::AstNode as _;
use serde::{Deserialize, Serialize};

use crate::lint::ask::{Call, attr, call, dotted, last_name, text};
use crate::lint::attributes::{bare, constant};
use crate::lint::file::File;
use crate::lint::finding::Span as _;

/// Stands for any name.
pub(in crate::lint) const ANY: &str = "*";

/// Something that a file declares.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(in crate::lint) struct Declared {
    /// Where it stands among all options.
    pub(in crate::lint) path: Vec<String>,
    pub(in crate::lint) what: What,
    /// What a feature says of others beside its declaration.
    pub(in crate::lint) links: Vec<Link>,
}

/// A feature that another one speaks of.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(in crate::lint) struct Link {
    pub(in crate::lint) name: String,
    pub(in crate::lint) span: Range<usize>,
    /// Whether both cannot be together; else it is required.
    pub(in crate::lint) is_conflict: bool,
}

impl Declared {
    fn new(path: impl Into<Vec<String>>, what: What) -> Self {
        Self { path: path.into(), what, links: Vec::new() }
    }
}

/// What is declared.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(in crate::lint) enum What {
    /// An option, with the name of its type as the index writes it.
    Option(String),
    /// Only evaluating tells what stands here and below.
    Unknown,
}

/// The options that `file` declares.
pub(in crate::lint) fn declared(file: &File<'_>) -> Vec<Declared> {
    let mut found = Vec::new();
    if !["options", "OptionModule"].iter().any(|word| file.source.text().contains(word)) {
        return found;
    }
    for node in file.tree.syntax().descendants() {
        if let Some(entry) = ast::AttrpathValue::cast(node.clone()) {
            of_entry(&entry, file, &mut found);
        } else if node.kind() == NODE_APPLY {
            found.extend(Expr::cast(node).and_then(|expr| renamed(&expr)));
        }
    }
    found
}

/// `options = { .. }` and `options.x = ..`, in a module or in what a flake gives as one.
fn of_entry(entry: &ast::AttrpathValue, file: &File<'_>, found: &mut Vec<Declared>) {
    let Some(attrs) = entry.attrpath().map(|path| path.attrs().collect::<Vec<_>>()) else { return };
    if attrs.first().and_then(constant).as_deref() != Some("options") {
        return;
    }
    let (Some(path), Some(value)) = (file.option_path(entry), entry.value()) else { return };
    // What stands deeper, such as the options of a mount, has the same name and is something else.
    let below = if path.len() == attrs.len() { &path[1..] } else { return };
    match bare(value) {
        Expr::List(_) | Expr::Str(_) | Expr::Literal(_) => {}
        value => declare(below, &value, found),
    }
}

/// An option that stands for another one.
fn renamed(expr: &Expr) -> Option<Declared> {
    let Call { name, args } = call(expr)?;
    let is_it = ["mkRenamedOptionModule", "mkAliasOptionModule", "mkRemovedOptionModule", "mkChangedOptionModule"];
    // Of a call with several arguments, that with the first of them is a part.
    (is_it.contains(&name.as_str()) && args.len() == 1).then_some(())?;
    let Expr::List(list) = bare(args.first()?.clone()) else { return None };
    let path = list.items().map(|item| text(&item)).collect::<Option<Vec<_>>>()?;
    Some(Declared::new(path, What::Option("unspecified".to_owned())))
}

fn declare(path: &[String], value: &Expr, found: &mut Vec<Declared>) {
    match bare(value.clone()) {
        Expr::AttrSet(set) => of_set(path, &set, found),
        Expr::LetIn(inner) => inner.body().into_iter().for_each(|body| declare(path, &body, found)),
        Expr::With(inner) => inner.body().into_iter().for_each(|body| declare(path, &body, found)),
        Expr::BinOp(op) if op.operator() == Some(BinOpKind::Update) => {
            let Some(left) = op.lhs() else { return };
            declare(path, &left, found);
            // `mkEnableOption "x" // { default = true; }`
            let is_option = call(&left).is_some_and(|left| of_call(&left).is_some());
            match (op.rhs(), found.last_mut()) {
                (Some(said), Some(option)) if is_option => option.links.extend(links(&said)),
                (Some(right), _) => declare(path, &right, found),
                (None, _) => {}
            }
        }
        other => match call(&other) {
            Some(called) if of_call(&called).is_some() => option(path, &called, found),
            Some(mut called) if ["mkIf", "optionalAttrs"].contains(&called.name.as_str()) => {
                called.args.pop().into_iter().for_each(|value| declare(path, &value, found));
            }
            _ => found.push(Declared::new(path, What::Unknown)),
        },
    }
}

fn of_set(path: &[String], set: &ast::AttrSet, found: &mut Vec<Declared>) {
    let below = |names: Vec<String>| path.iter().cloned().chain(names).collect::<Vec<_>>();
    for entry in set.attrpath_values() {
        let (Some(attrs), Some(value)) = (entry.attrpath(), entry.value()) else { continue };
        let names = attrs.attrs().map(|attr| constant(&attr).unwrap_or_else(|| ANY.to_owned())).collect();
        declare(&below(names), &value, found);
    }
    for name in set.inherits().flat_map(|inherit| inherit.attrs().collect::<Vec<_>>()) {
        let names = vec![constant(&name).unwrap_or_else(|| ANY.to_owned())];
        found.push(Declared::new(below(names), What::Unknown));
    }
}

/// The features that a declaration speaks of, as far as they are written out.
fn links(said: &Expr) -> Vec<Link> {
    let Expr::AttrSet(set) = bare(said.clone()) else { return Vec::new() };
    let of = |word: &str, is_conflict| {
        let Some(Expr::List(list)) = attr(&set, word).map(bare) else { return Vec::new() };
        let link =
            |item: Expr| Some(Link { name: text(&item)?, span: item.syntax().text_range().bytes(), is_conflict });
        list.items().filter_map(link).collect()
    };
    [of("requires", false), of("conflicts", true)].concat()
}

/// The type that a call alone says an option is of; `?` where its argument does.
fn of_call(called: &Call) -> Option<&'static str> {
    match called.name.as_str() {
        "mkOption" => Some("?"),
        "mkEnableOption" => Some("bool"),
        "mkPackageOption" | "mkPackageOptionMD" => Some("package"),
        _ => None,
    }
}

fn option(path: &[String], called: &Call, found: &mut Vec<Declared>) {
    let name = match of_call(called) {
        Some("?") => {
            let said = called.args.first().map(|said| bare(said.clone()));
            let kind = match &said {
                Some(Expr::AttrSet(said)) => attr(said, "type"),
                _ => None,
            };
            match kind {
                Some(kind) => type_name(path, &kind, found),
                None => "unspecified".to_owned(),
            }
        }
        name => name.unwrap_or_default().to_owned(),
    };
    found.push(Declared::new(path, What::Option(name)));
}

/// The name of a type as the index writes it; what options a submodule in it has is declared as well.
fn type_name(path: &[String], kind: &Expr, found: &mut Vec<Declared>) -> String {
    let kind = bare(kind.clone());
    if let Expr::With(with) = &kind
        && let Some(body) = with.body()
    {
        return type_name(path, &body, found);
    }
    if let Some(called) = call(&kind) {
        return of_type_call(path, &called, found);
    }
    let name = dotted(&kind).and_then(|parts| parts.last().cloned()).or_else(|| last_name(&kind));
    match name.as_deref() {
        Some(
            name @ ("bool" | "str" | "int" | "float" | "path" | "package" | "attrs" | "singleLineStr" | "nonEmptyStr"),
        ) => name.to_owned(),
        Some("port" | "u16") => "unsignedInt16".to_owned(),
        Some("u8") => "unsignedInt8".to_owned(),
        Some("unsigned") => "unsignedInt".to_owned(),
        Some("positive") => "positiveInt".to_owned(),
        Some("lines" | "commas" | "envVar") => "separatedString".to_owned(),
        _ => "unspecified".to_owned(),
    }
}

fn of_type_call(path: &[String], called: &Call, found: &mut Vec<Declared>) -> String {
    let mut inner = |at: usize, path: &[String]| match called.args.get(at) {
        Some(kind) => type_name(path, kind, found),
        None => "unspecified".to_owned(),
    };
    match called.name.as_str() {
        name @ ("nullOr" | "unique" | "uniq") => {
            format!("{} {}", if name == "nullOr" { name } else { "unique" }, inner(called.args.len() - 1, path))
        }
        "listOf" | "nonEmptyListOf" => "listOf unspecified".to_owned(),
        "attrsOf" | "lazyAttrsOf" => {
            let below: Vec<_> = path.iter().cloned().chain([ANY.to_owned()]).collect();
            let kind = inner(0, &below);
            format!("attrsOf {kind}")
        }
        "either" => format!("either {} {}", inner(0, path), inner(1, path)),
        "coercedTo" => format!("either {} {}", inner(0, path), inner(2, path)),
        "enum" => format!("enum {}", values(called.args.first())),
        "submodule" | "submoduleWith" => {
            submodule(path, called.args.first(), found);
            "submodule".to_owned()
        }
        _ => "unspecified".to_owned(),
    }
}

/// The values of an `enum` as JSON; none where not all of them are written out, so that any may be meant.
fn values(list: Option<&Expr>) -> String {
    let Some(Expr::List(list)) = list.map(|list| bare(list.clone())) else { return "[]".to_owned() };
    let value = |item: Expr| match &item {
        Expr::Str(_) => text(&item).map(serde_json::Value::from),
        _ => serde_json::from_str(&item.syntax().text().to_string()).ok(),
    };
    let values: Option<Vec<_>> = list.items().map(value).collect();
    serde_json::Value::from(values.unwrap_or_default()).to_string()
}

fn submodule(path: &[String], module: Option<&Expr>, found: &mut Vec<Declared>) {
    let unknown = Declared::new(path, What::Unknown);
    let Some(set) = module.and_then(module_set) else { return found.push(unknown) };
    if ["freeformType", "imports", "modules"].iter().any(|name| attr(&set, name).is_some()) {
        found.push(unknown);
    }
    for entry in set.attrpath_values() {
        let Some(attrs) = entry.attrpath().map(|attrs| attrs.attrs().collect::<Vec<_>>()) else { continue };
        if attrs.first().and_then(constant).as_deref() != Some("options") {
            continue;
        }
        let names = attrs[1..].iter().map(|attr| constant(attr).unwrap_or_else(|| ANY.to_owned()));
        let path: Vec<_> = path.iter().cloned().chain(names).collect();
        entry.value().into_iter().for_each(|value| declare(&path, &value, found));
    }
}

/// The set that a module is, or that it gives.
fn module_set(module: &Expr) -> Option<ast::AttrSet> {
    match bare(module.clone()) {
        Expr::AttrSet(set) => Some(set),
        Expr::Lambda(lambda) => module_set(&lambda.body()?),
        Expr::LetIn(inner) => module_set(&inner.body()?),
        Expr::With(inner) => module_set(&inner.body()?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::file;
    use crate::lint::source::Source;

    fn all(text: &str) -> Vec<String> {
        let source = Source::new("a.nix", text);
        let file = file::read(&source).0.unwrap_or_else(|| panic!("{text} is not Nix"));
        let told = declared(&file).into_iter().map(|one| match one.what {
            What::Option(kind) => format!("{}: {kind}", one.path.join(".")),
            What::Unknown => format!("{}: ?", one.path.join(".")),
        });
        told.collect()
    }

    #[test]
    fn options_are_read_with_their_types() {
        for (text, wanted) in [
            ("{ lib }: { options.a.b.enable = lib.mkEnableOption \"b\"; }", vec!["a.b.enable: bool"]),
            (
                "{ lib }: { options.a = { b = lib.mkOption { type = lib.types.nullOr lib.types.port; }; }; }",
                vec!["a.b: nullOr unsignedInt16"],
            ),
            (
                "{ mkOption, types }: { options = { a = mkOption { type = with types; enum [ \"x\" 1 ]; }; }; }",
                vec!["a: enum [\"x\",1]"],
            ),
            (
                "{ mkOption, types }: { options = { a = mkOption { type = types.enum [ \"x\" 1 ]; }; }; }",
                vec!["a: enum [\"x\",1]"],
            ),
            (
                "{ mkOption, types, x }: { options.a = mkOption { type = types.enum (x ++ [ 1 ]); }; }",
                vec!["a: enum []"],
            ),
            ("{ lib }: { options.a = lib.mkEnableOption \"b\" // { default = true; }; }", vec!["a: bool"]),
            (
                "{ lib }: with lib; { options.a = mkOption { type = types.attrsOf (types.submodule ({ name, ... }: { options.b = mkEnableOption name; })); }; }",
                vec!["a.*.b: bool", "a: attrsOf submodule"],
            ),
            (
                "{ lib }: { options.a = lib.mkOption { type = lib.types.submodule ./x.nix; }; }",
                vec!["a: ?", "a: submodule"],
            ),
            ("{ mk, x }: { options = { a = mk 1; inherit (x) b; ${x}.c = mk 2; }; }", vec!["a: ?", "*.c: ?", "b: ?"]),
            ("{ x }: { options = x // { a.b = x; }; }", vec![": ?", "a.b: ?"]),
            ("{ fileSystems.\"/\" = { options = [ \"noatime\" ]; }; x.options = { a = 1; }; }", vec![]),
            (
                "{ lib }: { imports = [ (lib.mkRenamedOptionModule [ \"a\" \"b\" ] [ \"c\" ]) ]; }",
                vec!["a.b: unspecified"],
            ),
            (
                "{ lib }: { options.a = lib.mkOption { type = lib.types.either (lib.types.listOf lib.types.str) lib.types.bool; }; }",
                vec!["a: either listOf unspecified bool"],
            ),
        ] {
            assert_eq!(all(text), wanted, "{text}");
        }
    }
}
