//! `dev/bench` runs both sides, tells the medians, and says truly whether a goal holds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Finished, REPOSITORY};

/// Runs a benchmark with the program under test.
fn bench(words: &[&str]) -> Finished {
    let program = env!("CARGO_BIN_EXE_hubctl");
    let mut command = Command::new(Path::new(REPOSITORY).join("dev/bench"));
    command.args(words).env("HUBCTL", program).stdin(Stdio::null()).output().unwrap().into()
}

/// A benchmark of one case, whose goal is that ours takes a third of the other's.
fn of_one_case(functions: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("memory");
    let text =
        format!("bench_up() {{ :; }}\nbench_cases() {{ bench_case case them 3 'one case' MiB; }}\n{functions}\n");
    fs::write(&file, text).unwrap();
    (dir, file)
}

#[test]
fn a_goal_that_holds_is_told_with_the_medians() {
    // Each side takes another value in each of its runs, the first of which does not count.
    let counted = |name: &str, values: &str| {
        format!(
            "case_{name}() {{ echo x >>$work/{name}; set -- {values}; shift $(($(wc -l <$work/{name}) - 1)); echo $1; }}"
        )
    };
    let (_dir, file) = of_one_case(&format!("{}\n{}", counted("ours", "99 12 10 11"), counted("other", "1 40 30 33")));
    let file = file.to_str().unwrap();
    let line = bench(&[file, "--runs", "3", "--json"]).exits(0).json();
    let wanted = serde_json::json!({
        "bench": "memory", "case": "one case", "ours": 11, "other": 33, "other_name": "them", "unit": "MiB",
        "ratio": 3.0, "goal": 3, "holds": true,
    });
    assert_eq!(line, wanted);
    bench(&[file, "--runs", "3"]).exits(0).prints("yes");
}

#[test]
fn a_goal_that_does_not_hold_is_an_error() {
    let (_dir, file) = of_one_case("case_ours() { echo 10; }\ncase_other() { echo 29; }");
    let missed = bench(&[file.to_str().unwrap(), "--runs", "1", "--json"]).exits(1).json();
    assert_eq!((&missed["ratio"], &missed["holds"]), (&Value::from(2.9), &Value::from(false)));
    bench(&[file.to_str().unwrap(), "--runs", "1"]).exits(1).prints("NO");
}

#[test]
fn a_run_that_fails_or_does_not_do_its_work_measures_nothing() {
    for (functions, said) in [
        ("case_ours() { false; echo 10; }\ncase_other() { echo 90; }", "case_ours"),
        ("case_ours() { echo 10; }\ncase_other() { echo 90; }\ncase_check() { [[ $1 == ours ]]; }", "case_other"),
        ("case_ours() { echo fast; }\ncase_other() { echo 90; }", "no number"),
    ] {
        let (_dir, file) = of_one_case(functions);
        let failed = bench(&[file.to_str().unwrap(), "--runs", "1", "--json"]).exits(1).says(said);
        assert_eq!(failed.stdout, "", "{functions}");
    }
    bench(&["no-such-bench"]).exits(2).says("there is no benchmark");
}

#[test]
fn deployments_are_measured_against_the_recipe() {
    let measured = bench(&["deploy", "--runs", "1", "--json"]);
    let lines: Vec<Value> = measured.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let cases: Vec<_> = lines.iter().map(|line| line["case"].as_str().unwrap()).collect();
    assert_eq!(
        cases,
        [
            "nothing changed",
            "nothing changed, connections kept",
            "one host changed",
            "one host changed, connections kept",
            "one host changed, evaluation costs nothing"
        ],
        "{measured:?}"
    );
    assert!(lines.iter().all(|line| line["ours"].as_f64().unwrap() > 0.0));
    let goals: Vec<_> = lines.iter().map(|line| line["goal"].as_u64().unwrap()).collect();
    assert_eq!(goals, [3, 3, 3, 3, 1]);
    let all_hold = lines.iter().all(|line| line["holds"] == true);
    assert_eq!(measured.code, Some(i32::from(!all_hold)));
}
