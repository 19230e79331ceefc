//! What an activation came to: its exit code held against what the host really runs afterwards.
//!
//! Source of the codes: `switch-to-configuration-ng` of nixpkgs, and what nixos-rebuild makes of them. 0: done; 2: the
//! activation script failed; 4: units failed; 100: the init interface changed, nothing was activated.

use std::fmt;

use super::goal::Goal;
use crate::nix::StorePath;
use crate::remote::{Activation, Ended, Facts, Stage};

/// What an activation came to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// The goal is reached.
    Reached,
    /// The goal is reached, and the rest comes with the next boot.
    RebootNeeded,
    /// The goal is reached, though not by the activation: the host went down under it and was booted with the wanted system.
    CameBack,
    /// The wanted system is live, but units failed, or secrets are not there.
    UnitsFailed {
        /// Those that had not failed before.
        new: Vec<String>,
        /// Those that had.
        known: Vec<String>,
        /// The secrets that it lacks.
        secrets: Vec<String>,
    },
    /// The goal is not reached.
    Failed(Why),
}

/// Why the goal is not reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Why {
    /// The profile was not set; the host is as it was.
    Profile(i32),
    /// The activation script failed half-way.
    ActivationScript,
    /// Any other exit code.
    Code(i32),
    /// The init interface changed, so that only a boot brings the new system, and it is not the one to be booted.
    NeedsBoot,
    /// The activation was killed.
    Killed,
    /// The host went down under the activation.
    WentDown(Option<StorePath>),
    /// It claims success, and the host runs something else.
    OtherCurrent(Option<StorePath>),
    /// It claims success, and something else is the boot default.
    OtherProfile(Option<StorePath>),
}

impl Why {
    /// The reason alone, without what it means for the host.
    pub fn cause(&self) -> String {
        let name = |system: &Option<StorePath>| system.as_ref().map_or("no known system", StorePath::as_str).to_owned();
        match self {
            Self::Profile(code) => format!("setting the system profile failed with code {code}"),
            Self::ActivationScript => "the activation script failed".to_owned(),
            Self::Code(code) => format!("switch-to-configuration exited with code {code}"),
            Self::NeedsBoot => "only a boot brings this system, since its init interface is another".to_owned(),
            Self::Killed => "the activation was killed before its end".to_owned(),
            Self::WentDown(system) => {
                format!("the host went down during the activation and came back with {}", name(system))
            }
            Self::OtherCurrent(system) => format!("the activation ended well, but the host runs {}", name(system)),
            Self::OtherProfile(system) => {
                format!("the activation ended well, but the boot default is {}", name(system))
            }
        }
    }

    /// What it means for the host, where the reason does not say that.
    const fn consequence(&self) -> Option<&'static str> {
        match self {
            Self::Profile(_) => Some("the host runs what it ran"),
            Self::ActivationScript => Some("the host runs the new system in part"),
            Self::NeedsBoot => Some("nothing was activated"),
            Self::Killed => Some("the host runs the new system in part at most"),
            Self::Code(_) | Self::WentDown(_) | Self::OtherCurrent(_) | Self::OtherProfile(_) => None,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause())?;
        self.consequence().map_or(Ok(()), |consequence| write!(f, "; {consequence}"))
    }
}

/// What an activation is to bring about.
#[derive(Clone, Copy, Debug)]
pub struct Aim<'a> {
    /// What is to run: a system, or a specialisation of it.
    pub runs: &'a StorePath,
    /// What is to be the boot default.
    pub boots: &'a StorePath,
}

impl<'a> From<&'a Activation> for Aim<'a> {
    fn from(activation: &'a Activation) -> Self {
        Self { runs: &activation.runs, boots: &activation.toplevel }
    }
}

