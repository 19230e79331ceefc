//! Hosts of a lab of the test's own, which ends with the test however that ends.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The directory of the repository.
pub(crate) const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

static LABS: AtomicU32 = AtomicU32::new(0);

/// Hosts that run. They are taken down when this value is dropped, and by the lab itself when the test's process dies.
#[derive(Debug)]
pub(crate) struct Lab {
    name: String,
}

impl Lab {
    /// Boots hosts of these names and waits until ssh to each works.
    pub(crate) fn up(hosts: &[&str]) -> Self {
        Self::up_with(&[], hosts)
    }

    /// Boots hosts with options of `dev/lab up`, such as `--nix-size`.
    pub(crate) fn up_with(options: &[&str], hosts: &[&str]) -> Self {
        let pid = std::process::id().to_string();
        let name = format!("t{pid}-{}", LABS.fetch_add(1, Ordering::Relaxed));
        let lab = Self { name };
        let words: Vec<&str> = ["up", "--owner", &pid].iter().chain(options).chain(hosts).copied().collect();
        lab.command(&words);
        lab
    }

    /// The ssh configuration that knows the hosts.
    pub(crate) fn ssh_config(&self) -> PathBuf {
        PathBuf::from(format!("/run/hubctl-lab/{}/ssh_config", self.name))
    }

