//! New values: from generators that real tools understand, for copies at once, and when they are due.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use super::commands::Secrets;

/// Rules for both formats, and a file of SOPS.
fn both() -> Secrets {
    let secrets = Secrets::new();
    secrets.rules(3, &[".ssh/id_ed25519", "p620"]);
    let me = secrets.public(".ssh/id_ed25519");
    secrets.hub.write(".sops.yaml", &format!("creation_rules:\n  - path_regex: \\.(yaml|bin)$\n    age: {me}\n"));
    for at in 0..3 {
        secrets.set(&format!("s{at}"), &format!("value {at}")).exits(0);
    }
    secrets.set("web.yaml", "user: alice\ndb:\n    password: correct horse\n").exits(0);
    secrets
}

/// With this `hub.toml`, and all in git.
fn with(toml: &str) -> Secrets {
    let secrets = both();
    secrets.hub.write("hub.toml", toml);
    secrets.hub.commit("secrets");
    secrets
}

impl Secrets {
    fn shown(&self, name: &str) -> String {
        let (file, value) = name.split_once('#').unwrap_or((name, ""));
        let words = ["secrets", "show", file, "--value", value];
        self.hub.run(if value.is_empty() { &words[..3] } else { &words }).exits(0).stdout
    }

    fn rotate(&self, words: &[&str]) -> crate::support::Finished {
        self.hub.run(&[&["secrets", "rotate"], words].concat())
    }

    fn json_of(&self, words: &[&str], code: i32) -> serde_json::Value {
        serde_json::from_str(&self.hub.json(words).exits(code).stdout).unwrap()
    }

    fn file(&self, file: &str) -> String {
        fs::read_to_string(self.hub.root().join(file)).unwrap_or_default()
    }

    /// Commits as if it were so many days ago.
    fn commit_days_ago(&self, days: u32) {
        let line = format!(
            "git add --all; export GIT_COMMITTER_DATE=\"$(date -d '{days} days ago' '+%s +0000')\"; \
             git -c user.name=Test -c user.email=test@example.org commit -qm then"
        );
        self.hub.shell(&line).exits(0);
    }
}

