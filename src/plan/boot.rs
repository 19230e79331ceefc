//! Booting a host: whether it is to be booted, whether it can go back, and what came of it.

use std::fmt;

use super::decide::{Action, Decision, Reason, Rule};
use super::verdict::{Verdict, units_failed};
use crate::nix::StorePath;
use crate::remote::{BootWays, Facts, OneTime};

/// How a host is booted into its boot default.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Trial {
    /// Once; it becomes the boot default again when it is confirmed.
    Guarded(OneTime),
    /// For good, whatever it does.
    Plain(NoWayBack),
}

/// Why a boot is for good.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoWayBack {
    /// It is the system that was booted last.
    SameSystem,
    /// The user wants nothing to be confirmed.
    Unwanted,
    /// The boot loader boots nothing but its default by itself.
    NoOneTime,
    /// The boot loader has no entry that is known to boot the new system.
    NoEntry,
    /// The boot loader has no entry, or the profile no generation, of the system that was booted last.
    NothingOld,
}

/// What a host came back with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Booted {
    /// The wanted system.
    Wanted,
    /// The system that was booted before.
    Old,
    /// Something else.
    Other(Option<StorePath>),
    /// Nothing: it was not booted.
    Not,
}

/// Decides whether a host is booted into `wanted`, its boot default, and how. With [`Rule::IfChanged`] only a host is for which
/// a boot changes anything. `confirms` says whether boots are to be confirmed. Pure.
pub fn decide_boot(
    rule: Rule,
    wanted: &StorePath,
    generation: u64,
    facts: &Facts,
    ways: &BootWays,
    confirms: bool,
) -> Decision {
    let runs = facts.current.as_ref() == Some(wanted) && facts.reboot.is_empty();
    if rule == Rule::IfChanged && runs {
        return Decision { action: Action::Nothing, reason: Reason::NoBootNeeded };
    }
    let trial = trial(wanted, generation, facts, ways, confirms);
    let reason = Reason::Boot { default_runs: runs, way_back: way_back(&trial) };
    Decision { action: Action::Reboot(trial), reason }
}

fn trial(wanted: &StorePath, generation: u64, facts: &Facts, ways: &BootWays, confirms: bool) -> Trial {
    let old = match &facts.booted {
        Some(old) if old == wanted => return Trial::Plain(NoWayBack::SameSystem),
        _ if !confirms => return Trial::Plain(NoWayBack::Unwanted),
        Some(old) => old.clone(),
        None => return Trial::Plain(NoWayBack::NothingOld),
    };
    if !ways.one_time {
        return Trial::Plain(NoWayBack::NoOneTime);
    }
    let Some(entry) = ways.entry.clone() else { return Trial::Plain(NoWayBack::NoEntry) };
    let (Some(_), Some(old_generation)) = (&ways.old_entry, ways.old_generation) else {
        return Trial::Plain(NoWayBack::NothingOld);
    };
    Trial::Guarded(OneTime { entry, generation, old, old_generation, watched: ways.keeps_units })
}

fn way_back(trial: &Trial) -> WayBack {
    match trial {
        Trial::Guarded(way) if way.watched => WayBack::ByItself,
        Trial::Guarded(_) => WayBack::NextBoot,
        Trial::Plain(why) => WayBack::None(*why),
    }
}

/// How a host goes back from a boot that is not confirmed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WayBack {
    /// By itself.
    ByItself,
    /// With the boot after it, which somebody else must bring about.
    NextBoot,
    /// Not at all.
    None(NoWayBack),
}

impl WayBack {
    /// Whether the user should know before the host goes down.
    pub fn is_notable(self) -> bool {
        !matches!(self, Self::ByItself | Self::None(NoWayBack::SameSystem | NoWayBack::Unwanted))
    }
}

impl fmt::Display for WayBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ByItself => "goes back unless it is confirmed",
            Self::NextBoot => {
                "its /etc takes no unit over a boot: it goes back with the boot after this one, and not by itself"
            }
            Self::None(NoWayBack::SameSystem) => "the system is the one that was booted last",
            Self::None(NoWayBack::Unwanted) => "nothing is to be confirmed",
            Self::None(NoWayBack::NoOneTime) => {
                "its boot loader offers no one-time entry: the host stays on what it boots, whatever happens"
            }
            Self::None(NoWayBack::NoEntry) => {
                "its boot loader has no entry that is known to boot it: the host stays on what it boots, whatever happens"
            }
            Self::None(NoWayBack::NothingOld) => {
                "its boot loader has no entry to go back to: the host stays on what it boots, whatever happens"
            }
        })
    }
}

