//! Evaluation that is incremental is never wrong: after any edit of any fleet, the answer is what Nix itself would give.
//!
//! No host is contacted and no toplevel is built. Every test compares with Nix, which is asked afresh.
#![expect(clippy::disallowed_methods, reason = "tests run Nix and git as a user would")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod edit;
mod exact;
mod fleet;
mod holes;
mod processes;
mod property;
mod random;
mod world;
