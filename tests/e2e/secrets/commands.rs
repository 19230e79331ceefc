//! The commands, in a repository with secrets.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::{Finished, Hub};

/// A hub with secrets, and a key of its user.
pub(super) struct Secrets {
    pub(super) hub: Hub,
}

impl Secrets {
    /// Two keys, and no rules yet.
    pub(super) fn new() -> Self {
        let secrets = Self { hub: Hub::offline() };
        fs::create_dir_all(secrets.home().join(".ssh")).unwrap();
        secrets.keygen(".ssh/id_ed25519", "tester");
        for host in ["p620", "p510"] {
            secrets.keygen(host, &format!("root@{host}"));
        }
        secrets
    }

    /// The same, with rules for so many secrets, each readable by the user and by p620, and each set.
    pub(super) fn with(count: usize) -> Self {
        let secrets = Self::new();
        secrets.rules(count, &[".ssh/id_ed25519", "p620"]);
        for at in 0..count {
            secrets.set(&format!("s{at}"), &format!("value {at}")).exits(0);
        }
        secrets.hub.commit("secrets");
        secrets
    }

    pub(super) fn home(&self) -> PathBuf {
        self.hub.root().with_file_name("home")
    }

    fn keygen(&self, name: &str, comment: &str) {
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"]).arg(self.home().join(name));
        assert!(command.status().unwrap().success());
    }

    pub(super) fn public(&self, name: &str) -> String {
        fs::read_to_string(self.home().join(format!("{name}.pub"))).unwrap().trim().to_owned()
    }

    /// Writes rules for so many secrets, for these keys.
    pub(super) fn rules(&self, count: usize, keys: &[&str]) {
        let keys = keys.iter().fold(String::new(), |text, key| text + "    \"" + &self.public(key) + "\"\n");
        let rule = |at: usize| format!("  \"secrets/s{at}.age\".publicKeys = all;\n");
        let rules = (0..count).fold(String::new(), |text, at| text + &rule(at));
        fs::create_dir_all(self.hub.root().join("secrets")).unwrap();
        self.hub.write("secrets.nix", &format!("let\n  all = [\n{keys}  ];\nin\n{{\n{rules}}}\n"));
    }

    pub(super) fn set(&self, name: &str, value: &str) -> Finished {
        self.run_with(&["secrets", "set", name], value)
    }

    /// Runs the program with `input`.
    pub(super) fn run_with(&self, words: &[&str], input: &str) -> Finished {
        let mut command = self.hub.command(words);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // One that fails before it reads closes its input.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap().into()
    }

    /// The content of a secret, as the key `key` has it from Debian's `age`.
    pub(super) fn by_age(&self, key: &str, at: usize) -> Option<String> {
        let file = self.hub.root().join(format!("secrets/s{at}.age"));
        let output = Command::new("age").arg("-d").arg("-i").arg(self.home().join(key)).arg(file).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }

    /// The bytes of all secrets, and nothing else that lies beside them.
    pub(super) fn files(&self) -> Vec<Vec<u8>> {
        let mut names: Vec<_> =
            fs::read_dir(self.hub.root().join("secrets")).unwrap().map(|one| one.unwrap().path()).collect();
        names.sort();
        names.iter().map(|path| fs::read(path).unwrap()).collect()
    }
}

#[test]
fn a_secret_is_set_shown_and_told() {
    let secrets = Secrets::with(2);
    let hub = &secrets.hub;
    assert_eq!(hub.run(&["secrets", "show", "s0"]).exits(0).stdout, "value 0");
    assert_eq!(secrets.by_age("p620", 1).as_deref(), Some("value 1"));
    let status = hub.run(&["secrets", "status", "--check"]).exits(0);
    assert!(status.stdout.contains("secrets/s0.age") && status.stdout.contains("only one human"), "{}", status.stdout);
    let json = hub.json(&["secrets", "status"]).exits(0).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["secrets"][0]["bytes"], 7);
    assert!(!json.to_string().contains("value"), "{json}");
    // From below the repository's root as well.
    let below = hub.shell("cd hosts && hubctl secrets show secrets/s1.age").exits(0);
    assert_eq!(below.stdout, "value 1");
}

