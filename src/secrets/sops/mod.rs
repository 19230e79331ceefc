//! The SOPS format with recipients of age, in YAML, JSON, ENV, INI and binary files.
//!
//! A file is a text with places: values and comments that are encrypted one by one, each bound to its path, and a block `sops`
//! with the recipients and a MAC over all values. What does not change keeps its bytes.

mod cipher;
mod error;
mod expected;
mod file;
mod format;
mod json;
mod keys;
mod lines;
mod metadata;
mod open;
mod rule;
mod rules;
mod rules_edit;
mod sources;
mod tree;
mod value;
mod vault;
mod write;
mod yaml;
mod yaml_scalar;
mod yaml_write;

pub use cipher::{DataKey, sealed_length};
pub use error::SopsError;
pub use expected::{Expected, Sealing};
pub use file::{Settings, SopsFile, Variables, create};
pub use format::Format;
pub use rule::Rule;
pub use rules::{FILE as RULES_FILE, SopsRule, SopsRules};
pub use sources::{Source, sources};
pub use tree::{Step, steps};
pub use value::Plain;
pub use vault::{Drift, SopsSecret};
