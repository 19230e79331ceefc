//! `hubctl status --watch`: the fleet in a view of the whole screen that is kept up to date.
//!
//! The view is a value: [`model::Model`] holds all that is shown, [`update::update`] is the only thing that changes it, by a message at
//! a time, and [`draw::draw`] is a function of it. What is to be done in the world comes out of `update` as effects, which the
//! [`driver`] carries out.

mod asking;
mod draw;
mod draw_fleet;
mod draw_page;
mod driver;
mod flake;
mod foreground;
mod grid;
mod help;
mod keys;
mod model;
mod order;
mod overview;
mod page;
mod pages;
#[cfg(test)]
mod pictures;
#[cfg(test)]
mod samples;
mod terminal;
mod theme;
mod update;

pub(super) use driver::{Wish, run};
pub(super) use terminal::check_terminal;
