//! The keys of hosts in the rules.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::commands::Secrets;
use crate::support::Lab;

#[test]
fn a_new_host_gets_a_name_and_what_its_configuration_needs() {
    let secrets = Secrets::with(2);
    let hub = &secrets.hub;
    hub.set_host("razer", "age.secrets.zero.file = ../../secrets/s0.age;");
    let rules = || fs::read_to_string(hub.root().join("secrets.nix")).unwrap();
    let (before, files) = (rules(), secrets.files());
    let key = secrets.public("p510");
    let add = |words: &[&str]| {
        let words: Vec<_> = ["secrets", "hosts", "add", "razer"].iter().chain(words).copied().collect();
        hub.run(&words)
    };
    add(&["--key", &key]).exits(5).says("it would be able to read secrets/s0.age\n").says("Nobody can be asked here");
    assert_eq!((rules(), secrets.files()), (before.clone(), files));

    add(&["--key", &key, "--yes"]).exits(0);
    let line = format!("razer = \"{} root@razer\";", key.trim_end_matches(" root@p510"));
    assert!(
        rules().contains(&line) && rules().contains("\"secrets/s0.age\".publicKeys = all ++ [ razer ];"),
        "{}",
        rules()
    );
    assert_eq!((secrets.by_age("p510", 0).as_deref(), secrets.by_age("p510", 1)), (Some("value 0"), None));
    hub.run(&["secrets", "status", "--host", "razer", "--check"]).exits(0);

    // Installed anew, it has another key, and the old one opens nothing any more.
    let other = secrets.public("p620");
    add(&["--key", &other, "--yes"]).exits(0);
    assert_eq!(rules().matches("razer").count(), 3, "{}", rules());
    assert_eq!((secrets.by_age("p620", 0).as_deref(), secrets.by_age("p510", 0)), (Some("value 0"), None));
    add(&["--key", "ssh-ed25519 nonsense", "--yes"]).exits(2);
    assert_eq!(secrets.files().len(), 2);
}

#[test]
fn a_new_host_is_named_in_both_formats_and_in_either_alone() {
    let secrets = Secrets::with(1);
    let hub = &secrets.hub;
    let me = secrets.public(".ssh/id_ed25519").split(' ').take(2).collect::<Vec<_>>().join(" ");
    let old = format!(
        "keys:\n  - &me {me} # who keeps them\ncreation_rules:\n  - path_regex: web\\.yaml$\n    key_groups:\n      - age:\n          \
         - *me\n  - age: [ *me ]\n"
    );
    hub.write(".sops.yaml", &old);
    secrets.set("secrets/web.yaml", "user: alice\n").exits(0);
    secrets.set("secrets/other.yaml", "user: bob\n").exits(0);
    hub.set_host(
        "razer",
        "age.secrets.zero.file = ../../secrets/s0.age; sops.secrets.user.sopsFile = ../../secrets/web.yaml;",
    );
    hub.commit("both");
    let text = |name: &str| fs::read_to_string(hub.root().join(name)).unwrap();
    let add =
        |key: &str| hub.run(&["secrets", "hosts", "add", "razer", "--yes", "--key", &secrets.public(key)]).exits(0);
    let told = add("p510").says("it would be able to read secrets/s0.age\n");
    told.says("it would be able to read secrets/web.yaml\n").says("2 secrets are encrypted anew");
    let rules = text(".sops.yaml");
    let first = rules.split_whitespace().find(|word| word.starts_with("age1")).unwrap().to_owned();
    let named = old
        .replace("keeps them\n", &format!("keeps them\n  - &razer {first}\n"))
        .replace("          - *me\n", "          - *me\n          - *razer\n");
    assert_eq!(rules, named);
    assert!(text("secrets/web.yaml").contains(&first) && !text("secrets/other.yaml").contains(&first));
    assert_eq!(secrets.by_age("p510", 0).as_deref(), Some("value 0"));
    let history = hub.run(&["secrets", "history"]).exits(0).stdout;
    assert_eq!(history.matches("grant:razer").count(), 2, "{history}");

    // Where there is only .sops.yaml, that alone says so. Installed anew, the host has another key.
    fs::remove_file(hub.root().join("secrets.nix")).unwrap();
    fs::remove_file(hub.root().join("secrets/s0.age")).unwrap();
    hub.set_host("razer", "sops.secrets.user.sopsFile = ../../secrets/web.yaml;");
    hub.git(&["add", "--all"]);
    add("p620").says("razer is known by it, and 1 secrets are encrypted anew");
    let (rules, web) = (text(".sops.yaml"), text("secrets/web.yaml"));
    assert!(!rules.contains(&first) && !web.contains(&first) && rules.matches("razer").count() == 2, "{rules}");
    hub.run(&["secrets", "status", "--check"]).exits(0);
    fs::remove_file(hub.root().join(".sops.yaml")).unwrap();
    hub.git(&["rm", "--quiet", "--force", "secrets/web.yaml", "secrets/other.yaml"]);
    hub.git(&["add", "--all"]);
    hub.run(&["secrets", "hosts", "add", "razer", "--yes", "--key", &me]).exits(2).says("secrets.nix");
}

