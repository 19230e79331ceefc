//! Making room on hosts: what would go is told first, what a rollback needs stays, and a rollback works afterwards.

use serde_json::{Value, json};

use crate::support::{Hub, Lab};

/// A host with `count` generations, each with a kernel of its own.
fn with_generations(lab: &Lab, hub: &Hub, host: &str, count: u32) {
    for number in 1..=count {
        hub.set_host(
            host,
            &format!(r#"motd = "edit {number}"; kernel = "6.{number}"; closureMiB = 1; closureSeed = {number};"#),
        );
        hub.run(&["quick-deploy", host]).exits(0);
    }
    // Old enough for every policy.
    lab.ssh(host, "touch -h -d '90 days ago' /nix/var/nix/profiles/system-*-link");
}

fn generations(hub: &Hub, host: &str) -> Vec<u64> {
    let listed = hub.json(&["generations", host]).exits(0).json();
    listed.as_array().unwrap().iter().map(|one| one["generation"].as_u64().unwrap()).collect()
}

fn host<'a>(document: &'a Value, name: &str) -> &'a Value {
    document["hosts"].as_array().unwrap().iter().find(|one| one["host"] == name).unwrap()
}

#[test]
fn old_generations_go_and_a_rollback_works_afterwards() {
    let lab = Lab::up(&["p620", "p510"]);
    let hub = Hub::new(&lab);
    with_generations(&lab, &hub, "p620", 5);
    let (all, boot) = (generations(&hub, "p620"), "ls /boot/loader/entries /boot/EFI/nixos | wc -l");
    let files: u32 = lab.ssh("p620", boot).parse().unwrap();
    let old = lab.ssh("p620", "readlink -f /nix/var/nix/profiles/system-2-link");

    // Nothing is removed by looking, nor where nobody can be asked.
    let told = hub.json(&["gc", "p620", "--keep", "1", "--dry-run"]).exits(0).json();
    let would = host(&told, "p620")["would-free"].clone();
    assert!(would["bytes"].as_u64().unwrap() > 2 << 20, "{told}");
    hub.run(&["gc", "p620", "--keep", "1"]).exits(5).says("--yes").prints("go: 2-3");
    assert_eq!(generations(&hub, "p620"), all);
    // The policy of hub.toml keeps what is young, and so many.
    hub.write("hub.toml", &format!("{}\n[gc]\nkeep = 4\nkeep-since = \"200d\"\n", hub.committed("hub.toml")));
    let kept = hub.json(&["gc", "p620", "--yes"]).exits(0).json();
    assert_eq!(host(&kept, "p620")["generations"][0]["kept-for"], json!(["booted", "young"]), "{kept}");
    assert_eq!(generations(&hub, "p620"), all);

    let space = hub.json(&["boot-space", "p620", "p510"]).exits(0).json();
    assert_eq!(space[1]["freed"], 0, "{space}");
    hub.write("hub.toml", &format!("{}\n[gc]\nkeep = 1\nkeep-since = \"0s\"\n", hub.committed("hub.toml")));
    let space = hub.json(&["boot-space", "p620"]).exits(0).json();
    assert!(space[0]["freed"].as_u64().unwrap() > 0, "{space}");
    hub.run(&["boot-space", "p620"]).exits(0).prints("generation 5").prints("goes");

    let done = hub.json(&["gc", "p620", "--yes"]).exits(0).json();
    assert_eq!(host(&done, "p620")["removed"], json!([2, 3]), "{done}");
    assert_eq!(generations(&hub, "p620"), [1, 4, 5]);
    // What is gone is not offered any more.
    let mut asking = hub.command(&["--", "hubctl", "rollback", "p620", "--to", ""]);
    let offered = asking.env("HUBCTL_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", "4").env("_CLAP_IFS", " ");
    let offered = String::from_utf8(offered.output().unwrap().stdout).unwrap();
    assert_eq!(offered.split_whitespace().collect::<Vec<_>>(), ["5", "4", "1"]);
    assert!(!lab.try_ssh("p620", &format!("test -e {old}")).status.success(), "{old} is still there");
    let left: u32 = lab.ssh("p620", boot).parse().unwrap();
    assert!(left < files, "{left} files in /boot of {files}");
    lab.ssh("p620", "test -e /boot/loader/entries/nixos-generation-4.conf");
    lab.assert_no_remains("p620");

    hub.json(&["rollback", "p620"]).exits(0).ends(&[("p620", "reboot-needed")]);
    assert!(lab.ssh("p620", "cat /etc/lab-motd").contains("edit 4"));
    // The one that was rolled back from is the newest, and the one that runs the boot default.
    hub.run(&["gc", "p620", "--yes"]).exits(0).says("there is nothing to remove");
    assert_eq!(generations(&hub, "p620"), [1, 4, 5]);
}

