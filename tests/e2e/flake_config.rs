//! What a flake's `nixConfig` asks for is taken where somebody said so, told where nobody did, and never asked about.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use rexpect::session::spawn_command;

use crate::support::{Finished, Hub, Server};

/// What is told of settings that are left out.
const LEFT_OUT: &str = "which is left out: ";

/// Whether Nix may build nothing and evaluate nothing that builds meanwhile; beside it what no flake is ever denied.
const CONFIG: &str = r#"{ max-jobs = 0; allow-import-from-derivation = false; bash-prompt = "hub>"; }"#;

/// A hub whose flake asks for `config`, with a host that was never built.
fn asking_for(config: &str) -> Hub {
    let hub = Hub::offline();
    let text = hub.committed("flake.nix");
    hub.write("flake.nix", &text.replacen("\n  outputs =", &format!("\n  nixConfig = {config};\n  outputs ="), 1));
    hub.set_host("p620", &format!("motd = \"{}\";", hub.root().display()));
    hub
}

/// Adds to a hub.toml that has no `[nix]`.
fn say_in_hub_toml(hub: &Hub, text: &str) {
    hub.write("hub.toml", &format!("{}\n[nix]\n{text}\n", hub.committed("hub.toml")));
}

/// Settings of Nix in hubctl's environment, beside those that every test has.
fn say_in_nix_conf(hub: &mut Hub, text: &str) {
    let of_all = "experimental-features = nix-command flakes\nsubstituters =\nsandbox = false\nbuild-users-group =\n";
    hub.set_env("NIX_CONFIG", &format!("{of_all}{text}\n"));
}

/// Writes down what the user once told Nix for good.
fn trust(hub: &Hub, json: &str) -> PathBuf {
    let file = hub.root().with_file_name("home").join(".local/share/nix/trusted-settings.json");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, json).unwrap();
    file
}

fn tells_nothing(ended: &Finished) {
    assert!(!ended.stderr.contains(LEFT_OUT), "{}", ended.stderr);
}

#[test]
fn what_nobody_accepted_is_left_out_and_told_once() {
    let hub = asking_for(CONFIG);
    let ended = hub.json(&["test-all", "--parallel"]).exits(0);
    assert_eq!(ended.stderr.matches("left out").count(), 1, "{}", ended.stderr);
    let ended = ended.says("left out: allow-import-from-derivation, max-jobs\n").says("--accept-flake-config");
    assert_eq!(ended.outcomes()["p620"], "built");
    // When all is known and nothing is asked of Nix as well.
    let again = hub.json(&["test-all"]).exits(0).says("left out: allow-import-from-derivation, max-jobs\n");
    assert_eq!(again.stderr.matches("left out").count(), 1, "{}", again.stderr);
    hub.json(&["test-host", "p620", "--no-cache"]).exits(0).says(LEFT_OUT);

    let failing = asking_for(CONFIG);
    failing.set_host("p620", "motd = 1 / 0;");
    let error = failing.json(&["test-host", "p620"]).exits(1).host("p620")["error"].clone();
    assert!(!error.to_string().contains("untrusted flake configuration"), "{error}");
}

#[test]
fn a_flake_that_asks_for_nothing_or_for_what_is_never_denied_is_not_told_of() {
    for config in ["{ }", r#"{ bash-prompt = "hub>"; flake-registry = ./flake.lock; }"#] {
        let hub = asking_for(config);
        hub.write("flake.lock", "{\"nodes\":{\"root\":{}},\"root\":\"root\",\"version\":7}\n");
        tells_nothing(&hub.json(&["test-host", "p620"]).exits(0));
    }
}

