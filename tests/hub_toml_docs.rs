//! Holds `docs/hub-toml.md` to what `hub.toml` really may contain.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a panic is how a test's helper fails")]

use std::collections::BTreeSet;
use std::path::Path;

use hubctl::fleet::config::{Cache, Deploy, HubToml, Ssh, known_keys};
use hubctl::fleet::{FlakeHosts, HostName, Inventory, KeepPolicy, Selection};

const DOC: &str = include_str!("../docs/hub-toml.md");

fn parse(text: &str) -> HubToml {
    HubToml::parse(text, Path::new("hub.toml")).unwrap_or_else(|errors| panic!("{text}\n{}", errors.render(false)))
}

#[test]
fn the_file_of_this_hub_is_right() {
    let hub = parse(include_str!("../hub.toml"));
    assert_eq!(hub.deploy().policy.confirm, Deploy::default().policy.confirm);
}

/// The text of each block that is marked as TOML.
fn examples() -> impl Iterator<Item = &'static str> {
    DOC.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap())
}

/// The rows of keys: the table that the row is about, and its cells.
fn rows() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut rows = Vec::new();
    for section in DOC.split("\n## ").skip(1) {
        let Some(table) = section.strip_prefix("`[").and_then(|rest| rest.split("]`").next()) else { continue };
        for row in section.lines().filter(|line| line.starts_with("| `")) {
            rows.push((table, row.trim_matches('|').split('|').map(str::trim).collect()));
        }
    }
    rows
}

/// A file with a table that has `line`, and all else without which it says nothing.
fn file_with(table: &str, line: &str) -> String {
    let table = table.replace("<kind>", "file");
    let rows = rows();
    let needed =
        rows.iter().filter(|(of, cells)| *of == table && cells[2] == "required").map(|(_, cells)| code(cells[4]));
    let needed: Vec<_> = needed.filter(|needed| needed.split(' ').next() != line.split(' ').next()).collect();
    format!("[hosts.y]\n[{}]\n{}\n{line}\n", table.replace("<name>", "x"), needed.join("\n"))
}

fn code(cell: &str) -> &str {
    cell.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')).unwrap_or(cell)
}

#[test]
fn every_example_is_a_valid_file() {
    assert!(examples().count() >= 1);
    examples().for_each(|text| drop(parse(text)));
}

#[test]
fn the_first_example_makes_the_fleet_that_it_describes() {
    let hub = parse(examples().next().unwrap());
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let flake = FlakeHosts {
        nixos: names(&["p620", "p510", "razer", "web.example.org"]),
        darwin: names(&["mac"]),
        homes: names(&["ann@p620"]),
    };
    let (inventory, notes) = Inventory::new(Some(&hub), &flake).unwrap();
    assert!(notes.is_empty(), "{notes:?}");
    let selected = inventory.select(&Selection::parse(["@always-on"]).unwrap()).unwrap();
    let selected: Vec<&str> = selected.iter().map(|host| host.name.as_str()).collect();
    assert_eq!(selected, ["p510", "web.example.org"]);
    let dex5550 = inventory.get(&"dex5550".parse::<HostName>().unwrap()).unwrap();
    assert!(dex5550.archived);
}

#[test]
fn the_keys_of_the_tables_are_those_that_hubctl_knows() {
    let documented: BTreeSet<(&str, &str)> = rows().iter().map(|(table, cells)| (*table, code(cells[0]))).collect();
    let known: BTreeSet<(&str, &str)> = known_keys().map(|key| (key.table, key.name)).collect();
    assert_eq!(documented, known);
}

#[test]
fn every_row_has_all_its_cells_and_an_example_that_is_valid() {
    for (table, cells) in rows() {
        let [key, kind, default, meaning, example] = cells[..] else { panic!("{table}: {cells:?}") };
        assert!(!kind.is_empty() && !default.is_empty() && !meaning.is_empty(), "{table}: {key}");
        assert!(code(example).starts_with(&format!("{} = ", code(key))), "{table}: {key}: {example}");
        parse(&file_with(table, code(example)));
    }
}

#[test]
fn a_documented_default_changes_nothing_when_it_is_written_out() {
    for (table, cells) in rows() {
        let (key, default) = (code(cells[0]), cells[2]);
        if !default.starts_with('`') {
            continue;
        }
        let hub = parse(&file_with(table, &format!("{key} = {}", code(default))));
        let defaults = (&Ssh::default(), &Deploy::default(), &Cache::default());
        assert_eq!((hub.ssh(), hub.deploy(), hub.cache()), defaults, "{table}: {key}");
        assert_eq!(hub.gc(), KeepPolicy::default(), "{table}: {key}");
        // A host with the default written out is like one that does not mention it.
        let (written, bare) =
            (Inventory::from_file_only(&hub), Inventory::from_file_only(&parse(&file_with(table, ""))));
        assert_eq!(written.iter().collect::<Vec<_>>(), bare.iter().collect::<Vec<_>>(), "{table}: {key}");
    }
}
