//! An answer, and how it was come by.

use crate::nix::Changed;

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

impl std::fmt::Display for Whence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kept => f.write_str("nothing that it was read from has changed"),
            Self::Evaluated(Reason::NotUsed(why)) => write!(f, "the cache was not used: {why}"),
            Self::Evaluated(Reason::First) => {
                f.write_str("it was not evaluated with this Nix and these settings before")
            }
            Self::Evaluated(Reason::Changed(changed)) => changed.fmt(f),
            Self::Evaluated(Reason::DerivationGone) => f.write_str("its derivation is gone from the store"),
        }
    }
}
