//! Rules are read as SOPS reads them, and changed without changing more.

use super::*;

const ANCHORS: &str = "\
# Who is who.
keys:
  - &admin ADMIN # the one who
  - &p620 P620
  - &razer RAZER
creation_rules:
  # Of one host alone.
  - path_regex: hosts/p620/.*\\.yaml$
    key_groups:
      - age:
          - *admin
          - *p620 # the host itself
  - path_regex: flow\\.json
    age: [ *admin, *p620 ]
    encrypted_regex: ^data$
    mac_only_encrypted: true
  - path_regex: text
    age: >-
      ADMIN,
      P620
  - path_regex: short
    age: ADMIN,P620
  - path_regex: pgp
    age: ADMIN
    pgp: ABCDEF
  - path_regex: shamir
    key_groups:
      - age: [*admin]
      - age: [*p620]
  - age: ADMIN
";

struct World {
    names: Vec<(&'static str, Recipient)>,
}

impl World {
    fn new() -> Self {
        let key = || age::x25519::Identity::generate().to_public().to_string().parse().unwrap();
        Self { names: ["ADMIN", "P620", "RAZER"].into_iter().map(|name| (name, key())).collect() }
    }

    fn key(&self, name: &str) -> Recipient {
        self.names.iter().find(|(there, _)| *there == name).unwrap().1.clone()
    }

    fn rules(&self, text: &str) -> SopsRules {
        let text = self.names.iter().fold(text.to_owned(), |text, (name, key)| text.replace(name, &key.to_string()));
        SopsRules::parse(&text).unwrap()
    }

    /// A text with names in the place of keys.
    fn named(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (name, key)| text.replace(&key.to_string(), name))
    }

    fn granted(&self, file: &str) -> Result<String, SopsError> {
        self.rules(ANCHORS).granted(Path::new(file), &self.key("RAZER")).map(|text| self.named(&text))
    }

    fn revoked(&self, file: &str, name: &str) -> Result<String, SopsError> {
        self.rules(ANCHORS).revoked(Path::new(file), &self.key(name)).map(|text| self.named(&text))
    }
}

#[test]
fn the_first_rule_that_matches_is_for_a_file() {
    let world = World::new();
    let rules = world.rules(ANCHORS);
    let both = [world.key("ADMIN"), world.key("P620")];
    for file in ["hosts/p620/x.yaml", "deep/hosts/p620/x.yaml", "a/flow.json", "text", "short"] {
        assert_eq!(rules.rule_for(Path::new(file)).unwrap().recipients, both, "{file}");
    }
    let json = rules.rule_for(Path::new("flow.json")).unwrap();
    assert!(json.settings.mac_only_encrypted);
    assert_eq!(json.settings.rule.setting(), ("encrypted_regex", "^data$"));
    assert_eq!(rules.rule_for(Path::new("pgp")).unwrap().foreign, ["PGP"]);
    assert!(rules.rule_for(Path::new("shamir")).unwrap().shamir);
    assert_eq!(rules.rule_for(Path::new("anything else")).unwrap().recipients, both[..1]);
    assert!(world.rules("creation_rules: []").rule_for(Path::new("x")).is_none());
}

#[test]
fn a_recipient_is_added_in_the_style_of_the_rule() {
    let world = World::new();
    for (file, old, new) in [
        ("hosts/p620/x.yaml", "- *p620 # the host itself\n", "- *p620 # the host itself\n          - *razer\n"),
        ("flow.json", "[ *admin, *p620 ]", "[ *admin, *p620, *razer ]"),
        ("text", "ADMIN,\n      P620\n", "ADMIN,\n      P620,\n      RAZER\n"),
        ("short", "age: ADMIN,P620\n", "age: ADMIN,P620,RAZER\n"),
        ("pgp", "age: ADMIN\n    pgp", "age: ADMIN,RAZER\n    pgp"),
    ] {
        assert_eq!(world.granted(file).unwrap(), ANCHORS.replacen(old, new, 1), "{file}");
    }
}

