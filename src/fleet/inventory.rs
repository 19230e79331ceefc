//! The hosts of the fleet, as `hub.toml` and the flake describe them together.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::Spanned;

use crate::error::nearest;
use crate::remote::Elevate;

use super::config::{ConfigErrors, HostSettings, HubToml, Problem};
use super::note::InventoryNote;
use super::{BuildOn, Host, HostName, Kind, SelectError, Selection};

/// The names of the hosts that the flake has, by output.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FlakeHosts {
    /// The attributes of `nixosConfigurations`.
    pub nixos: Vec<String>,
    /// The attributes of `darwinConfigurations`.
    pub darwin: Vec<String>,
    /// The attributes of `homeConfigurations`.
    pub homes: Vec<String>,
}

impl FlakeHosts {
    /// Hosts of which nothing but the names is known.
    pub fn of_names(names: Vec<String>) -> Self {
        let (homes, nixos) = names.into_iter().partition(|name| name.contains('@'));
        Self { nixos, darwin: Vec::new(), homes }
    }
}

/// All hosts, by name.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    hosts: BTreeMap<HostName, Host>,
    not_in_flake: BTreeSet<HostName>,
}

impl Inventory {
    /// The hosts of the flake and of `hub`, and what is odd about them. An error is a `hub.toml` that the flake
    /// contradicts.
    pub fn new(hub: Option<&HubToml>, flake: &FlakeHosts) -> Result<(Self, Vec<InventoryNote>), ConfigErrors> {
        let mut notes = Vec::new();
        let outputs = outputs(flake, hub, &mut notes);
        let mut inventory = Self::default();
        let deploy = hub.map(|hub| hub.deploy().clone()).unwrap_or_default();
        let mut wrong_kinds = WrongKinds::default();
        let names: BTreeSet<&HostName> = outputs.keys().chain(hub.into_iter().flat_map(listed)).collect();
        for name in names {
            let settings = hub.map(|hub| hub.settings_of(name)).unwrap_or_default();
            let said = settings.kind().map(|kind| *kind.get_ref());
            let kind = match outputs.get(name) {
                Some(Outputs::One(kind)) => *kind,
                Some(Outputs::Both) if said.is_none() => {
                    notes.push(InventoryNote::InBothOutputs { host: name.clone(), taken: Kind::default() });
                    Kind::default()
                }
                Some(Outputs::Both) => said.unwrap_or_default(),
                None => said.unwrap_or_else(|| likely_kind(name)),
            };
            if let Some(place) = settings.kind().filter(|said| *said.get_ref() != kind) {
                wrong_kinds.add(place, kind, name);
            }
            if !outputs.contains_key(name) {
                inventory.not_in_flake.insert(name.clone());
            }
            inventory.hosts.insert(name.clone(), settings.into_host(name.clone(), kind, &deploy));
        }
        inventory.place_homes(hub);
        let Some(hub) = hub else { return Ok((inventory, notes)) };
        let mut found = wrong_kinds.problems();
        found.extend(inventory.unknown_builders(hub));
        found.extend(super::after::problems(&inventory.hosts, hub));
        if !found.is_empty() {
            return Err(hub.errors(found));
        }
        notes.extend(inventory.disagreements(hub));
        Ok((inventory, notes))
    }

    /// The hosts that `hub` lists, for commands that do not ask the flake.
    pub fn from_file_only(hub: &HubToml) -> Self {
        let host = |name: &HostName| {
            let settings = hub.settings_of(name);
            let kind = settings.kind().map_or_else(|| likely_kind(name), |kind| *kind.get_ref());
            (name.clone(), settings.into_host(name.clone(), kind, hub.deploy()))
        };
        let mut inventory = Self { hosts: listed(hub).map(host).collect(), not_in_flake: BTreeSet::new() };
        inventory.place_homes(Some(hub));
        inventory
    }

