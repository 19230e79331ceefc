//! Targets: how to reach one, what it runs, and how to make it run something else. Knows targets and store paths, no hosts.

mod absent;
mod activate;
mod boot;
mod connection;
mod elevate;
mod guard;
mod health;
mod local;
mod lock;
mod probe;
mod profile;
mod remains;
mod script;
mod specialisations;
mod ssh;
mod ssh_connection;
mod ssh_error;
mod ssh_options;
mod target;

pub use absent::absent;
pub use activate::{Activation, ActivationError, Ended, ProfileStep, Refusal, Seen, Stage, Work};
pub use boot::{BootGuard, BootWays, OneTime, boot_ways, confirm_boot, forget_boot, settled_boot, take_back_boot};
pub use connection::{Connect, ConnectError, Connection, Executed, Lost, Password};
pub use elevate::{Elevate, Elevation};
pub use guard::{Guard, Guarded, Revert, confirm, prolong, settled_guard, take_back};
pub use health::{Ailment, Check, Claim, Place, longest, run_checks};
pub use local::LocalConnection;
pub use lock::{Broken, Lock, LockError, Standing, Taken, break_lock, keep_lock, release_lock, take_lock};
pub use probe::{Activator, Facts, ProbeError, RebootReason, Space, TakenBack, parse as parse_facts, probe};
pub use profile::{Generation, SYSTEM_PROFILE, generations};
pub use remains::{Remains, forget, remains, settled};
pub use script::{Ran, Remote, RunError, Script};
pub use specialisations::specialisations;
pub use ssh::SshConnector;
pub use ssh_options::{HostKeys, SshOptions, private_runtime_dir};
pub use target::{SshTarget, Target};
