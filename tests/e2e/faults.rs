//! What keeps a host from being deployed: each fault is told for what it is, with what helps, costs the other hosts of the
//! run nothing, and leaves nothing half-done.

use std::fs;
use std::time::SystemTime;

use crate::support::{Finished, Hub, Lab};

/// Deploys all hosts, then edits all, so that the next run has something to do on each.
fn deployed_and_edited(hub: &Hub, hosts: &[&str]) {
    let words: Vec<_> = ["quick-deploy"].iter().chain(hosts).copied().collect();
    hub.run(&words).exits(0);
    for host in hosts {
        hub.set_host(host, r#"motd = "edited";"#);
    }
}

/// Asserts that a host's error has this message and this text in a hint.
#[track_caller]
fn told(finished: &Finished, host: &str, message: &str, hint: &str) {
    let error = &finished.host(host)["error"];
    let hints = error["hints"].as_array().into_iter().flatten().filter_map(|hint| hint.as_str());
    assert!(error["message"].as_str().is_some_and(|said| said.contains(message)), "no `{message}` in {error}");
    assert!(hints.collect::<String>().contains(hint), "no `{hint}` in {error}");
}

/// Asserts that a host's error is that of one who says nothing: whether the kernel knows that soon enough or ssh gives up first
/// is a matter of when it last heard of the host.
#[track_caller]
fn told_silent(finished: &Finished, host: &str) {
    let message = finished.host(host)["error"]["message"].as_str().unwrap().to_owned();
    let messages = [format!("{host} did not answer within 6 s"), format!("there is no route to {host}")];
    assert!(messages.contains(&message), "{message}");
    told(finished, host, "", "is the host on");
}

/// The first command between backquotes in a host's hints.
#[track_caller]
fn hinted_command(finished: &Finished, host: &str) -> String {
    let hints = finished.host(host)["error"]["hints"].clone();
    hints[0]
        .as_str()
        .and_then(|hint| hint.split('`').nth(1))
        .unwrap_or_else(|| panic!("no command in {hints}"))
        .to_owned()
}

/// A `hub.toml` in which these hosts have these settings, and no connection outlives a run.
fn toml(hosts: &[(&str, &str)]) -> String {
    let lines: Vec<_> = hosts.iter().map(|(host, settings)| format!("{host} = {{ {settings} }}\n")).collect();
    format!("[ssh]\npersist = \"0s\"\nconnect-timeout = \"6s\"\n[hosts]\n{}", lines.concat())
}

#[test]
fn hosts_that_do_not_answer_are_told_apart() {
    let hosts = ["p620", "p510", "razer", "samsung"];
    let lab = Lab::up(&hosts);
    let hub = Hub::new(&lab);
    hub.write("hub.toml", &toml(&hosts.map(|host| (host, ""))));
    deployed_and_edited(&hub, &hosts);
    let before = hosts.map(|host| lab.traces(host));

    // A link that is cut, an sshd that does not run, and a port on which nobody listens.
    lab.cut("p510");
    lab.console("razer", "systemctl stop sshd.service");
    hub.write("hub.toml", &toml(&[("p620", ""), ("p510", ""), ("razer", ""), ("samsung", "port = 2222")]));
    let run = hub.json(&["quick-deploy", "*"]).exits(1).ends(&[
        ("p620", "deployed"),
        ("p510", "unreachable"),
        ("razer", "unreachable"),
        ("samsung", "unreachable"),
    ]);
    told_silent(&run, "p510");
    told(&run, "razer", "razer refused the connection", "is sshd running there");
    told(&run, "samsung", "samsung:2222 refused the connection", "`port` in hub.toml");

    // A host that is off, an address that nobody has, and a name that has no address; the fourth is well again.
    lab.kill("p510");
    let nobody = format!("target = \"{}\"", lab.address("p510").rsplit_once('.').unwrap().0.to_owned() + ".250");
    let nowhere = r#"target = "nowhere.invalid""#;
    hub.write("hub.toml", &toml(&[("p620", ""), ("p510", ""), ("razer", &nobody), ("samsung", nowhere)]));
    lab.console("razer", "systemctl start sshd.service");
    let run = hub.json(&["quick-deploy", "*"]).exits(1).ends(&[
        ("p620", "unchanged"),
        ("p510", "unreachable"),
        ("razer", "unreachable"),
        ("samsung", "unreachable"),
    ]);
    told_silent(&run, "p510");
    told(&run, "razer", "there is no route to 10.87.", "is the host on");
    told(&run, "samsung", "the name `nowhere.invalid` has no address", "set `target` of the host in hub.toml");

    let (razer, samsung) = (lab.traces("razer"), lab.traces("samsung"));
    assert_eq!((razer, samsung), (before[2].clone(), before[3].clone()));
    hub.write("hub.toml", &toml(&hosts.map(|host| (host, ""))));
    lab.heal("p510");
    lab.boot("p510");
    assert_eq!(disk(&lab.traces("p510")), disk(&before[1]));
    hub.json(&["quick-deploy", "!p620"]).exits(0).ends(&[
        ("p510", "deployed"),
        ("razer", "deployed"),
        ("samsung", "deployed"),
    ]);
}

/// What of a host's traces is on its disk and outlives a power loss.
fn disk(traces: &str) -> Vec<String> {
    let kept = |line: &&str| ["-link", "generation", "motd", "/nix/store"].iter().any(|part| line.contains(part));
    traces.lines().filter(kept).map(str::to_owned).collect()
}

#[test]
fn a_kept_connection_to_a_host_that_went_down_since_is_made_anew() {
    let lab = Lab::up(&["p620", "p510"]);
    let hub = Hub::new(&lab);
    hub.write("hub.toml", "[ssh]\nconnect-timeout = \"6s\"\n");
    deployed_and_edited(&hub, &["p620", "p510"]);
    // With their links cut first, not even the end of their connections reaches us.
    lab.cut("p620");
    lab.cut("p510");
    lab.kill("p620");
    lab.heal("p620");
    lab.boot("p620");
    let run = hub.json(&["quick-deploy", "p620", "p510"]).exits(1);
    let run = run.ends(&[("p620", "deployed"), ("p510", "unreachable")]);
    told_silent(&run, "p510");
}

#[test]
fn keys_that_do_not_fit_are_told_apart_and_the_hints_help() {
    let hosts = ["p620", "p510", "razer", "samsung"];
    let lab = Lab::up(&hosts);
    let mut hub = Hub::new(&lab);
    hub.write("hub.toml", &toml(&hosts.map(|host| (host, ""))));
    deployed_and_edited(&hub, &hosts);
    let before = hosts.map(|host| lab.traces(host));

    // The hub's own known hosts: one as it is, one with another key, one missing. The fourth host is asked for a user that
    // it does not know.
    let config = hub.root().join("../home/ssh config");
    let known = hub.root().join("../home/known");
    let of_lab = fs::read_to_string(lab.ssh_config()).unwrap();
    let lab_known = lab.ssh_config().with_file_name("known_hosts");
    let all_known = fs::read_to_string(&lab_known).unwrap();
    let line = |host: &str| all_known.lines().find(|line| line.starts_with(host)).unwrap();
    let (addresses, _) = line("p510").split_once(' ').unwrap();
    let (_, key_of_another) = line("samsung").split_once(' ').unwrap();
    fs::write(&known, format!("{}\n{addresses} {key_of_another}\n{}\n", line("p620"), line("samsung"))).unwrap();
    fs::write(&config, of_lab.replace(lab_known.to_str().unwrap(), known.to_str().unwrap())).unwrap();
    hub.set_env("HUBCTL_SSH_CONFIG", config.to_str().unwrap());
    hub.write(
        "hub.toml",
        &toml(&[("p620", ""), ("p510", ""), ("razer", "port = 22"), ("samsung", r#"user = "nobody-here""#)]),
    );

    let run = hub.json(&["quick-deploy", "*"]).exits(1).ends(&[
        ("p620", "deployed"),
        ("p510", "unreachable"),
        ("razer", "unreachable"),
        ("samsung", "unreachable"),
    ]);
    told(&run, "p510", "the host key of p510 has changed", "if not, somebody else answers");
    told(&run, "razer", "the host key of razer:22 is not known", "host-keys = \"accept-new\"");
    told(&run, "samsung", "nobody-here@samsung accepts none of the offered keys", "set another `user`");
    for host in 1..4 {
        assert_eq!(lab.traces(hosts[host]), before[host]);
    }

    // New keys are accepted when hub.toml says so, changed ones never.
    let accept = |toml: String| toml.replace("[ssh]", "[ssh]\nhost-keys = \"accept-new\"");
    hub.write("hub.toml", &accept(toml(&hosts.map(|host| (host, "")))));
    let run = hub.json(&["quick-deploy", "p510", "razer"]).exits(1);
    let run = run.ends(&[("p510", "unreachable"), ("razer", "deployed")]);
    assert!(fs::read_to_string(&known).unwrap().contains(&lab.address("razer")));

    // What the hint says to type makes the host an unknown one, whose key can be accepted.
    let hinted = hinted_command(&run, "p510");
    assert!(hinted.starts_with("ssh-keygen "), "{hinted}");
    hub.shell(&hinted).exits(0);
    hub.json(&["quick-deploy", "p510"]).exits(0).ends(&[("p510", "deployed")]);
    // The user's own key is another than the host's authorized one.
    let strange = hub.root().join("../home/strange");
    hub.shell(&format!("ssh-keygen -q -t ed25519 -N '' -f {}", strange.display())).exits(0);
    let own_key = lab.ssh_config().with_file_name("key");
    let text = fs::read_to_string(&config).unwrap().replace(own_key.to_str().unwrap(), strange.to_str().unwrap());
    fs::write(&config, text).unwrap();
    let run = hub.json(&["quick-deploy", "samsung"]).exits(1).ends(&[("samsung", "unreachable")]);
    told(&run, "samsung", "samsung accepts none of the offered keys", "ssh -o BatchMode=yes -F '");
    assert_eq!(lab.traces("samsung"), before[3]);
}

#[test]
fn who_may_become_root_and_who_may_copy() {
    let hosts = ["p620", "p510", "razer", "samsung"];
    let lab = Lab::up(&hosts);
    let hub = Hub::new(&lab);
    hub.write("hub.toml", &toml(&hosts.map(|host| (host, ""))));
    deployed_and_edited(&hub, &hosts);
    let before = hosts.map(|host| lab.traces(host));

    // The sudo password of two hosts is known, of the third another one. The first and the third trust the user with copies,
    // and so does the fourth, where sudo asks for no password.
    let right = lab.console("p620", "head -c 9 /dev/urandom | od -An -tx1 | tr -d ' '");
    let password_file = hub.root().join("../home/password");
    fs::write(&password_file, format!("{right}\n")).unwrap();
    let password_file = password_file.to_str().unwrap();
    for host in ["p620", "razer"] {
        lab.console(host, &format!("echo 'operator:{right}' | chpasswd -c SHA512"));
    }
    let trust = "sed -i 's/^trusted-users.*/trusted-users = root operator deployer/' /etc/nix/nix.conf && \
                 systemctl try-restart nix-daemon.service";
    for host in ["p620", "p510", "samsung"] {
        lab.console(host, trust);
    }
    let operator = r#"user = "operator", elevate = "sudo""#;
    let deployer = r#"user = "deployer", elevate = "sudo""#;
    hub.write("hub.toml", &toml(&[("p620", operator), ("p510", operator), ("razer", operator), ("samsung", deployer)]));
    let run = hub.json(&["quick-deploy", "*", "--sudo-password-file", password_file]).exits(1).ends(&[
        ("p620", "deployed"),
        ("p510", "refused"),
        ("razer", "copy-failed"),
        ("samsung", "deployed"),
    ]);
    told(&run, "p510", "`sudo` on the host refuses", "--sudo-password-file");
    told(&run, "p510", "incorrect password", "NOPASSWD");
    told(&run, "razer", "does not trust this user with unsigned paths", "trusted-users");
    let logs = hub.shell(&format!("grep -rc {right} ../state ../run | grep -v ':0$'"));
    assert_eq!(logs.stdout, "");
    assert!(!run.stdout.contains(&right) && !run.stderr.contains(&right));
    assert_eq!(lab.ssh("p620", "cat /etc/lab-motd | tail -n 1"), "edited");

    // Without a password, without any way to become root, and as one who may not: all found out before anything is copied.
    let outside = r#"user = "deployer", elevate = "doas""#;
    let plain = r#"user = "operator""#;
    hub.write("hub.toml", &toml(&[("p620", ""), ("p510", operator), ("razer", plain), ("samsung", outside)]));
    hub.set_host("samsung", r#"motd = "edited again";"#);
    let after = lab.traces("samsung");
    let run = hub.json(&["quick-deploy", "*"]).exits(5).ends(&[
        ("p620", "unchanged"),
        ("p510", "refused"),
        ("razer", "refused"),
        ("samsung", "refused"),
    ]);
    told(&run, "p510", "a password is required", "hubctl asks for the sudo password in a terminal");
    told(&run, "razer", "user id 48701 on razer is not root", r#"`elevate = "sudo"`"#);
    told(&run, "samsung", "`doas` on the host refuses", "without a password");
    for (host, before) in [("p510", &before[1]), ("razer", &before[2]), ("samsung", &after)] {
        assert_eq!(&lab.traces(host), before);
    }

    // What the hint for a user that is not trusted proposes besides: a host that trusts the builder's signatures.
    let keys = hub.root().join("../home");
    let made = format!("nix-store --generate-binary-cache-key hub-1 {0}/secret {0}/public", keys.display());
    hub.shell(&made).exits(0);
    let public = fs::read_to_string(keys.join("public")).unwrap();
    lab.console("razer", &format!("echo 'trusted-public-keys = {}' >>/etc/nix/nix.conf", public.trim()));
    lab.console("razer", "systemctl try-restart nix-daemon.service");
    hub.write("hub.toml", &toml(&[("razer", operator)]));
    // What was built before is not signed any more, so each path is a new one.
    hub.set_host("razer", &format!(r#"motd = "signed at {:?}";"#, SystemTime::now()));
    let secret = keys.join("secret");
    let words = ["--option", "secret-key-files", secret.to_str().unwrap(), "--sudo-password-file", password_file];
    let words: Vec<_> = ["quick-deploy", "razer"].into_iter().chain(words).collect();
    hub.json(&words).exits(0).ends(&[("razer", "deployed")]);
}

#[test]
fn hosts_that_cannot_take_a_deployment_refuse_it_before_it_begins() {
    let hosts = ["p620", "p510", "razer", "samsung"];
    let lab = Lab::up(&hosts);
    let hub = Hub::new(&lab);
    hub.write("hub.toml", &toml(&hosts.map(|host| (host, ""))));
    deployed_and_edited(&hub, &hosts);

    // One without Nix, one that is switched by somebody else, and one that answers to another name.
    lab.console("p510", "for program in $(ls /usr/bin | grep '^nix'); do rm \"/usr/bin/$program\"; done");
    lab.console("razer", "systemd-run --quiet --unit=nixos-rebuild-switch-to-configuration sleep infinity");
    hub.set_host("samsung", r#"motd = "edited"; hostName = "galaxy";"#);
    let before = hosts.map(|host| lab.traces(host));
    let run = hub.json(&["quick-deploy", "*"]).exits(5).ends(&[
        ("p620", "deployed"),
        ("p510", "refused"),
        ("razer", "refused"),
        ("samsung", "refused"),
    ]);
    told(&run, "p510", "p510 has no Nix that an ssh command can run", "install Nix there");
    told(&run, "razer", "another activation is under way on razer", "systemctl status nixos-rebuild");
    told(&run, "samsung", "samsung answers as `samsung`, but its configuration is for `galaxy`", "--despite host-name");
    for host in 1..4 {
        assert_eq!(lab.traces(hosts[host]), before[host]);
    }

    lab.console("razer", "systemctl stop nixos-rebuild-switch-to-configuration.service");
    let run = hub.json(&["quick-deploy", "razer", "samsung", "--despite", "host-name"]).exits(0);
    run.ends(&[("razer", "deployed"), ("samsung", "deployed")]);
    // From now on it has the name that it is meant to have.
    hub.json(&["quick-deploy", "samsung"]).exits(0).ends(&[("samsung", "unchanged")]);
}

#[test]
fn an_activation_that_somebody_else_begins_meanwhile_is_left_alone() {
    let lab = Lab::up(&["p620", "p510", "razer"]);
    let hub = Hub::new(&lab);
    deployed_and_edited(&hub, &["p620", "p510", "razer"]);
    for host in ["p620", "p510"] {
        // Another text each time, so that no earlier build serves.
        hub.set_host(host, &format!(r#"motd = "{:?}"; build.seconds = 8;"#, SystemTime::now()));
    }
    let mut run = hub.start(&["quick-deploy", "p620", "p510", "razer"]);
    for host in ["p620", "p510"] {
        run.wait_for(&format!(r#""event":"step-started","host":"{host}","step":"build""#));
    }
    // By `nixos-rebuild`, and by hand.
    lab.console("p620", "systemd-run --quiet --unit=nixos-rebuild-switch-to-configuration sleep infinity");
    let lock = "flock /run/nixos/switch-to-configuration.lock sleep infinity";
    lab.console("p510", &format!("systemd-run --quiet --unit=by-hand --service-type=exec {lock}"));
    lab.wait_until("p510", "! flock --nonblock /run/nixos/switch-to-configuration.lock true");
    let before = ["p620", "p510"].map(|host| lab.traces(host));
    let run = run.finish().exits(5).ends(&[("p620", "refused"), ("p510", "refused"), ("razer", "deployed")]);
    for (host, before) in ["p620", "p510"].iter().zip(before) {
        told(&run, host, "another activation is under way on the host", "run the command again after it");
        assert_eq!(lab.traces(host), before);
    }
}

#[test]
fn a_store_that_is_full_is_told_as_such() {
    let lab = Lab::up_with(&["--nix-size", "24M"], &["p620"]);
    lab.command(&["up", "p510"]);
    let hub = Hub::new(&lab);
    deployed_and_edited(&hub, &["p620", "p510"]);
    for host in ["p620", "p510"] {
        hub.set_host(host, "closureMiB = 32;");
    }
    let before = lab.traces("p620");
    let run = hub.json(&["quick-deploy", "p620", "p510", "--despite", "space"]).exits(1);
    let run = run.ends(&[("p620", "copy-failed"), ("p510", "deployed")]);
    told(&run, "p620", "the host's store is full", "nix-collect-garbage");
    assert_eq!(lab.traces("p620"), before);
    // What arrived in part is garbage, which the hinted command collects; what fits can be deployed then.
    lab.ssh("p620", &hinted_command(&run, "p620"));
    hub.set_host("p620", r#"motd = "small";"#);
    hub.json(&["quick-deploy", "p620"]).exits(0).ends(&[("p620", "deployed")]);
}
