//! What hubctl remembers between runs, in `SQLite`. Losing it loses history, never correctness.

mod ballast;
mod db;
mod deployments;
mod dirs;
mod evaluations;
mod generations;
mod machines;
mod perf;
mod runs;
mod seen;
mod tallies;

pub use db::{State, StateError};
pub use deployments::{Deployment, Filter, HostRecord, new_id};
pub use dirs::StateDirs;
pub use evaluations::{Asked, Cost, Found, Kept};
pub use runs::{RunLock, RunState, Runs, run_of};
pub use seen::Sighting;
pub use tallies::{RunTally, Tally};
