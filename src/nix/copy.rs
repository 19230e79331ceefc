//! Copying closures between stores.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use tempfile::NamedTempFile;

use super::log::{BuildState, LogLine};
use super::program::Nix;
use super::store_path::StorePath;
use crate::process::{Cancel, Failure};

/// How long copying one closure may take.
const DEADLINE: Duration = Duration::from_secs(24 * 60 * 60);

/// How often a copy is begun again that others to the same store got in the way of. Each time at least the path that it
/// stumbled over is there.
const COLLISIONS: usize = 20;

/// A store that Nix can copy to and from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoreUri {
    /// The scheme, such as `ssh-ng`, and older alternatives to try when the first is not understood there.
    pub schemes: Vec<&'static str>,
    /// What follows `scheme://`.
    pub rest: String,
    /// The ssh connection to it, for stores that are reached by ssh.
    pub ssh: Option<SshAccess>,
    /// Where Nix's programs are there, if not on the search path of an ssh command.
    pub programs: Option<String>,
}

/// An ssh connection that Nix's own ssh is to share.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SshAccess {
    /// The host as it stands in the store's URI, by which ssh's configuration tells stores apart.
    pub host: String,
    /// The control socket of the connection's master.
    pub control_path: PathBuf,
    /// The user's ssh configuration, where it is not ssh's default.
    pub config_file: Option<PathBuf>,
}

/// The store that a closure comes from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// This machine's own.
    Local,
    /// Another machine's.
    Remote(&'a StoreUri),
}

/// A closure that did not arrive: what is wrong, and what Nix said.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.told())]
pub struct CopyError {
    /// What is wrong.
    pub kind: CopyTrouble,
    /// The command, and how it ended.
    #[source]
    pub failure: Failure,
}

/// What is wrong when a closure does not arrive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CopyTrouble {
    /// The receiving store takes unsigned paths only from users that it trusts.
    Untrusted,
    /// There is no Nix at the other end.
    NoNix,
    /// The store is full.
    NoSpace,
    /// The connection broke.
    Disconnected,
    /// Anything else that Nix says.
    Other,
}

/// Texts of Nix 2.8 to 2.34 and of OpenSSH by what they say is wrong, matched in whatever case.
const TROUBLES: &[(CopyTrouble, &[&str])] = &[
    (CopyTrouble::Untrusted, &["lacks a valid signature", "lacks a signature", "is not trusted", "not privileged"]),
    (
        CopyTrouble::NoNix,
        &["command not found", "nix-daemon: not found", "nix-store: not found", "no such file or directory: nix"],
    ),
    (CopyTrouble::NoSpace, &["no space left on device", "disk quota exceeded", "database or disk is full"]),
    (
        CopyTrouble::Disconnected,
        &[
            "broken pipe",
            "connection reset",
            "connection closed",
            "unexpected end-of-file",
            "disconnected unexpectedly",
            "connection timed out",
            "timeout, server",
            "mux_client",
            "control socket",
            "failed to start ssh connection",
            "cannot connect to",
        ],
    ),
];

impl CopyError {
    /// What helps.
    pub fn hint(&self) -> Option<&'static str> {
        match self.kind {
            CopyTrouble::Untrusted => Some(
                "add the ssh user to `nix.settings.trusted-users` on the host, set `user = \"root\"` in hub.toml, or sign \
                 what you build (`secret-key-files` here, `trusted-public-keys` there)",
            ),
            CopyTrouble::NoNix => Some(
                "install Nix on the host so that `ssh HOST nix-daemon --version` works: on PATH of non-interactive shells",
            ),
            CopyTrouble::NoSpace => Some("free space on the host: `nix-collect-garbage --delete-older-than 14d` there"),
            CopyTrouble::Disconnected => Some("what arrived is kept: run the command again when the host is reachable"),
            CopyTrouble::Other => None,
        }
    }

    pub(super) fn of(failure: Failure) -> Self {
        let said = |(_, texts): &&(CopyTrouble, &[&str])| texts.iter().any(|text| failure.mentions(text));
        let kind = TROUBLES.iter().find(said).map_or(CopyTrouble::Other, |(kind, _)| *kind);
        Self { kind, failure }
    }

    fn told(&self) -> String {
        match self.kind {
            CopyTrouble::Untrusted => "the host's Nix does not trust this user with unsigned paths".to_owned(),
            CopyTrouble::NoNix => "the host has no Nix that an ssh command can run".to_owned(),
            CopyTrouble::NoSpace => "the host's store is full".to_owned(),
            CopyTrouble::Disconnected => "the connection broke while copying".to_owned(),
            CopyTrouble::Other => self.failure.to_string(),
        }
    }
}

