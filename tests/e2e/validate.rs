//! `validate`: what it tells of files, of the lock file, of outputs and of hosts, and what makes it fail.

use std::fs;

use serde_json::{Value, json};

use crate::support::Hub;

/// The lab's fleet without anything that lint finds.
fn clean() -> Hub {
    let hub = Hub::offline();
    hub.run(&["lint", "--baseline", "write"]).exits(0);
    hub.commit("clean");
    hub
}

fn host<'a>(told: &'a Value, name: &str) -> &'a Value {
    told["hosts"].as_array().unwrap().iter().find(|host| host["host"] == name).unwrap()
}

#[test]
fn each_host_is_evaluated_with_its_assertions_and_warnings() {
    let hub = clean();
    hub.run(&["validate"]).exits(0).prints("p620: evaluates").says("4 hosts evaluate");
    hub.run(&["validate", "p620"]).exits(0).prints("nothing that it reads has changed");
    // A host as the module system makes it, with something to say.
    let flake = hub.committed("flake.nix");
    let edited = flake.replace(
        "      nixosConfigurations = hostsIn ./hosts (builtins.readDir ./hosts) ./lib/toplevel.nix;",
        "      nixosConfigurations = builtins.mapAttrs (name: host: host // {\n        config = host.config // {\n          \
         warnings = if name == \"p510\" then [ \"the disk is old\" ] else [ ];\n          assertions = [\n            \
         { assertion = name != \"razer\"; message = \"a razer has no room\"; }\n          ];\n        };\n      }) (\n        \
         hostsIn ./hosts (builtins.readDir ./hosts) ./lib/toplevel.nix\n      );",
    );
    assert_ne!(edited, flake);
    hub.write("flake.nix", &edited);
    hub.set_host("p620", "evalError = \"p620 is misconfigured\";");
    let told = hub.json(&["validate"]).exits(1).json();
    assert_eq!(host(&told, "p510")["warnings"], json!(["the disk is old"]));
    assert_eq!((&host(&told, "p510")["evaluates"], &host(&told, "samsung")["evaluates"]), (&json!(true), &json!(true)));
    assert_eq!(host(&told, "razer")["assertions"], json!(["a razer has no room"]));
    assert!(host(&told, "p620")["error"].as_str().unwrap().contains("p620 is misconfigured"), "{told}");
    hub.run(&["validate"])
        .exits(1)
        .prints("razer: does not evaluate\n  error: a razer has no room")
        .prints("p510: evaluates, with a warning\n  warning: the disk is old")
        .says("2 of 4 hosts do not evaluate");
    // A warning alone is told, and fails where that is asked for.
    hub.run(&["validate", "p510"]).exits(0);
    hub.run(&["validate", "p510", "--strict"]).exits(1);

    let log = hub.run(&["validate", "--form", "sarif"]).exits(1).json();
    let rules: Vec<_> = log["runs"][0]["results"].as_array().unwrap().iter().map(|one| one["ruleId"].clone()).collect();
    for rule in ["host-evaluation", "host-assertion", "host-warning"] {
        assert!(rules.contains(&json!(rule)), "{rules:?}");
    }
    hub.run(&["validate", "--form", "github"]).exits(1).prints("title=host-assertion::razer: a razer has no room");
    hub.run(&["validate", "--form", "junit"])
        .exits(1)
        .prints("<testsuite name=\"hosts\" tests=\"4\" skipped=\"0\" errors=\"0\" failures=\"2\"")
        .prints("<failure message=\"a razer has no room\">");
}

#[test]
fn what_files_tell_is_told_without_nix() {
    let mut hub = clean();
    hub.set_env("PATH", "/usr/bin/nowhere");
    let git = which::which("git").unwrap();
    let bin = hub.root().join("../bin");
    fs::create_dir_all(&bin).unwrap();
    std::os::unix::fs::symlink(git, bin.join("git")).unwrap();
    hub.set_env("PATH", bin.to_str().unwrap());
    hub.run(&["validate", "--quick"]).exits(0).says("files: nothing found");
    hub.run(&["validate-quick"]).exits(0);
    hub.run(&["validate"]).exits(2);
    hub.write("modules/a.nix", "let x = 1; in { }\n");
    hub.run(&["validate", "--quick"]).exits(1).prints("`x` is not used");
    hub.write("hub.toml", "[hosts.p620]\nusr = \"x\"\n");
    hub.run(&["validate", "--quick"]).exits(2).says("usr");
}

