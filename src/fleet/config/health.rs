//! What `hub.toml` says of health checks: the tables `health` of hosts, roles and defaults.

use std::time::Duration;

use super::keys::{KnownKey, keep, known};
use super::reader::{Entry, Key};
use super::shapes;
use crate::remote::{Check, Claim, Place};

/// How long one try of a check may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The pause between two tries.
const EVERY: Duration = Duration::from_secs(2);

/// How often a check is tried again: long enough for a service that needs some seconds until it listens.
const RETRIES: u32 = 5;

/// What one table says of a host's health.
#[derive(Clone, Debug, Default)]
pub(in crate::fleet) struct HealthSettings {
    checks: Vec<Check>,
    inherit: Option<bool>,
}

impl HealthSettings {
    /// These checks and those of `general`, unless these stand alone.
    pub(super) fn or(mut self, general: &Self) -> Self {
        if self.inherit != Some(false) {
            self.checks.extend(general.checks.iter().cloned());
            self.inherit = general.inherit;
        }
        self
    }

    /// All checks, each once.
    pub(super) fn into_checks(self) -> Vec<Check> {
        let mut checks = Vec::new();
        for check in self.checks {
            if !checks.contains(&check) {
                checks.push(check);
            }
        }
        checks
    }
}

pub(super) const HEALTH: &[Key<HealthSettings>] = &[
    Key { name: "inherit", set: |health, entry| health.inherit = entry.read(&shapes::TRUTH) },
    Key { name: "units", set: |health, entry| each(health, entry, &UNITS) },
    Key { name: "tcp", set: |health, entry| each(health, entry, &TCP) },
    Key { name: "http", set: |health, entry| each(health, entry, &HTTP) },
    Key { name: "command", set: |health, entry| each(health, entry, &COMMAND) },
    Key { name: "file", set: |health, entry| each(health, entry, &FILE) },
];

/// The keys of each kind of check, as the documents have them.
pub(super) fn known_keys() -> impl Iterator<Item = KnownKey> {
    known("hosts.<name>.health", HEALTH)
        .chain(known("[hosts.<name>.health.<kind>]", COMMON))
        .chain([UNITS, TCP, HTTP, COMMAND, FILE].into_iter().flat_map(|kind| known(kind.table, kind.keys)))
}

/// The keys of a check of any kind.
const COMMON: &[Key<Draft>] = &[
    Key { name: "name", set: |check, entry| check.name = entry.read(&shapes::CHECK_NAME) },
    Key { name: "from", set: |check, entry| check.from = entry.read(&shapes::PLACE) },
    Key { name: "timeout", set: |check, entry| check.timeout = entry.read(&shapes::DEADLINE) },
    Key { name: "retries", set: |check, entry| check.retries = entry.read(&shapes::RETRIES) },
    Key { name: "every", set: |check, entry| check.every = entry.read(&shapes::DURATION) },
];

const UNITS: Kind = Kind {
    table: "[hosts.<name>.health.units]",
    needs: "unit",
    list: "a list of units, or of tables such as `{ unit = \"sshd.service\", timeout = \"5s\" }`",
    example: "[\"sshd.service\"]",
    short: |check, entry| check.unit = entry.read(&shapes::UNIT),
    keys: &[Key { name: "unit", set: |check, entry| check.unit = entry.read(&shapes::UNIT) }],
    claim: |check| {
        let (name, is_glob) = check.unit.take()?;
        Some(if is_glob { Claim::Units(name) } else { Claim::Unit(name) })
    },
};

const TCP: Kind = Kind {
    table: "[hosts.<name>.health.tcp]",
    needs: "port",
    list: "a list of ports, or of tables such as `{ port = 80, host = \"10.0.0.1\" }`",
    example: "[22]",
    short: |check, entry| check.port = entry.read(&shapes::PORT),
    keys: &[
        Key { name: "port", set: |check, entry| check.port = entry.read(&shapes::PORT) },
        Key { name: "host", set: |check, entry| check.host = entry.read(&shapes::TARGET) },
    ],
    claim: |check| Some(Claim::Tcp { host: check.host.take(), port: check.port? }),
};

const HTTP: Kind = Kind {
    table: "[hosts.<name>.health.http]",
    needs: "url",
    list: "a list of URLs, or of tables such as `{ url = \"http://localhost/\", status = 200 }`",
    example: "[\"http://localhost/\"]",
    short: |check, entry| check.url = entry.read(&shapes::URL),
    keys: &[
        Key { name: "url", set: |check, entry| check.url = entry.read(&shapes::URL) },
        Key { name: "status", set: |check, entry| keep(&mut check.status, entry.read(&shapes::STATUS)) },
        Key { name: "body", set: |check, entry| check.body = entry.read(&shapes::LINE) },
    ],
    claim: |check| Some(Claim::Http { url: check.url.take()?, status: check.status, body: check.body.take() }),
};

