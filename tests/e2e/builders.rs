//! Nix's own remote builders: what is built by them, where that is told, and what is told of one that cannot be used.

use serde_json::Value;

use crate::support::{Finished, Hub, Lab};

/// A hub whose systems say on which machine they were built, and were built nowhere yet. Nix here builds nothing itself unless
/// `max-jobs` says otherwise.
fn fresh(lab: &Lab, values: &str) -> Hub {
    let mut hub = Hub::new(lab);
    hub.set_env("NIX_SSHOPTS", &format!("-F {}", lab.ssh_config().display()));
    let toplevel = hub.committed("lib/toplevel.nix");
    let system = r#"printf '%s' "$system" >"$out/system""#;
    let marked = toplevel.replace(system, &format!("{system}\n    cat /etc/hostname >\"$out/built-on\""));
    assert_ne!(toplevel, marked);
    hub.write("lib/toplevel.nix", &marked);
    hub.set_host("p620", &format!("motd = \"{}\"; {values}", hub.root().display()));
    hub
}

const P510: &str = "ssh-ng://p510 x86_64-linux";

/// The machine on which the system was built that `host` was to run.
fn built_on(ended: &Finished, host: &str) -> String {
    let wanted = ended.host(host)["wanted"].as_str().unwrap().to_owned();
    std::fs::read_to_string(format!("{wanted}/built-on")).unwrap().trim().to_owned()
}

fn of_kind(ended: &Finished, kind: &str) -> Vec<Value> {
    ended.events().into_iter().filter(|event| event["event"] == kind).collect()
}

#[test]
fn derivations_are_built_where_the_command_line_says_and_that_is_told() {
    let lab = Lab::up(&["p620", "p510"]);
    let hub = fresh(&lab, "build.seconds = 2;");
    let words = ["quick-deploy", "p620", "--builders", P510, "--option", "max-jobs", "0"];
    let ended = hub.json(&words).exits(0).ends(&[("p620", "deployed")]);
    assert_eq!(built_on(&ended, "p620"), "p510");
    assert_eq!(lab.current("p620"), ended.host("p620")["wanted"]);

    let begun = of_kind(&ended, "building");
    let names: Vec<_> = begun.iter().map(|event| event["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"lab-app-p620"), "{names:?}");
    assert!(begun.iter().all(|event| event["builder"] == "ssh-ng://p510" && event["host"] == "p620"), "{begun:#?}");
    let progress = of_kind(&ended, "progress");
    let on_p510 = |event: &&Value| event["builder"] == "ssh-ng://p510";
    assert!(progress.iter().any(|event| on_p510(&event) && event["current"] == "lab-app-p620"), "{progress:#?}");
    // The builder's own Nix tells of it too, and it is one build nevertheless.
    assert_eq!(names.iter().filter(|name| **name == "lab-app-p620").count(), 1, "{names:?}");
    let log = hub.log(&ended, "p620").join("\n");
    assert!(log.contains("building lab-app-p620 on ssh-ng://p510"), "{log}");

    hub.set_host("p620", &format!("motd = \"again in {}\";", hub.root().display()));
    let plain = hub.run(&[&["--plain"], &words[..]].concat()).exits(0);
    assert!(plain.stderr.contains(" on p510"), "{}", plain.stderr);
}

#[test]
fn builders_of_nix_conf_are_used_unless_the_command_line_says_otherwise() {
    let lab = Lab::up(&["p510"]);
    let mut hub = fresh(&lab, "");
    let conf = "experimental-features = nix-command flakes\nsubstituters =\nsandbox = false\nbuild-users-group =\n";
    hub.set_env("NIX_CONFIG", &format!("{conf}builders = {P510}\nmax-jobs = 0\n"));
    let ended = hub.json(&["test-host", "p620"]).exits(0).ends(&[("p620", "built")]);
    assert_eq!(built_on(&ended, "p620"), "p510");

    // Other builders make no other evaluation.
    hub.set_host("p620", &format!("motd = \"again in {}\";", hub.root().display()));
    let none = ["test-host", "p620", "--builders", ""];
    let ended = hub.json(&none).exits(1).ends(&[("p620", "build-failed")]);
    let error = ended.host("p620")["error"].clone();
    assert!(error["hints"].to_string().contains("--builders"), "{error}");
    let ended = hub.json(&["test-host", "p620"]).exits(0);
    assert_eq!(of_kind(&ended, "evaluated")[0]["cached"], true);
}

#[test]
fn a_builder_that_cannot_be_used_is_told_once_and_the_others_build() {
    let lab = Lab::up(&["p510"]);
    let hub = fresh(&lab, "");
    hub.set_host("p510", &format!("motd = \"{}\";", hub.root().display()));
    let gone = "ssh-ng://p599 x86_64-linux - 4 2";
    let both = format!("{gone} ; {P510}");
    let words = ["test-host", "p620", "p510", "--option", "max-jobs", "0", "--builders"];
    let ended = hub.json(&[&words[..], &[both.as_str()]].concat()).exits(0);
    assert_eq!(built_on(&ended, "p620"), "p510");
    let warnings = of_kind(&ended, "warning");
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    let message = warnings[0]["message"].as_str().unwrap();
    assert!(message.starts_with("the remote builder ssh-ng://p599 cannot be used: "), "{message}");

    // Without another one, the build fails for it.
    hub.set_host("p620", &format!("motd = \"again in {}\";", hub.root().display()));
    let ended = hub.json(&["test-host", "p620", "--option", "max-jobs", "0", "--builders", gone]).exits(1);
    let ended = ended.ends(&[("p620", "build-failed")]);
    let error = ended.host("p620")["error"].clone();
    assert!(error["output"].to_string().contains("ssh-ng://p599"), "{error}");
    assert!(error["hints"].to_string().contains("nobody who builds this"), "{error}");
}

#[test]
fn a_build_that_fails_on_a_remote_builder_is_told_with_its_log() {
    let lab = Lab::up(&["p510"]);
    let hub = fresh(&lab, "build.fail = true;");
    let words = ["test-host", "p620", "--option", "max-jobs", "0", "--builders", P510];
    let ended = hub.json(&words).exits(1).ends(&[("p620", "build-failed")]);
    let error = ended.host("p620")["error"].clone();
    assert!(error["output"].to_string().contains("the build was told to fail"), "{error}");
    assert!(error["output"].to_string().contains("ssh-ng://p510"), "{error}");
    assert!(error["hints"].is_null(), "{error}");
}
