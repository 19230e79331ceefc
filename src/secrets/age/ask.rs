//! Whoever can be asked for a passphrase or a touch.

use std::sync::Arc;

use age::secrecy::SecretString;

/// Somebody who can be asked. Each method may be called from any thread; whoever implements it keeps them in order.
pub trait Ask: Send + Sync {
    /// Asks for a passphrase; `what` says of what. Nothing when nobody can be asked, or nobody answers.
    fn passphrase(&self, what: &str) -> Option<SecretString>;
    /// Shows a message, such as a plugin's wish to be touched.
    fn tell(&self, message: &str);
    /// Asks for a decision between two words.
    fn confirm(&self, message: &str, yes: &str, no: Option<&str>) -> Option<bool>;
    /// Asks for something that is no secret.
    fn input(&self, what: &str) -> Option<String>;
}

/// Nobody is there.
#[derive(Clone, Copy, Debug)]
pub struct Nobody;

impl Ask for Nobody {
    fn passphrase(&self, _: &str) -> Option<SecretString> {
        None
    }

    fn tell(&self, _: &str) {}

    fn confirm(&self, _: &str, _: &str, _: Option<&str>) -> Option<bool> {
        None
    }

    fn input(&self, _: &str) -> Option<String> {
        None
    }
}

/// The same, as plugins of age call it.
#[derive(Clone)]
pub(super) struct Callbacks(pub(super) Arc<dyn Ask>);

impl age::Callbacks for Callbacks {
    fn display_message(&self, message: &str) {
        self.0.tell(message);
    }

    fn confirm(&self, message: &str, yes: &str, no: Option<&str>) -> Option<bool> {
        self.0.confirm(message, yes, no)
    }

    fn request_public_string(&self, description: &str) -> Option<String> {
        self.0.input(description)
    }

    fn request_passphrase(&self, description: &str) -> Option<SecretString> {
        self.0.passphrase(description)
    }
}
