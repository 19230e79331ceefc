//! What an activation came to: its exit code held against what the host really runs afterwards.
//!
//! Source of the codes: `switch-to-configuration-ng` of nixpkgs, and what nixos-rebuild makes of them. 0: done; 2: the
//! activation script failed; 4: units failed; 100: the init interface changed, nothing was activated.

use super::goal::Goal;
use crate::nix::StorePath;
use crate::remote::{Ended, Facts, Stage};

/// What an activation came to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// The goal is reached.
    Reached,
    /// The goal is reached, and the rest comes with the next boot.
    RebootNeeded,
    /// The wanted system is live, but these units failed that had not failed before.
    UnitsFailed(Vec<String>),
    /// The goal is not reached.
    Failed(Why),
}

/// Why the goal is not reached.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Why {
    /// The profile was not set; the host is as it was.
    #[error("setting the system profile failed with code {0}; the host runs what it ran")]
    Profile(i32),
    /// The activation script failed half-way.
    #[error("the activation script failed; the host runs the new system in part")]
    ActivationScript,
    /// Any other exit code.
    #[error("switch-to-configuration exited with code {0}")]
    Code(i32),
    /// The activation was killed, or the host went down under it.
    #[error("the activation did not come to its end: it was killed, or the host went down")]
    Vanished,
    /// It claims success, and the host runs something else.
    #[error("the activation ended well, but the host runs {}", .0.as_ref().map_or("no known system", |path| path.as_str()))]
    OtherCurrent(Option<StorePath>),
    /// It claims success, and something else is the boot default.
    #[error("the activation ended well, but the boot default is {}", .0.as_ref().map_or("no known system", |path| path.as_str()))]
    OtherProfile(Option<StorePath>),
}

/// Judges an activation with `verb` by how it ended and by what the host tells `before` and `after`.
pub fn verdict(verb: Goal, wanted: &StorePath, ended: Ended, before: &Facts, after: &Facts) -> Verdict {
    let reached = check_reached(verb, wanted, after);
    match ended {
        Ended::Exited { stage: Stage::Profile, code } => Verdict::Failed(Why::Profile(code)),
        Ended::Exited { code: 0, .. } => match reached {
            Ok(()) if verb.makes_current() && !after.reboot.is_empty() => Verdict::RebootNeeded,
            Ok(()) => Verdict::Reached,
            Err(why) => Verdict::Failed(why),
        },
        Ended::Exited { code: 4, .. } => match reached {
            Ok(()) => Verdict::UnitsFailed(newly_failed(before, after)),
            Err(why) => Verdict::Failed(why),
        },
        Ended::Exited { code: 100, .. } => Verdict::RebootNeeded,
        Ended::Exited { code: 2, .. } => Verdict::Failed(Why::ActivationScript),
        Ended::Exited { code, .. } => Verdict::Failed(Why::Code(code)),
        // The host may have gone down after the work was done, and come back with it.
        Ended::Vanished => match reached {
            Ok(()) if verb.sets_profile() && verb.makes_current() => Verdict::Reached,
            _ => Verdict::Failed(Why::Vanished),
        },
    }
}

fn check_reached(verb: Goal, wanted: &StorePath, after: &Facts) -> Result<(), Why> {
    if verb.makes_current() && after.current.as_ref() != Some(wanted) {
        return Err(Why::OtherCurrent(after.current.clone()));
    }
    if verb.sets_profile() && after.profile.as_ref() != Some(wanted) {
        return Err(Why::OtherProfile(after.profile.clone()));
    }
    Ok(())
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

    fn facts(system: char) -> Facts {
        Facts { current: Some(path(system)), profile: Some(path(system)), ..Facts::default() }
    }

    fn judge(code: i32, after: &Facts) -> Verdict {
        let ended = Ended::Exited { stage: Stage::Switch, code };
        verdict(Goal::Switch, &path('w'), ended, &facts('a'), after)
    }

    #[test]
    fn codes_are_held_against_what_the_host_runs() {
        assert_eq!(judge(0, &facts('w')), Verdict::Reached);
        assert_eq!(judge(0, &facts('a')), Verdict::Failed(Why::OtherCurrent(Some(path('a')))));
        assert_eq!(judge(2, &facts('w')), Verdict::Failed(Why::ActivationScript));
        assert_eq!(judge(100, &facts('a')), Verdict::RebootNeeded);
        assert_eq!(judge(1, &facts('w')), Verdict::Failed(Why::Code(1)));
    }

    #[test]
    fn only_units_that_failed_now_count() {
        let before = Facts { failed_units: vec!["old.service".to_owned()], ..facts('a') };
        let after = Facts { failed_units: vec!["new.service".to_owned(), "old.service".to_owned()], ..facts('w') };
        let ended = Ended::Exited { stage: Stage::Switch, code: 4 };
        let judged = verdict(Goal::Switch, &path('w'), ended, &before, &after);
        assert_eq!(judged, Verdict::UnitsFailed(vec!["new.service".to_owned()]));
    }

    #[test]
    fn a_new_kernel_asks_for_a_reboot() {
        let after = Facts { reboot: vec![RebootReason::Kernel], ..facts('w') };
        assert_eq!(judge(0, &after), Verdict::RebootNeeded);
    }

    #[test]
    fn a_host_that_went_down_is_judged_by_what_it_came_back_with() {
        let judge = |after: &Facts| verdict(Goal::Switch, &path('w'), Ended::Vanished, &facts('a'), after);
        assert_eq!(judge(&facts('w')), Verdict::Reached);
        assert_eq!(judge(&facts('a')), Verdict::Failed(Why::Vanished));
    }
}
