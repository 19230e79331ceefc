//! What `hub.toml` can say, as typed values.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use globset::Glob;
use toml::Spanned;

use super::health::HealthSettings;
use crate::fleet::{BuildOn, FailedUnits, Host, HostName, Kind, Policy, Reboots, UnitPolicies, WavePolicy};
use crate::lint::Levels;
use crate::nix::CacheUrl;
use crate::remote::{Elevate, HostKeys};
use crate::secrets::rotation::Policy as SecretPolicy;

/// What one table says of a host; what it leaves unsaid, a more general table may say.
#[derive(Clone, Debug, Default)]
pub(in crate::fleet) struct HostSettings {
    pub(super) target: Option<String>,
    pub(super) user: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) system: Option<String>,
    pub(super) kind: Option<Spanned<Kind>>,
    pub(super) role: Option<Spanned<String>>,
    pub(super) tags: BTreeSet<String>,
    pub(super) archived: Option<bool>,
    pub(super) elevate: Option<Elevate>,
    pub(super) build_on: Option<Spanned<BuildOn>>,
    pub(super) specialisation: Option<String>,
    pub(super) policy: PolicySettings,
    pub(super) health: HealthSettings,
    pub(super) after: Option<Vec<Spanned<HostName>>>,
    pub(super) alone: Option<bool>,
}

/// What one table says of how activations on a host are judged.
#[derive(Clone, Debug, Default)]
pub(in crate::fleet) struct PolicySettings {
    pub(super) activation_timeout: Option<Duration>,
    pub(super) confirm: Option<Duration>,
    pub(super) min_battery: Option<u8>,
    pub(super) failed_units: Option<FailedUnits>,
    pub(super) units: UnitPolicies,
    pub(super) reboots: Option<Reboots>,
    pub(super) reboot_timeout: Option<Duration>,
}

impl PolicySettings {
    fn or(mut self, general: &Self) -> Self {
        self.units.or(&general.units);
        Self {
            activation_timeout: self.activation_timeout.or(general.activation_timeout),
            confirm: self.confirm.or(general.confirm),
            min_battery: self.min_battery.or(general.min_battery),
            failed_units: self.failed_units.or(general.failed_units),
            units: self.units,
            reboots: self.reboots.or(general.reboots),
            reboot_timeout: self.reboot_timeout.or(general.reboot_timeout),
        }
    }

    /// The policy of these settings, and that of `general` where they say nothing.
    fn over(self, general: &Policy) -> Policy {
        Policy {
            activation_timeout: self.activation_timeout.unwrap_or(general.activation_timeout),
            confirm: self.confirm.unwrap_or(general.confirm),
            min_battery: self.min_battery.unwrap_or(general.min_battery),
            failed_units: self.failed_units.unwrap_or(general.failed_units),
            units: self.units,
            reboots: self.reboots.unwrap_or(general.reboots),
            reboot_timeout: self.reboot_timeout.unwrap_or(general.reboot_timeout),
        }
    }
}

impl HostSettings {
    /// These settings, and those of `general` where these say nothing. Tags add up.
    pub(super) fn or(mut self, general: &Self) -> Self {
        self.tags.extend(general.tags.iter().cloned());
        Self {
            target: self.target.or_else(|| general.target.clone()),
            user: self.user.or_else(|| general.user.clone()),
            port: self.port.or(general.port),
            system: self.system.or_else(|| general.system.clone()),
            kind: self.kind.or_else(|| general.kind.clone()),
            role: self.role.or_else(|| general.role.clone()),
            tags: self.tags,
            archived: self.archived.or(general.archived),
            elevate: self.elevate.or(general.elevate),
            build_on: self.build_on.or_else(|| general.build_on.clone()),
            specialisation: self.specialisation.or_else(|| general.specialisation.clone()),
            policy: self.policy.or(&general.policy),
            health: self.health.or(&general.health),
            after: self.after.or_else(|| general.after.clone()),
            alone: self.alone.or(general.alone),
        }
    }

    /// The kind with the place where it is said.
    pub(in crate::fleet) fn kind(&self) -> Option<&Spanned<Kind>> {
        self.kind.as_ref()
    }

    /// Whether it is said where ssh connects to.
    pub(in crate::fleet) fn has_target(&self) -> bool {
        self.target.is_some()
    }

    /// The builder with the place where it is said.
    pub(in crate::fleet) fn build_on(&self) -> Option<&Spanned<BuildOn>> {
        self.build_on.as_ref()
    }

    /// The hosts that go before, each with the place where it is said.
    pub(in crate::fleet) fn after(&self) -> &[Spanned<HostName>] {
        self.after.as_deref().unwrap_or_default()
    }

