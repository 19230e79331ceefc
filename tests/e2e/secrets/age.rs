//! What is encrypted here is decrypted by the `age` that everybody has, and the other way round.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hubctl::secrets::age::{AgeError, Armor, Ask, Header, Identities, Nobody, Recipient, encrypt, encrypt_stream};
use secrecy::SecretString;
use tempfile::TempDir;

/// Keys of each kind, as files.
struct Keys {
    dir: TempDir,
}

impl Keys {
    fn new() -> Self {
        let keys = Self { dir: tempfile::tempdir().unwrap() };
        for (kind, extra) in [("ed25519", &["-C", "somebody"][..]), ("rsa", &["-b", "2048", "-m", "PEM"])] {
            keys.ssh_keygen(kind, "", kind, extra);
        }
        keys.ssh_keygen("ed25519", "open sesame", "locked", &[]);
        let made = Command::new("age-keygen").arg("-o").arg(keys.path("x25519")).output().unwrap();
        assert!(made.status.success());
        let public = Command::new("age-keygen").arg("-y").arg(keys.path("x25519")).output().unwrap();
        fs::write(keys.path("x25519.pub"), public.stdout).unwrap();
        keys
    }

    fn ssh_keygen(&self, kind: &str, passphrase: &str, name: &str, extra: &[&str]) {
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", kind, "-N", passphrase, "-f"]).arg(self.path(name)).args(extra);
        assert!(command.status().unwrap().success());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn recipient(&self, name: &str) -> Recipient {
        fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap().parse().unwrap()
    }

    fn identities(&self, names: &[&str], ask: Arc<dyn Ask>) -> Identities {
        let mut identities = Identities::new(ask);
        for name in names {
            identities.add_file(&self.path(name), None).unwrap();
        }
        identities
    }
}

fn nobody() -> Arc<dyn Ask> {
    Arc::new(Nobody)
}

/// Runs `age` with `input`; gives what it prints.
fn age(args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("age").args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feed = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    feed.join().unwrap().unwrap();
    assert!(output.status.success(), "age {args:?}");
    output.stdout
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn each_kind_of_key_is_understood_by_age_and_by_hubctl() {
    let keys = Keys::new();
    for kind in ["ed25519", "rsa", "x25519"] {
        for armor in [Armor::Binary, Armor::Ascii] {
            for length in [0, 1, 512, 65_535, 65_536, 65_537, 200_000] {
                let plain: Vec<_> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
                let ours = encrypt(&plain, &[keys.recipient(kind)], armor, &nobody()).unwrap();
                let header = Header::of(&ours).unwrap();
                assert_eq!((header.plaintext_len(), header.armor()), (length, armor), "{kind}");
                assert!(age(&["-d", "-i", text(&keys.path(kind))], &ours) == plain, "{kind} {armor:?} {length}");

                let public = keys.path(&format!("{kind}.pub"));
                let mut args = vec!["-R", text(&public)];
                args.extend((armor == Armor::Ascii).then_some("-a"));
                let theirs = age(&args, &plain);
                let header = Header::of(&theirs).unwrap();
                assert_eq!((header.plaintext_len(), header.armor()), (length, armor), "{kind}");
                assert!(header.compare(&[keys.recipient(kind)]).is_same());
                let identities = keys.identities(&[kind], nobody());
                assert!(identities.may_open(&header));
                assert!(*identities.decrypt(&theirs).unwrap() == plain, "{kind} {armor:?} {length}");
            }
        }
    }
}

#[test]
fn what_an_ssh_key_is_in_the_form_of_age_it_does_not_open() {
    let keys = Keys::new();
    let (ssh, identities) = (keys.recipient("ed25519"), keys.identities(&["ed25519"], nobody()));
    let converted = ssh.to_age().unwrap();
    assert!(identities.are_locked_out(std::slice::from_ref(&converted)) && !identities.are_locked_out(&[ssh]));
    let file = encrypt(b"x", &[converted], Armor::Binary, &nobody()).unwrap();
    assert!(identities.decrypt(&file).is_err());
}

#[test]
fn a_file_for_many_is_opened_by_each_of_them() {
    let keys = Keys::new();
    let kinds = ["ed25519", "rsa", "x25519"];
    let recipients: Vec<_> = kinds.iter().map(|kind| keys.recipient(kind)).collect();
    let file = encrypt(b"for all", &recipients, Armor::Binary, &nobody()).unwrap();
    for kind in kinds {
        assert_eq!(age(&["-d", "-i", text(&keys.path(kind))], &file), b"for all");
        assert_eq!(**keys.identities(&[kind], nobody()).decrypt(&file).unwrap(), *b"for all");
    }
    let other = Keys::new();
    let error = other.identities(&["ed25519", "x25519"], nobody()).decrypt(&file).unwrap_err();
    let AgeError::NoIdentity(tried) = error else { panic!("{error}") };
    assert_eq!(tried.len(), 2, "{tried:?}");
    assert!(tried[0].origin.ends_with("ed25519") && tried[0].why.contains("none of the recipients"), "{tried:?}");
}

/// Counts how often it is asked.
#[derive(Default)]
struct Counting {
    asked: AtomicUsize,
    answer: &'static str,
}

impl Ask for Counting {
    fn passphrase(&self, _: &str) -> Option<SecretString> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Some(SecretString::from(self.answer))
    }

    fn tell(&self, _: &str) {}

    fn confirm(&self, _: &str, _: &str, _: Option<&str>) -> Option<bool> {
        None
    }

    fn input(&self, _: &str) -> Option<String> {
        None
    }
}

#[test]
fn a_passphrase_is_asked_for_once_however_many_files_and_threads_need_it() {
    let keys = Keys::new();
    let ask = Arc::new(Counting { answer: "open sesame", ..Counting::default() });
    let identities = keys.identities(&["locked"], ask.clone());
    let file = encrypt(b"locked", &[keys.recipient("locked")], Armor::Binary, &nobody()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(**identities.decrypt(&file).unwrap(), *b"locked"));
        }
    });
    assert_eq!(ask.asked.load(Ordering::SeqCst), 1);
}

