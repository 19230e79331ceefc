//! The layers import downwards only. Their order is the one that `src/lib.rs` tells its reader.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The layer that stands for everything: what `use crate::*` names.
const ALL: &str = "*";

#[test]
fn every_layer_imports_only_those_below_it() {
    let order = documented_order(&read("src/lib.rs"));
    let mut upward = Vec::new();
    let mut imports = 0;
    for file in rust_files(&root().join("src")) {
        let module = module_of(file.strip_prefix(root().join("src")).unwrap());
        let Some(layer) = module.first() else { continue };
        let named = layers_named(&fs::read_to_string(&file).unwrap(), &module);
        imports += named.len();
        let bad = named.iter().filter(|named| !may_import(&order, layer, named));
        upward.extend(bad.map(|named| format!("{}: `{layer}` imports `{named}`", file.display())));
    }
    assert_eq!(upward, Vec::<String>::new(), "the order is {order:?}, from the top");
    assert!(imports > 100, "only {imports} imports were found, so that most were overlooked");
}

#[test]
fn the_documented_layers_are_the_modules_of_the_crate() {
    let text = read("src/lib.rs");
    let modules = text.lines().filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod "));
    let modules: BTreeSet<_> = modules.map(|line| line.trim_end_matches(';').to_owned()).collect();
    assert_eq!(documented_order(&text).into_iter().collect::<BTreeSet<_>>(), modules);
}

#[test]
fn an_upward_import_is_found_however_it_is_written() {
    let named = |code: &str| layers_named(code, &["plan".to_owned(), "decide".to_owned()]);
    for code in [
        "use crate::run::Job;",
        "use crate::{error::Error, run::Job};",
        "use crate::{error::Error, run::{Job, Places}};",
        "pub(crate) use super::super::run::Job;",
        "use super::super::{error, run};",
        "use super::{super::run::Job, goal::Goal};",
        "fn f() { let x = crate::run::execute; }",
        "fn f() { assert!(crate::run::execute()); }",
        "fn f(job: &super::super::run::Job) {}",
        "mod tests { use super::super::super::run::Job; }",
        "mod tests { fn f() { crate::run::execute(); } }",
    ] {
        assert!(named(code).contains("run"), "{code}");
        assert!(named(code).iter().any(|named| !may_import(&order(), "plan", named)), "{code}");
    }
    for code in ["use crate::*;", "use super::super::*;", "use crate as all;", "use crate::{self as all};"] {
        assert!(named(code).contains(ALL), "{code}");
        assert!(!may_import(&order(), "plan", ALL));
    }
}

#[test]
fn what_is_no_import_is_not_taken_for_one() {
    let named = |code: &str| layers_named(code, &["plan".to_owned(), "decide".to_owned()]);
    for code in [
        "/// See [`crate::run::Job`].\nfn f() {}",
        "// use crate::run::Job;",
        "const TEXT: &str = \"use crate::run::Job;\";",
        "pub(crate) fn f() {}",
        "mod tests { use super::run; }",
        "use std::run::x; use tokio::run;",
    ] {
        let above: Vec<_> = named(code).into_iter().filter(|named| named != "plan").collect();
        assert_eq!(above, Vec::<String>::new(), "{code}");
    }
    assert!(may_import(&order(), "plan", "error") && may_import(&order(), "plan", "plan"));
}

fn order() -> Vec<String> {
    documented_order(&read("src/lib.rs"))
}

fn may_import(order: &[String], layer: &str, named: &str) -> bool {
    let place = |wanted: &str| order.iter().position(|layer| layer == wanted);
    layer == named || place(named).is_some_and(|named| place(layer).is_some_and(|layer| layer < named))
}

/// The first words of the lines of the block in the crate's documentation.
fn documented_order(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("//!"));
    let block = lines.skip_while(|line| line.trim() != "```text").skip(1).take_while(|line| line.trim() != "```");
    block.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

/// The layers that the code of `module` names by a path from the crate's root, however it writes it.
fn layers_named(code: &str, module: &[String]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    walk(code.parse().unwrap(), module, &mut found);
    found
}

fn walk(code: TokenStream, module: &[String], found: &mut BTreeSet<String>) {
    let tokens: Vec<_> = code.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        let word = ident(tokens.get(at));
        if word.as_deref() == Some("mod")
            && let (Some(name), Some(TokenTree::Group(body))) = (ident(tokens.get(at + 1)), tokens.get(at + 2))
        {
            walk(body.stream(), &[module, &[name]].concat(), found);
            at += 3;
            continue;
        }
        let begins =
            word.as_deref() == Some("crate") || (word.as_deref() == Some("super") && !follows_path(&tokens, at));
        let renamed = ident(tokens.get(at + 1)).as_deref() == Some("as");
        if begins && (is_path_separator(&tokens, at + 1) || renamed) {
            path(&tokens[at..], module, found);
        } else if let TokenTree::Group(group) = &tokens[at] {
            walk(group.stream(), module, found);
        }
        at += 1;
    }
}

/// Follows the path at the beginning of `tokens`, which stands in `module`, until it names a layer.
fn path(tokens: &[TokenTree], module: &[String], found: &mut BTreeSet<String>) {
    let here = match ident(tokens.first()).as_deref() {
        Some("crate") => &[],
        Some("super") => &module[..module.len().saturating_sub(1)],
        _ => module,
    };
    if let Some(layer) = here.first() {
        found.insert(layer.clone());
    }
    if !is_path_separator(tokens, 1) {
        // The module itself, such as `use crate as all`.
        found.extend(here.is_empty().then(|| ALL.to_owned()));
        return;
    }
    after(&tokens[3..], here, found);
}

/// Follows what stands behind `module::`.
fn after(tokens: &[TokenTree], module: &[String], found: &mut BTreeSet<String>) {
    match tokens.first() {
        Some(TokenTree::Ident(word)) if word == "super" || word == "self" => path(tokens, module, found),
        Some(TokenTree::Ident(word)) if module.is_empty() => {
            found.insert(word.to_string());
        }
        Some(TokenTree::Punct(star)) if star.as_char() == '*' && module.is_empty() => {
            found.insert(ALL.to_owned());
        }
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
            let inner: Vec<_> = group.stream().into_iter().collect();
            let comma = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',');
            inner.split(comma).for_each(|one| after(one, module, found));
        }
        _ => {}
    }
}

fn ident(token: Option<&TokenTree>) -> Option<String> {
    if let Some(TokenTree::Ident(word)) = token { Some(word.to_string()) } else { None }
}

fn is_path_separator(tokens: &[TokenTree], at: usize) -> bool {
    let colon = |at| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
    colon(at) && colon(at + 1)
}

/// Whether the token at `at` goes on a path that began before it.
fn follows_path(tokens: &[TokenTree], at: usize) -> bool {
    at >= 2 && is_path_separator(tokens, at - 2)
}

/// The path of the module that a file below `src` holds.
fn module_of(file: &Path) -> Vec<String> {
    let parts = file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect::<Vec<_>>();
    let named_by_folder = ["mod", "lib", "main"].contains(&parts.last().unwrap().as_str());
    parts[..parts.len() - usize::from(named_by_folder)].to_vec()
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let files = paths.flat_map(|path| if path.is_dir() { rust_files(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|ext| ext == "rs")).collect()
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
