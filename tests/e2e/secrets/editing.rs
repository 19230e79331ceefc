//! Secrets in an editor, and nowhere else.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::commands::Secrets;
use crate::support::Finished;

impl Secrets {
    /// Edits a secret with a line of shell, in which `$1` is the file.
    fn edit(&mut self, name: &str, line: &str) -> Finished {
        let editor = self.home().join("editor");
        fs::write(&editor, format!("#!/bin/sh\nset -e\n{line}\n")).unwrap();
        fs::set_permissions(&editor, fs::Permissions::from_mode(0o755)).unwrap();
        self.hub.set_env("EDITOR", editor.to_str().unwrap());
        self.hub.run(&["secrets", "edit", name])
    }
}

/// Where secrets are edited and some still is.
fn left() -> Vec<String> {
    let entries = fs::read_dir("/dev/shm").unwrap().flatten().map(|one| one.file_name().into_string().unwrap());
    entries.filter(|name| name.starts_with("hubctl-edit-")).collect()
}

#[test]
fn a_secret_is_edited_in_memory_and_nothing_of_it_stays() {
    let mut secrets = Secrets::with(1);
    let seen = secrets.home().join("seen");
    let line = format!(
        "cat $1 > /dev/null; stat -f -c %T $1 >> {0}; stat -c %a $1 $(dirname $1) >> {0}; echo $1 >> {0}; \
         ulimit -c >> {0}; printf canary-4711 > $1.new; mv $1.new $1",
        seen.display()
    );
    secrets.edit("s0", &line).exits(0).says("secrets/s0.age is changed");
    assert_eq!(secrets.hub.run(&["secrets", "show", "s0"]).exits(0).stdout, "canary-4711");
    let seen = fs::read_to_string(seen).unwrap();
    let seen: Vec<_> = seen.lines().collect();
    assert_eq!((seen[0], seen[1], seen[2], seen[4]), ("tmpfs", "600", "700", "0"), "{seen:?}");
    assert!(!Path::new(seen[3]).exists() && !Path::new(seen[3]).parent().unwrap().exists(), "{left:?}", left = left());
    // Nor is it anywhere where hubctl writes.
    let all = secrets.hub.root().parent().unwrap().to_path_buf();
    let found =
        std::process::Command::new("grep").args(["-rl", "canary-4711"]).arg(&all).arg("/dev/shm").output().unwrap();
    let found = String::from_utf8(found.stdout).unwrap();
    let strays: Vec<_> = found.lines().filter(|file| !file.ends_with("home/editor")).collect();
    assert_eq!(strays, Vec::<&str>::new());
}

#[test]
fn an_editor_that_changes_nothing_or_fails_leaves_the_file_as_it_was() {
    let mut secrets = Secrets::with(1);
    let before = secrets.files();
    secrets.edit("s0", "true").exits(0).says("is unchanged");
    secrets.edit("s0", "printf new > $1; exit 3").exits(1).says("nothing was changed");
    secrets.edit("s0", "printf ' ' > $1").exits(5).says("would have no content");
    secrets.edit("s0", "rm $1; ln -s /etc/passwd $1").exits(1);
    secrets.edit("s0", "kill -9 $$").exits(1);
    assert_eq!(secrets.files(), before);
    for (editor, text) in
        [("code", "have it wait"), ("vim '", "quotes do not match"), ("", "neither VISUAL nor EDITOR")]
    {
        secrets.hub.set_env("EDITOR", editor);
        secrets.hub.run(&["secrets", "edit", "s0"]).exits(2).says(text);
    }
    assert_eq!(secrets.files(), before);
}

#[test]
fn a_secret_that_its_name_calls_json_has_to_be_json() {
    let mut secrets = Secrets::new();
    let rule =
        format!("{{\n  \"secrets/app.json.age\".publicKeys = [ \"{}\" ];\n}}\n", secrets.public(".ssh/id_ed25519"));
    secrets.hub.write("secrets.nix", &rule);
    fs::create_dir_all(secrets.hub.root().join("secrets")).unwrap();
    let told = secrets.set("app.json", "{\n \"a\": hunter2 }").exits(5).says("it is no JSON, from line 2 on");
    assert!(!told.stderr.contains("hunter2"), "{}", told.stderr);
    secrets.set("app.json", "{ \"a\": 1 }").exits(0);
    let before = secrets.files();
    secrets.edit("app.json", "printf '{' > $1").exits(5).says("no JSON");
    assert_eq!(secrets.files(), before);
    secrets.edit("app.json", "printf '[ 2 ]' > $1").exits(0);
    assert_eq!(secrets.hub.run(&["secrets", "show", "app.json"]).exits(0).stdout, "[ 2 ]");
}

#[test]
fn what_a_run_that_was_killed_had_in_its_editor_is_swept_up() {
    let mut secrets = Secrets::with(1);
    let seen = secrets.home().join("seen");
    secrets.edit("s0", &format!("dirname $1 > {}; kill -9 $PPID", seen.display()));
    let dir = fs::read_to_string(seen).unwrap().trim().to_owned();
    assert!(Path::new(&dir).exists());
    secrets.edit("s0", "true").exits(0);
    assert!(!Path::new(&dir).exists());
}

#[test]
fn a_file_of_sops_is_edited_as_its_format_wants_it() {
    let mut secrets = Secrets::new();
    let me = secrets.public(".ssh/id_ed25519");
    let me = me.split(' ').take(2).collect::<Vec<_>>().join(" ");
    secrets.hub.write(".sops.yaml", &format!("creation_rules:\n  - path_regex: ^secrets/\n    age: {me}\n"));
    fs::create_dir_all(secrets.hub.root().join("secrets")).unwrap();
    secrets
        .edit("secrets/web.yaml", "printf '# of the web\\nuser: alice\\npassword: hunter2\\n' > $1")
        .exits(0)
        .says("is changed");
    let file = secrets.hub.root().join("secrets/web.yaml");
    let made = fs::read_to_string(&file).unwrap();
    assert!(!made.contains("hunter2") && made.contains("user: ENC["), "{made}");
    secrets.edit("secrets/web.yaml", "true").exits(0).says("is unchanged");
    let told = secrets.edit("secrets/web.yaml", "printf 'user: [hunter2' > $1").exits(5).says("secrets/web.yaml: line");
    assert!(!told.stderr.contains("hunter2"), "{}", told.stderr);
    secrets.edit("secrets/web.yaml", "sed -i s/alice/bob/ $1; exit 4").exits(1);
    secrets.edit("secrets/web.yaml", "printf '\\n' > $1").exits(5).says("would have no content");
    assert_eq!(fs::read_to_string(&file).unwrap(), made);
    secrets.edit("secrets/web.yaml", "sed -i s/alice/bob/ $1").exits(0);
    let changed = fs::read_to_string(&file).unwrap();
    let kept =
        |start: &str| made.lines().find(|line| line.starts_with(start)).is_some_and(|line| changed.contains(line));
    assert!(kept("password") && kept("#") && !kept("user"), "only what is another changes: {changed}");
    let shown = secrets.hub.run(&["secrets", "show", "secrets/web.yaml"]).exits(0).stdout;
    assert_eq!(shown, "# of the web\nuser: bob\npassword: hunter2\n");
    secrets.edit("other/web.yaml", "true").exits(2);
}
