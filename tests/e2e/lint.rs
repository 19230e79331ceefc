//! `lint` on a flake: what it tells, mends and leaves alone. What each rule finds is on its page, which the rules are held to.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Finished, Hub};

/// A file with two findings of which one can be mended.
const FILE: &str =
    "{ lib, ... }:\nlet\n  unused = 1;\nin\nwith lib;\n{\n  networking.firewall.enable = mkForce false;\n}\n";

/// The names of the rules of which something was found.
fn rules(ended: &Finished) -> Vec<String> {
    let told = ended.json();
    told["findings"].as_array().unwrap().iter().map(|found| found["rule"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_is_found_is_told_and_mended_and_allowed() {
    let hub = Hub::offline();
    hub.write("modules/a.nix", FILE);
    hub.run(&["lint", "modules"])
        .exits(1)
        .prints("warning[unused-binding]: `unused` is not used")
        .prints("modules/a.nix:3:3")
        .prints("warning[firewall-off]")
        .says("3 warnings (1 of them can be mended with --fix) in 1 file");
    let told = hub.json(&["lint", "modules"]).exits(1).json();
    let first = &told["findings"][0];
    assert_eq!(
        (&first["rule"], &first["fix"], &first["severity"]),
        (&json!("unused-binding"), &json!("safe"), &json!("warning"))
    );

    let ended = hub.run(&["lint", "modules", "--fix"]).exits(1);
    assert!(
        ended.stderr.contains("modules/a.nix: 2 edits") && ended.stderr.contains("2 warnings in 1 file"),
        "{}",
        ended.stderr
    );
    let mended = fs::read_to_string(hub.root().join("modules/a.nix")).unwrap();
    assert_eq!(mended, "{ lib, ... }:\nwith lib;\n{\n  networking.firewall.enable = mkForce false;\n}\n");

    let allowed = mended.replace("with lib;", "with lib; # hubctl: allow file-wide-with: it is short");
    hub.write("modules/a.nix", &allowed);
    assert_eq!(rules(&hub.json(&["lint", "modules"]).exits(1)), ["firewall-off"]);
    hub.write(
        "hub.toml",
        &format!("{}\n[lint]\nseverity = {{ firewall-off = \"note\" }}\n", hub.committed("hub.toml")),
    );
    hub.run(&["lint", "modules"]).exits(0).prints("note[firewall-off]");
    hub.write("hub.toml", &format!("{}\n[lint]\nexclude = [\"modules\"]\n", hub.committed("hub.toml")));
    hub.run(&["lint", "modules"]).exits(2).says("there is no Nix file below modules");
    assert_eq!(rules(&hub.json(&["lint", "modules/a.nix"]).exits(1)), ["firewall-off"]);
}

#[test]
fn a_rule_that_is_none_is_an_error_with_its_line() {
    let hub = Hub::offline();
    hub.write("hub.toml", &format!("{}\n[lint]\nseverity = {{ nested-wiht = \"off\" }}\n", hub.committed("hub.toml")));
    hub.run(&["lint"]).exits(2).says("there is no rule `nested-wiht`").says("did you mean `nested-with`?");
    hub.write("hub.toml", &format!("{}\n[lint]\nseverity = {{ nested-with = \"of\" }}\n", hub.committed("hub.toml")));
    hub.run(&["lint"]).exits(2).says("did you mean \"off\"?");
    hub.run(&["lint", "--explain", "nested-wiht"]).exits(2).says("did you mean `nested-with`?");
}

#[test]
fn a_secret_is_shown_nowhere() {
    let hub = Hub::offline();
    let secret = "hunter2-and-more";
    hub.write("a.nix", &format!("let unused = {{ password = \"{secret}\"; }}; in 1\n"));
    let ended = hub.run(&["lint", "a.nix"]).exits(1).prints("literal-secret").prints("unused-binding");
    let told = hub.json(&["lint", "a.nix"]).exits(1);
    hub.run(&["lint", "--baseline", "write"]).exits(0);
    let baseline = fs::read_to_string(hub.root().join("lint-baseline.json")).unwrap();
    let text = format!("{}\n[lint]\nseverity = {{ literal-secret = \"off\" }}\n", hub.committed("hub.toml"));
    hub.write("hub.toml", &text);
    let off = hub.run(&["lint", "a.nix", "--baseline", "off"]).exits(1).prints("unused-binding");
    // A file that Nix would not read is shown too.
    hub.write("a.nix", &format!("{{ a = {{ password = \"{secret}\"; }} }}\n"));
    let broken = hub.run(&["check-syntax", "a.nix"]).exits(1).prints("password");
    for text in [&ended.stdout, &ended.stderr, &told.stdout, &told.stderr, &baseline, &off.stdout, &broken.stdout] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[test]
fn with_a_baseline_only_what_is_new_fails() {
    let hub = Hub::offline();
    hub.write("modules/a.nix", FILE);
    hub.run(&["lint", "--baseline", "write"]).exits(0).says("are known from now on: lint-baseline.json");
    let ended = hub.run(&["lint"]).exits(0);
    assert_eq!(ended.stdout, "");
    assert!(ended.stderr.contains("more in lint-baseline.json"), "{}", ended.stderr);
    hub.write("modules/b.nix", "let new = 1; in 2\n");
    assert_eq!(rules(&hub.json(&["lint"]).exits(1)), ["dead-file", "unused-binding"]);
    hub.write("modules/b.nix", "2\n");
    hub.write("modules/a.nix", &FILE.replace("  unused = 1;\n", "").replace("let\nin\n", ""));
    hub.run(&["lint"]).exits(0).says("1 findings of lint-baseline.json are mended");
    hub.run(&["lint", "modules", "--baseline", "off"]).exits(1).prints("file-wide-with");
    hub.run(&["lint", "modules", "--baseline", "write"]).exits(2).says("leave the paths out");
    hub.write("lint-baseline.json", "[]");
    hub.run(&["lint"]).exits(2).says("is not what").says("--baseline off");
}

#[test]
fn a_few_rules_alone_are_looked_for() {
    let hub = Hub::offline();
    let option = "lib.mkOption { type = lib.types.str; }";
    hub.write("modules/a.nix", &format!("{{ lib, ... }}:\nlet x = 1; in {{ options.my.name = {option}; }}\n"));
    hub.write("hub.toml", "[lint]\nseverity = { option-description = \"off\" }\n");
    for words in [&["lint", "--only", "option-type,option-description"][..], &["check-module-docs"]] {
        // A note too is what was asked for, and one that is off otherwise.
        let ended = hub.run(words).exits(1).prints("note[option-description]");
        assert!(!ended.stdout.contains("unused-binding"), "{}", ended.stdout);
    }
    hub.run(&["check-module-docs", "flake.nix"]).exits(0);
    hub.run(&["lint", "--only", "option-type"]).exits(0).says("nothing found");
    hub.run(&["lint", "--only", "option-typ"]).exits(2).says("did you mean `option-type`?");
    // What is kept is what all rules saw.
    hub.run(&["lint"]).exits(1).prints("unused-binding");
    hub.run(&["lint", "--only", "unused-binding", "--fix=unsafe"]).exits(0).says("modules/a.nix: 1 edit");
    hub.run(&["lint", "--only", "unused-binding", "--baseline", "write"]).exits(2);
}

#[test]
fn what_is_imported_has_to_be_known_to_git() {
    let hub = Hub::offline();
    hub.write("modules/a.nix", "{\n  imports = [ ./new.nix ./none.nix ];\n}\n");
    fs::write(hub.root().join("modules/new.nix"), "{ }\n").unwrap();
    let of_file = |ended: &Finished| {
        let told = ended.json();
        let found = told["findings"].as_array().unwrap().iter().filter(|found| found["rule"] == "missing-file");
        found.map(|found| found["message"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let unknown = "git does not know modules/new.nix, so that Nix does not see it";
    assert_eq!(of_file(&hub.json(&["lint"]).exits(1)), [unknown, "there is no modules/none.nix"]);
    hub.run(&["lint"]).exits(1).prints("git add modules/new.nix");
    hub.git(&["add", "modules/new.nix"]);
    assert_eq!(of_file(&hub.json(&["lint"]).exits(1)), ["there is no modules/none.nix"]);
    assert_eq!(of_file(&hub.json(&["lint", "modules"])), [""; 0]);
}

#[test]
fn other_programs_are_told_in_their_own_forms() {
    let hub = Hub::offline();
    hub.write("modules/a.nix", FILE);
    let marks = hub.run(&["lint", "modules", "--form", "github"]).exits(1).stdout;
    assert!(
        marks.starts_with("::warning file=modules/a.nix,line=3,endLine=3,col=3,endColumn=9,title=unused-binding::"),
        "{marks}"
    );
    let log = hub.run(&["lint", "modules", "--form", "sarif"]).exits(1).json();
    assert_eq!(log["runs"][0]["results"][0]["ruleId"], "unused-binding");
    hub.run(&["lint", "modules", "--form", "junit"])
        .exits(1)
        .prints("<testcase name=\"modules/a.nix\" classname=\"files\">")
        .prints("<failure message=\"warning[unused-binding]: `unused` is not used\">");
    hub.write("modules/a.nix", "{");
    hub.run(&["check-syntax", "--form", "github"]).exits(1).prints("::error file=modules/a.nix,line=1,endLine=1,");
}

#[test]
fn options_are_known_without_evaluating() {
    let hub = Hub::offline();
    hub.write("modules/a.nix", "{\n  services.openssh.enabel = true;\n  networking.firewall.enable = \"yes\";\n}\n");
    hub.run(&["lint", "modules"])
        .exits(1)
        .prints("there is no option `services.openssh.enabel`")
        .prints("did you mean `services.openssh.enable`?")
        .prints("`networking.firewall.enable` does not take a text")
        .prints("it is of the type `bool`");
    let told = hub.json(&["options", "search", "Firewall", "tcpports"]).exits(0).json();
    assert_eq!(told[0]["option"], "networking.firewall.allowedTCPPorts");
    assert_eq!(told[0]["types"]["NixOS"], "listOf unsignedInt16");
    hub.run(&["options", "search", "firewall", "allowedtcpports"])
        .exits(0)
        .prints("listOf unsignedInt16")
        .says("found among: NixOS");
    hub.run(&["options", "search", "nothing-is-called-so"]).exits(1).says("0 found among");
}

#[test]
fn options_of_the_hub_itself_are_read_from_its_modules() {
    let hub = Hub::offline();
    hub.write(
        "modules/docker.nix",
        "{ lib, ... }:\n{\n  options.features.docker = {\n    enable = lib.mkEnableOption \"Docker\";\n    \
         storage = lib.mkOption {\n      type = lib.types.enum [ \"zfs\" \"overlay\" ];\n      description = \"x\";\n    };\n  };\n  \
         options.services.opensh.enable = lib.mkEnableOption \"x\";\n}\n",
    );
    hub.write(
        "modules/a.nix",
        "{\n  imports = [ ./docker.nix ];\n  features.dokcer.enable = true;\n  features.docker.enable = \"yes\";\n  \
         features.docker.storage = \"zsf\";\n  features.kubernetes.enable = true;\n  services.opensh.enable = true;\n}\n",
    );
    let told = hub.json(&["lint"]).exits(1).json();
    let of_options = told["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|found| found["path"] == "modules/a.nix" && found["rule"].as_str().unwrap().contains("option"));
    let messages: Vec<_> = of_options.map(|found| found["message"].as_str().unwrap()).collect();
    assert_eq!(
        messages,
        [
            "there is no option `features.dokcer`",
            "`features.docker.enable` does not take a text",
            "`features.docker.storage` does not take a text",
        ]
    );
}

#[test]
fn a_state_version_is_held_to_the_last_commit() {
    let hub = Hub::offline();
    let versions = |release: &str| format!("{{\n  system.stateVersion = \"{release}\";\n}}\n");
    hub.write("hosts/p620/system.nix", &versions("24.11"));
    let found = || rules(&hub.json(&["lint"])).iter().any(|rule| rule == "state-version-changed");
    assert!(!found(), "a new file was no other one before");
    hub.git(&["commit", "--quiet", "--all", "--message", "a host"]);
    assert!(!found());
    hub.write("hosts/p620/system.nix", &versions("25.05"));
    hub.run(&["lint"]).exits(1).prints("`system.stateVersion` was \"24.11\" in the last commit");
}

#[test]
fn rules_are_listed_with_what_the_hub_makes_of_them() {
    let hub = Hub::offline();
    hub.run(&["lint", "--rules"]).exits(0).prints("nested-with").prints("warning");
    hub.write("hub.toml", &format!("{}\n[lint]\nseverity = {{ nested-with = \"off\" }}\n", hub.committed("hub.toml")));
    let told = hub.json(&["lint", "--rules"]).exits(0).json();
    let rule = told.as_array().unwrap().iter().find(|rule| rule["name"] == "nested-with").unwrap().clone();
    assert_eq!(rule["severity"], Value::from("off"));
    hub.run(&["lint", "--explain", "nested-with"]).exits(0).prints("# nested-with").prints("## Wrong");
}

#[test]
fn what_was_seen_is_kept_until_it_changes() {
    let hub = Hub::offline();
    hub.write("modules/a.nix", FILE);
    hub.run(&["lint"]).exits(1).prints("`unused` is not used");
    let kept = || fs::read_dir(hub.state().join("lint")).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(kept()).unwrap();
    fs::write(kept(), text.replace("`unused` is not used", "so it was kept")).unwrap();
    hub.run(&["lint"]).exits(1).prints("so it was kept");
    hub.run(&["lint", "--no-cache"]).exits(1).prints("`unused` is not used");
    hub.write("modules/a.nix", &format!("{FILE}# changed\n"));
    hub.run(&["lint"]).exits(1).prints("`unused` is not used");
    hub.run(&["cache", "clear"]).exits(0);
    assert!(!hub.state().join("lint").exists());
}
