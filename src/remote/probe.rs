//! What a host runs and how it stands, asked in one round trip.

use std::time::Duration;

use serde::Serialize;

use super::lock::{Lock, Standing};
use super::platform::Platform;
use super::script::{Remote, RunError, Script};
use crate::nix::StorePath;

/// How long a host may take to answer. A healthy one needs some tens of milliseconds.
const DEADLINE: Duration = Duration::from_secs(30);

/// How long a connection from an earlier run may take, before it is taken for dead.
const REUSED_DEADLINE: Duration = Duration::from_secs(4);

/// What a host runs and how it stands. What the host does not know stays empty.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Facts {
    /// The host's own name.
    pub hostname: Option<String>,
    /// `/etc/machine-id`.
    pub machine_id: Option<String>,
    /// Changes with each boot.
    pub boot_id: Option<String>,
    /// Since the boot, in seconds.
    pub uptime: Option<u64>,
    /// The kernel's machine and name, such as `x86_64-Linux`.
    pub system: Option<String>,
    /// The id of the user that the connection runs as.
    pub uid: Option<u32>,
    /// The host's clock, in seconds since 1970.
    pub now: Option<i64>,
    /// The toplevel that runs: `/run/current-system`.
    pub current: Option<StorePath>,
    /// The toplevel that was booted: `/run/booted-system`.
    pub booted: Option<StorePath>,
    /// The toplevel of the system profile, which is the boot default.
    pub profile: Option<StorePath>,
    /// The specialisation of the boot default that runs.
    pub specialisation: Option<String>,
    /// The number of the profile's generation.
    pub generation: Option<u64>,
    /// When that generation was made, in seconds since 1970.
    pub generation_made: Option<i64>,
    /// In what the booted system differs from the running one so that only a reboot brings it.
    pub reboot: Vec<RebootReason>,
    /// The file system of the store.
    pub store_space: Option<Space>,
    /// The file system of `/boot`.
    pub boot_space: Option<Space>,
    /// How full the fullest of its batteries is, in percent, where it runs on them.
    pub battery: Option<u8>,
    /// Whether systemd runs there.
    pub systemd: bool,
    /// Who began an activation that is under way.
    pub activating: Option<Activator>,
    /// Who deploys to it.
    pub lock: Option<Lock>,
    /// Whether there is something of an activation, be it under way or ended.
    pub remains: bool,
    /// Whether a switch was begun that neither came to its end nor goes on.
    pub interrupted: bool,
    /// The profile's system, where it was begun to make that the boot default, and this neither came to its end nor goes on: the boot
    /// loader may have another one.
    #[serde(skip)]
    pub halfway: Option<StorePath>,
    /// The units that failed.
    pub failed_units: Vec<String>,
    /// The last activation that was taken back since the boot, and that no later one was confirmed after.
    pub reverted: Option<TakenBack>,
    /// The secrets of its system that it lacks, where somebody looked for them. Not asked here.
    #[serde(skip)]
    pub missing_secrets: Vec<String>,
    /// Its own ssh keys.
    #[serde(skip)]
    pub host_keys: Vec<HostKey>,
    /// Where Nix is.
    pub nix: Option<String>,
    /// The directory of Nix's programs, where they are not on the search path of an ssh command.
    #[serde(skip)]
    pub nix_directory: Option<String>,
}

/// An ssh key of a host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HostKey {
    /// The file of the private key.
    pub path: String,
    /// The public key, such as `ssh-ed25519 AAAA.. comment`.
    pub public: String,
}

impl HostKey {
    fn parse(line: &str) -> Option<Self> {
        let (path, public) = line.split_once(' ')?;
        Some(Self { path: path.to_owned(), public: public.to_owned() })
    }
}

/// An activation that was taken back.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TakenBack {
    /// The activation's id, which begins with that of its run.
    pub id: String,
    /// When, in seconds since 1970.
    pub at: i64,
    /// Whether the host was brought back to its old system whole.
    pub complete: bool,
    /// Why.
    pub reason: String,
}

impl Facts {
    /// The system that runs, also where a specialisation of it does.
    pub fn system(&self) -> Option<&StorePath> {
        if self.specialisation.is_some() { self.profile.as_ref() } else { self.current.as_ref() }
    }

    /// The platform of a host that was taken for `platform`, as its kernel tells.
    pub fn platform(&self, platform: Platform) -> Platform {
        let kernel = self.system.as_ref().and_then(|system| system.rsplit_once('-'));
        kernel.map_or(platform, |(_, kernel)| platform.on_kernel(kernel))
    }

    /// The part of them that decides what is left to do.
    pub fn standing(&self) -> Standing {
        let (boot_id, current, profile) = (self.boot_id.clone(), self.current.clone(), self.profile.clone());
        Standing { boot_id, current, profile }
    }
}

