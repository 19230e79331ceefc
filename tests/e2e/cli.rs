//! The command line as a user meets it: words, answers, exit codes, and what happens where something is missing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Finished, Hub, Lab};

/// Every command, and the commands below it.
fn commands() -> Vec<Vec<String>> {
    fn below(command: &clap::Command, path: &[String], found: &mut Vec<Vec<String>>) {
        found.push(path.to_vec());
        for sub in command.get_subcommands() {
            below(sub, &[path, &[sub.get_name().to_owned()]].concat(), found);
        }
    }
    let mut found = Vec::new();
    below(&hubctl::cli::command(), &[], &mut found);
    found
}

fn help_of(hub: &Hub, command: &[String]) -> String {
    let words: Vec<_> = command.iter().map(String::as_str).chain(["--help"]).collect();
    let ended = hub.run(&words).exits(0);
    assert_eq!(ended.stderr, "", "{words:?}");
    ended.stdout
}

/// A change of any help text shows here. `INSTA_UPDATE=always cargo test --test e2e cli::every_help` records it anew.
#[test]
fn every_help_is_as_recorded() {
    let hub = Hub::offline();
    let page = |command: &Vec<String>| {
        let name = [&["hubctl".to_owned()], command.as_slice()].concat().join(" ");
        format!("$ {name} --help\n{}", help_of(&hub, command))
    };
    let pages: Vec<_> = commands().iter().map(page).collect();
    insta::with_settings!({ snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("help", pages.join("\n"));
    });
}

#[test]
fn every_help_tells_the_exit_codes() {
    let hub = Hub::offline();
    for command in commands().iter().filter(|command| command.len() < 2) {
        let help = help_of(&hub, command);
        for line in
            ["0    all well", "1    at least one host failed", "2    usage or", "4    no host", "130  cancelled"]
        {
            assert!(help.contains(line), "{command:?} lacks `{line}`:\n{help}");
        }
    }
}

#[test]
fn old_words_are_accepted_without_a_remark() {
    let hub = Hub::offline();
    for (alias, command) in [
        ("summary", "hosts"),
        ("ping-hosts", "ping"),
        ("status-all", "status"),
        ("deployment-validation", "status"),
        ("test-all-parallel", "test-all"),
        ("quick-test", "test-all"),
        ("deploy-smart", "quick-deploy"),
        ("deploy-fast", "deploy"),
        ("deploy-local-build", "deploy"),
        ("deploy-all-parallel", "deploy-all"),
        ("show-diff", "diff"),
        ("system-diff", "diff"),
        ("test-rollback", "rollback"),
        ("gc-aggressive", "gc"),
        ("boot-space-all", "boot-space"),
        ("boot-space-clean", "gc"),
        ("full-cleanup", "cleanup"),
        ("metadata", "info"),
    ] {
        let page = hub.run(&[alias, "--help"]).exits(0);
        assert_eq!(page.stdout, help_of(&hub, &[command.to_owned()]), "{alias}");
    }
    let begun = |words: &[&str]| hub.json(words).events().first().cloned().unwrap();
    assert_eq!(begun(&["deploy-smart", "p620"])["command"], "quick-deploy");
    assert_eq!(begun(&["deploy-fast", "p620"])["command"], "deploy");
    assert_eq!(begun(&["deploy-all-parallel"])["command"], "deploy-all");
    assert_eq!(begun(&["quick-test"])["command"], "test-all");
    // The recipe `test-rollback` went nowhere, and neither does the word.
    let planned = hub.json(&["test-rollback", "p620"]).exits(1).json();
    assert_eq!(planned[0]["host"], "p620");
    let pair = hub.json(&["diff-hosts", "razer", "samsung"]).exits(0).json();
    assert_eq!(pair[0]["host"], "razer → samsung", "{pair}");
}

