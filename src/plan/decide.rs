//! What is left to do with a host, given what it runs and what the flake wants.

use std::fmt;

use super::boot::{Trial, WayBack};
use super::goal::Goal;
use super::sought::Sought;
use crate::nix::StorePath;
use crate::remote::{Facts, RebootReason};

/// When a host that is as wanted already is left alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rule {
    /// Always: only what changed is deployed.
    IfChanged,
    /// Never: the system is activated again.
    Always,
}

/// What is to be done with a host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// Nothing: it is as wanted.
    Nothing,
    /// Nothing, until somebody reboots it.
    AwaitReboot,
    /// Build, copy, and run `switch-to-configuration` with this verb.
    Activate {
        /// The verb.
        verb: Goal,
        /// Whether the profile is set first.
        set_profile: bool,
    },
    /// Boot it.
    Reboot(Trial),
}

/// What is to be done with a host, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Decision {
    /// What is to be done.
    pub action: Action,
    /// Why, for a person.
    pub reason: Reason,
}

/// Why something is to be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reason {
    /// The host is as wanted.
    AsWanted,
    /// The host is as wanted, but booted with other parts of the system than it has now.
    RebootPending(Vec<RebootReason>),
    /// The wanted system runs, but another one is the boot default.
    NotBootDefault,
    /// The wanted system runs in part: switching to it did not come to its end.
    Interrupted,
    /// Another system runs.
    Differs {
        /// What runs.
        current: StorePath,
    },
    /// The wanted system runs with this specialisation of it, or without the one that is wanted.
    Specialisation(Option<String>),
    /// Another system is the boot default.
    OtherBootDefault,
    /// The profile has the wanted system, and it is not known whether the boot loader has it.
    BootInterrupted,
    /// What runs is not a NixOS system, or not one that the host can name.
    UnknownSystem,
    /// The user asked for it.
    Asked,
    /// A boot would change nothing.
    NoBootNeeded,
    /// The host is to be booted.
    Boot {
        /// Whether its boot default runs already, as far as that is possible without a boot.
        default_runs: bool,
        /// How it goes back.
        way_back: WayBack,
    },
}

/// Decides what is to be done to reach `goal`. Pure: `facts` are all that is known of the host.
pub fn decide(goal: Goal, rule: Rule, sought: Sought<'_>, facts: &Facts) -> Decision {
    let current = sought.runs(facts);
    let runs = current && !facts.interrupted;
    let boots = sought.boots(facts) && facts.halfway.is_none();
    let not_default = |reason| if sought.boots(facts) { Reason::BootInterrupted } else { reason };
    let activate =
        |verb: Goal, reason| Decision { action: Action::Activate { verb, set_profile: verb.sets_profile() }, reason };
    let as_wanted = match goal {
        Goal::Build => true,
        Goal::Switch => runs && boots,
        Goal::Boot => boots,
        Goal::Test => runs,
        Goal::DryActivate | Goal::Reboot => false,
    };
    match goal {
        _ if as_wanted && (rule == Rule::IfChanged || goal == Goal::Build) => left_alone(runs, facts),
        Goal::DryActivate => activate(goal, Reason::Asked),
        _ if as_wanted => activate(goal, Reason::Asked),
        // Switching would restart what runs already; what is missing is the profile and the boot loader's entry.
        Goal::Switch if runs && rule == Rule::IfChanged => activate(Goal::Boot, not_default(Reason::NotBootDefault)),
        Goal::Switch if runs => activate(goal, not_default(Reason::NotBootDefault)),
        Goal::Boot => activate(goal, not_default(Reason::OtherBootDefault)),
        _ if current => activate(goal, Reason::Interrupted),
        _ if sought.runs_otherwise(facts) => activate(goal, Reason::Specialisation(facts.specialisation.clone())),
        _ => {
            let current = facts.current.clone();
            activate(goal, current.map_or(Reason::UnknownSystem, |current| Reason::Differs { current }))
        }
    }
}

