//! What speaks against deploying to a host, told before anything of it is changed. Pure: what is asked of whom is the runner's.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::goal::Goal;
use crate::fleet::Host;
use crate::remote::{Activator, Facts, Platform, Space};

/// Something that speaks against a host and that the user may overrule.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum Doubt {
    /// It calls itself otherwise than its configuration does.
    HostName,
    /// It is another machine than the one that was deployed to under its name.
    Machine,
    /// It runs on a battery that is nearly empty.
    Battery,
    /// A file system seems to have too little space.
    Space,
    /// Its keys do not open secrets that its system decrypts.
    Secrets,
}

/// Why a host is not deployed to, and what helps.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Objection {
    /// What the user may overrule; none for what nobody can.
    pub doubt: Option<Doubt>,
    /// Why.
    pub message: String,
    /// What helps.
    pub hint: String,
}

/// A host as its checks see it.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// The host.
    pub host: &'a Host,
    /// What it says of itself.
    pub facts: &'a Facts,
    /// How it runs its systems.
    pub platform: Platform,
    /// What is to be reached.
    pub goal: Goal,
    /// Whether the system for it comes from the flake, which says what kind of host it is.
    pub from_flake: bool,
    /// The specialisation that is to run, if one is.
    pub specialisation: Option<&'a str>,
    /// The name that its configuration gives it, where one is known.
    pub name: Option<&'a str>,
    /// The machine that was deployed to under its name before, where one was.
    pub machine: Option<&'a KnownMachine>,
}

/// A machine that was deployed to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KnownMachine {
    /// Its `/etc/machine-id`.
    pub id: String,
    /// When it was deployed to first under this id.
    pub since: Timestamp,
}

