//! `duplication`: what hosts of a flake say alike.

use serde_json::json;

use crate::support::Hub;

#[test]
fn what_hosts_say_alike_is_told_with_what_it_saves_and_where_it_belongs() {
    let hub = Hub::offline();
    let said = "{\n  services.printing.enable = true;\n  services.printing.drivers = [ ];\n  time.timeZone = \"Europe/Oslo\";\n}\n";
    for (host, text) in [("razer", said.to_owned()), ("samsung", said.replace("= true;", "=\n    # why\n    true;"))] {
        hub.write(&format!("hosts/{host}/desk.nix"), &text);
    }
    hub.write("hosts/p510/raid.nix", "{\n  boot.swraid.enable = true;\n  boot.swraid.mdadmConf = \"x\";\n}\n");
    hub.write("hosts/p620/raid.nix", "{\n  boot.swraid = {\n    mdadmConf = \"x\";\n    enable = true;\n  };\n}\n");
    let told = hub.json(&["duplication"]).exits(0).json();
    let of = |hosts: [&str; 2]| {
        let alike = told["alike"].as_array().unwrap().iter();
        alike.clone().find(|one| one["hosts"] == json!(hosts)).unwrap_or_else(|| panic!("{told}")).clone()
    };
    let (laptops, others) = (of(["razer", "samsung"]), of(["p510", "p620"]));
    assert_eq!(laptops["belongs"], json!({ "kind": "template", "name": "laptop" }));
    assert!(laptops["saves"].as_u64().unwrap() >= 3, "{laptops}");
    let texts: Vec<_> = laptops["said"].as_array().unwrap().iter().map(|said| said["text"].as_str().unwrap()).collect();
    assert!(texts.contains(&"services.printing.enable = true"), "{texts:?}");
    assert_eq!(others["belongs"], json!({ "kind": "module", "name": "boot.swraid" }));
    assert_eq!(others["saves"], 2);
    let shared = told["figure"]["shared"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&shared), "{shared}");
    hub.run(&["duplication"])
        .exits(0)
        .prints("2 lines less: p510, p620\n  all of it is about `boot.swraid`")
        .prints("the role `laptop`: its template")
        .prints(" % shared: the 4 hosts are made of ");
}

#[test]
fn a_flake_without_files_of_hosts_has_nothing_to_compare() {
    let hub = Hub::offline();
    hub.git(&["rm", "-rq", "--cached", "hosts"]);
    hub.run(&["duplication"]).exits(4).says("no host of this flake has files of its own");
}
