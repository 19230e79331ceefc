//! Activations that outlive the run that began them, and what they leave on the host: a directory each below `/run/hubctl`, or
//! what the platform has in its place.

use std::time::Duration;

use super::lock::release_script;
use super::probe::{Facts, ProbeError, probe_after};
use super::script::{Remote, RunError};
use crate::process::shell_quote;

/// How long one command waits for an activation at most, before the host is asked anew.
const WAIT: Duration = Duration::from_secs(30);

/// How much longer the command may take, on a host that is slow because it activates.
const SLACK: Duration = Duration::from_secs(30);

/// What an activation left on a host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Remains {
    /// The activation's id.
    pub id: String,
    /// Whether it ended and wrote down how.
    pub ended: bool,
    /// For how long nothing happened to it.
    pub age: Duration,
}

/// Waits until no activation is under way at `remote`, for a while and no longer than `limit`. What is the case then, a probe
/// tells.
pub async fn settled(remote: &Remote, limit: Duration) -> Result<(), RunError> {
    let wait = limit.min(WAIT);
    let script = format!(
        "n={}\nwhile [ $n -gt 0 ]; do\nactivating || exit\nn=$((n - 1))\nsleep 0.2\ndone",
        wait.as_millis() / 200 + 1
    );
    remote.run(&remote.script(&script).deadline(wait + SLACK)).await.map(drop)
}

/// What activations left at `remote`.
pub async fn remains(remote: &Remote) -> Result<Vec<Remains>, RunError> {
    let script = "for d in \"$hub\"/*/; do d=${d%/}; [ -d \"$d\" ] || continue\n\
                  [ -e \"$d/exit\" ] && ended=1 || ended=0\n\
                  echo \"${d##*/} $ended $(($(date +%s) - $(changed \"$d\")))\"\ndone\n\
                  for r in \"$roots\"/hubctl-*; do [ -L \"$r\" ] || continue; id=${r##*/hubctl-}\n\
                  [ -d \"$hub/$id\" ] || echo \"$id 1 $(($(date +%s) - $(changed \"$r\")))\"\ndone";
    let (_, printed) = remote.run(&remote.script(script).as_root()).await?;
    Ok(printed.lines().filter_map(parse_line).collect())
}

/// Removes what the activations with these ids left at `remote`. Their output stays in the host's journal.
pub async fn forget(remote: &Remote, ids: &[String]) -> Result<(), RunError> {
    remote.run(&remote.script(&forget_script(ids, None)).as_root()).await.map(drop)
}

/// Removes what the activations with these ids left at `remote`, gives the lock of the deployment `locked` back, and asks what
/// the host runs. What cannot be removed stays behind.
pub async fn forget_and_probe(remote: &Remote, ids: &[String], locked: Option<&str>) -> Result<Facts, ProbeError> {
    probe_after(remote, &forget_script(ids, locked)).await
}

fn forget_script(ids: &[String], locked: Option<&str>) -> String {
    let places = ids.iter().flat_map(|id| {
        let id = shell_quote(id);
        [format!("\"$hub\"/{id}"), format!("\"$roots\"/hubctl-{id}")]
    });
    let places: Vec<_> = places.collect();
    // Who asks for this has told what was taken back.
    let told: Vec<_> = ids.iter().map(|id| format!("{}*", shell_quote(&format!("{id} ")))).collect();
    format!(
        "rm -rf {}\nread -r told <\"$hub/reverted\" && case $told in {}) rm -f \"$hub/reverted\" ;; esac\n{}\n\
         rmdir \"$hub\"; :",
        places.join(" "),
        told.join(" | "),
        locked.map(release_script).unwrap_or_default()
    )
}

fn parse_line(line: &str) -> Option<Remains> {
    let mut words = line.split_whitespace();
    let (id, ended, seconds) = (words.next()?, words.next()?, words.next()?);
    // A clock that was set back makes the age negative.
    let seconds = seconds.parse::<i64>().ok()?.try_into().unwrap_or_default();
    Some(Remains { id: id.to_owned(), ended: ended == "1", age: Duration::from_secs(seconds) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_activation() {
        let remains = parse_line("20260131-120000-0f3a-p620 1 90").unwrap();
        assert_eq!(
            (remains.id.as_str(), remains.ended, remains.age.as_secs()),
            ("20260131-120000-0f3a-p620", true, 90)
        );
        assert_eq!(parse_line("a 0 -5").unwrap().age, Duration::ZERO);
        assert_eq!(parse_line("a"), None);
    }
}
