//! What to do with a host, decided by pure functions of the goal, what the host runs, and what the flake wants.

mod boot;
mod changes;
mod checks;
mod decide;
mod drift;
mod goal;
mod keep;
mod live;
mod matrix;
mod needs;
mod needs_sops;
mod perf;
mod sealed;
mod sealed_sops;
mod sought;
mod verdict;
mod waves;

pub use boot::{Booted, NoWayBack, Trial, WayBack, booted, decide_boot, units_after_boot};
pub use changes::{Changes, Names, Sizes, changes, shared};
pub use checks::{Doubt, KnownMachine, Look, Objection, clock_skew, objection, too_full};
pub use decide::{Action, Decision, Reason, Rule, decide};
pub use drift::{Deployed, Drift, drifts};
pub use goal::{Goal, UnknownGoal};
pub use keep::{Fate, KeptFor, fates};
pub use live::{HeldSecret, LiveProblem, held};
pub use matrix::{CiJob, Share, share_out};
pub use needs::{FileReaders, HostNeeds, HostSecret, HostSecrets, NeedProblem, needs};
pub use needs_sops::SopsReaders;
pub use perf::{Comparison, Judgement, Measure, Measured, compare};
pub use sealed::{SealedFile, unreadable};
pub use sealed_sops::{SopsSource, unreadable_sops};
pub use sought::Sought;
pub use verdict::{Aim, Verdict, Why, verdict};
pub use waves::{Alone, Roles, Wave, WaveReason, Waves};
