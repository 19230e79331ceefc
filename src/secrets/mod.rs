//! Secrets in the repository: who can read which, and how they change all at once or not at all.

pub mod age;
mod error;
mod git;
mod rules;
pub mod sops;
mod status;
pub mod transaction;
mod vault;

pub use error::SecretsError;
pub use git::{InGit, git_state, state_dir};
pub use rules::{Rule, Rules};
pub use status::{Condition, Report, Row, report};
pub use vault::{Plan, Sealed, Vault};
