//! `check-syntax` on a flake: which files it looks at, and how it tells what it found. What it takes for wrong is `tests/syntax.rs`'s.

use std::fs;

use serde_json::json;

use crate::support::Hub;

#[test]
fn all_files_of_the_flake_are_checked_and_each_problem_is_drawn_on_its_lines() {
    let hub = Hub::offline();
    hub.run(&["check-syntax"]).exits(0).says("nothing found in ");
    hub.write("a.nix", "{ pkgs }:\n{\n  x = pgks.git;\n  y = 2\n}\n");
    hub.write("b.nix", "{ pkgs }:\n{\n  x = pgks.git;\n}\n");
    hub.write("c/d.nix", "{ x = 1; x = 2; }\n");
    // What git does not know is no part of the flake.
    fs::write(hub.root().join("unknown.nix"), "{").unwrap();
    hub.run(&["check-syntax"])
        .exits(1)
        .says("3 errors in ")
        .prints("error[syntax]: unexpected `}`")
        .prints("4 |   y = 2")
        .prints("error[undefined-variable]: nothing defines `pgks`")
        .prints("did you mean `pkgs`?")
        .prints("error[duplicate-attribute]: the attribute `x` is defined twice")
        .prints("first here");
    let told = hub.json(&["check-syntax", "b.nix", "c"]).exits(1).json();
    assert_eq!(told["files"], 2);
    let found = told["findings"].as_array().unwrap();
    assert_eq!((&found[0]["path"], &found[1]["path"]), (&json!("b.nix"), &json!("c/d.nix")));
    let place = json!({ "start": { "line": 3, "column": 7 }, "end": { "line": 3, "column": 11 } });
    assert_eq!((&found[0]["rule"], &found[0]["place"]), (&json!("undefined-variable"), &place));
    // A file that was deleted is none, and one that is named itself is looked at in any case.
    fs::remove_file(hub.root().join("a.nix")).unwrap();
    hub.run(&["check-syntax"]).exits(1).says("2 errors in ");
    hub.run(&["check-syntax", "unknown.nix"]).exits(1).says("1 error in 1 file");
}

#[test]
fn paths_that_name_nothing_are_told() {
    let hub = Hub::offline();
    hub.write("docs/readme.md", "none\n");
    hub.run(&["check-syntax", "nowhere"]).exits(2).says("nowhere cannot be read");
    hub.run(&["check-syntax", "docs"]).exits(2).says("there is no Nix file below docs").says("git add");
    hub.run(&["check-syntax", "/etc"]).exits(2).says("/etc is not in the flake");
    hub.run(&["check-syntax", "--flake", "github:owner/name"]).exits(2).says("no directory on this machine");
}

#[test]
fn a_flake_without_git_is_checked_whole() {
    let hub = Hub::offline();
    fs::remove_dir_all(hub.root().join(".git")).unwrap();
    fs::write(hub.root().join("unknown.nix"), "{").unwrap();
    hub.run(&["check-syntax"]).exits(1).says("1 error in ").prints("unknown.nix:1");
}
