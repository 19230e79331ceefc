//! Programs that have the terminal for a while, in place of the view.

use std::io::{Write as _, stdout};

use ratatui::crossterm::terminal::enable_raw_mode;
use tokio::signal::unix::Signal;

use super::terminal::{Input, give_back};
use crate::process::{Cmd, End};

/// Gives the terminal to `cmd`, which the user knows as `told`, and gives what came of it. The view has to take the terminal again.
pub(super) async fn run(cmd: &Cmd, told: &str) -> String {
    give_back();
    say(&format!("$ {told}\n"));
    match cmd.foreground().await {
        Ok(()) => format!("`{told}` ended well"),
        Err(failure) => match failure.end {
            End::Code(code) => format!("`{told}` ended with exit code {code}"),
            end => format!("`{told}` {end}"),
        },
    }
}

/// Leaves what was printed on the screen until a key is pressed, or the user wants an end.
pub(super) async fn pause(input: &mut Input, terminate: &mut Signal) {
    say("\n(any key goes back to the view) ");
    // What cannot be waited for is not.
    if enable_raw_mode().is_err() {
        return;
    }
    loop {
        tokio::select! {
            typed = input.next() => match typed {
                Ok(typed) if typed.keys.is_empty() => {}
                _ => break,
            },
            _ = terminate.recv() => break,
        }
    }
    // What is printed there later begins in a line of its own; no line ends by itself as keys are read now.
    say("\r\n");
}

/// A terminal that is gone is told of where the view draws.
fn say(text: &str) {
    let mut out = stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
