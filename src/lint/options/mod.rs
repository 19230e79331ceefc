//! The options that NixOS, home-manager and nix-darwin are known to have, and those that a hub declares itself, without evaluating any
//! of them.
//!
//! An index is a part of the program. `dev/options-index` makes it; its first lines say of what and of when it is. Newer modules
//! may have more, so that what it does not have is not wrong for that alone. One that was made from a hub's own inputs goes before it.

mod declared;
mod index;
mod own;
mod setting;
mod value;

pub(super) use declared::{Declared, Link, What, declared};
pub(super) use index::Place;
pub use index::{Found, Index, Listed, Options, index};
pub(super) use own::{Own, Standing, Unsettled};
pub(super) use setting::Setting;
pub(super) use value::{Kind, accepts, item_type, was_never_taken};
