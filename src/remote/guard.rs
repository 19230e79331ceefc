//! Taking an activation back that nobody confirms.
//!
//! Before a system is activated, a transient timer of systemd is armed on the host; where there is no systemd, a process that
//! sleeps. It belongs to PID 1, needs neither network nor agent nor anything of the new system, and brings back exactly the
//! generation that was on record when it was armed. It runs out a while after the activation ended, or when that takes too long,
//! and only a confirmation keeps it from going off.

use std::time::Duration;

use super::platform::Platform;
use super::script::{Remote, RunError};
use crate::process::shell_quote;

/// How long one command waits for a host to be back on its old system before it is asked anew.
const WAIT: Duration = Duration::from_secs(20);

/// How much longer the command may take.
const SLACK: Duration = Duration::from_secs(20);

/// When an activation is taken back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Guard {
    /// How long after its end it waits for the confirmation: whole seconds, at least one.
    pub confirm: Duration,
    /// How long it may take, confirmation included.
    pub patience: Duration,
}

/// What became of a guarded activation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Guarded {
    /// It waits for the confirmation.
    Armed,
    /// It is confirmed.
    Confirmed,
    /// It is being taken back.
    Reverting,
    /// It was taken back.
    Reverted(Revert),
    /// The host knows nothing of it: it was booted since.
    Gone,
}

/// How taking an activation back ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Revert {
    /// Whether the host runs its old system.
    pub complete: bool,
    /// The exit code of the old system's `switch-to-configuration`.
    pub code: i32,
    /// Why it was taken back.
    pub reason: String,
}

/// The part of a start script that arms what takes the activation `id` back.
pub(super) fn arm_script(platform: Platform, id: &str, guard: Option<Guard>) -> String {
    let Some(guard) = guard else { return String::new() };
    platform.arm_script(id, guard.confirm.as_secs().max(1), guard.patience.as_secs().max(1))
}

/// The part of a start script that takes back what [`arm_script`] did.
pub(super) fn disarm_script(id: &str, guard: Option<Guard>) -> String {
    if guard.is_none() {
        return String::from(":");
    }
    format!("disarm {id} revert\n  rm -f \"$roots/hubctl-{id}\"")
}

/// The part of a script that confirms the activation `id`, unless it is being taken back already.
fn confirm_text(id: &str) -> String {
    format!(
        "d=$hub/{id}\nif [ -d \"$d\" ] && ln -s confirmed \"$d/decided\" 2>/dev/null; then\n\
         disarm {id} revert confirm longer\n\
         rm -f \"$roots/hubctl-{id}\" \"$hub/reverted\" /var/lib/hubctl/reverted\n\
         [ ! -d /var/lib/hubctl ] || rmdir /var/lib/hubctl 2>/dev/null\nfi"
    )
}

/// The part of a start script that confirms the activation `id`, and declines where that is not to be confirmed any more.
pub(super) fn confirm_script(id: Option<&str>) -> String {
    let Some(id) = id else { return String::new() };
    let (confirm, told) = (confirm_text(id), told_text(id));
    format!("{confirm}\n{told}\n[ \"$guarded\" = confirmed ] || answer unconfirmed \"$guarded\"")
}

/// Confirms the activation `id`, unless it is being taken back already. Asked again, it gives the same answer.
pub async fn confirm(remote: &Remote, id: &str) -> Result<Guarded, RunError> {
    ask(remote, id, &confirm_text(id), SLACK).await
}

/// Gives the activation `id` another `limit` until it must be confirmed, unless it is being taken back already. Asked again, it
/// gives it no more.
pub async fn prolong(remote: &Remote, id: &str, limit: Duration) -> Result<Guarded, RunError> {
    let script = format!(
        "d=$hub/{id}\nlonger() {{ is_armed {id} longer || sh \"$d/rearm\" {} -longer; }}\n\
         if [ -e \"$d/rearm\" ] && [ ! -L \"$d/decided\" ] && longer; then\n\
         disarm {id} revert confirm\nfi",
        limit.as_secs().max(1)
    );
    ask(remote, id, &script, SLACK).await
}