#[test]
fn what_was_booted_and_what_the_last_deployment_promises_stay() {
    let lab = Lab::up(&["p620"]);
    let hub = Hub::new(&lab);
    with_generations(&lab, &hub, "p620", 4);
    let booted = lab.ssh(
        "p620",
        "ln -sfn $(readlink -f /nix/var/nix/profiles/system-1-link) /run/booted-system; readlink /run/booted-system",
    );
    // Afterwards it is not the previous generation that the last deployment began with.
    hub.json(&["rollback", "p620", "--to", "2"]).exits(0);
    hub.set_host("p620", r#"motd = "last";"#);
    hub.json(&["quick-deploy", "p620"]).exits(0);
    let done = hub.json(&["gc-aggressive", "p620", "--yes"]).exits(0).json();
    assert_eq!(host(&done, "p620")["removed"], json!([3]), "{done}");
    let reasons = |number: usize| host(&done, "p620")["generations"][number - 1]["kept-for"].to_string();
    assert!(
        reasons(1).contains("booted") && reasons(2).contains("confirmed") && reasons(4).contains("previous"),
        "{done}"
    );
    lab.ssh("p620", &format!("test -e {booted}/init"));
}

#[test]
fn a_host_that_somebody_deploys_to_is_left_alone() {
    let lab = Lab::up(&["p620", "p510"]);
    let hub = Hub::new(&lab);
    with_generations(&lab, &hub, "p620", 4);
    with_generations(&lab, &hub, "p510", 4);
    lab.ssh("p620", "mkdir -p /run/hubctl && ln -s '20260131-120000-0f3a 1760000000 ann@desk' /run/hubctl/lock");
    let done = hub.json(&["gc", "p620", "p510", "--keep=1", "--keep-since=0s", "--yes"]).exits(5).json();
    assert!(host(&done, "p620")["error"].to_string().contains("ann@desk"), "{done}");
    assert_eq!(host(&done, "p510")["removed"], json!([2]), "{done}");
    assert_eq!(generations(&hub, "p620"), [1, 2, 3, 4]);
    lab.cut("p510");
    hub.write("hub.toml", "[ssh]\nconnect-timeout = \"2s\"\n");
    hub.run(&["gc", "p510", "--yes"]).exits(1).says("p510");
}

#[test]
fn a_cleanup_does_all_of_it() {
    let lab = Lab::up(&["p620"]);
    let hub = Hub::new(&lab);
    with_generations(&lab, &hub, "p620", 4);
    let system = lab.current("p620");
    let link = hub.root().join("result");
    std::os::unix::fs::symlink(&system, &link).unwrap();
    lab.ssh("p620", &format!("ln -s {system} /nix/var/nix/gcroots/hubctl-20200101-120000-0f3a-p620; touch -h -d '9 days ago' /nix/var/nix/gcroots/hubctl-*"));
    let done = hub.run(&["cleanup", "p620", "--keep=1", "--keep-since=0s", "--yes"]).exits(0);
    assert!(done.stdout.contains("generations 2 are gone") && done.stdout.contains("result goes"), "{}", done.stdout);
    assert!(!link.exists() && !link.is_symlink());
    assert_eq!(lab.ssh("p620", "ls /nix/var/nix/gcroots | grep hubctl || true"), "");
    hub.run(&["optimize", "p620"]).exits(0).prints("freed");
}