const COMMAND: Kind = Kind {
    table: "[hosts.<name>.health.command]",
    needs: "run",
    list: "a list of commands, each a list of words or a table such as `{ run = [\"true\"], from = \"operator\" }`",
    example: "[{ run = [\"test\", \"-e\", \"/run/ready\"] }]",
    short: |check, entry| check.run = entry.some_of_each(&shapes::ARGUMENTS, &shapes::ARGUMENT),
    keys: &[Key {
        name: "run",
        set: |check, entry| check.run = entry.some_of_each(&shapes::ARGUMENTS, &shapes::ARGUMENT),
    }],
    claim: |check| (!check.run.is_empty()).then(|| Claim::Command(std::mem::take(&mut check.run))),
};

const FILE: Kind = Kind {
    table: "[hosts.<name>.health.file]",
    needs: "path",
    list: "a list of paths, or of tables such as `{ path = \"/var/lib/backup/stamp\", max-age = \"26h\" }`",
    example: "[\"/run/ready\"]",
    short: |check, entry| check.path = entry.read(&shapes::ABSOLUTE),
    keys: &[
        Key { name: "path", set: |check, entry| check.path = entry.read(&shapes::ABSOLUTE) },
        Key { name: "max-age", set: |check, entry| check.max_age = entry.read(&shapes::DEADLINE) },
    ],
    claim: |check| Some(Claim::File { path: check.path.take()?, max_age: check.max_age }),
};

/// A kind of check.
struct Kind {
    /// How the documents call its table.
    table: &'static str,
    /// The key without which a check of this kind says nothing.
    needs: &'static str,
    /// What a list of them must be.
    list: &'static str,
    example: &'static str,
    /// Reads a check that is no table.
    short: fn(&mut Draft, &mut Entry<'_>),
    keys: &'static [Key<Draft>],
    /// What the check says, if it says anything.
    claim: fn(&mut Draft) -> Option<Claim>,
}

/// A check as far as it was read.
struct Draft {
    name: Option<String>,
    from: Option<Place>,
    timeout: Option<Duration>,
    retries: Option<u32>,
    every: Option<Duration>,
    unit: Option<(String, bool)>,
    port: Option<u16>,
    host: Option<String>,
    url: Option<String>,
    status: u16,
    body: Option<String>,
    run: Vec<String>,
    path: Option<String>,
    max_age: Option<Duration>,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            name: None,
            from: None,
            timeout: None,
            retries: None,
            every: None,
            unit: None,
            port: None,
            host: None,
            url: None,
            status: 200,
            body: None,
            run: Vec::new(),
            path: None,
            max_age: None,
        }
    }
}

impl Draft {
    fn check(mut self, kind: &Kind) -> Option<Check> {
        let what = (kind.claim)(&mut self)?;
        Some(Check {
            name: self.name,
            what,
            from: self.from.unwrap_or_default(),
            timeout: self.timeout.unwrap_or(TIMEOUT),
            retries: self.retries.unwrap_or(RETRIES),
            every: self.every.unwrap_or(EVERY),
        })
    }
}

/// Reads a list of checks of one kind.
fn each(health: &mut HealthSettings, entry: &mut Entry<'_>, kind: &Kind) {
    entry.items(kind.list, kind.example, |item| {
        let mut draft = Draft::default();
        let is_whole = if item.is_table() {
            item.table_with(&[kind.keys, COMMON], kind.needs, &mut draft)
        } else {
            (kind.short)(&mut draft, item);
            true
        };
        health.checks.extend(draft.check(kind).filter(|_| is_whole));
    });
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::HubToml;
    use super::*;
    use crate::fleet::Inventory;

    fn checks(text: &str, host: &str) -> Vec<String> {
        let hub = HubToml::parse(text, Path::new("hub.toml")).unwrap();
        let inventory = Inventory::from_file_only(&hub);
        let host = inventory.get(&host.parse().unwrap()).unwrap();
        host.health.iter().map(ToString::to_string).collect()
    }

    const FLEET: &str = "
        [defaults.health]
        units = ['sshd.service', 'foo-*']
        [roles.server.health]
        tcp = [22, { port = 443, host = 'vip', from = 'operator' }]
        units = ['sshd.service']
        [roles.odd.health]
        inherit = false
        file = ['/x']
        [hosts.a]
        role = 'server'
        health.http = ['http://localhost/']
        [hosts.b]
        role = 'odd'
        health.command = [{ name = 'c', run = ['true', 'a b'] }]
        [hosts.c]
        role = 'server'
        health.inherit = false
    ";

    #[test]
    fn checks_add_up_and_each_is_run_once() {
        let of_a =
            ["http://localhost/", "TCP port 22", "TCP port 443 of vip from here", "unit sshd.service", "units foo-*"];
        assert_eq!(checks(FLEET, "a"), of_a);
    }

    #[test]
    fn a_table_can_stand_alone() {
        assert_eq!(checks(FLEET, "b"), ["c (command true 'a b')", "file /x"]);
        assert_eq!(checks(FLEET, "c"), Vec::<String>::new());
    }

    #[test]
    fn what_a_check_leaves_open_has_defaults() {
        let hub = HubToml::parse("hosts.a.health.http = ['http://a']", Path::new("hub.toml")).unwrap();
        let inventory = Inventory::from_file_only(&hub);
        let check = &inventory.iter().next().unwrap().health[0];
        assert_eq!((check.from, check.longest().as_secs()), (Place::Host, 70));
        assert!(matches!(check.what, Claim::Http { status: 200, body: None, .. }));
    }
}
