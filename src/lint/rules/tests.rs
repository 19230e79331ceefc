//! Every rule is held to the examples of its page.

use super::*;
use crate::lint::finding::Severity;
use crate::lint::rulebook::{Levels, Rulebook};
use crate::lint::run::{Scope, lint, look};
use crate::lint::source::Source;

/// The blocks of Nix below a heading, each with the path that it is said to be found at.
fn examples(page: &str, heading: &str) -> Vec<Source> {
    let section = page.split(&format!("## {heading}\n")).nth(1).unwrap_or_else(|| panic!("no {heading} in {page}"));
    let section = section.split("\n## ").next().unwrap();
    let blocks = section.split("```nix").skip(1).map(|block| block.split("```").next().unwrap());
    blocks
        .map(|block| {
            let (path, text) = block.split_once('\n').unwrap();
            let path = path.trim();
            Source::new(if path.is_empty() { "modules/a.nix" } else { path }, text)
        })
        .collect()
}

fn all_rules() -> Rulebook {
    Rulebook::new(&Levels::default())
}

#[test]
fn rules_are_in_the_order_of_their_names_and_their_pages_begin_with_them() {
    assert!(RULES.is_sorted_by_key(|rule| rule.name));
    for rule in RULES {
        assert_eq!(rule.page.lines().next(), Some(format!("# {}", rule.name).as_str()));
        assert!(rule.summary().ends_with('.'), "{}: {}", rule.name, rule.summary());
    }
}

#[test]
fn what_a_page_calls_wrong_is_found_and_what_it_calls_right_is_not() {
    let book = all_rules();
    for rule in RULES.iter().filter(|rule| !matches!(rule.check, Check::Tree(_))) {
        for source in examples(rule.page, "Wrong") {
            let found = look(&source, &book);
            assert!(
                found.iter().any(|finding| finding.rule == rule.name),
                "{}: {}: {found:?}",
                rule.name,
                source.text()
            );
            let errors =
                found.iter().filter(|finding| finding.severity == Severity::Error && finding.rule != rule.name);
            assert_eq!(errors.count(), 0, "{}: {found:?}", source.text());
        }
        for source in examples(rule.page, "Right") {
            let found = look(&source, &book);
            let of_rule = |finding: &&Finding| finding.rule == rule.name || finding.severity == Severity::Error;
            assert_eq!(found.iter().find(of_rule), None, "{}: {}", rule.name, source.text());
        }
    }
}

#[test]
fn what_a_page_says_of_several_files_is_so() {
    let names = |rule: &Rule, heading: &str| {
        let dir = tempfile::tempdir().unwrap();
        let is_before = |source: &Source| source.path().ends_with(" @ before");
        let (before, sources): (Vec<_>, Vec<_>) = examples(rule.page, heading).into_iter().partition(is_before);
        let path = |source: &Source| source.path().trim_end_matches(" @ before").to_owned();
        let before = before.iter().map(|source| (path(source), source.text().to_owned())).collect();
        for source in &sources {
            let file = dir.path().join(source.path());
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, source.text()).unwrap();
        }
        let files: Vec<_> = sources.iter().map(|source| source.path().into()).collect();
        let report = lint(dir.path(), &files, Scope::All, &Levels::default(), &before).unwrap();
        report.findings().map(|finding| finding.rule).collect::<Vec<_>>()
    };
    for rule in RULES.iter().filter(|rule| matches!(rule.check, Check::Tree(_))) {
        assert!(names(rule, "Wrong").contains(&rule.name), "{}", rule.name);
        assert_eq!(names(rule, "Right"), [""; 0], "{}", rule.name);
    }
}

