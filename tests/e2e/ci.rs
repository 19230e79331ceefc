//! The matrix of a CI: which hosts changed, and how they are shared out.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Finished, Hub, REPOSITORY};

const HOSTS: [&str; 4] = ["p510", "p620", "razer", "samsung"];

/// The hosts of each job.
fn jobs(ended: &Finished) -> Vec<String> {
    let matrix = ended.json();
    let jobs = matrix["include"].as_array().unwrap();
    jobs.iter().map(|job| job["hosts"].as_str().unwrap().to_owned()).collect()
}

/// What `--json` tells of each host.
fn told(hub: &Hub, words: &[&str]) -> BTreeMap<String, Value> {
    let ended = hub.json(&[&["ci", "matrix"], words].concat()).exits(0);
    let told = ended.json();
    let told = told.as_array().unwrap().iter();
    told.map(|one| (one["host"].as_str().unwrap().to_owned(), one.clone())).collect()
}

/// A hub whose systems were built nowhere yet.
fn fresh() -> Hub {
    let hub = Hub::offline();
    hub.write("shared/motd.txt", &format!("of {}\n", hub.root().display()));
    hub.commit("fresh");
    hub
}

#[test]
fn hosts_whose_systems_differ_from_another_revision_are_shared_out() {
    let hub = fresh();
    let since = |rev: &str, jobs: &str| hub.run(&["ci", "matrix", "--changed-since", rev, "--jobs", jobs]).exits(0);
    assert_eq!(since("HEAD", "2").stdout, "{\"include\":[]}\n");

    // What is not committed counts, and what no system is made of does not.
    hub.write("README.md", "new\n");
    hub.set_host("p620", "motd = \"edited\";");
    let one = json!({ "include": [{ "job": 1, "hosts": "p620", "system": "x86_64-linux" }] });
    assert_eq!(since("HEAD", "2").json(), one);
    hub.commit("edited");
    assert_eq!(since("HEAD", "2").json(), json!({ "include": [] }));
    assert_eq!(since("HEAD~1", "2").json(), one);
    assert_eq!(hub.run(&["ci", "matrix", "--base", "main~1"]).exits(0).json(), one);

    hub.write("shared/motd.txt", "for all\n");
    hub.write("hosts/new/default.nix", "{ imports = [ ../../shared/common.nix ]; }\n");
    assert_eq!(jobs(&since("HEAD", "1")), ["new p510 p620 razer samsung"]);
    let split = jobs(&since("HEAD", "2"));
    assert_eq!(split.len(), 2);
    let mut all: Vec<_> = split.iter().flat_map(|hosts| hosts.split(' ')).collect();
    all.sort_unstable();
    assert_eq!(all, ["new", "p510", "p620", "razer", "samsung"]);
    assert_eq!(jobs(&hub.run(&["ci", "matrix", "--base", "HEAD", "p5*", "@laptop", "--jobs", "9"]).exits(0)).len(), 3);
}

#[test]
fn another_revision_costs_no_evaluation_of_a_host_that_is_the_same_there() {
    let hub = fresh();
    hub.set_host("p620", "motd = \"edited\";");
    let told = told(&hub, &["--base", "HEAD"]);
    let changed: Vec<_> = HOSTS.iter().filter(|host| told[**host]["changed"] == true).collect();
    assert_eq!(changed, [&"p620"]);
    // The commit is what p620 alone differs from, so that only p620 was evaluated of it.
    let kept = hub.run(&["cache", "clear"]).exits(0).stderr;
    assert!(kept.contains("forgot 8 evaluations"), "4 hosts, three lists of names, and p620 once more: {kept}");
}

#[test]
fn without_a_revision_it_is_what_is_not_built() {
    let hub = fresh();
    assert_eq!(jobs(&hub.run(&["ci", "matrix", "--jobs", "1"]).exits(0)), ["p510 p620 razer samsung"]);
    hub.run(&["test-host", "p620", "razer"]).exits(0);
    assert_eq!(jobs(&hub.run(&["ci", "matrix", "--jobs", "1"]).exits(0)), ["p510 samsung"]);
    let told = told(&hub, &[]);
    assert_eq!((&told["p620"]["changed"], &told["p620"]["job"]), (&json!(false), &Value::Null));
    assert_eq!(told["p620"]["reason"], "its system is built");
}

#[test]
fn what_the_cache_has_needs_no_job() {
    let hub = fresh();
    let cache = format!("--cached=file://{}", hub.root().with_file_name("cache").display());
    hub.run(&["test-host", "samsung", &cache]).exits(0);
    // As in a commit that changed all.
    let words = ["ci", "matrix", "--jobs", "1", "--base", "HEAD~1"];
    let with = |cache: &str| hub.run(&[&words[..], &[cache]].concat()).exits(0);
    assert_eq!(jobs(&with(&cache)), ["p510 p620 razer"]);
    // A cache that says nothing has nothing.
    let gone = with("--cached=ssh-ng://nobody@nowhere.invalid").says("cannot be asked what it has");
    assert_eq!(jobs(&gone), ["p510 p620 razer samsung"]);
}

