//! Programs that get secrets.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use super::commands::Secrets;

/// How many files in memory have this content, which no other test has.
fn in_memory(secrets: &Secrets, content: &str) -> usize {
    let places = [secrets.home().with_file_name("run"), "/dev/shm".into()];
    let dirs = places.iter().flat_map(|place| fs::read_dir(place).into_iter().flatten().flatten());
    let files = dirs.flat_map(|dir| fs::read_dir(dir.path()).into_iter().flatten().flatten());
    files.filter(|file| fs::read_to_string(file.path()).is_ok_and(|text| text == content)).count()
}

/// A secret with a content that no other test has.
fn with_own() -> (Secrets, String) {
    let secrets = Secrets::with(2);
    let content = format!("of {}", secrets.home().display());
    secrets.set("s0", &content).exits(0);
    (secrets, content)
}

#[test]
fn a_program_gets_secrets_in_variables_and_files() {
    let (secrets, own) = with_own();
    secrets.set("s1", "with an end\n").exits(0);
    let script = r#"printf '%s|%s|' "$S0" "$TOKEN"; cat "$S0_FILE"; stat -f -c '|%T|' "$S0_FILE"; stat -c '%a' "$S0_FILE"; exit 7"#;
    let run =
        secrets.hub.run(&["secrets", "exec", "s0", "s1=TOKEN", "--file", "s0", "--", "sh", "-c", script]).exits(7);
    assert_eq!(run.stdout, format!("{own}|with an end|{own}|tmpfs|\n600\n"));
    assert_eq!(run.stderr, "");
    // Its input is the program's.
    let run = secrets.run_with(&["secrets", "exec", "s0", "--", "sh", "-c", "cat; env | grep -c ^S"], "in ").exits(0);
    assert!(run.stdout.starts_with("in "), "{}", run.stdout);
    assert_eq!(in_memory(&secrets, &own), 0);
}

#[test]
fn what_cannot_be_given_is_refused_before_anything_runs() {
    let secrets = Secrets::with(2);
    let ran = secrets.home().join("ran");
    let touch = ran.display().to_string();
    let with = |words: &[&str]| {
        let words: Vec<_> = ["secrets", "exec"].iter().chain(words).chain(&["--", "touch", &touch]).copied().collect();
        secrets.hub.run(&words)
    };
    with(&["s0=A", "s1=A"]).exits(2).says("two secrets are to be in A");
    with(&["s0=1A"]).exits(2).says("`1A` is no name of a variable");
    with(&["s7"]).exits(2).says("no rule is named `s7`");
    with(&["s0", "--value", "a/b"]).exits(2).says("--value is for one file of SOPS");
    with(&[]).exits(2);
    secrets.run_with(&["secrets", "set", "s1"], "a\0b").exits(0);
    with(&["s1"]).exits(2).says("has a zero byte");
    assert!(!ran.exists());
    with(&["--file", "s1"]).exits(0);
    assert!(ran.exists());
    let none = secrets.hub.run(&["secrets", "exec", "s0", "--", "/no/such/program"]).exits(127);
    none.says("`/no/such/program` is not installed");
}

#[test]
fn signals_and_their_end_are_passed_on_and_files_wiped() {
    let (secrets, own) = with_own();
    for (signal, trap, code) in [("TERM", "trap 'exit 9' TERM", 9), ("INT", "trap 'exit 8' INT", 8), ("USR1", ":", 138)]
    {
        let script = format!("{trap}; echo ready; while :; do sleep 0.05; done");
        let command = secrets.hub.command(&["secrets", "exec", "--file", "s0", "--", "sh", "-c", &script]);
        // As from a script: there is no terminal whose signals all would get.
        let mut setsid = Command::new("setsid");
        setsid.arg("--wait").arg(command.get_program()).args(command.get_args());
        setsid.env_clear().envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
        let mut child = setsid.current_dir(secrets.hub.root()).stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = [0; 6];
        child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
        assert_eq!(in_memory(&secrets, &own), 1);
        let hubctl = children(child.id()).pop().unwrap_or(child.id());
        assert!(Command::new("kill").arg(format!("-{signal}")).arg(hubctl.to_string()).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(code), "{signal}");
        assert_eq!(in_memory(&secrets, &own), 0, "{signal}");
    }
}

/// The processes that a process has started.
fn children(of: u32) -> Vec<u32> {
    let listed = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
    listed.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn files_of_sops_give_values_or_all_of_them() {
    let secrets = Secrets::with(1);
    let me = secrets.public(".ssh/id_ed25519");
    secrets.hub.write(".sops.yaml", &format!("creation_rules:\n  - age: {me}\n"));
    secrets.set("app.env", "USER_NAME=alice\nPASSWORD=hunter2\n").exits(0);
    secrets.set("kube.yaml", "token: abc\non: true\ndb:\n  password: deep\n").exits(0);
    secrets.set("flat.yaml", "token: abc\non: true\nport: 80\n").exits(0);
    let run = |words: &[&str], script: &str| {
        let words: Vec<_> =
            ["secrets", "exec"].iter().chain(words).chain(&["--", "sh", "-c", script]).copied().collect();
        secrets.hub.run(&words)
    };
    assert_eq!(run(&["app.env", "s0"], "echo $USER_NAME $PASSWORD $S0").exits(0).stdout, "alice hunter2 value 0\n");
    assert_eq!(run(&["flat.yaml"], "echo $token $on $port").exits(0).stdout, "abc true 80\n");
    let nested = run(&["kube.yaml"], "echo no").exits(1);
    nested.says("`db/password` is below another key").says("--value");
    let values = ["kube.yaml", "--value", "db/password", "--value", "token=T"];
    assert_eq!(run(&values, "echo $DB_PASSWORD $T").exits(0).stdout, "deep abc\n");
    let whole =
        run(&["--file", "kube.yaml=KUBECONFIG"], r#"cat "$KUBECONFIG"; basename "$KUBECONFIG""#).exits(0).stdout;
    assert_eq!(whole, "token: abc\non: true\ndb:\n  password: deep\nkube.yaml\n");
    assert_eq!(run(&["kube.yaml=ALL"], r#"echo "$ALL" | head -n 1"#).exits(0).stdout, "token: abc\n");
}

#[test]
fn without_a_place_in_memory_no_file_is_made() {
    let mut secrets = Secrets::with(1);
    let disk = secrets.home().join("disk");
    fs::create_dir(&disk).unwrap();
    fs::set_permissions(&disk, fs::Permissions::from_mode(0o700)).unwrap();
    secrets.hub.set_env("XDG_RUNTIME_DIR", &disk.display().to_string());
    // In a view of the files in which /dev/shm is on a disk.
    let script =
        format!("mount --bind {0} /dev/shm && hubctl secrets exec --file s0 -- cat /etc/hostname", disk.display());
    let run = secrets.hub.shell(&format!("unshare --mount sh -c '{script}'")).exits(5);
    assert!(run.stdout.is_empty(), "{}", run.stdout);
    run.says("neither $XDG_RUNTIME_DIR nor /dev/shm is in memory");
}
