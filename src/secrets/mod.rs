//! Secrets in the repository: who can read which, and how they change all at once or not at all.

pub mod age;
mod error;

pub use error::SecretsError;
