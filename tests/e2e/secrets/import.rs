//! Secrets that change their format.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::commands::Secrets;
use super::sops::python;

/// What is public of the key of age in the home.
fn age_key(secrets: &Secrets) -> String {
    let public = Command::new("age-keygen").arg("-y").arg(secrets.home().join("age-key")).output().unwrap();
    String::from_utf8(public.stdout).unwrap().trim().to_owned()
}

fn text(secrets: &Secrets, name: &str) -> String {
    fs::read_to_string(secrets.hub.root().join(name)).unwrap()
}

/// Secrets of agenix for the user, a host and a key of age.
fn agenix() -> Secrets {
    let secrets = Secrets::new();
    assert!(
        Command::new("age-keygen").arg("-o").arg(secrets.home().join("age-key")).output().unwrap().status.success()
    );
    secrets.hub.write("secrets.nix", &rules(&secrets));
    fs::create_dir_all(secrets.hub.root().join("secrets")).unwrap();
    secrets.set("secrets/app.yaml.age", "user: alice\npassword: hunter2\n").exits(0);
    secrets.set("secrets/token.age", "of agenix").exits(0);
    secrets.hub.commit("secrets");
    secrets
}

fn rules(secrets: &Secrets) -> String {
    let age = age_key(secrets);
    let [me, p620] = [".ssh/id_ed25519", "p620"].map(|key| secrets.public(key));
    format!(
        "let\n  me = \"{me}\";\n  p620 = \"{p620}\";\n  backup = \"{age}\";\nin\n{{\n  # Of the app.\n  \
         \"secrets/app.yaml.age\".publicKeys = [ me p620 backup ]; # all\n  \"secrets/token.age\".publicKeys = [ me ];\n}}\n"
    )
}

#[test]
fn a_secret_of_agenix_becomes_a_file_of_sops_for_the_same_readers() {
    let secrets = agenix();
    let hub = &secrets.hub;
    let told = hub.run(&["secrets", "import", "app.yaml", "--to", "sops"]).exits(0).says("which is still there");
    assert!(told.stderr.contains("root@p620") && told.stderr.contains("form of age"), "{}", told.stderr);
    let plain = "user: alice\npassword: hunter2\n";
    assert_eq!(hub.run(&["secrets", "show", "secrets/app.yaml"]).exits(0).stdout, plain);
    // It is what another implementation of the format opens, for the key of age.
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/secrets/sops_oracle.py");
    let file = hub.root().join("secrets/app.yaml");
    let opened = Command::new(python())
        .args([Path::new(script), Path::new("open"), Path::new("yaml"), &file, &secrets.home().join("age-key")])
        .output()
        .unwrap();
    let opened = (String::from_utf8(opened.stdout).unwrap(), String::from_utf8(opened.stderr).unwrap());
    assert!(opened.0.contains("hunter2"), "{opened:?}");
    let made = text(&secrets, "secrets/app.yaml");
    let keys: serde_json::Value = serde_json::from_str(&hub.json(&["secrets", "keys"]).exits(0).stdout).unwrap();
    let host = keys.as_array().unwrap().iter().find(|key| key["comment"] == "root@p620").unwrap();
    assert!(made.contains(host["age"].as_str().unwrap()), "sops-nix opens it as that: {made}");
    assert!(text(&secrets, ".sops.yaml").contains("path_regex: '^secrets/app\\.yaml$'"));
    hub.git(&["add", "--all"]);
    hub.run(&["secrets", "status", "--check"]).exits(0);

    // The second rule goes behind the first; the old file and its rule go at once with it.
    hub.run(&["secrets", "import", "token", "--to", "sops", "--remove"]).exits(0).says("which is gone");
    assert!(!hub.root().join("secrets/token.age").exists());
    assert_eq!(
        text(&secrets, "secrets.nix"),
        rules(&secrets).replace("  \"secrets/token.age\".publicKeys = [ me ];\n", "")
    );
    assert_eq!(hub.run(&["secrets", "show", "secrets/token.bin"]).exits(0).stdout, "of agenix");
    hub.git(&["add", "--all"]);
    hub.run(&["secrets", "status", "--check"]).exits(0);
    assert_eq!(text(&secrets, ".sops.yaml").matches("path_regex").count(), 2);
}

#[test]
fn a_file_of_sops_becomes_a_secret_of_agenix_for_the_same_readers() {
    let secrets = agenix();
    let hub = &secrets.hub;
    hub.run(&["secrets", "import", "app.yaml", "--to", "sops", "--remove"]).exits(0);
    hub.commit("sops");
    let before = (text(&secrets, "secrets.nix"), secrets.files());
    hub.run(&["secrets", "import", "secrets/app.yaml", "--to", "sops"]).exits(2).says("a file of SOPS already");
    hub.run(&["secrets", "import", "token", "--to", "agenix"]).exits(2).says("a secret of agenix already");
    hub.run(&["secrets", "import", "secrets/app.yaml", "--to", "agenix", "--as", "secrets/token"])
        .exits(5)
        .says("is there already");
    hub.run(&["secrets", "import", "token", "--to", "sops", "--as", "secrets/app.yaml"])
        .exits(5)
        .says("is there already");
    hub.run(&["secrets", "import", "token", "--to", "sops", "--as", "../x"]).exits(2);
    assert_eq!((text(&secrets, "secrets.nix"), secrets.files()), before);
    // One value; the host is named by the ssh key that it opens secrets of agenix with.
    let one = ["secrets", "import", "secrets/app.yaml", "--to", "agenix", "--value", "password", "--as", "secrets/s7"];
    hub.run(&one).exits(0);
    assert_eq!(secrets.by_age("p620", 7).as_deref(), Some("hunter2"));
    let rules = text(&secrets, "secrets.nix");
    assert!(rules.contains("\"secrets/s7.age\".publicKeys = [ me p620 backup ];"), "{rules}");
    hub.run(&["secrets", "import", "secrets/app.yaml", "--to", "agenix", "--remove"]).exits(0);
    assert!(!hub.root().join("secrets/app.yaml").exists());
    assert_eq!(hub.run(&["secrets", "show", "app.yaml"]).exits(0).stdout, "user: alice\npassword: hunter2\n");
    hub.git(&["add", "--all"]);
    hub.run(&["secrets", "status", "--check"]).exits(0);
}

