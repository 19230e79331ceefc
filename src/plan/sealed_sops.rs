//! The same for sops-nix: files of SOPS tell without a key which values they have, and who their recipients are.

use super::checks::{Doubt, Objection};
use super::sealed::{known_keys, some};
use crate::fleet::Host;
use crate::nix::{SealedSops, SealedValue};
use crate::remote::HostKey;
use crate::secrets::age::Recipient;
use crate::secrets::sops::{SopsError, SopsFile};

/// A secret that a system takes from a file of SOPS.
#[derive(Debug)]
pub struct SopsSource {
    /// What it takes.
    pub wanted: SealedValue,
    /// The file, relative to the flake's source.
    pub file: String,
    /// It, or why it is none.
    pub read: Result<SopsFile, SopsError>,
}

/// Why a host must not get a system with these secrets: a file has not what is wanted of it, or the host's keys do not open it. Where
/// keys that nobody here knows may open it, the host is not declined.
pub fn unreadable_sops(
    host: &Host,
    keys: &[HostKey],
    sealed: &SealedSops,
    sources: &[SopsSource],
) -> Option<Objection> {
    if let Some(lacking) = some(&sources.iter().filter_map(lacking).collect::<Vec<_>>()) {
        let message = format!("the new system of {} wants secrets that their files do not have: {lacking}", host.name);
        let hint = "correct `sops.secrets`, or add what is missing with `hubctl secrets edit FILE`";
        return Some(Objection::doubt(Doubt::Secrets, message, hint));
    }
    let keys = known_keys(keys, &sealed.ssh_keys).filter(|_| !sealed.has_other_keys)?;
    // What sops-nix makes of the host's keys is all that it opens files with.
    let own: Vec<_> = keys.iter().filter_map(Recipient::to_age).collect();
    let closed = sources.iter().filter(|source| !own.is_empty() && is_closed(source, &own));
    let closed = some(&closed.map(SopsSource::shown).collect::<Vec<_>>())?;
    let forms: Vec<_> = own.iter().map(ToString::to_string).collect();
    let forms = forms.join(" or ");
    let message = format!("{} cannot decrypt secrets of its new system with {forms}: {closed}", host.name);
    let hint = "add that key, which sops-nix makes of the host's ssh key, to their rule in .sops.yaml (`hubctl secrets grant KEY FILE`)";
    Some(Objection::doubt(Doubt::Secrets, message, hint))
}

impl SopsSource {
    fn shown(&self) -> String {
        format!("{} ({})", self.wanted.place.name, self.file)
    }
}

/// What a file has not that is wanted of it.
fn lacking(source: &SopsSource) -> Option<String> {
    let SopsSource { wanted, file, read } = source;
    match read {
        Err(SopsError::NotEncrypted) => Some(format!("{} ({file} is not encrypted)", wanted.place.name)),
        // What hubctl cannot read sops-nix may.
        Err(_) => None,
        Ok(read) => {
            let key = wanted.key.as_deref().filter(|_| wanted.is_one_value())?;
            let there = read.addresses().ok()?;
            let has = there.iter().any(|(address, _)| address == key);
            (!has).then(|| format!("{} (`{key}` of {file})", wanted.place.name))
        }
    }
}

