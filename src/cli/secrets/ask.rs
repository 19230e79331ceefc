//! Asking for passphrases and touches, one question at a time.

use std::sync::{Mutex, PoisonError};

use inquire::{Confirm, Password, PasswordDisplayMode, Text};
use secrecy::SecretString;

use crate::report::Ui;
use crate::secrets::age::Ask;

/// The user at the terminal.
pub(super) struct Terminal {
    ui: Ui,
    /// Held by whoever asks.
    turn: Mutex<()>,
}

impl Terminal {
    pub(super) fn new(ui: Ui) -> Self {
        Self { ui, turn: Mutex::default() }
    }

    fn asked<T>(&self, ask: impl FnOnce() -> Option<T>) -> Option<T> {
        if !self.ui.is_interactive() {
            return None;
        }
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.ui.suspend(ask)
    }
}

impl Ask for Terminal {
    fn passphrase(&self, what: &str) -> Option<SecretString> {
        let question = format!("passphrase of {what}:");
        let mode = PasswordDisplayMode::Hidden;
        let ask = || Password::new(&question).with_display_mode(mode).without_confirmation().prompt().ok();
        self.asked(ask).map(SecretString::from)
    }

    fn tell(&self, message: &str) {
        self.ui.status(message);
    }

    fn confirm(&self, message: &str, yes: &str, no: Option<&str>) -> Option<bool> {
        let help = format!("yes: {yes}; no: {}", no.unwrap_or("no"));
        self.asked(|| Confirm::new(message).with_help_message(&help).prompt().ok())
    }

    fn input(&self, what: &str) -> Option<String> {
        self.asked(|| Text::new(what).prompt().ok())
    }
}
