//! What the tests stand on: a lab of hosts, a hub in a git repository, and the program run in an environment of its own.

mod eventually;
mod finished;
mod hub;
mod lab;
mod mac;
mod processes;
mod screen;
mod server;
mod web_cache;

pub(crate) use eventually::eventually;
pub(crate) use finished::Finished;
pub(crate) use hub::{Hub, Running};
pub(crate) use lab::{Lab, REPOSITORY};
pub(crate) use mac::MAC;
pub(crate) use processes::Processes;
pub(crate) use screen::Screen;
pub(crate) use server::{Server, Status};
pub(crate) use web_cache::WebCache;
