//! Homes of `homeConfigurations`, deployed to hosts of the lab as the users whose homes they are.

use std::fs;

use crate::support::{Hub, Lab};

const HOME: &str = "operator@p510";

/// A lab whose operator Nix trusts, and a hub with that one's home.
fn up() -> (Lab, Hub) {
    let lab = Lab::up(&["p510"]);
    lab.ssh("p510", "echo 'trusted-users = root operator' >>/etc/nix/nix.conf; systemctl restart nix-daemon.service");
    let hub = Hub::new(&lab);
    set_home(&hub, r#"motd = "one";"#);
    hub.commit("a home");
    (lab, hub)
}

fn set_home(hub: &Hub, values: &str) {
    let text = format!("{{\n  imports = [ ../../shared/common.nix ];\n  {values}\n}}\n");
    hub.write(&format!("home/{HOME}/default.nix"), &text);
}

/// What the operator's home is.
fn runs(lab: &Lab) -> String {
    let home = lab.ssh(
        "p510",
        "cd /home/operator && cat .lab-motd; readlink -e .local/state/home-manager/gcroots/current-home || :",
    );
    let places = "/home/operator/.local/state/nix/profiles /nix/var/nix/profiles/per-user/operator";
    home + "\n" + &lab.ssh("p510", &format!("for place in {places}; do readlink -e $place/home-manager || :; done"))
}

#[track_caller]
fn nothing_is_left(lab: &Lab) {
    let left = "ls -A /home/operator/.local/state/nix/hubctl* 2>/dev/null; ps axww -o command= | grep '^/bin/sh .*/hubctl/'; :";
    assert_eq!(lab.ssh("p510", left), "");
}

#[test]
fn a_home_is_deployed_by_name_left_alone_and_rolled_back() {
    let (lab, hub) = up();
    let first = hub.json(&["deploy", HOME]).exits(0).ends(&[(HOME, "deployed")]);
    let wanted = first.host(HOME)["wanted"].as_str().unwrap().to_owned();
    assert!(runs(&lab).contains("one") && runs(&lab).matches(&wanted).count() == 2, "{}", runs(&lab));
    assert_eq!(lab.ssh("p510", "stat -c %U /home/operator/.lab-motd"), "operator");
    hub.json(&["quick-deploy", HOME]).exits(0).ends(&[(HOME, "unchanged")]);
    // The host itself is another matter.
    assert_eq!(lab.current("p510"), "");

    set_home(&hub, r#"motd = "two";"#);
    hub.json(&["quick-deploy", HOME]).exits(0).ends(&[(HOME, "deployed")]);
    assert!(runs(&lab).contains("two"), "{}", runs(&lab));
    nothing_is_left(&lab);
    let status = hub.run(&["status", HOME, "--json"]).exits(0).json();
    assert_eq!(status[0]["drift"], "none", "{status}");
    hub.run(&["generations", HOME]).exits(0).prints("running");
    hub.json(&["rollback", HOME]).exits(0).ends(&[(HOME, "deployed")]);
    assert!(runs(&lab).contains("one") && runs(&lab).matches(&wanted).count() == 2, "{}", runs(&lab));
    nothing_is_left(&lab);
}

#[test]
fn a_user_whom_nix_does_not_trust_builds_at_home() {
    let lab = Lab::up(&["p510"]);
    let hub = Hub::new(&lab);
    set_home(&hub, &format!("motd = \"{}\";", hub.root().display()));
    let failed = hub.json(&["deploy", HOME]).exits(1).ends(&[(HOME, "copy-failed")]);
    assert!(failed.host(HOME)["error"]["hints"].to_string().contains("trusted-users"), "{}", failed.stdout);
    let built = hub.json(&["deploy", HOME, "--build-on", "target"]).exits(0).ends(&[(HOME, "deployed")]);
    assert!(runs(&lab).contains(built.host(HOME)["wanted"].as_str().unwrap()), "{}", runs(&lab));
    nothing_is_left(&lab);
}

#[test]
fn the_home_of_whoever_runs_hubctl_takes_no_ssh() {
    let mut hub = Hub::offline();
    let machine = Lab::on_machine("uname", &["-n"]);
    let home = format!("root@{}", machine.trim().split('.').next().unwrap());
    hub.set_env("USER", "root");
    // What home-manager takes for the sign that a user's profiles are there.
    let state = hub.state().parent().unwrap().to_path_buf();
    fs::create_dir_all(state.join("nix/profiles")).unwrap();
    hub.write(&format!("home/{home}/default.nix"), "{ imports = [ ../../shared/common.nix ]; motd = \"here\"; }\n");
    let run = hub.json(&["deploy", &home]).exits(0).ends(&[(&home, "deployed")]);
    let profile = fs::canonicalize(state.join("nix/profiles/home-manager")).unwrap();
    assert_eq!(profile.to_str(), run.host(&home)["wanted"].as_str());
    hub.json(&["quick-deploy", &home]).exits(0).ends(&[(&home, "unchanged")]);
    hub.write(&format!("home/{home}/default.nix"), "{ imports = [ ../../shared/common.nix ]; activation.exit = 2; }\n");
    hub.json(&["quick-deploy", &home]).exits(1).ends(&[(&home, "rolled-back")]);
    assert_eq!(fs::canonicalize(state.join("nix/profiles/home-manager")).unwrap(), profile);
}

#[test]
fn a_home_is_selected_with_others_only_where_hub_toml_lists_it() {
    let (_lab, hub) = up();
    let names = |words: &[&str]| {
        let listed = hub.run(&[&["hosts"], words, &["--json"]].concat()).exits(0).json();
        let hosts = listed.as_array().unwrap().iter().map(|host| host["name"].as_str().unwrap().to_owned());
        hosts.collect::<Vec<_>>()
    };
    assert_eq!(names(&["p510", HOME]), [HOME, "p510"]);
    assert!(!names(&["*"]).contains(&HOME.to_owned()));
    hub.write("hub.toml", &format!("{}\n[hosts.\"{HOME}\"]\ntags = [\"home\"]\n", hub.committed("hub.toml")));
    assert!(names(&["*"]).contains(&HOME.to_owned()));
    assert_eq!(names(&["@home"]), [HOME]);
}

#[test]
fn a_home_whose_activation_fails_is_what_it_was() {
    let (lab, hub) = up();
    hub.json(&["deploy", HOME]).exits(0).ends(&[(HOME, "deployed")]);
    let before = runs(&lab);
    set_home(&hub, r#"motd = "two"; activation = { exit = 2; };"#);
    let run = hub.json(&["deploy", HOME]).exits(1).ends(&[(HOME, "rolled-back")]);
    let error = run.host(HOME)["error"].clone();
    assert!(error["message"].as_str().unwrap().contains("the activation script failed"), "{error}");
    assert!(error["output"].to_string().contains("could not reload services"), "{error}");
    assert_eq!(runs(&lab), before);
    nothing_is_left(&lab);
}

#[test]
fn without_anybody_a_home_comes_back_and_the_next_look_tells() {
    let (lab, hub) = up();
    hub.write("hub.toml", &format!("{}\n[deploy]\nconfirm = \"8s\"\n", hub.committed("hub.toml")));
    hub.json(&["deploy", HOME]).exits(0).ends(&[(HOME, "deployed")]);
    let before = runs(&lab);
    set_home(&hub, r#"motd = "two"; activation = { seconds = 2; };"#);
    let mut run = hub.start(&["deploy", HOME]);
    run.wait_for("taking 2 seconds");
    run.signal("KILL");
    run.finish();
    lab.wait_until("p510", "grep -q 'not confirmed' /home/operator/.local/state/nix/hubctl/reverted");
    assert_eq!(runs(&lab), before);
    hub.run(&["status", HOME]).says("since it was not confirmed within 8 s");
    set_home(&hub, r#"motd = "three";"#);
    hub.json(&["deploy", HOME]).exits(0).ends(&[(HOME, "deployed")]);
    assert!(runs(&lab).contains("three"), "{}", runs(&lab));
    nothing_is_left(&lab);
}

#[test]
fn what_is_none_of_a_homes_business_is_refused() {
    let (lab, hub) = up();
    for words in [&["deploy", HOME, "--goal", "boot"][..], &["deploy", HOME, "--goal", "test"], &["reboot", HOME]] {
        let run = hub.json(words).exits(5).ends(&[(HOME, "refused")]);
        let error = run.host(HOME)["error"]["message"].as_str().unwrap().to_owned();
        assert!(error.contains("home-manager"), "{error}");
    }
    hub.run(&["gc", HOME, "--yes"]).exits(5).says("belongs to its host");
    nothing_is_left(&lab);
}
