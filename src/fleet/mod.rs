//! The fleet: which hosts there are, how to reach and treat them, and how to name a few of them.

mod after;
pub mod config;
mod duration;
mod features;
mod host;
mod inventory;
mod keep_policy;
mod note;
mod policy;
mod select_error;
mod selector;
mod shown;
mod wave_policy;

pub use after::all_before;
pub use duration::parse_age;
pub use features::{Feature, FeatureProblem, check_features, unknown_features};
pub use host::{BuildOn, Host, HostName, HostNameError, Kind};
pub use inventory::{FlakeHosts, Inventory};
pub use keep_policy::{KeepPolicy, keep_since};
pub use note::InventoryNote;
pub use policy::{FailedUnits, Policy, Reboots, UnitPolicies};
pub use select_error::SelectError;
pub use selector::{Selection, Selector};
pub use wave_policy::{Batch, BatchError, OnFailure, WavePolicy, soak_time};
