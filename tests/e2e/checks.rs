//! What speaks against deploying to a host, told before anything of it is changed.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::{Finished, Hub, Lab};

/// A lab of one host that is deployed, and its hub with an edit.
fn deployed_and_edited(host: &str) -> (Lab, Hub) {
    let lab = Lab::up(&[host]);
    let hub = Hub::new(&lab);
    hub.json(&["quick-deploy", host]).exits(0).ends(&[(host, "deployed")]);
    hub.set_host(host, r#"motd = "edited";"#);
    (lab, hub)
}

/// Asserts that nothing was done, with this message and this text in the hint.
#[track_caller]
fn refused(run: &Finished, host: &str, message: &str, hint: &str) {
    let error = run.host(host)["error"].clone();
    assert_eq!(run.host(host)["outcome"], "refused", "{error}");
    assert!(error["message"].as_str().unwrap().contains(message), "no `{message}` in {error}");
    assert!(error["hints"][0].as_str().unwrap().contains(hint), "no `{hint}` in {error}");
}

/// Whether a host has the system that it was to run.
fn has_wanted(lab: &Lab, run: &Finished, host: &str) -> bool {
    let end = run.host(host);
    lab.holds(host, &format!("test -e {}", end["wanted"].as_str().unwrap()))
}

#[test]
fn another_machine_under_the_same_name_is_refused_until_somebody_says_it_is_right() {
    let (lab, hub) = deployed_and_edited("p510");
    hub.json(&["quick-deploy", "p510"]).exits(0).ends(&[("p510", "deployed")]);
    hub.set_host("p510", r#"motd = "edited again";"#);
    lab.ssh("p510", "cp /etc/machine-id /tmp/old; echo 00112233445566778899aabbccddeeff >/etc/machine-id");
    let before = lab.traces("p510");
    let run = hub.json(&["quick-deploy", "p510"]).exits(5);
    refused(&run, "p510", "another machine answers as p510", "`--despite machine`");
    let run = hub.json(&["rollback", "p510"]).exits(5);
    refused(&run, "p510", "another machine answers as p510", "`--despite machine`");
    assert_eq!(lab.traces("p510"), before);

    hub.json(&["quick-deploy", "p510", "--despite", "machine"]).exits(0).ends(&[("p510", "deployed")]);
    hub.json(&["quick-deploy", "p510"]).exits(0).ends(&[("p510", "unchanged")]);
    lab.ssh("p510", "cp /tmp/old /etc/machine-id");
    refused(&hub.json(&["quick-deploy", "p510"]).exits(5), "p510", "another machine", "`--despite machine`");
    hub.run(&["quick-deploy", "p510", "--despite", "machines"]).exits(2).says("did you mean `machine`?");
}

#[test]
fn a_laptop_on_a_battery_that_is_nearly_empty_is_refused() {
    let (lab, hub) = deployed_and_edited("razer");
    lab.ssh(
        "razer",
        "mount -t tmpfs none /sys/class/power_supply && cd /sys/class/power_supply && mkdir AC BAT0 mouse
         echo Mains >AC/type; echo 0 >AC/online
         for b in BAT0 mouse; do echo Battery >$b/type; echo Discharging >$b/status; done
         echo Device >mouse/scope; echo 95 >mouse/capacity; echo 19 >BAT0/capacity",
    );
    let before = lab.traces("razer");
    let run = hub.json(&["quick-deploy", "razer"]).exits(5);
    refused(&run, "razer", "razer runs on battery with 19 % left, and 20 % are wanted", "`--despite battery`");
    assert_eq!(lab.traces("razer"), before);
    hub.json(&["deploy", "razer", "--goal", "dry-activate"]).exits(0).ends(&[("razer", "built")]);

    hub.json(&["quick-deploy", "razer", "--despite", "battery"]).exits(0).ends(&[("razer", "deployed")]);
    lab.ssh("razer", "echo 1 >/sys/class/power_supply/AC/online");
    hub.set_host("razer", r#"motd = "plugged in";"#);
    hub.json(&["quick-deploy", "razer"]).exits(0).ends(&[("razer", "deployed")]);
    lab.ssh("razer", "echo 0 >/sys/class/power_supply/AC/online");
    hub.set_host("razer", r#"motd = "unplugged";"#);
    hub.write("hub.toml", &format!("{}\n[defaults]\nmin-battery = 10\n", hub.committed("hub.toml")));
    hub.json(&["quick-deploy", "razer"]).exits(0).ends(&[("razer", "deployed")]);
}

#[test]
fn images_that_do_not_fit_into_boot_are_told_before_anything_is_copied() {
    let (lab, hub) = deployed_and_edited("p620");
    lab.ssh("p620", "cp -a /boot /tmp/boot && mount -t tmpfs -o size=6m none /boot && cp -a /tmp/boot/. /boot");
    hub.set_host("p620", "initrdMiB = 2;");
    hub.json(&["quick-deploy", "p620"]).exits(0).ends(&[("p620", "reboot-needed")]);
    let before = lab.traces("p620");
    hub.set_host("p620", "initrdMiB = 3;");
    let run = hub.json(&["quick-deploy", "p620"]).exits(5);
    refused(&run, "p620", "/boot of p620 is too full", "configurationLimit");
    assert_eq!(lab.traces("p620"), before);
    assert!(!has_wanted(&lab, &run, "p620"), "it was copied");

    // What the boot loader has already takes no room.
    hub.set_host("p620", "initrdMiB = 2; motd = \"again\";");
    hub.json(&["quick-deploy", "p620"]).exits(0).ends(&[("p620", "reboot-needed")]);
}

#[test]
fn a_closure_that_does_not_fit_is_told_before_anything_is_copied() {
    let lab = Lab::up_with(&["--nix-size", "24M"], &["p620"]);
    let hub = Hub::new(&lab);
    hub.json(&["quick-deploy", "p620"]).exits(0).ends(&[("p620", "deployed")]);
    // The first takes most of the room, and what a system shares with it takes none again.
    hub.set_host("p620", "closureMiB = 8;");
    hub.json(&["quick-deploy", "p620"]).exits(0).ends(&[("p620", "deployed")]);
    hub.set_host("p620", "closureMiB = 8; motd = \"again\";");
    hub.json(&["quick-deploy", "p620"]).exits(0).ends(&[("p620", "deployed")]);
    let before = lab.traces("p620");
    hub.set_host("p620", "closureMiB = 9;");
    let run = hub.json(&["quick-deploy", "p620"]).exits(5);
    refused(&run, "p620", "the store of p620 is too full", "hubctl gc");
    assert_eq!(lab.traces("p620"), before);
    assert!(!has_wanted(&lab, &run, "p620"), "it was copied");
}

#[test]
fn a_clock_that_is_wrong_is_told_and_hinders_nothing() {
    let lab = Lab::up(&["samsung"]);
    let hub = Hub::new(&lab);
    lab.wrap("samsung", "date", r#"[ "$*" = +%s ] && exec expr $("$real" +%s) + 7290; exec "$real" "$@""#);
    let run = hub.run(&["quick-deploy", "samsung"]).exits(0);
    run.says("the clock of samsung is 2 h 1 min ahead of this machine's");
    lab.unwrap("samsung", "date");
    let run = hub.json(&["quick-deploy", "samsung"]).exits(0).ends(&[("samsung", "unchanged")]);
    assert!(run.events().iter().all(|event| event["event"] != "warning"), "{:?}", run.events());
}

/// A secret of the hub that the holder of a public key opens, encrypted by age itself.
fn seal(hub: &Hub, key: &str) {
    let file = hub.root().join("secrets/wifi.age");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let age = Command::new("age").args(["-r", key, "-o"]).arg(&file).stdin(Stdio::piped()).spawn();
    let mut age = age.unwrap();
    age.stdin.take().unwrap().write_all(b"canary\n").unwrap();
    assert!(age.wait().unwrap().success());
    hub.git(&["add", "secrets"]);
}

#[test]
fn a_host_whose_key_does_not_open_its_secrets_is_refused() {
    let (lab, hub) = deployed_and_edited("p510");
    let stranger = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHMl8X4fivnBu+sbRnHNPU2QPo+TFu4SKYByzJS/1Cjl stranger";
    seal(&hub, stranger);
    hub.set_host("p510", r#"motd = "edited"; age.secrets.wifi.file = ../../secrets/wifi.age;"#);
    let before = lab.traces("p510");
    let run = hub.json(&["quick-deploy", "p510"]).exits(5);
    refused(&run, "p510", "cannot decrypt secrets of its new system", "`hubctl secrets rekey`");
    assert!(run.stdout.contains("wifi (secrets/wifi.age)"));
    assert_eq!(lab.traces("p510"), before);

    seal(&hub, lab.ssh("p510", "cat /etc/ssh/ssh_host_ed25519_key.pub").trim());
    hub.json(&["quick-deploy", "p510"]).exits(0).ends(&[("p510", "deployed")]);
    // What a key opens that nobody here knows is not known either.
    seal(&hub, stranger);
    let values = r#"age = { secrets.wifi.file = ../../secrets/wifi.age; identityPaths = [ "/persist/age.key" ]; };"#;
    hub.set_host("p510", &format!(r#"motd = "edited again"; {values}"#));
    hub.json(&["quick-deploy", "p510"]).exits(0).ends(&[("p510", "deployed")]);
    hub.set_host("p510", r#"motd = "and again"; age.secrets.wifi.file = ../../secrets/wifi.age;"#);
    hub.json(&["quick-deploy", "p510", "--despite", "secrets"]).exits(0).ends(&[("p510", "deployed")]);
}

/// A file of SOPS in the hub that the holder of a public key opens.
fn seal_sops(hub: &Hub, key: &str) {
    let key = key.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    hub.write(".sops.yaml", &format!("creation_rules:\n  - path_regex: \\.yaml$\n    age: {key}\n"));
    let file = hub.root().join("secrets/wifi.yaml");
    if file.exists() {
        std::fs::remove_file(&file).unwrap();
    }
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    hub.shell("printf 'wifi:\\n  psk: canary\\n' | hubctl secrets create secrets/wifi.yaml").exits(0);
    hub.git(&["add", ".sops.yaml", "secrets"]);
}

#[test]
fn a_host_whose_key_does_not_open_what_sops_nix_wants_is_refused() {
    let (lab, hub) = deployed_and_edited("p510");
    let public = lab.ssh("p510", "cat /etc/ssh/ssh_host_ed25519_key.pub");
    // sops-nix opens what is for the key of age that it makes of the host's, and not what is for the ssh key.
    seal_sops(&hub, public.trim());
    let wants = |motd: &str, sops: &str| {
        let file = "defaultSopsFile = ../../secrets/wifi.yaml";
        hub.set_host("p510", &format!(r#"motd = "{motd}"; sops = {{ {file}; {sops} }};"#));
    };
    let wifi = r#"secrets.wifi = { sopsFile = ../../secrets/wifi.yaml; key = "wifi/psk"; format = "yaml"; };"#;
    wants("edited", wifi);
    let before = lab.traces("p510");
    let run = hub.json(&["quick-deploy", "p510"]).exits(5);
    refused(&run, "p510", "cannot decrypt secrets of its new system with age1", "rule in .sops.yaml");
    assert!(run.stdout.contains("wifi (secrets/wifi.yaml)"), "{}", run.stdout);
    assert_eq!(lab.traces("p510"), before);

    // The key that is told is the one to add.
    let (_, rest) = run.stdout.split_once("new system with ").unwrap();
    let own = rest.split(':').next().unwrap().to_owned();
    seal_sops(&hub, &own);
    wants("lacking", &wifi.replace("wifi/psk", "wifi/pks"));
    let run = hub.json(&["quick-deploy", "p510"]).exits(5);
    refused(&run, "p510", "wants secrets that their files do not have: wifi (`wifi/pks`", "hubctl secrets edit");
    wants("well", wifi);
    hub.json(&["quick-deploy", "p510"]).exits(0).ends(&[("p510", "deployed")]);

    // What a key opens that nobody here knows is not known either.
    seal_sops(&hub, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHMl8X4fivnBu+sbRnHNPU2QPo+TFu4SKYByzJS/1Cjl");
    wants("unknown", &format!("{wifi} age.keyFile = \"/var/lib/sops-nix/key.txt\";"));
    hub.json(&["quick-deploy", "p510"]).exits(0).ends(&[("p510", "deployed")]);
    // Without a key and a file of its own it takes its name from the default.
    wants("by name", "secrets.wifi = { };");
    let run = hub.json(&["quick-deploy", "p510"]).exits(5);
    refused(&run, "p510", "wifi (`wifi` of secrets/wifi.yaml)", "hubctl secrets edit");
    hub.json(&["quick-deploy", "p510", "--despite", "secrets"]).exits(0).ends(&[("p510", "deployed")]);
}
