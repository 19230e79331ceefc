//! Files of every format, through everything that can be done with them.

use super::super::tree::steps;
use super::*;
use crate::secrets::age::Nobody;

const YAML: &str = "\
# about all of it
name: a secret # behind it
empty: \"\"
nothing: null
port: 8080
ratio: 1.50
on: true
day: 2024-01-02
note_unencrypted: readable
nested:
    # about the inner one
    inner: |
        several
        lines

        with a gap
    list:
        - one
        # between
        - two words
        - deep: \"it's \\\"quoted\\\"\"
    # the last of the nested
flow: {a: \"x, y\", b: [1, 2, {c: d}]}
'quoted key': 'yes'
";
const JSON: &str = "{\n\t\"a\": \"x\\ny\",\n\t\"n\": 1,\n\t\"f\": 1.0,\n\t\"t\": true,\n\t\"z\": null,\n\t\"l\": [\"p\", {\"q\": \"\"}]\n}\n";
const ENV: &str = "# comment\nA=1\nB=x y\\nz\n\nC=\n";
const INI: &str = "; about all\n[one]\n; a\n; b\nkey = value\nother=`x;y`\n\n[two]\nkey = again\n";
const ALL: [(Format, &str); 5] = [
    (Format::Yaml, YAML),
    (Format::Json, JSON),
    (Format::Env, ENV),
    (Format::Ini, INI),
    (Format::Binary, "any \"bytes\"\n"),
];

struct Me {
    identities: Identities,
    recipient: Recipient,
    ask: Arc<dyn Ask>,
}

impl Me {
    fn new() -> Self {
        use age::secrecy::ExposeSecret as _;
        let identity = age::x25519::Identity::generate();
        let ask: Arc<dyn Ask> = Arc::new(Nobody);
        let mut identities = Identities::new(Arc::clone(&ask));
        identities.add_text("test", identity.to_string().expose_secret()).unwrap();
        Self { identities, recipient: identity.to_public().to_string().parse().unwrap(), ask }
    }

    fn create(&self, format: Format, text: &str, settings: &Settings) -> SopsFile {
        let recipients = std::slice::from_ref(&self.recipient);
        let file = create(format, text.as_bytes(), settings, recipients, &self.ask, now()).unwrap();
        SopsFile::parse(format, file.as_bytes()).unwrap()
    }

    fn key(&self, file: &SopsFile) -> DataKey {
        file.data_key(&self.identities).unwrap()
    }
}

fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The lines that are in one text and not in the other.
fn changed<'a>(old: &'a str, new: &'a str) -> Vec<&'a str> {
    new.lines().filter(|line| !old.lines().any(|there| there == *line)).collect()
}

#[test]
fn what_is_encrypted_comes_back() {
    let me = Me::new();
    for (format, plain) in ALL {
        let file = me.create(format, plain, &Settings::default());
        for hidden in ["a secret", "several", "8080", "two words", "about", "again", "x, y", "bytes"] {
            assert!(!file.text().contains(hidden), "{hidden} in {}", file.text());
        }
        let back = file.decrypt(&me.key(&file)).unwrap();
        let again = me.create(format, text(&back), &Settings::default());
        assert_eq!(again.decrypt(&me.key(&again)).unwrap(), back, "{format:?} is stable");
        if !matches!(format, Format::Yaml | Format::Ini) {
            assert_eq!(text(&back), plain);
        }
    }
}

#[test]
fn a_decrypted_yaml_file_looks_as_it_did() {
    let me = Me::new();
    let file = me.create(Format::Yaml, YAML, &Settings::default());
    let expected =
        YAML.replace("1.50", "1.5").replace("2024-01-02", "2024-01-02T00:00:00Z").replace("'yes'", "\"yes\"");
    assert_eq!(text(&file.decrypt(&me.key(&file)).unwrap()), expected);
}

#[test]
fn every_rule_leaves_readable_what_it_should() {
    let me = Me::new();
    for (name, rule, readable) in [
        ("encrypted_regex", "^inner$", "a secret"),
        ("unencrypted_regex", "^name$", "a secret"),
        ("encrypted_suffix", "list", "a secret"),
        ("unencrypted_comment_regex", "about the inner", "several"),
        ("encrypted_comment_regex", "about the inner", "a secret"),
    ] {
        for mac_only_encrypted in [false, true] {
            let rule = Rule::named(name, rule).unwrap().unwrap();
            let file = me.create(Format::Yaml, YAML, &Settings { rule, mac_only_encrypted });
            assert!(file.text().contains(readable), "{name}: {}", file.text());
            file.verify(&me.key(&file)).unwrap();
            assert_eq!(file.settings().mac_only_encrypted, mac_only_encrypted);
        }
    }
}

#[test]
fn setting_a_value_changes_that_and_the_mac_alone() {
    let me = Me::new();
    for (format, address, kept) in [
        (Format::Yaml, "nested/list/0", "name: ENC"),
        (Format::Yaml, "flow/b/2/c", "name: ENC"),
        (Format::Yaml, "note_unencrypted", "name: ENC"),
        (Format::Json, "l/1/q", "\"a\": \"ENC"),
        (Format::Env, "B", "A=ENC"),
        (Format::Ini, "two/key", "key = ENC"),
        (Format::Binary, "data", "{"),
    ] {
        let plain = ALL.iter().find(|(there, _)| *there == format).unwrap().1;
        let file = me.create(format, plain, &Settings::default());
        let key = me.key(&file);
        let later = "2026-02-02T03:04:05Z".parse().unwrap();
        let new = file.set(&key, &steps(address), Plain::text("new: #1\nline"), later);
        if format == Format::Ini {
            // Encrypted it could be written, but nobody could read it as INI.
            assert!(new.is_ok());
        }
        let new = new.unwrap();
        assert!(changed(file.text(), &new).len() <= 3, "{address}: {:#?}", changed(file.text(), &new));
        assert!(new.contains(kept), "{new}");
        let new = SopsFile::parse(format, new.as_bytes()).unwrap();
        assert!(new.value(&key, &steps(address)).unwrap() == Plain::text("new: #1\nline"));
    }
}

#[test]
fn an_address_that_names_no_value_is_refused() {
    let me = Me::new();
    let file = me.create(Format::Yaml, YAML, &Settings::default());
    let key = me.key(&file);
    assert!(matches!(file.value(&key, &steps("nested")), Err(SopsError::NotAValue(_))));
    assert!(matches!(file.value(&key, &steps("nested/other")), Err(SopsError::NoSuchKey(_))));
    assert!(matches!(file.set(&key, &steps(""), Plain::Int(1), now()), Err(SopsError::NotAValue(_))));
}

#[test]
fn an_edit_keeps_the_bytes_of_what_stays() {
    let me = Me::new();
    for (format, from, to) in [
        (Format::Yaml, "a secret", "another"),
        (Format::Json, "\"n\": 1", "\"n\": 2"),
        (Format::Env, "A=1", "A=2"),
        (Format::Ini, "again", "anew"),
    ] {
        let plain = ALL.iter().find(|(there, _)| *there == format).unwrap().1;
        let file = me.create(format, plain, &Settings::default());
        let key = me.key(&file);
        let decrypted = file.decrypt(&key).unwrap();
        let edited = text(&decrypted).replace(from, to);
        assert_ne!(edited, text(&decrypted));
        let new = file.edited(&key, edited.as_bytes(), now()).unwrap();
        assert!(changed(file.text(), &new).len() <= 3, "{format:?}: {:#?}", changed(file.text(), &new));
        let new = SopsFile::parse(format, new.as_bytes()).unwrap();
        assert_eq!(text(&new.decrypt(&key).unwrap()), edited);
    }
}

#[test]
fn an_edit_adds_and_removes_keys() {
    let me = Me::new();
    let file = me.create(Format::Yaml, "a: 1\nb: 2\n", &Settings::default());
    let key = me.key(&file);
    let new = file.edited(&key, b"b: 2\nc:\n  d: x\n", now()).unwrap();
    let new = SopsFile::parse(Format::Yaml, new.as_bytes()).unwrap();
    assert_eq!(text(&new.decrypt(&key).unwrap()), "b: 2\nc:\n  d: x\n");
    assert!(matches!(file.edited(&key, b"a: [", now()), Err(SopsError::Syntax { .. })));
    assert!(matches!(file.edited(&key, b"sops:\n  a: b\n", now()), Err(SopsError::AlreadyEncrypted)));
}

#[test]
fn other_recipients_change_their_block_alone() {
    let (me, you) = (Me::new(), Me::new());
    for (format, plain) in ALL {
        let file = me.create(format, plain, &Settings::default());
        let key = me.key(&file);
        assert!(file.drifted(&[me.recipient.clone(), you.recipient.clone()]));
        let both = [me.recipient.clone(), you.recipient.clone()];
        let granted =
            file.for_recipients(&key, &both, &me.ask).unwrap_or_else(|e| panic!("{format:?} {e} {}", file.text()));
        let lost: Vec<_> = file.text().lines().filter(|line| !granted.lines().any(|there| there == *line)).collect();
        assert!(lost.is_empty() || format != Format::Yaml, "{format:?}: {lost:#?}");
        let granted = SopsFile::parse(format, granted.as_bytes()).unwrap();
        assert!(!granted.drifted(&both));
        granted.verify(&you.key(&granted)).unwrap();
        let revoked = granted.for_recipients(&key, &both[..1], &me.ask).unwrap();
        assert_eq!(revoked, file.text(), "there and back changes nothing");
        assert!(matches!(file.for_recipients(&key, &[], &me.ask), Err(SopsError::NoRecipient)));
        assert!(matches!(file.data_key(&you.identities), Err(SopsError::NoIdentity(_))));
    }
}

#[test]
fn a_new_data_key_leaves_nothing_to_the_old_one() {
    let (me, you) = (Me::new(), Me::new());
    for (format, plain) in ALL {
        let file = me.create(format, plain, &Settings::default());
        let old = me.key(&file);
        let (new, key) = file.rotated(&old, std::slice::from_ref(&you.recipient), &me.ask, now()).unwrap();
        let new = SopsFile::parse(format, new.as_bytes()).unwrap();
        assert!(new.verify(&old).is_err() && me.identities.decrypt(b"x").is_err());
        assert!(new.data_key(&me.identities).is_err());
        assert_eq!(new.decrypt(&you.key(&new)).unwrap(), file.decrypt(&old).unwrap());
        new.verify(&key).unwrap();
    }
}

#[test]
fn values_that_change_places_are_noticed() {
    let me = Me::new();
    let file = me.create(Format::Yaml, "a: one\nl:\n    - x\n    - y\n", &Settings::default());
    let key = me.key(&file);
    let lines: Vec<_> = file.text().lines().collect();
    // The elements of a list have the same path: only the MAC tells them apart.
    let swapped = file.text().replace(lines[2], "@").replace(lines[3], lines[2]).replace('@', lines[3]);
    let verified = SopsFile::parse(Format::Yaml, swapped.as_bytes()).unwrap().verify(&key);
    assert!(matches!(verified, Err(SopsError::MacMismatch)));
    let moved = file.text().replacen("a:", "b:", 1);
    let verified = SopsFile::parse(Format::Yaml, moved.as_bytes()).unwrap().verify(&key);
    assert!(
        matches!(&verified, Err(SopsError::At { key, source }) if key == "b" && matches!(**source, SopsError::Tampered))
    );
    let dropped = file.text().replacen(&format!("{}\n", lines[3]), "", 1);
    assert!(SopsFile::parse(Format::Yaml, dropped.as_bytes()).unwrap().verify(&key).is_err());
}

/// Every byte outside the recipients' part that is changed makes the file unreadable, or changes nothing that is read.
#[test]
fn every_byte_class_that_is_tampered_with_is_noticed() {
    let me = Me::new();
    for (format, plain) in
        [(Format::Yaml, "a: one\nb_unencrypted: two\n"), (Format::Json, "{\"a\": \"x\"}"), (Format::Env, "A=x\nB=\n")]
    {
        let file = me.create(format, plain, &Settings::default());
        let key = me.key(&file);
        let whole = file.decrypt(&key).unwrap();
        for at in 0..file.text().len() {
            let mut bytes = file.text().as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
            let opened = SopsFile::parse(format, &bytes).and_then(|file| file.decrypt(&key));
            // The names of keys that are not encrypted are nobody's concern but the reader's: SOPS does not protect them.
            let values = |bytes: &[u8]| {
                let document = format.parse(text(bytes)).unwrap();
                contents(&document, &Rule::default())
                    .unwrap()
                    .iter()
                    .map(sameness)
                    .map(|same| same.1)
                    .collect::<Vec<_>>()
            };
            let unchanged = opened.as_ref().is_ok_and(|opened| values(opened) == values(&whole));
            let context = &file.text()[at.saturating_sub(20)..(at + 20).min(file.text().len())];
            assert!(opened.is_err() || unchanged, "byte {at} of {format:?}: {context:?}");
        }
    }
}

#[test]
fn files_that_are_not_for_hubctl_say_so() {
    let me = Me::new();
    let file = me.create(Format::Yaml, "a: b\n", &Settings::default());
    let pgp =
        file.text().replace("    lastmodified", "    pgp:\n        - fp: ABC\n          enc: X\n    lastmodified");
    let pgp = SopsFile::parse(Format::Yaml, pgp.as_bytes()).unwrap();
    let key = me.key(&pgp);
    // It is read all the same, and a value can be set; only its recipients are not ours to change.
    assert_eq!(text(&pgp.decrypt(&key).unwrap()), "a: b\n");
    assert!(pgp.set(&key, &steps("a"), Plain::text("c"), now()).is_ok());
    let refused = pgp.for_recipients(&key, std::slice::from_ref(&me.recipient), &me.ask).unwrap_err();
    assert!(refused.to_string().contains("PGP") && refused.hint("x.yaml").unwrap().contains("sops updatekeys x.yaml"));
    let shamir = file.text().replace("    lastmodified", "    shamir_threshold: 2\n    lastmodified");
    assert!(matches!(SopsFile::parse(Format::Yaml, shamir.as_bytes()), Err(SopsError::Shamir)));
    assert!(matches!(SopsFile::parse(Format::Yaml, b"a: b\n"), Err(SopsError::NotEncrypted)));
}

#[test]
fn several_documents_are_read_and_not_changed() {
    let me = Me::new();
    let file = me.create(Format::Yaml, "a: b\n", &Settings::default());
    let several = format!("{}---\n{}", file.text(), file.text());
    let several = SopsFile::parse(Format::Yaml, several.as_bytes()).unwrap();
    let key = me.key(&file);
    // Its MAC is not over both.
    assert!(matches!(several.verify(&key), Err(SopsError::MacMismatch)));
    assert!(matches!(several.set(&key, &steps("a"), Plain::Int(1), now()), Err(SopsError::Unwritable(_))));
}

#[test]
fn bytes_of_any_kind_are_a_binary_file() {
    let me = Me::new();
    for bytes in [&[0_u8, 255, 10, 13][..], b""] {
        let recipients = std::slice::from_ref(&me.recipient);
        let file = create(Format::Binary, bytes, &Settings::default(), recipients, &me.ask, now()).unwrap();
        let file = SopsFile::parse(Format::Binary, file.as_bytes()).unwrap();
        let key = me.key(&file);
        assert_eq!(&**file.decrypt(&key).unwrap(), bytes);
        let edited = file.edited(&key, b"\xfe", now()).unwrap();
        let edited = SopsFile::parse(Format::Binary, edited.as_bytes()).unwrap();
        assert_eq!(&**edited.decrypt(&key).unwrap(), b"\xfe");
    }
}

mod any_input {
    use proptest::prelude::*;

    use super::super::super::yaml;
    use super::*;

    fn value() -> impl Strategy<Value = String> {
        prop_oneof![
            "[ -~]{0,20}",
            "[a-z \n#:'\"\\\\|>&*!%@`,\\[\\]{}-]{0,30}",
            any::<String>(),
            Just("true".to_owned()),
            Just("1e3".to_owned()),
            Just("\n\n".to_owned()),
            Just("a\n b\n".to_owned()),
            Just("x\n\n\n".to_owned()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn no_parser_panics(text in any::<String>(), soup in "[a-z\\-:#|>&*!{}\\[\\],'\" \n\t=;.%?]{0,60}") {
            for text in [text, soup] {
                for format in [Format::Yaml, Format::Json, Format::Env, Format::Ini] {
                    let _ = SopsFile::parse(format, text.as_bytes());
                    let _ = format.parse(&text);
                }
                let _ = yaml::roots(&text);
            }
        }

        #[test]
        fn any_text_survives_in_yaml_and_json(first in value(), second in value()) {
            let me = Me::new();
            let json = serde_json::json!({ "a": first, "m": { "l": [second, "x"] } }).to_string();
            for format in [Format::Yaml, Format::Json] {
                let file = me.create(format, &json, &Settings::default());
                let key = me.key(&file);
                let wanted = Plain::text(&first);
                prop_assert!(file.value(&key, &steps("a")).unwrap() == wanted);
                let back = file.decrypt(&key).unwrap();
                let again = me.create(format, text(&back), &Settings::default());
                let key = me.key(&again);
                prop_assert!(again.value(&key, &steps("m/l/0")).unwrap() == Plain::text(&second));
            }
            let block = me.create(Format::Yaml, "a: x\nm:\n    l:\n        - y\n", &Settings::default());
            let key = me.key(&block);
            let set = block.set(&key, &steps("a"), Plain::text(&first), now()).unwrap();
            let set = SopsFile::parse(Format::Yaml, set.as_bytes()).unwrap();
            let set = set.set(&key, &steps("m/l/0"), Plain::text(&second), now()).unwrap();
            let set = SopsFile::parse(Format::Yaml, set.as_bytes()).unwrap();
            let plain = set.decrypt(&key).unwrap();
            let again = me.create(Format::Yaml, text(&plain), &Settings::default());
            let key = me.key(&again);
            prop_assert!(again.value(&key, &steps("a")).unwrap() == Plain::text(&first));
            prop_assert!(again.value(&key, &steps("m/l/0")).unwrap() == Plain::text(&second));
        }
    }
}
