//! Why words select no hosts.

use crate::error::nearest;

use super::shown::{listed, shown, toml_key};
use super::{HostName, Inventory};

/// Up to this many names are listed in a hint; more are `hubctl hosts`' to show.
const LISTED: usize = 12;

/// Why words select no hosts. [`SelectError::is_no_host`] tells what only found nothing from what is wrong.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SelectError {
    /// A word that names no hosts by any rule.
    #[error("`{}` does not name hosts", shown(.word))]
    Word {
        /// The word.
        word: String,
    },
    /// A glob that cannot be read.
    #[error("`{}` is not a glob: {reason}", shown(.word))]
    Glob {
        /// The word.
        word: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A name that no host has.
    #[error("there is no host `{name}`")]
    UnknownHost {
        /// The name.
        name: HostName,
        /// What was probably meant.
        nearest: Option<String>,
        /// The hosts there are, unless they are too many.
        known: Vec<String>,
    },
    /// A tag that no host has.
    #[error("no host has the tag `{tag}`")]
    UnknownTag {
        /// The tag, without `@`.
        tag: String,
        /// What was probably meant.
        nearest: Option<String>,
        /// The tags there are, unless they are too many.
        known: Vec<String>,
        /// Whether it is a role.
        is_role: bool,
    },
    /// A glob that matches nothing.
    #[error("`{pattern}` matches no host")]
    NoMatch {
        /// The glob.
        pattern: String,
    },
    /// An exclusion that matches nothing, and so would not do what it was written for.
    #[error("`!{pattern}` excludes no host")]
    NothingExcluded {
        /// The glob, without `!`.
        pattern: String,
    },
    /// A glob or tag that matches archived hosts only.
    #[error("`{pattern}` matches archived hosts only")]
    OnlyArchived {
        /// The glob or tag.
        pattern: String,
        /// The archived hosts.
        hosts: Vec<HostName>,
    },
    /// Nothing is left after the exclusions.
    #[error("no host is left to work on")]
    NothingLeft,
}

impl SelectError {
    /// Whether the words are right, but no host was found by them. The other errors are errors of usage.
    pub fn is_no_host(&self) -> bool {
        matches!(self, Self::NoMatch { .. } | Self::OnlyArchived { .. } | Self::NothingLeft)
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Word { .. } | Self::Glob { .. } => {
                "hosts are named as `p620`, `web-*` or `@tag`, each with `!` in front to leave them out".into()
            }
            Self::UnknownHost { nearest: Some(near), .. } | Self::UnknownTag { nearest: Some(near), .. } => {
                format!("did you mean `{near}`?")
            }
            Self::UnknownTag { tag, is_role: true, .. } => format!(
                "`{tag}` is a role; write `tags = [\"{tag}\"]` in `[roles.{}]` of hub.toml to select by it",
                toml_key(tag)
            ),
            Self::UnknownHost { known, .. } if !known.is_empty() => format!("the hosts are {}", sentence(known)),
            Self::UnknownTag { known, .. } if !known.is_empty() => format!("the tags are {}", sentence(known)),
            Self::UnknownTag { .. } => {
                "tags are given in hub.toml, as `tags = [\"edge\"]`; `hubctl hosts` shows them".into()
            }
            Self::OnlyArchived { hosts, .. } => {
                let named = listed(hosts.iter().take(LISTED).map(HostName::as_str), "or");
                format!("an archived host is selected by its name alone: {named}")
            }
            Self::UnknownHost { .. } | Self::NoMatch { .. } | Self::NothingExcluded { .. } | Self::NothingLeft => {
                "`hubctl hosts` lists the hosts, their tags, and which are archived".into()
            }
        }
    }

    pub(super) fn unknown_host(name: &HostName, inventory: &Inventory) -> Self {
        let tag = inventory.tags().contains(name.as_str()).then(|| format!("@{name}"));
        let names: Vec<&str> = inventory.names().map(HostName::as_str).collect();
        let near = nearest(name.as_str(), names.iter().copied()).map(str::to_owned);
        Self::UnknownHost { name: name.clone(), nearest: tag.or(near), known: short(names) }
    }

    pub(super) fn unknown_tag(tag: &str, inventory: &Inventory) -> Self {
        let tags: Vec<&str> = inventory.tags().into_iter().collect();
        let host = inventory.names().find(|name| name.as_str() == tag).map(HostName::to_string);
        let near = nearest(tag, tags.iter().copied()).map(|near| format!("@{near}"));
        let is_role = inventory.roles().contains(tag);
        let nearest = if is_role { None } else { host.or(near) };
        Self::UnknownTag { tag: tag.to_owned(), nearest, known: short(tags), is_role }
    }
}

fn short(names: Vec<&str>) -> Vec<String> {
    if names.len() > LISTED { Vec::new() } else { names.into_iter().map(str::to_owned).collect() }
}

fn sentence(names: &[String]) -> String {
    listed(names.iter().map(String::as_str), "and")
}
