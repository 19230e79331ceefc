//! Holds `docs/lint.md` and the guides to the rules that there are. Each rule's own page is held to what the rule finds in
//! `src/lint/rules/tests.rs`.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use hubctl::lint::{Before, Levels, RULES, Scope, Severity, lint};

#[test]
fn the_list_of_rules_is_complete_and_in_their_own_words() {
    let documented = include_str!("../docs/lint.md");
    let rows: Vec<_> = documented.lines().filter(|line| line.starts_with("| [")).collect();
    let row = |rule: &hubctl::lint::Rule| {
        format!("| [{0}](lint/{0}.md) | {1} | {2} |", rule.name, rule.severity.as_str(), rule.summary())
    };
    assert_eq!(rows, RULES.iter().map(row).collect::<Vec<_>>());
}

#[test]
fn every_rule_is_linked_from_its_anti_pattern_once() {
    let guide = include_str!("../docs/NIXOS-ANTI-PATTERNS.md");
    let links = guide.split("](lint/").skip(1).filter_map(|rest| rest.split_once(".md)")).map(|(name, _)| name);
    let mut links: Vec<_> = links.collect();
    links.sort_unstable();
    assert_eq!(links, RULES.iter().map(|rule| rule.name).collect::<Vec<_>>());
}

#[test]
fn the_examples_of_the_guides_pass() {
    for guide in [include_str!("../docs/PATTERNS.md"), include_str!("../docs/features.md")] {
        let dir = tempfile::tempdir().unwrap();
        let mut files = BTreeSet::new();
        for (number, block) in guide.split("```nix").skip(1).map(|rest| rest.split("```").next().unwrap()).enumerate() {
            let (path, text) = block.split_once('\n').unwrap();
            let path = match path.trim() {
                "" => PathBuf::from(format!("modules/example-{number}.nix")),
                path => PathBuf::from(path),
            };
            fs::create_dir_all(dir.path().join(&path).parent().unwrap()).unwrap();
            fs::write(dir.path().join(&path), text).unwrap();
            files.insert(path);
        }
        let files: Vec<_> = files.into_iter().collect();
        let report = lint(dir.path(), &files, Scope::Some, &Levels::default(), &Before::new()).unwrap();
        let wrong: Vec<_> = report.findings().filter(|found| found.severity >= Severity::Note).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(!files.is_empty());
    }
}