#[test]
fn each_job_is_for_one_system_and_what_took_long_is_remembered() {
    let hub = fresh();
    hub.set_host("razer", "system = \"aarch64-linux\";");
    hub.set_host("p620", &format!("build.seconds = 3; motd = \"{}\";", hub.root().display()));
    let matrix = hub.run(&["ci", "matrix", "--jobs", "1"]).exits(0).json();
    let razer = json!({ "job": 1, "hosts": "razer", "system": "aarch64-linux" });
    let others = json!({ "job": 2, "hosts": "p510 p620 samsung", "system": "x86_64-linux" });
    assert_eq!(matrix["include"], json!([razer, others]));

    hub.run(&["test-host", "p620"]).exits(0);
    let built = told(&hub, &["p620"])["p620"]["last-ms"].as_u64().unwrap();
    assert!(built >= 3000, "{built}");
    // A build of which nothing was left to do says nothing of how long it takes.
    hub.run(&["test-host", "p620"]).exits(0);
    assert!(told(&hub, &["p620"])["p620"]["last-ms"].as_u64().unwrap() >= 3000);
}

#[test]
fn a_host_that_does_not_evaluate_has_its_job() {
    let hub = fresh();
    hub.set_host("razer", "evalError = \"the fan is loud\";");
    let ended = hub.run(&["ci", "matrix", "--base", "HEAD"]).exits(0).says("razer").says("the fan is loud");
    let only = json!({ "include": [{ "job": 1, "hosts": "razer", "system": "x86_64-linux" }] });
    assert_eq!(ended.json(), only);
    // And one that did not evaluate before has changed.
    let whole = hub.committed("hosts/razer/default.nix");
    hub.commit("broken");
    hub.write("hosts/razer/default.nix", &whole);
    assert_eq!(hub.run(&["ci", "matrix", "--base", "HEAD"]).exits(0).json(), only);
}

#[test]
fn a_revision_that_is_not_there_is_told() {
    let hub = fresh();
    hub.run(&["ci", "matrix", "--base", "nowhere"]).exits(2).says("git knows no commit `nowhere`").says("git log");
    hub.run(&["ci", "matrix", "--base", "--jobs"]).exits(2);
    let shallow = hub.root().with_file_name("shallow");
    let from = format!("file://{}", hub.root().display());
    let cloned = Command::new("git").args(["clone", "--quiet", "--depth", "1", &from]).arg(&shallow).status().unwrap();
    assert!(cloned.success());
    let words = ["ci", "matrix", "--flake", shallow.to_str().unwrap(), "--base", "HEAD~1"];
    hub.run(&words).exits(2).says("fetch-depth: 0");
    fs::remove_dir_all(hub.root().join(".git")).unwrap();
    hub.run(&["ci", "matrix", "--base", "HEAD"]).exits(2).says("no flake in a git repository");
}

#[test]
fn a_flake_below_the_root_of_its_repository_is_compared_with_itself() {
    let hub = fresh();
    let below = hub.root().join("nix/hub");
    fs::create_dir_all(&below).unwrap();
    for name in ["flake.nix", "hub.toml", "hosts", "shared", "lib"] {
        fs::rename(hub.root().join(name), below.join(name)).unwrap();
    }
    hub.commit("moved");
    hub.write("nix/hub/shared/laptop.nix", "{ kernelParams = [ \"quiet\" ]; }\n");
    let words = ["ci", "matrix", "--flake", below.to_str().unwrap(), "--base", "HEAD", "--jobs", "1"];
    assert_eq!(jobs(&hub.run(&words).exits(0)), ["razer samsung"]);
}

/// The scripts of the documented workflow.
fn scripts() -> Vec<String> {
    let text = fs::read_to_string(Path::new(REPOSITORY).join("docs/ci.md")).unwrap();
    let workflow = text.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap().to_owned();
    let script = |rest: &str| {
        let lines = rest.lines().take_while(|line| line.starts_with("          "));
        lines.map(str::trim).collect::<Vec<_>>().join("\n")
    };
    workflow.split("run: |\n").skip(1).map(script).collect()
}

#[test]
fn the_documented_workflow_builds_what_changed() {
    let mut hub = fresh();
    let cache = hub.root().with_file_name("cache");
    let settings = format!("{}\n[cache]\nurl = \"file://{}\"\n", hub.committed("hub.toml"), cache.display());
    hub.write("hub.toml", &settings);
    hub.commit("a cache");
    hub.git(&["branch", "base"]);
    hub.set_host("razer", "motd = \"edited\";");
    hub.commit("edited");
    let output = hub.root().with_file_name("output");
    hub.set_env("GITHUB_OUTPUT", output.to_str().unwrap());
    let [plan, build] = &scripts()[..] else { panic!("{:#?}", scripts()) };
    hub.set_env("BASE", "base");
    hub.shell(&format!("set -e\n{plan}")).exits(0);
    let written = fs::read_to_string(&output).unwrap();
    let matrix: Value = serde_json::from_str(written.strip_prefix("matrix=").unwrap()).unwrap();
    assert_eq!(matrix["include"].as_array().unwrap().len(), 1, "{matrix}");
    hub.set_env("HOSTS", matrix["include"][0]["hosts"].as_str().unwrap());
    hub.shell(build).exits(0).says("1 host built");
    assert!(cache.join("nix-cache-info").exists());

    hub.set_env("BASE", "nowhere");
    assert_ne!(hub.shell(&format!("set -e\n{plan}")).code, Some(0));
}
