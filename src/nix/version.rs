//! The Nix at hand, and the only place that knows how one version differs from another.
//!
//! Supported: Nix from 2.8, and Lix, which split off from Nix 2.18 and counts on from 2.90.

use std::fmt;

use super::store_path::StorePath;

/// Which implementation of Nix it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Flavour {
    /// The original.
    Nix,
    /// Lix.
    Lix,
}

/// A release of Nix.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Version {
    flavour: Flavour,
    major: u32,
    minor: u32,
    full: String,
}

/// The oldest release that hubctl works with.
const OLDEST: (u32, u32) = (2, 8);

impl Version {
    /// Reads what `nix --version` prints, such as `nix (Nix) 2.8.0`, `nix (Lix, like Nix) 2.91.1` or
    /// `nix (Determinate Nix 3.6.2) 2.29.0`.
    pub fn parse(printed: &str) -> Option<Self> {
        let line = printed.lines().find(|line| line.starts_with("nix "))?;
        let full = line.rsplit(' ').next()?.to_owned();
        let flavour = if line.contains("Lix") { Flavour::Lix } else { Flavour::Nix };
        let mut numbers = full.split(|c: char| !c.is_ascii_digit());
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next()?.parse().ok()?;
        Some(Self { flavour, major, minor, full })
    }

    /// Whether hubctl works with this release.
    pub fn is_supported(&self) -> bool {
        (self.major, self.minor) >= OLDEST
    }

    /// Which implementation it is.
    pub fn flavour(&self) -> Flavour {
        self.flavour
    }

    /// What `nix build` takes to build all outputs of a derivation. Up to 2.12 the derivation's path alone means its
    /// outputs; later it means the derivation itself, and `^*` its outputs.
    pub fn outputs_of(&self, drv: &StorePath) -> String {
        if self.at_least(2, 13) { format!("{drv}^*") } else { drv.to_string() }
    }

    /// What stands in front of the file that `nix repl` is to load. From 2.10 on, words are installables.
    pub fn repl_file(&self) -> &'static [&'static str] {
        if self.at_least(2, 10) { &["--file"] } else { &[] }
    }

    /// Whether an evaluation is known to open every file that it depends on, with a cache of its own where this version
    /// [remembers](Self::remembers_copies) what it copied. Tried with 2.8, 2.26 and 2.34; of other new versions, and of Lix,
    /// nothing is assumed.
    pub(super) fn opens_all_it_reads(&self) -> bool {
        self.flavour == Flavour::Nix && (!self.at_least(2, 27) || (self.major, self.minor) == (2, 34))
    }

    /// Whether the fetchers keep a record of what they copied to the store, and neither open it again nor look whether it is as
    /// it was.
    pub fn remembers_copies(&self) -> bool {
        self.flavour == Flavour::Nix && self.at_least(2, 27)
    }

    /// The subcommand that prints all settings as JSON, for a Nix whose version is not known yet. It became `config show` in Nix
    /// 2.20; the old name still works, with a warning.
    pub(super) const OLD_SHOW_CONFIG: &[&str] = &["show-config", "--json"];

    /// The subcommand that prints all settings as JSON.
    pub fn show_config(&self) -> &'static [&'static str] {
        if self.at_least(2, 20) { &["config", "show", "--json"] } else { Self::OLD_SHOW_CONFIG }
    }

    /// The subcommand that asks a store whether it is there. `store ping` became `store info` in Nix 2.20; the old name still works,
    /// with a warning.
    pub(super) fn store_info(&self) -> &'static [&'static str] {
        if self.at_least(2, 20) && self.flavour == Flavour::Nix { &["store", "info"] } else { &["store", "ping"] }
    }

    /// Whether `NIX_DATA_HOME` and its like say where Nix keeps what it remembers, beside `XDG_DATA_HOME` for all programs.
    pub(super) fn has_directories_of_its_own(&self) -> bool {
        self.flavour == Flavour::Nix && self.at_least(2, 25)
    }

    /// Whether a `path:` reference may name a directory below the path. Nix 2.8 refuses it, 2.26 takes it; of what is between,
    /// and of Lix, nothing is assumed.
    pub(super) fn paths_take_directories(&self) -> bool {
        self.flavour == Flavour::Nix && self.at_least(2, 26)
    }

    /// The flags by which a store that is copied to substitutes what it can. To a store behind ssh-ng, Nix 2.8 asks for that only
    /// where a remote builder would be asked as well; 2.26 needs no such setting, and of what is between nothing is assumed.
    pub(super) fn substitute_on_destination(&self) -> &'static [&'static str] {
        if self.flavour == Flavour::Nix && self.at_least(2, 26) {
            &["--substitute-on-destination"]
        } else {
            &["--substitute-on-destination", "--option", "builders-use-substitutes", "true"]
        }
    }

    fn at_least(&self, major: u32, minor: u32) -> bool {
        (self.major, self.minor) >= (major, minor)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.flavour {
            Flavour::Nix => "Nix",
            Flavour::Lix => "Lix",
        };
        write!(f, "{name} {}", self.full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRV: &str = "/nix/store/0i3kvkpqpr1i9zx4dbdzvj6dcpqnmhhb-x.drv";

    #[test]
    fn versions_of_all_flavours_are_read() {
        for (printed, shown) in [
            ("nix (Nix) 2.8.0", "Nix 2.8.0"),
            ("nix (Nix) 2.26.3+1", "Nix 2.26.3+1"),
            ("nix (Lix, like Nix) 2.91.1\n", "Lix 2.91.1"),
            ("warning: something\nnix (Determinate Nix 3.6.2) 2.29.0", "Nix 2.29.0"),
            ("nix (Nix) 2.34.0pre20260101_abcdef0", "Nix 2.34.0pre20260101_abcdef0"),
        ] {
            assert_eq!(Version::parse(printed).unwrap().to_string(), shown);
        }
        assert_eq!(Version::parse("zsh: command not found: nix"), None);
        assert!(!Version::parse("nix (Nix) 2.3.16").unwrap().is_supported());
    }

    #[test]
    fn only_versions_that_were_tried_are_trusted_to_open_what_they_read() {
        let opens = |printed: &str| Version::parse(printed).unwrap().opens_all_it_reads();
        assert!(opens("nix (Nix) 2.8.0") && opens("nix (Nix) 2.26.3") && opens("nix (Nix) 2.34.8"));
        assert!(!opens("nix (Nix) 2.31.1") && !opens("nix (Nix) 2.35.0") && !opens("nix (Lix, like Nix) 2.91.1"));
    }

    #[test]
    fn outputs_are_named_as_each_version_wants() {
        let drv = DRV.parse().unwrap();
        assert_eq!(Version::parse("nix (Nix) 2.8.0").unwrap().outputs_of(&drv), DRV);
        assert_eq!(Version::parse("nix (Nix) 2.26.3").unwrap().outputs_of(&drv), format!("{DRV}^*"));
    }
}
