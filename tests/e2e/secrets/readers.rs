//! Who can read secrets: given, taken away, and what that leaves to be done.

use std::fs;

use super::commands::Secrets;

impl Secrets {
    /// Rules with names for keys, comments, and a group, and a secret of each.
    fn named() -> Self {
        let secrets = Self::new();
        let [me, p620, p510] = [".ssh/id_ed25519", "p620", "p510"].map(|key| secrets.public(key));
        let rules = format!(
            "# Who is who.\nlet\n  me = \"{me}\";\n  p620 = \"{p620}\"; # the workstation\n  p510 = \"{p510}\";\n  \
             hosts = [ p620 p510 ];\nin\n{{\n  # For all.\n  \"secrets/s0.age\".publicKeys = [ me ] ++ hosts;\n  \
             \"secrets/s1.age\".publicKeys = [ me p620 ]; # one\n}}\n"
        );
        secrets.hub.write("secrets.nix", &rules);
        fs::create_dir_all(secrets.hub.root().join("secrets")).unwrap();
        for at in 0..2 {
            secrets.set(&format!("s{at}"), &format!("value {at}")).exits(0);
        }
        secrets.hub.commit("secrets");
        secrets
    }

    fn text(&self) -> String {
        fs::read_to_string(self.hub.root().join("secrets.nix")).unwrap()
    }
}

#[test]
fn a_secret_is_created_with_its_rule() {
    let secrets = Secrets::named();
    let before = secrets.text();
    secrets.run_with(&["secrets", "create", "secrets/s2", "--for", "me,p510"], "value 2").exits(0).says("git add");
    let line = "  \"secrets/s2.age\".publicKeys = [ me p510 ];\n";
    assert_eq!(secrets.text(), before.replace("# one\n", &format!("# one\n{line}")));
    assert_eq!(secrets.by_age("p510", 2).as_deref(), Some("value 2"));
    assert_eq!(secrets.by_age("p620", 2), None);
    let now = (secrets.text(), secrets.files());
    secrets
        .run_with(&["secrets", "create", "secrets/s2", "--for", "me"], "x")
        .exits(2)
        .says("a rule for secrets/s2.age already");
    secrets.run_with(&["secrets", "create", "s3", "--for", "p51"], "x").exits(2).says("did you mean `p510`?");
    secrets.run_with(&["secrets", "create", "../s3", "--for", "me"], "x").exits(2).says("no path below the directory");
    secrets.run_with(&["secrets", "create", "s3", "--for", "me"], "").exits(5).says("would have no content");
    assert_eq!((secrets.text(), secrets.files()), now);
}

#[test]
fn somebody_is_granted_a_secret() {
    let secrets = Secrets::named();
    let before = secrets.text();
    secrets.hub.run(&["secrets", "grant", "p510", "s1"]).exits(0).says("p510 can read 1 secret more");
    assert_eq!(secrets.text(), before.replace("[ me p620 ]; # one", "[ me p620 p510 ]; # one"));
    assert_eq!(secrets.by_age("p510", 1).as_deref(), Some("value 1"));
    secrets.hub.run(&["secrets", "status", "--check"]).exits(0);
}

#[test]
fn what_is_taken_away_is_listed_until_it_is_another() {
    let secrets = Secrets::named();
    let hub = &secrets.hub;
    let told = hub.run(&["secrets", "revoke", "p620"]).exits(0).says("git has the old files");
    assert_eq!(told.stdout, "secrets/s0.age\nsecrets/s1.age\n");
    let text = secrets.text();
    assert!(
        text.contains("hosts = [ p510 ];") && text.contains("[ me ]; # one") && text.contains("# the workstation"),
        "{text}"
    );
    for at in 0..2 {
        assert_eq!(
            (secrets.by_age("p620", at), secrets.by_age(".ssh/id_ed25519", at)),
            (None, Some(format!("value {at}")))
        );
    }
    let status = hub.run(&["secrets", "status", "--check"]).exits(1);
    assert_eq!(status.stdout.matches("root@p620 could read it until").count(), 2, "{}", status.stdout);
    // Encrypted anew it is the same value.
    hub.run(&["secrets", "rekey", "--all"]).exits(0);
    assert_eq!(hub.run(&["secrets", "status"]).exits(0).stdout.matches("could read it until").count(), 2);
    secrets.set("s0", "another").exits(0);
    let status = hub.run(&["secrets", "status"]).exits(0).stdout;
    assert!(!status.lines().any(|line| line.contains("s0.age") && line.contains("could read")), "{status}");
    secrets.set("s1", "another").exits(0);
    hub.run(&["secrets", "status", "--check"]).exits(0);
}

