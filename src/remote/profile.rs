//! The system profile of a host and its generations.

use jiff::Timestamp;
use serde::Serialize;

use super::script::{Remote, RunError};
use crate::nix::StorePath;

/// The profile whose generations are the systems that a host can boot.
pub(super) const SYSTEM_PROFILE: &str = "/nix/var/nix/profiles/system";

/// A generation of the system profile.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Generation {
    /// Its number.
    pub number: u64,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Its toplevel.
    pub toplevel: StorePath,
    /// The toplevels of its specialisations.
    #[serde(skip)]
    pub specialisations: Vec<StorePath>,
    /// What its `nixos-version` says, its `darwin-version` or its `hm-version`.
    pub version: Option<String>,
}

impl Generation {
    /// Whether this is the system at `path`, or it has a specialisation that is.
    pub fn has(&self, path: &StorePath) -> bool {
        self.toplevel == *path || self.specialisations.contains(path)
    }
}

/// The number in the name of a generation's link, such as `system-42-link`.
pub(super) fn generation_number(link: &str) -> Option<u64> {
    link.rsplit('/').next()?.strip_suffix("-link")?.rsplit_once('-')?.1.parse().ok()
}

/// Lists the generations of the system profile, oldest first.
pub async fn generations(remote: &Remote) -> Result<Vec<Generation>, RunError> {
    let script = "for link in \"$profile\"-*-link; do [ -e \"$link\" ] || continue\n\
                  version=$(cat \"$link/nixos-version\" \"$link/darwin-version\" \"$link/hm-version\" 2>/dev/null)\n\
                  special=$(for one in \"$link\"/specialisation/*; do [ -e \"$one\" ] && real \"$one\"; done | tr '\\n' ' ')\n\
                  printf '%s\\t%s\\t%s\\t%s\\t%s\\n' \"$link\" \"$(changed \"$link\")\" \"$(real \"$link\")\" \"$version\" \"$special\"\ndone";
    let (_, printed) = remote.run(&remote.script(script)).await?;
    let mut found: Vec<_> = printed.lines().filter_map(parse_line).collect();
    found.sort_by_key(|generation| generation.number);
    Ok(found)
}

fn parse_line(line: &str) -> Option<Generation> {
    let mut fields = line.split('\t');
    let number = generation_number(fields.next()?)?;
    let created = fields.next()?.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    let toplevel = StorePath::containing(fields.next()?).ok()?;
    let version = fields.next().map(str::trim).filter(|version| !version.is_empty()).map(str::to_owned);
    let specialisations = fields.next().unwrap_or_default().split_whitespace();
    let specialisations = specialisations.filter_map(|path| StorePath::containing(path).ok()).collect();
    Some(Generation { number, created, toplevel, specialisations, version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_generation() {
        let toplevel = "/nix/store/0i3kvkpqpr1i9zx4dbdzvj6dcpqnmhhb-nixos-system-p620-25.11";
        let line = format!("/nix/var/nix/profiles/system-7-link\t1760000000\t{toplevel}\t25.11");
        let generation = parse_line(&line).unwrap();
        assert_eq!((generation.number, generation.toplevel.as_str()), (7, toplevel));
        assert_eq!(generation.version.as_deref(), Some("25.11"));
        let special = toplevel.replace("25.11", "gaming");
        let generation = parse_line(&format!("{line}\t{special} ")).unwrap();
        assert!(generation.has(&special.parse().unwrap()) && generation.has(&toplevel.parse().unwrap()));
        assert_eq!(parse_line("/nix/var/nix/profiles/system-x-link\t1\t/tmp\t"), None);
    }
}