#[test]
fn a_recipient_is_removed_without_a_trace() {
    let world = World::new();
    for (file, name, old, new) in [
        ("hosts/p620/x.yaml", "P620", "          - *p620 # the host itself\n", ""),
        ("hosts/p620/x.yaml", "ADMIN", "          - *admin\n", ""),
        ("flow.json", "ADMIN", "[ *admin, *p620 ]", "[ *p620 ]"),
        ("flow.json", "P620", "[ *admin, *p620 ]", "[ *admin ]"),
        ("text", "P620", "ADMIN,\n      P620\n", "ADMIN\n"),
        ("text", "ADMIN", "ADMIN,\n      P620\n", "P620\n"),
        ("short", "ADMIN", "ADMIN,P620", "P620"),
        ("short", "P620", "ADMIN,P620", "ADMIN"),
    ] {
        assert_eq!(world.revoked(file, name).unwrap(), ANCHORS.replacen(old, new, 1), "{file} {name}");
    }
    assert_eq!(world.revoked("short", "RAZER").unwrap(), ANCHORS, "who is no recipient is not removed");
}

#[test]
fn what_is_too_clever_is_left_alone() {
    let world = World::new();
    assert!(matches!(world.granted("shamir"), Err(SopsError::Shamir)));
    assert!(matches!(world.revoked("anything", "ADMIN"), Err(SopsError::NoRecipient)));
    // Two rules that share a list: a change of one would be one of both.
    let shared =
        "groups: &all [ADMIN, P620]\ncreation_rules:\n- path_regex: a\n  age: *all\n- path_regex: b\n  age: *all\n";
    let rules = world.rules(shared);
    assert!(matches!(rules.granted(Path::new("a"), &world.key("RAZER")), Err(SopsError::TooClever)));
    // A key that gets its name where it is removed.
    let named =
        "creation_rules:\n- path_regex: a\n  age:\n  - &p620 P620\n  - ADMIN\n- path_regex: b\n  age: [*p620]\n";
    let rules = world.rules(named);
    assert!(matches!(rules.revoked(Path::new("a"), &world.key("P620")), Err(SopsError::TooClever)));
    assert!(matches!(rules.granted(Path::new("c"), &world.key("P620")), Err(SopsError::NoRule)));
}

