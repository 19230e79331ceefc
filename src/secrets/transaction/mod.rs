//! Files that change all at once or not at all, whatever happens meanwhile.
//!
//! What is to become of each file is written beside it first, under a hidden name, and made to last. Then a journal says what is
//! meant; from there on each file takes the place of the old one by an exchange of names, so that the old one is still there. What
//! a run leaves behind when it is killed is finished or taken back by the next one, before it looks at anything.

mod change;
mod disk;
mod journal;
mod spool;
mod store;
#[cfg(test)]
mod tests;

pub use change::{Change, Content, Seen};
pub use disk::{Disk, Step};
pub(crate) use disk::{open as open_file, read as read_file};
pub use spool::{Spool, Spooled};
pub use store::{Recovered, Store, seen};
