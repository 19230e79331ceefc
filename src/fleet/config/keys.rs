//! Every key that `hub.toml` may hold, in one place.

use std::collections::BTreeMap;

use toml::Spanned;

use super::health::{self, HEALTH};
use super::hub_toml::Content;
use super::problem::Problem;
use super::reader::{Entry, Key};
use super::settings::{Cache, Deploy, Hooks, HostSettings, Lint, Metrics, Nix, Secrets, Ssh};
use super::shapes;
use crate::error::nearest;
use crate::fleet::selector::is_glob;
use crate::fleet::shown::toml_key;
use crate::fleet::{HostName, KeepPolicy, UnitPolicies};
use crate::lint::{self, Levels};
use crate::secrets::rotation::Policy as SecretPolicy;

pub(super) const ROOT: &[Key<Content>] = &[
    Key { name: "defaults", set: |hub, entry| entry.table("defaults", HOST, &mut hub.defaults) },
    Key { name: "roles", set: |hub, entry| entry.named("roles", |entry| role(&mut hub.roles, entry)) },
    Key {
        name: "hosts",
        set: |hub, entry| {
            let hosts = hub.hosts.get_or_insert_default();
            entry.named("hosts", |entry| host(hosts, entry));
        },
    },
    Key { name: "ssh", set: |hub, entry| entry.table("ssh", SSH, &mut hub.ssh) },
    Key { name: "deploy", set: |hub, entry| entry.table("deploy", DEPLOY, &mut hub.deploy) },
    Key { name: "nix", set: |hub, entry| entry.table("nix", NIX, &mut hub.nix) },
    Key { name: "cache", set: |hub, entry| entry.table("cache", CACHE, &mut hub.cache) },
    Key { name: "gc", set: |hub, entry| entry.table("gc", GC, &mut hub.gc) },
    Key { name: "metrics", set: |hub, entry| entry.table("metrics", METRICS, &mut hub.metrics) },
    Key { name: "lint", set: |hub, entry| entry.table("lint", LINT, &mut hub.lint) },
    Key { name: "secrets", set: |hub, entry| entry.named("secrets", |entry| secret(&mut hub.secrets, entry)) },
];

const HOST: &[Key<HostSettings>] = &[
    Key { name: "target", set: |host, entry| host.target = entry.read(&shapes::TARGET) },
    Key { name: "user", set: |host, entry| host.user = entry.read(&shapes::USER) },
    Key { name: "port", set: |host, entry| host.port = entry.read(&shapes::PORT) },
    Key { name: "system", set: |host, entry| host.system = entry.read(&shapes::SYSTEM) },
    Key { name: "kind", set: |host, entry| host.kind = entry.located(&shapes::KIND) },
    Key { name: "role", set: |host, entry| host.role = entry.located(&shapes::LABEL) },
    Key { name: "tags", set: |host, entry| host.tags = entry.each(&shapes::TAGS, &shapes::TAG).into_iter().collect() },
    Key { name: "archived", set: |host, entry| host.archived = entry.read(&shapes::TRUTH) },
    Key { name: "elevate", set: |host, entry| host.elevate = entry.read(&shapes::ELEVATE) },
    Key { name: "build-on", set: |host, entry| host.build_on = entry.located(&shapes::BUILD_ON) },
    Key { name: "specialisation", set: |host, entry| host.specialisation = entry.read(&shapes::LABEL) },
    Key {
        name: "activation-timeout",
        set: |host, entry| host.policy.activation_timeout = entry.read(&shapes::DEADLINE),
    },
    Key { name: "confirm", set: |host, entry| host.policy.confirm = entry.read(&shapes::DURATION) },
    Key { name: "min-battery", set: |host, entry| host.policy.min_battery = entry.read(&shapes::PERCENT) },
    Key { name: "failed-units", set: |host, entry| host.policy.failed_units = entry.read(&shapes::FAILED_UNITS) },
    Key {
        name: "unit-policy",
        set: |host, entry| entry.nested_named(|entry| unit_policy(&mut host.policy.units, entry)),
    },
    Key { name: "reboot", set: |host, entry| host.policy.reboots = entry.read(&shapes::REBOOTS) },
    Key { name: "reboot-timeout", set: |host, entry| host.policy.reboot_timeout = entry.read(&shapes::DEADLINE) },
    Key { name: "health", set: |host, entry| entry.nested(HEALTH, &mut host.health) },
    Key {
        name: "after",
        set: |host, entry| host.after = Some(entry.each_located(&shapes::HOST_NAMES, &shapes::HOST_NAME)),
    },
    Key { name: "alone", set: |host, entry| host.alone = entry.read(&shapes::TRUTH) },
];

