//! Carrying out a run: a straight list of steps per host, hosts side by side under one supervisor.

mod activate;
mod build;
mod cache;
mod context;
mod copy;
mod fan_out;
mod guarded;
mod health;
mod host;
mod lock;
mod log;
mod long;
mod prepare;
mod reach;
mod reboot;
mod settle;
mod space;
mod specialisation;
mod stop;
mod supervisor;
mod told;

pub use cache::HubCache;
pub use context::{Builders, Context, Job, Machines, Places, Wants, target_of};
pub use fan_out::fan_out;
pub use health::{Tries, check_health};
pub use host::{HostPart, Planned};
pub use lock::{Holder, held_since, holder};
pub use prepare::{Origin, Prepared, Wanted};
pub use reach::{Access, reach};
pub use stop::Stop;
pub use supervisor::{Signals, execute, plan};
pub use told::Told;