    /// Runs a shell command on a host as root and gives what it printed; it must succeed.
    #[track_caller]
    pub(crate) fn ssh(&self, host: &str, command: &str) -> String {
        let output = self.try_ssh(host, command);
        assert!(output.status.success(), "{command} on {host}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Runs a shell command on a host as root, however it ends.
    pub(crate) fn try_ssh(&self, host: &str, command: &str) -> Output {
        Command::new("ssh").arg("-F").arg(self.ssh_config()).args([host, command]).output().unwrap()
    }

    /// Runs a shell command on a host as root as from its own console, so also without network and sshd; it must succeed.
    #[track_caller]
    pub(crate) fn console(&self, host: &str, command: &str) -> String {
        let output = self.try_console(host, command);
        assert!(output.status.success(), "{command} on {host}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Whether a shell command on a host's own console succeeds; it does not on a host that is off.
    pub(crate) fn holds(&self, host: &str, command: &str) -> bool {
        self.try_console(host, command).status.success()
    }

    /// Waits until a shell command on a host's own console succeeds; fails after a minute.
    #[track_caller]
    pub(crate) fn wait_until(&self, host: &str, command: &str) {
        let begun = Instant::now();
        while !self.holds(host, command) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{host} never came to: {command}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until `holds` of a host's root directory, which is not entered: a process in a host that goes down would keep it
    /// from doing so. Absolute links in there lead to this machine's own files. Fails after a minute.
    #[track_caller]
    pub(crate) fn watch(&self, host: &str, what: &str, holds: impl Fn(&Path) -> bool) {
        let begun = Instant::now();
        while !holds(&PathBuf::from(format!("/proc/{}/root", self.first_process(host)))) {
            assert!(begun.elapsed() < Duration::from_secs(60), "not within a minute on {host}: {what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The host's first process, as this machine knows it; `-` while the host is off.
    fn first_process(&self, host: &str) -> String {
        let file = format!("/run/hubctl-lab/{}/hosts/{host}/nspawn", self.name);
        let container = std::fs::read_to_string(file).unwrap_or_default();
        let container = container.split(' ').next().unwrap_or_default();
        // It is the child of the one that keeps the host.
        let children = std::fs::read_to_string(format!("/proc/{container}/task/{container}/children"));
        let children = children.unwrap_or_default();
        children.split_whitespace().next().unwrap_or("-").to_owned()
    }

    fn try_console(&self, host: &str, command: &str) -> Output {
        let first = self.first_process(host);
        let words = ["--all", "--wd=/", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "sh", "-c", command];
        // A host that goes down stops all that runs on it, and nsenter stops with its child, which nobody continues.
        Command::new("timeout").args(["20", "nsenter", "--target", &first]).args(words).output().unwrap()
    }

    /// All that a deployment changes on a host, as one text: two of them are the same if and only if nothing was changed and
    /// nothing was left behind. The lock is no part of it: a run has it before it changes anything.
    #[track_caller]
    pub(crate) fn traces(&self, host: &str) -> String {
        let questions = "
            exec 2>&1
            readlink -f /run/current-system
            ls -ld --full-time /nix/var/nix/profiles/system* /boot/loader/loader.conf /boot/loader/entries/*
            cat /etc/lab-motd /boot/loader/loader.conf
            ls -A /run/hubctl 2>/dev/null | grep -vx lock
            ls -A /run/nixos
            ls -A /tmp | grep hubctl
            systemctl list-units --all --plain --no-legend 'nixos-rebuild*' 'hubctl*' 'run-*.service' --state=loaded";
        self.console(host, &format!("{questions}\n:"))
    }

    /// The host's address.
    pub(crate) fn address(&self, host: &str) -> String {
        let file = format!("/run/hubctl-lab/{}/hosts/{host}/address", self.name);
        std::fs::read_to_string(file).unwrap().trim().to_owned()
    }

    /// The address at which a host reaches this machine.
    pub(crate) fn gateway(&self, host: &str) -> String {
        self.ssh(host, "ip route show default | cut -d ' ' -f 3")
    }

    /// Lets root on a host log in as root on `other`, by the address of that one.
    pub(crate) fn introduce(&self, host: &str, other: &str) {
        let key = std::fs::read_to_string(self.ssh_config().with_file_name("key")).unwrap();
        self.ssh(host, &format!("umask 077; mkdir -p .ssh; printf %s '{key}' >.ssh/id_ed25519"));
        let address = self.address(other);
        self.ssh(host, &format!("ssh-keyscan {address} >>.ssh/known_hosts 2>/dev/null && ssh {address} true"));
    }

    /// Has a host count the copies that others make to its store, in `/root/copies`.
    pub(crate) fn count_copies(&self, host: &str) {
        self.wrap(host, "nix-daemon", r#"echo copy >>/root/copies; exec $real "$@""#);
    }

    /// How many copies others made to a host's store.
    pub(crate) fn copies(&self, host: &str) -> usize {
        self.ssh(host, "cat /root/copies 2>/dev/null || true").lines().count()
    }

    /// What the host runs: `/run/current-system`, or nothing.
    pub(crate) fn current(&self, host: &str) -> String {
        self.ssh(host, "readlink -e /run/current-system || true")
    }

    /// Runs a program of this machine and gives what it printed; it must succeed.
    #[track_caller]
    pub(crate) fn on_machine(program: &str, words: &[&str]) -> String {
        let output = Command::new(program).args(words).output().unwrap();
        assert!(output.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Whether a unit of the host runs.
    pub(crate) fn is_active(&self, host: &str, unit: &str) -> bool {
        self.try_ssh(host, &format!("systemctl is-active --quiet {unit}")).status.success()
    }

    /// Asserts that nothing of any activation is left on the host.
    #[track_caller]
    pub(crate) fn assert_no_remains(&self, host: &str) {
        assert_eq!(self.ssh(host, "ls -A /run/hubctl 2>/dev/null || true"), "", "/run/hubctl on {host}");
    }

    /// Has a program of the host run by way of `script`, which finds the real one as `$real`.
    pub(crate) fn wrap(&self, host: &str, program: &str, script: &str) {
        let wrapper = format!("#!/bin/sh\nreal=/usr/bin/{program}\n{script}\n");
        let file = format!("/usr/local/sbin/{program}");
        self.ssh(host, &format!("printf %s '{wrapper}' >{file} && chmod 755 {file}"));
    }

    /// Takes the wrapper of a program away.
    pub(crate) fn unwrap(&self, host: &str, program: &str) {
        self.ssh(host, &format!("rm /usr/local/sbin/{program}"));
    }

    /// Has copies to the host stop after their first 10 MB and go on never.
    pub(crate) fn stall_copies(&self, host: &str) {
        self.wrap(host, "nix-daemon", r#"{ head -c 10000000; sleep 600; } | $real "$@""#);
    }

    /// Lets copies through again.
    pub(crate) fn resume_copies(&self, host: &str) {
        self.unwrap(host, "nix-daemon");
    }

    /// Takes the host's network link away.
    pub(crate) fn cut(&self, host: &str) {
        self.command(&["cut", host]);
    }

    /// Gives the link back.
    pub(crate) fn heal(&self, host: &str) {
        self.command(&["heal", host]);
    }

    /// A power loss.
    pub(crate) fn kill(&self, host: &str) {
        self.command(&["kill", host]);
    }

    /// Waits until a host is off that is about to go off by itself; fails after a minute.
    #[track_caller]
    pub(crate) fn wait_off(&self, host: &str) {
        let begun = Instant::now();
        while !self.command(&["list", host]).trim_end().ends_with("off") {
            assert!(begun.elapsed() < Duration::from_secs(60), "{host} stays on");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Power on, with the disk as it was.
    pub(crate) fn boot(&self, host: &str) {
        self.command(&["boot", host]);
    }

    /// Runs `dev/lab` with `words`; it must succeed.
    #[track_caller]
    pub(crate) fn command(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "dev/lab {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn run(&self, words: &[&str]) -> Output {
        let program = PathBuf::from(REPOSITORY).join("dev/lab");
        Command::new(program).args(words).env("HUBCTL_LAB", &self.name).output().unwrap()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let output = self.run(&["down"]);
        if !std::thread::panicking() {
            assert!(output.status.success(), "dev/lab down: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}