#[test]
fn what_is_accepted_holds_for_builds() {
    let ends = |hub: &Hub, words: &[&str], outcome: &str| {
        let code = i32::from(outcome != "built");
        let ended = hub.json(&[&["test-host", "p620"], words].concat()).exits(code);
        let ended = ended.ends(&[("p620", outcome)]);
        assert_eq!(ended.stderr.contains(LEFT_OUT), outcome == "built", "{}", ended.stderr);
    };
    let hub = asking_for(CONFIG);
    ends(&hub, &["--accept-flake-config"], "build-failed");
    say_in_hub_toml(&hub, "accept-flake-config = true");
    ends(&hub, &[], "build-failed");
    ends(&hub, &["--option", "accept-flake-config", "false"], "built");

    let mut hub = asking_for(CONFIG);
    say_in_nix_conf(&mut hub, "accept-flake-config = true");
    ends(&hub, &[], "build-failed");
    // What the flake asks for wins over the command line, as it does with Nix itself.
    ends(&hub, &["--option", "max-jobs", "1"], "build-failed");
    say_in_hub_toml(&hub, "accept-flake-config = false");
    ends(&hub, &[], "built");
}

#[test]
fn what_the_user_told_nix_for_good_holds() {
    let hub = asking_for(CONFIG);
    trust(&hub, r#"{ "max-jobs": { "1": true }, "allow-import-from-derivation": { "false": true } }"#);
    let ended = hub.json(&["test-host", "p620"]).exits(0);
    assert!(ended.stderr.contains("left out: max-jobs\n"), "another value was trusted: {}", ended.stderr);

    let hub = asking_for(CONFIG);
    let file = trust(&hub, r#"{ "max-jobs": { "0": true }, "allow-import-from-derivation": { "false": false } }"#);
    let ended = hub.json(&["test-host", "p620"]).exits(1).ends(&[("p620", "build-failed")]);
    tells_nothing(&ended);
    fs::remove_file(file).unwrap();
    hub.json(&["test-host", "p620"]).exits(0).says("left out: allow-import-from-derivation, max-jobs\n");
}

/// Whether p620 was known from before.
fn is_kept(ended: &Finished) -> bool {
    let evaluated = ended.events().into_iter().find(|event| event["event"] == "evaluated").unwrap();
    evaluated["cached"].as_bool().unwrap()
}

#[test]
fn what_is_accepted_holds_for_evaluations_and_is_part_of_the_question() {
    let hub = asking_for("{ allow-import-from-derivation = false; }");
    let text = hub.committed("hosts/p620/default.nix");
    // The derivation is built while it is evaluated.
    let derivation = r#"derivation { name = "motd"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo built > $out" ]; }"#;
    hub.write("hosts/p620/default.nix", &format!("{text} // {{ motd = builtins.readFile ({derivation}); }}"));
    let run = |words: &[&str]| hub.json(&[&["test-host", "p620"], words].concat());
    assert!(!is_kept(&run(&[]).exits(0)));
    assert!(is_kept(&run(&[]).exits(0)));
    run(&["--accept-flake-config"]).exits(1).ends(&[("p620", "eval-failed")]);
    assert!(is_kept(&run(&[]).exits(0)));
    let file = trust(&hub, r#"{ "allow-import-from-derivation": { "false": true } }"#);
    run(&[]).exits(1).ends(&[("p620", "eval-failed")]);
    fs::remove_file(file).unwrap();
    assert!(is_kept(&run(&[]).exits(0)));
}

#[test]
fn what_makes_evaluations_impure_is_never_known() {
    for (config, why) in [("{ pure-eval = false; }", "impure"), ("{ eval-cache = true; }", "cache of evaluations")] {
        let hub = asking_for(config);
        for _ in 0..2 {
            let ended = hub.json(&["test-host", "p620", "--accept-flake-config"]).exits(0);
            let evaluated = ended.events().into_iter().find(|event| event["event"] == "evaluated").unwrap();
            assert!(evaluated["reason"].as_str().unwrap().contains(why), "{evaluated}");
        }
        hub.json(&["test-host", "p620"]).exits(0);
        assert!(is_kept(&hub.json(&["test-host", "p620"]).exits(0)), "{config}, left out");
    }
}

#[test]
fn inputs_are_fetched_with_what_is_accepted() {
    let files = tempfile::tempdir().unwrap();
    fs::create_dir(files.path().join("words")).unwrap();
    fs::write(files.path().join("words/flake.nix"), "{ outputs = _: { }; }").unwrap();
    let archive = files.path().join("words.tar.gz");
    let tar = Command::new("tar").arg("-czf").arg(&archive).arg("-C").arg(files.path()).arg("words").status();
    assert!(tar.unwrap().success());
    for (words, accepted) in [(&["--accept-flake-config"][..], true), (&[], false)] {
        let server = Server::of(files.path());
        let hub = asking_for(r#"{ user-agent-suffix = "of-the-flake"; }"#);
        let text = fs::read_to_string(hub.root().join("flake.nix")).unwrap();
        let input = format!("\n  inputs.words.url = \"{}/words.tar.gz\";\n  outputs =", server.url());
        hub.write("flake.nix", &text.replacen("\n  outputs =", &input, 1));
        hub.json(&[&["test-host", "p620"], words].concat()).exits(0);
        let asked = server.requests();
        let as_flake_wants = |header: &String| header.contains("of-the-flake");
        assert!(asked.iter().any(|request| request.path.contains("/words.tar.gz")), "{asked:?}");
        assert!(asked.iter().all(|request| request.headers.iter().any(as_flake_wants) == accepted), "{asked:?}");
        assert!(fs::read_to_string(hub.root().join("flake.lock")).unwrap().contains("words.tar.gz"));
        if accepted {
            // The lock is complete: nothing is locked or fetched again.
            hub.write("hosts/p620/motd.txt", "Edited.\n");
            hub.json(&[&["test-host", "p620"], words].concat()).exits(0);
            assert_eq!(server.requests().len(), asked.len());
        }
    }
}

#[test]
fn a_run_with_another_input_writes_no_lock_for_a_flake_that_asks_for_settings_either() {
    let hub = asking_for("{ max-jobs = 1; }");
    let dir = hub.root().with_file_name("words");
    for name in ["one", "other"] {
        fs::create_dir_all(dir.join(name)).unwrap();
        fs::write(dir.join(name).join("flake.nix"), "{ outputs = _: { }; }").unwrap();
    }
    let of = |name: &str| format!("path:{}", dir.join(name).display());
    let text = fs::read_to_string(hub.root().join("flake.nix")).unwrap();
    let input = format!("\n  inputs.words.url = \"{}\";\n  outputs =", of("one"));
    hub.write("flake.nix", &text.replacen("\n  outputs =", &input, 1));
    let other = of("other");
    hub.json(&["test-host", "p620", "--accept-flake-config", "--override-input", "words", &other]).exits(0);
    let lock = hub.root().join("flake.lock");
    assert!(!lock.exists());
    hub.json(&["test-host", "p620", "--accept-flake-config"]).exits(0);
    let locked = fs::read_to_string(&lock).unwrap();
    assert!(locked.contains("words/one"), "{locked}");
    hub.json(&["test-host", "p620", "--accept-flake-config", "--override-input", "words", &other]).exits(0);
    assert_eq!(fs::read_to_string(&lock).unwrap(), locked);
}

#[test]
fn nobody_is_asked_at_a_terminal_either() {
    let hub = asking_for(CONFIG);
    for words in [
        &["test-host", "p620"][..],
        &["hosts"],
        &["status", "p620"],
        &["cache", "verify"],
        &["why", "p620", "--offline"],
    ] {
        let mut session = spawn_command(hub.command(words), Some(120_000)).unwrap();
        let printed = session.exp_eof().unwrap();
        assert!(!printed.contains("do you want to allow"), "{words:?}: {printed}");
        assert!(printed.contains("left out: allow-import-from-derivation, max-jobs"), "{words:?}: {printed}");
    }
    // Nix itself asks, so that this test is about something.
    let mut nix = Command::new("nix");
    let of_hub = hub.command(&[]);
    nix.args(["eval", ".#nixosConfigurations", "--apply", "builtins.attrNames"]).current_dir(hub.root()).env_clear();
    nix.env("TERM", "xterm").envs(of_hub.get_envs().filter_map(|(key, value)| value.map(|value| (key, value))));
    let mut session = spawn_command(nix, Some(60_000)).unwrap();
    session.exp_string("do you want to allow").unwrap();
}
