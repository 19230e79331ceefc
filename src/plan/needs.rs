//! Which host needs which secret, and which it can read: what the hosts' configurations want, held against the rules and the headers of
//! files. No private key takes part.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::needs_sops::{self, SopsReaders};
use super::sealed::is_key_of_host;
use crate::fleet::HostName;
use crate::nix::{Sealed, SealedSecret};
use crate::secrets::age::{Header, Recipient};

/// What a host's configuration wants, and the keys that it is known by.
#[derive(Clone, Debug)]
pub struct HostNeeds {
    /// The host.
    pub host: HostName,
    /// Its public keys.
    pub keys: Vec<Recipient>,
    /// What its system decrypts.
    pub sealed: Sealed,
}

/// Who can read the file of a secret.
#[derive(Clone, Debug, Default)]
pub struct FileReaders {
    /// Whom its rule names, where there is one.
    pub rule: Option<Vec<Recipient>>,
    /// Its header, where there is a file that has one.
    pub header: Option<Header>,
}

/// A host and its secrets.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct HostSecrets {
    /// The host.
    pub host: HostName,
    /// The keys that it is known by.
    pub keys: Vec<String>,
    /// What it needs or can read, by file.
    pub secrets: Vec<HostSecret>,
    /// The names of secrets whose files are not in the flake.
    pub elsewhere: Vec<String>,
    /// What is wrong with the host itself.
    pub problems: Vec<NeedProblem>,
}

/// A secret, as a host has it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct HostSecret {
    /// Its file, below the root.
    pub file: PathBuf,
    /// What the host's configuration calls it; nothing where it does not need it.
    pub names: BTreeSet<String>,
    /// The values that it needs of a file of SOPS; nothing where it takes all of it.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub values: BTreeSet<String>,
    /// Whether the host can read it; nothing where that depends on a key that is not known here.
    pub reads: Option<bool>,
    /// The modes that the configuration gives it.
    pub modes: BTreeSet<String>,
    /// What is wrong.
    pub problems: Vec<NeedProblem>,
}

/// What can be wrong between a host and a secret.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NeedProblem {
    /// The host needs it, and it has no file.
    NoFile,
    /// The host needs a value that the file has not.
    NoValue,
    /// The host needs it, and no rule names it.
    NoRule,
    /// The host needs it, and its key does not open it.
    CannotRead,
    /// The host's key opens it, or will with the next rekey, and the host does not need it.
    MoreThanNeeded,
    /// Everybody on the host may read it.
    WorldReadable,
    /// The host needs secrets, and no key of it is in the rules.
    NoKey,
}

impl HostSecret {
    /// Whether the host's configuration wants it.
    pub fn is_needed(&self) -> bool {
        !self.names.is_empty()
    }
}

impl HostSecrets {
    /// Whether nothing is wrong.
    pub fn is_well(&self) -> bool {
        self.problems.is_empty() && self.secrets.iter().all(|secret| secret.problems.is_empty())
    }
}

/// What `host` needs and can read of `files` and of `sops`, the files of SOPS, which are all that have a rule or are needed.
pub fn needs(
    host: &HostNeeds,
    files: &BTreeMap<PathBuf, FileReaders>,
    sops: &BTreeMap<PathBuf, SopsReaders>,
) -> HostSecrets {
    let (wanted, values) = (&host.sealed.secrets, &host.sealed.sops.secrets);
    let of_agenix = files.iter().filter_map(|(file, readers)| secret(host, file, readers));
    let of_sops = sops.iter().filter_map(|(file, readers)| needs_sops::secret(host, file, readers));
    let secrets = of_agenix.chain(of_sops).collect();
    let elsewhere = host.sealed.places().filter(|one| one.file.is_none()).map(|one| one.name.clone()).collect();
    let uses_host_key = |paths: &[String]| paths.iter().any(|path| is_key_of_host(path));
    let is_keyless = host.keys.is_empty()
        && (uses_host_key(&host.sealed.identities) && wanted.iter().any(|one| one.file.is_some())
            || uses_host_key(&host.sealed.sops.ssh_keys) && values.iter().any(|one| one.place.file.is_some()));
    HostSecrets {
        host: host.host.clone(),
        keys: host.keys.iter().map(Recipient::short).collect(),
        secrets,
        elsewhere,
        problems: is_keyless.then_some(NeedProblem::NoKey).into_iter().collect(),
    }
}