#[test]
fn what_is_wrong_with_secrets_is_told_without_a_key() {
    let secrets = Secrets::with(5);
    let hub = &secrets.hub;
    fs::remove_file(secrets.home().join(".ssh/id_ed25519")).unwrap();
    fs::remove_file(hub.root().join("secrets/s0.age")).unwrap();
    fs::write(hub.root().join("secrets/s1.age"), "a plain text\n").unwrap();
    let whole = fs::read(hub.root().join("secrets/s2.age")).unwrap();
    fs::write(hub.root().join("secrets/s2.age"), &whole[..whole.len() - 20]).unwrap();
    hub.git(&["rm", "--quiet", "--cached", "secrets/s3.age"]);
    fs::write(hub.root().join("secrets/old.age"), "").unwrap();
    secrets.rules(5, &[".ssh/id_ed25519", "p510"]);
    let status = hub.run(&["secrets", "status", "--check"]).exits(1).stdout;
    for (name, text) in [
        ("s0", "it has no file"),
        ("s1", "it is not an age file"),
        ("s2", "its content is cut off"),
        ("s3", "git does not know it"),
        ("s4", "not yet for root@p510"),
        ("s4", "still for ssh-ed25519 "),
        ("old", "no rule names it"),
    ] {
        let line = status.lines().find(|line| line.contains(&format!("secrets/{name}.age"))).unwrap();
        assert!(line.contains(text), "{name}: {line}");
    }
    hub.run(&["secrets", "status"]).exits(0);
}

#[test]
fn only_what_drifted_is_encrypted_anew() {
    let secrets = Secrets::with(3);
    let hub = &secrets.hub;
    let before = secrets.files();
    hub.run(&["secrets", "rekey"]).exits(0).says("nothing had to be encrypted anew");
    assert_eq!(secrets.files(), before);
    secrets.rules(3, &[".ssh/id_ed25519", "p510"]);
    let dry = hub.run(&["secrets", "rekey", "--dry-run"]).exits(0).stdout;
    assert!(dry.contains("secrets/s2.age: + root@p510") && dry.lines().count() == 3, "{dry}");
    assert_eq!(secrets.files(), before);
    hub.run(&["secrets", "rekey", "s1"]).exits(0).says("secrets/s1.age is encrypted anew");
    hub.run(&["secrets", "rekey"]).exits(0).says("2 secrets are encrypted anew");
    for at in 0..3 {
        assert_eq!(secrets.by_age("p510", at), Some(format!("value {at}")));
        assert_eq!(secrets.by_age("p620", at), None);
    }
    hub.run(&["secrets", "status", "--check"]).exits(0);
    let now = secrets.files();
    let all = hub.json(&["secrets", "rekey", "--all"]).exits(0);
    assert!(all.stdout.contains("secrets/s0.age"), "{}", all.stdout);
    assert!(now.iter().zip(secrets.files()).all(|(old, new)| *old != new));
}

#[test]
fn a_file_that_is_armored_stays_so_and_a_rule_may_want_it() {
    let secrets = Secrets::with(2);
    let hub = &secrets.hub;
    let file = |at: usize| hub.root().join(format!("secrets/s{at}.age"));
    let is_armored = |at: usize| fs::read(file(at)).unwrap().starts_with(b"-----BEGIN AGE");
    let mut age = Command::new("age");
    age.args(["-a", "-r", &secrets.public(".ssh/id_ed25519"), "-o"]).arg(file(0)).stdin(Stdio::null());
    assert!(age.status().unwrap().success());
    secrets.set("s0", "armored").exits(0);
    assert!(is_armored(0) && !is_armored(1));
    hub.run(&["secrets", "rekey", "--all"]).exits(0);
    assert!(is_armored(0) && !is_armored(1));
    assert_eq!(secrets.by_age("p620", 0).as_deref(), Some("armored"));
    let rules = fs::read_to_string(hub.root().join("secrets.nix")).unwrap();
    let rule = "\"secrets/s1.age\".armor = true;\n  \"secrets/s1.age\".publicKeys";
    hub.write("secrets.nix", &rules.replace("\"secrets/s1.age\".publicKeys", rule));
    hub.run(&["secrets", "rekey"]).exits(0).says("secrets/s1.age is encrypted anew");
    assert!(is_armored(1));
}

#[test]
fn a_rekey_that_cannot_open_one_secret_changes_none() {
    let secrets = Secrets::with(4);
    let hub = &secrets.hub;
    let mut damaged = fs::read(hub.root().join("secrets/s2.age")).unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(hub.root().join("secrets/s2.age"), damaged).unwrap();
    secrets.rules(4, &[".ssh/id_ed25519", "p510"]);
    let before = secrets.files();
    hub.run(&["secrets", "rekey"]).exits(1).says("secrets/s2.age: its content is cut off or was altered");
    assert_eq!(secrets.files(), before);
    // Nobody locks themselves out unawares.
    secrets.rules(4, &["p510"]);
    hub.run(&["secrets", "rekey", "s0"]).exits(5).says("none of your identities");
    assert_eq!(secrets.files(), before);
    hub.run(&["secrets", "rekey", "s0", "--force"]).exits(0);
    hub.run(&["secrets", "show", "s0"]).exits(1).says(".ssh/id_ed25519: it is none of the recipients");
}

