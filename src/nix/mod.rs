//! Everything that is said to Nix: locking the source, evaluating, building, copying. `version` is the only file that
//! knows how Nix's versions differ.

mod ballast;
mod build;
mod closure;
mod copy;
mod derivation;
mod eval;
mod fingerprint;
mod flake;
mod footprint;
mod git;
mod log;
mod observe;
mod own_cache;
mod path_literals;
mod program;
mod source;
mod store_path;
mod traces;
mod tree;
mod unseen;
mod validity;
mod version;
mod watch;

pub use ballast::{Ballast, Weight};
pub use build::{BuildError, GcRoot, build, build_command};
pub use closure::{Closure, PackageChange, closure_command, diff_closures, local_closure};
pub use copy::{CopyError, Source as CopySource, SshAccess, StoreUri, copy};
pub use eval::{EvalError, Evaluation, Query, SystemAttr, ask};
pub use fingerprint::{fingerprint, moment};
pub use flake::{FlakeRef, FlakeRefError};
pub use footprint::{Blind, Changed, Conditions, Footprint, Wanted, holds};
pub use log::{BuildState, LogLine};
pub use observe::{Observed, ask_watched};
pub use program::{Nix, NixError, Settings};
pub use source::{Source, lock};
pub use store_path::{STORE_DIR, StorePath, StorePathError};
pub use tree::Tree;
pub use unseen::{Missed, Unseen, missed, unseen, unseen_hint};
pub use validity::Validity;
pub use version::{Flavour, Version};
