//! Nothing that is secret leaves memory: each command is watched by the system calls that it and all that it starts make.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use tempfile::TempDir;

use super::commands::Secrets;
use super::trace::{CALLS, Forms, leaks, leaves_no_core};
use crate::support::{Finished, Hub};

/// What stands in each content.
const CANARY: &str = "Zq7canary9f3kLmPxR2vWnY4tB";

/// What the contents are that are read, below `$MEMORY`.
const CONTENTS: [(&str, &str); 7] = [
    ("typed", "@\r"),
    ("in", "begin @ end"),
    ("in.yaml", "a: @\nb:\n    c: [\"x@\", y]\n"),
    ("in.json", "{\"a\": \"@\"}\n"),
    ("in.env", "A=@\n# @\n"),
    ("in.ini", "[one]\na = @\n"),
    ("bad", "{ \"a\": [@ \n\t- @: : ]"),
];

/// Secrets of both formats, and a directory in memory for what goes in and out.
struct Traced {
    secrets: Secrets,
    memory: TempDir,
    forms: Forms,
}

impl Traced {
    fn new() -> Self {
        let mut secrets = Secrets::with(2);
        let memory = tempfile::Builder::new().prefix("traced").tempdir_in("/dev/shm").unwrap();
        let bin = secrets.home().join("bin");
        fs::create_dir(&bin).unwrap();
        symlink(env!("CARGO_BIN_EXE_hubctl"), bin.join("agenix")).unwrap();
        let path = format!("{}:{}", bin.display(), Hub::path().into_string().unwrap());
        let dir = memory.path().to_str().unwrap();
        for (name, value) in
            [("XDG_RUNTIME_DIR", dir), ("MEMORY", dir), ("PATH", &path), ("HUBCTL_LOG", "trace"), ("TERM", "xterm")]
        {
            secrets.hub.set_env(name, value);
        }
        for (name, content) in CONTENTS {
            fs::write(memory.path().join(name), content.replace('@', CANARY)).unwrap();
        }
        // More than what is held in memory.
        fs::write(memory.path().join("long"), format!("{CANARY}\n").repeat(80_000)).unwrap();
        let rules = fs::read_to_string(secrets.hub.root().join("secrets.nix")).unwrap();
        let rule = "  \"secrets/app.json.age\".publicKeys = all;\n}";
        secrets.hub.write("secrets.nix", &rules.replace("\n}", &format!("\n{rule}")));
        let me = secrets.public(".ssh/id_ed25519");
        let rule = format!("creation_rules:\n  - path_regex: \\.(yaml|json|env|ini|bin)$\n    age: {me}\n");
        secrets.hub.write(".sops.yaml", &rule);
        Self { secrets, memory, forms: Forms::of(CANARY) }
    }

    /// Runs a line of shell; gives how it ended, and its trace.
    fn trace(&self, line: &str) -> (Finished, String) {
        let (script, trace) = (self.memory.path().join("script"), self.memory.path().join("trace"));
        fs::write(&script, line).unwrap();
        let traced = format!(
            "exec strace -f -y -v -s 1000000 -e signal=none -e trace={CALLS} -o {} sh {}",
            trace.display(),
            script.display()
        );
        let done = self.secrets.hub.shell(&traced);
        (done, String::from_utf8_lossy(&fs::read(&trace).unwrap()).into_owned())
    }

    /// Where these forms got to by a line of shell.
    fn escaped(&self, forms: &Forms, done: &Finished, trace: &str) -> Vec<String> {
        let mut found = leaks(trace, forms);
        for (name, text) in [("stdout", &done.stdout), ("stderr", &done.stderr)] {
            found.extend(forms.are_in(text).then(|| name.to_owned()));
        }
        let on_disk = forms.on_disk(self.secrets.hub.root().parent().unwrap());
        found.extend(on_disk.into_iter().map(|path| path.display().to_string()));
        found
    }

    /// Runs a line that lets nothing out, and of which a crash would not either.
    #[track_caller]
    fn keeps(&self, line: &str, code: i32) {
        let (done, trace) = self.trace(line);
        let told = format!("{line}: {}\n{}", done.stdout, done.stderr);
        assert_eq!(done.code, Some(code), "{told}");
        assert_eq!(self.escaped(&self.forms, &done, &trace), Vec::<String>::new(), "{told}");
        assert!(leaves_no_core(&trace, &self.forms), "{line}: a crash would leave a core");
    }

    /// Runs a line that lets nothing out of a value that it makes, which `tells` prints, or the longest line of that.
    #[track_caller]
    fn keeps_new(&self, line: &str, tells: &str) {
        let (done, trace) = self.trace(line);
        assert_eq!(done.code, Some(0), "{line}: {}", done.stderr);
        let value = self.secrets.hub.shell(tells).exits(0).stdout;
        let forms = Forms::of(value.lines().max_by_key(|line| line.len()).unwrap());
        assert_eq!(self.escaped(&forms, &done, &trace), Vec::<String>::new(), "{line}");
    }