impl TakenBack {
    /// Reads a line of `ID SECONDS reverted|stuck CODE REASON`.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.splitn(5, ' ');
        let (id, at, what, _, reason) = (words.next()?, words.next()?, words.next()?, words.next()?, words.next()?);
        let complete = what == "reverted";
        Some(Self { id: id.to_owned(), at: at.parse().ok()?, complete, reason: reason.to_owned() })
    }
}

/// Who began an activation.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activator {
    /// A run of hubctl, of this user or of another one.
    Hubctl,
    /// Somebody else, such as `nixos-rebuild`.
    Other,
}

/// A part of the system that only a boot changes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RebootReason {
    /// The kernel.
    Kernel,
    /// The initial ramdisk.
    Initrd,
    /// The kernel's modules.
    KernelModules,
    /// The kernel's command line.
    KernelParams,
}

impl RebootReason {
    /// What a person calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Initrd => "initrd",
            Self::KernelModules => "kernel modules",
            Self::KernelParams => "kernel parameters",
        }
    }

    pub(super) fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "kernel" => Self::Kernel,
            "initrd" => Self::Initrd,
            "kernel-modules" => Self::KernelModules,
            "kernel-params" => Self::KernelParams,
            _ => return None,
        })
    }
}

/// The space of a file system, in bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Space {
    /// In all.
    pub total: u64,
    /// Free for those who are not root.
    pub free: u64,
}

impl Space {
    /// Reads a line of `df -kP`: file system, 1024-byte blocks, used, available, capacity, mount point. The names at both ends
    /// may hold spaces; the numbers stand in front of the first word with a percent sign.
    fn parse(line: &str) -> Option<Self> {
        let words: Vec<_> = line.split_whitespace().collect();
        let capacity = words.iter().position(|word| word.strip_suffix('%').is_some_and(|n| n.parse::<u8>().is_ok()))?;
        let number = |back: usize| words.get(capacity.checked_sub(back)?)?.parse::<u64>().ok();
        Some(Self { total: number(3)? * 1024, free: number(1)? * 1024 })
    }
}

/// Why a host's state is not known.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It did not answer.
    #[error(transparent)]
    Run(#[from] RunError),
    /// What answered is no POSIX shell.
    #[error("the host's login shell does not run shell scripts; it printed: {0}")]
    NoShell(String),
}

impl ProbeError {
    /// Whether a new connection may help: this one is lost, or hangs.
    pub fn is_connection(&self) -> bool {
        matches!(self, Self::Run(RunError::Lost(_) | RunError::TimedOut(_)))
    }
}

/// Asks the host what it runs. Changes nothing there and needs no root.
pub async fn probe(remote: &Remote) -> Result<Facts, ProbeError> {
    let deadline = if remote.connection().is_reused() { REUSED_DEADLINE } else { DEADLINE };
    ask(remote, Script::new(remote.platform().questions()).deadline(deadline)).await
}

/// Asks the host what it runs once it has done `work`, as root. That prints nothing, and what comes of it is not told.
pub(super) async fn probe_after(remote: &Remote, work: &str) -> Result<Facts, ProbeError> {
    let (dialect, questions) = (remote.platform().dialect(), remote.platform().questions());
    let script = format!("(\n{dialect}{work}\n) >/dev/null 2>&1\n{questions}");
    ask(remote, Script::new(script).as_root().deadline(DEADLINE)).await
}

async fn ask(remote: &Remote, script: Script) -> Result<Facts, ProbeError> {
    let (ran, printed) = remote.run(&script).await?;
    parse(&printed).ok_or_else(|| {
        let said = printed.lines().chain(ran.stderr.lines()).next().unwrap_or("nothing");
        ProbeError::NoShell(said.to_owned())
    })
}