    /// Says where each home is, and to whom it belongs, as far as its name tells that and `hub` does not. Its host may be one of the
    /// fleet. One that `hub` does not list is left out of everything that does not name it.
    fn place_homes(&mut self, hub: Option<&HubToml>) {
        let of_file = |name: &HostName| hub.filter(|hub| hub.has_host(name)).map(|hub| hub.settings_of(name));
        let homes: Vec<_> = self.iter().filter(|host| host.kind == Kind::Home).map(|home| home.name.clone()).collect();
        for name in homes {
            let settings = of_file(&name);
            let said = settings.as_ref().is_some_and(HostSettings::has_target);
            let place =
                name.home().filter(|_| !said).and_then(|(_, host)| self.hosts.get(&host.parse().ok()?)).cloned();
            let Some(home) = self.hosts.get_mut(&name) else { continue };
            home.elevate = Elevate::None;
            home.archived |= settings.is_none();
            let Some((user, host)) = name.home() else { continue };
            home.user = home.user.take().or_else(|| Some(user.to_owned()));
            if !said {
                home.target = place.as_ref().map_or_else(|| host.to_owned(), |place| place.target.clone());
                home.port = home.port.or_else(|| place.and_then(|place| place.port));
            }
        }
    }

    /// The host of this name, archived or not.
    pub fn get(&self, name: &HostName) -> Option<&Host> {
        self.hosts.get(name)
    }

    /// All hosts in the order of their names, archived ones too.
    pub fn iter(&self) -> impl Iterator<Item = &Host> {
        self.hosts.values()
    }

    /// The hosts that are not archived.
    pub fn active(&self) -> impl Iterator<Item = &Host> {
        self.iter().filter(|host| !host.archived)
    }

    /// All names, of archived hosts too.
    pub fn names(&self) -> impl Iterator<Item = &HostName> {
        self.hosts.keys()
    }

    /// Every tag that a host has.
    pub fn tags(&self) -> BTreeSet<&str> {
        self.iter().flat_map(|host| &host.tags).map(String::as_str).collect()
    }

    /// Every role that a host has.
    pub fn roles(&self) -> BTreeSet<&str> {
        self.iter().filter_map(|host| host.role.as_deref()).collect()
    }

    /// Whether the flake is known not to have this host, so that there is nothing to evaluate for it.
    pub fn is_missing_from_flake(&self, name: &HostName) -> bool {
        self.not_in_flake.contains(name)
    }

    /// The hosts of `selection` in the order of their names, each once.
    pub fn select(&self, selection: &Selection) -> Result<Vec<&Host>, SelectError> {
        selection.of(self)
    }

    /// The places of `hub` that name a builder which is no host.
    fn unknown_builders(&self, hub: &HubToml) -> Vec<(Range<usize>, Problem)> {
        let unknown = |builder: &HostName| {
            let near = nearest(builder.as_str(), self.names().map(HostName::as_str).chain(["here", "target"]));
            Problem::UnknownBuilder { builder: builder.clone(), nearest: near.map(str::to_owned) }
        };
        let places = hub.all_settings().filter_map(|settings| settings.build_on());
        places
            .filter_map(|place| match place.get_ref() {
                BuildOn::Host(builder) if self.get(builder).is_none() => Some((place.span(), unknown(builder))),
                _ => None,
            })
            .collect()
    }

    /// Hosts that only one of `hub` and the flake has.
    fn disagreements(&self, hub: &HubToml) -> Vec<InventoryNote> {
        let Some(listed) = hub.hosts() else { return Vec::new() };
        let is_home = |name: &HostName| self.get(name).is_some_and(|host| host.kind == Kind::Home);
        let unlisted: Vec<&HostName> = self.names().filter(|name| !hub.has_host(name) && !is_home(name)).collect();
        let active = |name: &HostName| self.get(name).is_some_and(|host| !host.archived);
        let missing = listed.filter(|name| self.is_missing_from_flake(name) && active(name));
        let missing = missing.map(|name| InventoryNote::NotInFlake {
            host: name.clone(),
            file: hub.path().to_owned(),
            line: hub.line_of(name).unwrap_or(1),
            nearest: nearest(name.as_str(), unlisted.iter().map(|name| name.as_str())).map(str::to_owned),
        });
        let hosts: Vec<_> = unlisted.iter().map(|name| (*name).clone()).collect();
        let not_in_file = (!hosts.is_empty()).then_some(InventoryNote::NotInFile { hosts });
        missing.chain(not_in_file).collect()
    }
}

/// Where in the flake a host stands.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Outputs {
    One(Kind),
    Both,
}