    /// Has the editor be a line of shell, in which `$1` is the file.
    fn editor(&mut self, line: &str) {
        let editor = self.secrets.home().join("editor");
        fs::write(&editor, format!("#!/bin/sh\n{line}\n")).unwrap();
        fs::set_permissions(&editor, fs::Permissions::from_mode(0o755)).unwrap();
        self.secrets.hub.set_env("EDITOR", editor.to_str().unwrap());
    }

    /// What a line before this one has written to `$MEMORY/out`.
    #[track_caller]
    fn came_out(&self) {
        let out = fs::read_to_string(self.memory.path().join("out")).unwrap();
        assert!(out.contains(CANARY), "{out}");
        fs::write(self.memory.path().join("out"), "").unwrap();
    }
}

#[test]
fn no_secret_of_agenix_leaves_memory() {
    let mut traced = Traced::new();
    traced.editor("cat $1 $MEMORY/in > $1.new; mv $1.new $1");
    let [me, key] = [".ssh/id_ed25519", "p510"].map(|name| traced.secrets.public(name));
    for (line, code) in [
        ("hubctl secrets set s0 < $MEMORY/in", 0),
        ("hubctl secrets set app.json < $MEMORY/bad", 5),
        ("hubctl secrets set app.json < $MEMORY/in.json", 0),
        ("hubctl secrets set nothing < $MEMORY/in", 2),
        ("hubctl secrets create secrets/new --for \"$ME\" < $MEMORY/in", 0),
        ("hubctl secrets show s0 --json", 2),
        ("hubctl secrets show s0 --identity ../home/p510", 1),
        ("hubctl secrets edit s1", 0),
        ("hubctl secrets create secrets/long --for \"$ME\" < $MEMORY/in", 0),
        ("hubctl secrets set long < $MEMORY/long", 0),
        ("hubctl secrets show long > $MEMORY/out", 0),
        ("hubctl secrets edit app.json < /dev/null", 5),
        ("hubctl secrets rekey --all", 0),
        ("hubctl secrets rekey --all --identity ../home/p510", 1),
        ("hubctl secrets grant \"$KEY\" s0", 0),
        ("hubctl secrets revoke \"$KEY\" s0", 0),
        ("hubctl secrets rotate s1 --stdin < $MEMORY/in", 0),
        ("hubctl secrets import s0 --to sops --as s0.bin", 0),
        ("hubctl secrets status --json", 0),
        ("hubctl secrets history", 0),
        ("hubctl secrets check --staged", 0),
        ("hubctl secrets exec --file s0 -- sh -c 'cat $S0_FILE > $MEMORY/out'", 0),
        ("hubctl secrets exec --file s0 -- false", 1),
        ("agenix -d secrets/s0.age > $MEMORY/out", 0),
        ("agenix -e secrets/s0.age < $MEMORY/in", 0),
        ("agenix -r", 0),
    ] {
        traced.keeps(&format!("ME='{me}'\nKEY='{key}'\n{line}"), code);
    }
    traced.came_out();
    traced.keeps("hubctl secrets show s0 | cat > $MEMORY/out", 0);
    traced.came_out();
    // To a terminal it goes when that is wanted, and not before.
    traced.keeps("script -qec 'hubctl secrets show s0' /dev/null > $MEMORY/out", 5);
    traced.keeps("script -qec 'hubctl secrets show s0 --reveal' /dev/null > $MEMORY/out", 0);
    traced.came_out();
    traced.editor("cat $MEMORY/in >> $1; exit 3");
    traced.keeps("hubctl secrets edit s0", 1);
}

#[test]
fn no_secret_of_sops_leaves_memory() {
    let mut traced = Traced::new();
    let key = traced.secrets.public("p510");
    traced.editor("sed s/end/END/ $1 > $1.new; mv $1.new $1");
    for (line, code) in [
        ("hubctl secrets set web.yaml < $MEMORY/in.yaml", 0),
        ("hubctl secrets set web.json < $MEMORY/in.json", 0),
        ("hubctl secrets set web.env < $MEMORY/in.env", 0),
        ("hubctl secrets set web.ini < $MEMORY/in.ini", 0),
        ("hubctl secrets create web.bin < $MEMORY/in", 0),
        ("hubctl secrets set bad.yaml < $MEMORY/bad", 5),
        ("hubctl secrets set bad.json < $MEMORY/bad", 5),
        ("hubctl secrets show web.yaml > $MEMORY/out", 0),
        ("hubctl secrets set web.yaml --value b/c/1 < $MEMORY/in", 0),
        ("hubctl secrets set web.yaml --value a/b < $MEMORY/in", 1),
        ("hubctl secrets show web.yaml --value b/c/0 > $MEMORY/out", 0),
        ("hubctl secrets show web.yaml --identity ../home/p510", 1),
        ("hubctl secrets edit web.bin", 0),
        ("hubctl secrets rekey web.* --all", 0),
        ("hubctl secrets grant \"$KEY\" web.*", 0),
        ("hubctl secrets revoke \"$KEY\" web.*", 0),
        ("hubctl secrets rotate web.env --value A --stdin < $MEMORY/in", 0),
        ("hubctl secrets set s0 < $MEMORY/in", 0),
        ("hubctl secrets import s0 --to sops", 0),
        ("hubctl secrets import web.bin --to agenix --remove", 0),
        ("hubctl secrets import web.yaml --to agenix --value b/c/1 --as secrets/one", 0),
        ("hubctl secrets import app.json --to sops", 1),
        ("hubctl secrets exec --file web.ini -- sh -c 'cat $WEB_INI_FILE > $MEMORY/out'", 0),
        ("hubctl secrets import web.env --value A --to agenix --as secrets/s0.age", 5),
        ("sed -i s/data:./data:A/ web.yaml; hubctl secrets show web.yaml", 1),
    ] {
        traced.keeps(&format!("KEY='{key}'\n{line}"), code);
    }
    traced.came_out();
}

