//! What can be known of Nix files without evaluating them.
//!
//! Each file is read and parsed once. A parse that failed gives one finding, since what follows the first error of a file is
//! mostly its echo. Of a whole tree, what Nix itself checks before it evaluates is checked the same way: attributes that are
//! defined twice, and names that nothing defines.

// Clippy does not look for it in tests.
#![cfg_attr(
    not(test),
    expect(clippy::enum_glob_use, reason = "the kinds of a grammar's parts have prefixes of their own")
)]

mod attributes;
mod draw;
mod file;
mod finding;
mod globals;
mod guard;
mod parse;
mod run;
mod scope;
mod source;
mod structure;
mod syntax;

pub use draw::draw;
pub use finding::{Finding, Related, Severity};
pub use run::{Checked, Report, check_syntax};
pub use source::{Position, Source};
