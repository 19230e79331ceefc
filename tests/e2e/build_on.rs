//! Where toplevels are built: here, on the host itself, on another host; and what is told when that fails.

use std::path::Path;

use crate::support::{Finished, Hub, Lab, eventually};

/// Whether the derivation of the wanted system was built where `lab`'s host is: a store has the derivations that it built.
fn has_derivation(lab: &Lab, host: &str, ended: &Finished, of: &str) -> bool {
    let wanted = ended.host(of)["wanted"].as_str().unwrap().to_owned();
    let drv = lab.try_ssh(host, &format!("nix-store --query --deriver {wanted} | xargs test -e"));
    drv.status.success()
}

/// A hub whose derivations were built nowhere yet.
fn fresh(lab: &Lab, values: &str) -> Hub {
    let hub = Hub::new(lab);
    hub.set_host("p620", &format!("motd = \"{}\"; {values}", hub.root().display()));
    hub
}

/// Whether this machine has the system that `host` was to run.
fn is_here(ended: &Finished, host: &str) -> bool {
    std::path::Path::new(ended.host(host)["wanted"].as_str().unwrap()).exists()
}

#[test]
fn on_the_host_itself() {
    let lab = Lab::up(&["p620"]);
    let hub = fresh(&lab, "build.logLines = 3;");
    let ended = hub.json(&["quick-deploy", "p620", "--build-on", "target"]).exits(0).ends(&[("p620", "deployed")]);
    assert!(has_derivation(&lab, "p620", &ended, "p620"));
    assert!(!is_here(&ended, "p620"));
    assert_eq!(lab.current("p620"), ended.host("p620")["wanted"]);
    let lines = ended.events().into_iter().filter(|event| event["event"] == "log" && event["step"] == "build");
    let text: Vec<_> = lines.map(|event| event["line"].as_str().unwrap().to_owned()).collect();
    assert!(text.iter().any(|line| line.contains("compiling part 3 of 3")), "{text:?}");
    assert!(!text.iter().any(|line| line.contains("hubctl-build") || line.is_empty()), "{text:?}");
    let decided = ended.events().into_iter().find(|event| event["event"] == "decided").unwrap();
    assert_eq!(decided["steps"].to_string(), r#"["build","activate","verify"]"#);
}

#[test]
fn on_another_host_by_the_command_line_and_by_hub_toml() {
    let lab = Lab::up(&["p620", "p510"]);
    let hub = fresh(&lab, "");
    let ended = hub.json(&["quick-deploy", "p620", "--build-on", "p510"]).exits(0).ends(&[("p620", "deployed")]);
    assert!(has_derivation(&lab, "p510", &ended, "p620"));
    assert!(!has_derivation(&lab, "p620", &ended, "p620"));
    // The closure went through this machine, and none of it was put down here.
    assert!(!is_here(&ended, "p620"));
    assert_eq!(lab.current("p510"), "");

    hub.set_host("p620", &format!("motd = \"again in {}\";", hub.root().display()));
    hub.write("hub.toml", &hub.committed("hub.toml").replace("[hosts.p620]\n", "[hosts.p620]\nbuild-on = \"p510\"\n"));
    let ended = hub.json(&["quick-deploy", "p620", "p510"]).exits(0);
    let ended = ended.ends(&[("p620", "deployed"), ("p510", "deployed")]);
    assert!(has_derivation(&lab, "p510", &ended, "p620"));
    assert!(!is_here(&ended, "p620"));

    // The command line wins.
    hub.set_host("p620", &format!("motd = \"once more in {}\";", hub.root().display()));
    let ended = hub.json(&["quick-deploy", "p620", "--build-on", "here"]).exits(0).ends(&[("p620", "deployed")]);
    assert!(is_here(&ended, "p620"));
}

#[test]
fn what_would_change_is_found_out_where_it_is_built() {
    let lab = Lab::up(&["p620", "p510"]);
    let hub = fresh(&lab, "");
    hub.run(&["quick-deploy", "p620", "--build-on", "target"]).exits(0);
    let edit = format!("motd = \"again in {}\"; units.shop = {{ }};", hub.root().display());
    for place in ["target", "p510"] {
        hub.set_host("p620", &format!("{edit} closureSeed = {};", place.len()));
        let built = format!("[hosts.p620]\nbuild-on = \"{place}\"\n");
        hub.write("hub.toml", &hub.committed("hub.toml").replace("[hosts.p620]\n", &built));
        let told = hub.json(&["diff", "p620", "--units"]).exits(0).json();
        assert!(told[0]["units"]["start"].to_string().contains("shop.service"), "{place}: {told}");
        let new = told[0]["new"].as_str().unwrap();
        assert!(!Path::new(new).exists(), "{place}: {new} is here");
        let has = |host: &str| lab.try_ssh(host, &format!("test -e {new}")).status.success();
        assert!(has("p620") && has("p510") == (place == "p510"), "{place}");
    }
    lab.cut("p510");
    hub.set_host("p620", &format!("{edit} closureSeed = 99;"));
    hub.run(&["diff", "p620"]).exits(1).says("p510, which builds it, is not reached");
}

#[test]
fn a_builder_that_is_none_is_told_before_anything_is_done() {
    let hub = Hub::offline();
    hub.run(&["quick-deploy", "p620", "--build-on", "p501"]).exits(2).says("no host `p501`").says("`p510`");
    hub.write("hub.toml", &hub.committed("hub.toml").replace("[hosts.p620]\n", "[hosts.p620]\nbuild-on = \"p501\"\n"));
    hub.run(&["quick-deploy", "p620"]).exits(2).says("p501");
}

#[test]
fn a_builder_that_is_down_fails_the_builds_that_need_it_and_no_others() {
    let lab = Lab::up(&["p620", "p510"]);
    let hub = fresh(&lab, "");
    let builder = "[hosts.p620]\nbuild-on = \"razer\"\n";
    hub.write("hub.toml", &hub.committed("hub.toml").replace("[hosts.p620]\n", builder));
    let ended = hub.json(&["quick-deploy", "p620", "p510"]).exits(1);
    let ended = ended.ends(&[("p620", "build-failed"), ("p510", "deployed")]);
    let error = ended.host("p620")["error"].clone();
    assert_eq!(error["step"], "build", "{error}");
    assert!(error["message"].as_str().unwrap().starts_with("the builder razer: "), "{error}");
    assert_eq!(lab.current("p620"), "");
}

#[test]
fn a_build_that_fails_elsewhere_is_told_with_its_log() {
    let lab = Lab::up(&["p620", "p510"]);
    let hub = fresh(&lab, "build.fail = true;");
    for (place, message) in
        [("target", "the toplevel does not build"), ("p510", "the builder p510: the toplevel does not build")]
    {
        let ended = hub.json(&["quick-deploy", "p620", "--build-on", place]).exits(1).ends(&[("p620", "build-failed")]);
        let error = ended.host("p620")["error"].clone();
        assert_eq!(error["message"], message);
        assert!(error["output"].to_string().contains("the build was told to fail"), "{error}");
        assert!(error["command"].as_str().unwrap().starts_with("nix-store --realise /nix/store/"), "{error}");
        let log = std::fs::read_to_string(error["log"].as_str().unwrap()).unwrap();
        assert!(log.contains("the build was told to fail"), "{log}");
        assert_eq!(lab.current("p620"), "");
    }
}

#[test]
fn a_closure_that_is_here_already_is_not_built_again() {
    let lab = Lab::up(&["p620", "p510"]);
    let hub = fresh(&lab, "build.logLines = 2;");
    let built =
        |ended: &Finished| ended.events().iter().any(|event| event["event"] == "log" && event["step"] == "build");
    let first = hub.json(&["test-host", "p620"]).exits(0).ends(&[("p620", "built")]);
    assert!(built(&first), "{}", first.stdout);
    let second = hub.json(&["quick-deploy", "p620"]).exits(0).ends(&[("p620", "deployed")]);
    assert!(!built(&second), "{}", second.stdout);
}

#[test]
fn a_build_elsewhere_ends_with_the_run_that_is_stopped_or_killed() {
    let lab = Lab::up(&["p620", "p510"]);
    let hub = fresh(&lab, "build.seconds = 600;");
    let builds = || lab.try_ssh("p510", "pgrep -f 'nix-store --realise|sleep 600'").status.success();
    for signal in ["INT", "KILL"] {
        let mut run = hub.start(&["quick-deploy", "p620", "--build-on", "p510"]);
        run.wait_for(r#""step-started","host":"p620","step":"build""#);
        eventually("the build runs on p510", || lab.try_ssh("p510", "pidof sleep").status.success());
        run.signal(signal);
        let ended = run.finish();
        if signal == "INT" {
            ended.exits(130).ends(&[("p620", "cancelled")]);
        }
        eventually("the build on p510 ends", || !builds());
    }
}

#[test]
fn many_hosts_share_a_builder_within_its_sessions() {
    let lab = Lab::up(&["p510"]);
    let hub = Hub::new(&lab);
    let names: Vec<String> = (0..14).map(|n| format!("web-{n}")).collect();
    for name in &names {
        let values = format!("motd = \"{name} of {}\"; build.seconds = 3;", hub.root().display());
        hub.write(
            &format!("hosts/{name}/default.nix"),
            &format!("{{ imports = [ ../../shared/common.nix ]; {values} }}\n"),
        );
    }
    let ended = hub.json(&["test-host", "web-*", "--build-on", "p510"]).exits(0);
    assert_eq!(ended.outcomes().len(), names.len());
    let said = lab.ssh("p510", "journalctl --quiet --no-pager --output cat _COMM=sshd");
    assert!(!said.contains("no more sessions"), "{said}");
}
