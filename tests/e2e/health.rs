//! What is checked of a new system before it may stay, and what becomes of one that is not well.

use serde_json::{Value, json};

use crate::support::{Finished, Hub, Lab, eventually};

/// Values of a host with a web server that takes `seconds` until it listens. It knows one page, `/well`.
fn web(seconds: u32) -> String {
    let serve = r#"
        $SIG{PIPE} = "IGNORE";
        my $server = IO::Socket::INET->new(LocalPort => 8080, Listen => 9, ReuseAddr => 1) or die;
        while (my $client = $server->accept) {
            my $line = <$client> // next;
            while (<$client>) { last unless /\S/ }
            my $status = $line =~ m(^GET /well ) ? "200 OK" : "404 Not Found";
            print $client "HTTP/1.0 $status\r\n\r\nI am well\n";
        }"#;
    format!("units.web.exec = ''sleep {seconds}; exec perl -MIO::Socket::INET -e '{serve}' '';")
}

/// One host of a lab, and what its `hub.toml` says beside what the fleet has.
fn hub_with(lab: &Lab, text: &str) -> Hub {
    let hub = Hub::new(lab);
    add(&hub, lab, text);
    hub
}

fn add(hub: &Hub, lab: &Lab, text: &str) {
    hub.write("hub.toml", &format!("{}\n{}", hub.committed("hub.toml"), text.replace("ADDRESS", &lab.address("p510"))));
}

#[track_caller]
fn steps(run: &Finished) -> String {
    let decided: Vec<Value> = run.events().into_iter().filter(|event| event["event"] == "decided").collect();
    decided[0]["steps"].to_string()
}

#[test]
fn a_system_that_passes_its_checks_stays_and_status_repeats_them() {
    let lab = Lab::up(&["p510"]);
    let hub = hub_with(&lab, "");
    hub.json(&["quick-deploy", "p510"]).exits(0).ends(&[("p510", "deployed")]);
    // The server needs longer than a system waits that does not answer.
    add(
        &hub,
        &lab,
        r#"
        [deploy]
        confirm = "3s"
        [hosts.p510.health]
        units = ["web.service", "we*"]
        tcp = [8080, { port = 8080, host = "ADDRESS", from = "operator" }]
        command = [["test", "-e", "/run/current-system"], { run = ["test", "-e", "/run/hubctl-lab"], from = "operator" }]
        file = [{ path = "/proc/uptime", max-age = "26h" }]
        [[hosts.p510.health.http]]
        name = "page"
        url = "http://localhost:8080/well"
        body = "am well"
        [[hosts.p510.health.http]]
        url = "http://ADDRESS:8080/other"
        status = 404
        from = "operator"
        "#,
    );
    hub.set_host("p510", &web(5));
    let run = hub.json(&["quick-deploy", "p510"]).exits(0).ends(&[("p510", "deployed")]);
    assert_eq!(steps(&run), r#"["build","copy","activate","verify","health","confirm"]"#);
    let wanted = run.host("p510")["wanted"].as_str().unwrap().to_owned();
    assert_eq!(lab.current("p510"), wanted);
    assert!(lab.ssh("p510", "readlink -f /nix/var/nix/profiles/system") == wanted);
    lab.assert_no_remains("p510");

    let status = hub.json(&["status", "p510"]).exits(0).json();
    assert_eq!(status[0]["failed-checks"], json!([]));
    lab.ssh("p510", "systemctl stop web");
    hub.run(&["status", "p510"])
        .exits(3)
        .says("p510: health check failed: unit web.service: it is inactive")
        .says("page (http://localhost:8080/well): ");
    let status = hub.json(&["status", "p510", "--no-eval"]).exits(3).json();
    let failed = status[0]["failed-checks"].as_array().unwrap();
    assert_eq!(failed.len(), 6, "{failed:#?}");
    let from_here = failed.iter().filter(|failed| failed["from"] == "operator").count();
    assert_eq!(from_here, 2, "{failed:#?}");
    hub.run(&["status", "p510", "--no-health"]).exits(0);
}

#[test]
fn a_system_that_fails_its_checks_is_taken_back() {
    let lab = Lab::up(&["p510"]);
    let hub = hub_with(&lab, "");
    hub.json(&["quick-deploy", "p510"]).exits(0).ends(&[("p510", "deployed")]);
    let runs_and_boots = || lab.ssh("p510", "readlink -f /run/current-system /nix/var/nix/profiles/system");
    let old = runs_and_boots();
    let text = r#"
        [hosts.p510.health]
        units = [{ unit = "no.service", retries = 0 }, { unit = "nothing-*", retries = 0 }]
        tcp = [{ port = 9, retries = 0 }, { port = 9, host = "ADDRESS", from = "operator", retries = 0 }]
        command = [{ run = ["sh", "-c", "echo sick; exit 7"], retries = 0 }]
        file = [{ path = "/no/file", retries = 0 }]
        http = [
          { name = "page", url = "http://localhost:8080/other" },
          { url = "http://localhost:8080/well", body = "am ill", retries = 1 },
          { url = "http://localhost:8080/well" },
        ]
        "#;
    add(&hub, &lab, text);
    hub.set_host("p510", &web(1));
    let run = hub.json(&["quick-deploy", "p510"]).exits(1).ends(&[("p510", "rolled-back")]);
    let error = run.host("p510")["error"].clone();
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("since health checks failed: command sh -c 'echo sick; exit 7': exit code 7: sick"),
        "{message}"
    );
    assert!(message.contains("and 5 more checks failed; the host runs its old system"), "{message}");
    let seen: Vec<_> =
        error["output"].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect();
    let address = lab.address("p510");
    let expected = [
        "command sh -c 'echo sick; exit 7': exit code 7: sick",
        "file /no/file: there is no such file",
        "page (http://localhost:8080/other): status 404, not 200",
        "http://localhost:8080/well: status 200, without the text in its body",
        "TCP port 9: Connection refused",
        "unit no.service: there is no such unit",
        "units nothing-*: no such unit is active",
        &format!("TCP port 9 of {address} from here: Connection refused"),
    ];
    assert_eq!(seen, expected);
    assert_eq!(runs_and_boots(), old);
    eventually("no timer is left", || {
        lab.ssh("p510", "systemctl list-units --all --no-legend 'hubctl-revert-*' 'hubctl-confirm-*'").is_empty()
    });
}

