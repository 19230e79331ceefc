//! Every command that the README and the documents tell their readers to run is run here, and does what they say.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use hubctl::error::Exit;
use hubctl::report::Outcome;

use crate::support::{Finished, Hub, Lab, REPOSITORY};

/// How a documented line is proved.
#[derive(Clone, Copy, Debug)]
enum How {
    /// Run in a hub without `hub.toml` whose hosts are up: it prints this.
    Prints(&'static str),
    /// As `Prints`, after an edit of p620 was deployed.
    PrintsAfterAnEdit(&'static str),
    /// The lines of its document that say so are run as one script.
    Script,
    /// Another test, or the tests' own run, proves it.
    Elsewhere,
}
use How::{Elsewhere, Prints, PrintsAfterAnEdit, Script};

/// Each line of each block of shell commands, in order.
const LINES: &[(&str, &str, How)] = &[
    // demo.rs.
    ("README.md", "./dev/demo", Elsewhere),
    // This test is part of it.
    ("README.md", "./dev/test", Elsewhere),
    // Cargo has just built the program from this package and this lock file.
    ("README.md", "cargo install --locked --path .", Elsewhere),
    // tests/flake.rs.
    ("README.md", "nix run . -- --help", Elsewhere),
    // The hub's directory is where hubctl is run.
    ("README.md", "cd your-flake", Elsewhere),
    ("README.md", "hubctl hosts", Prints("samsung")),
    ("README.md", "hubctl ping", Prints("samsung  yes")),
    ("README.md", "hubctl quick-deploy p620 --dry-run", Prints("p620  build, copy, activate, verify")),
    ("README.md", "hubctl diff p620", Prints("p620")),
    ("README.md", "hubctl quick-deploy p620", Prints("1 host deployed")),
    ("README.md", "hubctl quick-deploy '*' '!razer'", Prints("3 hosts")),
    ("README.md", "hubctl test-all --parallel", Prints("4 hosts built")),
    ("README.md", "hubctl status", PrintsAfterAnEdit("p620     in sync")),
    // watch.rs.
    ("README.md", "hubctl status --watch", Elsewhere),
    ("README.md", "hubctl history", Prints("deployed: p510 samsung; unchanged: p620")),
    ("README.md", "hubctl generations p620", Prints("boot default, running")),
    ("README.md", "hubctl rollback p620", Prints("1 host deployed")),
    // p620 has an edit that is not committed, and runs it.
    (
        "docs/ci.md",
        "hubctl ci matrix --changed-since HEAD --jobs 2",
        Prints(r#"[{"job":1,"hosts":"p620","system":"x86_64-linux"}]"#),
    ),
    ("docs/ci.md", "hubctl ci matrix", Prints(r#"{"include":[]}"#)),
    ("docs/ci.md", "hubctl ci matrix --json", Prints("its system is built")),
    ("docs/contributing.md", "./dev/test", Elsewhere),
    // What dev/test runs has these in it.
    ("docs/contributing.md", "cargo test --lib", Elsewhere),
    ("docs/contributing.md", "cargo test --test e2e deploys::", Elsewhere),
    // reboot.rs.
    ("docs/deploying.md", "hubctl reboot p620", Elsewhere),
    ("docs/deploying.md", "hubctl reboot '@server' --if-needed", Elsewhere),
    ("docs/deploying.md", "hubctl status", PrintsAfterAnEdit("p620     in sync")),
    ("docs/deploying.md", "hubctl history p620", Prints("deployed: p620")),
    ("docs/deploying.md", "hubctl generations p620", Prints("boot default, running")),
    ("docs/deploying.md", "hubctl rollback p620", Prints("1 host deployed")),
    ("docs/deploying.md", "hubctl rollback p620 --to 2", Prints("1 host deployed")),
    ("docs/evaluation.md", "hubctl why p620", Prints("it holds: nothing that it was read from has changed")),
    ("docs/evaluation.md", "hubctl why p620 --files", Prints("hosts/p620/default.nix")),
    ("docs/evaluation.md", "hubctl cache status", Prints("p620     yes")),
    ("docs/evaluation.md", "hubctl cache verify", Prints("p620     right")),
    ("docs/evaluation.md", "hubctl cache clear", Prints("forgot")),
    // features.rs: the lab's systems tell no options.
    ("docs/features.md", "hubctl features", Elsewhere),
    ("docs/features.md", "hubctl features p620", Elsewhere),
    ("docs/history.md", "hubctl history", Prints("deployed: p620")),
    ("docs/history.md", "hubctl history p620 --since 3d", Prints("deployed: p620")),
    ("docs/history.md", "hubctl history --outcome failed", Prints("no deployment matches")),
    ("docs/history.md", "hubctl history --chart", Prints("✓ deployed")),
    ("docs/history.md", "hubctl history show", Prints("exit code 0")),
    ("docs/history.md", "hubctl report --out report.html", Prints("report.html is written")),
    ("docs/history.md", "hubctl metrics", Prints("hubctl_host_deployments_total")),
    ("docs/inside.md", "hubctl info", Prints("4 active, 0 archived")),
    ("docs/inside.md", "hubctl analyze p620", Prints("system-path")),
    ("docs/inside.md", "hubctl analyze p620 --why system-path", Prints("nixos-system-p620")),
    // look.rs.
    ("docs/inside.md", "hubctl trace-option p620 networking.hostName", Elsewhere),
    ("docs/inside.md", "hubctl repl", Elsewhere),
    ("docs/lab.md", "dev/lab up", Script),
    ("docs/lab.md", r#"eval "$(dev/lab env)""#, Script),
    ("docs/lab.md", "cp -r dev/lab-fleet /tmp/hub && git -C /tmp/hub init && git -C /tmp/hub add .", Script),
    ("docs/lab.md", "hubctl --flake /tmp/hub quick-deploy '*'", Script),
    ("docs/lab.md", "dev/lab ssh p620", Script),
    ("docs/lab.md", "dev/lab down", Script),
    ("docs/lint.md", "hubctl check-syntax", Prints("nothing found in ")),
    ("docs/lint.md", "hubctl check-syntax hosts/p620", Prints("nothing found in 1 file")),
    // lint.rs.
    ("docs/lint.md", "hubctl lint", Elsewhere),
    ("docs/lint.md", "hubctl lint --explain unused-binding", Prints("# unused-binding")),
    ("docs/lint.md", "hubctl lint --fix", Elsewhere),
    ("docs/lint.md", "hubctl duplication", Prints(" % shared: ")),
    // format.rs.
    ("docs/lint.md", "hubctl format --check", Elsewhere),
    ("docs/lint.md", "hubctl format", Elsewhere),
    // hook.rs and validate.rs.
    ("docs/lint.md", "hubctl hook install", Elsewhere),
    ("docs/lint.md", "hubctl validate --quick", Elsewhere),
    ("docs/lint.md", "hubctl validate", Elsewhere),
    ("docs/lint.md", "hubctl options search firewall ports", Prints("networking.firewall.allowedTCPPorts")),
    // options.rs: the lab's systems tell no options.
    ("docs/lint.md", "hubctl options update", Elsewhere),
    ("docs/lint.md", "hubctl lint --baseline write", Elsewhere),
    ("docs/looking.md", "hubctl status", Prints("in sync")),
    ("docs/looking.md", "hubctl status 'p*' --no-eval", Prints("not compared")),
    // watch.rs.
    ("docs/looking.md", "hubctl status --watch", Elsewhere),
    ("docs/looking.md", "hubctl status --watch '@server' --every 2s", Elsewhere),
    ("docs/looking.md", "hubctl diff", Prints("samsung")),
    // diff.rs.
    ("docs/looking.md", "hubctl diff p620 --units", Elsewhere),
    ("docs/looking.md", "hubctl diff p620 --rev HEAD", Elsewhere),
    ("docs/looking.md", "hubctl diff p620 --generation 1", Prints("p620")),
    ("docs/looking.md", "hubctl diff-hosts p620 p510", Prints("p620 → p510")),
    ("docs/measuring.md", "hubctl perf-test p620 --runs 3", Prints("closure")),
    // perf.rs.
    ("docs/measuring.md", "hubctl perf-test --check", Elsewhere),
    ("docs/measuring.md", "hubctl perf-test --only evaluation --save", Elsewhere),
    ("docs/room.md", "hubctl boot-space", Prints("generation 1")),
    ("docs/room.md", "hubctl gc p620 --dry-run", Prints("stay")),
    ("docs/room.md", "hubctl gc p620 --yes", Prints("p620")),
    ("docs/room.md", "hubctl optimize p620", Prints("freed")),
    ("docs/room.md", "hubctl cleanup p620 --yes", Prints("p620")),
    ("docs/safety.md", "hubctl lock", Prints("free")),
    ("docs/safety.md", "hubctl lock break p620", Prints("p620 is not locked")),
    // secrets/commands.rs.
    ("docs/secrets.md", "hubctl secrets status", Elsewhere),
    ("docs/secrets.md", "printf %s \"$TOKEN\" | hubctl secrets set api-token", Elsewhere),
    ("docs/secrets.md", "hubctl secrets show api-token | wc -c", Elsewhere),
    ("docs/secrets.md", "hubctl secrets rekey --dry-run", Elsewhere),
    ("docs/secrets.md", "hubctl secrets rekey", Elsewhere),
    // secrets/editing.rs and secrets/readers.rs.
    ("docs/secrets.md", "hubctl secrets edit api-token", Elsewhere),
    ("docs/secrets.md", "hubctl secrets create secrets/mail --for me,p620", Elsewhere),
    ("docs/secrets.md", "hubctl secrets grant p510 'secrets/*'", Elsewhere),
    ("docs/secrets.md", "hubctl secrets revoke p620", Elsewhere),
    // secrets/import.rs.
    ("docs/secrets.md", "hubctl secrets import api-token --to sops", Elsewhere),
    ("docs/secrets.md", "hubctl secrets keys", Elsewhere),
    // secrets/exec.rs, readers.rs and matrix.rs.
    ("docs/secrets.md", "hubctl secrets exec api-token -- printenv API_TOKEN", Elsewhere),
    ("docs/secrets.md", "hubctl secrets check --staged", Elsewhere),
    // secrets/hosts.rs.
    ("docs/secrets.md", "hubctl secrets hosts", Elsewhere),
    ("docs/secrets.md", "hubctl secrets hosts add razer", Elsewhere),
    ("docs/secrets.md", "hubctl secrets status --matrix", Elsewhere),
    // live_secrets.rs.
    ("docs/secrets.md", "hubctl secrets status --live", Elsewhere),
    ("docs/secrets.md", "hubctl secrets check --hosts", Elsewhere),
    // secrets/rotate.rs.
    ("docs/secrets.md", "hubctl secrets rotate api-token --generate password:length=40", Elsewhere),
    ("docs/secrets.md", "hubctl secrets rotate --due --dry-run", Elsewhere),
    ("docs/secrets.md", "hubctl secrets history", Elsewhere),
    ("docs/secrets.md", "hubctl secrets hosts add razer --generate --yes >/dev/shm/key", Elsewhere),
    // secrets/exec.rs.
    ("docs/secrets.md", "hubctl secrets exec api-token=TOKEN --file tls-key -- ./serve --port 80", Elsewhere),
    // secrets/agenix.rs.
    ("docs/secrets.md", r#"ln -s "$(command -v hubctl)" ~/.local/bin/agenix"#, Elsewhere),
    ("docs/secrets.md", "agenix -e api-token.age", Elsewhere),
    ("docs/secrets.md", "agenix -d api-token.age -i ~/.ssh/id_ed25519", Elsewhere),
    ("docs/secrets.md", "agenix -r", Elsewhere),
    // update.rs.
    ("docs/updating.md", "hubctl update --check", Elsewhere),
    ("docs/updating.md", "hubctl update --dry-run", Elsewhere),
    ("docs/updating.md", "hubctl update nixpkgs", Elsewhere),
    ("docs/updating.md", "hubctl update --commit --deploy --canary 1", Elsewhere),
];

fn text(document: &str) -> String {
    fs::read_to_string(Path::new(REPOSITORY).join(document)).unwrap()
}

/// The README and what is in `docs/`, with their names.
fn documents() -> Vec<String> {
    let names = fs::read_dir(Path::new(REPOSITORY).join("docs")).unwrap().flatten().map(|entry| entry.file_name());
    let mut names: Vec<_> = names.map(|name| format!("docs/{}", name.to_string_lossy())).collect();
    names.retain(|name| Path::new(name).extension().is_some_and(|extension| extension == "md"));
    names.push("README.md".to_owned());
    names.sort();
    names
}

/// The lines of a document's blocks of shell commands.
fn lines_of(document: &str) -> Vec<String> {
    let text = text(document);
    let blocks = text.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n"));
    blocks.flat_map(str::lines).map(str::to_owned).collect()
}

#[test]
fn every_documented_command_is_one_that_is_proved() {
    let found: Vec<_> = documents()
        .into_iter()
        .flat_map(|name| lines_of(&name).into_iter().map(move |line| (name.clone(), line)))
        .collect();
    let known: Vec<_> = LINES.iter().map(|(name, line, _)| ((*name).to_owned(), (*line).to_owned())).collect();
    assert_eq!(found, known);
}

#[test]
fn the_commands_of_the_documents_do_what_they_say() {
    let lab = Lab::up(&["p620", "p510", "razer", "samsung"]);
    // The hosts run NixOS already, as a reader's do.
    Hub::new(&lab).run(&["quick-deploy", "*"]).exits(0);
    let hub = Hub::new(&lab);
    fs::remove_file(hub.root().join("hub.toml")).unwrap();
    hub.write("shared/motd.txt", "From hubctl.\n");
    hub.commit("without hub.toml");
    let mut edits = 0;
    for (document, line, how) in LINES {
        let said = match how {
            Prints(said) => said,
            PrintsAfterAnEdit(said) => {
                edits += 1;
                hub.set_host("p620", &format!(r#"motd = "edit {edits}";"#));
                hub.run(&["quick-deploy", "p620"]).exits(0);
                said
            }
            Script | Elsewhere => continue,
        };
        let ran = hub.shell(line).exits(0);
        assert!(format!("{}{}", ran.stdout, ran.stderr).contains(said), "{document}: {line}: no `{said}` in {ran:?}");
    }
    // The second generation is the first that hubctl made, without an edit.
    let motd = lab.ssh("p620", "cat /etc/lab-motd");
    assert!(motd.contains("From hubctl.") && !motd.contains("edit"), "{motd}");
}

#[test]
fn the_lab_is_used_by_hand_as_its_document_says() {
    let dir = tempfile::Builder::new().prefix("hx").tempdir_in("/tmp").unwrap();
    let hub = dir.path().join("hub");
    let script: Vec<_> = LINES.iter().filter(|(_, _, how)| matches!(how, Script)).map(|(_, line, _)| *line).collect();
    let script = script.join("\n").replace("/tmp/hub", hub.to_str().unwrap());
    let pid = std::process::id();
    let ran: Finished = Command::new("bash")
        // The lab must end with this test also when the script does not come to its last line.
        .args(["-euc", &format!("trap 'dev/lab down' EXIT\ndev/lab up --owner {pid}\n{script}")])
        .current_dir(REPOSITORY)
        .env("HUBCTL_LAB", format!("t{pid}-by-hand"))
        .env("PATH", Hub::path())
        .env("HOME", dir.path())
        .env("XDG_STATE_HOME", dir.path().join("state"))
        .env("XDG_RUNTIME_DIR", dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap()
        .into();
    ran.exits(0).says("4 hosts deployed");
    assert!(!Path::new(&format!("/run/hubctl-lab/t{pid}-by-hand")).exists());
}

#[test]
fn the_readme_names_every_exit_code_and_only_outcomes_that_exist() {
    let readme = text("README.md");
    let table = readme.split("| exit | when |").nth(1).unwrap().split("\n\n").next().unwrap();
    let rows: Vec<Vec<&str>> = table.lines().skip(2).map(|row| row.trim_matches('|').split('|').collect()).collect();
    let codes: Vec<u8> = rows.iter().map(|row| row[0].trim().parse().unwrap()).collect();
    assert_eq!(codes, Exit::TABLE.iter().map(|(exit, _)| exit.code()).collect::<Vec<_>>());
    for row in rows {
        for name in row[2].split('`').skip(1).step_by(2) {
            let outcome = Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == name);
            let exit = hubctl::report::exit_of(outcome);
            assert_eq!(exit.code().to_string(), row[0].trim(), "{name}");
        }
    }
}

#[test]
fn the_layers_of_the_architecture_are_those_of_the_crate() {
    let documented = text("docs/architecture.md");
    let documented: Vec<&str> =
        documented.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let crate_root = text("src/lib.rs");
    let block = crate_root.split("```").nth(1).unwrap();
    let layers: Vec<&str> = block.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(documented, layers);
}
