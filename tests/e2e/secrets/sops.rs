//! SOPS files against a second implementation of the format, `sops_oracle.py`, in both directions.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use hubctl::secrets::age::{Ask, Identities, Nobody, Recipient};
use hubctl::secrets::sops::{Format, Plain, Settings, SopsFile, create, steps};
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Files that the oracle makes, with what they are in the clear.
const TEMPLATES: [(Format, &str, &str); 6] = [
    (
        Format::Yaml,
        "\
#@@:|comment| what it is@@
name: @@name:|str|a secret@@ #@@:|comment| behind@@
port: @@port:|int|8080@@
ratio: @@ratio:|float|1.5@@
truth: @@truth:|bool|True@@
day: @@day:|time|2024-01-02T00:00:00Z@@
old: @@old:|bytes|bytes@@
empty: \"\"
nothing: null
plain_unencrypted: @@=|12@@
nested:
    #@@nested:|comment| within@@
    lines: @@nested:lines:|str|one\\ntwo\\n@@
    list:
        - @@nested:list:|str|x@@
        - deep: @@nested:list:deep:|str|- y@@
    #@@nested:|comment| the last@@
sops:
    age:
        - recipient: @@recipient 0@@
          enc: |
            @@enc 0@@
        - enc: |
            @@enc 1@@
          recipient: @@recipient 1@@
    lastmodified: \"@@modified@@\"
    mac: @@mac@@
    unencrypted_suffix: _unencrypted
    version: 3.13.2
",
        "\
# what it is
name: a secret # behind
port: 8080
ratio: 1.5
truth: true
day: 2024-01-02T00:00:00Z
old: bytes
empty: \"\"
nothing: null
plain_unencrypted: 12
nested:
    # within
    lines: |
        one
        two
    list:
        - x
        - deep: \"- y\"
    # the last
",
    ),
    (
        Format::Yaml,
        "\
kind: Secret
data:
    password: @@data:password:|str|hunter2@@
sops:
    age:
    -   recipient: @@recipient 0@@
        enc: |
            @@enc 0@@
    lastmodified: '@@modified@@'
    mac: @@mac@@
    encrypted_regex: ^(data|stringData)$
    mac_only_encrypted: true
    version: 3.9.0
",
        "kind: Secret\ndata:\n    password: hunter2\n",
    ),
    (
        Format::Json,
        "{\n\t\"a\": \"@@a:|str|x\\ny@@\",\n\t\"l\": [\"@@l:|int|1@@\", {\"f\": \"@@l:f:|float|2@@\"}, null],\n\t\"sops\": {\n\t\t\"age\": [\
         \n\t\t\t{\n\t\t\t\t\"recipient\": \"@@recipient 0@@\",\n\t\t\t\t\"enc\": \"@@enc 0@@\"\n\t\t\t}\n\t\t],\n\t\t\"lastmodified\": \"@@modified@@\",\
         \n\t\t\"mac\": \"@@mac@@\",\n\t\t\"version\": \"3.9.0\"\n\t}\n}\n",
        "{\n\t\"a\": \"x\\ny\",\n\t\"l\": [1, {\"f\": 2.0}, null]\n}\n",
    ),
    (
        Format::Env,
        "#@@:|comment| of all@@\nA=@@A:|str|1@@\nB=@@B:|str|x\\ny@@\nC=\nsops_age__list_0__map_enc=@@enc 0@@\nsops_age__list_0__map_recipient=@@recipient 0@@\n\
         sops_lastmodified=@@modified@@\nsops_mac=@@mac@@\nsops_version=3.9.0\n",
        "# of all\nA=1\nB=x\\ny\nC=\n",
    ),
    (
        Format::Ini,
        "[one]\n; @@one:|comment|of a key@@\nkey = @@one:key:|str|value@@\n\n[sops]\nage__list_0__map_enc =@@enc 0@@\nage__list_0__map_recipient =@@recipient 0@@\n\
         lastmodified =@@modified@@\nmac =@@mac@@\nversion = 3.9.0\n",
        "[one]\n; of a key\nkey = value\n\n",
    ),
    (
        Format::Binary,
        "{\n\t\"data\": \"@@data:|str|any \\\"bytes\\\"\\n@@\",\n\t\"sops\": {\"age\": [{\"recipient\": \"@@recipient 0@@\", \"enc\": \"@@enc 0@@\"}], \
         \"lastmodified\": \"@@modified@@\", \"mac\": \"@@mac@@\", \"version\": \"3.9.0\"}\n}\n",
        "any \"bytes\"\n",
    ),
];

struct World {
    dir: TempDir,
    ask: Arc<dyn Ask>,
}

impl World {
    fn new() -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap(), ask: Arc::new(Nobody) };
        for name in ["me", "you"] {
            let made = Command::new("age-keygen").arg("-o").arg(world.path(name)).output().unwrap();
            assert!(made.status.success());
        }
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn recipient(&self, name: &str) -> Recipient {
        let public = Command::new("age-keygen").arg("-y").arg(self.path(name)).output().unwrap();
        String::from_utf8(public.stdout).unwrap().parse().unwrap()
    }

    fn identities(&self, name: &str) -> Identities {
        let mut identities = Identities::new(Arc::clone(&self.ask));
        identities.add_file(&self.path(name), None).unwrap();
        identities
    }

    fn oracle(&self, args: &[&str]) -> Result<String, ()> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/secrets/sops_oracle.py");
        let output = Command::new(python())
            .arg(script)
            .args(args)
            .stderr(Stdio::piped())
            .current_dir(&self.dir)
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() || complaint.contains("AssertionError") || complaint.contains("InvalidTag"),
            "{complaint}"
        );
        if output.status.success() { Ok(String::from_utf8(output.stdout).unwrap()) } else { Err(()) }
    }

    fn seal(&self, template: &str) -> String {
        fs::write(self.path("template"), template).unwrap();
        self.oracle(&["seal", "template", "me", "you"]).unwrap()
    }

    /// What the oracle finds in a file: each value with its keys and its type.
    fn open(&self, format: Format, text: &str, name: &str) -> Result<Value, ()> {
        fs::write(self.path("file"), text).unwrap();
        let form = format!("{format:?}").to_lowercase();
        self.oracle(&["open", &form, "file", name]).map(|found| serde_json::from_str(&found).unwrap())
    }
}

