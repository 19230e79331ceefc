//! What is done about a system that is live and not well.

/// What becomes of a system whose units fail when it is activated.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum FailedUnits {
    /// It stays, and is told as degraded.
    #[default]
    Tolerate,
    /// It stays, and the host counts as failed.
    Fail,
    /// It is taken back.
    Rollback,
}
