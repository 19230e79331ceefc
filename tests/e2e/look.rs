//! Looking into a fleet: what it is made of, what its systems are made of, and who sets an option.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::json;

use crate::support::{Finished, Hub};

/// Systems that tell their options as those of the module system do.
const FLAKE: &str = r#"{
  outputs = { self }: {
    nixosConfigurations.p620 = {
      config.networking.hostName = "p620";
      options.networking.hostName = {
        _type = "option";
        value = "p620";
        isDefined = true;
        type.description = "string";
        description = "The name of the machine.";
        highestPrio = 50;
        files = [ "${self}/hosts/p620/default.nix" ];
        definitions = [ "p620" ];
        definitionsWithLocations = [ { file = "${self}/hosts/p620/default.nix"; value = "p620"; } ];
        declarationPositions = [ { file = "/nixpkgs/network.nix"; line = 7; column = 3; } ];
      };
      options.services.web = {
        _type = "option";
        value.sites.main = { port = 80; make = x: x; broken = throw "no"; };
        files = [ ];
        definitions = [ ];
        highestPrio = 1500;
        isDefined = false;
      };
    };
  };
}"#;

#[test]
fn an_option_is_traced_to_the_line_that_sets_it() {
    let hub = Hub::offline();
    hub.run(&["trace-option", "p620", "networking.hostName"]).exits(2).says("tells no options");
    hub.write("flake.nix", FLAKE);
    hub.write("hub.toml", "");
    hub.write("hosts/p620/default.nix", "{ lib, ... }:\n{\n  networking.hostName = lib.mkForce \"p620\";\n}\n");
    let traced = hub.json(&["trace-option", "p620", "networking.hostName"]).exits(0).json();
    assert_eq!((&traced["value"], &traced["priority"]), (&json!("p620"), &json!(50)), "{traced}");
    assert_eq!(traced["definitions"], json!([{ "file": "hosts/p620/default.nix", "line": 3, "value": "p620" }]));
    assert_eq!(traced["declarations"][0]["line"], 7);
    let told = hub.run(&["trace-option", "p620", "networking.hostName"]).exits(0);
    told.prints("hosts/p620/default.nix:3").prints("(mkForce)").prints("The name of the machine.");

    // Within an option's value, and where something of it has no form that can be shown.
    let inner = hub.json(&["trace-option", "p620", "services.web.sites.main"]).exits(0).json();
    assert_eq!(inner["value"], json!({ "port": 80, "make": "<function>", "broken": "<error>" }), "{inner}");
    hub.run(&["trace-option", "p620", "services.web.sites.main.port"]).exits(0).prints("only its default sets it");
    hub.run(&["trace-option", "p620", "networking.hostNam"]).exits(2).says("did you mean `hostName`?");
    hub.run(&["trace-option", "p620", "services"]).exits(2).says("a set of options").says("web");
    hub.run(&["trace-option", "p620", "a..b"]).exits(2).says("no option's name");
}

#[test]
fn a_fleet_and_a_system_tell_what_they_are_made_of() {
    let hub = Hub::offline();
    let info = hub.json(&["info"]).exits(0).json();
    assert_eq!((&info["hosts"], &info["dirty"], &info["inputs"]), (&json!(4), &json!(false), &json!([])), "{info}");
    hub.run(&["metadata"]).exits(0).prints("hub.toml").prints("4 active, 0 archived");

    hub.set_host("p620", "closureMiB = 3;");
    let told = hub.json(&["analyze", "p620", "--top", "2"]).exits(0).json();
    assert_eq!(told["largest"].as_array().unwrap().len(), 2);
    assert!(told["largest"][0]["path"].as_str().unwrap().ends_with("payload-p620"), "{told}");
    assert!(told["size"].as_u64() > told["largest"][0]["size"].as_u64() && told["paths"].as_u64() > Some(5), "{told}");
    hub.run(&["analyze", "p620"]).exits(0).prints("payload-p620").prints("%");
    hub.run(&["analyze", "p620", "--why", "payload"]).exits(0).prints("nixos-system-p620").prints("payload-p620");
    hub.run(&["analyze", "p620", "--why", "no-such-thing"]).exits(2).says("nothing in the closure");
}

#[test]
fn the_evaluator_knows_the_hosts() {
    let hub = Hub::offline();
    let mut child =
        hub.command(&["repl"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"p620.config.networking.hostName\n:q\n").unwrap();
    let ended = Finished::from(child.wait_with_output().unwrap()).exits(0);
    assert!(format!("{}{}", ended.stdout, ended.stderr).contains("\"p620\""), "{ended:?}");
}
