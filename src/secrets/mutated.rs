//! Real files of every kind that is read here, damaged in many ways: no reader falls, and none lets through what is sealed.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::age::{Armor, Ask, Header, Identities, Nobody, Recipient, encrypt};
use super::edit_rules::{self, Who};
use super::generate::Generator;
use super::rotation::Record;
use super::sops::{Format, Settings, SopsFile, SopsRules, create};
use super::transaction::{Change, Disk, Seen, Store};
use super::{ToRotate, bind, format};

/// How often each is damaged.
const TIMES: usize = 400;

/// What readers stumble over.
const PIECES: [&str; 26] = [
    "\n",
    "\r\n",
    "\t",
    " ",
    "\0",
    "\u{feff}",
    "\u{1f511}",
    "é",
    "\"",
    "'",
    "''",
    "${",
    "}",
    "[",
    "{",
    "- ",
    ": ",
    "#",
    "|\n",
    "&a ",
    "*a",
    "<<: *a",
    "ENC[AES256_GCM,data:",
    "-> ",
    "--- ",
    "\\u0000",
];

/// Randomness that is the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit.max(1)
    }

    /// Damages some bytes, in a few places at once.
    fn damage(&mut self, whole: &[u8]) -> Vec<u8> {
        let mut bytes = whole.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            let end = (at + 1 + self.below(40)).min(bytes.len());
            match self.below(6) {
                0 => drop(bytes.drain(at..end)),
                1 => bytes.truncate(at),
                2 => {
                    let twice = bytes[at..end].to_vec();
                    drop(bytes.splice(at..at, twice));
                }
                3 => drop(bytes.splice(at..at, PIECES[self.below(PIECES.len())].bytes())),
                4 => {
                    drop(
                        bytes.splice(at..end, PIECES[self.below(PIECES.len())].repeat(1 + self.below(3)).into_bytes()),
                    );
                }
                _ => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << self.below(8);
                    }
                }
            }
        }
        bytes
    }

    /// So many damaged versions of a text, as text.
    fn damaged<'a>(&'a mut self, whole: &'a str) -> impl Iterator<Item = String> + 'a {
        (0..TIMES).map(|_| String::from_utf8_lossy(&self.damage(whole.as_bytes())).into_owned())
    }
}

fn nobody() -> Arc<dyn Ask> {
    Arc::new(Nobody)
}

/// A private key of a kind, and its public one.
fn key(kind: &str) -> (String, Recipient) {
    let made = kind.parse::<Generator>().unwrap().make();
    (String::from_utf8(made.value.to_vec()).unwrap(), made.public.unwrap().parse().unwrap())
}

fn identities(private: &str) -> Identities {
    let mut identities = Identities::new(nobody());
    identities.add_text("test", private).unwrap();
    identities
}

#[test]
fn files_of_age_that_were_damaged_open_as_they_were_or_not_at_all() {
    let mut random = Random(1);
    for kind in ["ssh-key", "age-key"] {
        let (private, public) = key(kind);
        let identities = identities(&private);
        for armor in [Armor::Binary, Armor::Ascii] {
            let whole = encrypt(b"a secret of some length", std::slice::from_ref(&public), armor, &nobody()).unwrap();
            for _ in 0..TIMES {
                let damaged = random.damage(&whole);
                let _ = Header::of(&damaged).map(|header| identities.may_open(&header));
                if let Ok(plain) = identities.decrypt(&damaged) {
                    assert_eq!(**plain, *b"a secret of some length", "{armor:?}: {damaged:?}");
                }
            }
        }
    }
}

#[test]
fn keys_that_were_damaged_make_no_reader_fall() {
    let mut random = Random(2);
    for kind in ["ssh-key:comment=root@host", "age-key"] {
        let (private, public) = key(kind);
        for private in random.damaged(&private) {
            let _ = Identities::new(nobody()).add_text("test", &private);
        }
        for text in random.damaged(&public.to_string()) {
            if let Ok(key) = text.parse::<Recipient>() {
                let _ = (key.to_age(), key.tag(), key.short());
                assert_eq!(key.to_string().parse::<Recipient>().unwrap(), key, "{text:?}");
            }
        }
    }
}

