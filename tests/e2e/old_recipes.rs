//! What shell recipes get wrong about a fleet, and hubctl must not: failures that end in success, questions that nobody can
//! answer, work that goes on after its command has returned.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{Finished, Hub, Lab};

/// A fleet in which two hosts fail in two ways, and two are well.
fn half_broken() -> Hub {
    let hub = Hub::offline();
    hub.set_host("p510", r#"evalError = "p510 is misconfigured";"#);
    hub.set_host("razer", "build.fail = true;");
    hub
}

/// What `half_broken` must be told as.
const HALF_BROKEN: [(&str, &str); 4] =
    [("p510", "eval-failed"), ("p620", "built"), ("razer", "build-failed"), ("samsung", "built")];

#[test]
fn one_failure_among_parallel_tests_is_a_failure_and_each_is_told() {
    let hub = half_broken();
    let parallel = [&["test-all", "--parallel"][..], &["test-all", "--parallel=2"], &["test-build-all-parallel"]];
    for words in parallel.into_iter().chain([&["test-all"][..], &["quick-test"]]) {
        hub.json(words).exits(1).ends(&HALF_BROKEN);
        hub.run(words)
            .exits(1)
            .says("p510 is misconfigured")
            .says("the build was told to fail")
            .says("p510     eval-failed")
            .says("razer    build-failed");
    }
}

#[test]
fn a_check_that_finds_something_is_a_failure_by_each_of_its_words() {
    let hub = Hub::offline();
    hub.run(&["lint", "--baseline", "write"]).exits(0);
    hub.commit("clean");
    let words = [
        "check-syntax",
        "check-module modules/a.nix",
        "lint-all",
        "security-scan",
        "check-deprecated",
        "validate-quality",
        "check-module-docs",
        "check-format",
        "validate-quick",
        "ci-quick",
        "validate",
        "check",
        "pre-commit-run",
    ];
    hub.write("modules/a.nix", "{ }\n");
    hub.git(&["add", "--all"]);
    hub.run(&["format"]).exits(0);
    for line in words {
        hub.run(&line.split(' ').collect::<Vec<_>>()).exits(0);
    }
    hub.write("modules/a.nix", "{ a = 1 }\n");
    hub.git(&["add", "--all"]);
    for line in words {
        hub.run(&line.split(' ').collect::<Vec<_>>()).exits(1);
    }
}

#[test]
fn tests_that_all_pass_are_a_success() {
    let hub = Hub::offline();
    hub.run(&["test-all", "--parallel"]).exits(0).says("4 hosts built");
}

#[test]
fn an_evaluation_that_fails_never_gives_an_empty_success() {
    let hub = Hub::offline();
    hub.write("flake.nix", r#"{ outputs = _: { nixosConfigurations = throw "no hosts today"; }; }"#);
    let commands: [&[&str]; 8] = [
        &["hosts"],
        &["status"],
        &["diff"],
        &["test-host", "p620"],
        &["test-all", "--parallel"],
        &["quick-deploy", "p620"],
        &["quick-deploy", "p620", "--dry-run"],
        &["deploy-all"],
    ];
    for words in commands {
        let ended = hub.run(words).exits(2).says("no hosts today");
        assert_eq!(ended.stdout, "", "{words:?}");
        let event = hub.json(words).exits(2).json();
        assert_eq!((&event["event"], &event["exit"]), (&"error".into(), &2.into()), "{words:?}");
        assert!(event["message"].to_string().contains("no hosts today"), "{event}");
    }
}

#[test]
fn a_host_that_does_not_evaluate_is_told_by_those_that_only_look() {
    let lab = Lab::up(&["p620"]);
    let hub = Hub::new(&lab);
    hub.set_host("p620", r#"evalError = "p620 is misconfigured";"#);
    hub.run(&["status", "p620"]).exits(1).says("p620 is misconfigured").prints("p620");
    hub.run(&["diff", "p620"]).exits(1).says("p620 is misconfigured");
    let planned = hub.json(&["quick-deploy", "p620", "--dry-run"]).exits(1).json();
    assert_eq!(planned[0]["outcome"], "eval-failed", "{planned}");
}

#[test]
fn unreachable_broken_and_unchanged_are_never_taken_for_each_other() {
    let lab = Lab::up(&["p620", "p510", "samsung"]);
    let hub = Hub::new(&lab);
    hub.write("hub.toml", "[ssh]\nconnect-timeout = \"2s\"\n");
    // A host that runs no system yet has an empty answer, which must not count as equal to anything.
    assert_eq!(lab.current("p620"), "");
    hub.json(&["deploy-smart", "p620", "p510", "samsung"]).exits(0).ends(&[
        ("p620", "deployed"),
        ("p510", "deployed"),
        ("samsung", "deployed"),
    ]);
    let before = lab.current("p510");

    hub.set_host("p510", "build.fail = true;");
    lab.cut("samsung");
    let all = ["p620", "p510", "samsung", "razer"];
    let ended = hub.json(&[&["deploy-smart"], &all[..]].concat()).exits(1).ends(&[
        ("p620", "unchanged"),
        ("p510", "build-failed"),
        ("samsung", "unreachable"),
        ("razer", "unreachable"),
    ]);
    assert_eq!(ended.host("p620")["error"], serde_json::Value::Null);
    assert_eq!(lab.current("p510"), before, "a host whose build failed was changed");

    // A host that is down, and would have had nothing to do, is told as down all the same.
    let told = hub.run(&["deploy-smart", "samsung"]).exits(1).says("samsung  unreachable");
    assert!(!told.stderr.contains("unchanged") && !told.stderr.contains("deployed"), "{}", told.stderr);
    hub.run(&["status", "samsung"]).exits(1).prints("unreachable");
}

#[test]
fn deploy_all_returns_when_everything_is_done_and_not_before() {
    let lab = Lab::up(&["p620", "p510"]);
    let hub = Hub::new(&lab);
    for host in ["razer", "samsung"] {
        std::fs::remove_dir_all(hub.root().join("hosts").join(host)).unwrap();
    }
    hub.write("hub.toml", "");
    for (turn, words) in
        [&["deploy-all", "--parallel"][..], &["deploy-all"], &["deploy-all-parallel"]].iter().enumerate()
    {
        for host in ["p620", "p510"] {
            hub.set_host(host, &format!("motd = \"turn {turn}\"; activation.seconds = 3; build.seconds = 1;"));
        }
        let ended = hub.json(words).exits(0).ends(&[("p620", "deployed"), ("p510", "deployed")]);
        // The last thing that an activation does is to write this file, three seconds after it began.
        for host in ["p620", "p510"] {
            assert_eq!(lab.current(host), ended.host(host)["wanted"].as_str().unwrap());
            assert!(lab.ssh(host, "cat /etc/lab-motd").contains(&format!("turn {turn}")), "{host} in {words:?}");
            let active = lab.ssh(host, "systemctl is-active nixos-rebuild-switch-to-configuration || true");
            assert_eq!(active, "inactive", "{host} in {words:?}");
        }
    }
}

#[test]
fn nothing_waits_for_an_answer_that_nobody_can_give() {
    let lab = Lab::up(&["p620"]);
    let hub = Hub::new(&lab);
    hub.write("hub.toml", "[hosts.p620]\nuser = \"operator\"\nelevate = \"sudo\"\n");
    // This host's sudo wants a password. Without a terminal nobody is asked, whether stdin is closed, empty, or open
    // without ever a line in it.
    for stdin in ["<&-", "</dev/null", "< <(exec tail -f /dev/null)"] {
        let ended = in_shell(&hub, &format!("exec hubctl quick-deploy p620 --json {stdin}"));
        ended.exits(5).ends(&[("p620", "refused")]);
    }
    assert_eq!(lab.current("p620"), "");
    // Nor does anything ask whether it may: these are the commands whose recipes did.
    hub.write("hub.toml", "");
    for words in ["deploy-all", "quick-test", "test-rollback p620", "deploy-all-parallel", "rollback p620"] {
        let ended = in_shell(&hub, &format!("exec hubctl {words} < <(exec tail -f /dev/null)"));
        assert!(ended.code.is_some(), "{words}: {}", ended.stderr);
        assert!(!ended.stderr.contains("[y/"), "{words}: {}", ended.stderr);
    }
    assert_ne!(lab.current("p620"), "");
}

/// Runs a line of bash in which `hubctl` is the program; fails when it does not end within two minutes.
fn in_shell(hub: &Hub, line: &str) -> Finished {
    let mut command = hub.command(&[]);
    let program = command.get_program().to_owned();
    let mut shell = std::process::Command::new("bash");
    shell.args(["-c", &line.replace("hubctl", &program.to_string_lossy())]).current_dir(hub.root()).env_clear();
    shell.envs(command.get_envs().filter_map(|(key, value)| value.map(|value| (key, value))));
    command.stdin(Stdio::null());
    let mut child = shell.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() && begun.elapsed() < Duration::from_secs(120) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let hangs = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    let ended: Finished = child.wait_with_output().unwrap().into();
    assert!(!hangs, "{line} did not end:\n{}\n{}", ended.stdout, ended.stderr);
    ended
}

/// Recipes whose commands hubctl does not have: the assistant died without a word, the install wizard never got past its menu, and
/// the commands of virtual machines looked for a unit that does not exist. Until there is a command, each word is answered
/// with what is wrong, and nothing pretends to have been done.
#[test]
fn words_without_a_command_are_told_and_never_pretend() {
    let hub = Hub::offline();
    let words = [
        "ai why does p620 not boot",
        "ai-cli",
        "install p620",
        "install-p620",
        "microvm list",
        "microvm stop dev-vm",
        "list-microvms",
        "stop-all-microvms",
        "start-microvm dev-vm",
        "quick-all",
        "deploy-interactive",
        "test-modules",
        "test-module modules/a.nix",
    ];
    for line in words {
        let words: Vec<_> = line.split(' ').collect();
        let ended = hub.run(&words).exits(2).says(&format!("`{}` is neither a command nor a host", words[0]));
        assert_eq!(ended.stdout, "", "{line}");
        let event = hub.json(&words).exits(2).json();
        assert_eq!(event["event"], "error", "{line}");
    }
    hub.run(&["test-modules"]).exits(2).says("no command evaluates a module by itself").says("`hubctl validate`");
    let history = hub.json(&["history"]).exits(0).json();
    assert_eq!(history, serde_json::json!([]), "something was begun");
}