/// Has the activation `id` taken back now, for `reason`. What comes of it, [`settled_guard`] tells.
pub async fn take_back(remote: &Remote, id: &str, reason: &str) -> Result<Guarded, RunError> {
    let reason = shell_quote(reason);
    let script = format!(
        "d=$hub/{id}\nif [ -d \"$d\" ] && [ ! -L \"$d/decided\" ]; then\n\
         revert_now {id} {reason}\n\
         n=50\nwhile [ $n -gt 0 ] && [ ! -L \"$d/decided\" ]; do n=$((n - 1)); sleep 0.1; done\nfi"
    );
    ask(remote, id, &script, SLACK).await
}

/// What became of the activation `id`. Where it is being taken back, waits for the end of that for a while.
pub async fn settled_guard(remote: &Remote, id: &str) -> Result<Guarded, RunError> {
    let script = format!(
        "d=$hub/{id}\nn={}\n\
         while [ $n -gt 0 ] && [ \"$(readlink \"$d/decided\")\" = reverting ] && [ ! -e \"$d/result\" ]; do\n\
         n=$((n - 1))\nsleep 0.1\ndone",
        WAIT.as_millis() / 100
    );
    ask(remote, id, &script, WAIT + SLACK).await
}

/// The part of a script that finds out what became of the activation `id`, into `guarded`.
fn told_text(id: &str) -> String {
    format!(
        "d=$hub/{id}\ndecided=$(readlink \"$d/decided\")\n\
         # What takes it back may end between the two looks.\n\
         [ \"$decided\" != reverting ] || reverts {id} || [ -e \"$d/result\" ] || decided=gone\n\
         if [ -e \"$d/result\" ]; then guarded=\"result $(cat \"$d/result\")\"\n\
         elif [ -n \"$decided\" ]; then guarded=$decided\n\
         elif waits {id}; then guarded=armed\n\
         else guarded=gone\nfi"
    )
}

/// Runs `script` on the host, and tells what became of the activation `id`.
async fn ask(remote: &Remote, id: &str, script: &str, deadline: Duration) -> Result<Guarded, RunError> {
    let told = told_text(id);
    let text = format!("{script}\n{told}\nprintf 'hubctl-guard:%s\\n' \"$guarded\"");
    let script = remote.script(&text).as_root().deadline(deadline);
    let (_, printed) = remote.run(&script).await?;
    let answer = printed.lines().find_map(|line| line.strip_prefix("hubctl-guard:")).unwrap_or_default();
    Ok(parse(answer))
}

/// Reads what the host says of it.
pub(super) fn parse(answer: &str) -> Guarded {
    let (word, rest) = answer.split_once(' ').unwrap_or((answer, ""));
    match word {
        "armed" => Guarded::Armed,
        "confirmed" => Guarded::Confirmed,
        "reverting" => Guarded::Reverting,
        "result" => parse_result(rest).map_or(Guarded::Gone, Guarded::Reverted),
        _ => Guarded::Gone,
    }
}

/// Reads `reverted 0 REASON`.
fn parse_result(line: &str) -> Option<Revert> {
    let mut words = line.splitn(3, ' ');
    let complete = words.next()? == "reverted";
    let code = words.next()?.parse().ok()?;
    Some(Revert { complete, code, reason: words.next().unwrap_or_default().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        assert_eq!(parse("armed"), Guarded::Armed);
        assert_eq!(parse("gone"), Guarded::Gone);
        let revert = Revert { complete: true, code: 4, reason: "it hung for long".to_owned() };
        assert_eq!(parse("result reverted 4 it hung for long"), Guarded::Reverted(revert));
        assert!(matches!(parse("result stuck 1 x"), Guarded::Reverted(Revert { complete: false, .. })));
    }

    #[test]
    fn without_a_guard_nothing_is_armed() {
        assert_eq!(arm_script(Platform::Nixos, "x", None), "");
        let guard = Guard { confirm: Duration::from_secs(60), patience: Duration::from_secs(1860) };
        let script = arm_script(Platform::Nixos, "7-p620", Some(guard));
        assert!(script.contains("--unit=hubctl-revert-7-p620 --on-active=1860"), "{script}");
        assert!(script.contains("ln -s reverting "), "{script}");
    }
}
