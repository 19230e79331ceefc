//! Secrets in the repository: who can read which, and how they change all at once or not at all.

pub mod age;
mod bind_rules;
pub mod edit_rules;
mod error;
mod format;
pub mod generate;
mod git;
mod guard;
mod hosts;
#[cfg(test)]
mod mutated;
mod past;
pub mod rotation;
mod rules;
mod scratch;
pub mod sops;
mod status;
mod to_rotate;
pub mod transaction;
mod vault;

pub use bind_rules::{bind, identifier};
pub use error::SecretsError;
pub use format::{Format, FormatError};
pub use git::{InGit, git_state, state_dir};
pub use guard::{Leak, LeakKind, leaks, leaks_among};
pub use hosts::{is_of_host, keys_of_host};
pub use past::{ever_readable, ever_readable_sops};
pub use rules::{Rule, Rules};
pub use scratch::{Scratch, ScratchError};
pub use status::{Condition, Report, Row, report};
pub use to_rotate::{Due, ToRotate};
pub use vault::{Plan, Sealed, Vault, WHOLE};
