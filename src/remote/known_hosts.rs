//! What the user's own files say of a host's keys, whether it answers or not.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ssh_options::SshOptions;
use super::target::SshTarget;
use crate::process::{Cancel, Cmd};

/// How long a look at files may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// How long a host may take to show its key.
const SCAN_DEADLINE: Duration = Duration::from_secs(20);

/// The public keys that the known hosts files have for `target`, such as `ssh-ed25519 AAAA..`. None where they know none, or cannot be
/// read.
pub async fn known_keys(options: &SshOptions, target: &SshTarget, cancel: &Cancel) -> Vec<String> {
    let resolved = options.resolved_command(target).ends_by_itself().deadline(DEADLINE).output(cancel).await;
    let Ok(resolved) = resolved else { return Vec::new() };
    let Resolved { name, files } = resolve(&resolved.text());
    let mut keys = Vec::new();
    for file in files.iter().filter(|file| file.exists()) {
        let find = Cmd::new("ssh-keygen").env("LC_ALL", "C").args(["-F", &name, "-f"]).arg(file);
        // It exits with 1 where it finds none.
        if let Ok(found) = find.ends_by_itself().deadline(DEADLINE).output(cancel).await {
            keys.extend(found.text().lines().filter_map(key_of_line));
        }
    }
    keys.sort();
    keys.dedup();
    keys
}

/// The ed25519 key that the machine called `name` shows to whoever asks, without any proof that it is the right one.
pub async fn scanned_key(name: &str, cancel: &Cancel) -> Option<String> {
    let scan = Cmd::new("ssh-keyscan").args(["-T", "10", "-t", "ed25519", "--", name]).ends_by_itself();
    let scanned = scan.deadline(SCAN_DEADLINE).output(cancel).await.ok()?;
    scanned.text().lines().find_map(key_of_line)
}

/// What ssh makes of a target.
struct Resolved {
    /// As known hosts files name it.
    name: String,
    files: Vec<PathBuf>,
}

/// Reads what `ssh -G` prints.
fn resolve(printed: &str) -> Resolved {
    let value = |key: &str| printed.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    let name = value("hostkeyalias").or_else(|| value("hostname")).unwrap_or_default();
    let port = value("port").filter(|port| *port != "22" && value("hostkeyalias").is_none());
    let name = port.map_or_else(|| name.to_owned(), |port| format!("[{name}]:{port}"));
    let files = ["userknownhostsfile", "globalknownhostsfile"].into_iter().filter_map(value);
    let files = files.flat_map(str::split_whitespace).map(|file| match file.strip_prefix("~/") {
        Some(below) => PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(below),
        None => Path::new(file).to_path_buf(),
    });
    Resolved { name, files: files.collect() }
}

/// The key of a line `NAMES TYPE KEY`. What begins with `@` is no key of a host, or one that is revoked.
fn key_of_line(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let (names, kind, key) = (words.next()?, words.next()?, words.next()?);
    (!names.starts_with(['#', '@'])).then(|| format!("{kind} {key}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssh_prints_is_read() {
        let printed = "user me\nhostname 10.0.0.7\nport 2222\nuserknownhostsfile /a /b\nglobalknownhostsfile /etc/ssh/ssh_known_hosts";
        let resolved = resolve(printed);
        assert_eq!((resolved.name.as_str(), resolved.files.len()), ("[10.0.0.7]:2222", 3));
        assert_eq!(resolve("hostname p620\nport 22").name, "p620");
        assert_eq!(resolve("hostname 10.0.0.7\nport 2222\nhostkeyalias p620").name, "p620");
        assert_eq!(key_of_line("|1|x= ssh-ed25519 AAAA me"), Some("ssh-ed25519 AAAA".to_owned()));
        assert_eq!(key_of_line("# Host p620 found: line 1"), None);
        assert_eq!(key_of_line("@revoked p620 ssh-ed25519 AAAA"), None);
    }
}
