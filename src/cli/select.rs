//! Arguments that several commands share: which hosts, how many at once, where to build.

use std::collections::BTreeSet;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::config::Config;
use super::hub::{Fleet, Hub};
use crate::error::{Error, Kind, Result, nearest};
use crate::fleet::config::Cache as CacheSettings;
use crate::fleet::{BuildOn, Host};
use crate::nix::Cache;
use crate::plan::{Doubt, Goal};
use crate::run::HubCache;

/// Hosts that must be named.
#[derive(Args, Debug)]
pub(super) struct Hosts {
    /// The hosts: names, globs (`web-*`), tags (`@edge`), each with `!` in front to leave it out.
    #[arg(value_name = "HOST", required = true)]
    pub(super) hosts: Vec<String>,
}

/// Hosts that may be named; without one, all active hosts.
#[derive(Args, Debug)]
pub(super) struct HostsOrAll {
    /// The hosts: names, globs (`web-*`), tags (`@edge`), each with `!` in front to leave it out. All active hosts without one.
    #[arg(value_name = "HOST")]
    pub(super) hosts: Vec<String>,
}

impl HostsOrAll {
    pub(super) fn select(&self, hub: &Hub, inventory: &crate::fleet::Inventory) -> Result<Vec<Host>> {
        if !self.hosts.is_empty() {
            return hub.select(inventory, &self.hosts);
        }
        let all: Vec<_> = inventory.active().cloned().collect();
        if all.is_empty() {
            return Err(Error::message(Kind::NoHost, "the fleet has no active host")
                .hint("hosts are the attributes of `nixosConfigurations` in the flake"));
        }
        Ok(all)
    }
}

/// How many hosts are worked on at once.
#[derive(Args, Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Parallel {
    /// Works on N hosts at once; without N, on as many as make sense.
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "0")]
    pub(super) parallel: Option<usize>,
}

/// How many hosts a deployment works on at once where nobody says it.
const HOSTS_AT_ONCE: usize = 16;

impl Parallel {
    /// For commands that are parallel by nature.
    pub(super) fn by_default(self, config: &Config) -> usize {
        self.or_one(config).unwrap_or_else(|| configured(config))
    }

    /// For commands that go one by one unless told otherwise.
    pub(super) fn only_if_asked(self, config: &Config) -> usize {
        self.or_one(config).unwrap_or(1)
    }

    fn or_one(self, config: &Config) -> Option<usize> {
        self.parallel.map(|n| if n == 0 { configured(config) } else { n })
    }
}

fn configured(config: &Config) -> usize {
    config.deploy().parallel.map_or(HOSTS_AT_ONCE, std::num::NonZeroUsize::get)
}

/// What speaks against hosts in vain.
#[derive(Args, Clone, Debug, Serialize, Deserialize)]
pub(super) struct Despite {
    /// Deploys although the host calls itself otherwise than its configuration (`host-name`), is another machine than before
    /// (`machine`), runs on a nearly empty `battery`, or seems to have too little `space`.
    #[arg(long, value_name = "DOUBT,..", value_delimiter = ',', value_parser = parse_doubt)]
    despite: Vec<Doubt>,
}

impl Despite {
    /// What is overruled.
    pub(super) fn doubts(&self) -> BTreeSet<Doubt> {
        self.despite.iter().copied().collect()
    }
}

fn parse_doubt(word: &str) -> std::result::Result<Doubt, String> {
    let words = Doubt::ALL.map(Doubt::as_str);
    Doubt::ALL.into_iter().find(|doubt| doubt.as_str() == word).ok_or_else(|| {
        let near = nearest(word, words).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        format!("there are {}{near}", words.join(", "))
    })
}

/// Where toplevels are built.
#[derive(Args, Clone, Debug, Serialize, Deserialize)]
pub(super) struct Build {
    /// Builds `here`, on the `target` itself, or on another HOST of the fleet, whatever hub.toml says.
    #[arg(long, value_name = "WHERE")]
    pub(super) build_on: Option<String>,
}

