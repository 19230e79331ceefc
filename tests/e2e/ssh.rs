//! Connections: one handshake for many runs, none where none is wanted, and none that hangs; the user's own configuration
//! holds; no more sessions than a host gives.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::PathBuf;

use crate::support::{Hub, Lab, Processes, Running, eventually};

/// How many logins the host's sshd has accepted, those of `lab.ssh` itself too.
fn logins(lab: &Lab, host: &str) -> usize {
    journal(lab, host).matches("Accepted publickey").count()
}

/// What sshd says of logins, which newer versions leave to a program of its own.
fn journal(lab: &Lab, host: &str) -> String {
    lab.ssh(host, "journalctl --quiet --no-pager --output cat _COMM=sshd _COMM=sshd-session")
}

/// Asserts that hubctl logged in `count` times during `work`.
#[track_caller]
fn assert_logins(lab: &Lab, host: &str, count: usize, work: impl FnOnce()) {
    let before = logins(lab, host);
    work();
    // The second look at the journal is a login too.
    assert_eq!(logins(lab, host) - before - 1, count, "{}", journal(lab, host));
}

fn configure_sshd(lab: &Lab, host: &str, line: &str) {
    lab.ssh(host, &format!("echo '{line}' >>/etc/ssh/sshd_config && systemctl restart sshd"));
    wait_until_back(lab, host);
}

/// Waits until the host takes connections, after its link or its sshd was away.
fn wait_until_back(lab: &Lab, host: &str) {
    eventually("the host answers", || lab.try_ssh(host, "true").status.success());
}

/// What the lab's configuration says of a host, such as `hostname`.
fn setting(lab: &Lab, host: &str, key: &str) -> String {
    let shown = Lab::on_machine("ssh", &["-G", "-F", lab.ssh_config().to_str().unwrap(), host]);
    let value = shown.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {key} in {shown}")).to_owned()
}

/// An ssh configuration of the user's own: the lab's, and `text` in front of it.
fn write_config(lab: &Lab, hub: &mut Hub, text: &str) -> PathBuf {
    let path = hub.root().parent().unwrap().join("ssh_config");
    fs::write(&path, format!("{text}\nHost *\nInclude {}\n", lab.ssh_config().display())).unwrap();
    hub.set_env("HUBCTL_SSH_CONFIG", path.to_str().unwrap());
    path
}

/// `Host` lines for a host of the lab under another name.
fn alias(lab: &Lab, host: &str, name: &str, settings: &str) -> String {
    let of = |key| setting(lab, host, key);
    format!(
        "Host {name}\n  HostKeyAlias {}\n  IdentityFile {}\n  UserKnownHostsFile {}\n  IdentitiesOnly yes\n{settings}\n",
        of("hostname"),
        of("identityfile"),
        of("userknownhostsfile")
    )
}

fn masters(hub: &Hub) -> Processes {
    Processes::with(&format!("{}/", hub.sockets().display()))
}

/// The control sockets of kept connections.
fn sockets(hub: &Hub) -> Vec<PathBuf> {
    let entries = fs::read_dir(hub.sockets()).unwrap().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_none_or(|extension| extension != "lock")).collect()
}

#[test]
fn one_handshake_serves_a_run_and_the_next_ones() {
    let lab = Lab::up(&["p620"]);
    let hub = Hub::new(&lab);
    assert_logins(&lab, "p620", 1, || {
        hub.json(&["quick-deploy", "p620"]).exits(0).ends(&[("p620", "deployed")]);
        hub.json(&["quick-deploy", "p620"]).exits(0).ends(&[("p620", "unchanged")]);
        hub.run(&["status", "p620"]).exits(0);
        hub.run(&["diff", "p620"]).exits(0);
    });
    assert!(!masters(&hub).is_empty());
}

#[test]
fn hosts_of_earlier_runs_are_connected_to_while_the_flake_is_locked() {
    let lab = Lab::up(&["p620", "p510"]);
    let mut hub = Hub::new(&lab);
    hub.json(&["quick-deploy", "p620", "p510"]).exits(0).ends(&[("p510", "deployed"), ("p620", "deployed")]);
    masters(&hub).signal("TERM");
    masters(&hub).assert_gone();
    hub.write("hosts/p620/motd.txt", "edited\n");
    hub.stall_nix("flake metadata");
    assert_logins(&lab, "p510", 0, || {
        assert_logins(&lab, "p620", 1, || {
            let running = hub.start(&["quick-deploy", "p620"]);
            running.wait_for_process("flake metadata");
            // ssh makes its control socket once it is logged in.
            eventually("the host is connected to", || !sockets(&hub).is_empty());
            running.signal("INT");
            running.finish().exits(130);
        });
    });
    // The next run takes that connection, and makes another one to confirm what it did.
    hub.set_env("PATH", Hub::path().to_str().unwrap());
    assert_logins(&lab, "p620", 1, || {
        hub.json(&["quick-deploy", "p620"]).exits(0).ends(&[("p620", "deployed")]);
    });
}

