//! Secrets that are read while Nix evaluates, and so land in the store.

use rnix::SyntaxKind::NODE_APPLY;
use rnix::SyntaxNode;
use rnix::ast::Apply;
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::ask::{builtin, dotted, last_name, text};
use crate::lint::attributes::bare;
use crate::lint::file::File;
use crate::lint::finding::Finding;

/// Where secrets are while a host runs.
const PLACES: [&str; 3] = ["/run/agenix", "/run/secrets", "/var/lib/secrets"];

pub(super) const RULE: Rule = rule!("secret-read", Error, Check::Nodes(&[NODE_APPLY], check));

fn check(node: &SyntaxNode, _: &File<'_>) -> Option<Finding> {
    let apply = Apply::cast(node.clone())?;
    let function = apply.lambda()?;
    let reads = builtin(&function).or_else(|| last_name(&function)).is_some_and(|name| {
        ["readFile", "fileContents", "importJSON", "importTOML"].contains(&name.as_str())
    });
    let argument = bare(apply.argument().filter(|_| reads)?);
    let of_option = dotted(&argument).is_some_and(|parts| {
        let parts: Vec<_> = parts.iter().map(String::as_str).collect();
        matches!(parts.as_slice(), ["config" | "osConfig", "age" | "sops", "secrets" | "templates", _, "path"])
    });
    let of_place = text(&argument).unwrap_or_else(|| argument.to_string());
    (of_option || PLACES.iter().any(|place| of_place.starts_with(place))).then(|| {
        Finding::at(node.text_range(), "a secret that is read while evaluating is in the store, where everybody reads it")
            .hint("give the service the file's path, or use `LoadCredential`")
    })
}