#[test]
fn a_bare_host_is_deployed() {
    let hub = Hub::offline();
    for (words, hosts) in
        [(&["p620"][..], json!(["p620"])), (&["p510", "@laptop"], json!(["p510", "razer", "samsung"]))]
    {
        let first = hub.json(words).exits(1).events().first().cloned().unwrap();
        assert_eq!((&first["command"], &first["hosts"]), (&json!("deploy"), &hosts), "{first}");
    }
}

#[test]
fn slips_of_the_fingers_are_answered_with_what_was_meant() {
    let hub = Hub::offline();
    for (line, code, message) in [
        ("quick-deploy p62", 2, "did you mean `p620`?"),
        ("quick-deploy P620", 2, "did you mean `p620`?"),
        ("p62", 2, "did you mean `p620`?"),
        ("quick-deploy @latop", 2, "did you mean `@laptop`?"),
        ("quick-deploy laptop", 2, "did you mean `@laptop`?"),
        ("quick-deploy !p62 *", 2, "did you mean `p620`?"),
        ("quick-deploy zz*", 4, "`zz*` matches no host"),
        ("quick-deploy p620 !p620", 4, "no host is left"),
        ("quick-deplyo p620", 2, "there is a command `quick-deploy`"),
        ("hosst", 2, "there is a command `hosts`"),
        ("deploy-smrt p620", 2, "there is a command `deploy-smart`"),
        ("hosts --jsn", 2, "--json"),
        ("quick-deploy p620 --paralel", 2, "--parallel"),
        ("quick-deploy p620 --goal swich", 2, "switch"),
        ("quick-deploy p620 --build-on p51", 2, "did you mean `p510`?"),
        ("quick-deploy p620 --parallel=many", 2, "many"),
        ("completions bsh", 2, "bash"),
        ("hosts --json --plain", 2, "--plain"),
        ("hosts --flake .#p620", 2, "use `--flake .`"),
        ("history nosuchid show", 2, "show"),
        ("history show nosuchid", 2, "`hubctl history` lists them"),
        ("generations *", 2, "name one host"),
        ("", 2, "Usage: hubctl"),
    ] {
        let words: Vec<_> = line.split_whitespace().collect();
        let ended = hub.run(&words).exits(code).says(message);
        assert_eq!(ended.stdout, "", "{line}");
    }
}

#[test]
fn words_select_the_hosts_that_they_name() {
    let hub = Hub::offline();
    for (words, wanted) in [
        ("", "p510 p620 razer samsung"),
        ("p620", "p620"),
        ("p620 p620", "p620"),
        ("p*", "p510 p620"),
        ("@laptop", "razer samsung"),
        ("@amd,razer", "p620 razer"),
        ("!@laptop", "p510 p620"),
        ("* !p620 !raz*", "p510 samsung"),
        ("{p510,razer}", "p510 razer"),
    ] {
        let words: Vec<_> = ["hosts"].into_iter().chain(words.split_whitespace()).collect();
        assert_eq!(names(&hub.json(&words).exits(0).json()), wanted, "{words:?}");
    }
}

fn names(hosts: &Value) -> String {
    let names: Vec<_> = hosts.as_array().unwrap().iter().map(|host| host["name"].as_str().unwrap()).collect();
    names.join(" ")
}

#[test]
fn commands_that_change_hosts_want_to_hear_which() {
    let hub = Hub::offline();
    for words in [&["quick-deploy"][..], &["rollback"], &["deploy-smart"], &["quick-deploy", "--goal", "boot"]] {
        hub.run(words).exits(2).says("<HOST>");
    }
    // A word that is empty, as from a variable that is not set, is no host and never stands for all.
    for words in [&["quick-deploy", ""][..], &["rollback", ""], &["deploy", ""], &[""]] {
        hub.run(words).exits(2).says("does not name hosts");
    }
    on_machine(&hub, "nobody", "hubctl deploy").exits(2).says("this machine, nobody, is no host of the flake");
    on_machine(&hub, "p62", "hubctl deploy").exits(2).says("did you mean `hubctl deploy p620`?");
    assert_eq!(hub.json(&["history"]).exits(0).json(), json!([]), "something was begun");
}