fn listed(hub: &HubToml) -> impl Iterator<Item = &HostName> {
    hub.hosts().into_iter().flatten()
}

/// The kind of a host of which nothing is known but its name.
fn likely_kind(name: &HostName) -> Kind {
    if name.home().is_some() { Kind::Home } else { Kind::default() }
}

fn outputs(flake: &FlakeHosts, hub: Option<&HubToml>, notes: &mut Vec<InventoryNote>) -> BTreeMap<HostName, Outputs> {
    let mut outputs = BTreeMap::new();
    let nixos = flake.nixos.iter().map(|name| (name, Kind::Nixos));
    let darwin = flake.darwin.iter().map(|name| (name, Kind::Darwin));
    for (name, kind) in nixos.chain(darwin) {
        match name.parse::<HostName>() {
            Ok(host) if host.home().is_none() => {
                let here = outputs.entry(host).or_insert(Outputs::One(kind));
                if *here != Outputs::One(kind) {
                    *here = Outputs::Both;
                }
            }
            _ => notes.push(InventoryNote::NoHostName { output: kind, name: name.clone() }),
        }
    }
    let is_said = |host: &HostName| {
        hub.is_some_and(|hub| hub.settings_of(host).kind().is_some_and(|kind| *kind.get_ref() == Kind::Home))
    };
    for name in &flake.homes {
        match name.parse::<HostName>() {
            // One that only names a user is nowhere until the file says where.
            Ok(host) if host.home().is_some() || is_said(&host) => {
                outputs.insert(host, Outputs::One(Kind::Home));
            }
            Ok(_) => {}
            Err(_) => notes.push(InventoryNote::NoHostName { output: Kind::Home, name: name.clone() }),
        }
    }
    outputs
}

/// Kinds that the flake contradicts, gathered by their place: one line of the file can be wrong for many hosts.
#[derive(Default)]
struct WrongKinds(BTreeMap<(usize, usize, Kind, Kind), Vec<HostName>>);

impl WrongKinds {
    fn add(&mut self, said: &Spanned<Kind>, actual: Kind, host: &HostName) {
        let place = said.span();
        self.0.entry((place.start, place.end, *said.get_ref(), actual)).or_default().push(host.clone());
    }

