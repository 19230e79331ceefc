//! The secrets that hosts have in the clear.

use std::process::{Command, Stdio};
use std::{fs, io::Write as _};

use crate::support::{Hub, Lab};

const PLACE: &str = "/run/agenix/wifi";

/// A host whose configuration has a secret, in place where agenix would have decrypted it.
fn deployed() -> (Lab, Hub) {
    let lab = Lab::up(&["p510"]);
    let hub = Hub::new(&lab);
    let key = lab.ssh("p510", "cat /etc/ssh/ssh_host_ed25519_key.pub");
    let file = hub.root().join("secrets/wifi.age");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let age = Command::new("age").args(["-r", key.trim(), "-o"]).arg(&file).stdin(Stdio::piped()).spawn();
    let mut age = age.unwrap();
    age.stdin.take().unwrap().write_all(b"canary").unwrap();
    assert!(age.wait().unwrap().success());
    hub.git(&["add", "secrets"]);
    edit(&hub, "with a secret");
    plant(&lab);
    hub.json(&["quick-deploy", "p510"]).exits(0).ends(&[("p510", "deployed")]);
    (lab, hub)
}

fn edit(hub: &Hub, motd: &str) {
    let secret =
        format!(r#"{{ file = ../../secrets/wifi.age; path = "{PLACE}"; mode = "0400"; owner = "0"; group = "0"; }}"#);
    hub.set_host("p510", &format!(r#"motd = "{motd}"; age.secrets.wifi = {secret};"#));
}

fn plant(lab: &Lab) {
    lab.ssh("p510", &format!("mkdir -p /run/agenix && echo canary >{PLACE} && chmod 400 {PLACE}"));
}

#[test]
fn a_system_whose_secrets_are_not_there_is_treated_as_one_whose_units_fail() {
    let (lab, hub) = deployed();
    lab.ssh("p510", &format!("rm {PLACE}"));
    edit(&hub, "without it");
    let run = hub.json(&["quick-deploy", "p510"]).exits(3);
    assert_eq!(run.host("p510")["outcome"], "degraded");
    let message = run.host("p510")["error"]["message"].as_str().unwrap().to_owned();
    assert_eq!(message, format!("the system is live, but secrets are missing: wifi ({PLACE})"));

    hub.write("hub.toml", &format!("{}\n[deploy]\nfailed-units = \"rollback\"\n", hub.committed("hub.toml")));
    edit(&hub, "still without it");
    let before = lab.ssh("p510", "readlink -f /run/current-system");
    let run = hub.json(&["quick-deploy", "p510"]).exits(1).ends(&[("p510", "rolled-back")]);
    assert!(run.stdout.contains("secrets are missing: wifi"), "{}", run.stdout);
    assert_eq!(lab.ssh("p510", "readlink -f /run/current-system"), before);
    // One without content is not there either, as long as its file has some.
    lab.ssh("p510", &format!("touch {PLACE}"));
    hub.json(&["quick-deploy", "p510"]).exits(1).ends(&[("p510", "rolled-back")]);
    hub.json(&["quick-deploy", "p510", "--despite", "secrets"]).exits(0).ends(&[("p510", "deployed")]);
    plant(&lab);
    edit(&hub, "with it again");
    hub.json(&["quick-deploy", "p510"]).exits(0).ends(&[("p510", "deployed")]);
    // The same holds for what sops-nix was to put there.
    hub.set_host("p510", r#"sops.secrets.psk = { path = "/run/secrets/psk"; };"#);
    let run = hub.json(&["quick-deploy", "p510"]).exits(1).ends(&[("p510", "rolled-back")]);
    assert!(run.stdout.contains("secrets are missing: psk (/run/secrets/psk)"), "{}", run.stdout);
    lab.ssh("p510", "mkdir /run/secrets && echo canary >/run/secrets/psk");
    hub.json(&["quick-deploy", "p510"]).exits(0).ends(&[("p510", "deployed")]);
}

#[test]
fn hosts_tell_what_secrets_they_have_and_not_what_is_in_them() {
    let (lab, hub) = deployed();
    let live = |code: i32| hub.json(&["secrets", "status", "--live", "--host", "p510", "--check"]).exits(code);
    let problems = |code: i32, at: usize| -> Vec<String> {
        serde_json::from_value(live(code).json()[0]["secrets"][at]["problems"].clone()).unwrap()
    };
    let run = live(0);
    assert!(!run.stdout.contains("canary") && run.json()[0]["deployed"] == true, "{}", run.stdout);
    let file = &run.json()[0]["secrets"][0];
    assert_eq!(
        (file["path"].as_str().unwrap(), &file["file"]["bytes"], &file["file"]["mode"]),
        (PLACE, &7.into(), &"400".into())
    );
    hub.run(&["secrets", "status", "--live", "--host", "p510"]).exits(0).prints("fine").says("all secrets are there");

    lab.ssh("p510", &format!("chmod 444 {PLACE}; chown 7:7 {PLACE}; mkdir /run/secrets; touch /run/secrets/other"));
    assert_eq!(problems(1, 0), ["other-mode", "other-owner", "world-readable"]);
    let other = live(1).json()[0]["secrets"][1].clone();
    assert_eq!((other["path"].as_str().unwrap(), other["name"].is_null()), ("/run/secrets/other", true));
    lab.ssh("p510", &format!("rm -r /run/secrets; : >{PLACE}; chmod 400 {PLACE}; chown 0:0 {PLACE}"));
    assert_eq!(problems(1, 0), ["empty"]);
    lab.ssh("p510", &format!("rm {PLACE}"));
    assert_eq!(problems(1, 0), ["missing"]);
    // What sops-nix is to put there is looked for as well.
    hub.set_host(
        "p510",
        r#"sops.secrets.psk = { sopsFile = ../../secrets/wifi.yaml; path = "/run/secrets/psk"; mode = "0400"; };"#,
    );
    assert_eq!(problems(1, 0), ["missing"]);
    lab.ssh("p510", "mkdir /run/secrets && echo canary >/run/secrets/psk && chmod 440 /run/secrets/psk");
    assert_eq!(problems(1, 0), ["other-mode"]);
    lab.ssh("p510", "chmod 400 /run/secrets/psk");
    assert_eq!(live(0).json()[0]["secrets"][0]["name"], "psk");
    // Of a host that is not there nothing is known.
    let away = hub.json(&["secrets", "status", "--live", "--check"]).exits(1);
    assert!(away.json()[1]["error"].is_string(), "{}", away.stdout);
}