/// Judges an activation with `verb` by how it ended and by what the host tells `before` and `after`.
pub fn verdict(verb: Goal, aim: Aim<'_>, ended: Ended, before: &Facts, after: &Facts) -> Verdict {
    let reached = check_reached(verb, aim, after);
    match ended {
        Ended::Exited { stage: Stage::Profile, code } => Verdict::Failed(Why::Profile(code)),
        Ended::Exited { code: 0, .. } => match reached {
            // What was started well may have failed since.
            Ok(()) if verb.makes_current() && has_new_trouble(before, after) => units_failed(before, after),
            Ok(()) if verb.makes_current() && !after.reboot.is_empty() => Verdict::RebootNeeded,
            Ok(()) => Verdict::Reached,
            Err(why) => Verdict::Failed(why),
        },
        Ended::Exited { code: 4, .. } => reached.map_or_else(Verdict::Failed, |()| units_failed(before, after)),
        Ended::Exited { code: 100, .. } => not_activated(verb, aim, after),
        Ended::Exited { code: 2, .. } => Verdict::Failed(Why::ActivationScript),
        Ended::Exited { code, .. } => Verdict::Failed(Why::Code(code)),
        // What was killed half-way may have left any part undone, though the links are set.
        Ended::Vanished if before.boot_id == after.boot_id => Verdict::Failed(Why::Killed),
        Ended::Vanished if reached.is_err() || after.current.as_ref() != Some(aim.runs) => {
            Verdict::Failed(Why::WentDown(after.current.clone()))
        }
        Ended::Vanished => match units_failed(before, after) {
            Verdict::UnitsFailed { new, secrets, .. } if new.is_empty() && secrets.is_empty() => Verdict::CameBack,
            failed => failed,
        },
    }
}

/// The init interface changed. That is fine where the system was to be booted sooner or later.
fn not_activated(verb: Goal, aim: Aim<'_>, after: &Facts) -> Verdict {
    match verb {
        Goal::DryActivate => Verdict::Reached,
        _ if !verb.sets_profile() => Verdict::Failed(Why::NeedsBoot),
        _ if after.profile.as_ref() != Some(aim.boots) => Verdict::Failed(Why::OtherProfile(after.profile.clone())),
        _ => Verdict::RebootNeeded,
    }
}

fn check_reached(verb: Goal, aim: Aim<'_>, after: &Facts) -> Result<(), Why> {
    if verb.makes_current() && after.current.as_ref() != Some(aim.runs) {
        return Err(Why::OtherCurrent(after.current.clone()));
    }
    if verb.sets_profile() && after.profile.as_ref() != Some(aim.boots) {
        return Err(Why::OtherProfile(after.profile.clone()));
    }
    Ok(())
}

pub(super) fn units_failed(before: &Facts, after: &Facts) -> Verdict {
    let new = newly_failed(before, after);
    let known = after.failed_units.iter().filter(|unit| !new.contains(unit)).cloned().collect();
    Verdict::UnitsFailed { new, known, secrets: after.missing_secrets.clone() }
}

fn has_new_trouble(before: &Facts, after: &Facts) -> bool {
    !newly_failed(before, after).is_empty() || !after.missing_secrets.is_empty()
}