#[test]
fn what_a_key_could_read_in_the_past_is_listed_too() {
    let secrets = Secrets::named();
    let hub = &secrets.hub;
    // Somebody took p620 out of s1 by hand, long ago.
    hub.write("secrets.nix", &secrets.text().replace("[ me p620 ]; # one", "[ me ]; # one"));
    hub.run(&["secrets", "rekey"]).exits(0);
    hub.commit("without p620");
    let told = hub.json(&["secrets", "revoke", "p620"]).exits(0);
    let told: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(told["revoked"], serde_json::json!(["secrets/s0.age"]));
    assert_eq!(told["to-rotate"], serde_json::json!(["secrets/s0.age", "secrets/s1.age"]));
}

#[test]
fn rules_that_are_too_clever_are_left_alone_and_the_patch_is_told() {
    let secrets = Secrets::named();
    let hub = &secrets.hub;
    hub.run(&["secrets", "revoke", "p620", "s0"]).exits(5).says("no list names that key itself");
    hub.write("others.nix", &secrets.text());
    hub.write("secrets.nix", "import ./others.nix\n");
    let before = secrets.files();
    hub.run(&["secrets", "status", "--check"]).exits(0);
    hub.run(&["secrets", "revoke", "p620"]).exits(2).says("binds nothing to `p620`");
    let key = secrets.public("p510");
    hub.run(&["secrets", "grant", &key, "s1"]).exits(5).says("write it by hand");
    assert_eq!((secrets.text().as_str(), secrets.files()), ("import ./others.nix\n", before));
}

#[test]
fn keys_are_told_with_what_they_can_read() {
    let secrets = Secrets::named();
    let told = secrets.hub.json(&["secrets", "keys"]).exits(0).stdout;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let p620 = told.as_array().unwrap().iter().find(|key| key["comment"] == "root@p620").unwrap();
    assert_eq!(p620["secrets"], 2);
    assert!(p620["age"].as_str().unwrap().starts_with("age1") && p620["tag"].as_str().unwrap().len() == 6, "{p620}");
    assert!(secrets.hub.run(&["secrets", "keys"]).exits(0).stdout.contains("root@p620"));
}

#[test]
fn what_is_staged_and_no_secret_any_more_is_found() {
    let secrets = Secrets::named();
    let hub = &secrets.hub;
    hub.run(&["secrets", "check"]).exits(0);
    hub.run(&["secrets", "check", "--staged"]).exits(0);
    let key = fs::read_to_string(secrets.home().join("p620")).unwrap();
    for (file, text, what) in [
        ("secrets/s0.age", "canary\n", "not encrypted"),
        ("secrets/s1.txt", "canary\n", "plaintext"),
        ("hosts/app.dec.yaml", "canary\n", "plaintext"),
        (".env", "canary\n", "plaintext"),
        ("notes.md", key.as_str(), "private key"),
    ] {
        fs::write(hub.root().join(file), text).unwrap();
        hub.git(&["add", "--force", "--", file]);
        let told = hub.run(&["secrets", "check", "--staged"]).exits(1);
        assert!(told.stdout.starts_with(&format!("{file}: ")) && told.stdout.contains(what), "{}", told.stdout);
        assert!(!told.stdout.contains("canary"), "{}", told.stdout);
        hub.git(&["reset", "--quiet", "--hard"]);
    }
}
