//! What would change, before it does: against Nix's own answers.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use hubctl::nix::{compare_versions, split_version};
use serde_json::{Value, json};

use crate::support::{Finished, Hub};

/// How many versions are made up for Nix to compare, each with the next one.
const CORPUS: usize = 6000;

/// Nix itself, in the environment that hubctl has.
fn nix(hub: &Hub, words: &[&str]) -> String {
    let of_hub = hub.command(&[]);
    let mut nix = Command::new("nix");
    nix.args(words).current_dir(hub.root()).env_clear();
    nix.envs(of_hub.get_envs().filter_map(|(key, value)| value.map(|value| (key, value))));
    let ran: Finished = nix.output().unwrap().into();
    ran.exits(0).stdout
}

/// Versions and names of the kinds that there are, the same ones each time.
fn made_up() -> Vec<String> {
    let parts = [
        "0",
        "1",
        "2",
        "9",
        "10",
        "12",
        "007",
        "20260801",
        "2147483647",
        "2147483648",
        "99999999999999",
        "pre",
        "rc",
        "a",
        "b",
        "z",
        "alpha",
        "Pre",
        "prea",
        "unstable",
        "git",
        "p",
        ".",
        ".",
        "-",
        "-",
        "_",
        "+",
        "=",
        "?",
        "..",
        "-.",
        "",
    ];
    let mut seed = 7_u64;
    let mut next = |bound: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % bound
    };
    (0..CORPUS).map(|_| (0..next(7)).map(|_| parts[next(parts.len())]).collect()).collect()
}

#[test]
fn versions_are_split_and_ordered_as_nix_does() {
    let hub = Hub::offline();
    let versions = made_up();
    fs::write(hub.root().join("versions.json"), serde_json::to_string(&versions).unwrap()).unwrap();
    let file = "let
      versions = builtins.fromJSON (builtins.readFile ./versions.json);
      at = builtins.elemAt versions;
      last = builtins.length versions - 1;
    in {
      orders = builtins.genList (i: builtins.compareVersions (at i) (at (i + 1))) last;
      names = map builtins.parseDrvName versions;
    }";
    fs::write(hub.root().join("corpus.nix"), file).unwrap();
    let told: Value = serde_json::from_str(&nix(&hub, &["eval", "--json", "--file", "corpus.nix"])).unwrap();
    let mut seen = BTreeMap::<i8, usize>::new();
    for (pair, theirs) in versions.windows(2).zip(told["orders"].as_array().unwrap()) {
        let ours = compare_versions(&pair[0], &pair[1]) as i8;
        assert_eq!(json!(ours), *theirs, "{} and {}", pair[0], pair[1]);
        *seen.entry(ours).or_default() += 1;
    }
    assert!(seen.len() == 3 && seen.values().all(|count| *count > CORPUS / 100), "a corpus of little use: {seen:?}");
    for (name, theirs) in versions.iter().zip(told["names"].as_array().unwrap()) {
        let (package, version) = split_version(name);
        assert_eq!(json!({ "name": package, "version": version }), *theirs, "{name}");
    }
    assert_eq!(compare_versions("1.0", "1.0"), Ordering::Equal);
}
