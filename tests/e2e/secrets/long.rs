//! Secrets that are longer than the memory that is spent on them.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use super::commands::Secrets;

/// How many MiB such a secret has, and how many of memory a run may take.
fn sizes() -> (usize, usize) {
    let mib = std::env::var("HUBCTL_TEST_STREAM_MIB").ok().and_then(|value| value.parse().ok()).unwrap_or(96);
    (mib.max(96), 64)
}

/// Runs hubctl by a program that tells the peak of its memory and of all that it starts, in MiB, as the last line of standard error.
const MEASURED: &str = "\
import resource, subprocess, sys
done = subprocess.run(['hubctl', *sys.argv[1:]])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024, file=sys.stderr)
sys.exit(done.returncode)
";

impl Secrets {
    /// Runs hubctl from a file and to another; it must succeed with little memory.
    #[track_caller]
    fn measured(&self, words: &[&str], input: &Path, output: &Path) {
        let line = format!("exec python3 -c \"$MEASURED\" \"$@\" < {} > {}", input.display(), output.display());
        let mut command = self.hub.command(&[]);
        let envs: Vec<_> =
            command.get_envs().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect();
        command = Command::new("sh");
        command.args(["-c", &line, "sh"]).args(words).env_clear().envs(envs).env("MEASURED", MEASURED);
        let done = command.current_dir(self.hub.root()).output().unwrap();
        let told = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{words:?}: {told}");
        let peak: usize = told.lines().last().unwrap().parse().unwrap();
        assert!(peak < sizes().1, "{words:?}: {peak} MiB");
    }
}

/// Writes a content of which each part differs from all others.
fn write_long(path: &Path, mib: usize) {
    let mut file = File::create(path).unwrap();
    let mut state = 1_u64;
    for _ in 0..mib {
        let piece: Vec<u8> = (0..1024 * 1024 / 8)
            .flat_map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                state.to_be_bytes()
            })
            .collect();
        file.write_all(&piece).unwrap();
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    Command::new("cmp").args(["-s"]).args([one, other]).status().unwrap().success()
}

/// Decrypts a file with the `age` that everybody has.
fn by_age(secrets: &Secrets, key: &str, from: &Path, to: &Path) -> bool {
    let mut command = Command::new("age");
    command.arg("-d").arg("-i").arg(secrets.home().join(key)).arg("-o").arg(to).arg(from).stderr(Stdio::null());
    command.status().unwrap().success()
}

#[test]
fn what_is_long_goes_through_little_memory_in_and_out_and_anew() {
    let secrets = Secrets::with(1);
    let (home, file) = (secrets.home(), secrets.hub.root().join("secrets/s0.age"));
    let [long, out, nothing] = ["long", "out", "nothing"].map(|name| home.join(name));
    write_long(&long, sizes().0);
    fs::write(&nothing, "").unwrap();
    secrets.measured(&["secrets", "set", "s0"], &long, &nothing);
    assert!(by_age(&secrets, "p620", &file, &out) && is_same(&long, &out));
    secrets.measured(&["secrets", "show", "s0"], &nothing, &out);
    assert!(is_same(&long, &out));
    // With other recipients, and from what `age` wrote, as text.
    secrets.rules(1, &[".ssh/id_ed25519", "p510"]);
    // Rules that are new are evaluated, and Nix takes more than this.
    secrets.hub.run(&["secrets", "status"]).exits(0).prints("not yet for root@p510");
    let mut age = Command::new("age");
    age.args(["-a", "-r", &secrets.public(".ssh/id_ed25519"), "-o"]).arg(&file).arg(&long);
    assert!(age.status().unwrap().success());
    secrets.measured(&["secrets", "rekey"], &nothing, &out);
    let mut begin = [0; 14];
    File::open(&file).unwrap().read_exact(&mut begin).unwrap();
    assert_eq!(&begin, b"-----BEGIN AGE", "it stays text");
    assert!(by_age(&secrets, "p510", &file, &out) && is_same(&long, &out));
    assert!(!by_age(&secrets, "p620", &file, &out));
    secrets.measured(&["secrets", "status", "--check"], &nothing, &out);
    let left: Vec<_> = fs::read_dir(secrets.hub.root().join(".git/hubctl/secrets%")).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "the lock alone stays: {left:?}");
}

#[test]
fn what_is_long_and_damaged_is_told_and_stays() {
    let secrets = Secrets::with(1);
    let (home, file) = (secrets.home(), secrets.hub.root().join("secrets/s0.age"));
    write_long(&home.join("long"), 2);
    secrets.hub.shell("hubctl secrets set s0 < ../home/long").exits(0);
    let whole = fs::read(&file).unwrap();
    for at in [whole.len() - 1, whole.len() / 2, 80] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&file, &damaged).unwrap();
        for words in [&["secrets", "show", "s0"][..], &["secrets", "rekey", "--all"]] {
            let told = secrets.hub.shell(&format!("hubctl {} > /dev/null", words.join(" ")));
            assert_eq!(told.code, Some(1), "{at}: {}", told.stderr);
            assert!(told.stderr.contains("secrets/s0.age: "), "{at}: {}", told.stderr);
        }
        assert!(fs::read(&file).unwrap() == damaged, "{at}");
    }
    // Whoever reads no further has what they want.
    fs::write(&file, &whole).unwrap();
    secrets.hub.shell("set -e; hubctl secrets show s0 | head -c 3 > /dev/null").exits(0);
    // A short one takes the place of a long one.
    secrets.set("s0", "short").exits(0);
    assert_eq!(secrets.by_age("p620", 0).as_deref(), Some("short"));
}

#[test]
fn a_run_that_is_killed_over_a_long_secret_leaves_nothing_of_it() {
    let mut secrets = Secrets::with(1);
    write_long(&secrets.home().join("long"), 2);
    let state = secrets.hub.root().join(".git/hubctl/secrets%");
    let (mut as_before, mut as_after) = (0, 0);
    for at in 0.. {
        secrets.set("s0", "short").exits(0);
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1, "operation {at}: the lock alone stays");
        secrets.hub.set_env("HUBCTL_TEST_SECRETS_FAULT", &format!("kill:{at}"));
        // The shell ends as hubctl does.
        let killed = secrets.hub.shell("exec hubctl secrets set s0 < ../home/long");
        secrets.hub.set_env("HUBCTL_TEST_SECRETS_FAULT", "");
        secrets.hub.run(&["secrets", "status"]).exits(0);
        assert_eq!(secrets.files().len(), 1, "operation {at}");
        if secrets.hub.run(&["secrets", "show", "s0"]).exits(0).stdout == "short" {
            as_before += 1;
        } else {
            secrets.hub.shell("hubctl secrets show s0 | cmp - ../home/long").exits(0);
            as_after += 1;
        }
        if killed.code == Some(0) {
            break;
        }
        assert_eq!(killed.code, None, "{}", killed.stderr);
    }
    assert!(as_before > 3 && as_after > 3, "{as_before} {as_after}");
}
