//! The secrets that a host has in the clear, held against what its configuration wants.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::nix::{Sealed, SealedSecret};
use crate::remote::{LiveFile, LiveSecret};

/// A secret on a host.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct HeldSecret {
    /// What the configuration calls it; nothing where it does not know it.
    pub name: Option<String>,
    /// What was looked for, and what is there.
    #[serde(flatten)]
    pub live: LiveSecret,
    /// What is wrong.
    pub problems: BTreeSet<LiveProblem>,
}

/// What can be wrong with a secret on a host.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LiveProblem {
    /// It is not there.
    Missing,
    /// It has no content, although its file in the flake has one.
    Empty,
    /// Its mode is not the one of the configuration.
    OtherMode,
    /// It is not its owner's or its group's that the configuration names.
    OtherOwner,
    /// Everybody on the host may read it.
    WorldReadable,
}

impl LiveProblem {
    /// Whether a service that needs the secret does not have it.
    pub const fn is_lack(self) -> bool {
        matches!(self, Self::Missing | Self::Empty)
    }
}

/// Holds what was `found` on a host against its configuration. `may_be_empty` says of a secret whether its content may be nothing.
pub fn held(sealed: &Sealed, found: Vec<LiveSecret>, may_be_empty: impl Fn(&SealedSecret) -> bool) -> Vec<HeldSecret> {
    let one = |live: LiveSecret| {
        let known = sealed.places().find(|secret| secret.path.as_deref() == Some(live.path.as_str()));
        let problems = match (&live.file, known) {
            (None, _) => BTreeSet::from([LiveProblem::Missing]),
            (Some(file), known) => {
                let is_short = known.is_some_and(|secret| file.bytes == Some(0) && !may_be_empty(secret));
                let wrong = [
                    (is_short, LiveProblem::Empty),
                    (known.is_some_and(|secret| has_other_mode(secret, file)), LiveProblem::OtherMode),
                    (known.is_some_and(|secret| has_other_owner(secret, file)), LiveProblem::OtherOwner),
                    (file.is_world_readable(), LiveProblem::WorldReadable),
                ];
                wrong.into_iter().filter_map(|(is_so, problem)| is_so.then_some(problem)).collect()
            }
        };
        HeldSecret { name: known.map(|secret| secret.name.clone()), live, problems }
    };
    found.into_iter().map(one).collect()
}

/// Whether a mode differs. One that is written in letters is not compared.
fn has_other_mode(secret: &SealedSecret, file: &LiveFile) -> bool {
    let bits = |mode: &str| u32::from_str_radix(mode, 8).ok();
    match (secret.mode.as_deref().and_then(bits), bits(&file.mode)) {
        (Some(wanted), Some(there)) => wanted != there,
        _ => false,
    }
}

fn has_other_owner(secret: &SealedSecret, file: &LiveFile) -> bool {
    let differs = |wanted: Option<&String>, there: &[String; 2]| wanted.is_some_and(|wanted| !there.contains(wanted));
    differs(secret.owner.as_ref(), &file.owner) || differs(secret.group.as_ref(), &file.group)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nix::{SealedSops, SealedValue};

    fn file(mode: &str, owner: &str, bytes: u64) -> LiveFile {
        let [owner, group] = [["7".to_owned(), owner.to_owned()], ["0".to_owned(), "root".to_owned()]];
        LiveFile { mode: mode.to_owned(), owner, group, bytes: Some(bytes) }
    }

    #[test]
    fn what_a_host_has_is_held_against_what_it_should_have() {
        use LiveProblem::{Empty, Missing, OtherMode, OtherOwner, WorldReadable};
        let secret = SealedSecret {
            name: "wifi".to_owned(),
            path: Some("/run/agenix/wifi".to_owned()),
            mode: Some("0440".to_owned()),
            owner: Some("net".to_owned()),
            group: Some("0".to_owned()),
            ..SealedSecret::default()
        };
        let sealed = Sealed { secrets: vec![secret], ..Sealed::default() };
        let told = |path: &str, file: Option<LiveFile>, may_be_empty: bool| {
            let found = vec![LiveSecret { path: path.to_owned(), file }];
            let held = held(&sealed, found, |_| may_be_empty).remove(0);
            (held.name, held.problems.into_iter().collect::<Vec<_>>())
        };
        let wifi = |file, may_be_empty| told("/run/agenix/wifi", file, may_be_empty).1;
        assert_eq!(told("/run/agenix/wifi", Some(file("440", "net", 3)), false), (Some("wifi".to_owned()), vec![]));
        assert_eq!(wifi(None, false), [Missing]);
        assert_eq!(wifi(Some(file("440", "net", 0)), false), [Empty]);
        assert_eq!(wifi(Some(file("440", "net", 0)), true), []);
        assert_eq!(wifi(Some(file("444", "me", 3)), false), [OtherMode, OtherOwner, WorldReadable]);
        assert_eq!(told("/run/secrets/x", Some(file("400", "me", 0)), false), (None, vec![]));
        let place = SealedSecret {
            name: "psk".to_owned(),
            path: Some("/run/secrets/psk".to_owned()),
            mode: Some("0400".to_owned()),
            ..SealedSecret::default()
        };
        let value = SealedValue { place, ..SealedValue::default() };
        let sealed = Sealed { sops: SealedSops { secrets: vec![value], ..SealedSops::default() }, ..Sealed::default() };
        let found = vec![LiveSecret { path: "/run/secrets/psk".to_owned(), file: Some(file("440", "me", 3)) }];
        let told = held(&sealed, found, |_| true).remove(0);
        assert_eq!((told.name.as_deref(), told.problems), (Some("psk"), BTreeSet::from([OtherMode])));
        assert!(Missing.is_lack() && Empty.is_lack() && !OtherMode.is_lack());
    }
}
