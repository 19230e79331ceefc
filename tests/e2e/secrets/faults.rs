//! Secrets change wholly or not at all, whatever happens to the program and to the disk meanwhile.

use std::fs;
use std::process::Stdio;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use hubctl::secrets::age::{Armor, Ask, Nobody, Recipient, encrypt};

use super::commands::Secrets;
use crate::support::Finished;

/// What the rules of [`many`] are changed to.
const OTHERS: [&str; 2] = [".ssh/id_ed25519", "p510"];

/// So many secrets, for the user and p620 by now, and for the user and p510 by their rules.
fn many(count: usize) -> Secrets {
    let secrets = Secrets::new();
    secrets.rules(count, &OTHERS);
    let recipients: Vec<Recipient> =
        [".ssh/id_ed25519", "p620"].iter().map(|key| secrets.public(key).parse().unwrap()).collect();
    let nobody: Arc<dyn Ask> = Arc::new(Nobody);
    for at in 0..count {
        let file = encrypt(format!("value {at}").as_bytes(), &recipients, Armor::Binary, &nobody).unwrap();
        fs::write(secrets.hub.root().join(format!("secrets/s{at}.age")), file).unwrap();
    }
    secrets.hub.commit("secrets");
    secrets
}

/// Whether all secrets are other than they were. That some are and some are not is an error.
#[track_caller]
fn are_new(now: &[Vec<u8>], before: &[Vec<u8>], what: &str) -> bool {
    assert_eq!(now.len(), before.len(), "{what}: something is left beside the secrets");
    let new = now.iter().zip(before).filter(|(now, before)| now != before).count();
    assert!(new == 0 || new == before.len(), "{what}: {new} of {} are new", before.len());
    new > 0
}

impl Secrets {
    /// Runs `secrets rekey --all` with a fault, such as `kill:write:7`.
    fn rekey_with(&mut self, fault: &str) -> Finished {
        self.hub.set_env("HUBCTL_TEST_SECRETS_FAULT", fault);
        let done = self.hub.run(&["secrets", "rekey", "--all"]);
        self.hub.set_env("HUBCTL_TEST_SECRETS_FAULT", "");
        done
    }

    /// Runs a line of shell after others that set up disks, which nobody else sees and which are gone afterwards.
    fn on_disk(&self, disks: &str, line: &str) -> Finished {
        let script = self.home().join("script");
        fs::write(&script, format!("set -e\n{disks}\ncd \"$PWD\"\nset +e\n{line}\n")).unwrap();
        self.hub.shell(&format!("exec unshare --mount sh {}", script.display()))
    }
}

#[test]
fn killed_at_each_kind_of_operation_all_of_200_secrets_are_old_or_all_are_new() {
    const COUNT: usize = 200;
    let mut secrets = many(COUNT);
    let mut before = secrets.files();
    let (mut old, mut new) = (0, 0);
    // The journal is written before and after what is written beside the secrets, and removed last.
    for (operation, places) in [
        ("create", &[0, COUNT / 2, COUNT + 1][..]),
        ("write", &[1]),
        ("sync", &[COUNT / 3, COUNT]),
        ("replace", &[0, 1]),
        ("sync directory", &[1, 3, 4]),
        ("exchange", &[0, COUNT / 2, COUNT - 1]),
        ("remove", &[0, COUNT / 2, COUNT]),
    ] {
        for place in places {
            let what = format!("{operation} {place}");
            let killed = secrets.rekey_with(&format!("kill:{operation}:{place}"));
            assert_eq!(killed.code, None, "{what}: {}", killed.stderr);
            secrets.hub.run(&["secrets", "status"]).exits(0);
            let now = secrets.files();
            *(if are_new(&now, &before, &what) { &mut new } else { &mut old }) += 1;
            before = now;
        }
    }
    assert!(old > 5 && new > 5, "old {old}, new {new}");
    // One that nobody kills does what is left.
    secrets.hub.run(&["secrets", "rekey", "--all"]).exits(0);
    for at in [0, 1, COUNT / 2, COUNT - 1] {
        assert_eq!(secrets.by_age("p510", at), Some(format!("value {at}")));
        assert_eq!(secrets.by_age("p620", at), None);
    }
}

