//! `hook`: what git has checked before a commit, by git itself.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::format::with_own_formatter;
use crate::support::{Finished, Hub};

/// Commits what is staged, with the program under test on the search path.
fn commit(hub: &Hub, words: &str) -> Finished {
    let path = Hub::path().into_string().unwrap();
    hub.shell(&format!("PATH='{path}' git -c user.name=Test -c user.email=test@example.org commit {words} --message x"))
}

/// A hub whose files are formatted and of which nothing is found.
fn clean() -> Hub {
    let hub = Hub::offline();
    hub.run(&["format"]).exits(0);
    hub.run(&["lint", "--baseline", "write"]).exits(0);
    hub.commit("clean");
    hub
}

#[test]
fn only_what_is_staged_is_checked() {
    let hub = clean();
    hub.run(&["hook", "install"]).exits(0).says("checks what is committed from now on");
    let file = hub.root().join("modules/a.nix");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "let x = 1; in { }\n").unwrap();
    hub.git(&["add", "modules/a.nix"]);
    // What is staged counts, whatever the work tree has meanwhile.
    fs::write(&file, "{ }\n").unwrap();
    // git has hooks speak to its stderr.
    commit(&hub, "").exits(1).says("unused-binding");
    hub.git(&["add", "modules/a.nix"]);
    fs::write(&file, "let x = 1; in { }\n").unwrap();
    let ended = commit(&hub, "");
    assert!(!ended.stderr.contains("unused-binding"), "{ended:?}");
    ended.exits(0);

    fs::write(&file, "{a=1;}\n").unwrap();
    commit(&hub, "--all")
        .exits(1)
        .says("not formatted: modules/a.nix")
        .says("`hubctl format modules/a.nix && git add modules/a.nix`");
    commit(&hub, "--all --no-verify").exits(0);
    fs::write(&file, "{ a = 1 }\n").unwrap();
    let partial = "{ }\n";
    fs::write(hub.root().join("modules/b.nix"), partial).unwrap();
    hub.git(&["add", "modules/b.nix"]);
    // A commit of some files has an index of its own.
    commit(&hub, "modules/b.nix").exits(0);
    commit(&hub, "--all").exits(1);
}

#[test]
fn a_hook_is_kept_replaced_and_removed_as_it_is_whose() {
    let hub = clean();
    let hook = hub.root().join(".git/hooks/pre-commit");
    let _ = fs::remove_file(&hook);
    hub.run(&["hook", "uninstall"]).exits(0).says("there is no hook");
    hub.run(&["hook", "install"]).exits(0);
    assert!(fs::metadata(&hook).unwrap().permissions().mode() & 0o111 != 0);
    hub.run(&["hook", "install", "--no-format"]).exits(0);
    assert!(fs::read_to_string(&hook).unwrap().contains("hook run --no-format"));
    fs::create_dir_all(hub.root().join("modules")).unwrap();
    fs::write(hub.root().join("modules/a.nix"), "{a=1;}\n").unwrap();
    hub.git(&["add", "modules/a.nix"]);
    commit(&hub, "").exits(0);
    hub.run(&["hook", "uninstall"]).exits(0).says("is removed");
    assert!(!hook.exists());

    fs::write(&hook, "#!/bin/sh\nexit 0\n").unwrap();
    for words in [["hook", "install"], ["hook", "uninstall"]] {
        hub.run(&words).exits(5);
    }
    hub.run(&["hook", "install"]).exits(5).says("there is a hook already").says("hubctl --flake . hook run || exit 1");
    assert_eq!(fs::read_to_string(&hook).unwrap(), "#!/bin/sh\nexit 0\n");
}

#[test]
fn hooks_are_where_git_looks_for_them() {
    let hub = clean();
    let _ = fs::remove_file(hub.root().join(".git/hooks/pre-commit"));
    hub.git(&["config", "core.hooksPath", ".githooks"]);
    hub.run(&["hook", "install"]).exits(0);
    assert!(hub.root().join(".githooks/pre-commit").exists());
    hub.git(&["config", "core.hooksPath", "/somewhere/else"]);
    hub.run(&["hook", "install"]).exits(5).says("has the hooks of other repositories too");
    hub.git(&["config", "--unset", "core.hooksPath"]);
    // The hooks of a work tree beside are those of the repository.
    hub.git(&["worktree", "add", "--quiet", "../beside"]);
    let beside = hub.root().join("../beside");
    hub.run(&["--flake", beside.to_str().unwrap(), "hook", "install"]).exits(0);
    assert!(hub.root().join(".git/hooks/pre-commit").exists());
    fs::write(beside.join("a.nix"), "let x = 1; in { }\n").unwrap();
    let path = Hub::path().into_string().unwrap();
    let commit = "git add a.nix && git -c user.name=T -c user.email=t@example.org commit --message x";
    hub.shell(&format!("cd ../beside && export PATH='{path}' && {commit}")).exits(1).says("unused-binding");
}