    /// The host `name` of these settings, with the defaults for all that they leave open, which are those of `[deploy]` for
    /// its policy.
    pub(in crate::fleet) fn into_host(self, name: HostName, kind: Kind, deploy: &Deploy) -> Host {
        // A default such as `after = ["p620"]` does not make p620 wait for itself.
        let after = self.after().iter().map(Spanned::get_ref).filter(|other| **other != name).cloned().collect();
        let build_on = match self.build_on.map(Spanned::into_inner).unwrap_or_default() {
            // A default such as `build-on = "p620"` holds for p620 too, which is then its own target.
            BuildOn::Host(builder) if builder == name => BuildOn::Target,
            other => other,
        };
        Host {
            after,
            alone: self.alone.unwrap_or_default(),
            target: self.target.unwrap_or_else(|| name.to_string()),
            name,
            user: self.user,
            port: self.port,
            system: self.system,
            kind,
            role: self.role.map(Spanned::into_inner),
            tags: self.tags,
            archived: self.archived.unwrap_or_default(),
            elevate: self.elevate.unwrap_or_default(),
            build_on,
            specialisation: self.specialisation,
            policy: self.policy.over(&deploy.policy),
            health: self.health.into_checks(),
        }
    }
}

/// `[ssh]`: how hosts are reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ssh {
    /// The ssh configuration to use in place of the user's, as the file says it.
    pub config_file: Option<PathBuf>,
    /// How long a connection is kept for the next run; zero for not at all.
    pub persist: Duration,
    /// Which host keys are accepted.
    pub host_keys: HostKeys,
    /// How long to wait for a connection: whole seconds, at least one.
    pub connect_timeout: Duration,
}

impl Ssh {
    /// The ssh configuration to use in place of the user's, for a hub at `root`.
    pub fn config_file_in(&self, root: &Path) -> Option<PathBuf> {
        self.config_file.as_ref().map(|file| root.join(file))
    }
}

impl Default for Ssh {
    fn default() -> Self {
        Self {
            config_file: None,
            persist: Duration::from_secs(60),
            host_keys: HostKeys::default(),
            connect_timeout: Duration::from_secs(10),
        }
    }
}

/// `[deploy]`: how deployments run.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Deploy {
    /// How many hosts are worked on at once, where the file says it.
    pub parallel: Option<NonZeroUsize>,
    /// How activations are judged on hosts that say nothing else.
    pub policy: Policy,
    /// In which waves a fleet is deployed.
    pub waves: WavePolicy,
    /// What is run beside a deployment.
    pub hooks: Hooks,
}

/// `[deploy.hooks]`: programs that are told of deployments, each as its words; none where there is none.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Hooks {
    /// Before anything is changed; may refuse the run.
    pub before: Vec<String>,
    /// After a run in which every host is live.
    pub after: Vec<String>,
    /// After any other run.
    pub failed: Vec<String>,
}

/// `[cache]`: the hub's own binary cache.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Cache {
    /// The store that closures are pushed to.
    pub url: Option<CacheUrl>,
    /// The store that hosts substitute from, where they reach the cache by another address.
    pub substituter: Option<CacheUrl>,
    /// The program that uploads in Nix's place, and its first arguments.
    pub upload: Vec<String>,
    /// The key that signs what is pushed, as the file says it.
    pub secret_key_file: Option<PathBuf>,
    /// The keys of the cache that hosts are to accept.
    pub public_keys: Vec<String>,
}

/// `[metrics]`: where runs leave metrics.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Metrics {
    /// The file that they are written to.
    pub file: Option<PathBuf>,
    /// The push gateway, or a group of its metrics.
    pub push: Option<String>,
}

/// `[secrets]`: names of secrets and globs for such, each with what is said of them.
pub type Secrets = Vec<(String, SecretPolicy)>;

/// `[lint]`: what is looked for in files.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Lint {
    /// Files that are not looked at, and directories of such.
    pub exclude: Vec<Glob>,
    /// What is made of the findings of each rule.
    pub levels: Levels,
}

/// `[nix]`: how Nix is called.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Nix {
    /// Settings of Nix by name, with values as `--option` takes them.
    pub options: BTreeMap<String, String>,
    /// How many evaluations run at once, where the file says it.
    pub eval_jobs: Option<NonZeroUsize>,
    /// Whether the flake may set what its `nixConfig` asks for, where the file says it.
    pub accept_flake_config: Option<bool>,
    /// Whether substituters are asked once per run whether they answer.
    pub ask_substituters: bool,
}

impl Default for Nix {
    fn default() -> Self {
        Self { options: BTreeMap::new(), eval_jobs: None, accept_flake_config: None, ask_substituters: true }
    }
}