/// One call of `nix copy`.
pub(super) struct Copying<'a> {
    /// The paths, each with its closure.
    pub(super) paths: &'a [StorePath],
    /// The store that they come from.
    pub(super) from: Source<'a>,
    /// The URL of the store that they go to.
    pub(super) to: &'a str,
    /// The connection to that store, where there is one already.
    pub(super) reached_by: Option<&'a SshAccess>,
    /// The user's ssh configuration for a store without one, where it is not ssh's default.
    pub(super) config_file: Option<&'a PathBuf>,
}

/// Copies the closure of `path` to `to`, which substitutes what it can by itself.
pub async fn copy(
    nix: &Nix,
    path: &StorePath,
    from: Source<'_>,
    to: &StoreUri,
    cancel: &Cancel,
    mut on_event: impl FnMut(&BuildState, Option<&LogLine>) + Send,
) -> Result<(), CopyError> {
    let mut last = None;
    for scheme in &to.schemes {
        let (paths, uri) = (std::slice::from_ref(path), to.uri(scheme));
        let copying = Copying { paths, from, to: &uri, reached_by: to.ssh.as_ref(), config_file: None };
        match run_copy(nix, &copying, cancel, &mut on_event).await.map_err(CopyError::of) {
            Ok(()) => return Ok(()),
            // The older protocol needs another program at the other end, so it may work where the newer does not.
            Err(error) if error.kind == CopyTrouble::NoNix => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    last.map_or(Ok(()), Err)
}

/// Calls `nix copy`, again where another copy gets in its way.
pub(super) async fn run_copy(
    nix: &Nix,
    copying: &Copying<'_>,
    cancel: &Cancel,
    on_event: &mut (impl FnMut(&BuildState, Option<&LogLine>) + Send),
) -> Result<(), Failure> {
    let mut ended = run_once(nix, copying, cancel, on_event).await;
    for _ in 0..COLLISIONS {
        if !ended.as_ref().is_err_and(is_collision) {
            break;
        }
        ended = run_once(nix, copying, cancel, on_event).await;
    }
    ended
}

/// Whether another copy brought a path while this one was about to. The daemon of Nix 2.8 then passes over the path without
/// reading what is sent of it, and takes that for the name of the next one.
fn is_collision(failure: &Failure) -> bool {
    failure.mentions("not an absolute path: 'nix-archive-1'")
}

async fn run_once(
    nix: &Nix,
    copying: &Copying<'_>,
    cancel: &Cancel,
    on_event: &mut (impl FnMut(&BuildState, Option<&LogLine>) + Send),
) -> Result<(), Failure> {
    let Copying { paths, from, to, reached_by, config_file } = *copying;
    let mut cmd = nix
        .cmd(&["copy", "--log-format", "internal-json", "--no-check-sigs"])
        .args(nix.version().substitute_on_destination().iter().copied())
        .args(["--to", to])
        .deadline(DEADLINE);
    if let Source::Remote(store) = from {
        cmd = cmd.args(["--from".to_owned(), store.uri(store.schemes[0])]);
    } else if paths.iter().any(StorePath::is_derivation) {
        cmd = cmd.arg("--derivation");
    }
    let of_source = match from {
        Source::Local => None,
        Source::Remote(store) => store.ssh.as_ref(),
    };
    let access: Vec<_> = [reached_by, of_source].into_iter().flatten().collect();
    // Nix splits NIX_SSHOPTS at spaces and has one for all stores, so what they need stands in a file.
    let config = ssh_config_file(&access, config_file).map_err(|error| cmd.failed_to_start(error))?;
    let mut state = BuildState::default();
    let ended = cmd
        .env("NIX_SSHOPTS", ssh_options(config.as_ref()))
        .args(paths.iter().map(StorePath::as_str))
        .output_with(cancel, |line| {
            let said = state.apply(line);
            on_event(&state, said.as_ref());
        })
        .await;
    ended.map(drop).map_err(|mut failure| {
        failure.stderr.retain(|line| !line.starts_with("@nix "));
        failure.stderr.extend(state.failure());
        failure
    })
}

/// The ssh configuration by which Nix's ssh finds the masters of these connections, in a file that only its owner reads; none
/// where ssh's own does.
pub(super) fn ssh_config_file(
    access: &[&SshAccess],
    config_file: Option<&PathBuf>,
) -> io::Result<Option<NamedTempFile>> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("config-");
    let mut file = match (access.first(), config_file) {
        (None, None) => return Ok(None),
        (None, Some(_)) => builder.tempfile()?,
        // The control directory is private and has a path without spaces.
        (Some(first), _) => builder.tempfile_in(first.control_path.parent().unwrap_or(&first.control_path))?,
    };
    file.write_all(ssh_config(access, config_file).as_bytes())?;
    Ok(Some(file))
}

/// What Nix's ssh is told: that configuration, or else what the user tells it; and never to ask, since nobody would answer.
pub(super) fn ssh_options(config: Option<&NamedTempFile>) -> String {
    let own = || std::env::var("NIX_SSHOPTS").unwrap_or_default();
    config.map_or_else(|| format!("{} -o BatchMode=yes", own()), |config| format!("-F {}", config.path().display()))
}

fn ssh_config(access: &[&SshAccess], config_file: Option<&PathBuf>) -> String {
    let mut text = String::new();
    for one in access {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "Host {}\n  ControlPath {}", one.host, one.control_path.display());
    }
    text.push_str("Host *\n  ControlMaster no\n  BatchMode yes\n");
    match access.iter().find_map(|one| one.config_file.as_ref()).or(config_file) {
        Some(file) => {
            let _ = writeln!(text, "  Include \"{}\"", file.display());
        }
        None => text.push_str("  Include ~/.ssh/config\n  Include /etc/ssh/ssh_config\n"),
    }
    text
}

