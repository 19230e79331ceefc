//! The commands for SOPS files, alone in a repository and beside secrets of agenix.

use std::fs;
use std::process::Command;

use super::commands::Secrets;

/// Rules for the user, and for p620 as well where `both`.
fn rules(secrets: &Secrets, both: bool) {
    let host = if both { format!("          - {} # the host\n", secrets.public("p620")) } else { String::new() };
    let me = secrets.public(".ssh/id_ed25519");
    let rules = format!(
        "# Who reads what.\ncreation_rules:\n  - path_regex: ^secrets/.*\n    key_groups:\n      - age:\n          - {me}\n{host}"
    );
    secrets.hub.write(".sops.yaml", &rules);
}

fn alone() -> Secrets {
    let secrets = Secrets::new();
    fs::create_dir_all(secrets.hub.root().join("secrets")).unwrap();
    rules(&secrets, false);
    secrets.set("secrets/web.yaml", "# of the web\nuser: alice\npassword: hunter2\nports:\n    - 80\n").exits(0);
    secrets.hub.git(&["add", "--all"]);
    secrets
}

fn text(secrets: &Secrets, name: &str) -> String {
    fs::read_to_string(secrets.hub.root().join(name)).unwrap()
}

#[test]
fn a_sops_file_is_made_shown_and_changed() {
    let secrets = alone();
    let hub = &secrets.hub;
    let made = text(&secrets, "secrets/web.yaml");
    assert!(!made.contains("hunter2") && made.contains("user: ENC[AES256_GCM"), "{made}");
    let shown = hub.run(&["secrets", "show", "secrets/web.yaml"]).exits(0).stdout;
    assert_eq!(shown, "# of the web\nuser: alice\npassword: hunter2\nports:\n    - 80\n");
    assert_eq!(hub.run(&["secrets", "show", "secrets/web.yaml", "--value", "ports/0"]).exits(0).stdout, "80");

    secrets.run_with(&["secrets", "set", "secrets/web.yaml", "--value", "password"], "correct horse").exits(0);
    let set = text(&secrets, "secrets/web.yaml");
    let differing = set.lines().filter(|line| !made.contains(*line)).count();
    assert!(differing <= 3, "the value, the MAC and the time: {set}");
    assert_eq!(
        hub.shell("cd secrets && hubctl secrets show web.yaml --value password").exits(0).stdout,
        "correct horse"
    );

    let other = secrets.run_with(&["secrets", "set", "secrets/web.yaml", "--value", "other"], "x").exits(1);
    assert!(other.stderr.contains("it has no value `other`"), "{}", other.stderr);
    let outside = secrets.run_with(&["secrets", "set", "../web.yaml"], "a: b").exits(2);
    assert!(!hub.root().join("../web.yaml").exists(), "{}", outside.stderr);
    assert_eq!(text(&secrets, "secrets/web.yaml"), set);
}

#[test]
fn what_was_tampered_with_is_not_shown() {
    let secrets = alone();
    let whole = text(&secrets, "secrets/web.yaml");
    let lines: Vec<_> = whole.lines().collect();
    let at = lines.iter().position(|line| line.starts_with("password")).unwrap();
    fs::write(secrets.hub.root().join("secrets/web.yaml"), whole.replace(&format!("{}\n", lines[at]), "")).unwrap();
    let shown = secrets.hub.run(&["secrets", "show", "secrets/web.yaml", "--value", "user"]).exits(1);
    assert!(shown.stdout.is_empty() && shown.stderr.contains("its MAC does not match"), "{}", shown.stderr);
}

