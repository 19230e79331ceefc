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
fn what_the_rules_want_encrypted_is_not_committed_as_it_is() {
    let secrets = alone();
    let hub = &secrets.hub;
    hub.git(&["add", "--all"]);
    hub.run(&["secrets", "check"]).exits(0);
    hub.run(&["secrets", "check", "--staged"]).exits(0);
    hub.run(&["hook", "run"]).exits(0);

    hub.write("secrets/plain.yaml", "password: hunter2\n");
    hub.write("secrets/README.md", "Who reads what.\n");
    hub.write("values.yaml", "a: b\n");
    hub.git(&["add", "--all"]);
    let told = "secrets/plain.yaml: a secret that is not encrypted\n";
    for words in [&["secrets", "check"][..], &["secrets", "check", "--staged"]] {
        assert_eq!(hub.run(words).exits(1).stdout, told);
    }
    let ended = hub.run(&["hook", "run"]).exits(1).prints("error[plain-secret]").prints("secrets/plain.yaml");
    assert!(!ended.stdout.contains("hunter2") && !ended.stderr.contains("hunter2"), "{ended:?}");
    hub.git(&["rm", "--quiet", "--cached", "secrets/plain.yaml"]);
    fs::remove_file(hub.root().join("secrets/plain.yaml")).unwrap();

    // What was written into a file by hand is no more encrypted than a file of its own.
    let sealed = text(&secrets, "secrets/web.yaml");
    hub.write("secrets/web.yaml", &sealed.replacen("password: ENC[", "token: hunter2\npassword: ENC[", 1));
    hub.git(&["add", "--all"]);
    let told = "secrets/web.yaml: a secret of which a value is not encrypted\n";
    assert_eq!(hub.run(&["secrets", "check", "--staged"]).exits(1).stdout, told);
    // What is staged counts.
    hub.write("secrets/web.yaml", &sealed);
    hub.run(&["hook", "run"]).exits(1).prints("a value is not encrypted");
    hub.git(&["add", "--all"]);
    hub.run(&["hook", "run"]).exits(0);
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
    assert!(would.stdout.starts_with("secrets/web.yaml: + "), "{}", would.stdout);
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
    let told = hub.json(&["secrets", "rekey", "--dry-run"]).exits(0).stdout;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["would-rekey"], serde_json::json!(["secrets/s0.age", "secrets/web.yaml"]));
    let told = hub.json(&["secrets", "rekey"]).exits(0).stdout;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["rekeyed"], serde_json::json!(["secrets/s0.age", "secrets/web.yaml"]));
    hub.run(&["secrets", "status", "--check"]).exits(0);
    let value = hub.run(&["secrets", "show", "s0", "--value", "x"]).exits(2);
    assert!(value.stderr.contains("s0.age is no file of SOPS"), "{}", value.stderr);
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

#[test]
fn both_formats_change_together_or_not_at_all() {
    let secrets = alone();
    let hub = &secrets.hub;
    secrets.rules(1, &[".ssh/id_ed25519", "p620"]);
    secrets.set("s0", "of agenix").exits(0);
    hub.commit("both");
    rules(&secrets, true);
    secrets.rules(1, &[".ssh/id_ed25519"]);
    // One that cannot be decrypted by the one key that is given keeps all as they were, whatever its format.
    let (age, web) = (hub.root().join("secrets/s0.age"), text(&secrets, "secrets/web.yaml"));
    let whole = fs::read(&age).unwrap();
    fs::write(&age, &whole[..whole.len() - 1]).unwrap();
    hub.run(&["secrets", "rekey"]).exits(1);
    assert_eq!((text(&secrets, "secrets/web.yaml"), fs::read(&age).unwrap()), (web, whole[..whole.len() - 1].to_vec()));
    fs::write(&age, &whole).unwrap();
    fs::write(hub.root().join("secrets/web.yaml"), text(&secrets, "secrets/web.yaml").replace("user: ENC", "usr: ENC"))
        .unwrap();
    hub.run(&["secrets", "rekey"]).exits(1);
    assert_eq!(fs::read(&age).unwrap(), whole);
}

#[test]
fn a_sops_file_is_created_where_a_rule_is_for_it() {
    let secrets = alone();
    let hub = &secrets.hub;
    let create = |name: &str, text: &str| secrets.run_with(&["secrets", "create", name], text);
    create("secrets/db/app.env", "TOKEN=hunter2\n").exits(0).says("git add secrets/db/app.env");
    assert_eq!(hub.run(&["secrets", "show", "secrets/db/app.env"]).exits(0).stdout, "TOKEN=hunter2\n");
    create("secrets/db/app.env", "TOKEN=x\n").exits(5).says("is there already");
    create("other/app.env", "TOKEN=x\n").exits(2).says("path_regex: ^other/app\\.env$");
    create("../app.env", "TOKEN=x\n").exits(2).says("no path within the repository");
    create("secrets/bad.json", "{ \"a\": hunter2 }").exits(5).says("secrets/bad.json: line 1");
    create("secrets/empty.yaml", " ").exits(5).says("would have no content");
    create("secrets/web.age", "x").exits(2).says("who is to read it?");
    for file in ["other", "../app.env", "secrets/bad.json", "secrets/empty.yaml"] {
        assert!(!hub.root().join(file).exists(), "{file}");
    }
}