#[test]
fn a_flake_below_the_top_is_checked_as_one_at_the_top() {
    let hub = clean();
    let _ = fs::remove_file(hub.root().join(".git/hooks/pre-commit"));
    fs::create_dir_all(hub.root().join("inner")).unwrap();
    fs::write(hub.root().join("inner/flake.nix"), "{\n  outputs = _: { };\n}\n").unwrap();
    hub.git(&["add", "inner"]);
    hub.run(&["--flake", "inner", "hook", "install"]).exits(0);
    commit(&hub, "").exits(0);
    fs::write(hub.root().join("inner/a.nix"), "let x = 1; in { }\n").unwrap();
    fs::write(hub.root().join("b.nix"), "let y = 1; in { }\n").unwrap();
    hub.git(&["add", "inner/a.nix", "b.nix"]);
    let ended =
        commit(&hub, "").exits(1).says("`x` is not used").says("`hubctl format inner/a.nix && git add inner/a.nix`");
    assert!(!ended.stderr.contains("`y`"), "{}", ended.stderr);
    let plain = tempfile::tempdir().unwrap();
    fs::write(plain.path().join("flake.nix"), "{ }\n").unwrap();
    hub.run(&["--flake", plain.path().to_str().unwrap(), "hook", "install"]).exits(2).says("git init");
}

#[test]
fn the_flakes_own_formatter_decides_where_it_is_at_hand() {
    let hub = with_own_formatter();
    hub.run(&["lint", "--baseline", "write"]).exits(0);
    hub.run(&["hook", "install"]).exits(0);
    hub.write("modules/a.nix", "{a=1;}\n");
    hub.git(&["add", "--all"]);
    commit(&hub, "").exits(0).says("formatter is not at hand");
    hub.run(&["format"]).exits(0);
    hub.git(&["add", "--all"]);
    let ended = commit(&hub, "");
    assert!(!ended.stderr.contains("at hand"), "{ended:?}");
    ended.exits(0);
    hub.write("modules/b.nix", "{a=1;}\n");
    hub.git(&["add", "--all"]);
    // What is staged counts, and nothing of it is changed.
    hub.write("modules/b.nix", "# ours\n{ a = 1; }\n");
    commit(&hub, "").exits(1).says("not formatted: modules/b.nix");
    hub.git(&["add", "--all"]);
    commit(&hub, "").exits(0);
    hub.run(&["hook", "install", "--formatter", "rfc"]).exits(0);
    hub.write("modules/b.nix", "# ours\n{a=1;}\n");
    hub.git(&["add", "--all"]);
    commit(&hub, "").exits(1).says("not formatted: modules/b.nix");
}

#[test]
fn secrets_that_are_not_encrypted_are_not_committed() {
    let hub = clean();
    hub.run(&["hook", "install"]).exits(0);
    let key = format!("AGE-SECRET-KEY-1{}\n", "Q".repeat(58));
    hub.write("key.txt", &key);
    hub.git(&["add", "key.txt"]);
    // No Nix file is needed for that.
    let ended = commit(&hub, "").exits(1).says("error[plain-secret]: has a private key in it").says("key.txt");
    assert!(!ended.stderr.contains("QQQQ"), "{}", ended.stderr);
    hub.git(&["rm", "--quiet", "--cached", "key.txt"]);
    let rules = "{\n  \"secrets/a.age\".publicKeys = [\n    \"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\"\n  ];\n}\n";
    hub.write("secrets.nix", rules);
    hub.write("secrets/a", "hunter2\n");
    hub.git(&["add", "secrets/a"]);
    commit(&hub, "").exits(1).says("named as a secret's plaintext").says("secrets/a");
}