/// Judges a boot into `wanted` by what the host tells `before` and `after`.
pub fn booted(wanted: &StorePath, before: &Facts, after: &Facts) -> Booted {
    if before.boot_id == after.boot_id {
        return Booted::Not;
    }
    match &after.booted {
        Some(now) if now == wanted => Booted::Wanted,
        now if *now == before.booted => Booted::Old,
        now => Booted::Other(now.clone()),
    }
}

/// What the units of a host came to in a boot.
pub fn units_after_boot(before: &Facts, after: &Facts) -> Verdict {
    match units_failed(before, after) {
        Verdict::UnitsFailed { new, .. } if new.is_empty() => Verdict::Reached,
        failed => failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::RebootReason;

    fn path(hash: char) -> StorePath {
        format!("/nix/store/{}-nixos-system-p620-25.11", hash.to_string().repeat(32)).parse().unwrap()
    }

    fn facts(booted: char, current: char) -> Facts {
        Facts { booted: Some(path(booted)), current: Some(path(current)), ..Facts::default() }
    }

    fn ways() -> BootWays {
        BootWays {
            one_time: true,
            entry: Some("new.conf".to_owned()),
            old_entry: Some("old.conf".to_owned()),
            old_generation: Some(1),
            keeps_units: true,
        }
    }

    fn decided(rule: Rule, facts: &Facts, ways: &BootWays, confirms: bool) -> Action {
        decide_boot(rule, &path('w'), 2, facts, ways, confirms).action
    }

    #[test]
    fn only_a_boot_that_changes_nothing_is_left_out() {
        let decide = |facts: &Facts| decided(Rule::IfChanged, facts, &ways(), true);
        assert_eq!(decide(&facts('w', 'w')), Action::Nothing);
        // Booted with another system that has the same kernel.
        assert_eq!(decide(&facts('a', 'w')), Action::Nothing);
        assert!(matches!(decide(&facts('a', 'a')), Action::Reboot(_)));
        let pending = Facts { reboot: vec![RebootReason::Kernel], ..facts('a', 'w') };
        assert!(matches!(decide(&pending), Action::Reboot(_)));
        assert!(matches!(decided(Rule::Always, &facts('w', 'w'), &ways(), true), Action::Reboot(_)));
    }

    #[test]
    fn what_has_no_way_back_is_told_why() {
        let plain = |facts: &Facts, ways: &BootWays, confirms| match decided(Rule::Always, facts, ways, confirms) {
            Action::Reboot(Trial::Plain(why)) => why,
            action => unreachable!("{action:?}"),
        };
        assert_eq!(plain(&facts('w', 'a'), &ways(), true), NoWayBack::SameSystem);
        assert_eq!(plain(&facts('a', 'a'), &ways(), false), NoWayBack::Unwanted);
        assert_eq!(plain(&facts('a', 'a'), &BootWays { one_time: false, ..ways() }, true), NoWayBack::NoOneTime);
        assert_eq!(plain(&facts('a', 'a'), &BootWays { entry: None, ..ways() }, true), NoWayBack::NoEntry);
        assert_eq!(plain(&facts('a', 'a'), &BootWays { old_entry: None, ..ways() }, true), NoWayBack::NothingOld);
        assert_eq!(plain(&facts('a', 'a'), &BootWays { old_generation: None, ..ways() }, true), NoWayBack::NothingOld);
        let guarded = decided(Rule::Always, &facts('a', 'w'), &ways(), true);
        assert!(matches!(guarded, Action::Reboot(Trial::Guarded(OneTime { old_generation: 1, .. }))));
    }

    #[test]
    fn a_host_is_judged_by_what_it_came_back_with() {
        let boot = |id: &str, facts: Facts| Facts { boot_id: Some(id.to_owned()), ..facts };
        let before = boot("one", facts('a', 'a'));
        let judge = |after: &Facts| booted(&path('w'), &before, after);
        assert_eq!(judge(&boot("two", facts('w', 'w'))), Booted::Wanted);
        assert_eq!(judge(&boot("two", facts('a', 'a'))), Booted::Old);
        assert_eq!(judge(&boot("two", facts('b', 'b'))), Booted::Other(Some(path('b'))));
        assert_eq!(judge(&boot("one", facts('w', 'w'))), Booted::Not);
    }
}
