//! Which host needs which secret and can read what.

use std::fs;

use hubctl::secrets::age::Recipient;
use serde_json::Value;

use super::commands::Secrets;

/// A hub whose p620 and p510 have keys, with rules for `s0` (the user and p620), `s1` (the user and both) and `s2` (the user alone).
fn fleet() -> Secrets {
    let secrets = Secrets::with(1);
    let [me, p620, p510] = [".ssh/id_ed25519", "p620", "p510"].map(|name| secrets.public(name));
    // One host is known by the comment of its key, the other by the name that it is bound to.
    let p510 = p510.trim_end_matches(" root@p510").to_owned();
    secrets.hub.write(
        "secrets.nix",
        &format!(
            "let\n  me = \"{me}\";\n  p510 = \"{p510}\";\nin\n{{\n  \"secrets/s0.age\".publicKeys = [ me \"{p620}\" ];\n  \
             \"secrets/s1.age\".publicKeys = [ me p510 \"{p620}\" ];\n  \"secrets/s2.age\".publicKeys = [ me ];\n}}\n"
        ),
    );
    for name in ["s0", "s1", "s2"] {
        secrets.set(name, "canary").exits(0);
    }
    secrets.hub.commit("secrets");
    secrets
}

/// Has hosts need what each is to need and no more.
fn configure(secrets: &Secrets, p620: &str, p510: &str) {
    secrets.hub.set_host("p620", p620);
    secrets.hub.set_host("p510", p510);
}

const RIGHT: (&str, &str) = (
    "age.secrets = { zero.file = ../../secrets/s0.age; one.file = ../../secrets/s1.age; };",
    "age.secrets.one.file = ../../secrets/s1.age;",
);

#[track_caller]
fn problems(matrix: &Value, host: &str, file: &str) -> Vec<String> {
    let host = matrix["hosts"].as_array().unwrap().iter().find(|one| one["host"] == host).unwrap();
    let found = host["secrets"].as_array().unwrap().iter().find(|one| one["file"] == file);
    let found = found.unwrap_or_else(|| panic!("no {file} in {host}"));
    serde_json::from_value(found["problems"].clone()).unwrap()
}

#[test]
fn hosts_that_read_what_they_need_are_told_without_a_private_key() {
    let secrets = fleet();
    configure(&secrets, RIGHT.0, RIGHT.1);
    fs::remove_file(secrets.home().join(".ssh/id_ed25519")).unwrap();
    let run = secrets.hub.run(&["secrets", "status", "--matrix", "--check"]).exits(0);
    run.says("4 hosts: each can read what it needs, and nothing else");
    let run = secrets.hub.run(&["secrets", "status", "--host", "p5*"]).exits(0).prints("SECRET");
    assert!(!run.stdout.contains("p620") && !run.stdout.contains("s0.age"), "{}", run.stdout);
    let run = secrets.hub.run(&["secrets", "check", "--hosts"]).exits(0);
    assert!(!format!("{}{}", run.stdout, run.stderr).contains("canary"));
    let row = secrets.hub.run(&["secrets", "status", "--matrix"]).exits(0).stdout;
    let row = row.lines().find(|line| line.contains("s0.age")).unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(row, ["secrets/s0.age", "-", "needs", "-", "-"]);
}

#[test]
fn each_way_in_which_hosts_and_secrets_do_not_fit_is_told() {
    let secrets = fleet();
    fs::copy(secrets.hub.root().join("secrets/s2.age"), secrets.hub.root().join("secrets/wild.age")).unwrap();
    secrets.hub.git(&["add", "secrets/wild.age"]);
    configure(
        &secrets,
        r#"age.secrets.zero = { file = ../../secrets/s0.age; mode = "0444"; };"#,
        "age.secrets = { two.file = ../../secrets/s2.age; wild.file = ../../secrets/wild.age; one.file = ../../secrets/s1.age; };",
    );
    let run = secrets.hub.json(&["secrets", "status", "--matrix", "--check"]).exits(1);
    let matrix = run.json();
    assert_eq!(problems(&matrix, "p620", "secrets/s0.age"), ["world-readable"]);
    assert_eq!(problems(&matrix, "p620", "secrets/s1.age"), ["more-than-needed"]);
    assert_eq!(problems(&matrix, "p510", "secrets/s1.age"), Vec::<String>::new());
    assert_eq!(problems(&matrix, "p510", "secrets/s2.age"), ["cannot-read"]);
    assert_eq!(problems(&matrix, "p510", "secrets/wild.age"), ["no-rule", "cannot-read"]);
    let run = secrets.hub.run(&["secrets", "check", "--hosts"]).exits(1);
    let run = run
        .says("p620 can read what it does not need: secrets/s1.age")
        .says("on p620 everybody may read secrets/s0.age");
    run.says("p510 needs what its key does not open: secrets/s2.age, secrets/wild.age").says("no rule names");
    // That is nothing that a hook of git looks at.
    secrets.hub.run(&["secrets", "check", "--staged"]).exits(0);

    configure(&secrets, RIGHT.0, RIGHT.1);
    let text = fs::read_to_string(secrets.hub.root().join("secrets.nix")).unwrap();
    secrets.hub.write("secrets.nix", &text.replace("p510", "other"));
    secrets.hub.run(&["secrets", "check", "--hosts"]).exits(1).says("p510 needs secrets, and no key in the rules");
}

