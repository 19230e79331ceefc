//! What would change, before it does: against Nix's own answers, and against what hosts then do.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use hubctl::nix::{compare_versions, split_version};
use rexpect::session::spawn_command;
use serde_json::{Value, json};

use crate::support::{Finished, Hub, Lab, eventually};

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

/// A flake with two hosts whose systems have these packages, each a name and a number of bytes.
fn two_hosts(hub: &Hub, old: &[(&str, u64)], new: &[(&str, u64)]) {
    let list = |packages: &[(&str, u64)]| {
        let lines = packages.iter().map(|(name, size)| format!("{{ name = \"{name}\"; size = {size}; }}"));
        lines.collect::<Vec<_>>().join("\n      ")
    };
    hub.write("hub.toml", "");
    hub.write(
        "flake.nix",
        &format!(
            r#"{{
  outputs = _: let
    build = name: text: values: derivation (values // {{
      inherit name;
      system = "x86_64-linux";
      builder = "/bin/sh";
      args = [ "-euc" text ];
      PATH = "/usr/bin:/bin";
    }});
    package = one: build one.name "head -c ${{toString one.size}} /dev/zero >$out" {{ }};
    host = name: packages: {{
      config.networking.hostName = name;
      config.system.build.toplevel =
        build "nixos-system-${{name}}-25.11" "mkdir $out; printf '%s\n' $packages >$out/packages" {{
          packages = map package packages;
        }};
    }};
  in {{
    nixosConfigurations.old = host "old" [
      {}
    ];
    nixosConfigurations.new = host "new" [
      {}
    ];
  }};
}}
"#,
            list(old),
            list(new)
        ),
    );
    hub.commit("two hosts");
}

/// A line of `nix store diff-closures` of our list, with the size in the unit that `theirs` has.
fn as_nix_shows_it(change: &Value, theirs: &str) -> String {
    let versions = |key: &str| {
        let mut shown: Vec<_> =
            change[key].as_array().unwrap().iter().map(|version| version.as_str().unwrap()).collect();
        shown.iter_mut().filter(|version| version.is_empty()).for_each(|version| *version = "ε");
        shown.sort_unstable();
        if shown.is_empty() { "∅".to_owned() } else { shown.join(", ") }
    };
    let (old, new) = (versions("old"), versions("new"));
    let mut items = Vec::new();
    if (old.as_str(), new.as_str()) != ("∅", "∅") {
        items.push(format!("{old} → {new}"));
    }
    let size = change["size-change"].as_i64().unwrap();
    if size.unsigned_abs() >= 8 * 1024 {
        let unit = theirs.rsplit(' ').next().unwrap();
        let divisor = if unit == "MiB" { 1024.0 * 1024.0 } else { 1024.0 };
        let size: f64 = size.to_string().parse().unwrap();
        items.push(format!("{:+.1} {unit}", size / divisor));
    }
    format!("{}: {}", change["name"].as_str().unwrap(), items.join(", "))
}

/// Asserts that the packages that hubctl tells are those of `nix store diff-closures`.
#[track_caller]
fn assert_like_nix(hub: &Hub, compared: &Value) -> usize {
    let path = |key: &str| compared[key].as_str().unwrap();
    let printed = nix(hub, &["store", "diff-closures", path("old"), path("new")]);
    // Colours stand around sizes.
    let plain: String = printed
        .split('\u{1b}')
        .enumerate()
        .map(|(i, part)| if i == 0 { part } else { &part[part.find('m').unwrap() + 1..] })
        .collect();
    let theirs: Vec<_> = plain.lines().map(str::to_owned).collect();
    let packages = compared["packages"].as_array().unwrap();
    assert_eq!(packages.len(), theirs.len(), "{packages:#?}\n{theirs:#?}");
    let ours: Vec<_> = packages.iter().zip(&theirs).map(|(change, theirs)| as_nix_shows_it(change, theirs)).collect();
    assert_eq!(ours, theirs);
    ours.len()
}

