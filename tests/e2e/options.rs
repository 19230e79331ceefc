//! `options update`: an index of the options of a flake's own inputs.

use crate::support::Hub;

/// A system that tells its options as the module system does: two of its inputs', one of them with a submodule, and one of its own.
const FLAKE: &str = r#"{
  outputs = { self }:
    let
      option = loc: type: declarations: { _type = "option"; inherit loc type declarations; };
      bool = { name = "bool"; };
      elem = name: elemType: { inherit name; nestedTypes = { inherit elemType; }; };
      enum = { name = "enum"; functor.payload = [ "ext4" "zfs" ]; };
      newer = { name = "enum"; functor.payload.values = [ "a" 1 ]; };
      user = elem "attrsOf" { name = "submodule"; } // {
        getSubOptions = prefix: { shell = option (prefix ++ [ "<name>" "shell" ]) (elem "nullOr" { name = "path"; }) [ ]; };
      };
    in {
      nixosConfigurations.p620 = {
        config = { };
        options = {
          _module.args = throw "nobody looks here";
          services.newest.enable = option [ "services" "newest" "enable" ] bool [ "/nixpkgs/newest.nix" ];
          services.newest.store = option [ "services" "newest" "store" ] enum [ "/nixpkgs/newest.nix" ];
          services.newest.mode = option [ "services" "newest" "mode" ] newer [ "/nixpkgs/newest.nix" ];
          services.broken = option [ "services" "broken" ] (throw "no type") [ ];
          people = option [ "people" ] user [ "/nixpkgs/people.nix" ];
          home-manager.users = option [ "home-manager" "users" ] bool [ ] // {
            loc = [ "home-manager" "users" "<name>" "programs" "newest" ];
          };
          mine.enable = option [ "mine" "enable" ] bool [ "${self}/modules/mine.nix" ];
        };
      };
    };
}"#;

#[test]
fn the_options_of_the_flakes_own_inputs_are_read_and_used_until_they_change() {
    let hub = Hub::offline();
    hub.run(&["options", "update"]).exits(1).says("the systems tell no options");
    hub.write("flake.nix", FLAKE);
    hub.write("hub.toml", "");
    hub.write("modules/a.nix", "{\n  services.newest.enabel = true;\n  services.newest.store = \"btrfs\";\n}\n");
    let rules = || {
        let told = hub.json(&["lint", "modules/a.nix"]).json();
        let found = told["findings"].as_array().unwrap().iter();
        found.map(|found| found["rule"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(rules(), [""; 0], "nothing is known of it");
    hub.run(&["options", "update"]).exits(0).says("options are known until flake.lock changes");
    assert_eq!(rules(), ["unknown-option", "option-value"]);

    let search = |word: &str| hub.json(&["options", "search", word]).json();
    let types = |word: &str| search(word)[0]["types"]["NixOS"].clone();
    assert_eq!(types("services.newest.store"), "enum [\"ext4\",\"zfs\"]");
    assert_eq!(types("services.newest.mode"), "enum [\"a\",1]");
    assert_eq!(types("people.<name>.shell"), "nullOr path");
    assert_eq!(types("services.broken"), "unspecified");
    assert_eq!(search("programs.newest")[0]["types"]["home-manager"], "bool");
    assert!(search("mine.enable").as_array().unwrap().iter().all(|found| found["option"] != "mine.enable"));
    hub.run(&["options", "search", "services.newest.enable"]).exits(0).says("found among: p620 of ");

    hub.write("flake.lock", "{\n  \"nodes\": { \"root\": { } },\n  \"root\": \"root\",\n  \"version\": 7\n}\n");
    assert_eq!(rules(), [""; 0], "it was made from other inputs");
}
