//! hubctl, called as agenix, does what scripts and habits expect of that.

use std::fs;
use std::os::unix::fs::symlink;

use super::commands::Secrets;
use crate::support::Finished;

/// Secrets, and a link to hubctl by the name of agenix.
struct Agenix(Secrets);

impl Agenix {
    fn with(count: usize) -> Self {
        let mut secrets = Secrets::with(count);
        let bin = secrets.home().join("bin");
        fs::create_dir(&bin).unwrap();
        symlink(env!("CARGO_BIN_EXE_hubctl"), bin.join("agenix")).unwrap();
        let path = crate::support::Hub::path().into_string().unwrap();
        secrets.hub.set_env("PATH", &format!("{}:{path}", bin.display()));
        Self(secrets)
    }

    fn sh(&self, line: &str) -> Finished {
        self.0.hub.shell(line)
    }

    /// Runs a line as at a terminal.
    fn tty(&self, line: &str) -> Finished {
        self.0.hub.shell(&format!("script -qec '{line}' /dev/null"))
    }
}

#[test]
fn a_file_is_decrypted_written_and_edited_as_by_agenix() {
    let agenix = Agenix::with(2);
    let secrets = &agenix.0;
    assert_eq!(agenix.sh("agenix -d secrets/s0.age").exits(0).stdout, "value 0");
    assert_eq!(agenix.sh("agenix --decrypt ./secrets/../secrets/s1.age").exits(0).stdout, "value 1");
    agenix.sh("printf new | agenix -e secrets/s0.age").exits(0);
    assert_eq!(secrets.by_age("p620", 0).as_deref(), Some("new"));
    assert_eq!(secrets.by_age("p620", 1).as_deref(), Some("value 1"));
    // What VISUAL says is nothing to agenix.
    agenix.tty("VISUAL=false EDITOR=\"sed -i s/new/newer/\" agenix -e secrets/s0.age").exits(0);
    assert_eq!(secrets.by_age("p620", 0).as_deref(), Some("newer"));
    let before = secrets.files();
    agenix.tty("EDITOR=true agenix -e secrets/s0.age").exits(0);
    assert_eq!(secrets.files(), before, "what did not change is not written");
    agenix.tty("EDITOR=: agenix -e secrets/s0.age").exits(0);
    let now = secrets.files();
    assert!(now[0] != before[0] && now[1] == before[1], "an editor that does nothing has one encrypted anew");
    assert_eq!(secrets.by_age("p620", 0).as_deref(), Some("newer"));
}

#[test]
fn everything_is_encrypted_anew_at_once_or_not_at_all() {
    let agenix = Agenix::with(3);
    let secrets = &agenix.0;
    secrets.rules(3, &[".ssh/id_ed25519", "p510"]);
    let before = secrets.files();
    let whole = fs::read(secrets.hub.root().join("secrets/s2.age")).unwrap();
    fs::write(secrets.hub.root().join("secrets/s2.age"), &whole[..whole.len() - 1]).unwrap();
    agenix.sh("agenix -r").exits(1).says("secrets/s2.age");
    assert_eq!(secrets.files()[..2], before[..2], "one that cannot be read keeps all as they were");
    fs::write(secrets.hub.root().join("secrets/s2.age"), whole).unwrap();
    agenix.sh("agenix -r").exits(0);
    assert!(secrets.files().iter().zip(&before).all(|(new, old)| new != old));
    for at in 0..3 {
        assert_eq!(secrets.by_age("p510", at), Some(format!("value {at}")));
        assert_eq!(secrets.by_age("p620", at), None);
    }
}

#[test]
fn rules_and_keys_are_where_agenix_has_them() {
    let agenix = Agenix::with(1);
    let secrets = &agenix.0;
    // Names are paths from where it is run, and RULES may be elsewhere.
    let rules = fs::read_to_string(secrets.hub.root().join("secrets.nix")).unwrap();
    secrets.hub.write("rules/all.nix", &rules.replace("\"secrets/s0.age\"", "\"s0.age\""));
    let line = "cd secrets && RULES=../rules/all.nix agenix -d s0.age";
    assert_eq!(agenix.sh(line).exits(0).stdout, "value 0");
    agenix.sh("cd secrets && agenix -d s0.age").exits(1).says("RULES");
    agenix.sh("RULES=/etc/hostname agenix -d s0.age").exits(1).says("is in no repository with");
    // A key that is named is the only one.
    let key = secrets.home().join("p620");
    assert_eq!(agenix.sh(&format!("agenix -d secrets/s0.age -i {}", key.display())).exits(0).stdout, "value 0");
    let other = secrets.home().join("p510");
    agenix
        .sh(&format!("agenix -d secrets/s0.age -i {}", other.display()))
        .exits(1)
        .says("no identity at hand opens it");
    let both = format!("agenix -i {} -d secrets/s0.age -i {}", other.display(), key.display());
    assert_eq!(agenix.sh(&both).exits(0).stdout, "value 0");
    fs::rename(secrets.home().join(".ssh/id_ed25519"), secrets.home().join(".ssh/id_rsa")).unwrap();
    assert_eq!(agenix.sh("agenix -d secrets/s0.age").exits(0).stdout, "value 0");
    fs::remove_file(secrets.home().join(".ssh/id_rsa")).unwrap();
    agenix.sh("agenix -d secrets/s0.age").exits(1).says("--identity");
}

#[test]
fn what_is_wrong_ends_with_1_and_changes_nothing() {
    let agenix = Agenix::with(1);
    let before = agenix.0.files();
    agenix.sh("agenix -h").exits(0).prints("--rekey");
    agenix.sh("agenix --version").exits(0).prints(env!("CARGO_PKG_VERSION"));
    for (line, text) in [
        ("agenix", "--rekey"),
        ("agenix -x", "-x"),
        ("agenix -e", "FILE"),
        ("agenix -v", "says what to do"),
        ("agenix -d secrets/s9.age", "no rule is named"),
        ("agenix -d s0.age", "did you mean `secrets/s0.age`"),
        ("agenix -d /etc/passwd", "no rule is named"),
        ("agenix -e secrets/s0.age < /dev/null", "would have no content"),
    ] {
        agenix.sh(line).exits(1).says(text);
    }
    agenix.tty("env -u EDITOR agenix -e secrets/s0.age").exits(1).prints("EDITOR is not set");
    assert_eq!(agenix.0.files(), before);
}
