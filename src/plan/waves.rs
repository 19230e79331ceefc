//! In which waves the hosts of a run are deployed: a wave begins when all earlier ones have ended well enough.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::fleet::{BuildOn, Host, HostName, WavePolicy, all_before};

/// The waves of a run, in order. Each host of the run is in one of them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Waves {
    /// The waves; none is empty.
    pub waves: Vec<Wave>,
    /// What may end the run before the last of them.
    pub policy: WavePolicy,
}

/// Hosts that are deployed side by side.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wave {
    /// The hosts, in the order of the selection.
    pub hosts: Vec<HostName>,
    /// Why just these.
    pub reason: WaveReason,
}

/// Why hosts are in a wave.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WaveReason {
    /// All are, of those that need no wave of their own.
    All,
    /// They try the change out.
    Canary,
    /// As many as a batch takes.
    Batch,
    /// They have this tag, which `order` names.
    Tag(String),
    /// They are `after` these hosts.
    After(Vec<HostName>),
    /// A host that is deployed alone.
    Alone(Alone),
    /// They are left of the wave of this number of a deployment that is resumed.
    Left(u64),
}

/// Why a host is deployed alone, after all that do not wait for it. The later of two goes last.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Alone {
    /// `alone = true`.
    Set,
    /// Hosts fetch from it.
    Cache,
    /// It builds for other hosts of the run.
    Builder,
    /// Other hosts of the run are reached through it.
    JumpHost,
    /// The run is carried out from it.
    ThisMachine,
}

/// What is known of the fleet beside what its hosts' own settings say.
#[derive(Clone, Debug, Default)]
pub struct Roles {
    /// This machine, where it is one of the hosts.
    pub this_machine: Option<HostName>,
    /// The hosts that serve the hub's cache.
    pub caches: BTreeSet<HostName>,
    /// The hosts through which others are reached, each with those.
    pub jump_hosts: BTreeMap<HostName, BTreeSet<HostName>>,
}

/// A host as the waves see it.
struct Member<'a> {
    host: &'a HostName,
    /// Hosts of the run that must have ended before.
    after: BTreeSet<&'a HostName>,
    /// The place of its first tag in the order; past the last for none.
    rank: usize,
    alone: Option<Alone>,
}

impl Waves {
    /// All of `hosts` at once.
    pub fn at_once(hosts: &[Host]) -> Self {
        let hosts: Vec<_> = hosts.iter().map(|host| host.name.clone()).collect();
        let waves = if hosts.is_empty() { Vec::new() } else { vec![Wave { hosts, reason: WaveReason::All }] };
        Self { waves, policy: WavePolicy::default() }
    }

    /// The waves of `hosts`, which are of `fleet`, as `policy` wants them.
    pub fn of(hosts: &[Host], fleet: &BTreeMap<HostName, Host>, roles: &Roles, policy: &WavePolicy) -> Self {
        let before = all_before(fleet);
        let selected: BTreeSet<&HostName> = hosts.iter().map(|host| &host.name).collect();
        let member = |host: &'_ Host| {
            let after = before.get(&host.name).into_iter().flatten();
            let after = after.filter_map(|other| selected.get(other).copied()).filter(|other| **other != host.name);
            let rank = policy.order.iter().position(|tag| host.tags.contains(tag)).unwrap_or(policy.order.len());
            (after.collect(), rank, alone(host, hosts, roles))
        };
        let members = hosts.iter().map(|host| {
            let (after, rank, alone) = member(host);
            Member { host: &host.name, after, rank, alone }
        });
        Self { waves: share_out(members.collect(), policy), policy: policy.clone() }
    }

    /// What is left of the waves of an earlier run: hosts, each with the number of its wave then, from 1 on.
    pub fn left(hosts: impl IntoIterator<Item = (HostName, u64)>, policy: WavePolicy) -> Self {
        let mut by_wave: BTreeMap<u64, Vec<HostName>> = BTreeMap::new();
        for (host, wave) in hosts {
            by_wave.entry(wave).or_default().push(host);
        }
        let waves = by_wave.into_iter().map(|(wave, hosts)| Wave { hosts, reason: WaveReason::Left(wave) });
        Self { waves: waves.collect(), policy }
    }

    /// Whether there is anything to wait for.
    pub fn is_single(&self) -> bool {
        self.waves.len() < 2
    }

    /// The number of the wave that `host` is in, from 0 on.
    pub fn wave_of(&self, host: &HostName) -> Option<usize> {
        self.waves.iter().position(|wave| wave.hosts.contains(host))
    }

    /// Whether the hosts of this wave are left to show themselves before the next one begins.
    pub fn soaks(&self, wave: usize) -> bool {
        !self.policy.soak.is_zero() && wave + 1 < self.waves.len()
    }
}