#[test]
fn inputs_that_are_there_twice_or_old_are_told() {
    let hub = clean();
    let node = |branch: &str, time: u64| {
        let from = |rest: Value| {
            let mut node = json!({ "type": "github", "owner": "NixOS", "repo": "nixpkgs" });
            node.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            node
        };
        json!({ "locked": from(json!({ "rev": branch, "lastModified": time })), "original": from(json!({ "ref": branch })) })
    };
    let mut home = node("master", 1_500_000_000);
    home["locked"]["repo"] = "home-manager".into();
    home["inputs"] = json!({ "nixpkgs": "theirs" });
    let lock = json!({
        "root": "root", "version": 7,
        "nodes": {
            "root": { "inputs": { "a": "a", "b": "b", "home": "home" } },
            "a": node("x", 1_500_000_000), "b": node("x", 4_000_000_000_u64), "home": home,
            "theirs": node("y", 4_000_000_000_u64),
        },
    });
    hub.write("flake.lock", &serde_json::to_string_pretty(&lock).unwrap());
    let told = hub.json(&["validate", "--quick"]).exits(0).json();
    let found = told["findings"].as_array().unwrap().iter();
    let found: Vec<_> = found
        .filter(|one| one["path"] == "flake.lock")
        .map(|one| (one["rule"].clone(), one["severity"].clone()))
        .collect();
    let pair = |rule: &str, severity: &str| (json!(rule), json!(severity));
    assert_eq!(
        found,
        [
            pair("input-old", "warning"),
            pair("input-twice", "warning"),
            pair("input-old", "note"),
            pair("input-apart", "note"),
        ]
    );
    hub.run(&["validate", "--quick"])
        .exits(0)
        .prints("`home/nixpkgs` is another copy of what the input `a` is")
        .prints("inputs.home.inputs.nixpkgs.follows = \"a\";");
    hub.run(&["validate", "--quick", "--strict"]).exits(1);
}

#[test]
fn outputs_that_nothing_looks_for_are_told() {
    let hub = clean();
    let flake = hub.committed("flake.nix");
    let edited = flake.replace(
        "      nixosConfigurations =",
        "      nixosModule = { };\n      overlay-s = { };\n      nixosConfiguration = { };\n      \
         packages.x86_64-linus = { };\n      nixosConfigurations =",
    );
    hub.write("flake.nix", &edited);
    hub.run(&["validate", "p620"])
        .exits(1)
        .prints("nothing looks for the output `nixosConfiguration`")
        .prints("did you mean `nixosConfigurations`?")
        .prints("`packages.x86_64-linus` is of no system that there is");
}

#[test]
fn a_flake_that_cannot_be_loaded_is_told_in_the_form_that_is_asked_for() {
    let hub = clean();
    hub.write("modules/a.nix", "let x = 1; in { }\n");
    hub.write("flake.nix", "{\n  outputs = _: { nixosConfigurations = throw \"no hosts today\"; };\n}\n");
    let told = hub.json(&["validate"]).exits(2).json();
    assert_eq!(told["hosts"], json!([]));
    let found = told["findings"].as_array().unwrap();
    let of = |rule: &str| found.iter().find(|one| one["rule"] == rule).unwrap_or_else(|| panic!("no {rule}: {told}"));
    assert_eq!(
        (&of("unused-binding")["path"], &of("flake-evaluation")["path"]),
        (&json!("modules/a.nix"), &json!("flake.nix"))
    );
    let error = of("flake-evaluation");
    assert!(error["message"].as_str().unwrap().contains("no hosts today"), "{error}");
    assert_eq!((&error["severity"], &error["place"]["start"]["line"]), (&json!("error"), &json!(2)));
    let log = hub.run(&["validate", "--form", "sarif"]).exits(2).json();
    let rules: Vec<_> = log["runs"][0]["results"].as_array().unwrap().iter().map(|one| one["ruleId"].clone()).collect();
    assert!(rules.contains(&json!("flake-evaluation")) && rules.contains(&json!("unused-binding")), "{rules:?}");
    hub.run(&["validate", "--form", "github"]).exits(2).prints("title=flake-evaluation").prints("title=unused-binding");
    hub.run(&["validate", "--form", "junit"]).exits(2).prints("no hosts today").prints("unused-binding");
    // For a person the error comes last.
    hub.run(&["validate"]).exits(2).prints("`x` is not used").says("no hosts today");
    hub.run(&["validate", "--quick", "--form", "junit"]).exits(1).prints("unused-binding");
}

/// Has every host of the lab's fleet more attributes, as a function of `name`.
fn with(hub: &Hub, attributes: &str) {
    let flake = hub.committed("flake.nix");
    let edited = flake.replace(
        "      nixosConfigurations = hostsIn ./hosts (builtins.readDir ./hosts) ./lib/toplevel.nix;",
        &format!(
            "      nixosConfigurations = builtins.mapAttrs (name: host: host // {{ {attributes} }}) (\n        hostsIn ./hosts \
             (builtins.readDir ./hosts) ./lib/toplevel.nix\n      );"
        ),
    );
    assert_ne!(edited, flake);
    hub.write("flake.nix", &edited);
}