/// The form of age of a key in the home.
fn of_age(secrets: &Secrets, name: &str) -> String {
    let key: Recipient = secrets.public(name).parse().unwrap();
    key.to_age().unwrap().to_string()
}

#[test]
fn what_hosts_want_of_files_of_sops_is_told_value_by_value() {
    let secrets = fleet();
    let hub = &secrets.hub;
    let me = secrets.public(".ssh/id_ed25519").split(' ').take(2).collect::<Vec<_>>().join(" ");
    let rules = |p620: &str| {
        let text = format!(
            "keys:\n  - &me {me}\n  - &p620 {p620}\n  - &p510 {}\ncreation_rules:\n  - path_regex: web\n    age: [*me, *p620]\n  \
             - age: [*me, *p510]\n",
            of_age(&secrets, "p510")
        );
        hub.write(".sops.yaml", &text);
    };
    rules(&of_age(&secrets, "p620"));
    secrets.set("secrets/web.yaml", "db:\n  password: x\nuser: y\n").exits(0);
    secrets.set("secrets/mail.yaml", "password: x\n").exits(0);
    hub.git(&["add", "--all"]);
    let web = r#"{ sopsFile = ../../secrets/web.yaml; key = "db/password"; }"#;
    let well = format!("{} sops.secrets.db = {web};", RIGHT.0);
    let mail = format!("{} sops.secrets.password.sopsFile = ../../secrets/mail.yaml;", RIGHT.1);
    configure(&secrets, &well, &mail);
    hub.run(&["secrets", "status", "--matrix", "--check"]).exits(0);
    let row = hub.run(&["secrets", "status", "--matrix"]).exits(0).stdout;
    let row = row.lines().find(|line| line.contains("web.yaml")).unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(row, ["secrets/web.yaml", "-", "needs", "db/password", "-", "-"]);

    let wrong = format!("{} sops.secrets.db = {};", RIGHT.0, web.replace("db/password", "db/pass"));
    let open = format!(
        r#"{} sops.secrets.x = {{ sopsFile = ../../secrets/web.yaml; key = "user"; mode = "0444"; }};"#,
        RIGHT.1
    );
    configure(&secrets, &wrong, &open);
    let matrix = hub.json(&["secrets", "status", "--matrix", "--check"]).exits(1).json();
    assert_eq!(problems(&matrix, "p620", "secrets/web.yaml"), ["no-value"]);
    assert_eq!(problems(&matrix, "p510", "secrets/web.yaml"), ["cannot-read", "world-readable"]);
    assert_eq!(problems(&matrix, "p510", "secrets/mail.yaml"), ["more-than-needed"]);
    let run = hub.run(&["secrets", "check", "--hosts"]).exits(1);
    run.says("p620 needs values that their files do not all have: secrets/web.yaml (db/pass)");
    // With the ssh key itself sops-nix opens nothing.
    rules(&secrets.public("p620").split(' ').take(2).collect::<Vec<_>>().join(" "));
    hub.run(&["secrets", "rekey"]).exits(0);
    configure(&secrets, &well, &mail);
    let matrix = hub.json(&["secrets", "status", "--host", "p620", "--check"]).exits(1).json();
    assert_eq!(problems(&matrix, "p620", "secrets/web.yaml"), ["cannot-read"]);

    // Also where there are no secrets of agenix.
    rules(&of_age(&secrets, "p620"));
    hub.run(&["secrets", "rekey"]).exits(0);
    hub.git(&["rm", "--quiet", "--force", "-r", "secrets.nix", "secrets/s0.age", "secrets/s1.age", "secrets/s2.age"]);
    configure(
        &secrets,
        &format!("sops.secrets.db = {web};"),
        "sops.secrets.password.sopsFile = ../../secrets/mail.yaml;",
    );
    hub.run(&["secrets", "check", "--hosts"]).exits(0);
    hub.run(&["secrets", "status", "--matrix", "--check"]).exits(0).says("each can read what it needs");
}

#[test]
fn a_host_that_does_not_evaluate_is_told_and_the_others_are_known() {
    let secrets = fleet();
    configure(&secrets, RIGHT.0, r#"evalError = "p510 is broken";"#);
    let run = secrets.hub.json(&["secrets", "status", "--matrix", "--check"]).exits(1);
    assert!(run.json()["failed"][0]["message"].as_str().unwrap().contains("p510 is broken"));
    assert_eq!(problems(&run.json(), "p620", "secrets/s0.age"), Vec::<String>::new());
}
