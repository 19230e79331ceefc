//! What can be wrong with a `hub.toml`.

use std::ops::Range;

use crate::error::nearest;
use crate::fleet::shown::{listed, shown};
use crate::fleet::{HostName, Kind};

/// One mistake in a `hub.toml`.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Problem {
    /// The text is no TOML.
    #[error("not valid TOML: {0}")]
    Syntax(String),
    /// A key that nothing reads.
    #[error("unknown key `{}` in {table}", shown(.key))]
    UnknownKey {
        /// The key as written.
        key: String,
        /// The table it stands in.
        table: String,
        /// The keys that the table may have.
        known: Vec<&'static str>,
        /// The table that has a key of this very name.
        home: Option<&'static str>,
        /// Whether the key holds a table, as a dot in a host's name makes it.
        holds_table: bool,
    },
    /// A value that the key cannot take.
    #[error("`{}` in {table} must be {wanted}, not {found}", shown(.key))]
    Unfit {
        /// The key as written.
        key: String,
        /// The table it stands in.
        table: String,
        /// What the key takes.
        wanted: &'static str,
        /// What stands there.
        found: String,
        /// What to write instead.
        advice: String,
    },
    /// A table without the key that it is about.
    #[error("{table} has no `{key}`")]
    Missing {
        /// The key.
        key: &'static str,
        /// The table.
        table: String,
    },
    /// A table's name that cannot name what the table describes.
    #[error("`{}` cannot be the name of a {of}", shown(.name))]
    Name {
        /// The name as written.
        name: String,
        /// What it would name.
        of: &'static str,
    },
    /// A role that would have a role.
    #[error("a role cannot have a role itself")]
    RoleOfRole,
    /// A kind that the flake contradicts.
    #[error("`kind` is `{}`, but {} in the flake's `{}`", word(*said), stand(.hosts), actual.output())]
    WrongKind {
        /// What the file says.
        said: Kind,
        /// What the flake says.
        actual: Kind,
        /// The hosts that the file says it of.
        hosts: Vec<HostName>,
    },
    /// A host to go before that is none.
    #[error("`after` names `{host}`, which is a host neither of this file nor of the flake")]
    UnknownAfter {
        /// The host as written.
        host: HostName,
        /// The host that was probably meant.
        nearest: Option<String>,
    },
    /// Hosts that wait for each other.
    #[error("`after` goes in a circle: {}", circle(.hosts))]
    CircleOfAfter {
        /// The hosts in the order in which each waits for the next, and the last for the first.
        hosts: Vec<HostName>,
    },
    /// What one secret alone can have, for those that a glob names.
    #[error("`[secrets.\"{}\"]` is for several secrets, and only one can have `copies`, `public-key` or `clear`", shown(.glob))]
    OneSecret {
        /// The glob as written.
        glob: String,
    },
    /// A rule that is none.
    #[error("there is no rule `{}`", shown(.rule))]
    UnknownRule {
        /// The rule as written.
        rule: String,
        /// The rule that was probably meant.
        nearest: Option<String>,
    },
    /// A builder that is no host.
    #[error("`build-on` names `{builder}`, which is a host neither of this file nor of the flake")]
    UnknownBuilder {
        /// The builder as written.
        builder: HostName,
        /// The host that was probably meant.
        nearest: Option<String>,
    },
}

impl Problem {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Syntax(_) => None,
            Self::UnknownKey { key, known, home, holds_table, .. } => {
                Some(unknown_key(key, known, *home, *holds_table))
            }
            Self::Unfit { advice, .. } => Some(advice.clone()),
            Self::Missing { key, .. } => Some(format!("say what is checked: `{key} = ...`")),
            Self::Name { of, .. } => Some(format!("a {of} is made of {}", name_rule(of))),
            Self::OneSecret { .. } => {
                Some("give the secret a table of its own; what the glob says holds for it too".into())
            }
            Self::RoleOfRole => {
                Some("give the role to the hosts themselves, in `[hosts.<name>]` or `[defaults]`".into())
            }
            Self::WrongKind { actual, .. } => {
                Some(format!("leave `kind` out, since the flake says it, or write `kind = \"{}\"`", word(*actual)))
            }
            Self::UnknownBuilder { nearest: Some(near), .. }
            | Self::UnknownAfter { nearest: Some(near), .. }
            | Self::UnknownRule { nearest: Some(near), .. } => Some(format!("did you mean `{near}`?")),
            Self::UnknownRule { nearest: None, .. } => Some("`hubctl lint --rules` lists the rules".into()),
            Self::UnknownAfter { nearest: None, .. } => Some("`hubctl hosts` lists the hosts".into()),
            Self::CircleOfAfter { .. } => Some("take one of them out of another's `after`".into()),
            Self::UnknownBuilder { nearest: None, .. } => {
                Some("write \"here\", \"target\" or the name of a host; `hubctl hosts` lists them".into())
            }
        }
    }
}

/// A problem and the bytes of the file that it is about.
pub(super) type Located = (Range<usize>, Problem);

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Nixos => "nixos",
        Kind::Darwin => "darwin",
        Kind::Home => "home",
    }
}

/// `a` after `b` after `a`.
fn circle(hosts: &[HostName]) -> String {
    let all: Vec<String> = hosts.iter().chain(hosts.first()).map(|host| format!("`{host}`")).collect();
    all.join(" after ")
}

fn name_rule(of: &str) -> &'static str {
    match of {
        "Nix option" => "lower-case letters, digits and `-`, with a letter in front",
        "unit" => {
            "letters, digits and `:-_.\\@`, and its kind stands behind it, as in `nginx.service`; or it is a glob, such as `nginx*`"
        }
        "secret" => {
            "any text without control characters; `*`, `?`, `[` and `{` make it a glob, which has to be a right one"
        }
        _ => "letters, digits, `-`, `_` and `.`, with neither `-` nor `.` in front",
    }
}

fn unknown_key(key: &str, known: &[&'static str], home: Option<&'static str>, holds_table: bool) -> String {
    let near = nearest(&key.replace('_', "-").to_lowercase(), known.iter().copied());
    match (home, near) {
        (Some(home), _) => format!("`{key}` is a key of `[{home}]`"),
        (None, Some(near)) => format!("did you mean `{near}`?"),
        (None, None) if holds_table => {
            format!(
                "the keys here are {}; a name with a dot is written in quotes",
                listed(known.iter().copied(), "and")
            )
        }
        (None, None) => format!("the keys here are {}", listed(known.iter().copied(), "and")),
    }
}

/// Names the first hosts and counts the rest: a line in `[defaults]` can be wrong for hundreds.
fn stand(hosts: &[HostName]) -> String {
    const NAMED: usize = 3;
    match hosts {
        [one] => format!("`{one}` stands"),
        _ if hosts.len() <= NAMED => format!("{} stand", listed(hosts.iter().map(HostName::as_str), "and")),
        _ => {
            let named: Vec<String> = hosts[..NAMED].iter().map(|host| format!("`{host}`")).collect();
            format!("{} and {} more stand", named.join(", "), hosts.len() - NAMED)
        }
    }
}
