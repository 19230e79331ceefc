//! A fleet moves in waves: what a wave came to decides whether the next one begins, and what is told is what was done.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{Finished, Hub, Lab};

/// Short enough for a test, and long enough for a host that is busy.
const CONFIRM: &str = "10s";

/// A lab whose hosts were all deployed once, and its hub.
struct Fleet {
    lab: Lab,
    hub: Hub,
    hosts: Vec<String>,
}

impl Fleet {
    /// So many hosts, with `deploy` as the rest of `[deploy]` and `more` as the rest of the file.
    fn up(count: usize, deploy: &str, more: &str) -> Self {
        let hosts: Vec<String> = (1..=count).map(|n| format!("h{n:02}")).collect();
        let lab = Lab::up(&hosts.iter().map(String::as_str).collect::<Vec<_>>());
        let hub = Hub::new(&lab);
        hub.git(&["rm", "-r", "--quiet", "hosts"]);
        for host in &hosts {
            let text = "{\n  imports = [ ../../shared/common.nix ];\n  units.web.marker = \"one\";\n}\n";
            hub.write(&format!("hosts/{host}/default.nix"), text);
        }
        hub.write("hub.toml", &format!("{more}\n[deploy]\nconfirm = \"{CONFIRM}\"\n"));
        hub.commit("twelve");
        hub.json(&["quick-deploy", "*"]).exits(0);
        hub.write("hub.toml", &format!("{more}\n[deploy]\nconfirm = \"{CONFIRM}\"\n{deploy}\n"));
        hub.commit("waves");
        Self { lab, hub, hosts }
    }

    /// Gives every host another system.
    fn change_all(&self, motd: &str) {
        for host in &self.hosts {
            self.hub.set_host(host, &format!("motd = \"{motd}\";"));
        }
    }

    /// What each host runs.
    fn current(&self) -> BTreeMap<&str, String> {
        self.hosts.iter().map(|host| (host.as_str(), self.lab.current(host))).collect()
    }

    /// All that a host has: what a deployment changes, and every path of its store.
    fn whole(&self, host: &str) -> String {
        format!("{}\n{}", self.lab.traces(host), self.lab.console(host, "ls /nix/store"))
    }

    /// Has a host note from now on when it is locked.
    fn watch_lock(&self, host: &str) {
        let watch =
            "systemd-run --quiet --unit=watch-lock --path-property=PathExists=/run/hubctl touch /run/was-locked";
        self.lab.ssh(host, watch);
    }

    /// Whether a host was locked since it was told to watch that.
    fn was_locked(&self, host: &str) -> bool {
        !self.lab.console(host, "ls /run/was-locked 2>/dev/null; :").is_empty()
    }
}

impl Fleet {
    /// Mends what failed in the second wave of three, and has the deployment resumed.
    fn is_finished_by_resume(&self, failed: &str) {
        self.hub.set_host("h06", "motd = \"mended\";");
        self.hub.run(&["quick-deploy", "h01"]).exits(0);
        let planned = self.hub.json(&["resume", "--dry-run"]).exits(0).json();
        let reasons: Vec<_> = planned.as_array().unwrap().iter().map(|one| one["wave-reason"].clone()).collect();
        assert_eq!(reasons, ["left of wave 2", "left of wave 3", "left of wave 3", "left of wave 3", "left of wave 3"]);
        self.hub.run(&["resume", "--dry-run"]).exits(0).says("7 of 12 hosts are done").says(failed);
        let run = self.hub.json(&["resume"]).exits(0);
        assert_eq!(waves(&run), [["h06"].as_slice(), ["h09", "h10", "h11", "h12"].as_slice()]);
        assert!(run.outcomes().values().all(|outcome| outcome == "deployed"), "{:?}", run.outcomes());
        self.hub.run(&["resume"]).exits(4).says("left anything undone");
        self.hub.run(&["resume", failed]).exits(4).says("left nothing undone");
        let history = self.hub.json(&["history", "--limit=1"]).exits(0).json();
        assert_eq!((&history[0]["command"], &history[0]["follows"]), (&json!("resume"), &json!(failed)));
    }

