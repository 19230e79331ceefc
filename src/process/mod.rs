//! The only place that spawns children: each in a process group of its own, with a deadline, stopped by TERM and then
//! KILL, and with command line and end of output in every failure.

mod cancel;
mod child;
mod cmd;
mod failure;
mod group;
mod lines;
mod passing;
mod quote;
#[cfg(target_os = "linux")]
mod view;

pub use cancel::{Cancel, Canceller, Level};
pub use cmd::{Cmd, Output};
pub use failure::{End, Failure};
pub use lines::{LineSink, for_each_line};
pub use passing::is_ignored;
pub use quote::shell_quote;
