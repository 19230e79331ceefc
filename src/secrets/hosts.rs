//! Which of the keys in the rules are those of a host.

use super::age::Recipient;
use super::edit_rules::key_of;
use super::rules::Rules;

/// Whether a key is commented as that of a host: `root@HOST` or `HOST`, where a domain may follow.
pub fn is_of_host(key: &Recipient, host: &str) -> bool {
    let Some(comment) = key.comment() else { return false };
    let name = comment.strip_prefix("root@").unwrap_or(comment);
    name == host || name.strip_prefix(host).is_some_and(|rest| rest.starts_with('.'))
}

/// The keys that the rules have for a host: those that are commented as its own, and the one that `text`, which the rules were
/// evaluated from, binds to its name.
pub fn keys_of_host(rules: &Rules, text: &str, host: &str) -> Vec<Recipient> {
    let bound: Option<Recipient> = key_of(text, host).and_then(|key| key.parse().ok());
    let commented = rules.list.iter().flat_map(|rule| &rule.recipients).filter(|key| is_of_host(key, host)).cloned();
    let mut keys: Vec<_> = bound.into_iter().chain(commented).collect();
    keys.sort();
    keys.dedup();
    keys
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::secrets::rules::Rule;

    const ONE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHMl8X4fivnBu+sbRnHNPU2QPo+TFu4SKYByzJS/1Cjl";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAZGY9b/nS54xGdLb/yAsmTXVgqX16AS+NVADYVVRRj8";

    #[test]
    fn a_key_is_a_hosts_by_its_comment_or_its_name() {
        let is = |comment: &str| is_of_host(&format!("{ONE} {comment}").parse().unwrap(), "p620");
        assert!(["p620", "root@p620", "root@p620.lan"].into_iter().all(is));
        assert!(!["olaf@p620", "p6200", "root@p62", "p620-old", ""].into_iter().any(is));

        let recipients = vec![format!("{ONE} root@p620").parse().unwrap(), OTHER.parse().unwrap()];
        let rule = Rule { name: "a.age".to_owned(), path: "a.age".into(), recipients, armor: false };
        let rules = Rules { file: PathBuf::from("secrets.nix"), list: vec![rule] };
        let keys = |text: &str, host: &str| -> Vec<String> {
            keys_of_host(&rules, text, host).iter().map(ToString::to_string).collect()
        };
        let text = format!("let p510 = \"{OTHER}\"; in {{ }}");
        assert_eq!((keys(&text, "p620"), keys(&text, "p510")), (vec![ONE.to_owned()], vec![OTHER.to_owned()]));
        assert!(keys(&text, "razer").is_empty());
        assert_eq!(keys(&format!("let p620 = \"{ONE} x\"; in {{ }}"), "p620").len(), 1);
    }
}