#[test]
fn packages_are_those_of_nix_store_diff_closures() {
    let hub = Hub::offline();
    let old = [
        ("vim-9.0", 10_000),
        ("vim-9.0-bin", 3000),
        ("openssl-3.0.1", 100),
        ("openssl-1.1.1w-lib64", 100),
        ("gone-1.2-dev", 9000),
        ("gcc-lib", 5),
        ("same-1-2-3", 4000),
        ("grown-by-8-KiB", 1000),
        ("grown-by-less", 1000),
        ("grown-a-lot-7", 1000),
        ("two-1", 1),
        ("two-2", 1),
        ("unstable-foo-unstable-2024-01-01", 10),
        ("linux-6.12.9-modules", 100),
        ("x-1.0pre3", 1),
        ("unit-sshd.service", 20),
    ];
    let new = [
        ("vim-9.1", 90_000),
        ("vim-9.1-doc", 3000),
        ("openssl-3.0.2", 100),
        ("openssl-1.1.1w-bin", 100),
        ("fresh-2", 9000),
        ("gcc-12-lib", 5),
        ("same-1-2-3", 4000),
        ("grown-by-8-KiB", 9192),
        ("grown-by-less", 9184),
        ("grown-a-lot-7", 4_000_000),
        ("two-2", 1),
        ("two-3", 1),
        ("unstable-foo-unstable-2024-03-01", 10),
        ("linux-6.12.10-modules", 100),
        ("x-1.0", 1),
        ("unit-sshd.service", 21),
    ];
    two_hosts(&hub, &old, &new);
    for words in [["diff-hosts", "old", "new"], ["diff-hosts", "new", "old"]] {
        let compared = hub.json(&words).exits(0).json();
        // The two systems are packages, too.
        assert_eq!(assert_like_nix(&hub, &compared[0]), 13);
    }
    let compared = hub.json(&["diff-hosts", "old", "new"]).exits(0).json();
    let change = |name: &str| {
        let packages = compared[0]["packages"].as_array().unwrap();
        packages.iter().find(|one| one["name"] == name).map_or("none", |one| one["change"].as_str().unwrap()).to_owned()
    };
    let found: Vec<_> = ["vim", "gone", "fresh", "two", "linux", "x", "same"].into_iter().map(change).collect();
    assert_eq!(found, ["up", "removed", "added", "up", "up", "up", "none"]);

    // Those of whole systems.
    let hub = Hub::offline();
    let compared = hub.json(&["diff-hosts", "p620", "razer"]).exits(0).json();
    assert!(assert_like_nix(&hub, &compared[0]) > 3);
    hub.set_host("razer", "kernel = \"6.9.99\"; closureMiB = 2; specialisations.x.kernel = \"6.13\";");
    let compared = hub.json(&["diff", "razer", "--rev", "HEAD"]).exits(0).json();
    assert!(assert_like_nix(&hub, &compared[0]) >= 2);
}

