//! `hub.toml` files, right and wrong.

use crate::lint::{Level, Severity};
use crate::remote::HostKeys;
use std::path::Path;

use globset::Glob;
use proptest::prelude::*;

use super::*;
use crate::fleet::{Batch, FailedUnits, FlakeHosts, Inventory, OnFailure, Selection};

/// A valid file that uses every key.
const FULL: &str = r#"
[defaults]
user = "root"
elevate = "none"
tags = ["all"]
build-on = "here"

[roles.server]
tags = ["always-on"]
reboot = "never"
reboot-timeout = "10m"
specialisation = "gaming"
port = 2222
archived = false

[hosts.p620]
health = { inherit = true }
role = "workstation"
tags = ["amd", "cache"]
system = "x86_64-linux"
kind = "nixos"
build-on = "target"
confirm = "90s"
min-battery = 0
unit-policy = { "nginx.service" = "rollback", "foo-*" = "tolerate" }
after = ["dex5550"]
alone = true

[roles.server.health]
inherit = true
units = ["sshd.service", { unit = "foo-*", timeout = "3s" }]
tcp = [22, { port = 80, host = "10.0.0.1", from = "operator" }]
http = ["http://localhost/", { url = "https://localhost/x", status = 204, body = "ok" }]
command = [["true"], { run = ["test", "-e", "/run/x"], name = "ready", retries = 3, every = "1s" }]
file = [{ path = "/var/x", max-age = "26h" }]

[hosts]
p510 = { role = "server", target = "p510.lan", user = "admin", elevate = "sudo", build-on = "p620" }
dex5550 = { role = "server", archived = true, port = 22 }
"web.example.org" = {}

[ssh]
config-file = "ssh_config"
persist = "1m30s"
host-keys = "accept-new"
connect-timeout = "5s"

[deploy]
parallel = 0x10
activation-timeout = "1h"
confirm = "2m"
min-battery = 35
failed-units = "rollback"
canary = 1
batch = "50%"
order = ["amd", "always-on"]
max-failures = 2
soak = "5m"
on-failure = "roll-back"

[deploy.hooks]
before = ["./ask", "--really"]
after = ["notify"]
failed = ["notify", "--loudly"]

[nix]
eval-jobs = 4
accept-flake-config = true
ask-substituters = false

[nix.options]
cores = 2
fallback = true
substituters = "https://cache.example.org https://other.example.org"

[cache]
url = "s3://hub?region=eu-north-1"
substituter = "https://cache.example.org"
upload = ["attic", "push", "hub"]
secret-key-file = "cache.secret"
public-keys = ["hub-1:N19VBhqs4hibNZIm2C3N9kfuJaGDAw7wci3MMXQakIU="]

[gc]
keep = 3
keep-since = "2w"

[metrics]
file = "/var/lib/node-exporter/hubctl.prom"
push = "http://gateway:9091"

[lint]
exclude = ["vendor/", "hosts/*/generated.nix"]
severity = { nested-with = "off", unused-with = "error" }

[secrets."secrets/*"]
max-age = "90d"

[secrets."secrets/wireguard.age"]
generate = "wireguard"
copies = ["secrets/web.yaml#wireguard/key"]
public-key = "hosts/p620/wireguard.pub"

[secrets.password-hash]
generate = "mkpasswd"
clear = "password"
"#;

fn parse(text: &str) -> Result<HubToml, ConfigErrors> {
    HubToml::parse(text, Path::new("hub.toml"))
}

fn lines(text: &str) -> Vec<String> {
    parse(text).unwrap_err().to_string().lines().map(str::to_owned).collect()
}

fn line(text: &str) -> String {
    let lines = lines(text);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    lines[0].clone()
}

fn hint(text: &str) -> String {
    let errors = parse(text).unwrap_err();
    errors.problems().next().and_then(|(_, problem)| problem.hint()).unwrap()
}