#[test]
fn no_value_that_is_made_leaves_memory() {
    let traced = Traced::new();
    let show = "hubctl secrets show";
    let me = traced.secrets.public(".ssh/id_ed25519");
    traced.secrets.set("web.yaml", "a: x\n").exits(0);
    for (line, tells) in [
        ("hubctl secrets rotate s0 --generate password", format!("{show} s0")),
        ("hubctl secrets rotate s0 --generate ssh-key", format!("{show} s0")),
        ("hubctl secrets rotate s0 --generate age-key --json", format!("{show} s0")),
        ("hubctl secrets rotate s0 --generate mkpasswd > $MEMORY/out", "cat $MEMORY/out".to_owned()),
        ("hubctl secrets rotate web.yaml --value a --generate hex", format!("{show} web.yaml --value a")),
        ("hubctl secrets create secrets/new --for \"$ME\" --generate wireguard", format!("{show} new")),
        ("hubctl secrets hosts add web.lan --generate --no-grant --yes > $MEMORY/out", "sed 2p $MEMORY/out".to_owned()),
    ] {
        traced.keeps_new(&format!("ME='{me}'\n{line}"), &tells);
    }
}

#[test]
fn a_program_alone_gets_what_is_in_its_environment() {
    let traced = Traced::new();
    traced.keeps("hubctl secrets set s0 < $MEMORY/in", 0);
    let (done, trace) = traced.trace("hubctl secrets exec s0 -- /bin/sh -c 'printf %s \"$S0\" > $MEMORY/out'");
    done.exits(0);
    traced.came_out();
    let found = leaks(&trace, &traced.forms);
    assert!(found.len() == 1 && found[0].contains("execve(\"/bin/sh\""), "{found:?}");
}

#[test]
fn what_is_typed_stays_in_memory() {
    let traced = Traced::new();
    let home = traced.secrets.home();
    traced.secrets.hub.shell(&format!("ssh-keygen -q -t ed25519 -N {CANARY} -f ../home/locked")).exits(0);
    // The terminal is answered when it asks.
    let typed = |question: &str, line: &str| {
        format!(
            "(until grep -q '{question}' $MEMORY/tty 2>/dev/null; do sleep 0.2; done; cat $MEMORY/typed) | \
             script -qefc '{line}' /dev/null > $MEMORY/tty"
        )
    };
    let public = fs::read_to_string(home.join("locked.pub")).unwrap();
    traced.secrets.hub.shell(&format!("hubctl secrets grant '{}' s0", public.trim())).exits(0);
    traced.keeps(&typed("passphrase of", "hubctl secrets show s0 -i ../home/locked > $MEMORY/out"), 0);
    assert_eq!(fs::read_to_string(traced.memory.path().join("out")).unwrap(), "value 0");
}

#[test]
fn what_a_program_lets_out_is_noticed() {
    let mut traced = Traced::new();
    traced.keeps("hubctl secrets set s0 < $MEMORY/in", 0);
    let mapped = "python3 -c 'import mmap, sys\nwith open(\"../home/leak\", \"wb+\") as f:\n  f.truncate(4096)\n  \
                  mmap.mmap(f.fileno(), 4096)[:4] = open(sys.argv[1], \"rb\").read(4)' $1";
    for leak in [
        "cat $1 > ../home/leak; rm ../home/leak",
        "cp $1 ../home/leak; rm ../home/leak",
        "base64 -w 0 $1 > ../home/leak; rm ../home/leak",
        "od -An -v -tx1 $1 | tr -d ' \\n' > ../home/leak; rm ../home/leak",
        "LEAK=$(cat $1) /bin/true",
        "/bin/true \"$(cat $1)\"",
        "cat $1 >&2",
        "mkdir \"../home/$(cat $1)\"; rmdir \"../home/$(cat $1)\"",
        mapped,
    ] {
        traced.editor(leak);
        let (done, trace) = traced.trace("hubctl secrets edit s0");
        let found = traced.escaped(&traced.forms, &done, &trace);
        assert_ne!(found, Vec::<String>::new(), "{leak}");
    }
    assert!(leaves_no_core("1 read(0, \"x\")", &traced.forms));
    assert!(!leaves_no_core(&format!("1 read(0, \"{CANARY}\")"), &traced.forms));
}
