//! `format` on a flake: what it changes, and what it leaves alone.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::support::Hub;

#[test]
fn files_are_formatted_once_and_stay_so() {
    let hub = Hub::offline();
    hub.run(&["format"]).exits(0);
    hub.commit("formatted");
    hub.write("modules/a.nix", "# why\n{lib,...}:{ a=lib.b; # c\n}\n");
    hub.write("modules/b.nix", "{ }\n");
    let file = hub.root().join("modules/a.nix");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o750)).unwrap();
    hub.run(&["format", "--check"])
        .exits(1)
        .prints("modules/a.nix")
        .says("1 file not formatted; `hubctl format` formats");
    let told = hub.json(&["format", "--check"]).exits(1).json();
    assert_eq!((&told["changed"], &told["findings"]), (&json!(["modules/a.nix"]), &json!([])));
    assert!(fs::read_to_string(&file).unwrap().contains("a=lib.b;"), "--check changes nothing");
    hub.run(&["format", "modules"]).exits(0).says("1 file formatted; 2 files looked at");
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text, "# why\n{ lib, ... }: {\n  a = lib.b; # c\n}\n");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o750);
    hub.run(&["format-all", "--check"]).exits(0).says("all is formatted");
}

#[test]
fn what_is_no_nix_is_left_as_it_is_and_the_rest_is_formatted() {
    let hub = Hub::offline();
    hub.write("modules/a.nix", "{ a = 1 }\n");
    hub.write("modules/b.nix", "{a=1;}\n");
    hub.run(&["format", "modules"])
        .exits(1)
        .prints("error[syntax]: unexpected `}`")
        .prints("modules/b.nix")
        .says("1 file formatted, 1 file cannot be");
    assert_eq!(fs::read_to_string(hub.root().join("modules/a.nix")).unwrap(), "{ a = 1 }\n");
    assert_eq!(fs::read_to_string(hub.root().join("modules/b.nix")).unwrap(), "{ a = 1; }\n");
}