#[test]
fn groups_are_merged() {
    let world = World::new();
    let rules =
        world.rules("g: &g\n  age: [ADMIN]\ncreation_rules:\n- key_groups:\n  - merge: [*g]\n    age: [P620, ADMIN]\n");
    let recipients = &rules.rule_for(Path::new("x")).unwrap().recipients;
    assert_eq!(recipients, &[world.key("ADMIN"), world.key("P620")]);
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    for (text, expected) in [
        ("creation_rules:\n- path_regex: (\n", "line 2: `(` is not a regular expression"),
        ("creation_rules:\n- a\n", "line 2: a rule has to be a map"),
        ("creation_rules:\n- age: nobody\n", "line 2: `nobody`"),
        ("creation_rules: [", "line "),
        (
            "a: &a [x, x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]\n\
          d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]\n",
            "aliases repeat too much",
        ),
    ] {
        let error = SopsRules::parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn the_nearest_rules_above_a_file_are_its_rules() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("repository");
    std::fs::create_dir_all(root.join("a/b")).unwrap();
    let find = |file: &str| SopsRules::find(&root, &root.join(file));
    std::fs::write(dir.path().join(".sops.yaml"), "").unwrap();
    assert_eq!(find("a/b/x.yaml"), None, "what is above the repository is none of its business");
    std::fs::write(root.join(".sops.yaml"), "").unwrap();
    assert_eq!(find("a/b/x.yaml"), Some(root.join(".sops.yaml")));
    std::fs::write(root.join("a/.sops.yaml"), "").unwrap();
    assert_eq!(find("a/b/x.yaml"), Some(root.join("a/.sops.yaml")));
}

#[test]
fn a_key_is_taken_out_of_all_rules() {
    let world = World::new();
    let everywhere = |text: &str, name: &str| {
        let rules = world.rules(text);
        rules.revoked_everywhere(&[world.key(name)]).map(|text| world.named(&text))
    };
    let without =
        ANCHORS.replace("  - path_regex: shamir\n    key_groups:\n      - age: [*admin]\n      - age: [*p620]\n", "");
    let expected = without
        .replace("          - *p620 # the host itself\n", "")
        .replace("[ *admin, *p620 ]", "[ *admin ]")
        .replace("ADMIN,\n      P620\n", "ADMIN\n")
        .replace("ADMIN,P620", "ADMIN");
    assert_eq!(everywhere(&without, "P620").unwrap(), expected);
    assert_eq!(everywhere(&without, "RAZER").unwrap(), without);
    assert!(matches!(everywhere(ANCHORS, "P620"), Err(SopsError::Shamir)));
    assert!(matches!(everywhere(&without, "ADMIN"), Err(SopsError::NoRecipient)));
    // A list that several rules share is changed once, and a name goes with those who use it.
    let shared = "creation_rules:\n- path_regex: a\n  age: &all [ADMIN, &p620 P620]\n- path_regex: b\n  age: *all\n";
    assert_eq!(everywhere(shared, "P620").unwrap(), shared.replace(", &p620 P620", ""));
}

#[test]
fn keys_have_the_names_of_their_anchors() {
    let world = World::new();
    let rules = world.rules(ANCHORS);
    assert_eq!(rules.named("p620"), Some(world.key("P620")));
    assert_eq!(rules.named("nobody"), None);
    assert_eq!(rules.names().len(), 3);
}

#[test]
fn a_rule_is_added_behind_all_others() {
    let world = World::new();
    let add = |text: &str| {
        let rules = world.rules(text);
        let keys = [world.key("P620"), world.key("RAZER")];
        rules.added(Path::new("secrets/new.yaml"), &keys).map(|text| world.named(&text))
    };
    let rule = |indent: &str, keys: [&str; 2]| {
        let [one, other] = keys;
        let list = format!("{indent}    - age:\n{indent}          - {one}\n{indent}          - {other}\n");
        format!("{indent}- path_regex: '^secrets/new\\.yaml$'\n{indent}  key_groups:\n{list}")
    };
    // All files have a rule there already.
    assert!(matches!(add(ANCHORS), Err(SopsError::TooClever)));
    let text = ANCHORS.replace("  - age: ADMIN\n", "# The end.\nstores: {}\n");
    let added = add(&text).unwrap();
    assert_eq!(added.replace(&rule("  ", ["*p620", "*razer"]), ""), text);
    let flush = "creation_rules:\n- path_regex: other\n  age: ADMIN # one";
    assert_eq!(add(flush).unwrap(), format!("{flush}\n{}", rule("", ["P620", "RAZER"])));
    assert_eq!(add("").unwrap(), format!("creation_rules:\n{}", rule("  ", ["P620", "RAZER"])));
    assert_eq!(add("# x").unwrap(), format!("# x\ncreation_rules:\n{}", rule("  ", ["P620", "RAZER"])));
    assert!(matches!(add("creation_rules: []\n"), Err(SopsError::TooClever)));
}

#[test]
fn a_key_gets_a_name_or_the_name_another_key() {
    let world = World::new();
    let bound = |text: &str, name: &str, key: &str| {
        world.rules(text).bound(name, &world.key(key)).map(|text| world.named(&text))
    };
    // Every rule that has the name, or the key itself, has the new key.
    let before = ANCHORS.replace("  - &razer RAZER\n", "");
    assert_eq!(bound(&before, "p620", "RAZER").unwrap(), before.replace("P620", "RAZER"));
    assert_eq!(bound(ANCHORS, "p620", "P620").unwrap(), ANCHORS);
    let more = before.replace("&p620 P620\n", "&p620 P620\n  - &razer RAZER\n");
    assert_eq!(bound(&before, "razer", "RAZER").unwrap(), more);
    // Where no key has a name, none gets one.
    let plain = "creation_rules:\n  - age: ADMIN\n";
    assert_eq!(bound(plain, "p620", "P620").unwrap(), plain);
}