/// Reads what the probe's script prints; nothing when that script did not run.
pub fn parse(printed: &str) -> Option<Facts> {
    let mut facts = Facts::default();
    let (mut complete, mut has_mains) = (false, false);
    for (key, value) in printed.lines().filter_map(|line| line.split_once('=')) {
        let text = || Some(value.to_owned());
        match key {
            "probe" => complete = true,
            "hostname" => facts.hostname = text(),
            "machine-id" => facts.machine_id = text(),
            "boot-id" => facts.boot_id = text(),
            "uptime" => facts.uptime = value.parse().ok(),
            "system" => facts.system = text(),
            "uid" => facts.uid = value.parse().ok(),
            "now" => facts.now = value.parse().ok(),
            "current" => facts.current = StorePath::containing(value).ok(),
            "booted" => facts.booted = StorePath::containing(value).ok(),
            "profile" => facts.profile = StorePath::containing(value).ok(),
            "generation" => facts.generation = super::profile::generation_number(value),
            "generation-made" => facts.generation_made = value.parse().ok(),
            "reboot" => facts.reboot.extend(RebootReason::parse(value)),
            "store-space" => facts.store_space = Space::parse(value),
            "boot-space" => facts.boot_space = Space::parse(value),
            "discharging" => facts.battery = facts.battery.max(value.parse().ok()),
            "mains" => has_mains = true,
            "systemd" => facts.systemd = true,
            "activating" if value == "hubctl" => facts.activating = Some(Activator::Hubctl),
            "activating" => facts.activating = Some(Activator::Other),
            "lock" => facts.lock = Lock::parse(value),
            "remains" => facts.remains = true,
            "specialisation" => facts.specialisation = Some(value.to_owned()),
            "interrupted" => facts.interrupted = true,
            "halfway" => facts.halfway = StorePath::containing(value).ok(),
            "reverted" => facts.reverted = TakenBack::parse(value),
            "failed-unit" => facts.failed_units.push(value.to_owned()),
            "host-key" => facts.host_keys.extend(HostKey::parse(value)),
            "nix" => facts.nix = text(),
            "nix-directory" => facts.nix_directory = text(),
            _ => {}
        }
    }
    facts.interrupted &= facts.activating.is_none();
    facts.halfway = facts.halfway.filter(|_| facts.activating.is_none());
    // What is said of an attempt ends with the next generation, whoever made it.
    let made = facts.generation_made.unwrap_or_default();
    facts.reverted = facts.reverted.filter(|taken| made <= taken.at);
    facts.battery = facts.battery.filter(|_| !has_mains);
    complete.then_some(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read() {
        let toplevel = "/nix/store/0i3kvkpqpr1i9zx4dbdzvj6dcpqnmhhb-nixos-system-p620-25.11";
        let printed = format!(
            "motd of some kind\nprobe=1\nhostname=p620\ncurrent={toplevel}\ngeneration=system-42-link\nreboot=kernel\n\
             reboot=initrd\nreboot=unheard-of\nstore-space=/dev/my disk 1000 600 400 60% /nix/store\nuid=0\nsystemd=1\n\
             activating=hubctl\nlock=7 20260131-120000-0f3a 1760000000 me@here\nreverted=7-p620 1760000000 reverted 0 it hung for long\n\
             host-key=/etc/ssh/ssh_host_ed25519_key ssh-ed25519 AAAA= root@p620\nfailed-unit=a.service\nfailed-unit=b.service\nfuture=1"
        );
        let facts = parse(&printed).unwrap();
        assert_eq!(facts.current.unwrap().as_str(), toplevel);
        assert_eq!((facts.generation, facts.uid, facts.activating), (Some(42), Some(0), Some(Activator::Hubctl)));
        assert_eq!(facts.reboot, [RebootReason::Kernel, RebootReason::Initrd]);
        assert_eq!(facts.store_space, Some(Space { total: 1_024_000, free: 409_600 }));
        assert_eq!(facts.failed_units, ["a.service", "b.service"]);
        assert_eq!(facts.booted, None);
        let key = HostKey {
            path: "/etc/ssh/ssh_host_ed25519_key".to_owned(),
            public: "ssh-ed25519 AAAA= root@p620".to_owned(),
        };
        assert_eq!(facts.host_keys, [key]);
        assert_eq!(facts.lock.unwrap().owner, "me@here");
        let reverted = facts.reverted.unwrap();
        assert_eq!((reverted.at, reverted.reason.as_str()), (1_760_000_000, "it hung for long"));
    }

    #[test]
    fn what_is_said_of_an_attempt_ends_with_the_next_generation() {
        let reverted = |made: u32| {
            let printed = format!("probe=1\ngeneration-made={made}\nreverted=7-p620 1760000000 reverted 0 it hung");
            parse(&printed).unwrap().reverted
        };
        assert!(reverted(1_759_999_999).is_some());
        assert_eq!(reverted(1_760_000_001), None);
    }

    #[test]
    fn the_fullest_battery_counts_where_there_is_no_mains() {
        let battery = |printed: &str| parse(&format!("probe=1\n{printed}")).unwrap().battery;
        assert_eq!(battery("discharging=7\ndischarging=93"), Some(93));
        assert_eq!(battery("discharging=7\nmains=1"), None);
        assert_eq!(battery("discharging="), None);
    }

    #[test]
    fn something_else_than_the_script_is_noticed() {
        assert_eq!(parse("This account is not available."), None);
    }

    proptest::proptest! {
        #[test]
        fn no_answer_breaks_the_reader(printed in ".*", line in ".*") {
            let _ = parse(&printed);
            let _ = parse(&format!("probe=1\nstore-space={line}\ncurrent={line}\ngeneration={line}"));
        }
    }
}