fn newly_failed(before: &Facts, after: &Facts) -> Vec<String> {
    after.failed_units.iter().filter(|unit| !before.failed_units.contains(unit)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::RebootReason;

    fn path(hash: char) -> StorePath {
        format!("/nix/store/{}-nixos-system-p620-25.11", hash.to_string().repeat(32)).parse().unwrap()
    }

    fn aim(system: &StorePath) -> Aim<'_> {
        Aim { runs: system, boots: system }
    }

    fn facts(system: char) -> Facts {
        Facts { current: Some(path(system)), profile: Some(path(system)), ..Facts::default() }
    }

    fn judge(code: i32, after: &Facts) -> Verdict {
        let ended = Ended::Exited { stage: Stage::Switch, code };
        verdict(Goal::Switch, aim(&path('w')), ended, &facts('a'), after)
    }

    #[test]
    fn codes_are_held_against_what_the_host_runs() {
        assert_eq!(judge(0, &facts('w')), Verdict::Reached);
        assert_eq!(judge(0, &facts('a')), Verdict::Failed(Why::OtherCurrent(Some(path('a')))));
        assert_eq!(judge(2, &facts('w')), Verdict::Failed(Why::ActivationScript));
        assert_eq!(judge(100, &Facts { current: Some(path('a')), ..facts('w') }), Verdict::RebootNeeded);
        assert_eq!(judge(100, &facts('a')), Verdict::Failed(Why::OtherProfile(Some(path('a')))));
        assert_eq!(judge(1, &facts('w')), Verdict::Failed(Why::Code(1)));
    }

    #[test]
    fn only_units_that_failed_now_count() {
        let before = Facts { failed_units: vec!["old.service".to_owned()], ..facts('a') };
        let after = Facts { failed_units: vec!["new.service".to_owned(), "old.service".to_owned()], ..facts('w') };
        let judge = |code, after: &Facts| {
            let ended = Ended::Exited { stage: Stage::Switch, code };
            verdict(Goal::Switch, aim(&path('w')), ended, &before, after)
        };
        let (new, known) = (vec!["new.service".to_owned()], vec!["old.service".to_owned()]);
        let failed = Verdict::UnitsFailed { new, known, secrets: Vec::new() };
        assert_eq!(judge(4, &after), failed);
        assert_eq!(judge(0, &after), failed, "one that failed after it was started");
        assert_eq!(judge(0, &Facts { failed_units: before.failed_units.clone(), ..facts('w') }), Verdict::Reached);
        let secrets = vec!["wifi".to_owned()];
        let lacking = Facts { missing_secrets: secrets.clone(), ..facts('w') };
        assert_eq!(judge(0, &lacking), Verdict::UnitsFailed { new: Vec::new(), known: Vec::new(), secrets });
    }

    #[test]
    fn what_only_a_boot_brings_is_no_success_of_a_test() {
        let ended = Ended::Exited { stage: Stage::Switch, code: 100 };
        let judge = |verb| verdict(verb, aim(&path('w')), ended, &facts('a'), &facts('a'));
        assert_eq!(judge(Goal::Test), Verdict::Failed(Why::NeedsBoot));
        assert_eq!(judge(Goal::DryActivate), Verdict::Reached);
    }

    #[test]
    fn a_new_kernel_asks_for_a_reboot() {
        let after = Facts { reboot: vec![RebootReason::Kernel], ..facts('w') };
        assert_eq!(judge(0, &after), Verdict::RebootNeeded);
    }

    #[test]
    fn a_host_that_went_down_is_judged_by_what_it_came_back_with() {
        let booted = |boot: &str, facts: Facts| Facts { boot_id: Some(boot.to_owned()), ..facts };
        let before = booted("one", facts('a'));
        let judge = |verb, after: &Facts| verdict(verb, aim(&path('w')), Ended::Vanished, &before, after);
        assert_eq!(judge(Goal::Switch, &booted("two", facts('w'))), Verdict::CameBack);
        assert_eq!(judge(Goal::Boot, &booted("two", facts('w'))), Verdict::CameBack);
        let old = Verdict::Failed(Why::WentDown(Some(path('a'))));
        assert_eq!(judge(Goal::Switch, &booted("two", facts('a'))), old);
        assert_eq!(judge(Goal::Test, &booted("two", facts('a'))), old);
        let failed = Facts { failed_units: vec!["web.service".to_owned()], ..facts('w') };
        let new = vec!["web.service".to_owned()];
        let units = Verdict::UnitsFailed { new, known: Vec::new(), secrets: Vec::new() };
        assert_eq!(judge(Goal::Switch, &booted("two", failed)), units);
    }

    #[test]
    fn one_that_was_killed_is_not_done_though_the_links_are_set() {
        let judged = verdict(Goal::Switch, aim(&path('w')), Ended::Vanished, &facts('a'), &facts('w'));
        assert_eq!(judged, Verdict::Failed(Why::Killed));
    }
}
