//! Files that somebody made to do harm: each is an error that says what is wrong with it, and soon.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use super::commands::Secrets;

/// Rules with one secret for these keys, as an expression.
fn with_keys(keys: &str) -> String {
    format!("{{ \"a.age\".publicKeys = {keys}; }}")
}

#[test]
fn rules_that_are_deep_or_huge_or_of_another_kind_are_told() {
    let secrets = Secrets::with(1);
    let hub = &secrets.hub;
    let many = |part: &str| with_keys(&format!("{}1", part.repeat(200_000)));
    for (rules, text) in [
        // What would take the reader of Nix files its stack, or minutes.
        (many("!"), "it is nested too deeply"),
        (many("("), "it is nested too deeply"),
        (many("{ a = "), "it is nested too deeply"),
        (many("x: "), "it is nested too deeply"),
        (many("a ++ "), "it is nested too deeply"),
        (many("if a then b else "), "it is nested too deeply"),
        (many("\"${"), "it is nested too deeply"),
        // What would take Nix its stack, or the machine its memory.
        ("let f = n: f (n + 1); in f 0".to_owned(), "cannot be evaluated"),
        (with_keys("builtins.genList (x: x) 200000000"), "cannot be evaluated"),
        (with_keys("let d = n: if n == 0 then 1 else [ (d (n - 1)) ]; in d 1000"), "secrets.nix: it is not a set"),
        (
            with_keys("builtins.genList (n: \"ssh-ed25519 ${toString n} a key that is none, but long\") 200000"),
            "larger than 8 MiB",
        ),
        // What is something else.
        ("{ \"a.age\" = 1; }".to_owned(), "it has no `publicKeys`"),
        ("{ \"a.age\" = { publicKeys = [ ]; armor = 1; }; }".to_owned(), "`armor` is neither true nor false"),
        (with_keys("{ }"), "`publicKeys` is no list"),
        (with_keys("[ (x: x) ]"), "cannot be evaluated"),
        (with_keys("[ [ ] ]"), "is no string"),
        ("throw \"no\"".to_owned(), "cannot be evaluated"),
        ("[ ]".to_owned(), "it is a list"),
    ] {
        hub.write("secrets.nix", &rules);
        let told = hub.run(&["secrets", "status"]);
        let begin = &rules[..rules.len().min(60)];
        assert!(told.code == Some(2) && told.stderr.contains(text), "{begin}: {:?} {}", told.code, told.stderr);
        assert!(told.stderr.len() < 16 * 1024, "{begin}: {} bytes", told.stderr.len());
    }
    hub.write("secrets.nix", &with_keys("[ \"x\u{0}\" ]"));
    hub.run(&["secrets", "status"]).exits(2);
    fs::write(hub.root().join("secrets.nix"), [0xff, 0xfe, 0]).unwrap();
    hub.run(&["secrets", "status"]).exits(2).says("it is no text");
}

#[test]
fn rules_that_never_come_to_an_end_are_stopped_with_all_that_they_run() {
    let secrets = Secrets::with(1);
    let all = "let l = builtins.genList (x: x) 10000; f = builtins.foldl'; in";
    let endless = with_keys(&format!("({all} f (a: b: f (c: d: f (e: g: f (h: i: 0) 0 l) 0 l) 0 l) 0 l)"));
    secrets.hub.write("secrets.nix", &endless);
    secrets.hub.run(&["secrets", "status"]).exits(2).says("did not end within 30 s");
    let left = Command::new("pgrep").args(["-f", &secrets.hub.root().display().to_string()]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "");
}

#[test]
fn secrets_that_are_links_or_lead_elsewhere_are_not_followed() {
    let secrets = Secrets::with(3);
    let hub = &secrets.hub;
    let outside = secrets.home().join("outside");
    fs::rename(hub.root().join("secrets/s0.age"), &outside).unwrap();
    symlink(&outside, hub.root().join("secrets/s0.age")).unwrap();
    let before = fs::read(&outside).unwrap();
    for words in [&["show", "s0"][..], &["rekey", "s0", "--all"], &["edit", "s0"]] {
        let refused = hub.run(&[&["secrets"], words].concat());
        assert!(refused.code == Some(1) && refused.stderr.contains("it is a link"), "{words:?}: {refused:?}");
    }
    secrets.set("s0", "x").exits(1).says("it is a link");
    assert_eq!(fs::read(&outside).unwrap(), before);
    // A pipe that nobody writes to, and a directory.
    fs::remove_file(hub.root().join("secrets/s1.age")).unwrap();
    hub.shell("mkfifo secrets/s1.age; rm secrets/s2.age; mkdir secrets/s2.age").exits(0);
    for name in ["s1", "s2"] {
        hub.run(&["secrets", "show", name]).exits(1).says("it is no file");
        secrets.set(name, "x").exits(1).says("it is no file");
    }
    hub.run(&["secrets", "status"]).exits(1).says("it is a link");
    // The directory of all of them.
    hub.shell("mv secrets ../home/elsewhere; ln -s ../home/elsewhere secrets").exits(0);
    hub.run(&["secrets", "status"]).exits(2).says("leads through a link");
}

