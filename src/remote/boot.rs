//! Booting a host into another system, so that a boot that nobody confirms is not its last word.
//!
//! The boot loader boots the new system once and the old one ever after, until the new one is confirmed. A timer that lies on the
//! host's disk, since nothing else outlives a boot, reboots a host that came up and that nobody reaches. What did not come up
//! at all is left behind by whatever boots the host the next time.

use std::time::Duration;

use super::profile::{SYSTEM_PROFILE, generation_number};
use super::script::{Remote, RunError, Script};
use crate::nix::StorePath;
use crate::process::shell_quote;

/// What every script here begins with: where the guard of a boot lies.
const PLACES: &str = include_str!("boot-places.sh");

/// How long the host may take to say how it boots.
const DEADLINE: Duration = Duration::from_secs(30);

/// What a host's boot loader has for trying a system.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct BootWays {
    /// Whether it boots an entry once that is not its default.
    pub one_time: bool,
    /// Its entry for the system that is to be booted.
    pub entry: Option<String>,
    /// Its entry for the system that was booted last.
    pub old_entry: Option<String>,
    /// The generation of the system that was booted last.
    pub old_generation: Option<u64>,
    /// Whether a unit that is put on the host's disk is there after a boot.
    pub keeps_units: bool,
}

/// A boot that counts only when it is confirmed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OneTime {
    /// The boot loader's entry of the system to be booted.
    pub entry: String,
    /// The generation that holds this system.
    pub generation: u64,
    /// The system to go back to.
    pub old: StorePath,
    /// The generation that holds it.
    pub old_generation: u64,
    /// Whether the host goes back by itself when it came up and nobody confirms that.
    pub watched: bool,
}

/// What became of the guard of a boot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BootGuard {
    /// The boot is confirmed.
    Confirmed,
    /// The host goes back, or went back.
    Gone,
}

/// Asks what the boot loader has for booting `new` on a host that was booted with `old`.
pub async fn boot_ways(remote: &Remote, new: &StorePath, old: &StorePath) -> Result<BootWays, RunError> {
    let script = format!("{PLACES}\nnew={new}\nold={old}\nprofile={SYSTEM_PROFILE}\n{}", include_str!("boot-ways.sh"));
    let (_, printed) = remote.run(&Script::new(script).as_root().deadline(DEADLINE)).await?;
    Ok(parse(&printed))
}

fn parse(printed: &str) -> BootWays {
    let mut ways = BootWays::default();
    for (key, value) in printed.lines().filter_map(|line| line.strip_prefix("hubctl-boot:")?.split_once('=')) {
        let text = || Some(value.to_owned()).filter(|text| !text.is_empty());
        match key {
            "one-time" => ways.one_time = value == "1",
            "entry" => ways.entry = text(),
            "old-entry" => ways.old_entry = text(),
            "old-generation" => ways.old_generation = generation_number(value),
            "keeps-units" => ways.keeps_units = value == "1",
            _ => {}
        }
    }
    ways
}

/// The commands that reboot a host into `new`, whose boot default it is. `id` names the boot; with `one_time` it goes back
/// unless it is confirmed within `patience`.
pub(super) fn boot_script(id: &str, new: &StorePath, one_time: Option<&OneTime>, patience: Duration) -> String {
    let Some(way) = one_time else { return "systemctl reboot && sleep infinity".to_owned() };
    format!(
        include_str!("boot.sh"),
        places = PLACES,
        id = id,
        new = new,
        generation = way.generation,
        entry = shell_quote(&way.entry),
        old = way.old,
        old_generation = way.old_generation,
        watched = u8::from(way.watched),
        profile = SYSTEM_PROFILE,
        seconds = patience.as_secs().max(1),
    )
}

/// Waits until the host has booted to its end, for a while, so that it is known which units fail.
pub async fn settled_boot(remote: &Remote, limit: Duration) -> Result<(), RunError> {
    let script = format!("timeout {} systemctl is-system-running --wait >/dev/null 2>&1; :", limit.as_secs().max(1));
    remote.run(&Script::new(script).deadline(limit + DEADLINE)).await.map(drop)
}

