//! What hosts cost is measured, and what got worse is told.

use serde_json::Value;

use crate::support::Hub;

fn lines(hub: &Hub, words: &[&str]) -> Vec<Value> {
    serde_json::from_str(&hub.json(words).exits(0).stdout).unwrap()
}

fn of<'a>(lines: &'a [Value], host: &Value, measure: &str) -> &'a Value {
    let found = lines.iter().find(|line| &line["host"] == host && line["measure"] == measure);
    found.unwrap_or_else(|| panic!("no {measure} of {host} in {lines:#?}"))
}

#[test]
fn everything_is_measured_and_kept_to_compare_with() {
    let hub = Hub::offline();
    let first = lines(&hub, &["perf-test", "p620", "p510", "--runs", "3"]);
    for host in ["p620", "p510"] {
        for (measure, samples) in [("evaluation", 3), ("memory", 3), ("cache", 3), ("build", 3), ("closure", 1)] {
            let line = of(&first, &host.into(), measure);
            assert_eq!(
                (line["samples"].as_array().unwrap().len(), &line["verdict"]),
                (samples, &"new".into()),
                "{line}"
            );
            assert!(line["median"].as_f64().unwrap() > 0.0, "{line}");
        }
    }
    assert_eq!(of(&first, &Value::Null, "fan-out")["samples"].as_array().unwrap().len(), 3);
    // An answer that is kept is found sooner than made.
    let median = |measure| of(&first, &"p620".into(), measure)["median"].as_f64().unwrap();
    assert!(median("cache") < median("evaluation"), "{first:#?}");

    let again = lines(&hub, &["perf-test", "p620", "--only", "closure"]);
    assert_eq!(again.len(), 1);
    assert_eq!((&again[0]["verdict"], &again[0]["was"]), (&"same".into(), &again[0]["median"]));
}

#[test]
fn what_is_new_beside_what_was_kept_is_kept_too() {
    let hub = Hub::offline();
    hub.run(&["perf-test", "--only", "closure", "p620"]).exits(0).says("kept to compare with");
    let both = ["perf-test", "--only", "closure", "p620", "p510"];
    hub.run(&both).exits(0).says("what is new is kept");
    hub.set_host("p620", "closureMiB = 1;");
    let lines = lines(&hub, &both);
    assert_eq!(of(&lines, &"p510".into(), "closure")["verdict"], "same");
    // What was kept before stays what later ones are compared with.
    assert_eq!(of(&lines, &"p620".into(), "closure")["verdict"], "worse");
    hub.run(&["perf-parallel", "p620"]).exits(2).says("of two hosts at least");
}

#[test]
fn what_got_worse_is_named_with_its_size_and_fails_a_check() {
    let hub = Hub::offline();
    hub.run(&["perf-test", "p620", "--only", "evaluation", "--only", "closure"]).exits(0);
    hub.set_host("p620", "evalWork = 1;");
    let run = hub.run(&["perf-eval", "p620", "--check"]).exits(1);
    let line = run.stdout.lines().find(|line| line.contains("evaluation")).unwrap().to_owned();
    assert!(line.contains("worse: +") && line.contains("% sure)"), "{line}");
    // It stays what later ones are compared with, until it is said otherwise.
    hub.run(&["perf-eval", "p620", "--check", "--runs", "3"]).exits(1);
    hub.run(&["perf-eval", "p620", "--save", "--runs", "3"]).exits(0).says("kept to compare with");
    hub.run(&["perf-eval", "p620", "--check", "--runs", "3"]).exits(0);
    hub.set_host("p620", r#"evalError = "no";"#);
    hub.run(&["perf-test", "p620"])
        .exits(1)
        .says("p620: the configuration does not evaluate")
        .says("hubctl test-host p620");
}