#[test]
fn without_persistence_no_connection_outlives_its_run() {
    let lab = Lab::up(&["p620"]);
    let hub = Hub::new(&lab);
    hub.write("hub.toml", &format!("{}\n[ssh]\npersist = \"0s\"\n", hub.committed("hub.toml")));
    // The second one is confirmed over a connection of its own.
    let commands: [&[&str]; 5] = [
        &["quick-deploy", "p620"],
        &["deploy", "p620"],
        &["status", "p620"],
        &["ping", "p620"],
        &["generations", "p620"],
    ];
    for command in commands {
        hub.run(command).exits(0);
        masters(&hub).assert_gone();
        let left = sockets(&hub);
        assert!(left.is_empty(), "{left:?} after {command:?}");
    }
}

#[test]
fn a_connection_to_a_host_that_went_down_is_made_anew() {
    let lab = Lab::up(&["p620"]);
    let hub = Hub::new(&lab);
    hub.run(&["quick-deploy", "p620"]).exits(0);
    lab.kill("p620");
    lab.boot("p620");
    hub.json(&["quick-deploy", "p620"]).exits(0).ends(&[("p620", "unchanged")]);
    // One that does not even answer for itself is as good as none.
    let stuck = masters(&hub);
    assert!(!stuck.is_empty());
    stuck.signal("STOP");
    let next = hub.json(&["quick-deploy", "p620"]);
    stuck.signal("KILL");
    next.exits(0).ends(&[("p620", "unchanged")]);
}

#[test]
fn a_connection_over_a_link_that_was_cut_neither_hangs_nor_stays() {
    let lab = Lab::up(&["p620"]);
    let hub = Hub::new(&lab);
    hub.write("hub.toml", &format!("{}\n[ssh]\nconnect-timeout = \"2s\"\n", hub.committed("hub.toml")));
    hub.run(&["quick-deploy", "p620"]).exits(0);
    lab.cut("p620");
    hub.json(&["quick-deploy", "p620"]).exits(1).ends(&[("p620", "unreachable")]);
    hub.run(&["ping", "p620"]).exits(1);
    hub.run(&["status", "--no-eval", "p620"]).exits(1);
    lab.heal("p620");
    wait_until_back(&lab, "p620");
    hub.json(&["quick-deploy", "p620"]).exits(0).ends(&[("p620", "unchanged")]);

    // Also when the link is back by the time that the old connection is tried.
    lab.cut("p620");
    lab.heal("p620");
    wait_until_back(&lab, "p620");
    hub.run(&["ping", "p620"]).exits(0);
}

#[test]
fn control_sockets_are_private() {
    let lab = Lab::up(&["p620"]);
    let hub = Hub::new(&lab);
    hub.run(&["ping", "p620"]).exits(0);
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(hub.sockets()), 0o700);

    fs::set_permissions(hub.sockets(), fs::Permissions::from_mode(0o755)).unwrap();
    hub.run(&["ping", "p620"]).exits(1).says("is not a private directory of this user");
    fs::set_permissions(hub.sockets(), fs::Permissions::from_mode(0o700)).unwrap();
    chown(hub.sockets(), Some(65534), None).unwrap();
    hub.run(&["ping", "p620"]).exits(1).says("is not a private directory of this user");
    chown(hub.sockets(), Some(0), None).unwrap();
    hub.run(&["ping", "p620"]).exits(0);
}

