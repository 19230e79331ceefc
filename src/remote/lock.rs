//! The lock of a host: one deployment at a time changes it, and everybody else is told whose it is.
//!
//! It is a link in the host's `/run/hubctl`, or what the platform has in its place, whose text names the deployment, its begin and its owner. Its time of change is
//! when the owner was last heard of, by the host's own clock.

use std::time::Duration;

use serde::Serialize;

use super::script::{Remote, RunError, Script};
use crate::nix::StorePath;
use crate::process::shell_quote;

/// How long a host may take to answer. What it is asked for takes milliseconds.
const DEADLINE: Duration = Duration::from_secs(30);

/// How long giving a lock back may keep a run from its end. One that is not given back is found abandoned.
const RELEASE_DEADLINE: Duration = Duration::from_secs(5);

/// A shell function that removes the lock if its text begins with `$1`, and leaves it alone otherwise, whoever else is at it.
pub(super) const UNLOCK: &str = include_str!("unlock.sh");

/// A lock as the host shows it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Lock {
    /// The deployment's id.
    pub id: String,
    /// Who deploys, as `user@machine`.
    pub owner: String,
    /// Since when, in seconds since 1970.
    pub since: i64,
    /// How long ago its owner was heard of last, in seconds.
    pub age: u64,
}

/// What came of trying to take a lock.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Taken {
    /// It is ours, and this is what the host runs.
    Ours(Standing),
    /// Somebody else has it.
    Held(Lock),
}

/// What a host runs, as far as it decides what is left to do there.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Standing {
    /// Changes with each boot.
    pub boot_id: Option<String>,
    /// The toplevel that runs.
    pub current: Option<StorePath>,
    /// The toplevel that is the boot default.
    pub profile: Option<StorePath>,
}

/// Why a lock was neither taken nor found taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The host did not answer.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The host cannot make it.
    #[error("the host cannot be locked: {0}")]
    Impossible(String),
}

/// What came of removing somebody else's lock.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Broken {
    /// It is gone.
    Gone,
    /// An activation is under way, which the lock protects.
    Busy,
    /// It has become somebody else's.
    Held(Lock),
}

impl Lock {
    /// Reads `AGE ID SINCE OWNER`.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut words = line.splitn(4, ' ');
        let (age, id, since, owner) = (words.next()?, words.next()?, words.next()?, words.next()?);
        // A clock that was set back makes the age negative.
        let age = age.parse::<i64>().ok()?.try_into().unwrap_or_default();
        Some(Self { id: id.to_owned(), owner: owner.to_owned(), since: since.parse().ok()?, age })
    }

    /// The text of the link.
    fn text(&self) -> String {
        format!("{} {} {}", self.id, self.since, self.owner)
    }
}

/// Takes the lock of the host at `remote` for the deployment `id` of `owner`. Taken again, it stays as it is.
pub async fn take_lock(remote: &Remote, id: &str, owner: &str) -> Result<Taken, LockError> {
    let text = format!(
        include_str!("lock.sh"),
        dialect = remote.platform().dialect(),
        id = shell_quote(id),
        owner = shell_quote(owner)
    );
    let (ran, printed) = remote.run(&Script::new(text).as_root().deadline(DEADLINE)).await?;
    parse_taken(&printed).unwrap_or_else(|| {
        let said = ran.stderr.lines().chain(printed.lines()).next().unwrap_or("it says nothing");
        Err(LockError::Impossible(said.to_owned()))
    })
}

/// Shows that whoever holds the lock as `id` is there.
pub async fn keep_lock(remote: &Remote, id: &str) -> Result<(), RunError> {
    let prefix = shell_quote(id);
    let text = format!("case $(readlink \"$hub/lock\") in {prefix}' '*) touch -c -h \"$hub/lock\" ;; esac");
    remote.run(&remote.script(&text).as_root().deadline(DEADLINE)).await.map(drop)
}

/// Gives the lock of the deployment `id` back; one that is somebody else's by now stays.
pub async fn release_lock(remote: &Remote, id: &str) -> Result<(), RunError> {
    let text = format!("{}\nrmdir \"$hub\" 2>/dev/null\n:", release_script(id));
    remote.run(&remote.script(&text).as_root().deadline(RELEASE_DEADLINE)).await.map(drop)
}