#[test]
fn features_that_do_not_go_together_are_told_with_their_chain() {
    let hub = clean();
    let feature = |name: &str, hosts: &str, said: &str| {
        format!(
            "options.features.{name}.enable = {{ _type = \"option\"; type.name = \"bool\"; value = builtins.elem name [ \
             {hosts} ]; {said} }};"
        )
    };
    let features = [
        feature("docker", "\"p620\" \"p510\"", "requires = [ \"firewall\" ];"),
        feature("firewall", "\"p620\"", "requires = [ \"network\" ];"),
        feature("network", "\"p620\"", ""),
    ];
    with(&hub, &features.concat());
    let ended = hub.run(&["validate"]).exits(1);
    assert!(!ended.stdout.contains("p620: `"), "{}", ended.stdout);
    let ended = ended.prints("p510: `firewall` is required and not enabled: docker requires firewall");
    ended.prints("p510: `network` is required and not enabled: docker requires firewall requires network");
    let told = hub.json(&["validate", "p510"]).exits(1).json();
    assert_eq!(host(&told, "p510")["features"].as_array().unwrap().len(), 2, "{told}");

    // A name that no feature has is wrong whoever has it, and so are features that nobody can read.
    with(&hub, &feature("docker", "", "requires = [ \"dokcer\" ];"));
    hub.run(&["validate"]).exits(1).prints("error[host-features]").prints("dokcer");
    with(&hub, "options.features = if name == \"p510\" then throw \"no features here\" else { };");
    hub.run(&["validate"]).exits(1).prints("p510: its features cannot be read").prints("no features here");
}

#[test]
fn what_has_to_be_done_about_secrets_is_told() {
    let hub = clean();
    let key = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    hub.write("secrets.nix", &format!("{{\n  \"secrets/a.age\".publicKeys = [ \"{key}\" ];\n}}\n"));
    hub.run(&["validate", "p620"])
        .exits(1)
        .prints("error[secret-state]: secrets/a.age: it has no file")
        .prints("secrets.nix:2:3");
    hub.run(&["validate", "--quick"]).exits(0);
    hub.write("secrets/a.age", "hunter2\n");
    hub.run(&["validate", "p620"])
        .exits(1)
        .prints("error[secret-state]: secrets/a.age: damaged")
        .prints("error[plain-secret]: a secret that is not encrypted");
    hub.write("secrets.nix", "{ \"a.age\" = 1; }\n");
    hub.run(&["validate", "p620"]).exits(1).prints("error[secret-state]").prints("publicKeys");
}

#[test]
fn a_full_look_builds_hosts_and_checks() {
    let hub = clean();
    let flake = hub.committed("flake.nix");
    let checks = "checks.x86_64-linux.own = import ./lib/derive.nix \"x86_64-linux\" \"own-check\" \"test -e ${./good.txt}; \
                  read -r word <${./good.txt}; test $word = yes; echo >$out\" { };";
    hub.write(
        "flake.nix",
        &flake.replace("      nixosConfigurations =", &format!("      {checks}\n      nixosConfigurations =")),
    );
    hub.write("good.txt", "yes\n");
    hub.run(&["lint", "--baseline", "write"]).exits(0);
    hub.run(&["validate", "--full"]).exits(0).says("4 hosts built");
    hub.write("good.txt", "no\n");
    hub.set_host("razer", "build.fail = true;");
    hub.set_host("p510", "evalError = \"p510 is misconfigured\";");
    // A host that does not evaluate is wrong for Nix too.
    let told = hub.json(&["validate", "--full"]).exits(1).json();
    let rules: Vec<_> = told["findings"].as_array().unwrap().iter().map(|one| one["rule"].clone()).collect();
    assert!(rules.contains(&json!("flake-check")), "{rules:?}");
    let built = |name: &str| (host(&told, name)["evaluates"].clone(), host(&told, name)["built"].clone());
    assert_eq!(built("p620"), (json!(true), json!(true)));
    assert_eq!(built("razer"), (json!(true), json!(false)));
    assert_eq!(built("p510"), (json!(false), Value::Null));
    assert!(host(&told, "razer")["build-error"].as_str().unwrap().contains("the build was told to fail"), "{told}");
    hub.set_host("p510", "");
    hub.run(&["validate-full", "p620"]).exits(1).prints("error[flake-check]").prints("own-check");
    hub.run(&["validate", "--full", "--form", "junit"]).exits(1).prints("the build was told to fail");
}
