//! What can be known of Nix files without evaluating them.
//!
//! Each file is read and parsed once. A parse that failed gives one finding, since what follows the first error of a file is
//! mostly its echo. Of a whole tree, what Nix itself checks before it evaluates is checked the same way: attributes that are
//! defined twice, and names that nothing defines. In what is left, rules look for what works and should not stay so.

// Clippy does not look for it in tests.
#![cfg_attr(
    not(test),
    expect(clippy::enum_glob_use, reason = "the kinds of a grammar's parts have prefixes of their own")
)]

mod allow;
mod ask;
mod attributes;
mod baseline;
mod cache;
mod draw;
mod duplication;
mod edit;
mod file;
mod finding;
mod fix;
mod format;
mod forms;
mod globals;
mod guard;
mod hints;
mod junit;
mod option_path;
mod options;
mod parse;
mod rulebook;
mod rules;
mod run;
mod scope;
mod source;
mod statements;
mod structure;
mod syntax;
mod tree;

pub use baseline::{BASELINE, Baseline, BaselineError};
pub use cache::Cache;
pub use draw::draw;
pub use duplication::{Alike, Belongs, Duplication, Figure, Groups, Said, duplication};
pub use finding::{Finding, Fix, Related, Severity};
pub use fix::Fixing;
pub use format::{Formatted, Layout, format, formattable, formatted, nix_among, take, unformatted};
pub use forms::{github, sarif};
pub use guard::deeper_than;
pub use junit::{Suite, junit};
pub use options::{Found, Index, Listed, Options, index};
pub use rulebook::{Level, Levels};
pub use rules::{RULES, Rule, rule};
pub use run::{Before, Checked, Report, Scope, Staged, check_syntax, fix, lint, lint_cached, lint_staged};
pub use source::{Position, Source, floor, within};
