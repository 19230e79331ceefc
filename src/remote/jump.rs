//! Through which machines ssh goes to a host, as its configuration says.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ssh_options::SshOptions;
use super::target::SshTarget;
use crate::process::Cancel;

/// How long ssh may take to read its configuration.
const DEADLINE: Duration = Duration::from_secs(10);

impl SshOptions {
    /// The machines that ssh goes through to reach `target`, as `ProxyJump` names them, or a `ProxyCommand` that is ssh itself; none
    /// where that cannot be found out.
    pub async fn jumps(&self, target: &SshTarget, cancel: &Cancel) -> Vec<String> {
        let asked = self.resolved_command(target).deadline(DEADLINE).output(cancel).await;
        asked.map(|output| jumps_of(&output.text())).unwrap_or_default()
    }

    /// Whether anything in ssh's configuration names a machine to go through. Costs no child, where asking ssh itself takes one
    /// for each host.
    pub fn may_jump(&self) -> bool {
        if let Some(file) = &self.config_file {
            return may_jump(file, Path::new("/"), true);
        }
        let of_user = env::var_os("HOME").map(|home| PathBuf::from(home).join(".ssh"));
        let places = of_user.into_iter().chain([PathBuf::from("/etc/ssh")]);
        places.into_iter().zip(["config", "ssh_config"]).any(|(place, file)| may_jump(&place.join(file), &place, true))
    }
}

/// Whether a file names a machine to go through, or one that it includes from `place` does. Files that those include are not read:
/// they count as if they did.
fn may_jump(file: &Path, place: &Path, is_first: bool) -> bool {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().any(|line| {
        let mut words = line.split([' ', '\t', '=', '"']).filter(|word| !word.is_empty());
        match words.next().map(str::to_ascii_lowercase).as_deref() {
            Some("include") if is_first => words.any(|pattern| any_in(place, pattern)),
            Some("proxyjump" | "include") => true,
            // Other programs reach hosts in other ways, by which nobody can tell through which machine.
            Some("proxycommand") => words.any(is_ssh),
            _ => false,
        }
    })
}

/// Whether one of the files in the directory of `pattern` may name a machine to go through.
fn any_in(place: &Path, pattern: &str) -> bool {
    if pattern.starts_with('~') {
        return true;
    }
    let pattern = place.join(pattern);
    let entries = pattern.parent().map(fs::read_dir).and_then(Result::ok);
    entries.into_iter().flatten().flatten().any(|entry| may_jump(&entry.path(), place, false))
}

/// The machines that `ssh -G` tells, without users and ports.
fn jumps_of(told: &str) -> Vec<String> {
    let value = |keyword: &str| {
        let value = told.lines().find_map(|line| line.strip_prefix(keyword)?.strip_prefix(' '));
        value.filter(|value| *value != "none")
    };
    let jumps = value("proxyjump").unwrap_or_default().split(',').map(place_of);
    let gate = value("proxycommand").and_then(gate_of);
    jumps.filter(|name| !name.is_empty()).chain(gate).collect()
}

/// The machine of a destination such as `ssh://user@machine:22`.
fn place_of(destination: &str) -> String {
    let destination = destination.strip_prefix("ssh://").unwrap_or(destination);
    let place = destination.rsplit_once('@').map_or(destination, |(_, place)| place);
    let name = match place.strip_prefix('[') {
        Some(address) => address.split(']').next(),
        None => place.split(':').next(),
    };
    name.unwrap_or_default().to_owned()
}

/// The options of ssh that a value follows, in the same word or in the next. Source: ssh(1).
const WITH_VALUE: &str = "BbcDEeFIiJLlmOoPpQRSWw";

/// The machine that a command such as `ssh -W %h:%p gate` goes through.
fn gate_of(command: &str) -> Option<String> {
    let words = shlex::split(command)?;
    let mut words = words.iter().map(String::as_str).skip_while(|word| !is_ssh(word)).skip(1);
    loop {
        let word = words.next()?;
        let Some(options) = word.strip_prefix('-') else { return Some(place_of(word)) };
        // Flags may stand in one word, the last of which may have a value.
        let at = options.find(|option| WITH_VALUE.contains(option));
        if at.is_some_and(|at| at + 1 == options.len()) {
            words.next()?;
        }
    }
}

/// Whether a word of a command is ssh.
fn is_ssh(word: &str) -> bool {
    Path::new(word).file_name().is_some_and(|name| name == "ssh")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_are_told_without_users_and_ports() {
        let told = |line: &str| jumps_of(&format!("host p510\n{line}\nport 22\n"));
        assert_eq!(told("proxyjump root@p620:22,[fd00::1]:2222,gate"), ["p620", "fd00::1", "gate"]);
        assert_eq!(told("proxyjump none"), [""; 0]);
        assert_eq!(told("user root"), [""; 0]);
        assert_eq!(told("proxycommand ssh -W %h:%p gate"), ["gate"]);
        assert_eq!(
            told("proxycommand exec /usr/bin/ssh -4qi ~/.ssh/gate -oPort=22 -p2222 root@gate.lan nc %h %p"),
            ["gate.lan"]
        );
        assert_eq!(told("proxycommand ssh -W"), [""; 0]);
        assert_eq!(told("proxycommand /usr/bin/systemd-ssh-proxy %h %p"), [""; 0]);
        assert_eq!(told("proxycommand none"), [""; 0]);
    }

    #[test]
    fn a_configuration_that_names_no_machine_is_known_without_ssh() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        };
        let found = |file: &Path| may_jump(file, dir.path(), true);
        assert!(!found(&file("plain", "# ProxyJump gate\nHost *\n  User root\n")));
        assert!(!found(&dir.path().join("none")));
        assert!(found(&file("jumps", "Host a\n  proxyjump=gate\n")));
        assert!(found(&file("commands", "Host a\n  ProxyCommand /usr/bin/ssh -W %h:%p gate\n")));
        assert!(!found(&file(
            "other-commands",
            "Host unix/*\n  ProxyCommand /usr/lib/systemd/systemd-ssh-proxy %h %p\n"
        )));
        let including = file("including", "Include more.d/*.conf\nHost *\n");
        assert!(!found(&including));
        file("more.d/a.conf", "Host b\n\tProxyJump gate\n");
        assert!(found(&including));
    }
}
