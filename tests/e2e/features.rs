//! `features`: which host has what, and whether it goes together.

use serde_json::json;

use crate::support::Hub;

/// Systems that tell their options as those of the module system do.
fn flake(p510: &str) -> String {
    let options = r#"
      feature = value: said: { _type = "option"; type.name = "bool"; inherit value; } // said;
      system = has: {
        config = { };
        options.features = {
          docker.enable = feature (builtins.elem "docker" has) { requires = [ "networking" ]; conflicts = [ "podman" ]; };
          podman.enable = feature (builtins.elem "podman" has) { };
          networking.enable = feature (builtins.elem "networking" has) { };
          cloud.azure = feature (builtins.elem "azure" has) { belongsTo = [ "workstation" ]; };
          cloud.region = { _type = "option"; type.name = "str"; value = "x"; };
        };
      };"#;
    format!(
        "{{\n  outputs = {{ self }}:\n    let{options}\n    in {{\n      nixosConfigurations.p620 = system [ \"docker\" \
         \"networking\" \"azure\" ];\n      nixosConfigurations.p510 = system [ {p510} ];\n    }};\n}}\n"
    )
}

const ROLES: &str = "[hosts.p620]\nrole = \"workstation\"\n[hosts.p510]\nrole = \"server\"\n";

#[test]
fn what_hosts_have_is_shown_and_what_does_not_go_together_is_told_with_its_chain() {
    let hub = Hub::offline();
    hub.write("flake.nix", &flake("\"podman\""));
    hub.write("hub.toml", ROLES);
    hub.run(&["features"]).exits(0).prints("FEATURE").prints("cloud.azure").prints("networking");
    let told = hub.json(&["features"]).exits(0).json();
    assert_eq!(
        told["features"]["docker"],
        json!({ "hosts": ["p620"], "requires": ["networking"], "conflicts": ["podman"], "belongs-to": [] })
    );
    assert_eq!(told["features"]["cloud.azure"]["hosts"], json!(["p620"]));
    assert!(told["features"].get("cloud.region").is_none(), "{told}");

    hub.write("flake.nix", &flake("\"docker\" \"podman\" \"azure\""));
    hub.run(&["features"])
        .exits(1)
        .says("p510: `networking` is required and not enabled: docker requires networking")
        .says("p510: `docker` conflicts with `podman`, and both are enabled")
        .says("p510: `cloud.azure` is enabled and belongs to workstation");
    hub.run(&["features", "p620"]).exits(0);
    let told = hub.json(&["features", "p510"]).exits(1).json();
    assert_eq!(told["problems"][0]["host"], "p510");
    assert_eq!(told["problems"].as_array().unwrap().len(), 3, "{told}");
}

#[test]
fn a_hub_without_features_is_told_how_to_have_some_and_a_broken_host_is_named() {
    let hub = Hub::offline();
    hub.run(&["features"]).exits(0).says("no host has an option below `features`");
    hub.write("flake.nix", &flake("(throw \"broken here\")"));
    hub.write("hub.toml", ROLES);
    hub.run(&["features"]).exits(0);
    hub.write("flake.nix", &flake("").replace("p510 = system", "p510 = throw \"broken here\" system"));
    hub.run(&["features"]).exits(1).says("p510: its features cannot be read: broken here").prints("cloud.azure");
}