const SSH: &[Key<Ssh>] = &[
    Key { name: "config-file", set: |ssh, entry| ssh.config_file = entry.read(&shapes::FILE) },
    Key { name: "persist", set: |ssh, entry| keep(&mut ssh.persist, entry.read(&shapes::DURATION)) },
    Key { name: "host-keys", set: |ssh, entry| keep(&mut ssh.host_keys, entry.read(&shapes::HOST_KEYS)) },
    Key { name: "connect-timeout", set: |ssh, entry| keep(&mut ssh.connect_timeout, entry.read(&shapes::DEADLINE)) },
];

const DEPLOY: &[Key<Deploy>] = &[
    Key { name: "parallel", set: |deploy, entry| deploy.parallel = entry.read(&shapes::COUNT) },
    Key {
        name: "activation-timeout",
        set: |deploy, entry| keep(&mut deploy.policy.activation_timeout, entry.read(&shapes::DEADLINE)),
    },
    Key { name: "confirm", set: |deploy, entry| keep(&mut deploy.policy.confirm, entry.read(&shapes::DURATION)) },
    Key {
        name: "min-battery",
        set: |deploy, entry| keep(&mut deploy.policy.min_battery, entry.read(&shapes::PERCENT)),
    },
    Key {
        name: "failed-units",
        set: |deploy, entry| keep(&mut deploy.policy.failed_units, entry.read(&shapes::FAILED_UNITS)),
    },
    Key { name: "canary", set: |deploy, entry| keep(&mut deploy.waves.canary, entry.read(&shapes::COUNT_OR_NONE)) },
    Key { name: "batch", set: |deploy, entry| deploy.waves.batch = entry.read(&shapes::BATCH) },
    Key { name: "order", set: |deploy, entry| deploy.waves.order = entry.each(&shapes::TAGS, &shapes::TAG) },
    Key {
        name: "max-failures",
        set: |deploy, entry| keep(&mut deploy.waves.max_failures, entry.read(&shapes::COUNT_OR_NONE)),
    },
    Key { name: "soak", set: |deploy, entry| keep(&mut deploy.waves.soak, entry.read(&shapes::DURATION)) },
    Key {
        name: "on-failure",
        set: |deploy, entry| keep(&mut deploy.waves.on_failure, entry.read(&shapes::ON_FAILURE)),
    },
    Key { name: "hooks", set: |deploy, entry| entry.table("deploy.hooks", HOOKS, &mut deploy.hooks) },
];

const HOOKS: &[Key<Hooks>] = &[
    Key { name: "before", set: |hooks, entry| hooks.before = entry.each(&shapes::WORDS, &shapes::WORD) },
    Key { name: "after", set: |hooks, entry| hooks.after = entry.each(&shapes::WORDS, &shapes::WORD) },
    Key { name: "failed", set: |hooks, entry| hooks.failed = entry.each(&shapes::WORDS, &shapes::WORD) },
];

const NIX: &[Key<Nix>] = &[
    Key { name: "options", set: |nix, entry| entry.named("nix.options", |entry| nix_option(&mut nix.options, entry)) },
    Key { name: "accept-flake-config", set: |nix, entry| nix.accept_flake_config = entry.read(&shapes::TRUTH) },
    Key { name: "ask-substituters", set: |nix, entry| keep(&mut nix.ask_substituters, entry.read(&shapes::TRUTH)) },
    Key { name: "eval-jobs", set: |nix, entry| nix.eval_jobs = entry.read(&shapes::COUNT) },
];

const CACHE: &[Key<Cache>] = &[
    Key { name: "url", set: |cache, entry| cache.url = entry.read(&shapes::STORE) },
    Key { name: "substituter", set: |cache, entry| cache.substituter = entry.read(&shapes::STORE) },
    Key { name: "upload", set: |cache, entry| cache.upload = entry.each(&shapes::WORDS, &shapes::WORD) },
    Key { name: "secret-key-file", set: |cache, entry| cache.secret_key_file = entry.read(&shapes::FILE) },
    Key { name: "public-keys", set: |cache, entry| cache.public_keys = entry.each(&shapes::KEYS, &shapes::PUBLIC_KEY) },
];

const GC: &[Key<KeepPolicy>] = &[
    Key { name: "keep", set: |gc, entry| keep(&mut gc.keep, entry.read(&shapes::COUNT)) },
    Key { name: "keep-since", set: |gc, entry| keep(&mut gc.keep_since, entry.read(&shapes::AGE)) },
];

const METRICS: &[Key<Metrics>] = &[
    Key { name: "file", set: |metrics, entry| metrics.file = entry.read(&shapes::ABSOLUTE).map(Into::into) },
    Key { name: "push", set: |metrics, entry| metrics.push = entry.read(&shapes::URL) },
];

const LINT: &[Key<Lint>] = &[
    Key { name: "exclude", set: |lint, entry| lint.exclude = entry.each(&shapes::PATHS, &shapes::PATH_GLOB) },
    Key { name: "severity", set: |lint, entry| entry.nested_named(|entry| level(&mut lint.levels, entry)) },
];

