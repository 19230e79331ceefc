//! An answer, and how it was come by.

use std::fmt;

use crate::nix::{Changed, Evaluation};
use crate::state::Kept;

/// An answer, and how it was come by.
#[derive(Clone, Debug)]
pub struct Answer<T> {
    /// The answer.
    pub value: T,
    /// How it was come by.
    pub whence: Whence,
}

/// How an answer was come by.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Whence {
    /// It was found before and holds: nothing that it was read from has changed.
    Kept,
    /// It was evaluated, for this reason.
    Evaluated(Reason),
}

/// Why something was evaluated.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reason {
    /// The cache is not used for this run.
    NotUsed(&'static str),
    /// It was never evaluated with this version and these settings of Nix.
    First,
    /// What it was read from has changed.
    Changed(Changed),
    /// Its derivation is gone from the store.
    DerivationGone,
}

/// What is known of a system without evaluating it.
#[derive(Clone, Debug)]
pub struct Known {
    /// The evaluation that holds now.
    pub evaluation: Option<Evaluation>,
    /// Whether one holds, or why none does.
    pub holds: Result<(), Reason>,
    /// The newest evaluation, whether it holds or not.
    pub newest: Option<Kept>,
}

/// What a fresh evaluation says of the answer that was kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verified {
    /// There is no answer to verify.
    NothingKept,
    /// It is the same.
    Right,
    /// It is another one.
    Wrong {
        /// The answer that was kept, as JSON.
        kept: String,
        /// The toplevel of the fresh one.
        fresh: String,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUsed(why) => write!(f, "the cache was not used: {why}"),
            Self::First => f.write_str("it was not evaluated with this Nix, these inputs and these settings before"),
            Self::Changed(changed) => changed.fmt(f),
            Self::DerivationGone => f.write_str("its derivation is gone from the store"),
        }
    }
}

impl fmt::Display for Whence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept => f.write_str("nothing that it was read from has changed"),
            Self::Evaluated(reason) => reason.fmt(f),
        }
    }
}