impl Build {
    /// Gives every host the place that the command line asks for.
    pub(super) fn apply(&self, hosts: &mut [Host], fleet: &Fleet) -> Result<()> {
        let Some(place) = &self.build_on else { return Ok(()) };
        let place: BuildOn = place.parse().map_err(|error| Error::new(Kind::Usage, anyhow::Error::new(error)))?;
        if let BuildOn::Host(name) = &place
            && fleet.inventory.get(name).is_none()
        {
            let near =
                crate::error::nearest(name.as_str(), fleet.inventory.names().map(crate::fleet::HostName::as_str));
            let error = Error::message(Kind::Usage, format!("there is no host `{name}` to build on"));
            return Err(error.hints(near.map(|near| format!("did you mean `{near}`?"))));
        }
        for host in hosts {
            host.build_on = match &place {
                BuildOn::Host(name) if *name == host.name => BuildOn::Target,
                place => place.clone(),
            };
        }
        Ok(())
    }
}

/// Which form of a system runs.
#[derive(Args, Clone, Debug, Serialize, Deserialize)]
pub(super) struct Specialised {
    /// Has hosts run this specialisation of their systems, whatever hub.toml says; '' for none. What they boot is the system
    /// itself.
    #[arg(long, value_name = "NAME")]
    pub(super) specialisation: Option<String>,
}

impl Specialised {
    /// Gives every host the specialisation that the command line asks for.
    pub(super) fn apply(&self, hosts: &mut [Host], goal: Goal) -> Result<()> {
        let Some(name) = &self.specialisation else { return Ok(()) };
        if goal == Goal::Boot {
            return Err(Error::message(Kind::Usage, "a host boots the system itself, and no specialisation of it")
                .hint("leave out --specialisation, or `--goal boot`"));
        }
        for host in hosts {
            host.specialisation = Some(name.clone()).filter(|name| !name.is_empty());
        }
        Ok(())
    }
}

/// Whether closures go by way of a cache.
#[derive(Args, Clone, Debug, Serialize, Deserialize)]
pub(super) struct Cached {
    /// Pushes what is built to the hub's cache, and has hosts fetch it from there: to that of hub.toml, or to the store at URL
    /// (ssh-ng://, file://, s3://, http:// or https://).
    #[arg(long, value_name = "URL", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub(super) cached: Option<String>,
}

impl Cached {
    /// The cache that the command line asks for, if it does.
    pub(super) async fn cache(&self, hub: &Hub, fleet: &Fleet) -> Result<Option<HubCache>> {
        let Some(cache) = self.settings(hub, fleet)? else { return Ok(None) };
        let keys = hub.unless_stopped(async {
            cache.keys(&fleet.nix, &hub.cancel).await.map_err(|error| {
                let hint = error.hint().map(str::to_owned);
                Error::new(Kind::Config, error).hints(hint)
            })
        });
        let keys = keys.await?;
        Ok(Some(HubCache::new(cache, keys)))
    }

    /// What is known of that cache. Another URL than that of `hub.toml` is another cache: it has neither its upload tool nor its
    /// other address.
    pub(super) fn settings(&self, hub: &Hub, fleet: &Fleet) -> Result<Option<Cache>> {
        let Some(given) = &self.cached else { return Ok(None) };
        let CacheSettings { url, substituter, upload, public_keys, .. } = fleet.config.cache();
        let usage = |message: String| Error::message(Kind::Usage, message);
        let (url, substituter, upload) = if given.is_empty() {
            let url = url.ok_or_else(|| {
                usage("--cached wants a cache, and hub.toml names none".to_owned())
                    .hint("set `url` under [cache] in hub.toml, or give it here: `--cached=ssh-ng://HOST`")
            })?;
            (url, substituter, upload)
        } else {
            let url = given.parse().map_err(|error| {
                usage(format!("`{given}` is {error}"))
                    .hint("for example `--cached=ssh-ng://HOST`, or `--cached=file:///srv/cache`")
            })?;
            (url, None, Vec::new())
        };
        let secret_key = fleet.config.cache_key_file();
        let ssh_config = hub.ssh_config(&fleet.config)?;
        Ok(Some(Cache { url, substituter, upload, secret_key, public_keys, ssh_config }))
    }
}