const SECRET: &[Key<SecretPolicy>] = &[
    Key { name: "generate", set: |secret, entry| secret.generate = entry.read(&shapes::GENERATOR) },
    Key { name: "max-age", set: |secret, entry| secret.max_age = entry.read(&shapes::AGE) },
    Key { name: "copies", set: |secret, entry| secret.copies = entry.each(&shapes::SECRETS, &shapes::SECRET) },
    Key { name: "public-key", set: |secret, entry| secret.public_key = entry.read(&shapes::BELOW_ROOT) },
    Key { name: "clear", set: |secret, entry| secret.clear = entry.read(&shapes::SECRET) },
];

/// A key that `hub.toml` may hold.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct KnownKey {
    /// The table: `hosts.<name>` stands for `defaults` and `roles.<role>` too.
    pub table: &'static str,
    /// The key.
    pub name: &'static str,
}

/// Every key that `hub.toml` may hold, table by table.
pub fn known_keys() -> impl Iterator<Item = KnownKey> {
    known("hosts.<name>", HOST)
        .chain(known("ssh", SSH))
        .chain(known("deploy", DEPLOY))
        .chain(known("deploy.hooks", HOOKS))
        .chain(known("nix", NIX))
        .chain(known("cache", CACHE))
        .chain(known("gc", GC))
        .chain(known("metrics", METRICS))
        .chain(known("lint", LINT))
        .chain(known("secrets.<name>", SECRET))
        .chain(health::known_keys())
}

/// The keys of one table.
pub(super) fn known<T>(table: &'static str, keys: &'static [Key<T>]) -> impl Iterator<Item = KnownKey> {
    keys.iter().map(move |key| KnownKey { table, name: key.name })
}

/// The table that a key of this very name belongs to. The many small ones of health checks are not guessed.
pub(super) fn home_of(key: &str) -> Option<&'static str> {
    known_keys().find(|known| known.name == key && !known.table.contains(".health")).map(|known| known.table)
}

/// Keeps the default where the file's value did not fit.
pub(super) fn keep<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn host(hosts: &mut BTreeMap<HostName, Spanned<HostSettings>>, entry: &mut Entry<'_>) {
    let Ok(name) = entry.key.parse::<HostName>() else { return entry.refuse_name("host") };
    let mut settings = HostSettings::default();
    entry.table(&format!("hosts.{}", toml_key(name.as_str())), HOST, &mut settings);
    hosts.insert(name, Spanned::new(entry.key_span.clone(), settings));
}

fn role(roles: &mut BTreeMap<String, HostSettings>, entry: &mut Entry<'_>) {
    if !shapes::is_label(entry.key) {
        return entry.refuse_name("role");
    }
    let mut settings = HostSettings::default();
    entry.table(&format!("roles.{}", toml_key(entry.key)), HOST, &mut settings);
    if let Some(role) = settings.role.take() {
        entry.refuse(role.span(), Problem::RoleOfRole);
    }
    roles.insert(entry.key.to_owned(), settings);
}

/// What is said of a secret. What one secret alone can have is a mistake for those that a glob names.
fn secret(secrets: &mut Secrets, entry: &mut Entry<'_>) {
    if !shapes::is_secret(entry.key) {
        return entry.refuse_name("secret");
    }
    let mut policy = SecretPolicy::default();
    entry.table(&format!("secrets.{}", toml_key(entry.key)), SECRET, &mut policy);
    let of_one = !policy.copies.is_empty() || policy.public_key.is_some() || policy.clear.is_some();
    if of_one && is_glob(entry.key) {
        return entry.refuse(entry.key_span.clone(), Problem::OneSecret { glob: entry.key.to_owned() });
    }
    secrets.push((entry.key.to_owned(), policy));
}

fn unit_policy(units: &mut UnitPolicies, entry: &mut Entry<'_>) {
    let Some(unit) = shapes::unit_glob(entry.key) else { return entry.refuse_name("unit") };
    if let Some(policy) = entry.read(&shapes::FAILED_UNITS) {
        units.insert(unit, policy);
    }
}

fn level(levels: &mut Levels, entry: &mut Entry<'_>) {
    if lint::rule(entry.key).is_none() {
        let near = nearest(entry.key, lint::RULES.iter().map(|rule| rule.name)).map(str::to_owned);
        let problem = Problem::UnknownRule { rule: entry.key.to_owned(), nearest: near };
        return entry.refuse(entry.key_span.clone(), problem);
    }
    if let Some(level) = entry.read(&shapes::LEVEL) {
        levels.set(entry.key, level);
    }
}

fn nix_option(options: &mut BTreeMap<String, String>, entry: &mut Entry<'_>) {
    if !shapes::is_nix_option(entry.key) {
        return entry.refuse_name("Nix option");
    }
    if let Some(value) = entry.read(&shapes::NIX_VALUE) {
        options.insert(entry.key.to_owned(), value);
    }
}
