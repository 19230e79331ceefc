//! The same for sops-nix: files of SOPS name those who can read them, and the values that they have.

use std::path::Path;

use super::needs::{Found, HostNeeds, HostSecret};
use super::sealed::is_key_of_host;
use crate::nix::SealedValue;
use crate::secrets::age::{Recipient, RecipientKind};
use crate::secrets::sops::SopsFile;

/// Who can read a file of SOPS, and what it has.
#[derive(Clone, Debug, Default)]
pub struct SopsReaders {
    /// Whom its rule names, where there is one.
    pub rule: Option<Vec<Recipient>>,
    /// It, where there is one that can be read.
    pub file: Option<SopsFile>,
}

/// A file of SOPS as the host has it; nothing where the host neither needs it nor can read it.
pub(super) fn secret(host: &HostNeeds, file: &Path, readers: &SopsReaders) -> Option<HostSecret> {
    let sealed = &host.sealed.sops;
    let of_file = |one: &&SealedValue| one.place.file.as_deref().is_some_and(|path| Path::new(path) == file);
    let wanted: Vec<_> = sealed.secrets.iter().filter(of_file).collect();
    let there: Vec<Recipient> =
        readers.file.iter().flat_map(SopsFile::recipients).filter_map(|one| one.parse().ok()).collect();
    // Whoever has a host's ssh key opens what is for either form of it; sops-nix opens with one of them.
    let is_for = |list: &[Recipient]| list.iter().any(|one| host.keys.iter().any(|key| key.is_same_key(one)));
    let is_named = is_for(&there) || readers.rule.as_deref().is_some_and(is_for);
    if wanted.is_empty() && !is_named {
        return None;
    }
    let own = own_keys(host);
    let opens = there.iter().any(|one| own.contains(one));
    let has_other_key = own.is_empty()
        || sealed.has_other_keys
        || sealed.ssh_keys.iter().any(|path| !is_key_of_host(path))
        || readers.file.as_ref().is_some_and(|file| !file.foreign().is_empty());
    let reads = if opens { Some(true) } else { (!has_other_key).then_some(false) };
    let lacks_value = readers.file.as_ref().is_some_and(|file| wanted.iter().any(|one| lacks(file, one)));
    let values = wanted.iter().filter(|one| one.is_one_value()).filter_map(|one| one.key.clone()).collect();
    let wanted = wanted.iter().map(|one| &one.place).collect();
    let (has_rule, has_file) = (readers.rule.is_some(), readers.file.is_some());
    Some(Found { wanted, has_rule, has_file, lacks_value, values, reads }.told(file))
}

/// The keys that sops-nix has on the host, as far as they are known.
fn own_keys(host: &HostNeeds) -> Vec<Recipient> {
    let of_age = host.keys.iter().filter(|key| *key.kind() == RecipientKind::X25519).cloned();
    host.keys.iter().filter_map(Recipient::to_age).chain(of_age).collect()
}