/// Why `host` is deployed alone in a run of `hosts`, if it is.
fn alone(host: &Host, hosts: &[Host], roles: &Roles) -> Option<Alone> {
    let name = &host.name;
    let builds = |other: &Host| matches!(&other.build_on, BuildOn::Host(builder) if builder == name);
    let leads_to =
        |others: &BTreeSet<HostName>| hosts.iter().any(|other| other.name != *name && others.contains(&other.name));
    let reasons = [
        (roles.this_machine.as_ref() == Some(name), Alone::ThisMachine),
        (roles.jump_hosts.get(name).is_some_and(leads_to), Alone::JumpHost),
        (hosts.iter().any(builds), Alone::Builder),
        (roles.caches.contains(name), Alone::Cache),
        (host.alone, Alone::Set),
    ];
    reasons.into_iter().find(|(is_so, _)| *is_so).map(|(_, why)| why)
}

fn share_out(mut left: Vec<Member<'_>>, policy: &WavePolicy) -> Vec<Wave> {
    let all = left.len();
    let batch = policy.batch.map_or(all, |batch| batch.of(all));
    let mut waves: Vec<Wave> = Vec::new();
    let mut is_first = true;
    while !left.is_empty() {
        let chosen = choose(&left, if is_first && policy.canary > 0 { policy.canary } else { batch });
        let (taken, rest): (Vec<_>, Vec<_>) = left.into_iter().partition(|member| chosen.contains(member.host));
        let is_canary = is_first && policy.canary > 0 && taken.iter().all(|member| member.alone.is_none());
        let reason = if is_canary { WaveReason::Canary } else { reason(&taken, &rest, &waves, policy) };
        is_first &= taken.iter().any(|member| member.alone.is_some());
        left = rest;
        waves.push(Wave { hosts: taken.iter().map(|member| member.host.clone()).collect(), reason });
    }
    waves
}

/// The hosts of the next wave, at most `most` of them.
fn choose(left: &[Member<'_>], most: usize) -> BTreeSet<HostName> {
    let waits = |member: &Member<'_>| left.iter().any(|other| member.after.contains(other.host));
    let mut ready: Vec<&Member<'_>> = left.iter().filter(|member| !waits(member)).collect();
    if ready.is_empty() {
        // Hosts that wait for each other, which `hub.toml` is refused for: one of them has to be the first.
        ready.extend(left.first());
    }
    let together: Vec<_> = ready.iter().filter(|member| member.alone.is_none()).collect();
    if let Some(rank) = together.iter().map(|member| member.rank).min() {
        let of_rank = together.into_iter().filter(|member| member.rank == rank);
        return of_rank.take(most).map(|member| member.host.clone()).collect();
    }
    // What others wait for cannot be last.
    let waited_for = |member: &Member<'_>| left.iter().any(|other| other.after.contains(member.host));
    let first = ready.into_iter().min_by_key(|member| (!waited_for(member), member.alone, member.rank));
    first.map(|member| member.host.clone()).into_iter().collect()
}

/// Why `taken` is a wave, of which `rest` and what is in `before` are not.
fn reason(taken: &[Member<'_>], rest: &[Member<'_>], before: &[Wave], policy: &WavePolicy) -> WaveReason {
    if let Some(alone) = taken.iter().find_map(|member| member.alone) {
        return WaveReason::Alone(alone);
    }
    let last = before.last();
    let awaited: BTreeSet<_> = taken
        .iter()
        .flat_map(|member| &member.after)
        .filter(|other| last.is_some_and(|last| last.hosts.contains(other)))
        .collect();
    let all_awaited =
        !awaited.is_empty() && taken.iter().all(|member| member.after.iter().any(|other| awaited.contains(other)));
    let ranks: BTreeSet<_> = taken.iter().chain(rest).map(|member| member.rank).collect();
    let tag = taken.first().and_then(|member| policy.order.get(member.rank));
    match tag {
        _ if all_awaited => WaveReason::After(awaited.into_iter().map(|host| (*host).clone()).collect()),
        Some(tag) if ranks.len() > 1 || !before.is_empty() => WaveReason::Tag(tag.clone()),
        _ if policy.batch.is_some() => WaveReason::Batch,
        _ => WaveReason::All,
    }
}

impl Alone {
    /// What the host is, for a person.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Set => "alone, as hub.toml says",
            Self::Cache => "alone, since others fetch from it",
            Self::Builder => "alone, since it builds for others",
            Self::JumpHost => "alone, since others are reached through it",
            Self::ThisMachine => "alone and last, since hubctl runs on it",
        }
    }
}

