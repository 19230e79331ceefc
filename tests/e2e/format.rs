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

/// A formatter that puts what `words.txt` has in front of each file, and needs a repository of git for that.
const OWN: &str = r##"
      formatter.x86_64-linux = import ./lib/derive.nix "x86_64-linux" "own-formatter" ''
        mkdir -p "$out/bin"
        cp "$script" "$out/bin/own-formatter"
        chmod 755 "$out/bin/own-formatter"
      '' {
        script = builtins.toFile "script" ''
          #!/bin/sh
          set -eu
          test -e .git/index
          test ! -e broken.txt || { echo "it is broken" >&2; exit 3; }
          for file; do
            case $(cat "$file") in "# $(cat words.txt)"*) ;; *) sed -i "1i # $(cat words.txt)" "$file" ;; esac
            test ! -e spoil.txt || printf '{' >>"$file"
          done
        '';
      };
      nixosConfigurations ="##;

/// A hub with a formatter of its own, whose Nix files it has formatted.
pub(crate) fn with_own_formatter() -> Hub {
    let hub = Hub::offline();
    let flake = hub.committed("flake.nix");
    let edited = flake.replace("      nixosConfigurations =", OWN.trim_start_matches('\n'));
    assert_ne!(edited, flake);
    hub.write("flake.nix", &edited);
    hub.write("words.txt", "ours\n");
    hub
}

#[test]
fn the_flakes_own_formatter_is_used_where_it_has_one() {
    let hub = with_own_formatter();
    hub.write("modules/a.nix", "{a=1;}\n");
    let told = hub.json(&["format", "--check", "modules"]).exits(1).json();
    assert_eq!(told["changed"], json!(["modules/a.nix"]));
    assert!(told["formatter"].as_str().unwrap().ends_with("/bin/own-formatter"), "{told}");
    let text = |file: &str| fs::read_to_string(hub.root().join(file)).unwrap();
    assert_eq!(text("modules/a.nix"), "{a=1;}\n", "--check changes nothing");
    hub.write("modules/b.nix", "{ a = 1 }\n");
    hub.run(&["format", "modules"])
        .exits(1)
        .prints("error[syntax]: unexpected `}`")
        .says("1 file formatted, 1 file cannot be; 2 files looked at");
    assert_eq!((text("modules/a.nix"), text("modules/b.nix")), ("# ours\n{a=1;}\n".into(), "{ a = 1 }\n".into()));
    hub.write("modules/b.nix", "# ours\n{ }\n");
    hub.run(&["format", "modules", "--check"]).exits(0).says("all is formatted");
    assert!(!hub.git(&["status", "--porcelain"]).contains("flake.nix.orig"), "nothing is left beside");

    let told = hub.json(&["format", "modules", "--check", "--formatter", "rfc"]).exits(1).json();
    assert_eq!((&told["formatter"], &told["changed"]), (&json!("rfc"), &json!(["modules/a.nix"])));
}

#[test]
fn a_formatter_that_fails_changes_nothing() {
    let hub = with_own_formatter();
    hub.write("modules/a.nix", "{ }\n");
    hub.write("broken.txt", "");
    hub.run(&["format", "modules"]).exits(1).says("nothing is changed").says("it is broken").says("--formatter rfc");
    fs::remove_file(hub.root().join("broken.txt")).unwrap();
    hub.write("spoil.txt", "");
    hub.run(&["format", "modules"]).exits(1).prints("makes something of this file that is no Nix");
    assert_eq!(fs::read_to_string(hub.root().join("modules/a.nix")).unwrap(), "{ }\n");
    let flake = fs::read_to_string(hub.root().join("flake.nix")).unwrap();
    hub.write(
        "flake.nix",
        &flake.replace("formatter.x86_64-linux =", "formatter.x86_64-linux = throw \"no formatter\";\n      x ="),
    );
    hub.run(&["format", "modules"]).exits(1).says("no formatter").says("--formatter rfc");
    hub.run(&["format", "modules", "--formatter", "rfc"]).exits(0);
    hub.write("flake.nix", &flake.replace("formatter.x86_64-linux =", "formatters ="));
    hub.run(&["format", "modules"]).exits(0);
    hub.run(&["format", "modules", "--formatter", "flake"]).exits(2).says("no output `formatter`");
}
