//! What to do with a host, decided by pure functions of the goal, what the host runs, and what the flake wants.

mod checks;
mod decide;
mod drift;
mod goal;
mod matrix;
mod verdict;

pub use checks::{Doubt, KnownMachine, Look, Objection, clock_skew, objection, too_full};
pub use decide::{Action, Decision, Reason, Rule, decide};
pub use drift::{Drift, drift};
pub use goal::{Goal, UnknownGoal};
pub use matrix::{CiJob, Share, share_out};
pub use verdict::{Verdict, Why, verdict};
