//! How ssh is called: its options, as the user's configuration and `hub.toml` say them.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::target::SshTarget;
use crate::process::Cmd;

/// How often the connection is checked, in seconds; three checks without an answer end it.
const ALIVE_INTERVAL: u32 = 5;

/// Which host keys ssh accepts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum HostKeys {
    /// Only those that the known hosts files hold.
    #[default]
    Strict,
    /// Those, and the first key of a host that no file knows, which is then added.
    AcceptNew,
}

/// How connections are made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SshOptions {
    /// An ssh configuration to use instead of the user's and the system's.
    pub config_file: Option<PathBuf>,
    /// How long an idle connection is kept after the run, for the next one; zero keeps none.
    pub persist: Duration,
    /// How unknown host keys are treated.
    pub host_keys: HostKeys,
    /// How long a host may take to answer.
    pub connect_timeout: Duration,
    /// Where control sockets are: a private directory with a short path.
    pub control_dir: PathBuf,
}

/// The private directory of this user for sockets: below `$XDG_RUNTIME_DIR`, or below `/tmp` where there is none. Made if
/// missing; refused when it is somebody else's or open to others.
pub fn private_runtime_dir() -> io::Result<PathBuf> {
    let uid = rustix::process::getuid().as_raw();
    let base = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_dir());
    let dir = base.map_or_else(|| PathBuf::from(format!("/tmp/hubctl-{uid}")), |base| base.join("hubctl"));
    match fs::DirBuilder::new().mode(0o700).create(&dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let metadata = fs::symlink_metadata(&dir)?;
    if !metadata.is_dir() || metadata.uid() != uid || metadata.mode() & 0o077 != 0 {
        let message = format!("{} is not a private directory of this user; remove it", dir.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    Ok(dir)
}

impl SshOptions {
    /// The command that starts a master for `target`, which listens at `socket` and goes to the background.
    pub(super) fn master_command(&self, target: &SshTarget, socket: &Path) -> Cmd {
        let seconds = |duration: Duration| duration.as_secs().max(1);
        let host_keys = match self.host_keys {
            HostKeys::Strict => "yes",
            HostKeys::AcceptNew => "accept-new",
        };
        // A connection that is to be closed after the run still needs a master that outlives the moment between two steps.
        let persist = if self.persist.is_zero() { 60 } else { seconds(self.persist) };
        let settings = [
            "BatchMode=yes".to_owned(),
            "ClearAllForwardings=yes".to_owned(),
            format!("ControlPersist={persist}"),
            format!("StrictHostKeyChecking={host_keys}"),
            format!("ConnectTimeout={}", seconds(self.connect_timeout)),
            format!("ServerAliveInterval={ALIVE_INTERVAL}"),
            "ServerAliveCountMax=3".to_owned(),
        ];
        let master = Cmd::new("ssh").env("LC_ALL", "C").args(["-M", "-N", "-f", "-S"]).arg(socket);
        let settings = settings.iter().flat_map(|setting| ["-o", setting]);
        self.towards(target, master.args(settings))
            // Name resolution and authentication are not part of ssh's own timeout.
            .deadline(self.connect_timeout + Duration::from_secs(10))
    }

    /// The command that tells what the configuration makes of `target`, without going there.
    pub(super) fn resolved_command(&self, target: &SshTarget) -> Cmd {
        self.towards(target, Cmd::new("ssh").env("LC_ALL", "C").arg("-G"))
    }

    /// An ssh command that goes to `target`, by the configuration that this run uses.
    fn towards(&self, target: &SshTarget, ssh: Cmd) -> Cmd {
        let config = self.config_file.iter();
        let user = target.user.iter();
        let port = target.port.iter();
        ssh.args(config.flat_map(|file| [Path::new("-F"), file.as_path()]))
            .args(user.flat_map(|user| ["-l".to_owned(), user.clone()]))
            .args(port.flat_map(|port| ["-p".to_owned(), port.to_string()]))
            .args(["--", &target.host])
    }

    /// The command that opens a shell for a person at `target`, over the master at `socket` where one listens.
    pub(super) fn shell_command(&self, target: &SshTarget, socket: &Path) -> Cmd {
        self.towards(target, Cmd::new("ssh").args(["-t", "-S"]).arg(socket))
    }

    /// What a person types to go to `target` as this run does, with `options` of ssh.
    pub(super) fn typed(&self, target: &SshTarget, options: &[&str]) -> String {
        self.towards(target, Cmd::new("ssh").args(options.iter().copied())).display()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_master_never_asks_and_is_strict() {
        let options = SshOptions {
            config_file: None,
            persist: Duration::from_secs(60),
            host_keys: HostKeys::Strict,
            connect_timeout: Duration::from_secs(10),
            control_dir: "/run/c".into(),
        };
        let target = SshTarget { host: "p620".to_owned(), user: Some("root".to_owned()), port: Some(2222) };
        let line = options.master_command(&target, Path::new("/run/c/x")).display();
        assert_eq!(
            line,
            "ssh -M -N -f -S /run/c/x -o BatchMode=yes -o ClearAllForwardings=yes -o ControlPersist=60 \
             -o StrictHostKeyChecking=yes -o ConnectTimeout=10 -o ServerAliveInterval=5 -o ServerAliveCountMax=3 \
             -l root -p 2222 -- p620"
        );
    }
}
