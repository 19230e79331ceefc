//! New values for secrets, from the system's source of randomness.
//!
//! A generator is declared, as a word with options, and never a program: whoever can change `hub.toml` is not to run anything here.

mod bcrypt;
mod make;
mod password;
mod sha512_crypt;
mod spec;
mod ssh_key;
mod words;

pub use make::Made;
pub use password::Classes;
pub use spec::{Generator, GeneratorError};