#[test]
fn where_there_are_no_hosts_that_is_what_is_told() {
    let secrets = Secrets::with(1);
    secrets.hub.write("flake.nix", "{ outputs = _: { }; }\n");
    secrets.hub.write("secrets.nix", "{ }\n");
    secrets.hub.write("hub.toml", "");
    let hosts = secrets.hub.run(&["secrets", "hosts"]).exits(0).says("the flake has no hosts");
    assert_eq!(hosts.stdout, "");
    secrets.hub.run(&["secrets", "status", "--matrix"]).exits(0).says("there are no hosts");
}

#[test]
fn a_key_is_made_for_a_host_that_is_not_installed_yet() {
    let secrets = Secrets::with(1);
    let private = secrets.home().join("new");
    let made = secrets.hub.run(&["secrets", "hosts", "add", "web.lan", "--generate", "--no-grant", "--yes"]).exits(0);
    fs::write(&private, &made.stdout).unwrap();
    fs::set_permissions(&private, fs::Permissions::from_mode(0o600)).unwrap();
    let public = Command::new("ssh-keygen").arg("-y").arg("-f").arg(&private).output().unwrap();
    let public = String::from_utf8(public.stdout).unwrap();
    let rules = fs::read_to_string(secrets.hub.root().join("secrets.nix")).unwrap();
    assert!(rules.contains(&format!("web-lan = \"{}\";", public.trim())), "{public} in {rules}");
    made.says("it would be able to read nothing yet");
}

#[test]
fn the_keys_of_the_rules_are_held_against_those_of_the_hosts() {
    let mut secrets = Secrets::with(1);
    let lab = Lab::up(&["p510"]);
    secrets.hub.set_env("HUBCTL_SSH_CONFIG", &lab.ssh_config().display().to_string());
    let hub = &secrets.hub;
    let state = |code: i32| {
        let run = hub.json(&["secrets", "hosts", "--check"]).exits(code);
        let of = |host: &str| run.json().as_array().unwrap().iter().find(|one| one["host"] == host).unwrap().clone();
        (of("p510")["state"].as_str().unwrap().to_owned(), of("p620")["state"].as_str().unwrap().to_owned())
    };
    // p620 does not answer, and nobody knows it.
    assert_eq!(state(0), ("not-in-rules".to_owned(), "unknown".to_owned()));
    hub.run(&["secrets", "hosts", "add", "p510", "--yes", "--no-grant"]).exits(0);
    let key = lab.ssh("p510", "cut -d ' ' -f 1,2 /etc/ssh/ssh_host_ed25519_key.pub");
    let rules = fs::read_to_string(hub.root().join("secrets.nix")).unwrap();
    assert!(rules.contains(&format!("p510 = \"{key} root@p510\";")), "{rules}");
    assert_eq!(state(0).0, "same");
    hub.run(&["secrets", "hosts", "--host", "p510"]).exits(0).prints("the same");
    let other = secrets.public("p510");
    hub.run(&["secrets", "hosts", "add", "p510", "--key", &other, "--yes", "--no-grant"]).exits(0);
    assert_eq!(state(1).0, "other");
    hub.run(&["secrets", "hosts"]).exits(0).says("the key of p510 in the rules is none of its own");
}
