//! The main job: what changed is deployed, what did not is left alone, and each host's end is told by itself.

use crate::support::{Hub, Lab};

#[test]
fn a_fleet_is_deployed_then_unchanged_then_only_what_was_edited() {
    let lab = Lab::up(&["p620", "p510"]);
    let hub = Hub::new(&lab);

    let first = hub.json(&["quick-deploy", "p620", "p510"]).exits(0);
    let first = first.ends(&[("p620", "deployed"), ("p510", "deployed")]);
    assert_eq!(lab.current("p620"), first.host("p620")["wanted"].as_str().unwrap());

    hub.json(&["quick-deploy", "*"]).exits(1).ends(&[
        ("p620", "unchanged"),
        ("p510", "unchanged"),
        ("razer", "unreachable"),
        ("samsung", "unreachable"),
    ]);

    hub.set_host("p510", r#"motd = "edited";"#);
    let edited = hub.json(&["quick-deploy", "p620", "p510"]).exits(0);
    let edited = edited.ends(&[("p620", "unchanged"), ("p510", "deployed")]);
    assert_eq!(edited.host("p510")["generation"], 2);
    assert!(lab.ssh("p510", "cat /etc/lab-motd").contains("edited"));
}

#[test]
fn a_build_that_fails_is_told_with_its_error_and_touches_nothing() {
    let lab = Lab::up(&["p620"]);
    let hub = Hub::new(&lab);
    hub.run(&["quick-deploy", "p620"]).exits(0);
    let before = lab.current("p620");

    hub.set_host("p620", "build.fail = true;");
    let failed = hub.json(&["quick-deploy", "p620"]).exits(1).ends(&[("p620", "build-failed")]);
    let error = failed.host("p620")["error"].clone();
    assert!(error["output"].to_string().contains("the build was told to fail"), "{error}");
    assert_eq!(lab.current("p620"), before);
}
