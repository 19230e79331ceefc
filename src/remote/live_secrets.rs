//! The secrets that a host has in the clear: whether they are there, whose they are and who may read them. What is in them stays there.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use super::script::{Remote, RunError};
use crate::process::shell_quote;

/// How long a host may take to answer.
const DEADLINE: Duration = Duration::from_secs(30);

/// How often what was just activated is looked for, once a second: a service may be what puts it there.
pub const PATIENT: u32 = 5;

/// A place for a secret on a host.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LiveSecret {
    /// Where it is to be.
    pub path: String,
    /// What is there; nothing where nothing is.
    pub file: Option<LiveFile>,
}

/// The file of a secret.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LiveFile {
    /// Its mode, in octal.
    pub mode: String,
    /// The number and the name of its owner.
    pub owner: [String; 2],
    /// The number and the name of its group.
    pub group: [String; 2],
    /// How many bytes it has.
    pub bytes: Option<u64>,
}

impl LiveFile {
    /// Whether everybody on the host may read it.
    pub fn is_world_readable(&self) -> bool {
        u32::from_str_radix(&self.mode, 8).is_ok_and(|bits| bits & 0o004 != 0)
    }
}

/// Looks for the files in `paths`, so many times; with `others` also for all that lies where agenix and sops-nix put theirs. As root, since
/// not everybody may look there.
pub async fn live_secrets(
    remote: &Remote,
    paths: &BTreeSet<&str>,
    tries: u32,
    others: bool,
) -> Result<Vec<LiveSecret>, RunError> {
    let each = paths.iter().fold(String::new(), |each, path| each + "  \"$1\" " + &shell_quote(path) + "\n");
    let others = if others { "1" } else { "" };
    let script =
        format!("each() {{\n{each}  :\n}}\ntries={tries} others={others}\n{}", include_str!("live_secrets.sh"));
    let script = remote.script(&script).as_root().deadline(DEADLINE);
    let (_, printed) = remote.run(&script).await?;
    Ok(parse(&printed))
}

fn parse(printed: &str) -> Vec<LiveSecret> {
    let mut found: Vec<_> = printed.lines().filter_map(parse_line).collect();
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found.dedup_by(|one, other| one.path == other.path);
    found
}

fn parse_line(line: &str) -> Option<LiveSecret> {
    if let Some(path) = line.strip_prefix("missing=") {
        return Some(LiveSecret { path: path.to_owned(), file: None });
    }
    let mut words = line.strip_prefix("there=")?.splitn(7, ' ').map(str::to_owned);
    let mut next = || words.next();
    let (mode, owner, group) = (next()?, [next()?, next()?], [next()?, next()?]);
    let (bytes, path) = (next()?.parse().ok(), next()?);
    Some(LiveSecret { path, file: Some(LiveFile { mode, owner, group, bytes }) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_tells_is_read() {
        let printed = "motd\nthere=400 0 root 30 keys 12 /run/agenix/wi fi\nmissing=/run/agenix/gone\n\
                       there=444 1 me 1 us 0 /run/agenix/a\nthere=444 1 me 1 us 0 /run/agenix/a\nthere=1 2\n";
        let found = parse(printed);
        let paths: Vec<_> = found.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(paths, ["/run/agenix/a", "/run/agenix/gone", "/run/agenix/wi fi"]);
        assert_eq!(found[1].file, None);
        let file = found[2].file.as_ref().unwrap();
        assert_eq!((file.mode.as_str(), file.owner[1].as_str(), file.bytes), ("400", "root", Some(12)));
        assert!(!file.is_world_readable() && found[0].file.as_ref().unwrap().is_world_readable());
    }

    proptest::proptest! {
        #[test]
        fn no_answer_breaks_the_reader(line in ".*") {
            let _ = parse(&format!("there={line}\nmissing={line}"));
        }
    }
}