/// The part of a script that gives the lock of the deployment `id` back.
pub(super) fn release_script(id: &str) -> String {
    format!("{UNLOCK}\nunlock {}' '", shell_quote(id))
}

/// Removes this very lock, which is somebody else's; where `idle`, only while no activation that it protects is under way.
pub async fn break_lock(remote: &Remote, lock: &Lock, idle: bool) -> Result<Broken, RunError> {
    let wait = if idle { "activating && { echo hubctl-lock:busy; exit; }\n" } else { "" };
    let text = format!(
        "{UNLOCK}\n{wait}unlock {}\nheld=$(readlink \"$hub/lock\")\n\
         [ -z \"$held\" ] || printf 'hubctl-lock:held 0 %s\\n' \"$held\"\nrmdir \"$hub\" 2>/dev/null\n:",
        shell_quote(&lock.text())
    );
    let (_, printed) = remote.run(&remote.script(&text).as_root().deadline(DEADLINE)).await?;
    let answer = printed.lines().find_map(|line| line.strip_prefix("hubctl-lock:")).unwrap_or_default();
    Ok(match answer {
        "busy" => Broken::Busy,
        other => other.strip_prefix("held ").and_then(Lock::parse).map_or(Broken::Gone, Broken::Held),
    })
}

fn parse_taken(printed: &str) -> Option<Result<Taken, LockError>> {
    let answer = printed.lines().find_map(|line| line.strip_prefix("hubctl-lock:"))?;
    let (word, rest) = answer.split_once(' ').unwrap_or((answer, ""));
    match word {
        "taken" => Some(Ok(Taken::Ours(Standing::parse(printed)))),
        "held" => Lock::parse(rest).map(|lock| Ok(Taken::Held(lock))),
        "failed" => Some(Err(LockError::Impossible(rest.to_owned()))),
        _ => None,
    }
}

impl Standing {
    fn parse(printed: &str) -> Self {
        let mut standing = Self::default();
        for (key, value) in printed.lines().filter_map(|line| line.split_once('=')) {
            match key {
                "boot-id" => standing.boot_id = Some(value.to_owned()).filter(|id| !id.is_empty()),
                "current" => standing.current = StorePath::containing(value).ok(),
                "profile" => standing.profile = StorePath::containing(value).ok(),
                _ => {}
            }
        }
        standing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_read_and_written() {
        let lock = Lock::parse("12 20260131-120000-0f3a 1760000000 mary ann@desk").unwrap();
        assert_eq!((lock.age, lock.since, lock.owner.as_str()), (12, 1_760_000_000, "mary ann@desk"));
        assert_eq!(lock.text(), "20260131-120000-0f3a 1760000000 mary ann@desk");
        assert_eq!(Lock::parse("-3 x 1 me@here").unwrap().age, 0);
        for damaged in ["", "1 x", "1 x y me@here", "x x 1 me@here"] {
            assert_eq!(Lock::parse(damaged), None, "{damaged}");
        }
    }

    #[test]
    fn the_hosts_answers_are_told_apart() {
        let toplevel = "/nix/store/0i3kvkpqpr1i9zx4dbdzvj6dcpqnmhhb-nixos-system-p620-25.11";
        let printed = format!("motd\nhubctl-lock:taken\nboot-id=b\ncurrent={toplevel}\nprofile=");
        let Some(Ok(Taken::Ours(standing))) = parse_taken(&printed) else { panic!("not taken") };
        let current = Some(toplevel.parse().unwrap());
        assert_eq!(standing, Standing { boot_id: Some("b".to_owned()), current, profile: None });
        let Some(Ok(Taken::Held(lock))) = parse_taken("hubctl-lock:held 3 a-b-c 17 me@here") else {
            panic!("not held")
        };
        assert_eq!((lock.id.as_str(), lock.age), ("a-b-c", 3));
        let failed = parse_taken("hubctl-lock:failed ln: read-only").unwrap().unwrap_err();
        assert_eq!(failed.to_string(), "the host cannot be locked: ln: read-only");
        assert!(parse_taken("nothing of the kind").is_none());
    }
}
