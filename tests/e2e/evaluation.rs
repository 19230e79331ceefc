//! Evaluation that is incremental: only hosts that read what was edited are evaluated, and every answer is the right one.

use std::collections::BTreeMap;

use crate::support::{Finished, Hub};

/// Whether each host was known from before, by the events of a run.
fn cached(run: &Finished) -> BTreeMap<String, bool> {
    let told = run.events().into_iter().filter(|event| event["event"] == "evaluated");
    told.map(|event| (event["host"].as_str().unwrap().to_owned(), event["cached"].as_bool().unwrap())).collect()
}

/// The hosts that a test of all hosts evaluates.
fn evaluated(hub: &Hub) -> Vec<String> {
    let run = hub.json(&["test-all", "--parallel"]).exits(0);
    cached(&run).into_iter().filter(|(_, cached)| !cached).map(|(host, _)| host).collect()
}

#[test]
fn only_hosts_that_read_what_was_edited_are_evaluated() {
    let hub = Hub::offline();
    let nobody: Vec<String> = Vec::new();
    assert_eq!(evaluated(&hub), ["p510", "p620", "razer", "samsung"]);
    assert_eq!(evaluated(&hub), nobody);

    hub.write("README.md", "A fleet of four.\n");
    assert_eq!(evaluated(&hub), nobody);
    hub.write("notes.txt", "New.\n");
    assert_eq!(evaluated(&hub).len(), 4, "a file that comes may be one that is looked for");
    hub.commit("notes");
    assert_eq!(evaluated(&hub), nobody);

    hub.write("hosts/p620/motd.txt", "Edited.\n");
    assert_eq!(evaluated(&hub), ["p620"]);
    hub.write("shared/laptop.nix", &hub.committed("shared/laptop.nix").replace('{', "{ # edited\n"));
    assert_eq!(evaluated(&hub), ["razer", "samsung"]);
    hub.write("shared/motd.txt", "Edited.\n");
    assert_eq!(evaluated(&hub), ["p510", "p620", "razer", "samsung"]);

    hub.git(&["stash", "--quiet"]);
    assert_eq!(evaluated(&hub), nobody, "what was evaluated before is known when it is back");
    let run = hub.json(&["test-all", "--no-cache"]).exits(0);
    assert!(cached(&run).values().all(|cached| !cached));
    hub.run(&["cache", "verify"]).exits(0).prints("right");
}

#[test]
fn outputs_that_are_known_are_looked_for_all_at_once() {
    let mut hub = Hub::offline();
    // A system that no other test has: what is in use is not deleted.
    hub.set_host("p510", &format!("motd = \"{}\";", hub.root().display()));
    evaluated(&hub);
    hub.set_env("HUBCTL_LOG", "hubctl::process=debug");
    let started = |hub: &Hub| {
        let run = hub.run(&["test-all", "--parallel"]).exits(0);
        run.stderr.matches("nix-store").count()
    };
    assert_eq!(started(&hub), 0, "the store's database tells");
    // Where the store might be another one than the usual, Nix is asked.
    hub.set_env("NIX_STATE_DIR", "/nix/var/nix");
    assert_eq!(started(&hub), 1, "one question does for all hosts");
    // One that is gone is found to be gone, and built again.
    let wanted = hub.json(&["test-host", "p510"]).events();
    let wanted = wanted.iter().find_map(|event| event["wanted"].as_str()).unwrap().to_owned();
    hub.shell(&format!("nix-store --delete {wanted}")).exits(0);
    hub.run(&["test-all", "--parallel"]).exits(0);
    assert!(std::path::Path::new(&wanted).exists());
}

#[test]
fn other_settings_of_nix_are_another_question() {
    let hub = Hub::offline();
    evaluated(&hub);
    let run = hub.json(&["test-all", "--option", "allow-import-from-derivation", "false"]).exits(0);
    assert!(cached(&run).values().all(|cached| !cached));
    let run = hub.json(&["test-all", "--impure"]).exits(0);
    assert!(cached(&run).values().all(|cached| !cached), "impure evaluation is never known");
}

#[test]
fn a_wrong_answer_is_found_and_forgotten() {
    let hub = Hub::offline();
    evaluated(&hub);
    let database = rusqlite::Connection::open(hub.state().join("state.db")).unwrap();
    let plant = "UPDATE evaluation SET answer = replace(answer, 'nixos-system-p510', 'nixos-system-p511')
                 WHERE subject LIKE '%\"p510\"%'";
    assert_eq!(database.execute(plant, []).unwrap(), 1);
    drop(database);

    let found = hub.run(&["cache", "verify", "--json"]).exits(1).json();
    let words: BTreeMap<_, _> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["host"].as_str().unwrap(), one["kept"].as_str().unwrap()))
        .collect();
    assert_eq!(words, [("p510", "wrong"), ("p620", "right"), ("razer", "right"), ("samsung", "right")].into());
    assert_eq!(evaluated(&hub), ["p510"]);
    hub.run(&["cache", "verify"]).exits(0);
}

