//! Asking the user before something that cannot be taken back.

use inquire::{Confirm, InquireError, Text};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use super::hub::Hub;
use crate::error::{Error, Kind, Result};
use crate::process::Level;

/// Asks a question that is answered with yes or no; no is the default. Without a terminal nobody can answer it.
pub(super) async fn confirm(hub: &Hub, question: &str) -> Result<()> {
    confirm_or(hub, question, "--yes answers with yes").await
}

/// As [`confirm`], with another `hint` for where nobody can be asked.
pub(super) async fn confirm_or(hub: &Hub, question: &str, hint: &str) -> Result<()> {
    if !hub.ui.is_interactive() {
        return Err(Error::message(Kind::Refused, format!("{question} Nobody can be asked here")).hint(hint));
    }
    let question = question.to_owned();
    let yes = answered(hub, move || Confirm::new(&question).with_default(false).prompt()).await?;
    if yes { Ok(()) } else { Err(declined()) }
}

/// Asks for a text, which only a terminal can give.
pub(super) async fn typed(hub: &Hub, question: String) -> Result<String> {
    answered(hub, move || Text::new(&question).prompt()).await
}

/// What the user answers. One who stops instead has declined.
async fn answered<T: Send + 'static>(
    hub: &Hub,
    ask: impl FnOnce() -> std::result::Result<T, InquireError> + Send + 'static,
) -> Result<T> {
    let modes = tcgetattr(std::io::stdin());
    // On a thread of its own, so that signals are heard meanwhile.
    let Some(answered) = hub.cancel.unless(Level::Soft, tokio::task::spawn_blocking(ask)).await else {
        if let Ok(modes) = modes {
            // A prompt that is left in its middle leaves the terminal without echo. One that is gone needs no modes.
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &modes);
        }
        return Err(declined());
    };
    match answered.map_err(|error| Error::new(Kind::Failed, error))? {
        Err(InquireError::OperationCanceled | InquireError::OperationInterrupted) => Err(declined()),
        answered => answered.map_err(|error| Error::new(Kind::Failed, error)),
    }
}

fn declined() -> Error {
    Error::message(Kind::Cancelled, "nothing was changed")
}
