//! Holds the table of `docs/safety.md` to the tests that prove it.
#![expect(clippy::unwrap_used, reason = "a panic is how a test's helper fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const DOC: &str = include_str!("../docs/safety.md");

/// The tests of a module of `tests/e2e`, with the module's name.
fn tests_of(module: &str) -> BTreeSet<String> {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e").join(module.replace("::", "/")).with_extension("rs");
    let text = fs::read_to_string(file).unwrap();
    let after_mark = text.split("#[test]\nfn ").skip(1);
    after_mark.map(|rest| format!("{module}::{}", rest.split('(').next().unwrap())).collect()
}

/// The tests that the table names.
fn told() -> Vec<&'static str> {
    let rows = DOC.lines().filter(|line| line.starts_with("| ") && line.contains("::"));
    rows.map(|row| row.rsplit('`').nth(1).unwrap()).collect()
}

#[test]
fn every_fault_of_the_table_is_proved() {
    let told = told();
    assert!(told.len() > 5, "{told:?}");
    for test in &told {
        let (module, _) = test.rsplit_once("::").unwrap();
        assert!(tests_of(module).contains(*test), "there is no test {test}");
    }
}

#[test]
fn every_test_of_the_guard_is_in_the_table() {
    let told: BTreeSet<_> = told().into_iter().map(str::to_owned).collect();
    let missing: Vec<_> = tests_of("guard").into_iter().filter(|test| !told.contains(test)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