impl fmt::Display for WaveReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all that need not wait"),
            Self::Canary => f.write_str("canary"),
            Self::Batch => f.write_str("batch"),
            Self::Tag(tag) => write!(f, "@{tag}"),
            Self::After(hosts) => {
                let hosts: Vec<_> = hosts.iter().map(HostName::as_str).collect();
                write!(f, "after {}", hosts.join(", "))
            }
            Self::Alone(why) => f.write_str(why.as_str()),
            Self::Left(wave) => write!(f, "left of wave {wave}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::fleet::config::HubToml;
    use crate::fleet::{Batch, FlakeHosts, Inventory};

    fn name(text: &str) -> HostName {
        text.parse().unwrap()
    }

    fn fleet(names: &[&str], hub: &str) -> BTreeMap<HostName, Host> {
        let hub = HubToml::parse(hub, Path::new("hub.toml")).unwrap();
        let flake =
            FlakeHosts { nixos: names.iter().map(|name| (*name).to_owned()).collect(), ..FlakeHosts::default() };
        let (inventory, _) = Inventory::new(Some(&hub), &flake).unwrap();
        inventory.iter().map(|host| (host.name.clone(), host.clone())).collect()
    }

    /// The waves as lines of hosts and the reason.
    fn shown(waves: &Waves) -> Vec<String> {
        let line = |wave: &Wave| {
            let hosts: Vec<_> = wave.hosts.iter().map(HostName::as_str).collect();
            format!("{}: {}", hosts.join(" "), wave.reason)
        };
        waves.waves.iter().map(line).collect()
    }

    const FLEET: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

    fn waves(hub: &str, roles: &Roles) -> Vec<String> {
        let settings = HubToml::parse(hub, Path::new("hub.toml")).unwrap();
        let fleet = fleet(&FLEET, hub);
        let hosts: Vec<_> = fleet.values().cloned().collect();
        shown(&Waves::of(&hosts, &fleet, roles, &settings.deploy().waves))
    }

    fn plain(hub: &str) -> Vec<String> {
        waves(hub, &Roles::default())
    }

    #[test]
    fn nothing_said_is_one_wave() {
        assert_eq!(plain(""), ["a b c d e f: all that need not wait"]);
        assert_eq!(plain("[deploy]\nsoak = '5m'\nmax-failures = 3").len(), 1);
    }

    #[test]
    fn what_is_left_keeps_its_order() {
        let left = [("e", 3), ("b", 2), ("f", 3)].map(|(host, wave)| (name(host), wave));
        let waves = Waves::left(left, WavePolicy::default());
        assert_eq!(shown(&waves), ["b: left of wave 2", "e f: left of wave 3"]);
    }

    #[test]
    fn canaries_go_first_and_batches_follow() {
        assert_eq!(plain("[deploy]\ncanary = 1"), ["a: canary", "b c d e f: all that need not wait"]);
        assert_eq!(plain("[deploy]\nbatch = 4"), ["a b c d: batch", "e f: batch"]);
        assert_eq!(plain("[deploy]\ncanary = 1\nbatch = '50%'"), ["a: canary", "b c d: batch", "e f: batch"]);
        assert_eq!(plain("[deploy]\ncanary = 99"), ["a b c d e f: canary"]);
    }

    #[test]
    fn tags_are_gone_through_in_their_order_and_never_mixed() {
        let tags = "[hosts.e]\ntags = ['edge']\n[hosts.b]\ntags = ['edge', 'db']\n[hosts.f]\ntags = ['db']\n";
        assert_eq!(
            plain(&format!("{tags}[deploy]\norder = ['edge', 'db']")),
            ["b e: @edge", "f: @db", "a c d: all that need not wait"]
        );
        assert_eq!(
            plain(&format!("{tags}[deploy]\norder = ['db']\ncanary = 1\nbatch = 3")),
            ["b: canary", "f: @db", "a c d: batch", "e: batch"]
        );
    }

    #[test]
    fn a_host_is_after_those_that_it_waits_for_also_by_way_of_others() {
        let after = "[hosts.a]\nafter = ['b']\n[hosts.b]\nafter = ['f']\n";
        assert_eq!(plain(after), ["c d e f: all that need not wait", "b: after f", "a: after b"]);
        let fleet = fleet(&FLEET, after);
        let some: Vec<_> = ["a", "f"].map(|host| fleet[&name(host)].clone()).to_vec();
        let waves = Waves::of(&some, &fleet, &Roles::default(), &WavePolicy::default());
        assert_eq!(shown(&waves), ["f: all that need not wait", "a: after f"]);
    }

    #[test]
    fn waiting_goes_before_tags_and_batches() {
        let hub = "[hosts.a]\nafter = ['f']\ntags = ['x']\n[deploy]\norder = ['x']\nbatch = 2";
        assert_eq!(plain(hub), ["b c: batch", "d e: batch", "f: batch", "a: after f"]);
    }

    #[test]
    fn hosts_that_others_need_go_alone_and_last() {
        let roles = Roles {
            this_machine: Some(name("a")),
            caches: [name("b")].into(),
            jump_hosts: [(name("c"), [name("e")].into()), (name("f"), [name("z")].into())].into(),
        };
        assert_eq!(
            waves("[hosts.d]\nalone = true", &roles),
            [
                "e f: all that need not wait",
                "d: alone, as hub.toml says",
                "b: alone, since others fetch from it",
                "c: alone, since others are reached through it",
                "a: alone and last, since hubctl runs on it",
            ]
        );
        assert_eq!(plain("[hosts.a]\nbuild-on = 'b'")[1], "b: alone, since it builds for others");
        assert_eq!(
            plain("[defaults]\nbuild-on = 'b'"),
            ["a c d e f: all that need not wait", "b: alone, since it builds for others"]
        );
    }

    #[test]
    fn a_host_alone_that_others_wait_for_is_not_last() {
        assert_eq!(
            plain("[deploy]\ncanary = 1\n[defaults]\nafter = ['f']\n[hosts.f]\nalone = true\n[hosts.e]\nafter = []"),
            ["e: canary", "f: alone, as hub.toml says", "a b c d: after f"]
        );
    }

    proptest! {
        #[test]
        fn every_host_is_in_one_wave_after_those_that_it_waits_for(
            after in proptest::collection::vec(proptest::collection::vec(0_usize..20, 0..3), 1..20),
            alone in proptest::collection::vec(any::<bool>(), 20),
            tags in proptest::collection::vec(0_u8..3, 20),
            canary in 0_usize..4,
            batch in proptest::option::of(1_u8..=100),
        ) {
            let names: Vec<String> = (0..after.len()).map(|n| format!("h{n:02}")).collect();
            let table = |(n, after): (usize, &Vec<usize>)| {
                // Hosts wait for earlier ones only, so that there is no circle.
                let after: Vec<_> = after.iter().filter(|other| **other < n).map(|other| format!("'h{other:02}'")).collect();
                format!("[hosts.h{n:02}]\nalone = {}\ntags = ['t{}']\nafter = [{}]\n", alone[n], tags[n], after.join(", "))
            };
            let hub: String = after.iter().enumerate().map(table).collect();
            let fleet = fleet(&names.iter().map(String::as_str).collect::<Vec<_>>(), &hub);
            let hosts: Vec<_> = fleet.values().cloned().collect();
            let order = vec!["t1".to_owned()];
            let policy = WavePolicy { canary, batch: batch.map(Batch::Percent), order, ..WavePolicy::default() };
            let waves = Waves::of(&hosts, &fleet, &Roles::default(), &policy);
            let all: Vec<_> = waves.waves.iter().flat_map(|wave| wave.hosts.clone()).collect();
            prop_assert_eq!(all.len(), hosts.len());
            prop_assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), hosts.len());
            for host in &hosts {
                let own = waves.wave_of(&host.name).unwrap();
                for other in &host.after {
                    prop_assert!(waves.wave_of(other).unwrap() < own);
                }
                if host.alone {
                    prop_assert_eq!(waves.waves[own].hosts.len(), 1);
                }
            }
            let most = policy.batch.map_or(hosts.len(), |batch| batch.of(hosts.len())).max(canary);
            prop_assert!(waves.waves.iter().all(|wave| (1..=most).contains(&wave.hosts.len())));
        }
    }
}