#[test]
fn killed_from_outside_all_secrets_are_old_or_all_are_new() {
    const TIMES: u32 = 12;
    let secrets = many(60);
    let begun = Instant::now();
    secrets.hub.run(&["secrets", "rekey", "--all"]).exits(0);
    let whole = begun.elapsed();
    let mut before = secrets.files();
    for time in 0..TIMES {
        let mut command = secrets.hub.command(&["secrets", "rekey", "--all"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Most of what happens to files happens in the second half.
        sleep(whole / 3 + whole * time / TIMES * 2 / 3 + Duration::from_micros(u64::from(time) * 371));
        let _ = child.kill();
        child.wait().unwrap();
        secrets.hub.run(&["secrets", "status"]).exits(0);
        let now = secrets.files();
        are_new(&now, &before, &format!("time {time}"));
        before = now;
    }
    assert_eq!(secrets.hub.run(&["secrets", "show", "s59"]).exits(0).stdout, "value 59");
}

#[test]
fn an_operation_that_fails_leaves_all_secrets_as_they_were() {
    let mut secrets = many(20);
    let before = secrets.files();
    for (fault, text) in [
        ("28:create:0", "No space left"),
        ("28:write:11", "No space left"),
        ("28:sync:20", "No space left"),
        ("13:create:9", "Permission denied"),
        ("30:replace:1", "Read-only file system"),
        ("5:sync directory:2", "Input/output error"),
        ("5:exchange:13", "Input/output error"),
    ] {
        let failed = secrets.rekey_with(fault).exits(1).says(text);
        assert!(failed.stderr.contains("nothing was changed"), "{fault}: {}", failed.stderr);
        assert_eq!(secrets.files(), before, "{fault}");
    }
    let next = secrets.hub.run(&["secrets", "rekey", "--all"]).exits(0);
    assert!(!next.stderr.contains("an earlier run"), "{}", next.stderr);
    assert!(are_new(&secrets.files(), &before, "afterwards"));
}

/// Holds the secrets against copies of them, where a disk will be gone, and tells what else is there.
const IS_AS_BEFORE: &str =
    "for one in ../home/copy/*.age; do cmp $one secrets/$(basename $one) || exit 99; done; ls -A secrets | wc -l";

#[test]
fn a_full_disk_changes_nothing() {
    let secrets = many(8);
    // All but two pages of the disk are taken, of which each secret takes one.
    let full = "cp -a secrets ../home/copy; mount -t tmpfs -o size=96k full secrets; cp -a ../home/copy/. secrets\n\
                head -c 1M /dev/zero > secrets/.fill 2> /dev/null || true; truncate -s 57344 secrets/.fill";
    let line = format!("hubctl secrets rekey && exit 98\n{IS_AS_BEFORE}\nrm secrets/.fill; hubctl secrets rekey");
    let told = secrets.on_disk(full, &line).exits(0).says("No space left").says("nothing was changed");
    assert!(told.stdout.starts_with("9\n") && told.stderr.contains("8 secrets are encrypted anew"), "{told:?}");
    // The directory of git, where the journal is, and what is too long for the memory.
    fs::remove_dir_all(secrets.home().join("copy")).unwrap();
    let full = "cp -a secrets ../home/copy; mkdir -p .git/hubctl; mount -t tmpfs -o size=64k full .git/hubctl";
    let line =
        format!("head -c 3M /dev/zero | hubctl secrets set s0 && exit 98\n{IS_AS_BEFORE}\nfind .git/hubctl -type f");
    let told = secrets.on_disk(full, &line).exits(0).says("No space left");
    assert!(told.stdout.starts_with("8\n") && !told.stdout.contains("spool"), "{told:?}");
    secrets.hub.run(&["secrets", "rekey"]).exits(0);
}

#[test]
fn a_file_system_that_is_read_only_changes_nothing_and_secrets_are_read() {
    let secrets = many(3);
    let before = secrets.files();
    let all = "mount --bind . . ; mount -o remount,bind,ro .";
    secrets.on_disk(all, "hubctl secrets rekey").exits(1).says("Read-only file system");
    secrets.on_disk(all, "echo x | hubctl secrets set s0").exits(1).says("Read-only file system");
    assert_eq!(secrets.on_disk(all, "hubctl secrets show s1").exits(0).stdout, "value 1");
    secrets.on_disk(all, "hubctl secrets status").exits(0).prints("not yet for root@p510");
    // Only the secrets are.
    let some = "mount --bind secrets secrets; mount -o remount,bind,ro secrets";
    secrets.on_disk(some, "hubctl secrets rekey").exits(1).says("Read-only file system").says("nothing was changed");
    assert_eq!(secrets.files(), before);
    let next = secrets.hub.run(&["secrets", "rekey"]).exits(0);
    assert!(!next.stderr.contains("an earlier run"), "{}", next.stderr);
}

#[test]
fn what_its_user_may_not_do_is_told_and_nothing_changes() {
    let secrets = many(3);
    let before = secrets.files();
    // Root without its powers: what it may do is what the modes say.
    let with = |modes: &str, line: &str| {
        secrets.hub.shell(&format!("{modes}; setpriv --bounding-set=-all --inh-caps=-all sh -c '{line}'"))
    };
    for (modes, line, again, text) in [
        ("chmod 500 secrets", "hubctl secrets rekey", "chmod 755 secrets", "nothing was changed"),
        ("chmod 000 secrets/s1.age", "hubctl secrets rekey", "chmod 644 secrets/s1.age", "secrets/s1.age"),
        ("chmod 000 secrets/s1.age", "hubctl secrets show s1", "chmod 644 secrets/s1.age", "secrets/s1.age"),
        ("chmod 000 secrets.nix", "hubctl secrets rekey", "chmod 644 secrets.nix", "secrets.nix cannot be read"),
        (
            "mkdir -p .git/hubctl; chmod 500 .git/hubctl; rm -rf .git/hubctl/*",
            "hubctl secrets rekey",
            "chmod 755 .git/hubctl",
            ".git/hubctl",
        ),
    ] {
        let refused = with(modes, line).says(text);
        assert!(refused.code == Some(1) && refused.stderr.contains("Permission denied"), "{modes}: {refused:?}");
        secrets.hub.shell(again).exits(0);
        assert_eq!(secrets.files(), before, "{modes}");
    }
    with(":", "hubctl secrets rekey").exits(0);
}

#[test]
fn of_several_runs_at_once_each_does_all_or_says_that_another_does() {
    let mut secrets = many(6);
    let line = "for at in 0 1 2 3 4 5; do (echo new | hubctl secrets set s$at --trim; echo $at $? >> ../home/codes) & done; wait";
    secrets.hub.shell(line).exits(0);
    let codes = fs::read_to_string(secrets.home().join("codes")).unwrap();
    for line in codes.lines() {
        let (at, code) = line.split_once(' ').unwrap();
        let expected = match code {
            "0" => "new".to_owned(),
            "5" => format!("value {at}"),
            _ => panic!("{codes}"),
        };
        assert_eq!(secrets.hub.run(&["secrets", "show", &format!("s{at}")]).exits(0).stdout, expected, "{codes}");
    }
    assert_eq!(codes.lines().count(), 6);
    assert!(codes.contains(" 0"), "nobody got to it: {codes}");
    // While a secret is edited nobody else changes one, and what is changed by other means stays.
    let editor = secrets.home().join("editor");
    fs::write(&editor, "echo x | hubctl secrets set s2; cp secrets/s1.age secrets/s0.age; printf ours > $1\n").unwrap();
    secrets.hub.set_env("EDITOR", &format!("sh {}", editor.display()));
    let theirs = secrets.hub.run(&["secrets", "show", "s1"]).exits(0).stdout;
    let refused = secrets.hub.run(&["secrets", "edit", "s0"]).exits(1).says("somebody else changed it meanwhile");
    assert!(refused.stderr.contains("another run of hubctl changes the secrets"), "{}", refused.stderr);
    assert_eq!(secrets.hub.run(&["secrets", "show", "s0"]).exits(0).stdout, theirs);
}
