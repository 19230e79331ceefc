//! Closures by way of a cache: what the hosts know themselves, and the hub's own.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Finished, Hub, Lab, WebCache, eventually};

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

/// A hub whose systems were built nowhere yet.
fn fresh(lab: &Lab, hosts: &[&str]) -> Hub {
    let hub = Hub::new(lab);
    for host in hosts {
        hub.set_host(host, &format!("motd = \"{host} of {}\";", hub.root().display()));
    }
    hub
}

fn set_cache(hub: &Hub, text: &str) {
    hub.write("hub.toml", &format!("{}\n[cache]\n{text}\n", hub.committed("hub.toml")));
}

/// Whether a host's log says that its system came from `cache`.
fn came_from(hub: &Hub, run: &Finished, host: &str, cache: &str) -> bool {
    // Nix 2.26 tells of a store behind ssh-ng only that it is one.
    let cache = if cache.starts_with("ssh-ng://") { "ssh-ng://" } else { cache };
    let line = format!("copying path '{}' from '{cache}", wanted(run, host));
    hub.log(run, host).iter().any(|said| said.starts_with(&line))
}

fn warnings(run: &Finished) -> Vec<Value> {
    run.events().into_iter().filter(|event| event["event"] == "warning").collect()
}

fn steps(run: &Finished, host: &str) -> Vec<String> {
    let of_host = |event: &Value| event["event"] == "step-started" && event["host"] == host;
    let begun = run.events().into_iter().filter(of_host);
    begun.map(|event| event["step"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_host_fetches_from_another_hosts_store_and_nothing_is_copied_to_it() {
    let lab = Lab::up(&["p620", "razer", "p510"]);
    let hub = fresh(&lab, &["p620", "razer"]);
    let cache = format!("ssh-ng://root@{}", lab.address("p510"));
    set_cache(&hub, &format!("url = \"{cache}\""));
    lab.introduce("p620", "p510");
    for host in ["p620", "razer"] {
        lab.count_copies(host);
    }
    let planned = hub.run(&["quick-deploy", "p620", "--cached", "--dry-run"]).exits(0);
    assert!(planned.stdout.contains("build, push, copy, activate, verify"), "{}", planned.stdout);

    let ended = hub.json(&["quick-deploy", "p620", "--cached"]).exits(0).ends(&[("p620", "deployed")]);
    assert_eq!(lab.current("p620"), wanted(&ended, "p620"));
    assert!(came_from(&hub, &ended, "p620", &cache), "{:#?}", hub.log(&ended, "p620"));
    assert_eq!(steps(&ended, "p620"), ["probe", "evaluate", "build", "push", "copy", "activate", "verify"]);
    assert_eq!(warnings(&ended), [] as [Value; 0]);
    assert_eq!(lab.copies("p620"), 0);

    // Without the flag, nothing goes by way of the cache.
    let ended = hub.json(&["quick-deploy", "razer"]).exits(0).ends(&[("razer", "deployed")]);
    assert_ne!(lab.copies("razer"), 0);
    assert!(!lab.try_ssh("p510", &format!("nix-store --check-validity {}", wanted(&ended, "razer"))).status.success());
}

#[test]
fn what_hosts_share_is_pushed_once_and_signed_with_the_hubs_key() {
    let lab = Lab::up(&["p620", "razer", "samsung"]);
    let hosts = ["p620", "razer", "samsung"];
    let hub = fresh(&lab, &hosts);
    let web = WebCache::new();
    let (secret, _) = key(&hub, "hub-1");
    let url = web.url(&lab.gateway("p620"));
    set_cache(&hub, &format!("url = \"{url}?compression=none\"\nsecret-key-file = \"{}\"", secret.display()));
    for host in hosts {
        lab.count_copies(host);
    }
    let ended = hub.json(&["quick-deploy", "p620", "razer", "samsung", "--cached"]).exits(0);
    assert_eq!(warnings(&ended), [] as [Value; 0]);
    for host in hosts {
        // No host knew the key before.
        assert!(is_signed_by(&lab, host, &wanted(&ended, host), "hub-1"));
        assert!(came_from(&hub, &ended, host, &url), "{:#?}", hub.log(&ended, host));
        assert_eq!(lab.copies(host), 0);
    }
    let mut put = web.asked("PUT");
    let all = put.len();
    put.sort();
    put.dedup();
    assert_eq!(put.len(), all, "something was put twice");
    assert!(put.iter().filter(|path| path.ends_with(".narinfo")).count() > 10, "{put:#?}");

    // A push that fails tells everything but where the key is.
    let nowhere = "--cached=http://127.0.0.1:1/?compression=none";
    hub.set_host("p620", &format!("motd = \"again in {}\";", hub.root().display()));
    let ended = hub.json(&["test-host", "p620", nowhere]).exits(1).ends(&[("p620", "copy-failed")]);
    assert!(ended.host("p620")["error"]["command"].to_string().contains("nix"), "{}", ended.stdout);
    let log = ended.host("p620")["error"]["log"].as_str().map(|log| fs::read_to_string(log).unwrap());
    let told = format!("{}{}{}", ended.stdout, ended.stderr, log.unwrap_or_default());
    assert!(!told.contains("hub-1.secret"), "{told}");
}

#[test]
fn what_a_host_does_not_trust_is_copied_to_it_and_told() {
    let lab = Lab::up(&["p620"]);
    let hub = fresh(&lab, &["p620"]);
    let web = WebCache::new();
    let url = web.url(&lab.gateway("p620"));
    let ended = hub.json(&["quick-deploy", "p620", &format!("--cached={url}")]).exits(0).ends(&[("p620", "deployed")]);
    assert_eq!(lab.current("p620"), wanted(&ended, "p620"));
    let [warning] = &warnings(&ended)[..] else { panic!("{:#?}", warnings(&ended)) };
    assert!(
        warning["message"].as_str().unwrap().starts_with(&format!("the host cannot fetch from {url}: ")),
        "{warning}"
    );
    assert!(warning["hint"].as_str().unwrap().contains("public-keys"), "{warning}");
}

#[test]
fn a_cache_that_the_host_cannot_reach_costs_a_warning() {
    let lab = Lab::up(&["p620", "p510"]);
    let hub = fresh(&lab, &["p620"]);
    // p620 has no key for p510.
    let cache = format!("ssh-ng://root@{}", lab.address("p510"));
    let words = ["quick-deploy", "p620", &format!("--cached={cache}")];
    let ended = hub.json(&words).exits(0).ends(&[("p620", "deployed")]);
    lab.ssh("p510", &format!("nix-store --check-validity {}", wanted(&ended, "p620")));
    let [warning] = &warnings(&ended)[..] else { panic!("{:#?}", warnings(&ended)) };
    assert_eq!(warning["host"], "p620");
    assert!(warning["hint"].as_str().unwrap().contains("root there must reach it by ssh"), "{warning}");
}

#[test]
fn a_cache_that_takes_nothing_is_told_once_and_hosts_are_copied_to() {
    let lab = Lab::up(&["p620", "razer"]);
    let hub = fresh(&lab, &["p620", "razer"]);
    let words = ["quick-deploy", "p620", "razer", "--cached=ssh-ng://nobody@nowhere.invalid"];
    let ended = hub.json(&words).exits(0).ends(&[("p620", "deployed"), ("razer", "deployed")]);
    let [warning] = &warnings(&ended)[..] else { panic!("{:#?}", warnings(&ended)) };
    let message = warning["message"].as_str().unwrap();
    assert!(message.starts_with("closures do not get to the cache ssh-ng://nobody@nowhere.invalid: "), "{message}");

    // Where pushing is what was asked for, it is a failure.
    let ended = hub.json(&["test-host", "p620", "--cached=ssh-ng://nobody@nowhere.invalid"]).exits(1);
    let error = ended.ends(&[("p620", "copy-failed")]).host("p620")["error"].clone();
    assert_eq!(error["step"], "push", "{error}");
    assert!(error["message"].as_str().unwrap().starts_with("it is built, and not in the cache"), "{error}");
}

#[test]
fn an_upload_tool_gets_each_system_and_hosts_fetch_by_another_address() {
    let lab = Lab::up(&["p620"]);
    let hub = fresh(&lab, &["p620", "p510"]);
    let web = WebCache::new();
    let (secret, public) = key(&hub, "tool-1");
    let (log, url) = (hub.root().with_file_name("uploads"), web.url(&lab.gateway("p620")));
    let tool = format!(
        "echo $@ >>{}; exec nix copy --to '{}?secret-key={}' $@",
        log.display(),
        web.url("127.0.0.1"),
        secret.display()
    );
    let upload = format!("upload = [\"sh\", \"-c\", \"{tool}\", \"upload\"]\npublic-keys = [\"{public}\"]");
    set_cache(&hub, &format!("url = \"https://cache.invalid\"\nsubstituter = \"{url}\"\n{upload}"));
    hub.json(&["test-host", "p510", "--cached"]).exits(0).ends(&[("p510", "built")]);
    let ended = hub.json(&["quick-deploy", "p620", "--cached"]).exits(0).ends(&[("p620", "deployed")]);
    assert!(came_from(&hub, &ended, "p620", &url), "{:#?}", hub.log(&ended, "p620"));
    let uploads = fs::read_to_string(&log).unwrap();
    let uploads: Vec<_> = uploads.lines().collect();
    assert_eq!((uploads.len(), uploads[1]), (2, wanted(&ended, "p620").as_str()));

    set_cache(&hub, &format!("url = \"{url}\"\nupload = [\"sh\", \"-c\", \"echo the bucket is full >&2; exit 3\"]"));
    let ended = hub.json(&["test-host", "p620", "--cached"]).exits(1).ends(&[("p620", "copy-failed")]);
    let error = ended.host("p620")["error"].clone();
    assert!(error["message"].as_str().unwrap().contains("the upload tool failed"), "{error}");
    assert!(error["output"].to_string().contains("the bucket is full"), "{error}");
}

#[test]
fn what_another_host_built_is_pushed_from_there() {
    let lab = Lab::up(&["p620", "p510"]);
    let hub = fresh(&lab, &["p620"]);
    let cache = hub.root().with_file_name("cache");
    let words = ["test-host", "p620", "--build-on", "p510", &format!("--cached=file://{}", cache.display())];
    let ended = hub.json(&words).exits(0).ends(&[("p620", "built")]);
    let wanted = wanted(&ended, "p620");
    assert!(!std::path::Path::new(&wanted).exists());
    let hash = wanted.trim_start_matches("/nix/store/").split('-').next().unwrap();
    assert!(cache.join(format!("{hash}.narinfo")).exists());
}

#[test]
fn a_cache_that_is_none_is_told_before_anything_is_done() {
    let hub = Hub::offline();
    hub.run(&["quick-deploy", "p620", "--cached"]).exits(2).says("hub.toml names none").says("[cache]");
    hub.run(&["test-all", "--cached=p510"]).exits(2).says("`p510` is not the URL of a store");
    set_cache(&hub, "url = \"http://127.0.0.1:1\"\nsecret-key-file = \"/nonexistent/key\"");
    hub.run(&["test-all", "--cached"]).exits(2).says("cannot be signed").says("secret-key-file");
}

#[test]
fn a_fetch_ends_with_the_run_that_is_stopped() {
    let lab = Lab::up(&["p620"]);
    let hub = fresh(&lab, &["p620"]);
    let web = WebCache::new();
    web.stall();
    let (secret, _) = key(&hub, "hub-1");
    let url = web.url(&lab.gateway("p620"));
    set_cache(&hub, &format!("url = \"{url}\"\nsecret-key-file = \"{}\"", secret.display()));
    let fetches = || lab.try_ssh("p620", "pgrep -f '[n]ix-store --realise'").status.success();
    let mut run = hub.start(&["quick-deploy", "p620", "--cached"]);
    run.wait_for(r#""step-started","host":"p620","step":"copy""#);
    eventually("the host fetches", fetches);
    run.signal("INT");
    run.finish().exits(130).ends(&[("p620", "cancelled")]);
    eventually("the fetch ends", || !fetches());
    assert_eq!(lab.current("p620"), "");
}

#[test]
fn a_host_fetches_for_a_user_whom_its_nix_does_not_trust() {
    let lab = Lab::up(&["p620"]);
    let hub = fresh(&lab, &["p620"]);
    let web = WebCache::new();
    let (secret, _) = key(&hub, "hub-1");
    let url = web.url(&lab.gateway("p620"));
    let user = "[hosts.p620]\nuser = \"deployer\"\nelevate = \"sudo\"\n";
    let hosts = hub.committed("hub.toml").replace("[hosts.p620]\n", user);
    let cache = format!("[cache]\nurl = \"{url}\"\nsecret-key-file = \"{}\"\n", secret.display());
    hub.write("hub.toml", &format!("{hosts}\n{cache}"));
    hub.json(&["quick-deploy", "p620"]).exits(1).ends(&[("p620", "copy-failed")]);
    let ended = hub.json(&["quick-deploy", "p620", "--cached"]).exits(0).ends(&[("p620", "deployed")]);
    assert_eq!(warnings(&ended), [] as [Value; 0]);
    assert_eq!(lab.current("p620"), wanted(&ended, "p620"));
}