impl StoreUri {
    fn uri(&self, scheme: &str) -> String {
        let program = if scheme == "ssh" { "nix-store" } else { "nix-daemon" };
        let remote = self.programs.as_ref().map(|directory| format!("?remote-program={directory}/{program}"));
        format!("{scheme}://{}{}", self.rest, remote.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::End;

    fn trouble(line: &str) -> CopyTrouble {
        CopyError::of(Failure { command: "nix copy".to_owned(), end: End::Code(1), stderr: vec![line.to_owned()] }).kind
    }

    #[test]
    fn two_stores_share_one_ssh_configuration() {
        let access = |host: &str, config: Option<&str>| SshAccess {
            host: host.to_owned(),
            control_path: format!("/run/c/{host}").into(),
            config_file: config.map(PathBuf::from),
        };
        let (a, b) = (access("p620", None), access("10.0.0.2", Some("/my hub/ssh_config")));
        assert_eq!(
            ssh_config(&[&a, &b], None),
            "Host p620\n  ControlPath /run/c/p620\nHost 10.0.0.2\n  ControlPath /run/c/10.0.0.2\n\
             Host *\n  ControlMaster no\n  BatchMode yes\n  Include \"/my hub/ssh_config\"\n"
        );
    }

    #[test]
    fn what_nix_says_becomes_what_is_wrong() {
        let path = "/nix/store/0i3kvkpqpr1i9zx4dbdzvj6dcpqnmhhb-x";
        let unsigned = format!("error: cannot add path '{path}' because it lacks a valid signature");
        let of_database = "error: executing SQLite statement 'begin immediate;': database or disk is full (in '/nix/var/nix/db/db.sqlite')";
        for (line, wrong) in [
            (unsigned.as_str(), CopyTrouble::Untrusted),
            ("sh: 1: nix-daemon: not found", CopyTrouble::NoNix),
            ("error: writing to file: No space left on device", CopyTrouble::NoSpace),
            (of_database, CopyTrouble::NoSpace),
            ("error: unexpected end-of-file", CopyTrouble::Disconnected),
            ("error: something new", CopyTrouble::Other),
        ] {
            assert_eq!(trouble(line), wrong, "{line}");
        }
    }
}