fn parse(format: Format, text: &str) -> SopsFile {
    SopsFile::parse(format, text.as_bytes()).unwrap()
}

fn later() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

/// A Python that has what the other implementation needs: the first on PATH may be of another make than the one of the machine.
pub(super) fn python() -> &'static str {
    let has_modules = |program: &&str| {
        let tried = Command::new(program).args(["-c", "import cryptography, yaml"]).stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    };
    let found = ["python3", "/usr/bin/python3"].into_iter().find(has_modules);
    found.expect("a python3 with the modules cryptography and yaml: Debian's python3-cryptography and python3-yaml")
}

#[test]
fn what_another_implementation_encrypts_is_read() {
    let world = World::new();
    for (format, template, plain) in TEMPLATES {
        let file = parse(format, &world.seal(template));
        let key = file.data_key(&world.identities("me")).unwrap();
        let decrypted = file.decrypt(&key).unwrap();
        assert_eq!(std::str::from_utf8(&decrypted).unwrap(), plain, "{format:?}");
        assert_eq!(file.last_modified(), "2024-05-06T07:08:09Z");
    }
}

#[test]
fn what_is_encrypted_here_is_read_by_another_implementation() {
    let world = World::new();
    for (format, _, plain) in TEMPLATES {
        let recipients = [world.recipient("me"), world.recipient("you")];
        let text = create(format, plain.as_bytes(), &Settings::default(), &recipients, &world.ask, later()).unwrap();
        for name in ["me", "you"] {
            let found = world.open(format, &text, name).unwrap();
            let first = found[0].clone();
            let expected = match format {
                Format::Yaml if plain.contains("hunter2") => json!([["kind"], "str", "Secret"]),
                Format::Yaml => json!([["name"], "str", "a secret"]),
                Format::Json => json!([["a"], "str", "x\ny"]),
                Format::Env => json!([["A"], "str", "1"]),
                Format::Ini => json!([["one", "key"], "str", "value"]),
                Format::Binary => json!([["data"], "str", "any \"bytes\"\n"]),
            };
            assert_eq!(first, expected, "{format:?}");
        }
    }
}

#[test]
fn what_is_changed_here_is_read_by_another_implementation() {
    let world = World::new();
    for (format, template, plain) in TEMPLATES {
        let sealed = world.seal(template);
        let file = parse(format, &sealed);
        let key = file.data_key(&world.identities("me")).unwrap();
        let address = file.addresses().unwrap().into_iter().find(|(_, encrypted)| *encrypted).unwrap().0;
        let set = file.set(&key, &steps(&address), Plain::text("changed"), later()).unwrap();
        assert!(world.open(format, &set, "me").unwrap().to_string().contains("changed"), "{format:?}");

        let set = parse(format, &set);
        let edited = set.edited(&key, plain.as_bytes(), later()).unwrap();
        assert!(!world.open(format, &edited, "me").unwrap().to_string().contains("changed"), "{format:?}");

        let granted = file.for_recipients(&key, &[world.recipient("me"), world.recipient("you")], &world.ask).unwrap();
        assert_eq!(world.open(format, &granted, "you"), world.open(format, &sealed, "me"), "{format:?}");
        let revoked = parse(format, &granted).for_recipients(&key, &[world.recipient("you")], &world.ask).unwrap();
        world.open(format, &revoked, "you").unwrap();
        assert!(parse(format, &revoked).data_key(&world.identities("me")).is_err());

        let (rotated, _) = file.rotated(&key, &[world.recipient("you")], &world.ask, later()).unwrap();
        assert_eq!(world.open(format, &rotated, "you"), world.open(format, &sealed, "me"), "{format:?}");
    }
}

#[test]
fn both_implementations_notice_what_was_tampered_with() {
    let world = World::new();
    for (format, template, _) in TEMPLATES {
        let sealed = world.seal(template);
        let key = parse(format, &sealed).data_key(&world.identities("me")).unwrap();
        // The first value, its nonce and its tag, the MAC, the time that the MAC is bound to, and what the MAC is over.
        let first = sealed.find("type:str").unwrap();
        let value = sealed[..first].rfind("data:").unwrap() + 5;
        let nonce = value + sealed[value..].find("iv:").unwrap() + 3;
        let tag = value + sealed[value..].find("tag:").unwrap() + 4;
        let mac = sealed.find("mac").unwrap();
        let mac = mac + sealed[mac..].find("data:").unwrap() + 5;
        let time = sealed.find("2024-05-06").unwrap() + 3;
        let mut places = vec![value, nonce, tag, mac, time];
        places.extend(sealed.find("unencrypted: 12").map(|at| at + 13));
        for at in places {
            let mut bytes = sealed.clone().into_bytes();
            bytes[at] = match bytes[at] {
                b'1'..=b'8' => bytes[at] + 1,
                b'A' => b'B',
                _ => b'A',
            };
            let text = String::from_utf8(bytes).unwrap();
            assert_eq!(world.open(format, &text, "me"), Err(()), "{format:?} at {at}: the oracle");
            assert!(parse(format, &text).verify(&key).is_err(), "{format:?} at {at}");
        }
    }
}