/// Rules with names for keys.
fn named(secrets: &Secrets) {
    let [me, p620, p510] = [".ssh/id_ed25519", "p620", "p510"].map(|key| secrets.public(key));
    let key = |public: &str| public.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let text = format!(
        "keys:\n  - &me {}\n  - &p620 {} # the workstation\n  - &p510 {}\ncreation_rules:\n  # Of the web.\n  \
         - path_regex: web\\.yaml$\n    age: [*me, *p620]\n  - path_regex: secrets/\n    key_groups:\n      - age:\n          \
         - *me\n          - *p620 # reads it\n",
        key(&me),
        key(&p620),
        key(&p510)
    );
    secrets.hub.write(".sops.yaml", &text);
}

/// Two files of SOPS and one secret of agenix, for the user and p620.
fn mixed() -> Secrets {
    let secrets = Secrets::new();
    secrets.rules(1, &[".ssh/id_ed25519", "p620"]);
    named(&secrets);
    secrets.set("s0", "of agenix").exits(0);
    secrets.set("secrets/web.yaml", "user: alice\npassword: hunter2\nhost_unencrypted: web\n").exits(0);
    secrets.set("secrets/app.env", "TOKEN=abc\n").exits(0);
    secrets.hub.commit("both");
    secrets
}

fn opens(secrets: &Secrets, key: &str, name: &str) -> bool {
    let key = secrets.home().join(key);
    let shown = secrets.hub.run(&["secrets", "show", name, "-i", key.to_str().unwrap()]);
    shown.code == Some(0)
}

#[test]
fn a_sops_file_is_granted_by_its_rule() {
    let secrets = mixed();
    let hub = &secrets.hub;
    let (rules, web) = (text(&secrets, ".sops.yaml"), text(&secrets, "secrets/web.yaml"));
    hub.run(&["secrets", "grant", "p510", "secrets/web.yaml"]).exits(0).says("p510 can read 1 secret more");
    assert_eq!(text(&secrets, ".sops.yaml"), rules.replace("age: [*me, *p620]", "age: [*me, *p620, *p510]"));
    let granted = text(&secrets, "secrets/web.yaml");
    assert!(web.lines().all(|line| granted.contains(line)), "only a recipient came: {granted}");
    assert!(opens(&secrets, "p510", "secrets/web.yaml") && !opens(&secrets, "p510", "secrets/app.env"));
    // Of both formats at once; only .sops.yaml has that name.
    hub.run(&["secrets", "grant", "p510", "secrets/*"]).exits(0).says("p510 can read 2 secrets more");
    assert!(opens(&secrets, "p510", "secrets/app.env") && opens(&secrets, "p510", "s0"));
    assert!(
        text(&secrets, ".sops.yaml").contains("- *p620 # reads it\n          - *p510\n"),
        "{}",
        text(&secrets, ".sops.yaml")
    );
    hub.run(&["secrets", "status", "--check"]).exits(0);
    hub.run(&["secrets", "grant", "p51", "secrets/web.yaml"]).exits(2).says("did you mean `p510`?");
    hub.run(&["secrets", "grant", "p510", "secrets/none.yaml"]).exits(2);
}

#[test]
fn a_host_is_granted_a_file_by_the_key_that_sops_nix_has() {
    let secrets = alone();
    let hub = &secrets.hub;
    let host = secrets.public("p620");
    let ssh = host.split(' ').nth(1).unwrap();
    hub.run(&["secrets", "grant", &host, "secrets/web.yaml"]).exits(0).says("which is what sops-nix opens files with");
    let (rules, web) = (text(&secrets, ".sops.yaml"), text(&secrets, "secrets/web.yaml"));
    assert!(!rules.contains(ssh) && !web.contains(ssh), "{rules}");
    let of_age = rules.split_whitespace().find(|word| word.starts_with("age1")).unwrap();
    assert!(web.contains(of_age), "{web}");
    // The same again changes nothing, and somebody who is no host has the key that they have.
    hub.run(&["secrets", "grant", &host, "secrets/web.yaml"]).exits(0).says("can read 0 secrets more");
    let somebody = secrets.public("p510").replace("root@p510", "olaf@desk");
    hub.run(&["secrets", "grant", &somebody, "secrets/web.yaml"]).exits(0);
    assert!(opens(&secrets, "p510", "secrets/web.yaml"));
}

#[test]
fn a_rule_that_is_for_other_files_too_is_not_changed_for_one() {
    let secrets = mixed();
    let hub = &secrets.hub;
    secrets.set("secrets/other.json", "{\"a\": 1}").exits(0);
    hub.git(&["add", "--all"]);
    let before = (text(&secrets, ".sops.yaml"), secrets.files());
    hub.run(&["secrets", "grant", "p510", "secrets/app.env"]).exits(5).says("is for secrets/other.json as well");
    hub.run(&["secrets", "revoke", "p620", "secrets/app.env"]).exits(5).says("is for secrets/other.json as well");
    assert_eq!((text(&secrets, ".sops.yaml"), secrets.files()), before);
    hub.run(&["secrets", "grant", "p510", "secrets/app.env", "secrets/other.json"]).exits(0);
}

