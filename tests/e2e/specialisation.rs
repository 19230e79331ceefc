//! Specialisations: what runs is the one that was asked for, what boots is the system that it belongs to.

use crate::support::{Finished, Hub, Lab};

#[track_caller]
fn message(run: &Finished) -> String {
    run.host("p620")["error"]["message"].as_str().unwrap().to_owned()
}

/// What the host runs, and what it boots.
fn state(lab: &Lab) -> [String; 2] {
    let boots = "readlink -f /nix/var/nix/profiles/system; sed -n 's/^default //p' /boot/loader/loader.conf";
    [lab.current("p620"), lab.ssh("p620", boots)]
}

fn gaming(lab: &Lab) -> String {
    lab.ssh("p620", "readlink -f /nix/var/nix/profiles/system/specialisation/gaming")
}

#[test]
fn a_specialisation_runs_and_its_system_boots() {
    let lab = Lab::up(&["p620"]);
    let hub = Hub::new(&lab);
    let deploy = "[deploy]\nconfirm = \"8s\"";
    hub.write("hub.toml", &format!("{}\n{deploy}\n", hub.committed("hub.toml")));
    let run = hub.json(&["quick-deploy", "p620"]).exits(0);
    let base = run.host("p620")["wanted"].as_str().unwrap().to_owned();
    let boots = format!("{base}\nnixos-generation-1.conf");

    let run = hub.json(&["deploy", "p620", "--specialisation", "gaming"]).exits(0);
    run.ends(&[("p620", "reboot-needed")]);
    assert_eq!(state(&lab), [gaming(&lab), boots.clone()]);
    assert!(lab.is_active("p620", "game-mode"));
    hub.json(&["quick-deploy", "p620", "--specialisation", "gaming"]).exits(0).ends(&[("p620", "reboot-needed")]);
    let status = hub.json(&["status", "p620"]).exits(0).json();
    assert_eq!((&status[0]["drift"], &status[0]["specialisation"]), (&"specialisation".into(), &"gaming".into()));

    // Named in hub.toml, it is what the host is to run.
    let host = "[hosts.p620]\nspecialisation = \"gaming\"";
    hub.write("hub.toml", &hub.committed("hub.toml").replace("[hosts.p620]", &format!("{host}\n")));
    hub.json(&["quick-deploy", "p620"]).exits(0).ends(&[("p620", "reboot-needed")]);
    let status = hub.json(&["status", "p620"]).exits(0).json();
    assert_eq!(status[0]["drift"], "reboot-pending");

    // Without, it is taken for what it is: not what the host is to run.
    hub.write("hub.toml", &format!("{}\n{deploy}\n", hub.committed("hub.toml")));
    hub.json(&["quick-deploy", "p620"]).exits(0).ends(&[("p620", "deployed")]);
    assert_eq!(state(&lab), [base, boots]);
    assert!(!lab.is_active("p620", "game-mode"));
}

#[test]
fn a_deployment_that_fails_goes_back_to_the_specialisation_that_ran() {
    let lab = Lab::up(&["p620"]);
    let hub = Hub::new(&lab);
    hub.run(&["quick-deploy", "p620"]).exits(0);
    hub.run(&["deploy", "p620", "--specialisation", "gaming"]).exits(0);
    let before = state(&lab);
    assert_eq!(before[0], gaming(&lab));
    hub.set_host("p620", "activation.exit = 2;");
    let run = hub.json(&["deploy", "p620"]).exits(1).ends(&[("p620", "rolled-back")]);
    assert!(message(&run).contains("the activation script failed"), "{}", message(&run));
    assert_eq!(state(&lab), before);
    let run = hub.json(&["deploy", "p620", "--specialisation", "gaming"]).exits(1).ends(&[("p620", "rolled-back")]);
    assert!(message(&run).contains("the activation script failed"), "{}", message(&run));
    assert_eq!(state(&lab), before);
}

#[test]
fn what_the_system_does_not_have_is_refused_with_what_it_has() {
    let lab = Lab::up(&["p620", "p510"]);
    let hub = Hub::new(&lab);
    let run = hub.json(&["deploy", "p620", "--specialisation", "gamign"]).exits(5).ends(&[("p620", "refused")]);
    assert!(message(&run).contains("no specialisation `gamign`"), "{}", message(&run));
    assert!(run.host("p620")["error"]["hints"][0].as_str().unwrap().contains("gaming"));
    assert_eq!(lab.current("p620"), "");
    hub.json(&["deploy", "p510", "--specialisation", "gaming"]).exits(5).ends(&[("p510", "refused")]);
}

#[test]
fn each_goal_of_a_specialisation_is_reached_and_no_more() {
    let lab = Lab::up(&["p620"]);
    let hub = Hub::new(&lab);
    // With nothing to be confirmed, it is switched to at once.
    hub.write("hub.toml", &format!("{}\n[deploy]\nconfirm = \"0s\"\n", hub.committed("hub.toml")));
    hub.run(&["quick-deploy", "p620"]).exits(0);
    let before = state(&lab);
    hub.set_host("p620", r#"motd = "new";"#);
    let goal = |goal| hub.json(&["deploy", "p620", "--specialisation", "gaming", "--goal", goal]).exits(0);
    goal("dry-activate").ends(&[("p620", "built")]);
    assert_eq!(state(&lab), before);
    let run = goal("test").ends(&[("p620", "reboot-needed")]);
    let wanted = run.host("p620")["wanted"].as_str().unwrap().to_owned();
    let runs = lab.ssh("p620", &format!("readlink -f {wanted}/specialisation/gaming"));
    assert_eq!(state(&lab), [runs.clone(), before[1].clone()]);
    goal("switch").ends(&[("p620", "reboot-needed")]);
    assert_eq!(state(&lab), [runs, format!("{wanted}\nnixos-generation-2.conf")]);
    hub.run(&["deploy", "p620", "--specialisation", "gaming", "--goal", "boot"])
        .exits(2)
        .says("boots the system itself");
}