#[test]
fn what_a_page_calls_wrong_is_mended_where_there_is_an_edit_for_it() {
    use crate::lint::fix::Fixing;
    use crate::lint::run::mend;
    let mut mended_at_all = 0;
    for rule in RULES {
        let mut levels = Levels::default();
        for other in RULES.iter().filter(|other| other.name != rule.name) {
            levels.set(other.name, crate::lint::Level::Off);
        }
        let book = Rulebook::new(&levels);
        for source in examples(rule.page, "Wrong") {
            let has_fix = look(&source, &book).iter().any(|finding| finding.fix.is_some());
            let path = std::path::Path::new(source.path());
            let mended = mend(path, source.text(), &book, Fixing::Unsafe);
            assert_eq!(mended.is_some(), has_fix, "{}", source.text());
            let Some((text, _)) = mended else { continue };
            mended_at_all += 1;
            let left = look(&Source::new(source.path(), text.as_str()), &book);
            assert_eq!(left, [], "{}: {text}", rule.name);
        }
    }
    assert!(mended_at_all > 15, "only {mended_at_all} examples were mended");
}

#[test]
fn edits_leave_all_else_as_it_was() {
    use crate::lint::fix::Fixing;
    use crate::lint::run::mend;
    let book = all_rules();
    for (before, after) in [
        ("{ lib, pkgs, ... }:\n{\n  a = lib.b; # why\n}\n", "{ lib, ... }:\n{\n  a = lib.b; # why\n}\n"),
        ("{\n  lib,\n  pkgs,\n  ...\n}:\nlib\n", "{\n  lib,\n  ...\n}:\nlib\n"),
        ("let\n  # one\n  a = 1;\n  b = 2; # two\nin\na\n", "let\n  # one\n  a = 1;\n  # two\nin\na\n"),
        ("let\n  # one\n  a = 1;\n  b = 2;\nin\na\n", "let\n  # one\n  a = 1;\nin\na\n"),
        ("let a = 1; b = 2; in b\n", "let b = 2; in b\n"),
        ("lib:\nlet\n  inherit (lib) a b c;\nin\na + c\n", "lib:\nlet\n  inherit (lib) a c;\nin\na + c\n"),
        ("let\n  a = 1;\nin\n{ }\n", "{ }\n"),
        ("x: { y = (x);z = [(x)x]; }\n", "x: { y = x;z = [x x]; }\n"),
        ("f: x: if x ? a then x.a else f x\n", "f: x: x.a or (f x)\n"),
        ("x: y: { a = !(x == y) && y; }\n", "x: y: { a = (x != y) && y; }\n"),
        ("rec {\n  a = 1;\n}\n", "{\n  a = 1;\n}\n"),
        ("args@{ a, ... }: a\n", "{ a, ... }: a\n"),
        ("{ a, ... }@args: a\n", "{ a, ... }: a\n"),
        ("x: {\n  y = x.y; # why\n  x = x;\n}\n", "x: {\n  inherit (x) y; # why\n  inherit x;\n}\n"),
    ] {
        let mended = mend(std::path::Path::new("a.nix"), before, &book, Fixing::Safe);
        assert_eq!(mended.map_or(before.to_owned(), |(text, _)| text), after);
    }
}

#[test]
fn comments_allow_what_they_name_and_nothing_else() {
    let book = all_rules();
    let names = |text: &str| {
        look(&Source::new("a.nix", text), &book).iter().map(|finding| finding.rule.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("let a = 1; in 2"), ["unused-binding"]);
    assert_eq!(names("let\n  a = 1; # hubctl: allow unused-binding: for later\nin 2"), [""; 0]);
    assert_eq!(names("let\n  # hubctl: allow unused-binding: for later\n\n  # it is\n  a = 1;\nin 2"), [""; 0]);
    assert_eq!(names("# hubctl: allow-file unused-binding: generated\nlet\n  a = 1;\n  b = 1;\nin 2"), [""; 0]);
    assert_eq!(names("let a = 1; in 2 # hubctl: allow unused-binding, url-literal: both"), ["allow-comment"]);
    assert_eq!(names("let a = 1; in 2 # hubctl: allow unused-binding"), ["unused-binding", "allow-comment"]);
    assert_eq!(names("let a = 1; in 2 # hubctl: allow unused-bindings: x"), ["unused-binding", "allow-comment"]);
    assert_eq!(names("let a = 1; in 2 # hubctl: ignore unused-binding: x"), ["unused-binding", "allow-comment"]);
    assert_eq!(names("1 # hubctl: allow unused-binding: x"), ["allow-comment"]);
    // A text is no comment.
    assert_eq!(names("\"# hubctl: allow unused-binding: x\""), [""; 0]);
}
