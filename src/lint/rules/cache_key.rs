//! Binary caches whose key nobody trusts.

use super::{Check, Rule};
use crate::lint::finding::Finding;
use crate::lint::tree::{Cache, Tree};

pub(super) const RULE: Rule = rule!("cache-key", Warning, Check::Tree(check));

/// The cache whose key Nix knows by itself.
const KNOWN: &str = "cache.nixos.org";

fn check(tree: &Tree<'_>) -> Vec<(String, Finding)> {
    let facts = || tree.files.iter();
    if facts().any(|(_, facts)| facts.caches.has_computed_keys) {
        return Vec::new();
    }
    let keys: Vec<&str> = facts().flat_map(|(_, facts)| facts.caches.keys.iter().map(String::as_str)).collect();
    let named = facts().flat_map(|(path, facts)| facts.caches.named.iter().map(move |cache| (*path, cache)));
    let unsigned = named.filter(|(_, cache)| !is_trusted(cache, &keys));
    unsigned.map(|(path, cache)| (path.to_owned(), finding(cache))).collect()
}

/// Whether a key stands anywhere that may be the cache's own. Those of Cachix are named after their caches; of others only their
/// owners know.
fn is_trusted(cache: &Cache, keys: &[&str]) -> bool {
    let host = cache.host();
    if host == KNOWN || host.ends_with(&format!(".{KNOWN}")) || cache.address.contains("trusted=") {
        return true;
    }
    if host.ends_with(".cachix.org") {
        return keys.iter().any(|key| key.starts_with(&format!("{host}-")));
    }
    keys.iter().any(|key| !key.starts_with(KNOWN) && !key.contains(".cachix.org-"))
}

fn finding(cache: &Cache) -> Finding {
    Finding::at(cache.span.clone(), format!("no key of the binary cache {} is trusted", cache.host()))
        .label("Nix asks it, and takes nothing from it")
        .hint("add its key to `nix.settings.trusted-public-keys`")
}