    /// Takes the deployment back, with what resumed it, but for a host that somebody changed since.
    fn is_taken_back(&self, failed: &str, old: &BTreeMap<&str, String>) {
        self.hub.set_host("h02", "motd = \"by somebody else\";");
        self.hub.json(&["quick-deploy", "h02"]).exits(0);
        let run = self.hub.json(&["rollback", "--deployment", failed]).exits(1);
        assert_eq!((run.outcomes()["h02"].as_str(), run.outcomes()["h01"].as_str()), ("refused", "deployed"));
        assert!(run.host("h02")["error"]["message"].as_str().unwrap().contains("changed since that deployment"));
        // Its wave ended the run, for all that is known.
        assert_eq!(run.outcomes()["h09"], "skipped");
        self.hub.json(&["rollback", "--deployment", failed, "--even-if-changed"]).exits(0);
        assert_eq!(self.current(), *old);
        for host in &self.hosts {
            assert_eq!(self.lab.ssh(host, "readlink -f /nix/var/nix/profiles/system"), old[host.as_str()]);
            self.lab.assert_no_remains(host);
        }
        self.hub.run(&["resume"]).exits(4);
        self.hub.run(&["rollback", "--deployment", failed, "h77"]).exits(2);
        self.hub.run(&["rollback", "--deployment", "1999"]).exits(2).says("hubctl history");
    }
}

/// The place of the first event that has these fields.
#[track_caller]
fn place(run: &Finished, fields: &Value) -> usize {
    let has = |event: &Value| fields.as_object().unwrap().iter().all(|(key, value)| event[key] == *value);
    run.events().iter().position(has).unwrap_or_else(|| panic!("no {fields} in:\n{}", run.stdout))
}

/// The waves that began, as lists of hosts.
fn waves(run: &Finished) -> Vec<Vec<String>> {
    let begun = run.events().into_iter().filter(|event| event["event"] == "wave-started");
    begun.map(|event| serde_json::from_value(event["hosts"].clone()).unwrap()).collect()
}

/// The steps that a host went through which change it.
fn steps(run: &Finished, host: &str) -> Vec<String> {
    let of_host = |event: &Value| event["event"] == "step-started" && event["host"] == host;
    let names = run.events().into_iter().filter(of_host).map(|event| event["step"].as_str().unwrap().to_owned());
    names.filter(|step| !["probe", "evaluate"].contains(&step.as_str())).collect()
}

#[test]
fn a_wave_that_fails_is_the_last_one() {
    let fleet = Fleet::up(12, "batch = 4", "");
    let old = fleet.current();
    fleet.change_all("new");
    fleet.hub.set_host("h06", "activation = { exit = 2; };");
    let third = ["h09", "h10", "h11", "h12"];
    for host in third {
        fleet.lab.count_copies(host);
        fleet.watch_lock(host);
    }
    fleet.watch_lock("h05");
    let before = third.map(|host| fleet.whole(host));

    let run = fleet.hub.json(&["quick-deploy", "*"]).exits(1);
    let outcomes = run.outcomes();
    for (host, outcome) in &outcomes {
        let wanted = match host.as_str() {
            "h06" => "rolled-back",
            host if third.contains(&host) => "skipped",
            _ => "deployed",
        };
        assert_eq!(outcome, wanted, "{host} of {outcomes:?}");
    }
    assert_eq!(waves(&run), [["h01", "h02", "h03", "h04"], ["h05", "h06", "h07", "h08"]]);
    let finished = place(&run, &json!({ "event": "wave-finished", "wave": 2 }));
    assert_eq!((&run.events()[finished]["failed"], &run.events()[finished]["stops"]), (&json!(["h06"]), &json!(true)));
    // What waits for its wave waits with all that changes the host.
    let first = place(&run, &json!({ "event": "wave-finished", "wave": 1 }));
    assert!(place(&run, &json!({ "event": "step-started", "host": "h05", "step": "copy" })) > first);
    assert!(fleet.was_locked("h05"));
    for (host, before) in third.iter().zip(before) {
        assert_eq!(run.host(host)["detail"], "h06 (rolled-back) failed by wave 2 of 3");
        assert_eq!(steps(&run, host).iter().filter(|step| *step != "build").count(), 0, "{host}");
        assert_eq!(fleet.lab.copies(host), 0, "{host}");
        assert!(!fleet.was_locked(host), "{host}");
        assert_eq!(fleet.whole(host), before, "{host}");
        assert_eq!(fleet.lab.current(host), old[host]);
    }
    let failed = run.events()[0]["deployment"].as_str().unwrap().to_owned();
    fleet.is_finished_by_resume(&failed);
    fleet.is_taken_back(&failed, &old);
}

