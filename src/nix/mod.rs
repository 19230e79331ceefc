//! Everything that is said to Nix: locking the source, evaluating, building, copying. `version` is the only file that
//! knows how Nix's versions differ.

mod build;
mod closure;
mod copy;
mod eval;
mod flake;
mod log;
mod program;
mod source;
mod store_path;
mod version;

pub use build::{BuildError, GcRoot, build, build_command};
pub use closure::{Closure, PackageChange, closure_command, diff_closures, local_closure};
pub use copy::{CopyError, Source as CopySource, SshAccess, StoreUri, copy};
pub use eval::{EvalError, Evaluation, SystemAttr, evaluate, host_names};
pub use flake::{FlakeRef, FlakeRefError};
pub use log::{BuildState, LogLine};
pub use program::{Nix, NixError, Settings};
pub use source::{Source, lock};
pub use store_path::{STORE_DIR, StorePath, StorePathError};
pub use version::{Flavour, Version};
