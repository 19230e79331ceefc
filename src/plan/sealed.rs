//! Whether a host can decrypt what its new system will want to, found out from public keys and the headers of files alone.

use super::checks::{Doubt, Objection};
use crate::fleet::Host;
use crate::nix::Sealed;
use crate::remote::HostKey;
use crate::secrets::age::{AgeError, Header, Recipient};

/// How many secrets are named.
const NAMED: usize = 5;

/// Where sshd has its keys. One that is not there does not exist.
const KEYS_OF_HOST: &str = "/etc/ssh/ssh_host_";

/// The file of a secret that a system decrypts.
#[derive(Debug)]
pub struct SealedFile {
    /// The secret's name in the configuration.
    pub name: String,
    /// The file, relative to the flake's source.
    pub file: String,
    /// Its header, or why it has none.
    pub header: Result<Header, AgeError>,
}

/// Why a host must not get a system with these secrets: its keys, of which `keys` are known, do not open them all. None where some of
/// those that the system goes by are not known, since nobody here can tell what they open.
pub fn unreadable(host: &Host, keys: &[HostKey], sealed: &Sealed, files: &[SealedFile]) -> Option<Objection> {
    let keys = known_keys(keys, &sealed.identities)?;
    let tags: Vec<_> = keys.iter().filter_map(Recipient::tag).collect();
    let opens = |header: &Header| {
        let of_key = |tag: &String| {
            header.stanzas().iter().any(|one| one.kind.starts_with("ssh-") && one.args.first() == Some(tag))
        };
        tags.iter().any(of_key)
    };
    let wrong = files.iter().filter_map(|SealedFile { name, file, header }| match header {
        Ok(header) if opens(header) => None,
        Ok(_) => Some(format!("{name} ({file})")),
        Err(error) => Some(format!("{name} ({file}: {error})")),
    });
    let named = some(&wrong.collect::<Vec<_>>())?;
    let own: Vec<_> = keys.iter().map(Recipient::short).collect();
    let message = format!("{} cannot decrypt secrets of its new system with {}: {named}", host.name, own.join(" or "));
    let hint = "add its key to them in secrets.nix and run `hubctl secrets rekey`; `hubctl secrets status` tells who reads what";
    Some(Objection::doubt(Doubt::Secrets, message, hint))
}

/// The keys of a host that its system goes by, as their files in `paths` say; none where some of those are not known.
pub(super) fn known_keys(keys: &[HostKey], paths: &[String]) -> Option<Vec<Recipient>> {
    let is_known = |path: &String| is_key_of_host(path) || keys.iter().any(|key| key.path == *path);
    let used = keys.iter().filter(|key| paths.contains(&key.path));
    let used: Vec<_> = used.filter_map(|key| key.public.parse().ok()).collect();
    (!used.is_empty() && paths.iter().all(is_known)).then_some(used)
}

/// Whether a file is where sshd has a host's own keys.
pub(super) fn is_key_of_host(path: &str) -> bool {
    path.starts_with(KEYS_OF_HOST)
}

/// The first few of these, and how many more there are; none where there is none.
pub(super) fn some(wrong: &[String]) -> Option<String> {
    let rest = wrong.len().saturating_sub(NAMED);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    (!wrong.is_empty()).then(|| wrong[..wrong.len() - rest].join(", ") + &more)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::fleet::config::HubToml;
    use crate::fleet::{FlakeHosts, Inventory};
    use crate::nix::SealedSecret;
    use crate::secrets::age::{Armor, Nobody, encrypt};

    const ONE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHMl8X4fivnBu+sbRnHNPU2QPo+TFu4SKYByzJS/1Cjl one";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAZGY9b/nS54xGdLb/yAsmTXVgqX16AS+NVADYVVRRj8 other";
    const KEY: &str = "/etc/ssh/ssh_host_ed25519_key";

    fn host() -> Host {
        let hub = HubToml::parse("", Path::new("hub.toml")).unwrap();
        let flake = FlakeHosts { nixos: vec!["p510".to_owned()], ..FlakeHosts::default() };
        Inventory::new(Some(&hub), &flake).unwrap().0.iter().next().unwrap().clone()
    }

    fn to(recipient: &str) -> Result<Header, AgeError> {
        let recipients: Vec<Recipient> = vec![recipient.parse().unwrap()];
        let nobody: Arc<dyn crate::secrets::age::Ask> = Arc::new(Nobody);
        Header::of(&encrypt(b"x", &recipients, Armor::Binary, &nobody).unwrap())
    }

    fn told(identities: &[&str], header: Result<Header, AgeError>) -> Option<String> {
        let file = Some("secrets/wifi.age".to_owned());
        let secret = SealedSecret { name: "wifi".to_owned(), file, ..SealedSecret::default() };
        let sealed = Sealed {
            secrets: vec![secret],
            identities: identities.iter().map(|path| (*path).to_owned()).collect(),
            ..Sealed::default()
        };
        let keys = [HostKey { path: KEY.to_owned(), public: ONE.to_owned() }];
        let files = [SealedFile { name: "wifi".to_owned(), file: "secrets/wifi.age".to_owned(), header }];
        unreadable(&host(), &keys, &sealed, &files).map(|objection| objection.message)
    }

    #[test]
    fn a_host_is_declined_whose_key_opens_nothing() {
        assert_eq!(told(&[KEY], to(ONE)), None);
        let message = told(&[KEY], to(OTHER)).unwrap();
        assert!(
            message.starts_with("p510 cannot decrypt") && message.ends_with("wifi (secrets/wifi.age)"),
            "{message}"
        );
        // A key that a host does not have opens nothing.
        assert!(told(&[KEY, "/etc/ssh/ssh_host_rsa_key"], to(OTHER)).is_some());
        assert!(told(&[KEY], Header::of(b"plain text")).unwrap().contains("secrets/wifi.age: "));
    }

    #[test]
    fn keys_that_nobody_here_knows_may_open_it() {
        assert_eq!(told(&[KEY, "/persist/age.key"], to(OTHER)), None);
        assert_eq!(told(&["/persist/age.key"], to(OTHER)), None);
        assert_eq!(told(&[], to(OTHER)), None);
    }
}