#[test]
fn all_secrets_are_converted_at_once_and_back_again() {
    let secrets = agenix();
    let hub = &secrets.hub;
    secrets.set("secrets/app.yaml.age", "{ not YAML\n").exits(5);
    let before = (text(&secrets, "secrets.nix"), secrets.files());
    let would = hub.run(&["secrets", "import", "--all", "--to", "sops", "--dry-run"]).exits(0);
    would.says("secrets/app.yaml would get the content").says("secrets/token.bin would get the content");
    assert_eq!((text(&secrets, "secrets.nix"), secrets.files()), before);
    // One that cannot be converted keeps all others from it: nothing of it is YAML.
    secrets.hub.write("secrets.nix", &before.0.replace("secrets/token.age", "secrets/token.yaml.age"));
    fs::rename(hub.root().join("secrets/token.age"), hub.root().join("secrets/token.yaml.age")).unwrap();
    let files = secrets.files();
    hub.run(&["secrets", "import", "secrets/*", "--to", "sops", "--remove"]).exits(5).says("secrets/token.yaml");
    assert_eq!(secrets.files(), files);
    assert!(!hub.root().join(".sops.yaml").exists());
    fs::rename(hub.root().join("secrets/token.yaml.age"), hub.root().join("secrets/token.age")).unwrap();
    hub.write("secrets.nix", &before.0);

    let run = hub.json(&["secrets", "import", "--all", "--to", "sops", "--remove"]).exits(0).json();
    assert_eq!(run["imported"][1], serde_json::json!({ "from": "secrets/token.age", "to": "secrets/token.bin" }));
    hub.run(&["secrets", "import", "--all", "--to", "sops"]).exits(0).says("there is nothing to convert");
    hub.git(&["add", "--all"]);
    hub.run(&["secrets", "status", "--check"]).exits(0);
    assert_eq!(hub.run(&["secrets", "show", "secrets/token.bin"]).exits(0).stdout, "of agenix");
    hub.run(&["secrets", "import", "secrets/*", "--to", "agenix", "--as", "x"]).exits(2).says("are for one secret");
    hub.run(&["secrets", "import", "secrets/*", "--to", "agenix", "--remove"]).exits(0);
    let there = |name: &str| hub.root().join("secrets").join(name).exists();
    assert_eq!(["app.yaml", "token.bin", "app.yaml.age", "token.age"].map(there), [false, false, true, true]);
    assert_eq!(hub.run(&["secrets", "show", "token"]).exits(0).stdout, "of agenix");
    assert!(text(&secrets, "secrets.nix").contains("\"secrets/app.yaml.age\".publicKeys = [ me p620 backup ];"));
}

#[test]
fn a_value_is_as_old_in_its_new_file_as_it_was_in_the_old_one() {
    let secrets = agenix();
    let hub = &secrets.hub;
    let old = "secrets/token.age\t2020-01-01T00:00:00Z\thex\tx0\n";
    hub.write("secrets.rotated", old);
    hub.write("hub.toml", &(text(&secrets, "hub.toml") + "\n[secrets.\"*\"]\nmax-age = \"30d\"\n"));
    let run = hub.run(&["secrets", "import", "--all", "--to", "sops", "--remove"]).exits(0);
    run.says("hub.toml may speak of secrets/token.age");
    hub.git(&["add", "--all"]);
    let history = hub.run(&["secrets", "history", "secrets/token.bin"]).exits(0).stdout;
    assert!(history.contains("import") && history.contains("2020-01-01T00:00:00Z"), "{history}");
    // Of the other one git's history tells.
    let history = hub.run(&["secrets", "history", "secrets/app.yaml"]).exits(0).stdout;
    assert!(history.contains("git") && history.contains("import"), "{history}");
    let status = hub.run(&["secrets", "status", "--check"]).exits(1).stdout;
    let due: Vec<_> = status.lines().filter(|line| line.contains("days old")).collect();
    assert!(due.len() == 1 && due[0].contains("secrets/token.bin"), "{status}");
}

#[test]
fn what_had_to_be_replaced_has_to_be_after_it_was_converted() {
    let secrets = agenix();
    let hub = &secrets.hub;
    hub.run(&["secrets", "revoke", "p620"]).exits(0);
    hub.run(&["secrets", "import", "app.yaml", "--to", "sops", "--remove"]).exits(0);
    let listed = text(&secrets, "secrets.to-rotate");
    assert!(!listed.contains("app.yaml.age"), "{listed}");
    assert_eq!(listed.matches("secrets/app.yaml#").count(), 2, "{listed}");
    let importing =
        ["secrets", "import", "secrets/app.yaml", "--to", "agenix", "--value", "user", "--as", "secrets/user"];
    hub.run(&importing).exits(0);
    assert!(text(&secrets, "secrets.to-rotate").contains("secrets/user.age\troot@p620"));
}
