//! What ssh says when it does not connect, and what that means.

use super::connection::ConnectError;
use super::ssh_options::SshOptions;
use super::target::SshTarget;
use crate::process::{Cmd, End, Failure};

impl SshOptions {
    /// Anything that is no failure of ssh's that has a name.
    pub(super) fn other_error(&self, target: &SshTarget, said: String) -> ConnectError {
        ConnectError::Other { target: target.to_string(), said, check: self.typed(target, &["-v"]) }
    }

    /// Why ssh did not connect to `target`.
    pub(super) fn connect_error(&self, target: &SshTarget, failure: &Failure) -> ConnectError {
        let timed_out = |limit| ConnectError::TimedOut { target: target.to_string(), limit };
        match failure.end {
            End::Cancelled => return ConnectError::Cancelled,
            End::TimedOut(limit) => return timed_out(limit),
            _ => {}
        }
        let says = |text: &str| failure.mentions(text);
        let name = || target.to_string();
        if says("REMOTE HOST IDENTIFICATION HAS CHANGED") {
            ConnectError::HostKeyChanged { target: name(), remedy: forget_key_command(target, failure) }
        } else if says("Host key verification failed") || says("host key is known for") {
            let remedy = self.typed(target, &["-o", "StrictHostKeyChecking=ask"]);
            ConnectError::HostKeyUnknown { target: name(), remedy }
        } else if says("Could not resolve hostname") {
            ConnectError::UnknownName { host: target.host.clone() }
        } else if says("Connection refused") {
            ConnectError::Refused { target: name() }
        } else if says("Permission denied") || says("Too many authentication failures") {
            ConnectError::Denied { target: name(), check: self.typed(target, &["-o", "BatchMode=yes"]) }
        } else if says("No route to host") || says("Network is unreachable") {
            ConnectError::NoRoute { target: name() }
        } else if says("timed out") || says("timeout") {
            timed_out(self.connect_timeout)
        } else {
            let said = failure.stderr.iter().rev().find(|line| !line.trim().is_empty());
            self.other_error(target, said.cloned().unwrap_or_else(|| failure.end.to_string()))
        }
    }
}

/// The command that removes a key that has changed: ssh says under which name it stands in which file, which are another name
/// and file than the target's where the configuration says so.
fn forget_key_command(target: &SshTarget, failure: &Failure) -> String {
    let between = |before: &str, after: &str| {
        let mut found = failure.stderr.iter().filter_map(|line| line.trim().split_once(before)?.1.rsplit_once(after));
        found.next().map(|(found, _)| found.to_owned())
    };
    let file = between(" key in ", ":");
    let name = between("Host key for ", " has changed").unwrap_or_else(|| target.host.clone());
    let file = file.iter().flat_map(|file| ["-f", file]);
    Cmd::new("ssh-keygen").args(file).args(["-R", &name]).display()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::ssh_options::HostKeys;
    use super::*;

    fn options() -> SshOptions {
        SshOptions {
            config_file: None,
            persist: Duration::from_secs(60),
            host_keys: HostKeys::Strict,
            connect_timeout: Duration::from_secs(10),
            control_dir: "/run/c".into(),
        }
    }

    fn target(user: Option<&str>) -> SshTarget {
        SshTarget { host: "p620".to_owned(), user: user.map(str::to_owned), port: Some(2222) }
    }

    #[test]
    fn hints_are_commands_that_go_where_the_run_goes() {
        let options = SshOptions { config_file: Some("/my hub/ssh_config".into()), ..options() };
        let hint = |lines: &[&str]| {
            let stderr = lines.iter().map(|line| (*line).to_owned()).collect();
            let failure = Failure { command: "ssh".to_owned(), end: End::Code(255), stderr };
            options.connect_error(&target(Some("root")), &failure).hint().unwrap()
        };
        let unknown = hint(&["Host key verification failed."]);
        let accept = "`ssh -o StrictHostKeyChecking=ask -F '/my hub/ssh_config' -l root -p 2222 -- p620`";
        assert!(unknown.contains(accept), "{unknown}");
        let changed = [
            "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @",
            "Add correct host key in /home/me/known hosts to get rid of this message.",
            "Offending ED25519 key in /home/me/known hosts:12",
            "Host key for [10.0.0.7]:2222 has changed and you have requested strict checking.",
        ];
        let known = hint(&changed);
        assert!(known.contains("`ssh-keygen -f '/home/me/known hosts' -R '[10.0.0.7]:2222'`"), "{known}");
        assert!(hint(&changed[..1]).contains("`ssh-keygen -R p620`"));
    }

    #[test]
    fn what_ssh_says_becomes_what_is_wrong() {
        let error = |line: &str| {
            let failure = Failure { command: "ssh".to_owned(), end: End::Code(255), stderr: vec![line.to_owned()] };
            options().connect_error(&target(None), &failure)
        };
        let refused = "ssh: connect to host p620 port 2222: Connection refused";
        assert!(matches!(error(refused), ConnectError::Refused { .. }));
        assert!(matches!(error("root@p620: Permission denied (publickey)."), ConnectError::Denied { .. }));
        let changed = "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @";
        assert!(matches!(error(changed), ConnectError::HostKeyChanged { .. }));
        assert!(matches!(error("Host key verification failed."), ConnectError::HostKeyUnknown { .. }));
        let name = "ssh: Could not resolve hostname p620: Name or service not known";
        assert!(matches!(error(name), ConnectError::UnknownName { .. }));
        assert!(matches!(error("something new"), ConnectError::Other { .. }));
    }
}
