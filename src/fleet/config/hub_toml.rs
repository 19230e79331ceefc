//! A `hub.toml` as a whole.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeTable;

use super::errors::{ConfigErrors, Source};
use super::keys;
use super::problem::Problem;
use super::reader::read_table;
use super::settings::{Cache, Deploy, HostSettings, Lint, Metrics, Nix, Secrets, Ssh};
use crate::fleet::{HostName, KeepPolicy, Kind};

/// What the tables of a `hub.toml` hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    pub(super) defaults: HostSettings,
    pub(super) roles: BTreeMap<String, HostSettings>,
    /// Each host with the place of its name, if there is a `[hosts]` at all.
    pub(super) hosts: Option<BTreeMap<HostName, Spanned<HostSettings>>>,
    pub(super) ssh: Ssh,
    pub(super) deploy: Deploy,
    pub(super) nix: Nix,
    pub(super) cache: Cache,
    pub(super) gc: KeepPolicy,
    pub(super) metrics: Metrics,
    pub(super) lint: Lint,
    pub(super) secrets: Secrets,
}

/// A `hub.toml` that was read and found right in itself. What it says of hosts becomes an
/// [`Inventory`](crate::fleet::Inventory).
#[derive(Clone, Debug)]
pub struct HubToml {
    content: Content,
    source: Arc<Source>,
}

impl HubToml {
    /// Reads `text`, which was found at `path`.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigErrors> {
        let source = Arc::new(Source { path: path.to_owned(), text: text.to_owned() });
        let root = match DeTable::parse(text) {
            Ok(root) => root,
            Err(error) => {
                let span = error.span().unwrap_or_default();
                let problem = Problem::Syntax(error.message().to_owned());
                return Err(ConfigErrors::new(source, vec![(span, problem)]));
            }
        };
        let (mut content, mut problems) = (Content::default(), Vec::new());
        read_table(root.get_ref(), "the file's top level", keys::ROOT, &mut content, &mut problems);
        if problems.is_empty() { Ok(Self { content, source }) } else { Err(ConfigErrors::new(source, problems)) }
    }

    /// Where the file was found.
    pub fn path(&self) -> &Path {
        &self.source.path
    }

    /// `[ssh]`.
    pub fn ssh(&self) -> &Ssh {
        &self.content.ssh
    }

    /// `[deploy]`.
    pub fn deploy(&self) -> &Deploy {
        &self.content.deploy
    }

    /// `[nix]`.
    pub fn nix(&self) -> &Nix {
        &self.content.nix
    }

    /// `[cache]`.
    pub fn cache(&self) -> &Cache {
        &self.content.cache
    }

    /// `[gc]`.
    pub fn gc(&self) -> KeepPolicy {
        self.content.gc
    }

    /// `[metrics]`.
    pub fn metrics(&self) -> &Metrics {
        &self.content.metrics
    }

    /// `[lint]`.
    pub fn lint(&self) -> &Lint {
        &self.content.lint
    }

    /// `[secrets]`.
    pub fn secrets(&self) -> &Secrets {
        &self.content.secrets
    }

    /// The hosts with a table of their own, or nothing if the file has no `[hosts]`.
    pub fn hosts(&self) -> Option<impl Iterator<Item = &HostName>> {
        self.content.hosts.as_ref().map(BTreeMap::keys)
    }

    /// The line of the table that `name` has of its own.
    pub fn line_of(&self, name: &HostName) -> Option<usize> {
        let host = self.content.hosts.as_ref().and_then(|hosts| hosts.get(name));
        host.map(|host| self.source.position(host.span().start).0)
    }

    /// Whether `name` has a table of its own.
    pub fn has_host(&self, name: &HostName) -> bool {
        self.content.hosts.as_ref().is_some_and(|hosts| hosts.contains_key(name))
    }

    /// All that the file says of `name`: its own table, then its role's, then the defaults, which are meant for whole hosts and not
    /// for homes.
    pub(in crate::fleet) fn settings_of(&self, name: &HostName) -> HostSettings {
        let Content { defaults, roles, hosts, .. } = &self.content;
        let own = hosts.as_ref().and_then(|hosts| hosts.get(name));
        let own = own.map(|own| own.get_ref().clone()).unwrap_or_default();
        let role = own.role.as_ref().or(defaults.role.as_ref()).and_then(|role| roles.get(role.get_ref()));
        let own = if let Some(role) = role { own.or(role) } else { own };
        let is_home = name.home().is_some() || own.kind.as_ref().is_some_and(|kind| *kind.get_ref() == Kind::Home);
        if is_home { own } else { own.or(defaults) }
    }

    /// Every table of settings, whether a host takes them or not.
    pub(in crate::fleet) fn all_settings(&self) -> impl Iterator<Item = &HostSettings> {
        let Content { defaults, roles, hosts, .. } = &self.content;
        let hosts = hosts.iter().flat_map(BTreeMap::values).map(Spanned::get_ref);
        std::iter::once(defaults).chain(roles.values()).chain(hosts)
    }

    /// What a reader who knows more than the file found wrong with it.
    pub(in crate::fleet) fn errors(&self, found: Vec<(Range<usize>, Problem)>) -> ConfigErrors {
        ConfigErrors::new(Arc::clone(&self.source), found)
    }
}