/// Whether none of these keys opens a file, and nothing else may.
fn is_closed(source: &SopsSource, own: &[Recipient]) -> bool {
    let Ok(file) = &source.read else { return false };
    let opens = |text: &str| text.parse().is_ok_and(|one: Recipient| own.contains(&one));
    file.foreign().is_empty() && !file.recipients().any(opens)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::fleet::config::HubToml;
    use crate::fleet::{FlakeHosts, Inventory};
    use crate::nix::SealedSecret;
    use crate::secrets::age::{Ask, Nobody};
    use crate::secrets::sops::{Format, Settings, create};

    const ONE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHMl8X4fivnBu+sbRnHNPU2QPo+TFu4SKYByzJS/1Cjl one";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAZGY9b/nS54xGdLb/yAsmTXVgqX16AS+NVADYVVRRj8 other";
    const KEY: &str = "/etc/ssh/ssh_host_ed25519_key";

    fn key(text: &str) -> Recipient {
        text.parse().unwrap()
    }

    fn host() -> Host {
        let hub = HubToml::parse("", Path::new("hub.toml")).unwrap();
        let flake = FlakeHosts { nixos: vec!["p510".to_owned()], ..FlakeHosts::default() };
        Inventory::new(Some(&hub), &flake).unwrap().0.iter().next().unwrap().clone()
    }

    fn to(recipient: Recipient) -> Result<SopsFile, SopsError> {
        let nobody: Arc<dyn Ask> = Arc::new(Nobody);
        let now = jiff::Timestamp::UNIX_EPOCH;
        let plain = b"wifi:\n  psk: x\n  all: [1]\n";
        let text = create(Format::Yaml, plain, &Settings::default(), &[recipient], &nobody, now).unwrap();
        SopsFile::parse(Format::Yaml, text.as_bytes())
    }

    fn sealed() -> SealedSops {
        SealedSops { ssh_keys: vec![KEY.to_owned()], ..SealedSops::default() }
    }

    fn told(sealed: &SealedSops, wanted: &str, read: Result<SopsFile, SopsError>) -> Option<String> {
        let place = SealedSecret {
            name: "wifi".to_owned(),
            file: Some("secrets/wifi.yaml".to_owned()),
            ..SealedSecret::default()
        };
        let wanted = SealedValue { place, key: Some(wanted.to_owned()), format: Some("yaml".to_owned()) };
        let keys = [HostKey { path: KEY.to_owned(), public: ONE.to_owned() }];
        let sources = [SopsSource { wanted, file: "secrets/wifi.yaml".to_owned(), read }];
        unreadable_sops(&host(), &keys, sealed, &sources).map(|objection| objection.message)
    }

    #[test]
    fn a_host_is_declined_whose_key_opens_nothing() {
        let own = key(ONE).to_age().unwrap();
        assert_eq!(told(&sealed(), "wifi/psk", to(own.clone())), None);
        let message = told(&sealed(), "wifi/psk", to(key(OTHER).to_age().unwrap())).unwrap();
        assert_eq!(
            message,
            format!("p510 cannot decrypt secrets of its new system with {own}: wifi (secrets/wifi.yaml)")
        );
        // sops-nix converts the host's key, and opens nothing that is for the ssh key itself.
        assert!(told(&sealed(), "wifi/psk", to(key(ONE))).is_some());
    }

    #[test]
    fn keys_that_nobody_here_knows_may_open_it() {
        let other = || to(key(OTHER).to_age().unwrap());
        assert_eq!(told(&SealedSops { has_other_keys: true, ..sealed() }, "wifi/psk", other()), None);
        let elsewhere = vec![KEY.to_owned(), "/persist/key".to_owned()];
        assert_eq!(told(&SealedSops { ssh_keys: elsewhere, ..sealed() }, "wifi/psk", other()), None);
        assert_eq!(told(&SealedSops { ssh_keys: Vec::new(), ..sealed() }, "wifi/psk", other()), None);
        assert_eq!(told(&sealed(), "wifi/psk", Err(SopsError::Shamir)), None);
    }

    #[test]
    fn a_value_that_its_file_has_not_is_told_whoever_opens_it() {
        let own = || to(key(ONE).to_age().unwrap());
        for wanted in ["wifi/pks", "wifi", "wifi/all"] {
            let message = told(&SealedSops { has_other_keys: true, ..sealed() }, wanted, own()).unwrap();
            assert!(message.ends_with(&format!("do not have: wifi (`{wanted}` of secrets/wifi.yaml)")), "{message}");
        }
        // All of the file.
        assert_eq!(told(&sealed(), "", own()), None);
        let plain = told(&sealed(), "wifi/psk", Err(SopsError::NotEncrypted)).unwrap();
        assert!(plain.ends_with("wifi (secrets/wifi.yaml is not encrypted)"), "{plain}");
    }
}