#[test]
fn deploy_without_a_host_means_this_machine() {
    let hub = Hub::offline();
    let planned = on_machine(&hub, "p510", "hubctl deploy --dry-run --json").exits(0).json();
    assert_eq!((planned.as_array().unwrap().len(), &planned[0]["host"]), (1, &json!("p510")), "{planned}");
    // Nothing is copied to where it is already.
    assert_eq!(planned[0]["steps"], json!(["build", "activate", "verify"]));
}

#[test]
fn nixos_rebuild_is_handed_this_machine_and_all_settings_or_is_missed() {
    let hub = Hub::offline();
    on_machine(&hub, "p510", "hubctl deploy --via nixos-rebuild")
        .exits(1)
        .says("`nixos-rebuild` is not installed")
        .says("leave out --via");
    on_machine(&hub, "p510", "hubctl deploy p620 --via nixos-rebuild").exits(2).says("this machine alone");
    hub.run(&["deploy", "--via", "nixos-rebuild", "--dry-run"]).exits(2);

    fake(&hub, "nixos-rebuild", "printf '%s\\n' \"$*\"; exit \"${REBUILD_EXIT:-0}\"");
    let line = "hubctl deploy --via nixos-rebuild --goal boot --option cores 2 --impure --override-input x path:/x";
    let ended = on_machine(&hub, "p510", line).exits(0);
    let wanted =
        format!("boot --flake {}#p510 --option cores 2 --override-input x path:/x --impure\n", hub.root().display());
    assert_eq!(ended.stdout, wanted);
    on_machine(&hub, "p510", "REBUILD_EXIT=4 hubctl deploy --via nixos-rebuild").exits(1).says("code 4");

    // A specialisation is run, and not booted.
    let settings = hub.committed("hub.toml").replace("[hosts.p510]", "[hosts.p510]\nspecialisation = \"gaming\"");
    hub.write("hub.toml", &settings);
    on_machine(&hub, "p510", "hubctl deploy --via nixos-rebuild").exits(0).prints("--specialisation gaming");
    let boots = on_machine(&hub, "p510", "hubctl deploy --via nixos-rebuild --goal boot").exits(0);
    assert!(!boots.stdout.contains("specialisation"), "{}", boots.stdout);
}

/// Runs a line of shell in which `hubctl` is the program, on a machine called `name`, with the hub's `bin` first on PATH.
fn on_machine(hub: &Hub, name: &str, line: &str) -> Finished {
    let program = env!("CARGO_BIN_EXE_hubctl");
    let script = format!(
        "hostname {name}; PATH={}:$PATH; {}",
        bin(hub).display(),
        line.replace("hubctl ", &format!("{program} "))
    );
    let mut command = Command::new("unshare");
    as_hub(hub, &mut command).args(["--uts", "bash", "-euc", &script]).output().unwrap().into()
}

/// Gives `command` the directory and the environment in which `hub` runs hubctl.
fn as_hub<'a>(hub: &Hub, command: &'a mut Command) -> &'a mut Command {
    let of_hub = hub.command(&[]);
    command.current_dir(hub.root()).env_clear().stdin(Stdio::null());
    command.envs(of_hub.get_envs().filter_map(|(key, value)| value.map(|value| (key, value))))
}

fn bin(hub: &Hub) -> std::path::PathBuf {
    hub.root().with_file_name("bin")
}