#[test]
fn why_tells_the_file_that_changed() {
    let hub = Hub::offline();
    evaluated(&hub);
    hub.write("hosts/razer/motd.txt", "Edited.\n");
    let now = hub.run(&["why", "razer", "--offline"]).exits(0);
    now.prints("it is evaluated with the next run: hosts/razer/motd.txt changed, which was read");
    evaluated(&hub);
    hub.run(&["why", "razer", "--offline"]).exits(0).prints("because hosts/razer/motd.txt changed, which was read");
    let files = hub.run(&["why", "razer", "--offline", "--files"]).exits(0);
    assert!(files.stdout.contains("hosts/razer/default.nix") && !files.stdout.contains("hosts/samsung"), "{files:?}");
    hub.run(&["cache", "clear"]).exits(0).says("forgot");
    assert_eq!(evaluated(&hub).len(), 4);
}

#[test]
fn a_source_that_is_large_is_pointed_out_once() {
    let hub = Hub::offline();
    let image = |name: &str, mib: u64| {
        let file = format!("assets/images/{name}");
        hub.write(&file, "");
        std::fs::File::create(hub.root().join(file)).unwrap().set_len(mib * 1024 * 1024).unwrap();
    };
    let is_told = || hub.run(&["hosts"]).exits(0).stderr.contains("the flake's source is large");
    image("live.iso", 60);
    assert!(!is_told());
    image("disk.img", 50);
    let told = hub.run(&["hosts"]).exits(0);
    told.says("the flake's source is large").says("\n  assets/images/: 2 files, 110 MiB\n").says("hint: ");
    hub.write("hosts/p620/motd.txt", "Edited.\n");
    assert!(!is_told(), "it is as large as it was");
    image("more.img", 60);
    assert!(is_told(), "it has grown by a good part");
    hub.git(&["rm", "-r", "--quiet", "--force", "assets"]);
    assert!(!is_told());
    image("live.iso", 110);
    assert!(is_told(), "it was small meanwhile");
}

#[test]
fn a_file_that_code_names_and_git_does_not_track_is_told() {
    let hub = Hub::offline();
    let put = |file: &str| std::fs::write(hub.root().join(file), "New.\n").unwrap();
    put("hosts/p620/new.txt");
    let quiet = hub.run(&["hosts"]).exits(0);
    assert!(!quiet.stderr.contains("does not see"), "{quiet:?}");

    // Code that does without the file would not say a word of it.
    hub.set_host("p620", "motd = if builtins.pathExists ./new.txt then builtins.readFile ./new.txt else \"\";");
    let told = hub.run(&["test-host", "p620"]).exits(0);
    let told = told
        .says("warning: the flake does not see hosts/p620/new.txt (named in hosts/p620/default.nix)")
        .says("hint: `git add hosts/p620/new.txt`: a flake does not see what git does not track");
    assert_eq!(told.stderr.matches("does not see hosts").count(), 1, "once per run: {told:?}");

    hub.set_host("p620", "motd = builtins.readFile ./new.txt;");
    hub.run(&["test-host", "p620", "--json"]).exits(1).prints("`git add hosts/p620/new.txt`");
    hub.write(".gitignore", "new.txt\n");
    let ignored = hub.run(&["test-host", "p620"]).exits(1);
    let ignored = ignored.says("git is told to ignore hosts/p620/new.txt, and so the flake does not see it");
    assert!(!ignored.stderr.contains("git add"), "{ignored:?}");

    hub.git(&["add", "--force", "hosts/p620/new.txt"]);
    hub.run(&["test-host", "p620"]).exits(0);

    // Hosts that are found by reading a directory, and code without which there is not even a list of them.
    std::fs::create_dir(hub.root().join("hosts/another")).unwrap();
    put("hosts/another/default.nix");
    hub.run(&["hosts"]).exits(0).says("does not see hosts/another (named in flake.nix)");
    let listing =
        hub.committed("flake.nix").replace("readDir ./hosts", "readDir (builtins.seq (import ./list.nix) ./hosts)");
    hub.write("flake.nix", &listing);
    put("list.nix");
    let both = hub.run(&["hosts"]).exits(2);
    both.says("the flake does not see 2 files").says("hint: `git add list.nix`");
}