#[test]
fn the_users_configuration_holds_for_everything() {
    let lab = Lab::up(&["p620", "p510"]);
    let mut hub = Hub::new(&lab);
    configure_sshd(&lab, "p510", "Port 22\nPort 2222");
    let (address, jump) = (setting(&lab, "p510", "hostname"), setting(&lab, "p620", "hostname"));
    let way = format!("  HostName {address}\n  Port 2222\n  User root\n  ProxyJump p620");
    let by_user = way.replace("User root", "User deployer");
    let config = alias(&lab, "p510", "inner", &way) + &alias(&lab, "p510", "as-deployer", &by_user);
    write_config(&lab, &mut hub, &config);
    let with_target = |target: &str| {
        hub.committed("hub.toml").replace("[hosts.p510]\n", &format!("[hosts.p510]\ntarget = \"{target}\"\n"))
    };

    hub.write("hub.toml", &with_target("inner"));
    // Copying goes the same way as everything else.
    hub.json(&["quick-deploy", "p510"]).exits(0).ends(&[("p510", "deployed")]);
    let accepted = journal(&lab, "p510");
    let by_jump = format!("Accepted publickey for root from {jump} ");
    assert_eq!(accepted.matches(&by_jump).count(), 1, "{accepted}");

    hub.write("hub.toml", &with_target("as-deployer"));
    let seen = hub.run(&["status", "--no-eval", "p510", "--json"]).exits(0).json();
    assert_eq!(seen[0]["uid"].to_string(), lab.ssh("p510", "id -u deployer"));
}

#[test]
fn hub_toml_wins_over_the_configuration() {
    let lab = Lab::up(&["p510"]);
    let mut hub = Hub::new(&lab);
    configure_sshd(&lab, "p510", "Port 22\nPort 2222");
    let way = format!("  HostName {}\n  Port 1\n  User nobody", setting(&lab, "p510", "hostname"));
    let config = alias(&lab, "p510", "inner", &way);
    write_config(&lab, &mut hub, &config);
    let host = "[hosts.p510]\ntarget = \"inner\"\nuser = \"root\"\nport = 2222\n";
    hub.write("hub.toml", &hub.committed("hub.toml").replace("[hosts.p510]\n", host));
    hub.json(&["quick-deploy", "p510"]).exits(0).ends(&[("p510", "deployed")]);
}

#[test]
fn a_host_is_deployed_by_an_ipv6_address() {
    let lab = Lab::up(&["p620", "p510"]);
    let mut hub = Hub::new(&lab);
    for (host, address) in [("p620", "fd00:1ab::1"), ("p510", "fd00:1ab::2")] {
        lab.ssh(host, &format!("ip -6 address add {address}/64 dev host0 nodad"));
    }
    // The lab's network has no IPv6 of its own, but hosts in it reach each other.
    let config = alias(&lab, "p510", "fd00:1ab::2", "  ProxyJump p620\n  User root");
    write_config(&lab, &mut hub, &config);
    let host = "[hosts.p510]\ntarget = \"fd00:1ab::2\"\n";
    hub.write("hub.toml", &hub.committed("hub.toml").replace("[hosts.p510]\n", host));
    hub.json(&["quick-deploy", "p510"]).exits(0).ends(&[("p510", "deployed")]);
    let accepted = journal(&lab, "p510");
    assert_eq!(accepted.matches("Accepted publickey for root from fd00:1ab::1 ").count(), 1, "{accepted}");
}

#[test]
fn runs_at_once_share_a_connection_and_leave_sessions_to_others() {
    let lab = Lab::up(&["p620"]);
    let hub = Hub::new(&lab);
    // Each look at the host lasts, so that all of them are there at once.
    lab.wrap("p620", "df", "sleep 1; exec $real \"$@\"");
    assert_logins(&lab, "p620", 1, || {
        let runs: Vec<Running> = (0..4).map(|_| hub.start(&["status", "--no-eval", "p620"])).collect();
        let deploy = hub.start(&["quick-deploy", "p620"]);
        for run in runs {
            run.finish().exits(0);
        }
        deploy.finish().exits(0).ends(&[("p620", "deployed")]);
    });
    let said = journal(&lab, "p620");
    assert!(!said.contains("no more sessions"), "{said}");
}

#[test]
fn a_host_that_gives_few_sessions_is_asked_one_thing_after_the_other() {
    let lab = Lab::up(&["p620"]);
    let hub = Hub::new(&lab);
    configure_sshd(&lab, "p620", "MaxSessions 2");
    lab.wrap("p620", "df", "sleep 1; exec $real \"$@\"");
    let runs: Vec<Running> = (0..4).map(|_| hub.start(&["status", "--no-eval", "p620"])).collect();
    let deploy = hub.start(&["quick-deploy", "p620"]);
    for run in runs {
        run.finish().exits(0);
    }
    deploy.finish().exits(0).ends(&[("p620", "deployed")]);
    let said = journal(&lab, "p620");
    assert!(said.contains("no more sessions"), "the bound was never met: {said}");
}