/// Something that may be held against a host.
type Check = fn(&Look<'_>) -> Option<Objection>;

/// Every check that needs no more than what the host says of itself, in the order in which they are made.
const CHECKS: &[Check] = &[other_platform, unable, other_name, other_machine, no_nix, busy, low_battery];

/// The first thing that speaks against deploying to a host, going by what it says of itself, and that is not `overruled`.
pub fn objection(look: &Look<'_>, overruled: impl Fn(Doubt) -> bool) -> Option<Objection> {
    let objections = CHECKS.iter().filter_map(|check| check(look));
    objections.into_iter().find(|objection| objection.doubt.is_none_or(|doubt| !overruled(doubt)))
}

impl Doubt {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::HostName, Self::Machine, Self::Battery, Self::Space, Self::Secrets];

    /// The word by which the command line overrules it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HostName => "host-name",
            Self::Machine => "machine",
            Self::Battery => "battery",
            Self::Space => "space",
            Self::Secrets => "secrets",
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Objection {
    /// One that the user may overrule, which the hint says.
    pub(super) fn doubt(doubt: Doubt, message: String, hint: &str) -> Self {
        Self { doubt: Some(doubt), message, hint: format!("{hint}; `--despite {doubt}` deploys all the same") }
    }

    fn fact(message: String, hint: &str) -> Self {
        Self { doubt: None, message, hint: hint.to_owned() }
    }
}

fn other_platform(look: &Look<'_>) -> Option<Objection> {
    let (expected, found) = (look.host.kind.platform(), look.platform);
    (look.from_flake && expected != found).then(|| {
        let system = look.facts.system.as_deref().unwrap_or("an unknown system");
        let (name, expected) = (&look.host.name, expected.as_str());
        let message = format!("the configuration of {name} is for {expected}, and {} runs {system}", look.host.target);
        Objection::fact(message, "is the address somebody else's? `target` in hub.toml says where the host is")
    })
}

/// What hosts of this platform cannot do.
fn unable(look: &Look<'_>) -> Option<Objection> {
    let what = match look.goal {
        _ if look.platform.boots() => return None,
        _ if look.specialisation.is_some() => "has no specialisations",
        Goal::Boot => "knows no system that only the next boot brings",
        Goal::Test => "knows no system that only lasts until the next boot",
        Goal::DryActivate => "does not tell beforehand what an activation would do",
        // A reboot is declined before anything is decided.
        Goal::Build | Goal::Switch | Goal::Reboot => return None,
    };
    let hint = if look.specialisation.is_some() {
        "leave out `specialisation` for it, or --specialisation"
    } else {
        "deploy it with `--goal switch`, which can be taken back; `hubctl diff` shows what would change"
    };
    let name = &look.host.name;
    Some(Objection::fact(format!("{name} is run by {}, which {what}", look.platform.as_str()), hint))
}

fn other_name(look: &Look<'_>) -> Option<Objection> {
    let (expected, found) = (look.name?, look.facts.hostname.as_deref()?);
    (expected != found).then(|| {
        let message = format!("{} answers as `{found}`, but its configuration is for `{expected}`", look.host.target);
        let hint = "is the address somebody else's by now? set `target` in hub.toml. A host that is to be renamed keeps its old \
                    name until then";
        Objection::doubt(Doubt::HostName, message, hint)
    })
}

fn other_machine(look: &Look<'_>) -> Option<Objection> {
    let (known, found) = (look.machine?, look.facts.machine_id.as_deref()?);
    (known.id != found).then(|| {
        let since = known.since.strftime("%Y-%m-%d");
        // The ids themselves are nobody's business: machine-id(5).
        let message = format!(
            "another machine answers as {} than the one that is deployed to since {since}: it has another machine id",
            look.host.name
        );
        let hint = "does somebody else answer at this address? Or was it replaced or installed anew?";
        Objection::doubt(Doubt::Machine, message, hint)
    })
}

fn no_nix(look: &Look<'_>) -> Option<Objection> {
    look.facts.nix.is_none().then(|| {
        let message = format!("{} has no Nix that an ssh command can run", look.host.name);
        let hint =
            "install Nix there, so that `ssh HOST command -v nix-daemon` finds it: on PATH of non-interactive shells";
        Objection::fact(message, hint)
    })
}

fn busy(look: &Look<'_>) -> Option<Objection> {
    let name = &look.host.name;
    let message = match look.facts.activating? {
        Activator::Hubctl => {
            format!(
                "an activation that hubctl began earlier goes on on {name}, longer than `activation-timeout` allows"
            )
        }
        Activator::Other => format!("another activation is under way on {name}"),
    };
    let hint = format!("`{}` there shows it; run the command again after it", look.platform.shows_activation());
    Some(Objection::fact(message, &hint))
}

fn low_battery(look: &Look<'_>) -> Option<Objection> {
    let (least, percent) = (look.host.policy.min_battery, look.facts.battery?);
    (look.goal.changes_host() && percent < least).then(|| {
        let message = format!(
            "{} runs on battery with {percent} % left, and {least} % are wanted for a deployment",
            look.host.name
        );
        Objection::doubt(Doubt::Battery, message, "plug it in, or set `min-battery` for it in hub.toml")
    })
}

/// Why `bytes` more do not fit into a file system of a host; none where they do. A tenth more is wanted, for what the file system
/// itself needs.
pub fn too_full(host: &Host, place: &str, bytes: u64, space: Space, hint: &str) -> Option<Objection> {
    const MIB: u64 = 1024 * 1024;
    let needed = bytes.saturating_add(bytes / 10);
    (needed > space.free).then(|| {
        // Rounded so that the two never look equal.
        let (needed, free) = (needed.div_ceil(MIB), space.free / MIB);
        let message = format!("{place} of {} is too full: {needed} MiB are needed, {free} MiB are free", host.name);
        Objection::doubt(Doubt::Space, message, hint)
    })
}

/// By how many seconds a clock may be off before that is worth a word: certificates, tokens and timers go by it.
const SKEW: i64 = 60;

/// By how many seconds a host's clock is ahead of ours, where that is worth a word. The host told its time at some moment
/// between `asked` and `answered`; all three in seconds since 1970.
pub fn clock_skew(asked: i64, answered: i64, told: i64) -> Option<i64> {
    let skew = (told - asked).min(0) + (told - answered).max(0);
    (skew.abs() > SKEW).then_some(skew)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::fleet::config::HubToml;
    use crate::fleet::{FlakeHosts, Inventory};

    fn host(hub: &str) -> Host {
        let hub = HubToml::parse(hub, Path::new("hub.toml")).unwrap();
        let flake = FlakeHosts { nixos: vec!["razer".to_owned()], ..FlakeHosts::default() };
        let (inventory, _) = Inventory::new(Some(&hub), &flake).unwrap();
        inventory.iter().next().unwrap().clone()
    }

    fn sound() -> Facts {
        let text = |text: &str| Some(text.to_owned());
        Facts {
            hostname: text("razer"),
            machine_id: text("0a"),
            nix: text("/bin/nix-daemon"),
            battery: Some(50),
            ..Facts::default()
        }
    }

    fn look<'a>(host: &'a Host, facts: &'a Facts, machine: Option<&'a KnownMachine>) -> Look<'a> {
        let (platform, goal, name) = (Platform::Nixos, Goal::Switch, Some("razer"));
        Look { host, facts, platform, goal, from_flake: true, specialisation: None, name, machine }
    }

    fn objections(hub: &str, facts: &Facts, overruled: &[Doubt]) -> Option<(Option<Doubt>, String)> {
        let (host, machine) = (host(hub), KnownMachine { id: "0a".to_owned(), since: Timestamp::UNIX_EPOCH });
        let look = look(&host, facts, Some(&machine));
        objection(&look, |doubt| overruled.contains(&doubt))
            .map(|found| (found.doubt, found.message + " " + &found.hint))
    }

    #[test]
    fn each_check_objects_and_is_overruled_where_it_may_be() {
        assert_eq!(objections("", &sound(), &[]), None);
        let busy = Facts { activating: Some(Activator::Other), ..sound() };
        let table = [
            (Facts { hostname: Some("p620".to_owned()), ..sound() }, Some(Doubt::HostName), "answers as `p620`"),
            (Facts { machine_id: Some("0b".to_owned()), ..sound() }, Some(Doubt::Machine), "since 1970-01-01"),
            (Facts { battery: Some(19), ..sound() }, Some(Doubt::Battery), "19 % left, and 20 % are wanted"),
            (Facts { nix: None, ..sound() }, None, "no Nix"),
            (busy, None, "another activation"),
        ];
        for (facts, doubt, text) in table {
            let (found, message) = objections("", &facts, &[]).unwrap();
            assert!(found == doubt && message.contains(text), "{message}");
            assert_eq!(doubt.is_some(), message.contains("--despite"), "{message}");
            assert_eq!(objections("", &facts, &Doubt::ALL).is_none(), doubt.is_some(), "{message}");
        }
    }

    #[test]
    fn what_is_overruled_hides_nothing_else() {
        let facts = Facts { hostname: None, machine_id: Some("0b".to_owned()), battery: Some(1), ..sound() };
        assert_eq!(objections("", &facts, &[Doubt::Machine]).unwrap().0, Some(Doubt::Battery));
    }

    #[test]
    fn what_a_host_does_not_know_is_not_held_against_it() {
        let facts = Facts { hostname: None, machine_id: None, battery: None, ..sound() };
        assert_eq!(objections("", &facts, &[]), None);
        let nearly_empty = Facts { battery: Some(1), ..sound() };
        assert_eq!(objections("[hosts.razer]\nmin-battery = 0", &nearly_empty, &[]), None);
    }

    #[test]
    fn what_only_boots_its_systems_can_is_told_to_others() {
        let (host, facts) = (host("hosts.razer.kind = 'nixos'"), sound());
        let asked = |platform, goal, from_flake, specialisation| {
            let look = Look { platform, goal, from_flake, specialisation, ..look(&host, &facts, None) };
            objection(&look, |_| true).map(|found| found.message).unwrap_or_default()
        };
        let darwin = |goal, specialisation| asked(Platform::Darwin, goal, false, specialisation);
        assert_eq!(darwin(Goal::Switch, None), "");
        assert_eq!(darwin(Goal::Build, None), "");
        assert!(darwin(Goal::Boot, None).ends_with("which knows no system that only the next boot brings"));
        assert!(darwin(Goal::Test, None).contains("only lasts until"));
        assert!(darwin(Goal::DryActivate, None).contains("does not tell beforehand"));
        assert!(darwin(Goal::Switch, Some("gaming")).ends_with("has no specialisations"));
        assert_eq!(asked(Platform::Nixos, Goal::Test, true, Some("gaming")), "");
        assert!(asked(Platform::Darwin, Goal::Switch, true, None).contains("is for NixOS, and razer runs"));
    }

    #[test]
    fn what_just_fits_is_too_much() {
        let space = |free| Space { total: 1 << 40, free };
        let mib = 1024 * 1024;
        assert_eq!(too_full(&host(""), "/boot", 10 * mib, space(11 * mib), "x"), None);
        let objection = too_full(&host(""), "/boot", 10 * mib, space(11 * mib - 1), "x").unwrap();
        assert_eq!(objection.message, "/boot of razer is too full: 11 MiB are needed, 10 MiB are free");
        assert!(too_full(&host(""), "/boot", u64::MAX, space(5), "x").is_some());
    }

    #[test]
    fn a_clock_is_off_by_what_the_round_trip_does_not_explain() {
        assert_eq!(clock_skew(1000, 1003, 1001), None);
        assert_eq!(clock_skew(1000, 1003, 940), None);
        assert_eq!(clock_skew(1000, 1003, 939), Some(-61));
        assert_eq!(clock_skew(1000, 1003, 1063), None);
        assert_eq!(clock_skew(1000, 1003, 1064), Some(61));
    }
}