#[test]
fn files_that_are_no_honest_ones_of_age_are_told() {
    let secrets = Secrets::with(1);
    let file = secrets.hub.root().join("secrets/s0.age");
    let whole = fs::read(&file).unwrap();
    let stanza = "-> X25519 TEiF0ypqr+bpvcqXNyCVJpL7OuwPdVwPL7KQEbFDOCc\nEmECAEcKN+n/Vs9SbWiV+Hu0r+E8R77DdWYyd83nw7U\n";
    let mac = "--- WyJp9F/9FOZh7gJdheq2WIJcwHgYc8NIVh3ddwhrcNg\n0123456789012345678901234567890123456789";
    let of = |header: &str| format!("age-encryption.org/v1\n{header}{mac}").into_bytes();
    for (content, text) in [
        // Bombs: of recipients, of one line, of one stanza, of words, and of armor.
        (of(&stanza.repeat(100_000)), "header"),
        (vec![b'a'; 50 * 1024 * 1024], "its header is larger than 256 KiB"),
        (of(&format!("-> X25519 {}\n\n", "A".repeat(10 * 1024 * 1024))), "header"),
        (of(&format!("-> x\n{}", format!("{}\n", "A".repeat(64)).repeat(100_000))), "header"),
        (of(&format!("-> x{}\n\n", " a".repeat(1_000_000))), "header"),
        (format!("-----BEGIN AGE ENCRYPTED FILE-----\n{}", "A".repeat(20 * 1024 * 1024)).into_bytes(), "armor"),
        // Others.
        (of(""), "there is no stanza"),
        (of("-> scrypt AAAA 30\nAAAA\n"), "passphrase"),
        (b"age-encryption.org/v9\n".to_vec(), "v9"),
        (whole[..40].to_vec(), "it ends there"),
        (Vec::new(), "empty"),
    ] {
        fs::write(&file, &content).unwrap();
        let shown = secrets.hub.run(&["secrets", "show", "s0"]);
        let begin = String::from_utf8_lossy(&content[..content.len().min(60)]).into_owned();
        assert!(shown.code == Some(1) && shown.stderr.contains(text), "{begin}: {shown:?}");
        assert!(shown.stderr.len() < 4096, "{begin}: {} bytes", shown.stderr.len());
        secrets.hub.run(&["secrets", "status"]).exits(0).prints("secrets/s0.age");
        secrets.hub.run(&["secrets", "rekey"]);
        assert_eq!(fs::read(&file).unwrap(), content, "{begin}");
    }
}

#[test]
fn files_of_sops_that_are_no_honest_ones_are_told() {
    let secrets = Secrets::new();
    let me = secrets.public(".ssh/id_ed25519");
    secrets.hub.write(".sops.yaml", &format!("creation_rules:\n  - age: {me}\n"));
    secrets.set("web.yaml", "a: x\n").exits(0);
    secrets.set("web.json", "{\"a\": \"x\"}\n").exits(0);
    let whole = |name: &str| fs::read_to_string(secrets.hub.root().join(name)).unwrap();
    let (yaml, json) = (whole("web.yaml"), whole("web.json"));
    let recipient = yaml.lines().find(|line| line.contains("recipient:")).unwrap();
    let bomb = "a0: &a0 [x, x]\n".to_owned()
        + &(1..40).fold(String::new(), |text, at| text + &format!("a{at}: &a{at} [*a{0}, *a{0}]\n", at - 1));
    for (name, content) in [
        ("web.yaml", format!("{}{yaml}", "a: ".to_owned() + &"[".repeat(100_000) + "\n")),
        ("web.yaml", format!("{}x\n{yaml}", "- ".repeat(100_000))),
        ("web.yaml", format!("{bomb}{yaml}")),
        ("web.yaml", yaml.replace(recipient, &format!("{recipient}\n{recipient}"))),
        ("web.yaml", yaml.replace("mac:", "mac_:")),
        ("web.yaml", yaml.replace("data:", "data:AAAA")),
        ("web.yaml", yaml.replace("a: ENC", "a: !!binary ENC")),
        ("web.yaml", yaml.replace("lastmodified:", "lastmodified: 1 #")),
        ("web.json", json.replace("\"a\":", &format!("\"b\": {}1, \"a\":", "[".repeat(100_000)))),
        ("web.json", json.replace("\"a\":", "\"a\": 1, \"a\":")),
        ("web.json", json.replace("data:", "data:\\u0000")),
    ] {
        assert_ne!((content.len(), name), (whole(name).len(), name));
        fs::write(secrets.hub.root().join(name), &content).unwrap();
        let begin: String = content.chars().take(80).collect();
        let shown = secrets.hub.run(&["secrets", "show", name]);
        assert!(shown.code == Some(1) && shown.stderr.contains(name), "{begin}: {shown:?}");
        assert!(shown.stderr.len() < 4096, "{begin}: {} bytes", shown.stderr.len());
        assert_eq!(secrets.hub.run(&["secrets", "rekey", name, "--all"]).code, Some(1), "{begin}");
        assert_eq!(whole(name), content, "{begin}");
        fs::write(secrets.hub.root().join(name), if name == "web.yaml" { &yaml } else { &json }).unwrap();
    }
    for rules in [bomb, "[".repeat(100_000), "creation_rules:\n  - path_regex: \"(\"\n".to_owned()] {
        secrets.hub.write(".sops.yaml", &rules);
        let begin: String = rules.chars().take(40).collect();
        let told = secrets.set("new.yaml", "a: x\n");
        assert!(matches!(told.code, Some(1 | 2)) && told.stderr.contains(".sops.yaml"), "{begin}: {told:?}");
    }
}
