//! Which hosts wait for which: `after` of `hub.toml`, held against the hosts that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::Spanned;

use super::config::{HubToml, Problem};
use super::{Host, HostName};
use crate::error::nearest;

type Located = (Range<usize>, Problem);

/// The places of `hub` that wait for a host which is none, and the circles of hosts that wait for each other.
pub(super) fn problems(hosts: &BTreeMap<HostName, Host>, hub: &HubToml) -> Vec<Located> {
    let places = hub.all_settings().flat_map(|settings| settings.after().to_vec());
    let unknown = places.filter(|place| !hosts.contains_key(place.get_ref())).map(|place| {
        let near = nearest(place.get_ref().as_str(), hosts.keys().map(HostName::as_str)).map(str::to_owned);
        (place.span(), Problem::UnknownAfter { host: place.into_inner(), nearest: near })
    });
    let circles =
        circles(hosts).into_iter().map(|circle| (place_of(&circle, hub), Problem::CircleOfAfter { hosts: circle }));
    unknown.chain(circles).collect()
}

/// Where the file has the first host of a circle wait for the next.
fn place_of(circle: &[HostName], hub: &HubToml) -> Range<usize> {
    let (Some(first), Some(next)) = (circle.first(), circle.get(1)) else { return Range::default() };
    let settings = hub.settings_of(first);
    settings.after().iter().find(|place| place.get_ref() == next).map(Spanned::span).unwrap_or_default()
}

/// Circles of hosts that wait for each other, each host in one of them at most.
fn circles(hosts: &BTreeMap<HostName, Host>) -> Vec<Vec<HostName>> {
    let (mut done, mut found) = (BTreeSet::new(), Vec::new());
    for name in hosts.keys() {
        let mut path = Vec::new();
        walk(name, hosts, &mut path, &mut done, &mut found);
    }
    found
}

fn walk<'a>(
    name: &'a HostName,
    hosts: &'a BTreeMap<HostName, Host>,
    path: &mut Vec<&'a HostName>,
    done: &mut BTreeSet<&'a HostName>,
    found: &mut Vec<Vec<HostName>>,
) {
    if let Some(begin) = path.iter().position(|on_path| *on_path == name) {
        found.push(path[begin..].iter().map(|on_path| (*on_path).clone()).collect());
        return;
    }
    if !done.insert(name) {
        return;
    }
    path.push(name);
    for other in hosts.get(name).into_iter().flat_map(|host| &host.after) {
        walk(other, hosts, path, done, found);
    }
    path.pop();
}

/// For each host, all hosts that it waits for, be it by way of others.
pub fn all_before(hosts: &BTreeMap<HostName, Host>) -> BTreeMap<HostName, BTreeSet<HostName>> {
    let all = |name: &HostName| {
        let (mut before, mut to_see) = (BTreeSet::new(), vec![name]);
        while let Some(host) = to_see.pop().and_then(|name| hosts.get(name)) {
            to_see.extend(host.after.iter().filter(|other| before.insert((*other).clone())));
        }
        before
    };
    hosts.keys().map(|name| (name.clone(), all(name))).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{FlakeHosts, Inventory};
    use super::*;

    fn inventory(text: &str) -> Result<Inventory, String> {
        let hub = HubToml::parse(text, Path::new("hub.toml")).unwrap();
        let flake = FlakeHosts { nixos: ["a", "b", "c", "dns"].map(str::to_owned).to_vec(), ..FlakeHosts::default() };
        Inventory::new(Some(&hub), &flake).map(|(inventory, _)| inventory).map_err(|errors| errors.render(false))
    }

    #[test]
    fn a_host_of_the_defaults_does_not_wait_for_itself() {
        let inventory = inventory("[defaults]\nafter = ['dns']\n[hosts.b]\nafter = []").unwrap();
        let after = |name: &str| inventory.get(&name.parse().unwrap()).unwrap().after.len();
        assert_eq!(["a", "b", "c", "dns"].map(after), [1, 0, 1, 0]);
    }

    #[test]
    fn a_circle_is_an_error_where_it_is_made() {
        let told = inventory("[hosts.a]\nafter = ['b']\n[hosts.b]\nafter = ['c']\n[hosts.c]\nafter = ['dns', 'a']")
            .unwrap_err();
        assert!(told.contains("`after` goes in a circle: `a` after `b` after `c` after `a`"), "{told}");
        assert!(told.contains("hub.toml:2:10"), "{told}");
        assert_eq!(told.matches("circle").count(), 1, "{told}");
        let told = inventory("[defaults]\nafter = ['a']\n[hosts.a]\nafter = ['b']").unwrap_err();
        assert!(told.contains("`a` after `b` after `a`"), "{told}");
    }

    #[test]
    fn a_host_that_is_none_is_an_error_where_it_is_named() {
        let told = inventory("[hosts.a]\nafter = ['b', 'dnss']").unwrap_err();
        assert!(told.contains("`after` names `dnss`") && told.contains("did you mean `dns`?"), "{told}");
        assert!(told.contains("hub.toml:2:15"), "{told}");
    }

    #[test]
    fn waiting_goes_by_way_of_others() {
        let inventory = inventory("[hosts.a]\nafter = ['b']\n[hosts.b]\nafter = ['c']").unwrap();
        let hosts = inventory.iter().map(|host| (host.name.clone(), host.clone())).collect();
        let before = &all_before(&hosts)[&"a".parse::<HostName>().unwrap()];
        assert_eq!(before.iter().map(HostName::as_str).collect::<Vec<_>>(), ["b", "c"]);
    }
}