#[test]
fn canaries_tags_and_waiting_decide_the_order() {
    let more = "[hosts.h01]\nafter = [\"h03\"]\n[hosts.h02]\nalone = true\n[hosts.h03]\n[hosts.h04]\ntags = [\"edge\"]\n[hosts.h05]\ntags = [\"edge\"]\nbuild-on = \"target\"";
    let fleet = Fleet::up(5, "canary = 1\norder = [\"edge\"]", more);
    fleet.change_all("new");
    let wanted = [vec!["h04"], vec!["h05"], vec!["h03"], vec!["h01"], vec!["h02"]];
    let reasons = ["canary", "@edge", "all that need not wait", "after h03", "alone, as hub.toml says"];

    // One after the other is no way to get stuck.
    let planned = fleet.hub.json(&["quick-deploy", "*", "--dry-run", "--parallel=1"]).exits(0).json();
    let run = fleet.hub.json(&["quick-deploy", "*", "--parallel=1"]).exits(0);
    assert_eq!(waves(&run), wanted);
    let told: Vec<_> = run.events().into_iter().filter(|event| event["event"] == "wave-started").collect();
    assert_eq!(told.iter().map(|event| event["reason"].as_str().unwrap()).collect::<Vec<_>>(), reasons);
    // A host that builds for itself waits with that, since it is at work then.
    let begun = place(&run, &json!({ "event": "wave-started", "wave": 2 }));
    assert!(place(&run, &json!({ "event": "step-started", "host": "h05", "step": "build" })) > begun);

    // What the dry run said is what was done.
    let planned = planned.as_array().unwrap();
    assert_eq!(planned.iter().map(|one| vec![one["host"].as_str().unwrap()]).collect::<Vec<_>>(), wanted);
    for (one, (number, reason)) in planned.iter().zip((1..).zip(reasons)) {
        assert_eq!((&one["wave"], &one["waves"], &one["wave-reason"]), (&json!(number), &json!(5), &json!(reason)));
        assert_eq!(one["steps"], json!(steps(&run, one["host"].as_str().unwrap())), "{one}");
    }

    // A host that needs nothing waits for nobody, and neither does anybody for it.
    fleet.hub.set_host("h02", "motd = \"newer\";");
    let run = fleet.hub.json(&["quick-deploy", "*"]).exits(0);
    assert_eq!((run.outcomes()["h02"].as_str(), run.outcomes()["h01"].as_str()), ("deployed", "unchanged"));
    fleet.hub.run(&["quick-deploy", "*", "-n"]).exits(0).prints("wave 2 of 5: @edge").prints("no further wave begins");
}

#[test]
fn so_many_may_fail_as_the_user_says() {
    let fleet = Fleet::up(3, "", "");
    fleet.change_all("new");
    fleet.hub.set_host("h01", "build.fail = true;");
    let run = fleet.hub.json(&["quick-deploy", "*", "--batch", "1"]).exits(1);
    run.ends(&[("h01", "build-failed"), ("h02", "skipped"), ("h03", "skipped")]);
    let run = fleet.hub.json(&["quick-deploy", "*", "--batch", "34%", "--max-failures", "1"]).exits(1);
    let run = run.ends(&[("h01", "build-failed"), ("h02", "deployed"), ("h03", "deployed")]);
    assert_eq!(waves(&run), [["h01", "h02"].as_slice(), ["h03"].as_slice()]);
    fleet.hub.run(&["quick-deploy", "*", "--batch", "0"]).exits(2).says("a share from 1% to 100%");
}

#[test]
fn all_go_back_when_that_is_wanted() {
    let fleet = Fleet::up(4, "batch = 2\non-failure = \"roll-back\"", "");
    let old = fleet.current();
    fleet.change_all("new");
    fleet.hub.set_host("h03", "activation = { exit = 2; };");
    let run = fleet.hub.json(&["quick-deploy", "*"]).exits(1);
    let run =
        run.ends(&[("h01", "rolled-back"), ("h02", "rolled-back"), ("h03", "rolled-back"), ("h04", "rolled-back")]);
    assert_eq!(fleet.current(), old);
    let message = run.host("h01")["error"]["message"].as_str().unwrap().to_owned();
    assert!(
        message.contains("brought back") && message.contains("h03 (rolled-back) failed by wave 2 of 2"),
        "{message}"
    );
    for host in &fleet.hosts {
        assert_eq!(fleet.lab.ssh(host, "readlink -f /nix/var/nix/profiles/system"), old[host.as_str()]);
        fleet.lab.assert_no_remains(host);
    }
    // Mended, all of them stay.
    fleet.change_all("mended");
    fleet.hub.json(&["quick-deploy", "*"]).exits(0);
}

