//! Evaluation that is incremental and never wrong: an answer that was found before is taken when nothing that it was read
//! from has changed, and asked for anew in every other case.

mod all_settings;
mod answer;
mod evaluator;
mod locking;
mod turns;
mod work_tree;

pub use answer::{Answer, Known, Reason, Verified, Whence};
pub use evaluator::{Evaluator, Options, Uses, Watcher};
pub use work_tree::WorkTree;