#[test]
fn nobody_is_asked_for_a_key_that_does_not_fit_or_is_not_needed() {
    let keys = Keys::new();
    let ask = Arc::new(Counting { answer: "open sesame", ..Counting::default() });
    let identities = keys.identities(&["locked", "rsa", "ed25519"], ask.clone());
    let recipients = [keys.recipient("locked"), keys.recipient("ed25519"), keys.recipient("rsa")];
    let file = encrypt(b"x", &recipients, Armor::Binary, &nobody()).unwrap();
    assert_eq!(**identities.decrypt(&file).unwrap(), *b"x");
    let others = encrypt(b"x", &[keys.recipient("x25519")], Armor::Binary, &nobody()).unwrap();
    assert!(matches!(identities.decrypt(&others), Err(AgeError::NoIdentity(_))));
    assert_eq!(ask.asked.load(Ordering::SeqCst), 0);
}

#[test]
fn a_wrong_passphrase_is_asked_for_again_and_given_up() {
    let keys = Keys::new();
    let ask = Arc::new(Counting { answer: "wrong", ..Counting::default() });
    let identities = keys.identities(&["locked"], ask.clone());
    let file = encrypt(b"x", &[keys.recipient("locked")], Armor::Binary, &nobody()).unwrap();
    for _ in 0..2 {
        let error = identities.decrypt(&file).unwrap_err().to_string();
        assert!(error.contains("the passphrase was wrong"), "{error}");
    }
    assert_eq!(ask.asked.load(Ordering::SeqCst), 3);
}

