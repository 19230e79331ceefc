//! A hub in a git repository of its own, a copy of the lab's fleet, and hubctl run in it.

use std::ffi::OsString;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{env, fs, iter};

use tempfile::TempDir;

use super::finished::Finished;
use super::lab::{Lab, REPOSITORY};
use super::processes::Processes;

/// A hub with its user's home, state and sockets. All of it goes when this value is dropped, ssh connections included.
#[derive(Debug)]
pub(crate) struct Hub {
    dir: TempDir,
    env: Vec<(String, String)>,
}

impl Hub {
    /// A clean copy of the lab's fleet, committed, whose hosts are those of `lab`.
    pub(crate) fn new(lab: &Lab) -> Self {
        let mut hub = Self::offline();
        hub.set_env("HUBCTL_SSH_CONFIG", &lab.ssh_config().display().to_string());
        hub
    }

    /// A clean copy of the lab's fleet, committed, whose hosts are nowhere.
    pub(crate) fn offline() -> Self {
        // Control sockets need short paths.
        let dir = tempfile::Builder::new().prefix("hx").tempdir_in("/tmp").unwrap();
        let root = dir.path().join("hub");
        copy_tree(&Path::new(REPOSITORY).join("dev/lab-fleet"), &root);
        for name in ["home", "state", "run"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let hub = Self { dir, env: Vec::new() };
        hub.git(&["init", "--quiet", "--initial-branch=main"]);
        hub.commit("begin");
        hub
    }

    /// The directory of the flake.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("hub")
    }

    /// Where hubctl keeps its state.
    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("state/hubctl")
    }

    /// Where hubctl keeps ssh's control sockets.
    pub(crate) fn sockets(&self) -> PathBuf {
        self.dir.path().join("run/hubctl")
    }

    /// The lines of a host's log of a run, without the step in front of each.
    #[track_caller]
    pub(crate) fn log(&self, run: &Finished, host: &str) -> Vec<String> {
        let id = run.events()[0]["deployment"].as_str().unwrap().to_owned();
        let text = fs::read_to_string(self.state().join(format!("logs/{id}/{host}.log"))).unwrap();
        text.lines().map(|line| line.split_once(" | ").unwrap().1.to_owned()).collect()
    }

    /// Sets a variable of hubctl's environment.
    pub(crate) fn set_env(&mut self, key: &str, value: &str) {
        self.env.retain(|(known, _)| known != key);
        self.env.push((key.to_owned(), value.to_owned()));
    }

    /// The roots that hubctl keeps now.
    pub(crate) fn roots(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.state().join("gcroots")) else { return Vec::new() };
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Has a call of nix whose words contain `words` sleep instead of doing anything.
    pub(crate) fn stall_nix(&mut self, words: &str) {
        let bin = self.dir.path().join("bin");
        fs::create_dir_all(&bin).unwrap();
        let real = which::which("nix").unwrap();
        let wrapper =
            format!("#!/bin/sh\ncase \"$*\" in *'{words}'*) sleep 600 ;; esac\nexec {} \"$@\"\n", real.display());
        fs::write(bin.join("nix"), wrapper).unwrap();
        fs::set_permissions(bin.join("nix"), fs::Permissions::from_mode(0o755)).unwrap();
        let path = std::env::var("PATH").unwrap();
        self.set_env("PATH", &format!("{}:{path}", bin.display()));
    }

    /// Writes a file of the flake, known to git but not committed.
    pub(crate) fn write(&self, file: &str, text: &str) {
        let path = self.root().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self.git(&["add", "--intent-to-add", "--", file]);
    }

    /// Sets values in a host's own file, such as `motd = "x";`. Each call replaces what the last one set.
    pub(crate) fn set_host(&self, host: &str, values: &str) {
        let file = format!("hosts/{host}/default.nix");
        let text = self.committed(&file);
        self.write(&file, &format!("{text}// {{\n  {values}\n}}\n"));
    }

    /// Gives the flake an input `words` at `url`, a flake itself, whose output `values` every host has in addition to its own.
    pub(crate) fn take_input(&self, url: &str) {
        let edit = |file: &str, pairs: [(&str, &str); 2]| {
            let text = pairs.iter().fold(self.committed(file), |text, (old, new)| {
                assert!(text.contains(old), "no `{old}` in {file}");
                text.replace(old, new)
            });
            self.write(file, &text);
        };
        let inputs = format!("inputs.words.url = \"{url}\";\n  outputs =\n    inputs:\n");
        let call = "import ./lib/host.nix {";
        edit("flake.nix", [("outputs =\n    _:\n", &inputs), (call, &format!("{call} words = inputs.words.values;"))]);
        let read = "values = read file";
        edit("lib/host.nix", [("  file,\n", "  file,\n  words ? { },\n"), (read, &format!("{read} // words"))]);
    }

    /// The text of a file as it was committed.
    pub(crate) fn committed(&self, file: &str) -> String {
        self.git(&["show", &format!("HEAD:{file}")])
    }

    /// Commits everything.
    pub(crate) fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
    }

    /// Runs git in the flake's directory; it must succeed.
    #[track_caller]
    pub(crate) fn git(&self, words: &[&str]) -> String {
        let identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"];
        let output = self.environment(Command::new("git").args(identity).args(words)).output().unwrap();
        assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The program with `words`, in the flake's directory and in this hub's environment.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hubctl"));
        self.environment(command.args(words).stdin(Stdio::null()));
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Finished {
        self.command(words).output().unwrap().into()
    }

    /// Runs a line of shell in the flake's directory and in this hub's environment, in which `hubctl` is the program.
    pub(crate) fn shell(&self, line: &str) -> Finished {
        self.environment(Command::new("sh").args(["-c", line]).stdin(Stdio::null())).output().unwrap().into()
    }

    /// As [`Self::shell`], by another shell; an error where there is none of that name.
    pub(crate) fn shell_of(&self, shell: &str, code: &str) -> std::io::Result<Output> {
        self.environment(Command::new(shell).args(["-c", code]).stdin(Stdio::null())).output()
    }

    /// A search path on which `hubctl` is the program under test.
    pub(crate) fn path() -> OsString {
        let program = Path::new(env!("CARGO_BIN_EXE_hubctl")).parent().unwrap().to_path_buf();
        let path = env::var_os("PATH").unwrap_or_default();
        env::join_paths(iter::once(program).chain(env::split_paths(&path))).unwrap()
    }

    /// Runs the program to its end with `--json`.
    pub(crate) fn json(&self, words: &[&str]) -> Finished {
        let words: Vec<_> = words.iter().copied().chain(["--json"]).collect();
        self.run(&words)
    }

    /// Starts the program with `--json` and leaves it running.
    pub(crate) fn start(&self, words: &[&str]) -> Running {
        let mut command = self.command(words);
        command.arg("--json").stdout(Stdio::piped()).stderr(Stdio::piped());
        Running::new(command.spawn().unwrap())
    }

    /// Like [`Self::start`], by way of another program, such as `nohup`.
    pub(crate) fn start_by(&self, program: &str, words: &[&str]) -> Running {
        let mut command = Command::new(program);
        command.arg(env!("CARGO_BIN_EXE_hubctl")).args(words).arg("--json").stdin(Stdio::null());
        self.environment(&mut command).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running::new(command.spawn().unwrap())
    }

    fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let dir = |name: &str| self.dir.path().join(name);
        let nix_config =
            "experimental-features = nix-command flakes\nsubstituters =\nsandbox = false\nbuild-users-group =\n";
        command
            .current_dir(self.root())
            .env_clear()
            .env("PATH", Self::path())
            .env("HOME", dir("home"))
            .env("XDG_STATE_HOME", dir("state"))
            .env("XDG_RUNTIME_DIR", dir("run"))
            .env("NIX_CONFIG", nix_config)
            .env("USER", "tester")
            .env("TZ", "UTC")
            .envs(self.env.iter().map(|(key, value)| (key, value)))
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let Ok(sockets) = fs::read_dir(self.sockets()) else { return };
        for socket in sockets.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_none()) {
            // A socket whose master is gone needs no ending.
            let _ = Command::new("ssh").arg("-S").arg(socket).args(["-O", "exit", "any"]).output();
        }
    }
}