/// Whether a file has not the value that is wanted of it.
fn lacks(file: &SopsFile, wanted: &SealedValue) -> bool {
    let Some(key) = wanted.key.as_deref().filter(|_| wanted.is_one_value()) else { return false };
    file.addresses().is_ok_and(|there| !there.iter().any(|(address, _)| address == key))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::nix::{Sealed, SealedSecret, SealedSops};
    use crate::plan::needs::NeedProblem;
    use crate::secrets::age::{Ask, Nobody};
    use crate::secrets::sops::{Format, Settings, create};

    const HOST: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHMl8X4fivnBu+sbRnHNPU2QPo+TFu4SKYByzJS/1Cjl root@p620";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAZGY9b/nS54xGdLb/yAsmTXVgqX16AS+NVADYVVRRj8 other";
    const KEY: &str = "/etc/ssh/ssh_host_ed25519_key";

    fn key(text: &str) -> Recipient {
        text.parse().unwrap()
    }

    fn of_age(text: &str) -> Recipient {
        key(text).to_age().unwrap()
    }

    fn to(recipients: &[Recipient]) -> SopsReaders {
        let nobody: Arc<dyn Ask> = Arc::new(Nobody);
        let (plain, now) = (b"wifi:\n  psk: x\n", jiff::Timestamp::UNIX_EPOCH);
        let text = create(Format::Yaml, plain, &Settings::default(), recipients, &nobody, now).unwrap();
        let file = SopsFile::parse(Format::Yaml, text.as_bytes()).unwrap();
        SopsReaders { rule: Some(recipients.to_vec()), file: Some(file) }
    }

    fn host(wanted: &[(&str, &str)]) -> HostNeeds {
        let place = |mode: &str| SealedSecret {
            name: "wifi".to_owned(),
            file: Some("a.yaml".to_owned()),
            mode: Some(mode.to_owned()),
            ..SealedSecret::default()
        };
        let secrets = wanted.iter().map(|(key, mode)| SealedValue {
            place: place(mode),
            key: Some((*key).to_owned()),
            format: Some("yaml".to_owned()),
        });
        let sops = SealedSops { secrets: secrets.collect(), ssh_keys: vec![KEY.to_owned()], has_other_keys: false };
        HostNeeds { host: "p620".parse().unwrap(), keys: vec![key(HOST)], sealed: Sealed { sops, ..Sealed::default() } }
    }

    fn told(host: &HostNeeds, readers: &SopsReaders) -> Option<(Option<bool>, Vec<NeedProblem>)> {
        secret(host, Path::new("a.yaml"), readers).map(|found| (found.reads, found.problems))
    }

    #[test]
    fn a_host_needs_what_sops_nix_opens_there_and_nothing_else() {
        use NeedProblem::{CannotRead, MoreThanNeeded, NoFile, NoRule, NoValue, WorldReadable};
        let (needing, idle) = (host(&[("wifi/psk", "0400")]), host(&[]));
        assert_eq!(told(&needing, &to(&[of_age(HOST)])), Some((Some(true), vec![])));
        assert_eq!(told(&needing, &to(&[of_age(OTHER)])), Some((Some(false), vec![CannotRead])));
        // What is for the ssh key itself is opened by whoever has that, and not by sops-nix.
        assert_eq!(told(&needing, &to(&[key(HOST)])), Some((Some(false), vec![CannotRead])));
        assert_eq!(told(&idle, &to(&[key(HOST)])), Some((Some(false), vec![MoreThanNeeded])));
        assert_eq!(told(&idle, &to(&[of_age(HOST)])), Some((Some(true), vec![MoreThanNeeded])));
        assert_eq!(told(&idle, &to(&[of_age(OTHER)])), None);
        assert_eq!(told(&needing, &SopsReaders::default()), Some((Some(false), vec![NoRule, NoFile])));
        assert_eq!(told(&host(&[("wifi/pks", "0400")]), &to(&[of_age(HOST)])), Some((Some(true), vec![NoValue])));
        assert_eq!(told(&host(&[("wifi/psk", "0444")]), &to(&[of_age(HOST)])), Some((Some(true), vec![WorldReadable])));
        let values = secret(&needing, Path::new("a.yaml"), &to(&[of_age(HOST)])).unwrap().values;
        assert_eq!(values.into_iter().collect::<Vec<_>>(), ["wifi/psk"]);
    }

    #[test]
    fn keys_that_nobody_here_knows_may_open_it() {
        let mut other = host(&[("wifi/psk", "0400")]);
        other.sealed.sops.has_other_keys = true;
        assert_eq!(told(&other, &to(&[of_age(OTHER)])), Some((None, vec![])));
        let mut keyless = host(&[("wifi/psk", "0400")]);
        keyless.keys.clear();
        assert_eq!(told(&keyless, &to(&[of_age(OTHER)])), Some((None, vec![])));
    }
}
