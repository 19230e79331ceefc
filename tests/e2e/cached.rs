//! Closures by way of a cache: what the hosts know themselves, and the hub's own.

use std::fs;
use std::path::PathBuf;

use crate::support::{Finished, Hub, Lab};

/// The system that `host` was to run.
fn wanted(ended: &Finished, host: &str) -> String {
    ended.host(host)["wanted"].as_str().unwrap().to_owned()
}

/// Whether a host has `path` from a cache that signs with the key of this name. What is copied to it otherwise has no signature.
fn is_signed_by(lab: &Lab, host: &str, path: &str, key: &str) -> bool {
    lab.ssh(host, &format!("nix path-info --sigs {path}")).contains(&format!("{key}:"))
}

/// A new key to sign with, beside the hub: its file, and the public one.
fn key(hub: &Hub, name: &str) -> (PathBuf, String) {
    let file = |kind: &str| hub.root().with_file_name(format!("{name}.{kind}"));
    let (secret, public) = (file("secret"), file("public"));
    let (secret_text, public_text) = (secret.to_str().unwrap(), public.to_str().unwrap());
    Lab::on_machine("nix-store", &["--generate-binary-cache-key", name, secret_text, public_text]);
    let public = fs::read_to_string(public).unwrap();
    (secret, public.trim().to_owned())
}

#[test]
fn a_host_takes_what_it_can_from_the_caches_that_it_knows_itself() {
    let lab = Lab::up(&["p620"]);
    let hub = Hub::new(&lab);
    hub.set_host("p620", &format!("motd = \"{}\";", hub.root().display()));
    let built = hub.json(&["test-host", "p620"]).exits(0);
    let (secret, public) = key(&hub, "known-1");
    let cache = hub.root().with_file_name("cache");
    let to = format!("file://{}?secret-key={}", cache.display(), secret.display());
    hub.shell(&format!("nix copy --to '{to}' {}", wanted(&built, "p620"))).exits(0);
    let config = lab.ssh_config();
    hub.shell(&format!(
        "tar -C {} -c . | ssh -F {} p620 'mkdir /root/cache && tar -C /root/cache -x'",
        cache.display(),
        config.display()
    ))
    .exits(0);
    lab.ssh(
        "p620",
        &format!("printf 'substituters = file:///root/cache\ntrusted-public-keys = {public}\n' >>/etc/nix/nix.conf"),
    );

    let ended = hub.json(&["quick-deploy", "p620"]).exits(0).ends(&[("p620", "deployed")]);
    assert!(is_signed_by(&lab, "p620", &wanted(&ended, "p620"), "known-1"));
}