/// A run of the program that goes on. It is killed when this value is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Option<Child>,
    seen: String,
}

impl Running {
    fn new(child: Child) -> Self {
        Self { child: Some(child), seen: String::new() }
    }

    /// Waits until the program printed a line with `text`; fails after two minutes.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) {
        let is_seen = self.seen.lines().any(|line| line.contains(text));
        assert!(is_seen || self.reaches(|line| line.contains(text)), "no `{text}` until the end of:\n{}", self.seen);
    }

    /// Waits until the program prints a line of which `is_it` is true, and tells whether it did before its end; fails after two
    /// minutes.
    #[track_caller]
    pub(crate) fn reaches(&mut self, mut is_it: impl FnMut(&str) -> bool) -> bool {
        let begun = Instant::now();
        loop {
            let start = self.seen.len();
            while !self.seen[start..].ends_with('\n') {
                assert!(begun.elapsed() < Duration::from_secs(120), "not so far in two minutes:\n{}", self.seen);
                let mut byte = [0];
                let stdout = self.child.as_mut().unwrap().stdout.as_mut().unwrap();
                if stdout.read(&mut byte).unwrap() == 0 {
                    return false;
                }
                self.seen.push(char::from(byte[0]));
            }
            if is_it(&self.seen[start..]) {
                return true;
            }
        }
    }

    /// What the program has started and that runs now.
    pub(crate) fn processes(&self) -> Processes {
        Processes::below(self.child.as_ref().unwrap().id())
    }

    /// Waits until the program has started a command line with `text`, and gives all that it has started by then.
    #[track_caller]
    pub(crate) fn wait_for_process(&self, text: &str) -> Processes {
        let begun = Instant::now();
        loop {
            let processes = self.processes();
            if processes.has(text) {
                return processes;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "no `{text}` among {processes:#?}");
            sleep(Duration::from_millis(20));
        }
    }

    /// Sends a signal, such as `INT` or `KILL`.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &pid]).status().unwrap().success());
    }

    /// Waits for the end.
    pub(crate) fn finish(mut self) -> Finished {
        let output = self.child.take().unwrap().wait_with_output().unwrap();
        let mut finished = Finished::from(output);
        finished.stdout.insert_str(0, &std::mem::take(&mut self.seen));
        finished
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_tree(&source, &target);
        } else {
            fs::copy(source, target).unwrap();
        }
    }
}
