//! What a host's files say, statement by statement, so that it can be compared with what others say.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use rnix::SyntaxKind::*;
use rnix::ast::{self, Expr};
use rnix::{NodeOrToken, SyntaxNode};
use rowan::ast::AstNode as _;

use super::ask::is_option;
use super::attributes::bare;
use super::file::{File, host_of};
use super::scope::Origin;
use super::tree::resolved;

/// An option that is set to a value, or an item that is added to a list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Statement {
    /// It in one line, the same wherever the same is said.
    pub(super) text: String,
    /// The option's path.
    pub(super) option: Vec<String>,
    /// The lines that it takes.
    pub(super) lines: RangeInclusive<usize>,
}

/// What is of one host alone, even where others say the same.
const OWN: [&str; 6] = [
    "system.stateVersion",
    "home.stateVersion",
    "home-manager.users.*.home.stateVersion",
    "networking.hostName",
    "networking.hostId",
    "nixpkgs.hostPlatform",
];

/// Files that a program writes anew: nobody would share what is in them.
const GENERATED: &str = "hardware-configuration.nix";

/// All that a file says without a condition and without names that only the file itself defines.
pub(super) fn statements(file: &File<'_>) -> Vec<Statement> {
    let path = file.source.path();
    if path.ends_with(GENERATED) {
        return Vec::new();
    }
    let defined = file.names.defined.iter().filter(|name| name.origin == Origin::Let);
    let own: BTreeSet<&str> = defined.map(|name| name.word.as_str()).collect();
    let reader = Reader { file, directory: path.rsplit_once('/').map_or("", |(directory, _)| directory), own };
    let entries = file.tree.syntax().descendants().filter_map(ast::AttrpathValue::cast);
    entries.filter_map(|entry| reader.of_entry(&entry)).flatten().collect()
}

struct Reader<'a> {
    file: &'a File<'a>,
    directory: &'a str,
    /// Names that mean something in this file alone.
    own: BTreeSet<&'a str>,
}

impl Reader<'_> {
    fn of_entry(&self, entry: &ast::AttrpathValue) -> Option<Vec<Statement>> {
        let value = bare(entry.value()?);
        if matches!(value, Expr::AttrSet(_)) || is_conditional(entry.syntax()) {
            return None;
        }
        let option = self.file.option_path(entry)?;
        if option.iter().any(|part| part == "*") || OWN.iter().any(|own| is_option(&option, own)) {
            return None;
        }
        let name = option.iter().map(|part| written(part)).collect::<Vec<_>>().join(".");
        let mut said = Vec::new();
        let mut add = |text: Option<String>, node: &SyntaxNode| {
            let statement = |text| Statement { text, option: option.to_vec(), lines: self.lines(node) };
            said.extend(text.map(statement));
        };
        match list(&value) {
            Some((with, list)) if list.items().next().is_some() => {
                for item in list.items() {
                    let text = self.text(item.syntax()).map(|text| format!("{name} += {with}{text}"));
                    add(text, item.syntax());
                }
            }
            _ => add(self.text(value.syntax()).map(|text| format!("{name} = {text}")), entry.syntax()),
        }
        Some(said)
    }

    fn lines(&self, node: &SyntaxNode) -> RangeInclusive<usize> {
        let (start, end) = (usize::from(node.text_range().start()), usize::from(node.text_range().end()));
        self.file.source.position(start).line..=self.file.source.position(end).line
    }

    /// An expression in one line without comments; none where it means something else in another file.
    fn text(&self, node: &SyntaxNode) -> Option<String> {
        let mut text = String::new();
        for token in node.descendants_with_tokens().filter_map(NodeOrToken::into_token) {
            let parent = token.parent()?;
            match token.kind() {
                TOKEN_COMMENT => {}
                TOKEN_WHITESPACE => {
                    if !text.ends_with(' ') {
                        text.push(' ');
                    }
                }
                TOKEN_IDENT if parent.kind() == NODE_IDENT && self.own.contains(token.text()) => return None,
                _ if parent.kind() == NODE_PATH_REL => text.push_str(&self.path(&parent, token.text())?),
                _ => text.push_str(token.text()),
            }
        }
        Some(text)
    }

    /// A relative path from the flake's directory; none where it leads to what is of the host itself.
    fn path(&self, node: &SyntaxNode, text: &str) -> Option<String> {
        let is_whole = node.children_with_tokens().count() == 1;
        let path = resolved(self.directory, text).filter(|_| is_whole)?;
        (host_of(&path) != host_of(self.file.source.path())).then(|| format!("./{path}"))
    }
}

/// A part of a path as Nix reads it.
fn written(part: &str) -> String {
    let is_word = part.chars().all(|c| c.is_ascii_alphanumeric() || "_-'".contains(c));
    if is_word && part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        return part.to_owned();
    }
    format!("\"{part}\"")
}

/// The list that a value is, with the `with` around it.
fn list(value: &Expr) -> Option<(String, ast::List)> {
    match value {
        Expr::List(list) => Some((String::new(), list.clone())),
        Expr::With(with) => match bare(with.body()?) {
            Expr::List(list) => Some((format!("with {}; ", with.namespace()?.syntax().text()), list)),
            _ => None,
        },
        _ => None,
    }
}

/// Whether what stands here depends on more than the attributes around it.
fn is_conditional(node: &SyntaxNode) -> bool {
    let above = node.ancestors().skip(1).take_while(|above| !matches!(above.kind(), NODE_LAMBDA | NODE_ROOT));
    above
        .into_iter()
        .any(|above| matches!(above.kind(), NODE_APPLY | NODE_IF_ELSE | NODE_BIN_OP | NODE_ASSERT | NODE_LIST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::file;
    use crate::lint::source::Source;

    #[test]
    fn what_is_said_is_read_whatever_it_looks_like() {
        let said = |path: &str, text: &str| {
            let source = Source::new(path, text);
            let file = file::read(&source).0.unwrap_or_else(|| panic!("{text} is not Nix"));
            statements(&file).into_iter().map(|one| one.text).collect::<Vec<_>>()
        };
        let a = said("hosts/a/default.nix", "f: { services.x = {\n  enable = true; # why\n  y = f { a = 1;  };\n}; }");
        let b = said("hosts/b.nix", "{ f, ... }: { services = { x.y = f {\n a = 1; }; x.enable = true; }; }");
        assert_eq!(a, ["services.x.enable = true", "services.x.y = f { a = 1; }"]);
        assert_eq!(b, ["services.x.y = f { a = 1; }", "services.x.enable = true"]);
        assert_eq!(said("hosts/a.nix", "{ boot.kernel.sysctl.\"vm.x\" = 1; }"), ["boot.kernel.sysctl.\"vm.x\" = 1"]);
        let list = said(
            "hosts/a/default.nix",
            "{ pkgs, ... }: { x = with pkgs; [ a b ]; imports = [ ../../m.nix ./own.nix ]; }",
        );
        assert_eq!(list, ["x += with pkgs; a", "x += with pkgs; b", "imports += ./m.nix"]);
        assert_eq!(
            said(
                "hosts/a/x.nix",
                "{ lib, c }: let n = 1; in { a = n; b = lib.mkIf c { d = 1; }; system.stateVersion = \"1\"; }"
            ),
            ["b = lib.mkIf c { d = 1; }"]
        );
        assert_eq!(said("hosts/a/hardware-configuration.nix", "{ a = 1; }"), [""; 0]);
    }
}