/// A secret as the host has it; nothing where it neither needs it nor can read it.
fn secret(host: &HostNeeds, file: &Path, readers: &FileReaders) -> Option<HostSecret> {
    let of_file = |one: &&SealedSecret| one.file.as_deref().is_some_and(|path| Path::new(path) == file);
    let wanted: Vec<_> = host.sealed.secrets.iter().filter(of_file).collect();
    let is_named = |key: &Recipient| readers.rule.as_ref().is_some_and(|rule| rule.contains(key));
    let opens =
        host.keys.iter().any(|key| readers.header.as_ref().is_some_and(|header| opens(header, key, is_named(key))));
    let is_named = host.keys.iter().any(is_named);
    if wanted.is_empty() && !opens && !is_named {
        return None;
    }
    let has_other_key = host.keys.is_empty() || host.sealed.identities.iter().any(|path| !is_key_of_host(path));
    let reads = if opens { Some(true) } else { (!has_other_key).then_some(false) };
    let (has_rule, has_file) = (readers.rule.is_some(), readers.header.is_some());
    Some(Found { wanted, has_rule, has_file, lacks_value: false, values: BTreeSet::new(), reads }.told(file))
}

/// What was found out about a file for a host, whichever format it has.
pub(super) struct Found<'a> {
    /// What the host makes of it.
    pub(super) wanted: Vec<&'a SealedSecret>,
    pub(super) has_rule: bool,
    pub(super) has_file: bool,
    /// Whether it has not a value that is wanted of it.
    pub(super) lacks_value: bool,
    /// The values that are wanted, where that is not all of it.
    pub(super) values: BTreeSet<String>,
    /// Whether the host can read it, where that is known.
    pub(super) reads: Option<bool>,
}

impl Found<'_> {
    pub(super) fn told(self, file: &Path) -> HostSecret {
        let Self { wanted, has_rule, has_file, lacks_value, values, reads } = self;
        let mut problems = Vec::new();
        if wanted.is_empty() {
            problems.push(NeedProblem::MoreThanNeeded);
        } else {
            let wrong = [
                (!has_rule, NeedProblem::NoRule),
                (!has_file, NeedProblem::NoFile),
                (lacks_value, NeedProblem::NoValue),
                (has_file && reads == Some(false), NeedProblem::CannotRead),
                (wanted.iter().any(|one| one.is_world_readable()), NeedProblem::WorldReadable),
            ];
            problems.extend(wrong.into_iter().filter_map(|(is_so, problem)| is_so.then_some(problem)));
        }
        let names = wanted.iter().map(|one| one.name.clone()).collect();
        let modes = wanted.iter().filter_map(|one| one.mode.clone()).collect();
        HostSecret { file: file.to_path_buf(), names, values, reads, modes, problems }
    }
}

