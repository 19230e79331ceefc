//! `hub.toml` in real runs: what is wrong in it is told where it stands, what it says is done, and without it all works.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Hub, Lab};

#[test]
fn a_mistake_is_told_with_its_place_and_what_would_be_right() {
    let hub = Hub::offline();
    for (text, message, excerpt, hint) in [
        ("[hosts.p620]\ntagz = [\"a\"]\n", "hub.toml:2", "tagz = [\"a\"]", "tags"),
        ("[hosts.p620]\n\n[deploi]\nparallel = 1\n", "hub.toml:3", "[deploi]", "deploy"),
        ("[hosts.p620]\nport = 70000\n", "hub.toml:2", "port = 70000", "65535"),
        ("[hosts.p620]\nelevate = \"sudoo\"\n", "hub.toml:2", "elevate = \"sudoo\"", "sudo"),
        ("[hosts.p620]\nbuild-on = \"p51\"\n", "hub.toml:2", "build-on = \"p51\"", "p510"),
        ("[hosts.p620\n", "hub.toml:1", "[hosts.p620", "]"),
    ] {
        hub.write("hub.toml", text);
        for words in [&["hosts"][..], &["quick-deploy", "p620"], &["test-all"]] {
            let ended = hub.run(words).exits(2).says("configuration error:").says(message).says(excerpt).says(hint);
            assert_eq!(ended.stdout, "", "{text}");
        }
        let error = hub.json(&["quick-deploy", "p620"]).exits(2).json();
        assert!(error["message"].as_str().unwrap().contains(message), "{error}");
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let hub = Hub::offline();
    hub.write("hub.toml", "[hosts.p620]\ntagz = []\nprt = 1\n\n[hosts.p510]\nuser = 3\n");
    hub.run(&["hosts"]).exits(2).says("hub.toml:2").says("hub.toml:3").says("hub.toml:6");
}

#[test]
fn what_file_and_flake_do_not_agree_on_is_told_and_the_rest_works() {
    let hub = Hub::offline();
    hub.write("hub.toml", "[hosts.p620]\n[hosts.p520]\n[hosts.razer]\n[hosts.dex]\narchived = true\n");
    let ended = hub.json(&["hosts"]).exits(0);
    let listed: Vec<_> = ended.json().as_array().unwrap().iter().map(summary).collect();
    assert_eq!(listed, ["dex false", "p510 true", "p520 false", "p620 true", "razer true", "samsung true"]);
    let ended = ended
        .says("hub.toml:2: `p520`")
        .says("the flake has `p510`: is that the one?")
        .says("`p510`, `samsung` are in the flake, but hub.toml does not list them");
    assert!(!ended.stderr.contains("`dex`") && !ended.stderr.contains("`razer`"), "{}", ended.stderr);
    hub.run(&["hosts"]).exits(0).prints("not in the flake");
    hub.json(&["test-host", "p620", "p520"]).exits(1).ends(&[("p620", "built"), ("p520", "eval-failed")]);
}

fn summary(host: &Value) -> String {
    format!("{} {}", host["name"].as_str().unwrap(), host["in-flake"])
}

#[test]
fn without_the_file_the_fleet_is_what_the_flake_has() {
    let hub = Hub::offline();
    hub.git(&["rm", "--quiet", "hub.toml"]);
    let ended = hub.json(&["hosts"]).exits(0);
    assert_eq!(ended.stderr, "");
    let hosts = ended.json();
    let names: Vec<_> = hosts.as_array().unwrap().iter().map(|host| &host["name"]).collect();
    assert_eq!(names, ["p510", "p620", "razer", "samsung"]);
    for host in hosts.as_array().unwrap() {
        assert_eq!((&host["target"], &host["user"], &host["build-on"]), (&host["name"], &json!(null), &json!("here")));
    }
    hub.json(&["test-host", "p620"]).exits(0).ends(&[("p620", "built")]);
}

#[test]
fn the_flake_reads_the_same_file() {
    let hub = Hub::offline();
    let text = hub.committed("hosts/p620/default.nix");
    let of_file = "(builtins.fromTOML (builtins.readFile ../../hub.toml)).hosts.p620.role";
    hub.write("hosts/p620/default.nix", &format!("{text} // {{ motd = {of_file}; }}"));
    let built = |role: &str| {
        hub.write("hub.toml", &format!("[hosts.p620]\nrole = \"{role}\"\n"));
        let ended = hub.json(&["test-host", "p620"]).exits(0);
        let wanted = ended.host("p620")["wanted"].as_str().unwrap().to_owned();
        let motd = std::fs::read_to_string(Path::new(&wanted).join("etc/lab-motd")).unwrap();
        assert!(motd.contains(role), "{motd}");
        assert_eq!(hub.json(&["hosts", "p620"]).exits(0).json()[0]["role"], role);
        wanted
    };
    assert_ne!(built("beacon"), built("anchor"));
}

#[test]
fn hosts_are_reached_and_treated_as_the_file_says() {
    let lab = Lab::up(&["p620"]);
    let hub = Hub::new(&lab);
    // Another name than ssh's, a user who is not root, and nothing of hubctl's own options.
    hub.write(
        "hub.toml",
        "[hosts.samsung]\ntarget = \"p620\"\n[roles.workstation]\nuser = \"deployer\"\nelevate = \"sudo\"\n\
         [hosts.p620]\nrole = \"workstation\"\nbuild-on = \"here\"\n[deploy]\nparallel = 1\n",
    );
    let refused = hub.json(&["quick-deploy", "samsung"]).exits(5).ends(&[("samsung", "refused")]);
    assert!(refused.host("samsung")["error"]["message"].as_str().unwrap().contains("answers as `p620`"));
    hub.json(&["ping", "p620"]).exits(0);
    // This user may become root, but Nix does not trust it with paths that nobody signed.
    let ended = hub.json(&["quick-deploy", "p620"]).exits(1).ends(&[("p620", "copy-failed")]);
    let hints = ended.host("p620")["error"]["hints"].to_string();
    assert!(hints.contains("trusted-users"), "{hints}");
    assert_eq!(lab.current("p620"), "");
}

#[test]
fn systems_are_built_where_the_file_says() {
    let hosts = ["p620", "p510", "razer", "samsung"];
    let lab = Lab::up(&hosts);
    let hub = Hub::new(&lab);
    // Three hosts are built on one at once, and share most of what is copied to it.
    let place = |text: &str| hub.write("hub.toml", &format!("[defaults]\nbuild-on = \"p620\"\n{text}"));
    let mut turn = 0;
    let mut build = |wanted_on: &[(&str, &str)]| {
        turn += 1;
        for host in hosts {
            hub.set_host(host, &format!("motd = \"{} turn {turn}\";", hub.root().display()));
        }
        let deployed = hosts.map(|host| (host, "deployed"));
        let ended = hub.json(&[&["quick-deploy"], &hosts[..]].concat()).exits(0).ends(&deployed);
        for (host, place) in wanted_on {
            let toplevel = ended.host(host)["wanted"].as_str().unwrap().to_owned();
            let has = |machine: &str| match machine {
                "here" => Path::new(&toplevel).exists(),
                machine => lab.try_ssh(machine, &format!("test -e {toplevel}")).status.success(),
            };
            let places: Vec<_> = ["here"].iter().chain(&hosts).filter(|machine| has(machine)).collect();
            let mut wanted = vec![place, host];
            wanted.sort_by_key(|machine| ["here"].iter().chain(&hosts).position(|known| known == *machine));
            wanted.dedup();
            assert_eq!(places, wanted, "{host} in turn {turn}");
        }
    };
    place("");
    build(&[("p620", "p620"), ("p510", "p620"), ("razer", "p620"), ("samsung", "p620")]);
    place("[hosts.p510]\nbuild-on = \"target\"\n[hosts.razer]\nbuild-on = \"here\"\n");
    build(&[("p620", "p620"), ("p510", "p510"), ("razer", "here"), ("samsung", "p620")]);
    // The command line goes before the file.
    hub.set_host("samsung", &format!("motd = \"{} by hand\";", hub.root().display()));
    let ended = hub.json(&["quick-deploy", "samsung", "--build-on", "target"]).exits(0);
    let toplevel = ended.host("samsung")["wanted"].as_str().unwrap().to_owned();
    assert!(
        !Path::new(&toplevel).exists() && lab.try_ssh("p620", &format!("test -e {toplevel}")).status.code() == Some(1)
    );
}

#[test]
fn settings_of_nix_in_the_file_reach_nix() {
    let hub = Hub::offline();
    hub.set_host("p620", &format!("motd = \"settings in {}\";", hub.root().display()));
    // With no job allowed and no builder there is no building.
    hub.write("hub.toml", "[nix.options]\nmax-jobs = 0\n");
    hub.json(&["test-host", "p620"]).exits(1).ends(&[("p620", "build-failed")]);
    hub.json(&["test-host", "p620", "--option", "max-jobs", "1"]).exits(0).ends(&[("p620", "built")]);
}