/// Makes a program of this shell script in the hub's `bin`.
fn fake(hub: &Hub, program: &str, script: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::create_dir_all(bin(hub)).unwrap();
    let file = bin(hub).join(program);
    fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn each_output_is_of_one_kind() {
    let hub = Hub::offline();
    let quiet = hub.run(&["test-host", "p620", "--quiet"]).exits(0);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
    let plain = hub.run(&["test-host", "p620", "--plain"]).exits(0);
    assert_eq!(plain.stdout, "");
    let timed = |line: &&str| line.len() > 8 && line.as_bytes()[2] == b':' && line.as_bytes()[5] == b':';
    assert_eq!(plain.stderr.lines().filter(timed).count(), 4, "{}", plain.stderr);
    let json = hub.json(&["test-host", "p620"]).exits(0);
    assert_eq!(json.stderr, "");
    json.ends(&[("p620", "built")]);

    hub.set_host("p620", "build.fail = true;");
    let quiet = hub.run(&["test-host", "p620", "--quiet"]).exits(1).says("the build was told to fail");
    assert!(quiet.stderr.starts_with("error: p620: build-failed"), "{}", quiet.stderr);
    assert_eq!(quiet.stdout, "");

    for words in
        [&["hosts"][..], &["ping", "p620"], &["status", "p620"], &["history"], &["diff-hosts", "razer", "samsung"]]
    {
        hub.json(words).json();
        assert!(serde_json::from_str::<Value>(&hub.run(words).stdout).is_err(), "{words:?} without --json");
    }
}

#[test]
fn a_dry_run_asks_the_host_and_changes_nothing() {
    let lab = Lab::up(&["p620"]);
    let hub = Hub::new(&lab);
    let before = everything_on(&lab, "p620");
    hub.set_host("p620", &format!("motd = \"dry run of {}\";", hub.root().display()));
    for words in [&["quick-deploy", "p620", "--dry-run"][..], &["deploy", "-n", "p620"], &["deploy-all", "-n"]] {
        let planned = hub.json(words).json();
        let of_host = planned.as_array().unwrap().iter().find(|one| one["host"] == "p620").unwrap();
        assert_eq!(of_host["steps"], json!(["build", "copy", "activate", "verify"]), "{planned}");
        assert!(!Path::new(of_host["wanted"].as_str().unwrap()).exists(), "{words:?} built {planned}");
        hub.run(words).prints("build, copy, activate, verify");
    }
    assert_eq!(everything_on(&lab, "p620"), before);
    assert_eq!(hub.json(&["history"]).exits(0).json(), json!([]));
    assert!(!hub.state().join("logs").exists() || fs::read_dir(hub.state().join("logs")).unwrap().next().is_none());

    // It is the host that is asked: what it says decides.
    hub.run(&["quick-deploy", "p620"]).exits(0);
    let planned = hub.json(&["quick-deploy", "p620", "--dry-run"]).exits(0).json();
    assert_eq!(planned[0]["steps"], json!([]), "{planned}");
    lab.cut("p620");
    hub.write("hub.toml", "[ssh]\nconnect-timeout = \"2s\"\n");
    let planned = hub.json(&["quick-deploy", "p620", "--dry-run"]).exits(1).json();
    assert_eq!(planned[0]["outcome"], "unreachable", "{planned}");
}

/// What a deployment could change on a host.
fn everything_on(lab: &Lab, host: &str) -> String {
    lab.ssh(
        host,
        "ls -l /nix/store /nix/var/nix/profiles /boot /run/current-system /run/hubctl /etc/lab-motd 2>&1 || true",
    )
}

#[test]
fn completions_load_into_their_shells() {
    let hub = Hub::offline();
    let mut tried = BTreeSet::new();
    let offers = "quick-deploy";
    for (shell, load) in [
        (
            "bash",
            ". ./script; COMP_LINE='hubctl quick' COMP_POINT=12; _hubctl hubctl quick hubctl; echo \"${COMPREPLY[@]}\"",
        ),
        (
            "zsh",
            "autoload -U compinit; compinit -D; . ./script; echo ${_comps[hubctl]}; HUBCTL_COMPLETE=zsh _CLAP_COMPLETE_INDEX=1 hubctl -- hubctl quick",
        ),
        ("fish", "source ./script; complete -C 'hubctl quick'"),
    ] {
        let script = hub.run(&["completions", shell]).exits(0);
        assert!(script.stdout.contains("hubctl"), "{shell}");
        fs::write(hub.root().join("script"), &script.stdout).unwrap();
        // Only bash is on every machine that runs these tests.
        let Ok(output) = as_hub(&hub, &mut Command::new(shell)).args(["-c", load]).output() else { continue };
        tried.insert(shell);
        let ended = Finished::from(output).exits(0).prints(offers);
        assert_eq!(ended.stderr, "", "{shell}");
    }
    assert!(tried.contains("bash"));
    for shell in ["elvish", "powershell"] {
        hub.run(&["completions", shell]).exits(0).prints("hubctl");
    }
}

#[test]
fn manual_pages_render() {
    let hub = Hub::offline();
    let pages = hub.root().join("man");
    hub.run(&["man", "--out", pages.to_str().unwrap()]).exits(0);
    fs::write(pages.join("printed.1"), hub.run(&["man"]).exits(0).stdout).unwrap();
    let mut seen = BTreeSet::new();
    for page in fs::read_dir(&pages).unwrap().map(|entry| entry.unwrap().path()) {
        let mut groff = Command::new("groff");
        let output = groff
            .args(["-man", "-Tutf8", "-P-cbou", "-ww", "-Wbreak"])
            .arg(&page)
            .env("GROFF_NO_SGR", "1")
            .output()
            .expect("groff renders manual pages");
        let ended = Finished::from(output).exits(0).prints("hubctl").prints("DESCRIPTION");
        assert_eq!(ended.stderr, "", "{}", page.display());
        seen.insert(page.file_stem().unwrap().to_string_lossy().into_owned());
    }
    for name in ["hubctl", "printed", "hubctl-deploy", "hubctl-quick-deploy", "hubctl-history"] {
        assert!(seen.contains(name), "{name} is not in {seen:?}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let hub = Hub::offline();
    let program = env!("CARGO_BIN_EXE_hubctl");
    for words in ["hosts", "hosts --json", "--help", "man", "completions bash", "history", "test-host p620 --json"] {
        let script = format!("{program} {words} | head -n 0; echo ${{PIPESTATUS[0]}}");
        let ended: Finished = as_hub(&hub, &mut Command::new("bash")).args(["-c", &script]).output().unwrap().into();
        assert_eq!(ended.stdout, "0\n", "{words}: {}", ended.stderr);
        assert!(!ended.stderr.contains("ipe") && !ended.stderr.contains("panic"), "{words}: {}", ended.stderr);
    }
}

#[test]
fn a_run_whose_reader_goes_away_goes_on_to_its_end() {
    let lab = Lab::up(&["p620"]);
    let hub = Hub::new(&lab);
    let script =
        format!("{} quick-deploy p620 --json | head -n 1; echo ${{PIPESTATUS[0]}}", env!("CARGO_BIN_EXE_hubctl"));
    let ended: Finished = as_hub(&hub, &mut Command::new("bash")).args(["-c", &script]).output().unwrap().into();
    assert!(ended.stdout.ends_with("}\n0\n"), "{}{}", ended.stdout, ended.stderr);
    assert!(!lab.current("p620").is_empty(), "{}", ended.stderr);
    assert_eq!(hub.json(&["history"]).exits(0).json()[0]["exit"], 0);
}

#[test]
fn a_database_that_cannot_be_used_is_set_aside_and_nothing_fails() {
    let hub = Hub::offline();
    let database = hub.state().join("state.db");
    let aside = |hub: &Hub| {
        let entries = fs::read_dir(hub.state()).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.to_string_lossy().contains(".aside-")).collect::<Vec<_>>()
    };
    // Not a database; a whole header with damage behind it; and the schema of a newer hubctl, which stands at this offset.
    let damages: [fn(&mut Vec<u8>); 3] =
        [|bytes| bytes.fill(b'x'), |bytes| bytes[4096..].fill(0xaa), |bytes| bytes[60..64].fill(0x7f)];
    for damage in damages {
        for command in [&["history"][..], &["hosts"], &["test-host", "p620"], &["quick-deploy", "p620"]] {
            hub.run(&["quick-deploy", "p620"]).exits(1);
            let mut bytes = fs::read(&database).unwrap();
            damage(&mut bytes);
            fs::write(&database, &bytes).unwrap();
            let code = i32::from(command[0] == "quick-deploy");
            let ended = hub.run(command).exits(code).says("set aside as").says(".aside-");
            assert_eq!(ended.stderr.matches("set aside").count(), 1, "{}", ended.stderr);
            let kept = aside(&hub);
            assert!(kept.iter().any(|path| fs::read(path).unwrap() == bytes), "{command:?} lost the old file");
            for path in kept {
                fs::remove_file(path).unwrap();
            }
            let recorded = hub.json(&["history"]).exits(0);
            assert_eq!(recorded.stderr, "");
            assert_eq!(recorded.json().as_array().unwrap().len(), usize::from(code == 1), "{command:?}");
        }
    }
}

#[test]
fn a_state_that_cannot_be_written_costs_history_and_nothing_else() {
    let mut hub = Hub::offline();
    fs::write(hub.root().with_file_name("file"), "").unwrap();
    for place in [hub.root().with_file_name("file").display().to_string(), "/proc/none".to_owned()] {
        hub.set_env("XDG_STATE_HOME", &place);
        hub.json(&["test-host", "p620"]).exits(0).ends(&[("p620", "built")]).says("this run leaves no history");
        hub.run(&["hosts"]).exits(0).prints("p620").says("this run leaves no history");
        hub.json(&["history"]).exits(0).prints("[]");
        hub.run(&["diff-hosts", "razer", "samsung"]).exits(0);
        hub.json(&["quick-deploy", "p620"]).exits(1).ends(&[("p620", "unreachable")]);
    }
}

#[test]
fn two_runs_at_once_do_not_disturb_each_other() {
    let lab = Lab::up(&["p620", "p510"]);
    let hub = Hub::new(&lab);
    let runs: Vec<_> = ["p620", "p510", "p620", "p510"].map(|host| (host, hub.start(&["quick-deploy", host]))).into();
    let mut outcomes = BTreeSet::new();
    for (host, run) in runs {
        let ended = run.finish();
        let outcome = ended.outcomes()[host].clone();
        // Of two that deploy the same host at once, the second finds it done, or finds the first at work.
        assert!(["deployed", "unchanged", "refused"].contains(&outcome.as_str()), "{outcome}: {}", ended.stdout);
        outcomes.insert((host, outcome));
    }
    for host in ["p620", "p510"] {
        assert!(outcomes.contains(&(host, "deployed".to_owned())), "{outcomes:?}");
    }
    hub.json(&["quick-deploy", "p620", "p510"]).exits(0).ends(&[("p620", "unchanged"), ("p510", "unchanged")]);
    let history = hub.json(&["history"]).exits(0).json();
    let ids: BTreeSet<_> = history.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 5, "{history}");
    assert!(history.as_array().unwrap().iter().all(|one| !one["finished"].is_null()), "{history}");
}

#[test]
fn a_nix_that_is_missing_broken_or_too_old_is_told() {
    let mut hub = Hub::offline();
    let path = std::env::var("PATH").unwrap();
    let bin = bin(&hub);
    fs::create_dir_all(&bin).unwrap();
    hub.set_env("PATH", &bin.display().to_string());
    for words in [&["hosts"][..], &["quick-deploy", "p620"], &["test-all"]] {
        hub.run(words).exits(2).says("`nix` is not on PATH").says("install Nix");
    }
    // What needs no Nix does without.
    hub.run(&["history"]).exits(0);
    hub.run(&["completions", "bash"]).exits(0);
    hub.set_env("PATH", &format!("{}:{path}", bin.display()));
    for (script, message) in [
        ("echo 'nix (Nix) 2.3.16'", "`nix --version` says `nix (Nix) 2.3.16`"),
        ("echo 'a chess engine'", "`nix --version` says `a chess engine`"),
        ("echo 'no store' >&2; exit 3", "`nix --version` failed"),
    ] {
        fake(&hub, "nix", script);
        hub.run(&["hosts"]).exits(2).says(message);
    }
    hub.run(&["hosts"]).says("no store");
}