/// Whether a key opens a file of this header. One that leaves no tag does where the rule names it, as far as anybody can tell.
fn opens(header: &Header, key: &Recipient, is_named: bool) -> bool {
    let Some(tag) = key.tag() else { return is_named };
    header.stanzas().iter().any(|one| one.kind.starts_with("ssh-") && one.args.first() == Some(&tag))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::nix::SealedSecret;
    use crate::secrets::age::{Armor, Nobody, encrypt};

    const HOST: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHMl8X4fivnBu+sbRnHNPU2QPo+TFu4SKYByzJS/1Cjl root@p620";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAZGY9b/nS54xGdLb/yAsmTXVgqX16AS+NVADYVVRRj8 other";
    const KEY: &str = "/etc/ssh/ssh_host_ed25519_key";

    fn keys(texts: &[&str]) -> Vec<Recipient> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn file(rule: &[&str], header: &[&str]) -> FileReaders {
        let nobody: Arc<dyn crate::secrets::age::Ask> = Arc::new(Nobody);
        let sealed = (!header.is_empty()).then(|| encrypt(b"x", &keys(header), Armor::Binary, &nobody).unwrap());
        let header = sealed.map(|bytes| Header::of(&bytes).unwrap());
        FileReaders { rule: (!rule.is_empty()).then(|| keys(rule)), header }
    }

    fn host(keys_: &[&str], identities: &[&str], wanted: &[(&str, &str)]) -> HostNeeds {
        let secrets = wanted.iter().map(|(file, mode)| SealedSecret {
            name: file.trim_end_matches(".age").to_owned(),
            file: Some((*file).to_owned()),
            mode: Some((*mode).to_owned()),
            ..SealedSecret::default()
        });
        let identities = identities.iter().map(|path| (*path).to_owned()).collect();
        HostNeeds {
            host: "p620".parse().unwrap(),
            keys: keys(keys_),
            sealed: Sealed { secrets: secrets.collect(), identities, ..Sealed::default() },
        }
    }

    fn told(host: &HostNeeds, readers: FileReaders) -> Option<(Option<bool>, Vec<NeedProblem>)> {
        let found = needs(host, &BTreeMap::from([("a.age".into(), readers)]), &BTreeMap::new()).secrets.pop()?;
        Some((found.reads, found.problems))
    }

    #[test]
    fn a_host_needs_what_it_can_read_and_nothing_else() {
        let needing = host(&[HOST], &[KEY], &[("a.age", "0400")]);
        let idle = host(&[HOST], &[KEY], &[]);
        let (both, other) = ([HOST, OTHER], [OTHER]);
        assert_eq!(told(&needing, file(&both, &both)), Some((Some(true), vec![])));
        assert_eq!(told(&needing, file(&both, &other)), Some((Some(false), vec![NeedProblem::CannotRead])));
        assert_eq!(told(&needing, file(&[], &both)), Some((Some(true), vec![NeedProblem::NoRule])));
        assert_eq!(told(&needing, file(&both, &[])), Some((Some(false), vec![NeedProblem::NoFile])));
        assert_eq!(told(&idle, file(&other, &other)), None);
        assert_eq!(told(&idle, file(&other, &both)), Some((Some(true), vec![NeedProblem::MoreThanNeeded])));
        assert_eq!(told(&idle, file(&both, &other)), Some((Some(false), vec![NeedProblem::MoreThanNeeded])));
        let open = host(&[HOST], &[KEY], &[("a.age", "0444")]);
        assert_eq!(told(&open, file(&both, &both)), Some((Some(true), vec![NeedProblem::WorldReadable])));
    }

    #[test]
    fn what_a_key_opens_that_is_not_known_stays_open() {
        let own = host(&[HOST], &[KEY, "/persist/age.key"], &[("a.age", "0400")]);
        assert_eq!(told(&own, file(&[OTHER], &[OTHER])), Some((None, vec![])));
        let keyless = host(&[], &[KEY], &[("a.age", "0400")]);
        assert_eq!(told(&keyless, file(&[OTHER], &[OTHER])), Some((None, vec![])));
        assert_eq!(needs(&keyless, &BTreeMap::new(), &BTreeMap::new()).problems, [NeedProblem::NoKey]);
        let away = host(&[], &["/persist/age.key"], &[("a.age", "0400")]);
        assert!(needs(&away, &BTreeMap::new(), &BTreeMap::new()).is_well());
        let mut away = host(&[HOST], &[KEY], &[("a.age", "0400")]);
        away.sealed.secrets[0].file = None;
        let found = needs(&away, &BTreeMap::from([("a.age".into(), file(&[OTHER], &[OTHER]))]), &BTreeMap::new());
        assert!(found.is_well() && found.secrets.is_empty() && found.elsewhere == ["a"]);
    }
}
