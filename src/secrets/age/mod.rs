//! The age format: who can open a file, by its header alone; encryption and decryption in memory and in a stream.
//!
//! Nothing here knows of a repository. The cryptography is the `age` crate's; what it does not offer, a strict reader of
//! headers, the order in which identities are tried, and keys that are unlocked once, is here.

mod ask;
mod compare;
mod crypt;
mod error;
mod header;
mod identity;
mod key;
mod key_file;
mod recipient;

pub use ask::{Ask, Nobody};
pub use compare::Compared;
pub use crypt::{Armor, encrypt, encrypt_stream};
pub use error::{AgeError, Tried};
pub use header::{HEADER_LIMIT, Header, Stanza};
pub use identity::Identities;
pub use recipient::{Recipient, RecipientKind};