/// Goes through everything that a text can lead to.
fn exercise(text: &str) {
    match parse(text) {
        Ok(hub) => {
            let flake = FlakeHosts {
                nixos: vec!["p620".into(), "a b".into()],
                darwin: vec!["mac".into()],
                ..FlakeHosts::default()
            };
            match Inventory::new(Some(&hub), &flake) {
                Ok((inventory, notes)) => {
                    let _ = (notes.iter().map(|note| format!("{note} {}", note.hint())).count(), inventory.tags());
                    let selection = Selection::parse(["*", "!p620"]).unwrap();
                    let _ = inventory.select(&selection).map_err(|error| error.hint());
                }
                Err(errors) => show(&errors),
            }
        }
        Err(errors) => show(&errors),
    }
}

fn show(errors: &ConfigErrors) {
    assert!(!errors.to_string().is_empty());
    assert!(!errors.render(false).contains('\u{1b}'), "a plain text does not steer the terminal");
    assert!(!errors.render(true).is_empty());
}

#[test]
fn every_key_is_read() {
    let hub = parse(FULL).unwrap();
    assert_eq!(hub.ssh().config_file_in(Path::new("/hub")).unwrap(), Path::new("/hub/ssh_config"));
    assert_eq!(hub.ssh().persist.as_secs(), 90);
    assert_eq!(hub.ssh().host_keys, HostKeys::AcceptNew);
    assert_eq!(hub.ssh().connect_timeout.as_secs(), 5);
    assert_eq!(hub.deploy().parallel.unwrap().get(), 16);
    assert_eq!(hub.deploy().policy.activation_timeout.as_secs(), 3600);
    assert_eq!(hub.deploy().policy.min_battery, 35);
    assert_eq!(hub.deploy().policy.confirm.as_secs(), 120);
    assert_eq!(hub.deploy().policy.failed_units, FailedUnits::Rollback);
    let waves = hub.deploy().waves.clone();
    assert_eq!((waves.canary, waves.batch, waves.max_failures), (1, Some(Batch::Percent(50)), 2));
    assert_eq!((waves.order, waves.soak.as_secs()), (vec!["amd".to_owned(), "always-on".to_owned()], 300));
    assert_eq!(waves.on_failure, OnFailure::RollBack);
    let hooks = hub.deploy().hooks.clone();
    assert_eq!(
        (hooks.before, hooks.after),
        (vec!["./ask".to_owned(), "--really".to_owned()], vec!["notify".to_owned()])
    );
    assert_eq!(hooks.failed, ["notify", "--loudly"]);
    assert_eq!(hub.nix().eval_jobs.unwrap().get(), 4);
    assert_eq!(hub.nix().accept_flake_config, Some(true));
    assert!(!hub.nix().ask_substituters);
    let options: Vec<(&str, &str)> = hub.nix().options.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let caches = "https://cache.example.org https://other.example.org";
    assert_eq!(options, [("cores", "2"), ("fallback", "true"), ("substituters", caches)]);
    let cache = hub.cache();
    assert_eq!(cache.url.as_ref().unwrap().to_string(), "s3://hub");
    assert_eq!(cache.substituter.as_ref().unwrap().to_string(), "https://cache.example.org");
    assert_eq!(cache.upload, ["attic", "push", "hub"]);
    assert_eq!(cache.secret_key_file.as_deref(), Some(Path::new("cache.secret")));
    let lint = hub.lint();
    assert_eq!(lint.exclude.iter().map(Glob::glob).collect::<Vec<_>>(), ["vendor", "hosts/*/generated.nix"]);
    let level = |name| lint.levels.of(crate::lint::rule(name).unwrap());
    assert_eq!((level("nested-with"), level("unused-with")), (Level::Off, Level::At(Severity::Error)));
    assert_eq!(cache.public_keys, ["hub-1:N19VBhqs4hibNZIm2C3N9kfuJaGDAw7wci3MMXQakIU="]);
    assert_eq!((hub.gc().keep.get(), hub.gc().keep_since.as_secs()), (3, 14 * 24 * 60 * 60));
    assert_eq!(hub.metrics().file.as_deref(), Some(Path::new("/var/lib/node-exporter/hubctl.prom")));
    assert_eq!(hub.metrics().push.as_deref(), Some("http://gateway:9091"));
    for key in known_keys() {
        assert!(
            FULL.contains(&format!("{} = ", key.name)) || ["options", "hooks"].contains(&key.name),
            "{key:?} is not in the test's file"
        );
    }
}