const RULES: &str = "\
# Keys.
let
  me = \"ssh-ed25519 A me\"; # the admin
  hosts = [ me \"ssh-ed25519 B\" ];
in
rec {
  \"a.age\".publicKeys = hosts ++ [ me ]; # ''comment''
  \"b c.age\" = { publicKeys = [ me ]; armor = true; };
}
";

#[test]
fn rules_that_were_damaged_make_no_editor_fall_and_keep_what_is_not_meant() {
    let who = [Who::One("new".to_owned()), Who::Key("ssh-ed25519 C".to_owned())];
    for text in Random(3).damaged(RULES) {
        let _ = (edit_rules::names(&text), edit_rules::key_of(&text, "me"), edit_rules::remove(&text, "a.age"));
        let _ = edit_rules::revoke(&text, None, &[Who::One("me".to_owned())]);
        let longer = [
            edit_rules::add(&text, "d.age", &who).ok(),
            edit_rules::grant(&text, "a.age", &who[0]).ok(),
            edit_rules::grant(&text, "b c.age", &who[1]).ok(),
        ];
        // What is changed was evaluated before.
        let is_nix = rnix::Root::parse(&text).errors().is_empty();
        for new in longer.iter().flatten().filter(|_| is_nix) {
            // What there was is there still, around what came.
            let begin = text.bytes().zip(new.bytes()).take_while(|(old, new)| old == new).count();
            let end = text.bytes().rev().zip(new.bytes().rev()).take_while(|(old, new)| old == new).count();
            assert!(begin + end >= text.len(), "{text}\nbecomes\n{new}");
        }
        let _ = bind(&text, "p620", "ssh-ed25519 D");
    }
}

const PLAIN: [(Format, &str); 5] = [
    (Format::Yaml, "# about\na: one # behind\nb:\n  - 1\n  - {c: \"x\"}\ne: |\n  two\n  lines\nf_unencrypted: yes\n"),
    (Format::Json, "{\"a\": \"one\", \"b\": [1, 2.5, {\"c\": null}], \"d\": \"\"}\n"),
    (Format::Env, "# about\nA=one\nB=two\\nlines\nC=\n"),
    (Format::Ini, "; about\n[one]\na = x\n[two]\nb=`y`\n"),
    (Format::Binary, "any bytes"),
];

fn sealed(format: Format, plain: &str, to: &Recipient) -> SopsFile {
    let now = "2026-01-02T03:04:05Z".parse().unwrap();
    let text =
        create(format, plain.as_bytes(), &Settings::default(), std::slice::from_ref(to), &nobody(), now).unwrap();
    SopsFile::parse(format, text.as_bytes()).unwrap()
}

#[test]
fn files_of_sops_that_were_damaged_make_nothing_fall() {
    let (private, public) = key("age-key");
    let (identities, other) = (identities(&private), key("ssh-key").1);
    let now = "2026-01-02T03:04:05Z".parse().unwrap();
    let mut random = Random(4);
    for (format, plain) in PLAIN {
        let file = sealed(format, plain, &public);
        let key = file.data_key(&identities).unwrap();
        for text in random.damaged(file.text()) {
            let Ok(damaged) = SopsFile::parse(format, text.as_bytes()) else { continue };
            let _ = (damaged.data_key(&identities), damaged.addresses(), damaged.sealed(), damaged.decrypt(&key));
            let _ = damaged.edited(&key, plain.as_bytes(), now);
            let _ = damaged.for_recipients(&key, &[public.clone(), other.clone()], &nobody());
        }
        for text in random.damaged(plain) {
            let _ = format.check(text.as_bytes());
        }
    }
}

#[test]
fn every_byte_that_is_sealed_in_a_file_of_sops_is_held() {
    let (private, public) = key("age-key");
    let identities = identities(&private);
    for (format, plain) in PLAIN {
        let file = sealed(format, plain, &public);
        let key = file.data_key(&identities).unwrap();
        let whole = file.text();
        let altered = |at: usize| {
            let mut bytes = whole.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            bytes
        };
        let holds = |bytes: &[u8]| SopsFile::parse(format, bytes).is_ok_and(|file| file.verify(&key).is_ok());
        assert!(holds(whole.as_bytes()));
        let mut tried = 0;
        // The values, their nonces and their tags; the MAC is one of them.
        for (start, _) in whole.match_indices("ENC[") {
            for label in ["data:", "iv:", "tag:"] {
                let from = start + whole[start..].find(label).unwrap() + label.len();
                for at in from..from + whole[from..].find(',').unwrap() {
                    assert!(!holds(&altered(at)), "{format:?}: byte {at}, {label}, of {whole}");
                    tried += 1;
                }
            }
        }
        // The moment, which the MAC is bound to.
        let from = whole.find("2026-01-02").unwrap();
        assert!((from..from + "2026-01-02T03:04:05Z".len()).all(|at| !holds(&altered(at))), "{format:?}");
        // What the recipient opens, each byte of it.
        let from = whole.find("-----BEGIN AGE ENCRYPTED FILE-----").unwrap();
        for at in (from..from + whole[from..].find("-----END").unwrap())
            .filter(|at| whole.as_bytes()[*at].is_ascii_alphanumeric())
        {
            let opens = |file: SopsFile| file.data_key(&identities).is_ok();
            assert!(!SopsFile::parse(format, &altered(at)).is_ok_and(opens), "{format:?}: byte {at} of {whole}");
        }
        assert!(tried > 100, "{format:?}: {tried}");
    }
}

#[test]
fn lists_and_rules_that_were_damaged_make_no_reader_fall() {
    let mut random = Random(5);
    let rules = "keys:\n  - &me age1x\n  - &all [*me, \"ssh-ed25519 A\"]\ncreation_rules:\n  # web\n  - path_regex: web\\.(yaml|env)$\n    \
                 encrypted_regex: ^data$\n    key_groups:\n      - age: [*me]\n  - age: >-\n      age1y,\n      age1z\n";
    let recipient = key("age-key").1;
    for text in random.damaged(rules) {
        let Ok(rules) = SopsRules::parse(&text) else { continue };
        let file = Path::new("web.yaml");
        let _ = (rules.rule_for(file), rules.names(), rules.granted(file, &recipient), rules.revoked(file, &recipient));
    }
    for text in
        random.damaged("# head\na/b.age\tssh-ed25519 A root@x\t2026-01-02\nweb.yaml\tage1x\t2026-01-02\tdb/password\n")
    {
        let read = ToRotate::parse(&text);
        assert_eq!(ToRotate::parse(&read.render()), read, "{text:?}");
    }
    for text in random
        .damaged("# head\na/b.age\t2026-01-02T03:04:05Z\thex\t0a1b2c\nweb.yaml#a/b\t2026-01-02T03:04:05Z\tset\tff00\n")
    {
        let read = Record::parse(&text);
        assert_eq!(Record::parse(&read.render()), read, "{text:?}");
    }
    let pem = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for text in random.damaged(&format!("{pem}A=1\nb: [1, \"x\"]\n")) {
        for format in [format::Format::Json, format::Format::Yaml, format::Format::Env, format::Format::Pem] {
            let _ = format.check(text.as_bytes());
        }
    }
}

#[test]
fn a_journal_that_was_damaged_touches_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (root, state) = (dir.path().join("root"), dir.path().join("state"));
    fs::create_dir_all(root.join("a")).unwrap();
    fs::write(root.join("a/x.age"), "old").unwrap();
    fs::write(root.join("a/other"), "other").unwrap();
    fs::write(dir.path().join("outside"), "outside").unwrap();
    // One that is left where a run ends in the middle.
    let hook = |name: &'static str| {
        if name == "exchange" { super::transaction::Step::Vanish } else { super::transaction::Step::Go }
    };
    let change = || Change { path: "a/x.age".into(), seen: Seen::of(b"old"), content: b"new".to_vec().into() };
    Store::open(&root, &state, Disk::with_hook(hook)).unwrap().commit(&[change()]).unwrap_err();
    let journal = fs::read_to_string(state.join("journal.json")).unwrap();
    for text in Random(6).damaged(&journal) {
        fs::write(state.join("journal.json"), text).unwrap();
        let _ = Store::open(&root, &state, Disk::default());
        assert_eq!(fs::read(root.join("a/other")).unwrap(), b"other");
        assert_eq!(fs::read(dir.path().join("outside")).unwrap(), b"outside");
        let x = fs::read(root.join("a/x.age")).unwrap();
        assert!(x == b"old" || x == b"new", "{x:?}");
    }
}