#[test]
fn drift_is_told_without_a_key_and_rekeyed() {
    let secrets = alone();
    let hub = &secrets.hub;
    let fine = hub.run(&["secrets", "status", "--check"]).exits(0);
    assert!(fine.stdout.contains("secrets/web.yaml") && fine.stdout.contains("fine"), "{}", fine.stdout);
    rules(&secrets, true);
    let before = text(&secrets, "secrets/web.yaml");
    let json = hub.json(&["secrets", "status", "--check"]).exits(1).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["sops"][0]["missing"].as_array().unwrap().len(), 1, "{json}");
    let would = hub.run(&["secrets", "rekey", "--dry-run"]).exits(0);
    assert!(would.stderr.contains("secrets/web.yaml would be encrypted anew"), "{}", would.stderr);
    assert_eq!(text(&secrets, "secrets/web.yaml"), before);

    hub.run(&["secrets", "rekey"]).exits(0);
    hub.run(&["secrets", "status", "--check"]).exits(0);
    let after = text(&secrets, "secrets/web.yaml");
    assert!(before.lines().all(|line| after.contains(line)), "only a recipient came: {after}");
    let key = secrets.home().join("p620");
    let host = hub.run(&["secrets", "show", "secrets/web.yaml", "--value", "user", "-i", key.to_str().unwrap()]);
    assert_eq!(host.exits(0).stdout, "alice");

    // Who goes takes no data key along.
    rules(&secrets, false);
    hub.run(&["secrets", "rekey", "secrets/web.yaml"]).exits(0);
    let value = |text: &str| text.lines().find(|line| line.starts_with("user")).unwrap().to_owned();
    assert_ne!(value(&text(&secrets, "secrets/web.yaml")), value(&after), "every value is encrypted anew");
    hub.run(&["secrets", "show", "secrets/web.yaml", "-i", key.to_str().unwrap()]).exits(1);
}

#[test]
fn both_formats_stand_side_by_side() {
    let secrets = alone();
    let hub = &secrets.hub;
    secrets.rules(1, &[".ssh/id_ed25519", "p620"]);
    secrets.set("s0", "of agenix").exits(0);
    hub.git(&["add", "--all"]);
    let status = hub.run(&["secrets", "status", "--check"]).exits(0).stdout;
    assert!(status.contains("secrets/web.yaml") && status.contains("secrets/s0.age"), "{status}");
    assert_eq!(hub.run(&["secrets", "show", "s0"]).exits(0).stdout, "of agenix");
    let json = hub.json(&["secrets", "status"]).exits(0).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json["secrets"].as_array().unwrap().len(), json["sops"].as_array().unwrap().len()), (1, 1), "{json}");
    rules(&secrets, true);
    secrets.rules(1, &[".ssh/id_ed25519"]);
    hub.run(&["secrets", "rekey"]).exits(0);
    hub.run(&["secrets", "status", "--check"]).exits(0);
    let value = hub.run(&["secrets", "show", "s0", "--value", "x"]).exits(2);
    assert!(value.stderr.contains("s0 is no file of SOPS"), "{}", value.stderr);
}

#[test]
fn the_keys_of_sops_are_used() {
    let secrets = alone();
    let keys = secrets.home().join(".config/sops/age");
    fs::create_dir_all(&keys).unwrap();
    let made = Command::new("age-keygen").arg("-o").arg(keys.join("keys.txt")).output().unwrap();
    assert!(made.status.success());
    let public = Command::new("age-keygen").arg("-y").arg(keys.join("keys.txt")).output().unwrap();
    let public = String::from_utf8(public.stdout).unwrap();
    secrets.hub.write(".sops.yaml", &format!("creation_rules:\n  - age: {public}"));
    secrets.set("secrets/x.env", "TOKEN=abc\n").exits(0);
    assert_eq!(secrets.hub.run(&["secrets", "show", "secrets/x.env"]).exits(0).stdout, "TOKEN=abc\n");
    fs::rename(keys.join("keys.txt"), secrets.home().join("moved")).unwrap();
    let refused = secrets.hub.run(&["secrets", "show", "secrets/x.env"]).exits(1);
    assert!(refused.stderr.contains(public.trim()), "{}", refused.stderr);
    for (name, value) in [
        ("SOPS_AGE_KEY_FILE", "\"$HOME/moved\"".to_owned()),
        ("SOPS_AGE_KEY_CMD", "'cat ".to_owned() + secrets.home().join("moved").to_str().unwrap() + "'"),
        ("SOPS_AGE_KEY", "\"$(grep SECRET \"$HOME/moved\")\"".to_owned()),
    ] {
        let shown = secrets.hub.shell(&format!("{name}={value} hubctl secrets show secrets/x.env")).exits(0);
        assert_eq!(shown.stdout, "TOKEN=abc\n", "{name}");
    }
}