#[test]
fn an_empty_file_has_the_defaults() {
    let hub = parse("").unwrap();
    assert_eq!((hub.ssh(), hub.deploy(), hub.nix()), (&Ssh::default(), &Deploy::default(), &Nix::default()));
    assert_eq!(hub.cache(), &Cache::default());
    assert!(hub.hosts().is_none());
    assert!(parse("[hosts]").unwrap().hosts().is_some());
}

#[test]
fn an_error_is_drawn_on_its_line_with_a_hint() {
    let errors = parse("[hosts.p620]\ntarget = \"p620.lan\"\nusr = \"root\" # who\n").unwrap_err();
    assert_eq!(errors.to_string(), "hub.toml:3:1: unknown key `usr` in `[hosts.p620]`");
    let drawn = "\
error: unknown key `usr` in `[hosts.p620]`
 --> hub.toml:3:1
  |
3 | usr = \"root\" # who
  | ^^^
  |
  = hint: did you mean `user`?";
    assert_eq!(errors.render(false), drawn);
    assert!(errors.render(true).contains("\u{1b}["));
}

#[test]
fn all_mistakes_are_found_at_once_in_the_order_of_the_file() {
    let text = "\
[ssh]
persist = 60
[hosts.b]
port = 0
tags = [\"ok\", 3, \"-x\"]
[hosts.a]
elevate = \"sodu\"
[defalts]
";
    let expected = [
        "hub.toml:2:11: `persist` in `[ssh]` must be a time such as \"60s\", \"5m\" or \"1h30m\", at most a week, not the number 60",
        "hub.toml:4:8: `port` in `[hosts.b]` must be a whole number from 1 to 65535, not the number 0",
        "hub.toml:5:15: `tags` in `[hosts.b]` must be words of letters, digits, `-`, `_` and `.`, with neither `-` nor `.` in front, not the number 3",
        "hub.toml:5:18: `tags` in `[hosts.b]` must be words of letters, digits, `-`, `_` and `.`, with neither `-` nor `.` in front, not the text \"-x\"",
        "hub.toml:7:11: `elevate` in `[hosts.a]` must be \"none\", \"sudo\", \"doas\" or \"run0\", not the text \"sodu\"",
        "hub.toml:8:2: unknown key `defalts` in the file's top level",
    ];
    assert_eq!(lines(text), expected);
}

#[test]
fn a_syntax_error_stands_alone() {
    assert_eq!(line("[ssh\npersist = 1"), "hub.toml:1:5: not valid TOML: unclosed table, expected `]`");
    assert!(line("a = 1\na = 2").starts_with("hub.toml:2:1: not valid TOML: duplicate key"));
    // Deep nesting ends in an error, not in a stack overflow.
    for deep in ["[".repeat(100_000), "a.".repeat(200_000), "a = ".to_owned() + &"{a=".repeat(100_000)] {
        assert_eq!(lines(&deep).len(), 1);
    }
}

#[test]
fn hints_know_the_usual_slips() {
    let cases = [
        ("[hosts.a]\nbuild_on = 'here'", "did you mean `build-on`?"),
        ("parallel = 3", "`parallel` is a key of `[deploy]`"),
        ("user = 'root'", "`user` is a key of `[hosts.<name>]`"),
        ("[deploy.hooks]\nzzz = 3", "the keys here are `before`, `after` and `failed`"),
        ("[deploy]\non-failure = 'rollback'", "did you mean \"roll-back\"?"),
        ("[hosts.a]\nkind = 'NixOS'", "did you mean \"nixos\"?"),
        ("[hosts.a]\nsystem = 'x86-64-linux'", "did you mean \"x86_64-linux\"?"),
        ("[hosts.a]\ntarget = 'root@a.lan'", "write `target = \"a.lan\"` and `user = \"root\"`"),
        ("[hosts.a]\ntarget = 'a.lan:2222'", "write `target = \"a.lan\"` and `port = 2222`"),
        ("[hosts.a]\ntags = ['@x']", "write the tag without `@`, which only selects by it"),
        ("[hosts.a]\ntags = 'x'", "for example `tags = [\"edge\", \"amd\"]`"),
        ("[hosts]\na = 'a.lan'", "put its keys under a header of its own, `[hosts.a]`"),
        ("[[hosts]]", "put its keys under a header of its own, `[hosts]`"),
        ("[ssh]\npersist = 60", "write the unit too: \"60s\""),
        ("[nix.options]\nx = ['a']", "write a list as one text with spaces between, as `nix.conf` does"),
        ("[hosts.a.health]\nunits = ['sshd']", "write the unit's kind too: \"sshd.service\""),
        ("[hosts.a.health]\nhttp = [{ status = 200 }]", "say what is checked: `url = ...`"),
        ("[hosts.a.health]\ntcp = [{ prt = 22, port = 1 }]", "did you mean `port`?"),
        ("[hosts.a.unit-policy]\n'nginx.service' = 'rolback'", "did you mean \"rollback\"?"),
        ("[roles.a]\nrole = 'b'", "give the role to the hosts themselves, in `[hosts.<name>]` or `[defaults]`"),
    ];
    for (text, expected) in cases {
        assert_eq!(hint(text), expected, "{text}");
    }
    assert!(hint("[hosts.web.example.org]").ends_with("a name with a dot is written in quotes"));
}

#[test]
fn bad_values_are_refused() {
    let bad = [
        "target = ''",
        "target = '-oProxyCommand=x'",
        "target = 'a b'",
        "target = 'ssh://a'",
        "target = '@'",
        "user = ''",
        "user = '-l'",
        "user = 'a b'",
        "port = 65536",
        "port = -1",
        "port = '22'",
        "port = 99999999999999999999",
        "port = 22.5",
        "system = 'linux'",
        "kind = true",
        "role = 'a b'",
        "role = ''",
        "archived = 'yes'",
        "archived = 1",
        "build-on = ''",
        "build-on = '-x'",
        "build-on = 2020-01-01",
    ];
    for text in bad {
        line(&format!("[hosts.a]\n{text}"));
        line(&format!("[defaults]\n{text}"));
    }
    for text in ["config-file = ''", "config-file = '~/x'", "host-keys = 'no'", "connect-timeout = '0s'"] {
        line(&format!("[ssh]\n{text}"));
    }
    for text in [
        "parallel = 0",
        "parallel = 10001",
        "parallel = -1",
        "parallel = 'all'",
        "activation-timeout = '0s'",
        "min-battery = 101",
    ] {
        line(&format!("[deploy]\n{text}"));
    }
    for text in ["canary = -1", "batch = 0", "batch = '101%'", "order = ['@x']", "soak = 5", "hooks.before = 'sh'"] {
        line(&format!("[deploy]\n{text}"));
    }
    for text in ["after = 'b'", "after = ['-b']", "alone = 'yes'"] {
        line(&format!("[hosts.a]\n{text}"));
    }
    for text in ["nginx = 'fail'", "'-x.service' = 'fail'", "'a b.service' = 'fail'", "'a[.service' = 'fail'"] {
        line(&format!("[hosts.a.unit-policy]\n{text}"));
    }
    for text in [
        "units = 'sshd.service'",
        "units = ['a b.service']",
        "tcp = [0]",
        "tcp = ['22']",
        "tcp = [{ host = 'a' }]",
        "http = ['localhost']",
        "http = ['http://a b']",
        "http = [{ url = 'http://a', status = 600 }]",
        "http = [{ url = 'http://a', body = \"a\\nb\" }]",
        "command = ['true']",
        "command = [[]]",
        "command = [{ run = [] }]",
        "file = ['x']",
        "file = [{ path = '/x', max-age = '0s' }]",
        "file = [{ path = '/x', retries = 1001 }]",
        "file = [{ path = '/x', from = 'here' }]",
        "inherit = 1",
        "disk = []",
    ] {
        line(&format!("[roles.a.health]\n{text}"));
    }
    for text in ["X = 1", "'' = 1", "a = 1.5", "a = {}", "a = \"\\u0000\""] {
        line(&format!("[nix.options]\n{text}"));
    }
    for text in
        ["[hosts.'a b']", "[hosts.'']", "[hosts.-x]", "[roles.'a b']", "hosts = 1", "roles = []", "[nix]\noptions = 1"]
    {
        line(text);
    }
}

#[test]
fn caches_are_stores_with_public_keys() {
    for (text, problem) in [
        ("url = 'p620'", "`url` in `[cache]` must be the URL of a store that Nix knows"),
        ("url = '/srv/cache'", "`url` in `[cache]` must be the URL of a store"),
        ("substituter = 'http://a http://b'", "`substituter` in `[cache]` must be the URL of a store"),
        ("upload = 'attic push'", "`upload` in `[cache]` must be a list of texts"),
        ("upload = ['attic', '']", "`upload` in `[cache]` must be texts that are not empty"),
        ("public-keys = ['hub-1']", "`public-keys` in `[cache]` must be public keys as Nix writes them"),
        ("public-keys = ['N19VBhqs4hibNZIm2C3N9kfuJaGDAw7wci3MMXQakIU=']", "`public-keys` in `[cache]` must be"),
    ] {
        let line = line(&format!("[cache]\n{text}"));
        assert!(line.contains(problem), "{text}: {line}");
    }
    let secret = format!("[cache]\npublic-keys = ['hub-1:{}']", "x".repeat(88));
    assert!(hint(&secret).contains("secret key"));
}

#[test]
fn times_have_units() {
    for (text, seconds) in [("0s", 0), ("90s", 90), ("5m", 300), ("1h30m", 5400), ("1h2m3s", 3723), ("168h", 604_800)] {
        assert_eq!(parse(&format!("[ssh]\npersist = '{text}'")).unwrap().ssh().persist.as_secs(), seconds, "{text}");
    }
    for text in [
        "",
        "5",
        "s",
        "5x",
        "-5s",
        "+5s",
        "1s1m",
        "5s5s",
        "1.5h",
        "169h",
        "99999999999999999999s",
        "9999999999999999h",
        " 5s",
        "5 s",
    ] {
        line(&format!("[ssh]\npersist = '{text}'"));
    }
}

#[test]
fn foreign_text_cannot_steer_the_terminal() {
    for text in [
        "\"\\u001b[31m\" = 1",
        "[hosts.a]\nuser = \"\\u001b]0;x\\u0007\"",
        "\u{1b}[31m = 1",
        "[ssh]\nconfig-file = \"\\u0000\"",
    ] {
        let errors = parse(text).unwrap_err();
        assert!(!errors.render(false).contains('\u{1b}'), "{text:?}");
        assert!(!errors.to_string().contains('\u{1b}'), "{text:?}");
    }
}

#[test]
fn a_byte_order_mark_and_carriage_returns_are_no_mistake() {
    assert_eq!(line("\u{feff}[ssh]\r\nx = 1\r\n"), "hub.toml:2:1: unknown key `x` in `[ssh]`");
    parse(&FULL.replace('\n', "\r\n")).unwrap();
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*|[a-z\\[\\]{}=\"'.,#\\\\ \n\r\t\u{0}\u{1b}0-9ä\u{feff}]{0,200}") {
        exercise(&text);
    }

    #[test]
    fn no_mutated_file_panics(edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..12, "\\PC{0,3}|[\\[\\]{}=\"'.,#\n\r\u{0}\u{1b}-]{1,2}"), 1..6)) {
        let mut text: Vec<char> = FULL.chars().collect();
        for (at, removed, inserted) in edits {
            let at = at.index(text.len() + 1);
            let end = (at + removed).min(text.len());
            text.splice(at..end, inserted.chars());
        }
        exercise(&text.into_iter().collect::<String>());
    }

    #[test]
    fn no_value_panics(key in 0_usize..known_keys().count(), value in "\\PC{0,20}|[0-9a-z:@.-]{0,30}|[0-9]{0,25}[hms]?", quoted in any::<bool>()) {
        let Some(key) = known_keys().nth(key) else { return Ok(()) };
        let table = key.table.replace("<name>", "x").replace("<kind>", "http");
        let value = if quoted { format!("'{}'", value.replace('\'', "")) } else { value };
        exercise(&format!("[{table}]\n{} = {value}\n", key.name));
    }
}