/// What a program prints of this input.
fn piped(program: &str, words: &[&str], input: &str) -> String {
    let mut command = Command::new(program);
    let mut child = command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program} {words:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn what_is_generated_is_what_real_tools_take() {
    let secrets = both();
    let file = secrets.home().join("made");
    let file = file.to_str().unwrap();
    // The file as the tool wants it, which is nobody else's to read.
    let made = |kind: &str| {
        let told = secrets.rotate(&["s0", "--generate", kind]).exits(0).stdout;
        let value = secrets.shown("s0");
        fs::write(file, &value).unwrap();
        Command::new("chmod").args(["600", file]).status().unwrap();
        (told.trim_end().to_owned(), value)
    };
    let (public, _) = made("ssh-key:comment=deploy@hub");
    assert!(public.starts_with("ssh-ed25519 ") && public.ends_with(" deploy@hub"), "{public}");
    assert_eq!(piped("ssh-keygen", &["-y", "-f", file], ""), public);
    let (public, value) = made("age-key");
    assert_eq!(piped("age-keygen", &["-y", file], ""), public);
    assert!(value.contains("AGE-SECRET-KEY-1"));
    let (public, value) = made("wireguard");
    assert_eq!(piped("wg", &["pubkey"], &value), public);
    let (password, line) = made("htpasswd:user=alice");
    assert!(line.starts_with("alice:$2y$10$"), "{line}");
    piped("htpasswd", &["-vb", file, "alice", &password], "");
    let (password, hash) = made("mkpasswd");
    let salt = hash.split('$').nth(2).unwrap();
    assert_eq!(piped("openssl", &["passwd", "-6", "-salt", salt, "-stdin"], &password), hash);
    assert_eq!(made("hex:bytes=16").1.len(), 32);
    assert_eq!(piped("sh", &["-c", "base64 -d | wc -c"], &made("base64:bytes=33").1), "33");
    assert_eq!(made("passphrase:words=6").1.split('-').count(), 6);
    let digits = made("password:length=40,classes=digit").1;
    assert!(digits.len() == 40 && digits.bytes().all(|byte| byte.is_ascii_digit()), "{digits}");
}

#[test]
fn copies_in_both_formats_get_one_value_at_once() {
    let secrets = with(
        "[secrets.\"secrets/s0.age\"]\ngenerate = \"password:length=40\"\ncopies = [\"web.yaml#db/password\", \"s1\"]\n",
    );
    let status = secrets.hub.run(&["secrets", "status", "--check"]).exits(1).stdout;
    assert!(
        status.contains("web.yaml#db/password") && status.contains("did not get its value together with"),
        "{status}"
    );
    let other = secrets.file("secrets/s2.age");
    let dry = secrets.rotate(&["s0", "--dry-run"]).exits(0).stdout;
    assert_eq!(dry.trim_end(), "secrets/s0.age: password, also secrets/s1.age, web.yaml#db/password");
    assert_eq!(secrets.shown("s0"), "value 0");

    // Whichever of them is named.
    let all = |expected: &str| {
        let values = ["s0", "s1", "web.yaml#db/password"].map(|name| secrets.shown(name));
        assert!(values.iter().all(|value| value == expected), "{values:?}, and not {expected}");
    };
    secrets.rotate(&["web.yaml", "--value", "db/password"]).exits(0).says("web.yaml#db/password has a new value");
    let made = secrets.shown("s0");
    assert_eq!(made.len(), 40);
    all(&made);
    secrets.hub.commit("rotated");
    secrets.hub.run(&["secrets", "status", "--check"]).exits(0);
    secrets.set("s1", "by hand").exits(0).says("and its 2 copies");
    all("by hand");
    secrets.run_with(&["secrets", "set", "web.yaml", "--value", "db/password"], "of sops").exits(0);
    all("of sops");
    // A whole file takes the value in it along, and what is in it beside that stays alone.
    secrets.run_with(&["secrets", "set", "web.yaml"], "user: bob\ndb:\n    password: of a file\n").exits(0);
    all("of a file");
    assert_eq!(secrets.shown("web.yaml#user"), "bob");
    secrets.run_with(&["secrets", "rotate", "s0", "--stdin", "--trim"], "piped\n").exits(0);
    all("piped");
    secrets.hub.run(&["secrets", "status", "--check"]).exits(0);
    assert_eq!(secrets.file("secrets/s2.age").len(), other.len());
    assert!(!secrets.file("secrets.rotated").contains("piped"));

    // What another tool sets alone is seen to differ.
    let key = secrets.public(".ssh/id_ed25519");
    let made = piped("age", &["-r", &key, "-r", &secrets.public("p620"), "-a"], "another length");
    fs::write(secrets.hub.root().join("secrets/s1.age"), made).unwrap();
    let json = secrets.json_of(&["secrets", "status", "--check"], 1);
    let differing =
        json["rotation"].as_array().unwrap().iter().filter(|one| one["differs-from"] != serde_json::json!([]));
    assert_eq!(differing.count(), 3, "{json}");
}

#[test]
fn killed_at_any_operation_copies_stay_equal() {
    let mut secrets = with("[secrets.s0]\ngenerate = \"hex\"\ncopies = [\"web.yaml#db/password\"]\n");
    secrets.rotate(&["s0"]).exits(0);
    let mut before = secrets.shown("s0");
    let (mut old, mut new) = (0, 0);
    for at in 0.. {
        secrets.hub.set_env("HUBCTL_TEST_SECRETS_FAULT", &format!("kill:{at}"));
        let killed = secrets.rotate(&["s0"]);
        secrets.hub.set_env("HUBCTL_TEST_SECRETS_FAULT", "");
        let now = secrets.shown("s0");
        assert_eq!(secrets.shown("web.yaml#db/password"), now, "operation {at}");
        secrets.hub.run(&["secrets", "status"]).exits(0);
        *(if now == before { &mut old } else { &mut new }) += 1;
        before = now;
        if killed.code == Some(0) {
            break;
        }
        assert_eq!(killed.code, None, "{}", killed.stderr);
    }
    assert!(old > 2 && new > 2, "old {old}, new {new}");
}

#[test]
fn what_is_too_old_is_due_and_a_rekey_makes_nothing_younger() {
    let secrets = both();
    secrets.hub.write(
        "hub.toml",
        "[secrets.\"secrets/*\"]\nmax-age = \"90d\"\n[secrets.s0]\ngenerate = \"hex\"\n[secrets.\"web.yaml#user\"]\nmax-age = \"90d\"\ngenerate = \"passphrase\"\n",
    );
    secrets.commit_days_ago(100);
    secrets.set("s2", "another value, which is younger").exits(0);
    secrets.commit_days_ago(20);
    secrets.hub.run(&["secrets", "rekey", "--all"]).exits(0);
    secrets.commit_days_ago(10);
    let due = |json: &serde_json::Value| -> Vec<String> {
        let all = json["rotation"].as_array().unwrap().iter().filter(|one| one["due"] == true);
        all.map(|one| one["secret"].as_str().unwrap().to_owned()).collect()
    };
    let json = secrets.json_of(&["secrets", "status", "--check"], 1);
    assert_eq!(due(&json), ["secrets/s0.age", "secrets/s1.age", "web.yaml#user"], "{json}");
    assert_eq!((&json["rotation"][0]["days"], &json["rotation"][0]["known-by"]), (&100.into(), &"git".into()));
    let table = secrets.hub.run(&["secrets", "status"]).exits(0);
    assert!(table.stdout.contains("its value is up to 100 days old, and may be 90"), "{}", table.stdout);
    assert!(table.stderr.contains("3 older than they may become: `hubctl secrets rotate --due`"), "{}", table.stderr);

    let would = secrets.json_of(&["secrets", "rotate", "--due", "--dry-run"], 1);
    assert_eq!(would["would-rotate"].as_array().unwrap().len(), 2, "{would}");
    assert_eq!(would["left"], serde_json::json!(["secrets/s1.age"]));
    secrets.rotate(&["--due"]).exits(1).says("secrets/s1.age is due, and nothing says how it gets a new value");
    assert_eq!((secrets.shown("s0").len(), secrets.shown("s1").as_str()), (64, "value 1"));
    assert_eq!(secrets.shown("web.yaml#user").split('-').count(), 8);
    secrets.run_with(&["secrets", "rotate", "s1", "--stdin"], "new").exits(0);
    secrets.hub.commit("rotated");
    secrets.hub.run(&["secrets", "status", "--check"]).exits(0);
    secrets.rotate(&["--due"]).exits(0).says("nothing is due");

    let history = secrets.json_of(&["secrets", "history"], 0);
    let how = |name: &str| {
        let all = history.as_array().unwrap().iter().filter(|one| one["secret"] == name);
        all.map(|one| one["how"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        (how("secrets/s0.age"), how("secrets/s1.age"), how("secrets/s2.age")),
        (vec!["hex".to_owned()], vec!["stdin".to_owned()], vec!["set".to_owned()])
    );
    let table = secrets.hub.run(&["secrets", "history", "s0"]).exits(0).stdout;
    assert!(table.contains("secrets/s0.age") && !table.contains("s1"), "{table}");
    assert!(!history.to_string().contains(&secrets.shown("s0")));
}

#[test]
fn the_value_that_somebody_could_read_is_due_until_it_is_another() {
    let secrets = with("[secrets.\"secrets/*\"]\ngenerate = \"base64\"\n");
    let me = secrets.public(".ssh/id_ed25519");
    let rules =
        (0..3).fold(String::new(), |text, at| text + &format!("  \"secrets/s{at}.age\".publicKeys = [ me p620 ];\n"));
    let p620 = secrets.public("p620");
    secrets.hub.write("secrets.nix", &format!("let\n  me = \"{me}\";\n  p620 = \"{p620}\";\nin\n{{\n{rules}}}\n"));
    secrets.hub.run(&["secrets", "revoke", "p620"]).exits(0);
    assert_eq!(secrets.file("secrets.to-rotate").lines().filter(|line| line.contains(".age")).count(), 3);
    secrets.rotate(&["s1"]).exits(0);
    assert!(!secrets.file("secrets.to-rotate").contains("s1.age"));
    secrets.rotate(&["--due"]).exits(0);
    assert!(!secrets.file("secrets.to-rotate").contains(".age"));
    assert_eq!(secrets.shown("s2").len(), 44);
}

#[test]
fn keys_and_passwords_go_where_hub_toml_says() {
    let secrets = with(
        "[secrets.s0]\ngenerate = \"wireguard\"\npublic-key = \"hosts/p620/wg.pub\"\n[secrets.s1]\ngenerate = \"mkpasswd\"\nclear = \"s2\"\n",
    );
    let told = secrets.rotate(&["s0", "s1"]).exits(0);
    assert_eq!(told.stdout, "", "nothing is left to be told");
    assert_eq!(piped("wg", &["pubkey"], &secrets.shown("s0")), secrets.file("hosts/p620/wg.pub").trim_end());
    let hash = secrets.shown("s1");
    let salt = hash.split('$').nth(2).unwrap();
    assert_eq!(piped("openssl", &["passwd", "-6", "-salt", salt, "-stdin"], &secrets.shown("s2")), hash);

    // Without such a place a password is told once, and never as JSON.
    let before = secrets.file("secrets.rotated");
    let refused =
        secrets.hub.json(&["secrets", "rotate", "web.yaml#user", "--generate", "htpasswd:user=alice"]).exits(5);
    assert!(format!("{refused:?}").contains("would be lost"), "{refused:?}");
    assert_eq!((secrets.shown("web.yaml#user").as_str(), secrets.file("secrets.rotated")), ("alice", before));
    let command = secrets.hub.command(&["secrets", "rotate", "s0", "--generate", "mkpasswd"]);
    let mut terminal = rexpect::session::spawn_command(command, Some(60_000)).unwrap();
    terminal.exp_string("would stay on this terminal").unwrap();
    terminal.exp_eof().unwrap();
    let key = secrets.json_of(&["secrets", "rotate", "web.yaml#user", "--generate", "age-key"], 0);
    assert!(key["public-keys"][0]["public-key"].as_str().unwrap().starts_with("age1"), "{key}");
    assert!(!key.to_string().contains("SECRET-KEY"));
}

#[test]
fn what_cannot_be_rotated_is_told_and_nothing_changes() {
    let secrets = with("[secrets.s0]\ncopies = [\"s1\"]\n");
    let before = secrets.files();
    for (words, code, text) in [
        (&["s2"][..], 2, "nothing says how secrets/s2.age gets a new value"),
        (&["s2", "--generate", "shell"], 2, "there is no generator `shell`"),
        (&["s9", "--generate", "hex"], 2, "no rule is named `s9`"),
        (&["s2#a/b", "--generate", "hex"], 2, "s2 is no file of SOPS"),
        (&["web.yaml", "--generate", "hex"], 2, "name the value: `web.yaml#database/password`"),
        (&["web.yaml#nothing", "--generate", "hex"], 1, "it has no value `nothing`"),
        (&["s0", "s2", "--stdin"], 2, "several secrets would get the same value"),
        (&["*9*", "--generate", "hex"], 2, "no rule is named"),
        (&[], 2, "required"),
    ] {
        secrets.rotate(words).exits(code).says(text);
    }
    secrets.run_with(&["secrets", "rotate", "s2", "--stdin"], "").exits(5).says("would have no content");
    assert_eq!(secrets.files(), before);
    for (toml, text) in [
        ("[secrets.s0]\ngenerate = \"pasword\"\n", "did you mean `password`?"),
        ("[secrets.s0]\nmax-age = 90\n", "write the unit too: \"90d\""),
        ("[secrets.\"s*\"]\ncopies = [\"s1\"]\n", "is for several secrets"),
        ("[secrets.s0]\npublic-key = \"../x\"\n", "from the hub's root and below it"),
        ("[secrets.s0]\nmaxage = \"1d\"\n", "did you mean `max-age`?"),
    ] {
        secrets.hub.write("hub.toml", toml);
        secrets.rotate(&["s0", "--generate", "hex"]).exits(2).says(text);
    }
    secrets
        .hub
        .write("hub.toml", "[secrets.gone]\ncopies = [\"s1\", \"lost.yaml#a\"]\n[secrets.s1]\ncopies = [\"lost\"]\n");
    let warned = secrets.hub.run(&["secrets", "status"]).exits(0).stderr;
    assert!(
        warned.contains("there is no secret for [secrets.\"gone\"]") && warned.contains("`lost`, a copy of"),
        "{warned}"
    );
}

#[test]
fn a_secret_is_created_with_a_value_that_nobody_saw() {
    let secrets = Secrets::new();
    let me = secrets.public(".ssh/id_ed25519");
    secrets.hub.write("secrets.nix", &format!("let\n  me = \"{me}\";\nin\n{{\n}}\n"));
    secrets.hub.write("hub.toml", "[secrets.\"secrets/wg.age\"]\npublic-key = \"wg.pub\"\nmax-age = \"1d\"\n");
    let made = secrets.hub.run(&["secrets", "create", "secrets/wg", "--for", "me", "--generate", "wireguard"]).exits(0);
    assert_eq!(made.stdout, "");
    assert_eq!(piped("wg", &["pubkey"], &secrets.shown("wg")), secrets.file("wg.pub").trim_end());
    assert!(secrets.file("secrets.rotated").contains("secrets/wg.age\t"), "{}", secrets.file("secrets.rotated"));
    let made = secrets.hub.run(&["secrets", "create", "deploy", "--for", "me", "--generate", "ssh-key"]).exits(0);
    assert!(made.stdout.starts_with("ssh-ed25519 "), "{}", made.stdout);
}
