//! The user's wish to stop, as every waiting place sees it.

use tokio::sync::watch;

/// How urgently the user wants to stop. It only ever rises.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// Not at all.
    #[default]
    None,
    /// At the next point where nothing is left half-done: an activation that began is let end.
    Soft,
    /// At once: children are killed, nothing is waited for.
    Hard,
}

/// The side that decides. Dropping it leaves the level as it is.
#[derive(Debug)]
pub struct Canceller(watch::Sender<Level>);

/// The side that obeys; cheap to clone.
#[derive(Clone, Debug)]
pub struct Cancel(watch::Receiver<Level>);

impl Canceller {
    /// A connected pair.
    pub fn new() -> (Self, Cancel) {
        let (sender, receiver) = watch::channel(Level::None);
        (Self(sender), Cancel(receiver))
    }

    /// Raises the level to `level`, never lowers it.
    pub fn raise(&self, level: Level) {
        self.0.send_if_modified(|current| {
            let raised = level > *current;
            *current = level.max(*current);
            raised
        });
    }

    /// The next level up: what one more Ctrl-C means.
    pub fn escalate(&self) -> Level {
        let next = match *self.0.borrow() {
            Level::None => Level::Soft,
            Level::Soft | Level::Hard => Level::Hard,
        };
        self.raise(next);
        next
    }
}

impl Cancel {
    /// A wish to stop that never comes, for work that nothing supervises.
    pub fn never() -> Self {
        Canceller::new().1
    }

    /// The level now.
    pub fn level(&self) -> Level {
        *self.0.borrow()
    }

    /// Whether the user asked to stop at all.
    pub fn is_requested(&self) -> bool {
        self.level() > Level::None
    }

    /// Waits until the level is `level` or higher; forever, if that never happens.
    pub async fn reached(&self, level: Level) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|current| *current >= level).await.is_err() && self.level() < level {
            std::future::pending::<()>().await;
        }
    }

    /// Does `work`, unless the level is `level` or becomes so before it is done: then it is dropped, and there is none.
    pub async fn unless<T>(&self, level: Level, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.reached(level) => None,
            done = work => Some(done),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_only_rises() {
        let (canceller, cancel) = Canceller::new();
        assert_eq!(canceller.escalate(), Level::Soft);
        assert_eq!(canceller.escalate(), Level::Hard);
        canceller.raise(Level::Soft);
        assert_eq!(cancel.level(), Level::Hard);
    }
}