#[test]
fn a_key_is_revoked_in_both_formats_at_once() {
    let secrets = mixed();
    let hub = &secrets.hub;
    let (rules, web) = (text(&secrets, ".sops.yaml"), text(&secrets, "secrets/web.yaml"));
    let told = hub.json(&["secrets", "revoke", "p620"]).exits(0);
    let told: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    let files = ["secrets/s0.age", "secrets/app.env", "secrets/web.yaml"];
    assert_eq!(told["revoked"], serde_json::json!(files));
    let due = ["secrets/app.env#TOKEN", "secrets/s0.age", "secrets/web.yaml#password", "secrets/web.yaml#user"];
    assert_eq!(told["to-rotate"], serde_json::json!(due));
    assert_eq!(
        text(&secrets, ".sops.yaml"),
        rules.replace("[*me, *p620]", "[*me]").replace("          - *p620 # reads it\n", "")
    );
    let value = |text: &str| text.lines().find(|line| line.starts_with("user")).unwrap().to_owned();
    assert_ne!(value(&web), value(&text(&secrets, "secrets/web.yaml")), "under a new data key");
    for file in files {
        assert!(!opens(&secrets, "p620", file) && opens(&secrets, ".ssh/id_ed25519", file), "{file}");
    }
    // It is told until each value is another one.
    let status = hub.run(&["secrets", "status", "--check"]).exits(1);
    assert_eq!(status.stdout.matches("could read").count(), 4, "{}", status.stdout);
    hub.run(&["secrets", "rekey", "--all"]).exits(0);
    secrets.run_with(&["secrets", "set", "secrets/web.yaml", "--value", "password"], "another").exits(0);
    let left = text(&secrets, "secrets.to-rotate");
    assert!(!left.contains("password") && left.contains("user") && left.contains("TOKEN"), "{left}");
    secrets.set("secrets/web.yaml", "user: bob\npassword: another\nhost_unencrypted: web\n").exits(0);
    secrets.set("secrets/app.env", "TOKEN=new\n").exits(0);
    secrets.set("s0", "new").exits(0);
    hub.run(&["secrets", "status", "--check"]).exits(0);
}

#[test]
fn what_a_key_could_read_of_sops_files_in_the_past_is_listed_too() {
    let secrets = mixed();
    let hub = &secrets.hub;
    // A value that came while p620 could read the file, and the day when somebody took it out by hand.
    secrets.set("secrets/web.yaml", "user: alice\npassword: hunter2\nlater: x\n").exits(0);
    hub.commit("later");
    hub.write(".sops.yaml", &text(&secrets, ".sops.yaml").replace("[*me, *p620]", "[*me]"));
    hub.run(&["secrets", "rekey"]).exits(0);
    hub.commit("without p620");
    secrets.set("secrets/web.yaml", "user: alice\nlater: x\nnew: y\n").exits(0);
    let told = hub.json(&["secrets", "revoke", "p620"]).exits(0);
    let told: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    let due = ["secrets/app.env#TOKEN", "secrets/s0.age", "secrets/web.yaml#later", "secrets/web.yaml#user"];
    assert_eq!(told["to-rotate"], serde_json::json!(due), "what is not there any more, or came later, needs nothing");
}

#[test]
fn a_host_is_revoked_in_each_form_of_its_key() {
    let secrets = Secrets::new();
    secrets.rules(1, &[".ssh/id_ed25519", "p620"]);
    secrets.set("s0", "of agenix").exits(0);
    let keys = secrets.hub.json(&["secrets", "keys"]).exits(0).stdout;
    let keys: serde_json::Value = serde_json::from_str(&keys).unwrap();
    let host = keys.as_array().unwrap().iter().find(|key| key["comment"] == "root@p620").unwrap();
    let age = host["age"].as_str().unwrap().to_owned();
    let me = secrets.public(".ssh/id_ed25519");
    let key = me.split(' ').take(2).collect::<Vec<_>>().join(" ");
    secrets.hub.write(".sops.yaml", &format!("creation_rules:\n  - age: \"{key},{age}\"\n"));
    secrets.set("secrets/web.yaml", "user: alice\n").exits(0);
    secrets.hub.commit("both");
    let ssh = secrets.public("p620");
    secrets.hub.run(&["secrets", "revoke", &ssh]).exits(0);
    let (rules, web) = (text(&secrets, ".sops.yaml"), text(&secrets, "secrets/web.yaml"));
    assert!(!rules.contains(&age) && !web.contains(&age) && rules.contains(&key), "{rules}");
    assert_eq!(secrets.by_age("p620", 0), None);
    // The last reader is not taken away.
    let before = secrets.files();
    secrets.hub.run(&["secrets", "revoke", &key, "--force"]).exits(5).says("it would have no recipient");
    assert_eq!(secrets.files(), before);
}