#[test]
fn killed_at_any_operation_a_rekey_is_finished_or_taken_back_by_the_next_command() {
    let mut secrets = Secrets::with(2);
    secrets.rules(2, &[".ssh/id_ed25519", "p510"]);
    let mut old = secrets.files();
    let (mut finished, mut taken_back) = (0, 0);
    for at in 0.. {
        secrets.hub.set_env("HUBCTL_TEST_SECRETS_FAULT", &format!("kill:{at}"));
        let killed = secrets.hub.run(&["secrets", "rekey", "--all"]);
        secrets.hub.set_env("HUBCTL_TEST_SECRETS_FAULT", "");
        let next = secrets.hub.run(&["secrets", "status"]).exits(0);
        let now = secrets.files();
        assert_eq!(now.len(), 2, "operation {at}: something is left beside the secrets");
        let changed: Vec<_> = now.iter().zip(&old).map(|(new, old)| new != old).collect();
        assert!(changed == [true, true] || changed == [false, false], "operation {at}: {changed:?}");
        finished += usize::from(next.stderr.contains("that is finished now"));
        taken_back += usize::from(next.stderr.contains("that is taken back"));
        old = now;
        if killed.code == Some(0) {
            break;
        }
        assert_eq!(killed.code, None, "{}", killed.stderr);
    }
    assert!(finished > 2 && taken_back > 2, "finished {finished}, taken back {taken_back}");
    for at in 0..2 {
        assert_eq!(secrets.by_age("p510", at), Some(format!("value {at}")));
    }
}

#[test]
fn what_is_empty_or_has_no_rule_is_refused() {
    let secrets = Secrets::with(1);
    let before = secrets.files();
    secrets.set("s0", "").exits(5).says("would have no content");
    secrets.set("s0", " \n").exits(5).says("--allow-empty");
    secrets.set("s9", "x").exits(2).says("no rule is named `s9`");
    assert_eq!(secrets.files(), before);
    secrets.run_with(&["secrets", "set", "s0", "--trim"], "new\n").exits(0);
    assert_eq!(secrets.hub.run(&["secrets", "show", "s0"]).exits(0).stdout, "new");
    secrets.hub.json(&["secrets", "show", "s0"]).exits(2);
}

#[test]
fn rules_that_are_wrong_or_hostile_are_told_with_their_line() {
    let secrets = Secrets::with(1);
    let hub = &secrets.hub;
    let key = secrets.public("p620");
    for (rules, code, text) in [
        (
            format!("{{\n  \"../../etc/x.age\".publicKeys = [ \"{key}\" ];\n}}\n"),
            2,
            "secrets.nix:2: \"../../etc/x.age\"",
        ),
        ("{\n\n  \"a.age\".publicKeys = [ \"ssh-ed25519 AAAA\" ];\n}\n".to_owned(), 2, "secrets.nix:3: \"a.age\""),
        ("{ \"a.age\".publicKeys = [ ]; }".to_owned(), 2, "nobody could read it"),
        ("{ \"a.age\" = { }; }".to_owned(), 2, "it has no `publicKeys`"),
        ("{ }: { }".to_owned(), 2, "it is a lambda"),
        (
            "{ \"a.age\".publicKeys = [ (builtins.readFile /etc/passwd) ]; }".to_owned(),
            2,
            "forbidden in restricted mode",
        ),
        (
            "{ \"a.age\".publicKeys = [ (builtins.fetchTarball \"http://localhost/\") ]; }".to_owned(),
            2,
            "cannot be evaluated",
        ),
        ("let x = x; in x".to_owned(), 2, "infinite recursion"),
        ("{".to_owned(), 2, "syntax error"),
        (format!("# {}\n{{ }}", "x".repeat(9 * 1024 * 1024)), 2, "larger than 8 MiB"),
        ("{ \"a.age\".publicKeys = [ \"AGE-SECRET-KEY-1QQQQQQ\" ]; }".to_owned(), 2, "a private key stands where"),
    ] {
        hub.write("secrets.nix", &rules);
        let told = hub.run(&["secrets", "status"]).exits(code).says(text);
        assert!(!told.stderr.contains("1QQQQQQ"), "{}", told.stderr);
    }
    fs::remove_file(hub.root().join("secrets.nix")).unwrap();
    hub.run(&["secrets", "status"]).exits(2).says("there is neither secrets.nix nor secrets/secrets.nix");
}

#[test]
fn a_second_run_does_not_change_secrets_meanwhile() {
    let secrets = Secrets::with(1);
    let lock = secrets.hub.root().join(".git/hubctl/secrets%/lock");
    assert!(lock.is_file());
    let line = format!("flock {} sh -c 'echo x | hubctl secrets set s0'", lock.display());
    secrets.hub.shell(&line).exits(5).says("another run of hubctl changes the secrets");
}