/// Confirms the boot `id`, unless the host goes back already. Asked again, it gives the same answer.
///
/// Only `boot_id`, the boot that was looked at, is confirmed: a host that went down since is back on its old system.
pub async fn confirm_boot(remote: &Remote, id: &str, boot_id: &str) -> Result<BootGuard, RunError> {
    let boot_id = shell_quote(boot_id);
    let script = format!(
        "{PLACES}\n[ \"$(cat /proc/sys/kernel/random/boot_id)\" = {boot_id} ] || exit 0\nmv \"$guard.sh\" \"$guard.kept\" 2>/dev/null\n\
         if [ ! -e \"$guard.gone\" ] && ! grep -qs '^{id} ' \"$note\"; then\n\
         systemctl stop hubctl-confirm-boot.timer 2>/dev/null\nforget\nsystemctl daemon-reload\nrm -f \"$note\"\n\
         rmdir \"${{note%/*}}\" 2>/dev/null\necho hubctl-boot:confirmed\nfi"
    );
    let (_, printed) = remote.run(&Script::new(script).as_root()).await?;
    let confirmed = printed.lines().any(|line| line == "hubctl-boot:confirmed");
    Ok(if confirmed { BootGuard::Confirmed } else { BootGuard::Gone })
}

/// Has a host that booted `new` go back now, for `reason`: it is about to reboot then.
pub async fn take_back_boot(remote: &Remote, new: &StorePath, reason: &str) -> Result<BootGuard, RunError> {
    let script = format!(
        "{PLACES}\nif [ -e \"$guard.sh\" ]; then sh \"$guard.sh\" {}\n\
         elif [ \"$(readlink -f /run/booted-system)\" = {new} ]; then systemctl --no-block reboot\nfi",
        shell_quote(reason)
    );
    remote.run(&Script::new(script).as_root()).await.map(|_| BootGuard::Gone)
}

/// Removes what a boot left that was not confirmed, on a host that is back on its old system.
pub async fn forget_boot(remote: &Remote) -> Result<(), RunError> {
    let script = format!(
        "{PLACES}\nif [ -e \"$guard.timer\" ]; then\nsystemctl stop hubctl-confirm-boot.timer\nforget\n\
         systemctl daemon-reload\nfi\nrm -f \"$note\"\nrmdir \"${{note%/*}}\" 2>/dev/null; :"
    );
    remote.run(&Script::new(script).as_root()).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(hash: char) -> StorePath {
        format!("/nix/store/{}-nixos-system-p620-25.11", hash.to_string().repeat(32)).parse().unwrap()
    }

    #[test]
    fn ways_are_read() {
        let printed = "motd\nhubctl-boot:one-time=1\nhubctl-boot:entry=nixos-generation-3.conf\nhubctl-boot:old-entry=\n\
                       hubctl-boot:old-generation=/nix/var/nix/profiles/system-2-link\nhubctl-boot:keeps-units=\n";
        let wanted = BootWays {
            one_time: true,
            entry: Some("nixos-generation-3.conf".to_owned()),
            old_entry: None,
            old_generation: Some(2),
            keeps_units: false,
        };
        assert_eq!(parse(printed), wanted);
        assert_eq!(parse(""), BootWays::default());
    }

    #[test]
    fn a_boot_without_a_way_back_changes_nothing_but_the_boot() {
        assert_eq!(boot_script("7-p620", &path('b'), None, DEADLINE), "systemctl reboot && sleep infinity");
        let way = OneTime {
            entry: "nixos-generation-3.conf".to_owned(),
            generation: 3,
            old: path('a'),
            old_generation: 2,
            watched: true,
        };
        let script = boot_script("7-p620", &path('b'), Some(&way), DEADLINE);
        assert!(script.contains("bootctl set-oneshot nixos-generation-3.conf"), "{script}");
        assert!(script.contains("OnBootSec=30"), "{script}");
        // The script is part of another one, in a text that ends with this word.
        assert!(!script.lines().any(|line| line == "HUBCTL"), "{script}");
    }
}