#[test]
fn a_key_that_others_can_get_at_is_refused() {
    let keys = Keys::new();
    let path = keys.path("ed25519");
    let add = |outside| Identities::new(nobody()).add_file(&path, outside).unwrap_err();
    let inside = add(Some(keys.dir.path()));
    assert!(inside.to_string().contains("in the repository"), "{inside}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let open = add(None);
    assert!(open.to_string().contains("others may read it (mode 0640)"), "{open}");
    assert!(open.hint().unwrap().contains("chmod 600"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
    assert!(add(None).to_string().contains("owned by somebody else"));
    fs::write(keys.path("garbage"), "my password is hunter2\n").unwrap();
    fs::set_permissions(keys.path("garbage"), fs::Permissions::from_mode(0o600)).unwrap();
    let error = Identities::new(nobody()).add_file(&keys.path("garbage"), None).unwrap_err().to_string();
    assert!(error.contains("line 1 is no identity") && !error.contains("hunter2"), "{error}");
}

#[test]
fn what_was_altered_or_cut_is_noticed() {
    let keys = Keys::new();
    let identities = keys.identities(&["ed25519"], nobody());
    for armor in [Armor::Binary, Armor::Ascii] {
        let file = encrypt(b"a secret of some length", &[keys.recipient("ed25519")], armor, &nobody()).unwrap();
        for at in 0..file.len() {
            let mut altered = file.clone();
            altered[at] ^= 1;
            let armor_end = armor == Armor::Ascii && altered.get(at) == Some(&b'\x0b');
            assert!(identities.decrypt(&altered).is_err() || armor_end, "{armor:?}: byte {at} of {}", file.len());
            assert!(
                identities.decrypt(&file[..at]).is_err() || (armor == Armor::Ascii && at == file.len() - 1),
                "cut at {at}"
            );
        }
    }
}

/// Bytes that nobody holds in memory.
struct Long {
    left: u64,
    state: u64,
    sum: u64,
}

impl Long {
    fn new(len: u64) -> Self {
        Self { left: len, state: 1, sum: 0 }
    }
}

impl Read for Long {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        for byte in &mut buffer[..length] {
            self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = self.state.to_be_bytes()[0];
            self.sum = self.sum.rotate_left(1).wrapping_add(u64::from(*byte));
        }
        self.left -= length as u64;
        Ok(length)
    }
}

/// Sums what is written.
#[derive(Default)]
struct Sum(u64);

impl Write for Sum {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        for byte in bytes {
            self.0 = self.0.rotate_left(1).wrapping_add(u64::from(*byte));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_does_not_fit_into_memory_is_streamed() {
    // More of it takes minutes where nothing is optimised.
    let mib = std::env::var("HUBCTL_TEST_STREAM_MIB").ok().and_then(|value| value.parse().ok()).unwrap_or(4);
    let keys = Keys::new();
    let path = keys.path("large.age");
    let mut long = Long::new(mib * 1024 * 1024);
    let file = fs::File::create(&path).unwrap();
    let length = encrypt_stream(&mut long, file, &[keys.recipient("ed25519")], Armor::Binary, &nobody()).unwrap();
    assert_eq!(length, mib * 1024 * 1024);
    let mut sum = Sum::default();
    let identities = keys.identities(&["ed25519"], nobody());
    assert_eq!(identities.decrypt_stream(fs::File::open(&path).unwrap(), &mut sum).unwrap(), length);
    assert_eq!(sum.0, long.sum);
    assert_eq!(Header::read(fs::File::open(&path).unwrap()).unwrap().plaintext_len(), length);
}

#[test]
fn a_plugin_that_is_missing_is_named() {
    let keys = Keys::new();
    let recipient = bech32::encode::<bech32::Bech32>(bech32::Hrp::parse("age1nosuchplugin").unwrap(), b"key").unwrap();
    let recipient: Recipient = recipient.parse().unwrap();
    let error = encrypt(b"x", &[recipient, keys.recipient("ed25519")], Armor::Binary, &nobody()).unwrap_err();
    assert!(error.to_string().contains("age-plugin-nosuchplugin"), "{error}");
}