#[test]
fn a_system_without_a_way_back_is_told_as_unhealthy() {
    let lab = Lab::up(&["p510"]);
    let failing = "health.command = [{ run = ['false'], retries = 0 }]";
    let hub = hub_with(&lab, &format!("[roles.server]\nconfirm = '0s'\n{failing}"));
    let run = hub.json(&["quick-deploy", "p510"]).exits(1).ends(&[("p510", "unhealthy")]);
    assert_eq!(steps(&run), r#"["build","copy","activate","verify","health"]"#);
    let error = run.host("p510")["error"].clone();
    assert_eq!(error["message"], "the system is live, but health checks failed: command false: exit code 1");
    assert_eq!(lab.current("p510"), run.host("p510")["wanted"].as_str().unwrap());
    // What does not run yet cannot be checked.
    hub.set_host("p510", r#"motd = "new";"#);
    let run = hub.json(&["quick-deploy", "p510", "--goal", "boot"]).exits(0).ends(&[("p510", "deployed")]);
    assert_eq!(steps(&run), r#"["build","copy","activate","verify"]"#);
}

#[test]
fn when_hubctl_is_killed_while_it_checks_the_host_goes_back() {
    let lab = Lab::up(&["p510"]);
    let hub = hub_with(&lab, "");
    hub.json(&["quick-deploy", "p510"]).exits(0).ends(&[("p510", "deployed")]);
    let old = lab.current("p510");
    let slow = "[hosts.p510]\nrole = 'server'\nconfirm = '3s'\nhealth.command = [{ run = ['sleep', '60'], timeout = '4s', retries = 0 }]";
    hub.write("hub.toml", slow);
    hub.set_host("p510", r#"motd = "new";"#);
    let mut run = hub.start(&["quick-deploy", "p510"]);
    run.wait_for(r#""step-started","host":"p510","step":"health""#);
    lab.wait_until("p510", "grep -qsz '^60$' /proc/[0-9]*/cmdline");
    run.signal("KILL");
    run.finish();
    lab.wait_until("p510", "grep -q 'it was not confirmed within 7 s' /run/hubctl/reverted");
    assert_eq!(lab.current("p510"), old);
}

#[test]
fn policies_are_those_of_host_role_and_unit() {
    let lab = Lab::up(&["p510", "p620"]);
    let text = r#"
        [deploy]
        failed-units = "fail"
        [roles.server]
        failed-units = "rollback"
        unit-policy = { "minor-*" = "tolerate" }
        [roles.workstation]
        unit-policy = { "vital.service" = "rollback" }
        "#;
    let hub = hub_with(&lab, text);
    hub.json(&["quick-deploy", "p510", "p620"]).exits(0);
    let fail = |p510: &str, p620: &str| {
        let failing = |unit: &str| format!("units.{unit}.failing = true;");
        hub.set_host("p510", &failing(p510));
        hub.set_host("p620", &failing(p620));
        hub.json(&["quick-deploy", "p510", "p620"])
    };
    fail("minor-one", "other").exits(1).ends(&[("p510", "degraded"), ("p620", "unhealthy")]);
    fail("other", "vital").exits(1).ends(&[("p510", "rolled-back"), ("p620", "rolled-back")]);
}
