//! Holds `docs/lint.md` to the rules that there are. Each rule's own page is held to what the rule finds in `src/lint/rules/tests.rs`.

use hubctl::lint::RULES;

#[test]
fn the_list_of_rules_is_complete_and_in_their_own_words() {
    let documented = include_str!("../docs/lint.md");
    let rows: Vec<_> = documented.lines().filter(|line| line.starts_with("| [")).collect();
    let row = |rule: &hubctl::lint::Rule| {
        format!("| [{0}](lint/{0}.md) | {1} | {2} |", rule.name, rule.severity.as_str(), rule.summary())
    };
    assert_eq!(rows, RULES.iter().map(row).collect::<Vec<_>>());
}