fn left_alone(runs: bool, facts: &Facts) -> Decision {
    if runs && !facts.reboot.is_empty() {
        return Decision { action: Action::AwaitReboot, reason: Reason::RebootPending(facts.reboot.clone()) };
    }
    Decision { action: Action::Nothing, reason: Reason::AsWanted }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsWanted => f.write_str("as the flake wants it"),
            Self::RebootPending(parts) => {
                let parts: Vec<_> = parts.iter().map(|part| part.as_str()).collect();
                write!(f, "as the flake wants it, but booted with another {}: reboot pending", parts.join(", "))
            }
            Self::NotBootDefault => f.write_str("it runs, but another system is the boot default"),
            Self::Interrupted => f.write_str("it runs in part: an activation did not come to its end"),
            Self::Differs { current } => write!(f, "the host runs {} ({})", current.name(), current.short_hash()),
            Self::Specialisation(Some(name)) => write!(f, "its specialisation `{name}` runs"),
            Self::Specialisation(None) => f.write_str("it runs without a specialisation"),
            Self::OtherBootDefault => f.write_str("another system is the boot default"),
            Self::BootInterrupted => f.write_str("to make it the boot default was begun and did not come to its end"),
            Self::UnknownSystem => f.write_str("the host runs no system that Nix knows"),
            Self::Asked => f.write_str("asked for"),
            Self::NoBootNeeded => f.write_str("it runs what it boots; a boot would change nothing"),
            Self::Boot { default_runs: true, way_back } => write!(f, "asked for; {way_back}"),
            Self::Boot { default_runs: false, way_back } => {
                write!(f, "only a boot brings its boot default; {way_back}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(hash: char) -> StorePath {
        format!("/nix/store/{}-nixos-system-p620-25.11", hash.to_string().repeat(32)).parse().unwrap()
    }

    fn facts(current: char, profile: char) -> Facts {
        Facts { current: Some(path(current)), profile: Some(path(profile)), ..Facts::default() }
    }

    fn action(goal: Goal, rule: Rule, current: char, profile: char) -> Action {
        decide(goal, rule, Sought::plain(&path('w')), &facts(current, profile)).action
    }

    #[test]
    fn the_table_of_decisions() {
        let switch = || Action::Activate { verb: Goal::Switch, set_profile: true };
        let boot = || Action::Activate { verb: Goal::Boot, set_profile: true };
        let test = Action::Activate { verb: Goal::Test, set_profile: false };
        let dry = Action::Activate { verb: Goal::DryActivate, set_profile: false };
        let table = [
            // goal, rule, what runs, boot default (w is what is wanted), action
            (Goal::Switch, Rule::IfChanged, 'w', 'w', Action::Nothing),
            (Goal::Switch, Rule::IfChanged, 'w', 'a', boot()),
            (Goal::Switch, Rule::IfChanged, 'a', 'w', switch()),
            (Goal::Switch, Rule::IfChanged, 'a', 'a', switch()),
            (Goal::Switch, Rule::Always, 'w', 'w', switch()),
            (Goal::Switch, Rule::Always, 'w', 'a', switch()),
            (Goal::Boot, Rule::IfChanged, 'w', 'a', boot()),
            (Goal::Boot, Rule::IfChanged, 'a', 'w', Action::Nothing),
            (Goal::Test, Rule::IfChanged, 'w', 'a', Action::Nothing),
            (Goal::Test, Rule::IfChanged, 'a', 'w', test),
            (Goal::DryActivate, Rule::IfChanged, 'w', 'w', dry),
            (Goal::Build, Rule::Always, 'a', 'a', Action::Nothing),
        ];
        for (goal, rule, current, profile, wanted) in table {
            assert_eq!(action(goal, rule, current, profile), wanted, "{goal} {rule:?} {current} {profile}");
        }
    }

    #[test]
    fn a_specialisation_is_what_is_wanted_or_it_is_not() {
        let gaming = |name: Option<&str>| Facts { specialisation: name.map(str::to_owned), ..facts('s', 'w') };
        let decide = |sought: Option<&str>, facts: &Facts| {
            let toplevel = path('w');
            let sought = Sought { toplevel: &toplevel, specialisation: sought };
            super::decide(Goal::Switch, Rule::IfChanged, sought, facts)
        };
        assert_eq!(decide(Some("gaming"), &gaming(Some("gaming"))).action, Action::Nothing);
        let other = decide(Some("work"), &gaming(Some("gaming")));
        assert_eq!(other.reason, Reason::Specialisation(Some("gaming".to_owned())));
        assert_eq!(decide(None, &gaming(Some("gaming"))).reason, other.reason);
        assert_eq!(decide(Some("gaming"), &facts('w', 'w')).reason, Reason::Specialisation(None));
        assert!(matches!(decide(Some("gaming"), &facts('s', 'w')).reason, Reason::Differs { .. }));
    }

    #[test]
    fn a_pending_reboot_is_told() {
        let facts = Facts { reboot: vec![RebootReason::Kernel], ..facts('w', 'w') };
        let decision = decide(Goal::Switch, Rule::IfChanged, Sought::plain(&path('w')), &facts);
        assert_eq!(decision.action, Action::AwaitReboot);
        assert!(decision.reason.to_string().contains("another kernel: reboot pending"));
    }

    #[test]
    fn an_activation_that_was_interrupted_is_done_again() {
        let facts = Facts { interrupted: true, ..facts('w', 'w') };
        let decision = decide(Goal::Switch, Rule::IfChanged, Sought::plain(&path('w')), &facts);
        assert_eq!(decision.action, Action::Activate { verb: Goal::Switch, set_profile: true });
        assert_eq!(decision.reason, Reason::Interrupted);
    }

    #[test]
    fn a_boot_default_that_the_boot_loader_may_not_have_is_made_one_again() {
        let halfway = |current| Facts { halfway: Some(path('w')), ..facts(current, 'w') };
        for (goal, current) in [(Goal::Boot, 'a'), (Goal::Boot, 'w'), (Goal::Switch, 'w')] {
            let decision = decide(goal, Rule::IfChanged, Sought::plain(&path('w')), &halfway(current));
            assert_eq!(decision.action, Action::Activate { verb: Goal::Boot, set_profile: true }, "{goal} {current}");
            assert_eq!(decision.reason, Reason::BootInterrupted, "{goal} {current}");
        }
        // Another system is another matter.
        let other = Facts { halfway: Some(path('a')), ..facts('a', 'a') };
        let decision = decide(Goal::Boot, Rule::IfChanged, Sought::plain(&path('w')), &other);
        assert_eq!(decision.reason, Reason::OtherBootDefault);
    }

    #[test]
    fn an_unknown_system_is_never_taken_for_the_wanted_one() {
        let decision = decide(Goal::Switch, Rule::IfChanged, Sought::plain(&path('w')), &Facts::default());
        assert_eq!(decision.reason, Reason::UnknownSystem);
        assert!(matches!(decision.action, Action::Activate { .. }));
    }
}