#[test]
fn what_falls_ill_while_it_is_watched_ends_the_run() {
    let more = "[defaults]\nfailed-units = \"fail\"\n[defaults.health]\ncommand = [{ run = [\"test\", \"!\", \"-e\", \"/run/ill\"], retries = 0 }]";
    let fleet = Fleet::up(3, "batch = 2\nsoak = \"10s\"", more);
    fleet.change_all("new");
    let mut run = fleet.hub.start(&["quick-deploy", "*"]);
    run.wait_for("\"step\":\"soak\"");
    fleet.lab.ssh("h01", "systemctl kill --signal KILL web; until systemctl is-failed --quiet web; do sleep 0.1; done");
    fleet.lab.ssh("h02", "touch /run/ill");
    let run = run.finish().exits(1).ends(&[("h01", "unhealthy"), ("h02", "unhealthy"), ("h03", "skipped")]);
    let message = |host: &str| run.host(host)["error"]["message"].as_str().unwrap().to_owned();
    assert!(message("h01").ends_with("units failed: web.service"), "{}", message("h01"));
    assert!(message("h02").contains("health checks failed: command test"), "{}", message("h02"));
    assert_eq!(run.host("h01")["error"]["step"], "soak");
    fleet.lab.ssh("h01", "systemctl restart web");
    fleet.lab.ssh("h02", "rm /run/ill");
    let run = fleet.hub.json(&["quick-deploy", "*", "--soak", "1s"]).exits(0);
    run.ends(&[("h01", "unchanged"), ("h02", "unchanged"), ("h03", "deployed")]);
}

#[test]
fn who_stops_the_run_waits_for_no_wave() {
    let fleet = Fleet::up(2, "canary = 1\nsoak = \"1h\"", "");
    fleet.change_all("new");
    let mut run = fleet.hub.start(&["quick-deploy", "*"]);
    run.wait_for("\"step\":\"soak\"");
    run.signal("INT");
    run.finish().exits(130).ends(&[("h01", "deployed"), ("h02", "cancelled")]);
    fleet.lab.assert_no_remains("h02");
}

#[test]
fn a_host_that_others_are_reached_through_goes_last() {
    let hub = Hub::offline();
    hub.write("hub.toml", "[hosts.p510]\n[hosts.p620]\n[hosts.razer]\n[ssh]\nconfig-file = \"ssh_config\"\n");
    hub.write("ssh_config", "Host razer\n  ProxyJump root@p510:22\nHost *\n  ConnectTimeout 1\n");
    let planned = hub.json(&["quick-deploy", "p510", "p620", "razer", "--dry-run"]).exits(1).json();
    let last = planned.as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["host"], &last["wave"]), (&json!("p510"), &json!(2)), "{planned}");
    assert_eq!(last["wave-reason"], "alone, since others are reached through it");
    // Where it is alone in the run, or others are reached without it, there is nothing to wait for.
    let planned = hub.json(&["quick-deploy", "p510", "p620", "--dry-run"]).exits(1).json();
    assert_eq!(planned[0]["waves"], 1, "{planned}");
}

#[test]
fn a_circle_of_waiting_hosts_is_told_where_it_stands() {
    let hub = Hub::offline();
    hub.write("hub.toml", "[hosts.p620]\nafter = [\"p510\"]\n[hosts.p510]\nafter = [\"p620\"]\n");
    let ended = hub.run(&["quick-deploy", "p620"]).exits(2).says("hub.toml:4").says("goes in a circle");
    ended.says("`p510` after `p620` after `p510`");
    hub.write("hub.toml", "[hosts.p620]\nafter = [\"p51\"]\n");
    hub.run(&["hosts"]).exits(2).says("hub.toml:2").says("did you mean `p510`?");
}
