//! New values for secrets: which are due, what has to change along with them, and when that was done, without any value.

mod care;
mod record;
mod since;
mod standing;
mod target;

pub use care::{Care, Policy};
pub use record::{Record, Rotation};
pub use since::last_changes;
pub use standing::{Known, Standing, standing};
pub use target::Target;