#[test]
fn revisions_are_compared_without_asking_a_host() {
    let hub = Hub::offline();
    hub.set_host("p620", r#"kernel = "6.12.41"; units.web = { }; users = [ "ann" ]; secrets = [ "wifi" "key" ];"#);
    hub.commit("a web server");
    hub.set_host("p620", r#"kernel = "6.12.39"; users = [ "bob" ]; secrets = [ "key" ]; openPorts = [ 22 ];"#);
    let pair = hub.json(&["diff", "p620", "--rev", "HEAD~1", "--rev", "HEAD"]).exits(0).json();
    assert_eq!(
        (pair[0]["reboot"].to_string(), pair.as_array().unwrap().len()),
        (r#"["kernel","initrd","kernel-modules"]"#.to_owned(), 1)
    );
    assert_eq!(pair[0]["secrets"], json!({ "added": ["key", "wifi"], "removed": [], "changed": [] }));
    assert_eq!((&pair[0]["users"], &pair[0]["units"], &pair[0]["ports"]), (&Value::Null, &Value::Null, &Value::Null));
    let linux = pair[0]["packages"].as_array().unwrap().iter().find(|one| one["name"] == "linux").unwrap().clone();
    assert_eq!((&linux["change"], &linux["new"]), (&json!("up"), &json!(["6.12.41"])));

    let work_tree = hub.run(&["diff", "p620", "--rev", "HEAD"]).exits(0);
    for line in ["↓  linux", "6.12.41 → 6.12.39", "-  ann", "+  bob", "-  wifi", "reboot needed"] {
        assert!(work_tree.stdout.contains(line), "no `{line}` in\n{}", work_tree.stdout);
    }
    let text = hub.run(&["diff", "--rev", "HEAD", "--markdown"]).exits(0).stdout;
    assert!(text.contains("| p510 | unchanged |") && text.contains("- ↓ `linux` 6.12.41 → 6.12.39"), "{text}");

    hub.run(&["diff", "p620", "--rev", "nope"]).exits(2).says("git knows no commit `nope`");
    hub.run(&["diff", "p620", "--rev", "HEAD", "--rev", "HEAD", "--rev", "HEAD"]).exits(2).says("given 3 times");
    hub.run(&["diff", "p620", "--markdown", "--json"]).exits(2);
    hub.run(&["diff", "p620", "--rev", "HEAD", "--generation", "1"]).exits(2);
}

fn units(pairs: &[(&str, &[&str])]) -> Value {
    let all = ["stop", "restart", "reload", "start", "left-alone"];
    let of = |verb: &str| pairs.iter().find(|(known, _)| *known == verb).map_or(&[][..], |(_, units)| units);
    all.into_iter().map(|verb| (verb.to_owned(), json!(of(verb)))).collect::<serde_json::Map<_, _>>().into()
}

#[test]
fn what_a_deployment_would_change_is_what_it_changes() {
    let lab = Lab::up(&["p510", "p620"]);
    let hub = Hub::new(&lab);
    let before = r#"users = [ "ann" ]; groups = [ "web" ]; openPorts = [ 22 80 ];
        units = { stays = { }; goes = { }; again = { stopIfChanged = false; marker = "1"; };
                  told = { reloadIfChanged = true; marker = "1"; }; late = { restartIfChanged = false; marker = "1"; }; };"#;
    let after = r#"users = [ "ann" "eve" ]; groups = [ ]; openPorts = [ 22 443 ]; kernel = "6.12.41"; secrets = [ "wifi" ];
        units = { stays = { }; comes = { }; again = { stopIfChanged = false; marker = "2"; };
                  told = { reloadIfChanged = true; marker = "2"; }; late = { restartIfChanged = false; marker = "2"; }; };"#;
    let both = |values: &str| ["p510", "p620"].map(|host| hub.set_host(host, values));
    both(before);
    hub.run(&["quick-deploy", "p510", "p620"]).exits(0);
    let same = hub.json(&["diff", "p510"]).exits(0).json();
    assert_eq!((&same[0]["old"], &same[0]["packages"]), (&same[0]["new"], &json!([])));

    both(after);
    let state = lab.traces("p510");
    let untold = hub.run(&["diff", "p510", "p620"]).exits(0).says("p510 p620: what becomes of units is known once");
    assert!(untold.stdout.contains("\np510 p620\n") && !untold.stdout.contains("units"), "{}", untold.stdout);
    let told = hub.json(&["diff", "p510", "--units"]).exits(0).json();
    assert_eq!(lab.traces("p510"), state, "looking changed something");
    let wanted = units(&[
        ("stop", &["goes.service"]),
        ("restart", &["again.service"]),
        ("reload", &["told.service"]),
        ("start", &["comes.service"]),
        ("left-alone", &["late.service"]),
    ]);
    assert_eq!(told[0]["units"], wanted);
    assert_eq!(told[0]["users"], json!({ "added": ["eve"], "removed": [], "changed": [] }));
    assert_eq!(told[0]["groups"], json!({ "added": [], "removed": ["web"], "changed": [] }));
    assert_eq!(told[0]["ports"], json!({ "added": ["443/tcp"], "removed": ["80/tcp"], "changed": [] }));
    assert_eq!(told[0]["secrets"], json!({ "added": ["wifi"], "removed": [], "changed": [] }));
    assert_eq!(told[0]["reboot"], json!(["kernel", "initrd", "kernel-modules"]));
    // What the host has by now, it tells of without being sent anything.
    assert_eq!(hub.json(&["diff", "p510"]).exits(0).json()[0]["units"], wanted);

    let pids = |unit: &str| lab.ssh("p510", &format!("systemctl show -p MainPID --value {unit}"));
    let (stays, again, late) = (pids("stays"), pids("again"), pids("late"));
    hub.json(&["quick-deploy", "p510"]).exits(0).ends(&[("p510", "reboot-needed")]);
    assert_eq!((pids("stays"), pids("late")), (stays, late));
    assert_ne!(pids("again"), again);
    assert!(lab.is_active("p510", "comes") && !lab.is_active("p510", "goes"));

    // Generations are on the host alone.
    let back = hub.json(&["diff", "p510", "--generation", "1"]).exits(0).json();
    assert_eq!(
        (&back[0]["old"], &back[0]["new"], &back[0]["packages"]),
        (&told[0]["old"], &told[0]["new"], &told[0]["packages"])
    );
    let turned = hub.json(&["diff", "p510", "--generation", "2", "--generation", "1"]).exits(0).json();
    assert_eq!(turned[0]["ports"], json!({ "added": ["80/tcp"], "removed": ["443/tcp"], "changed": [] }));
    hub.run(&["diff", "p510", "--generation", "7"]).exits(1).says("it has no generation 7");
    lab.cut("p620");
    hub.run(&["diff", "p510", "p620"]).exits(1).prints("p510  unchanged").prints("p620  not compared");
}

/// Starts a deployment that asks at a terminal, and answers it.
fn answering(hub: &Hub, words: &[&str], expected: &[&str], answer: &str) -> rexpect::session::PtySession {
    let mut command = hub.command(words);
    command.env("TERM", "xterm").stdin(Stdio::inherit());
    let mut session = spawn_command(command, Some(120_000)).unwrap();
    for text in expected {
        session.exp_string(text).unwrap();
    }
    session.send(answer).unwrap();
    session.flush().unwrap();
    session
}

#[test]
fn a_deployment_that_asks_shows_the_changes_first() {
    let lab = Lab::up(&["p510"]);
    let hub = Hub::new(&lab);
    hub.run(&["deploy", "p510", "--ask"]).exits(5).says("nobody can be asked here").says("leave out --ask");
    hub.json(&["deploy", "p510", "--ask"]).exits(2);
    hub.run(&["quick-deploy", "p510"]).exits(0);
    let state = lab.traces("p510");
    hub.set_host("p510", r#"units.shop = { }; kernel = "6.12.41";"#);
    let words = ["quick-deploy", "p510", "--ask"];
    let shown = ["reboot needed", "shop.service", "starts", "linux", "6.12.41", "Deploy p510?"];
    answering(&hub, &words, &shown, "n\r").exp_string("nothing was changed").unwrap();
    assert_eq!(lab.traces("p510"), state);
    answering(&hub, &words, &shown, "y\r").exp_string("1 host ").unwrap();
    eventually("shop runs", || lab.is_active("p510", "shop"));
}
