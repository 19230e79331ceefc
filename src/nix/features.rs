//! The features of a system: what it could have, what it has, and what each says of others.

use serde::{Deserialize, Serialize};

/// A feature as a system has it: a boolean option below `features`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FeatureLook {
    /// Whether the system has it.
    pub enabled: bool,
    /// The features without which it is of no use.
    pub requires: Vec<String>,
    /// The features beside which it cannot be.
    pub conflicts: Vec<String>,
    /// The roles and tags of the hosts that it is meant for; all, if there is none.
    pub belongs_to: Vec<String>,
}

/// A function of a system, whose answer is its features by their names.
pub(super) const FUNCTION: &str = include_str!("features.nix");
