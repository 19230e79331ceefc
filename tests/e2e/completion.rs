//! Completion in real shells: what is offered is what earlier runs and `hub.toml` know, and nothing is evaluated or asked for it.

use std::collections::BTreeSet;
use std::fs;

use crate::support::{Finished, Hub, Lab};

/// What a shell offers for a line, each candidate as the whole word that it makes of the last one. None where there is no such shell.
fn offers(hub: &Hub, shell: &str, line: &str) -> Option<BTreeSet<String>> {
    let script = hub.root().with_file_name(format!("hubctl.{shell}"));
    if !script.exists() {
        fs::write(&script, hub.run(&["completions", shell]).exits(0).stdout).unwrap();
    }
    let script = script.display();
    let code = match shell {
        // As readline does it: of a word, bash completes what stands behind the last `@`, `:` or `=`.
        "bash" => format!(
            ". {script}; line='{line}'; word=${{line##*[ @:=]}}; COMP_LINE=$line COMP_POINT=${{#line}}; _hubctl hubctl \"$word\" x; \
             last=${{line##* }}; printf \"${{last%\"$word\"}}%s\\n\" \"${{COMPREPLY[@]}}\""
        ),
        // Outside of the line editor, what is to be listed is printed.
        "zsh" => format!(
            "autoload -U compinit; compinit -D; . {script}; \
             _describe() {{ local of=$@[-1]; print -l -- \"${{(@P)of}}\"; }}; \
             line='{line}'; words=(\"${{(@s: :)line}}\"); CURRENT=${{#words}}; $_comps[hubctl]"
        ),
        "fish" => format!("source {script}; complete -C '{line}'"),
        _ => panic!("{shell}"),
    };
    let output = hub.shell_of(shell, &code).ok()?;
    let ended = Finished::from(output).exits(0);
    let words = ended.stdout.lines().map(|line| line.split(['\t', ':']).next().unwrap_or_default().trim().to_owned());
    Some(words.filter(|word| !word.is_empty()).collect())
}

#[test]
fn hosts_tags_generations_and_deployments_are_offered() {
    let lab = Lab::up(&["p620"]);
    let hub = Hub::new(&lab);
    let first = hub.json(&["quick-deploy", "p620"]).exits(0).events()[0]["deployment"].as_str().unwrap().to_owned();
    hub.set_host("p620", r#"motd = "edited";"#);
    hub.run(&["quick-deploy", "p620"]).exits(0);
    // From here on, nothing could be evaluated and nobody reached.
    hub.write("flake.nix", "throw \"this is not to be evaluated\"\n");
    lab.cut("p620");

    let mut tried = 0;
    for shell in ["bash", "zsh", "fish"] {
        let Some(commands) = offers(&hub, shell, "hubctl quick") else { continue };
        tried += 1;
        assert!(commands.contains("quick-deploy"), "{shell}: {commands:?}");
        let of = |line: &str| offers(&hub, shell, line).unwrap();
        let has = |line: &str, words: &[&str]| {
            let found = of(line);
            for word in words {
                assert!(found.contains(*word), "{shell}: no {word} for `{line}` in {found:?}");
            }
        };
        has("hubctl quick-deploy p", &["p620", "p510"]);
        assert!(!of("hubctl quick-deploy p6").contains("p510"), "{shell}");
        has("hubctl quick-deploy @la", &["@laptop"]);
        has("hubctl quick-deploy p620,ra", &["p620,razer"]);
        has("hubctl p6", &["p620"]);
        has("hubctl p620 --go", &["--goal"]);
        has("hubctl deploy-smart p6", &["p620"]);
        has("hubctl quick-deploy p620 --build-on p", &["p510"]);
        has("hubctl history show 2", &[&first]);
        has("hubctl rollback --deployment 2", &[&first]);
        has("hubctl rollback p620 --to ", &["1", "2"]);
        has("hubctl diff p620 --generation ", &["1", "2"]);
        has("hubctl history --outcome dep", &["deployed"]);
        has("hubctl --flake . status raz", &["razer"]);
    }
    assert!(tried > 0);
}

#[test]
fn where_nothing_is_known_commands_are_offered_and_nothing_is_written() {
    let hub = Hub::offline();
    fs::remove_file(hub.root().join("hub.toml")).unwrap();
    let ask = |words: &[&str]| -> Finished {
        let at = (words.len() - 1).to_string();
        let mut command = hub.command(&[&["--"], words].concat());
        command.env("HUBCTL_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", at).output().unwrap().into()
    };
    ask(&["hubctl", "histo"]).exits(0).prints("history");
    assert_eq!(ask(&["hubctl", "deploy", "p"]).exits(0).stdout, "");
    fs::write(hub.root().join("hub.toml"), "this is = no [[ toml").unwrap();
    assert_eq!(ask(&["hubctl", "deploy", "p"]).exits(0).stderr, "");
    assert!(!hub.state().exists());
    // A variable that is set to nothing asks for nothing.
    let ended: Finished = hub.command(&["--version"]).env("HUBCTL_COMPLETE", "").output().unwrap().into();
    ended.exits(0).prints("hubctl ");
}
