//! What kinds of hosts there are, each with its own way to run a system, and none of it known to the rest.
//!
//! Scripts are written once, in terms of functions that a platform's own shell text defines: how a process is made to outlive the
//! connection, what runs, who activates. Which platform a host is, is decided where it is reached.

use super::profile::SYSTEM_PROFILE;
use crate::nix::StorePath;
use crate::process::shell_quote;

/// How systems are run on a host.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Platform {
    /// NixOS: systemd, a boot loader, `switch-to-configuration`.
    #[default]
    Nixos,
    /// macOS with nix-darwin: launchd, BSD's tools, `activate`.
    Darwin,
    /// A user's home with home-manager, on a host of any kind: no root, `activate`.
    Home,
}

impl Platform {
    /// What a person calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nixos => "NixOS",
            Self::Darwin => "nix-darwin",
            Self::Home => "home-manager",
        }
    }

    /// Whether it takes root to change what runs.
    pub const fn needs_root(self) -> bool {
        !matches!(self, Self::Home)
    }

    /// The same, unless a host that answered with this kernel cannot be it.
    #[must_use]
    pub fn on_kernel(self, kernel: &str) -> Self {
        match (self, kernel) {
            (Self::Home, _) => Self::Home,
            (_, "Darwin") => Self::Darwin,
            _ => Self::Nixos,
        }
    }

    /// Whether a host boots its systems itself, so that one can be booted, run until the next boot, or be asked what it would do. All
    /// that others can do with a system is to activate it.
    pub const fn boots(self) -> bool {
        matches!(self, Self::Nixos)
    }

    /// The command that shows an activation that is under way.
    pub const fn shows_activation(self) -> &'static str {
        match self {
            Self::Nixos => "systemctl status nixos-rebuild-switch-to-configuration",
            Self::Darwin | Self::Home => "ps axww | grep /hubctl/",
        }
    }

    /// What is not undone by a host that went down in the middle of an activation and came back with its old system.
    pub const fn lasts_over_a_boot(self) -> Option<&'static str> {
        match self {
            Self::Nixos | Self::Home => None,
            Self::Darwin => Some(
                "what the new one had changed already beside /etc, such as its launchd services, stays until the next activation",
            ),
        }
    }

    /// The profile whose generations are the host's systems, as a word of the shell in which its scripts are written.
    pub(super) const fn profile(self) -> &'static str {
        match self {
            Self::Nixos | Self::Darwin => SYSTEM_PROFILE,
            Self::Home => "\"$profile\"",
        }
    }

    /// The shell functions and variables that all scripts for it are written in.
    pub(super) fn dialect(self) -> String {
        match self {
            Self::Nixos => include_str!("nixos.sh").to_owned(),
            Self::Darwin => [include_str!("darwin.sh"), include_str!("detached.sh")].concat(),
            Self::Home => [include_str!("home.sh"), include_str!("detached.sh")].concat(),
        }
    }

    /// The script that asks a host how it stands.
    pub(super) fn questions(self) -> String {
        match self {
            // It is asked with every command, and needs nothing of the rest.
            Self::Nixos => include_str!("probe.sh").to_owned(),
            Self::Darwin | Self::Home => self.dialect() + include_str!("probe-detached.sh"),
        }
    }

    /// The part of a start script that declines users who may not activate.
    pub(super) const fn root_check(self) -> &'static str {
        match self {
            // Of all users, only root owns what is root's.
            Self::Nixos => "[ -O /proc/1 ] || answer not-root \"$(id -u)\"",
            Self::Darwin => "[ \"$(id -u)\" = 0 ] || answer not-root \"$(id -u)\"",
            Self::Home => "",
        }
    }

    /// The part of a start script that arms what takes the activation `id` back: `confirm` seconds after it ended, or `patience`
    /// seconds from now.
    pub(super) fn arm_script(self, id: &str, confirm: u64, patience: u64) -> String {
        match self {
            Self::Nixos => format!(
                include_str!("guard.sh"),
                id = id,
                revert = shell_quote(include_str!("revert.sh")),
                confirm = confirm,
                patience = patience
            ),
            Self::Darwin | Self::Home => format!(
                include_str!("guard-detached.sh"),
                dialect = self.dialect(),
                id = id,
                revert = include_str!("revert-detached.sh"),
                confirm = confirm,
                patience = patience
            ),
        }
    }

    /// The command that activates `system`, as a person would type it. With `verb` `boot` it is made what the host boots and nothing
    /// more.
    pub(super) fn activate_command(self, system: &StorePath, verb: &str) -> String {
        match self {
            Self::Nixos => format!("{system}/bin/switch-to-configuration {verb}"),
            Self::Darwin | Self::Home if verb == "boot" => "true".to_owned(),
            Self::Darwin | Self::Home => format!("{system}/activate"),
        }
    }

    /// The same as scripts have it.
    pub(super) fn activate_script(self, system: &StorePath, verb: &str) -> String {
        match self {
            Self::Darwin | Self::Home if verb != "boot" => format!("activate {system}"),
            _ => self.activate_command(system, verb),
        }
    }

    /// What an exit code of an activation means, in terms of those of `switch-to-configuration`.
    pub(super) const fn exit_code(self, code: i32) -> i32 {
        match (self, code) {
            (Self::Nixos, code) | (_, code @ 0) => code,
            // Those of others tell nothing but that a part of the activation script failed.
            _ => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Platform; 3] = [Platform::Nixos, Platform::Darwin, Platform::Home];

    #[test]
    fn every_platform_has_what_scripts_are_written_in() {
        for platform in ALL {
            let dialect = platform.dialect();
            for name in [
                "real",
                "changed",
                "boot_id",
                "host_name",
                "runs",
                "objects",
                "active",
                "busy",
                "activating",
                "goes_down",
            ] {
                assert!(dialect.contains(&format!("\n{name}() ")), "{name} of {platform:?}");
            }
            for name in ["launch", "is_armed", "disarm", "waits", "reverts", "revert_now"] {
                assert!(dialect.contains(&format!("\n{name}() ")), "{name} of {platform:?}");
            }
            for name in ["hub", "profile", "roots"] {
                assert!(dialect.contains(&format!("\n{name}=")), "{name} of {platform:?}");
            }
            // It is part of texts that end with this word.
            assert!(!dialect.lines().any(|line| line == "HUBCTL"), "{platform:?}");
        }
    }

    #[test]
    fn a_kernel_tells_hosts_apart_and_homes_are_on_any() {
        let on = |kernel| ALL.map(|platform| platform.on_kernel(kernel));
        assert_eq!(on("Darwin"), [Platform::Darwin, Platform::Darwin, Platform::Home]);
        assert_eq!(on("Linux"), [Platform::Nixos, Platform::Nixos, Platform::Home]);
    }

    #[test]
    fn codes_of_others_than_nixos_tell_only_that_something_failed() {
        assert_eq!([0, 1, 4, 100].map(|code| Platform::Nixos.exit_code(code)), [0, 1, 4, 100]);
        assert_eq!([0, 1, 4, 100].map(|code| Platform::Darwin.exit_code(code)), [0, 2, 2, 2]);
    }

    #[test]
    fn what_is_shown_is_what_a_person_would_type() {
        let system: StorePath = "/nix/store/0i3kvkpqpr1i9zx4dbdzvj6dcpqnmhhb-darwin-system-25.11".parse().unwrap();
        assert_eq!(
            Platform::Nixos.activate_command(&system, "test"),
            format!("{system}/bin/switch-to-configuration test")
        );
        assert_eq!(Platform::Darwin.activate_command(&system, "test"), format!("{system}/activate"));
        assert_eq!(Platform::Darwin.activate_script(&system, "test"), format!("activate {system}"));
        assert_eq!(Platform::Home.activate_script(&system, "boot"), "true");
    }
}