    fn problems(self) -> Vec<(Range<usize>, Problem)> {
        let problem = |((start, end, said, actual), hosts)| (start..end, Problem::WrongKind { said, actual, hosts });
        self.0.into_iter().map(problem).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::fleet::FailedUnits;

    fn hub(text: &str) -> HubToml {
        HubToml::parse(text, Path::new("hub.toml")).unwrap()
    }

    fn flake(nixos: &[&str], darwin: &[&str]) -> FlakeHosts {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        FlakeHosts { nixos: owned(nixos), darwin: owned(darwin), homes: Vec::new() }
    }

    fn host(inventory: &Inventory, name: &str) -> Host {
        inventory.get(&name.parse().unwrap()).unwrap().clone()
    }

    fn told(hub: &HubToml, flake: &FlakeHosts) -> Vec<String> {
        let (_, notes) = Inventory::new(Some(hub), flake).unwrap();
        notes.iter().map(|note| format!("{note} ({})", note.hint())).collect()
    }

    fn refused(text: &str, flake: &FlakeHosts) -> String {
        Inventory::new(Some(&hub(text)), flake).unwrap_err().to_string()
    }

    #[test]
    fn without_a_file_the_flake_is_the_fleet() {
        let (inventory, notes) = Inventory::new(None, &flake(&["p620"], &["mac"])).unwrap();
        assert_eq!(notes, []);
        assert_eq!(host(&inventory, "mac").kind, Kind::Darwin);
        let p620 = host(&inventory, "p620");
        assert_eq!((p620.target.as_str(), p620.user, p620.elevate), ("p620", None, Elevate::None));
    }

    #[test]
    fn a_host_goes_before_its_role_and_its_role_before_the_defaults() {
        let hub = hub("
            [defaults]
            user = 'd'
            port = 1
            elevate = 'sudo'
            tags = ['d']
            role = 'server'
            [roles.server]
            user = 'r'
            port = 2
            tags = ['r']
            [hosts.a]
            user = 'h'
            tags = ['h']
            [hosts.b]
            role = 'label-only'
        ");
        let (inventory, _) = Inventory::new(Some(&hub), &flake(&["a", "b", "c"], &[])).unwrap();
        let a = host(&inventory, "a");
        assert_eq!((a.user.as_deref(), a.port, a.elevate), (Some("h"), Some(2), Elevate::Sudo));
        assert_eq!(a.tags.iter().collect::<Vec<_>>(), ["d", "h", "r"]);
        let b = host(&inventory, "b");
        assert_eq!((b.user.as_deref(), b.port, b.role.as_deref()), (Some("d"), Some(1), Some("label-only")));
        let c = host(&inventory, "c");
        assert_eq!(
            (c.user.as_deref(), c.role.as_deref()),
            (Some("r"), Some("server")),
            "unlisted hosts take the defaults"
        );
        assert_eq!(inventory.tags(), ["d", "h", "r"].into());
        assert_eq!(inventory.roles(), ["label-only", "server"].into());
    }

    #[test]
    fn a_policy_is_that_of_the_nearest_table_that_says_it() {
        let hub = hub("
            deploy = { confirm = '1s', failed-units = 'fail', activation-timeout = '7s' }
            defaults = { confirm = '2s', role = 'server', unit-policy = { 'a.service' = 'rollback', 'b*' = 'rollback' } }
            roles.server = { confirm = '3s', unit-policy = { 'a.service' = 'tolerate' } }
            hosts.a = { confirm = '4s' }
        ");
        let (inventory, _) = Inventory::new(Some(&hub), &flake(&["a", "b"], &[])).unwrap();
        let (a, b) = (host(&inventory, "a").policy, host(&inventory, "b").policy);
        assert_eq!((a.confirm.as_secs(), b.confirm.as_secs(), a.activation_timeout.as_secs()), (4, 3, 7));
        let on_failed = |unit: &str| a.on_failed(&[unit.to_owned()], &[]);
        assert_eq!(on_failed("a.service"), FailedUnits::Tolerate);
        assert_eq!(on_failed("b.service"), FailedUnits::Rollback);
        assert_eq!(on_failed("c.service"), FailedUnits::Fail);
    }

    #[test]
    fn a_builder_that_is_the_host_itself_is_its_target() {
        let hub = hub("defaults.build-on = 'a'");
        let (inventory, _) = Inventory::new(Some(&hub), &flake(&["a", "b"], &[])).unwrap();
        assert_eq!(host(&inventory, "a").build_on, BuildOn::Target);
        assert_eq!(host(&inventory, "b").build_on, BuildOn::Host("a".parse().unwrap()));
    }

    #[test]
    fn a_builder_that_is_no_host_is_an_error_where_it_is_named() {
        let text = "[roles.x]\nbuild-on = 'p62'\n[hosts.a]\nbuild-on = 'only-in-flake'";
        let flake = flake(&["a", "p620", "only-in-flake"], &[]);
        let expected = "hub.toml:2:12: `build-on` names `p62`, which is a host neither of this file nor of the flake";
        assert_eq!(refused(text, &flake), expected);
        let errors = Inventory::new(Some(&hub(text)), &flake).unwrap_err();
        assert!(errors.render(false).ends_with("= hint: did you mean `p620`?"));
    }

    #[test]
    fn a_kind_that_the_flake_contradicts_is_an_error_once_per_place() {
        let flake = flake(&["a", "b", "c", "d", "e"], &["mac"]);
        let expected = "hub.toml:1:17: `kind` is `darwin`, but `a`, `b`, `c` and 2 more stand in the flake's `nixosConfigurations`";
        assert_eq!(refused("defaults.kind = 'darwin'", &flake), expected);
        let expected = "hub.toml:2:8: `kind` is `nixos`, but `mac` stands in the flake's `darwinConfigurations`";
        assert_eq!(refused("[hosts.mac]\nkind = 'nixos'", &flake), expected);
        assert!(Inventory::new(Some(&hub("hosts.mac.kind = 'darwin'")), &flake).is_ok());
    }

    #[test]
    fn what_only_one_of_file_and_flake_has_is_told() {
        let hub = hub("[hosts.p620]\n[hosts.p51]\n[hosts.old]\narchived = true\n[hosts.zzz]\n");
        let flake = flake(&["p620", "p510", "a b"], &[]);
        let expected = [
            "`a b` in `nixosConfigurations` cannot be a host's name and is left out (rename the attribute: letters, digits, `-`, `_` and `.`, with neither `-` nor `.` in front)",
            "hub.toml:2: `p51` is not a host of the flake (the flake has `p510`: is that the one?)",
            "hub.toml:5: `zzz` is not a host of the flake (add it to the flake, take `[hosts.zzz]` out, or set `archived = true` there to keep it for the record)",
            "`p510` is in the flake, but hub.toml does not list it (add `[hosts.p510]`; until then the defaults hold for it)",
        ];
        assert_eq!(told(&hub, &flake), expected);
        let (inventory, _) = Inventory::new(Some(&hub), &flake).unwrap();
        assert!(inventory.is_missing_from_flake(&"zzz".parse().unwrap()));
        assert!(!inventory.is_missing_from_flake(&"p510".parse().unwrap()));
        assert_eq!(inventory.names().map(HostName::as_str).collect::<Vec<_>>(), ["old", "p51", "p510", "p620", "zzz"]);
        assert_eq!(inventory.active().count(), 4);
    }

    #[test]
    fn a_file_without_hosts_leaves_the_list_to_the_flake() {
        assert_eq!(told(&hub("[ssh]"), &flake(&["a"], &[])), Vec::<String>::new());
    }

    #[test]
    fn a_home_is_where_its_name_says_and_asked_for_by_name() {
        let hub = hub("
            defaults = { user = 'root', elevate = 'sudo', tags = ['all'] }
            hosts.p620 = { target = '10.0.0.2', port = 2222 }
            hosts.'bob@p620' = { tags = ['home'] }
            hosts.carl = { kind = 'home', target = 'desk', user = 'carl' }
        ");
        let homes = ["ann@p620", "ann@far", "bob@p620", "carl", "dora", "a b"].map(str::to_owned).to_vec();
        let flake = FlakeHosts { homes, ..flake(&["p620"], &[]) };
        let (inventory, notes) = Inventory::new(Some(&hub), &flake).unwrap();
        assert_eq!(notes.len(), 1, "{notes:?}");
        let reached = |name: &str| {
            let host = host(&inventory, name);
            assert_eq!((host.kind, host.elevate), (Kind::Home, Elevate::None), "{name}");
            format!("{}@{}:{} {}", host.user.unwrap(), host.target, host.port.unwrap_or_default(), host.archived)
        };
        assert_eq!(reached("ann@p620"), "ann@10.0.0.2:2222 true");
        assert_eq!(reached("ann@far"), "ann@far:0 true");
        assert_eq!(reached("bob@p620"), "bob@10.0.0.2:2222 false");
        assert_eq!(reached("carl"), "carl@desk:0 false");
        assert!(inventory.get(&"dora".parse().unwrap()).is_none(), "nobody says where");
        assert_eq!(inventory.tags(), ["all", "home"].into());
        let from_file = Inventory::from_file_only(&hub);
        assert_eq!(host(&from_file, "bob@p620").target, "10.0.0.2");
    }

    #[test]
    fn a_name_in_both_outputs_needs_a_kind() {
        let both = flake(&["x"], &["x"]);
        let (inventory, notes) = Inventory::new(None, &both).unwrap();
        assert_eq!(notes, [InventoryNote::InBothOutputs { host: "x".parse().unwrap(), taken: Kind::Nixos }]);
        assert_eq!(host(&inventory, "x").kind, Kind::Nixos);
        let settled = hub("hosts.x.kind = 'darwin'");
        assert_eq!(told(&settled, &both), Vec::<String>::new());
        let (inventory, _) = Inventory::new(Some(&settled), &both).unwrap();
        assert_eq!(host(&inventory, "x").kind, Kind::Darwin);
    }

    #[test]
    fn the_file_alone_gives_its_hosts() {
        let inventory = Inventory::from_file_only(&hub("[defaults]\nuser = 'd'\n[hosts.a]\nkind = 'darwin'"));
        let a = host(&inventory, "a");
        assert_eq!((a.kind, a.user.as_deref()), (Kind::Darwin, Some("d")));
        assert!(!inventory.is_missing_from_flake(&a.name), "the flake was not asked");
    }
}
