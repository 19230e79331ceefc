//! The repository's own flake, evaluated against a stand-in for nixpkgs: its outputs are there, its package is told what it
//! must be told, and what is installed beside the program is made by the program.
#![expect(clippy::disallowed_methods, reason = "tests run Nix and the package's own script as a build would")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

/// What of the repository the flake reads.
const READ: &[&str] =
    &["flake.nix", "flake.lock", "dev/package.nix", "Cargo.toml", "Cargo.lock", "rustfmt.toml", "src", "docs/lint"];

/// The systems that both the flake and the stand-in for nixpkgs name.
const SYSTEMS: [&str; 3] = ["aarch64-darwin", "aarch64-linux", "x86_64-linux"];

/// A copy of what the flake reads, with a home for Nix.
struct Tree(TempDir);

impl Tree {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        for file in READ {
            let (from, to) = (Path::new(REPOSITORY).join(file), tree.join(file));
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            assert!(Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap().success(), "{file}");
        }
        Self(dir)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("tree")
    }

    /// Runs Nix; it must succeed.
    fn nix(&self, words: &[&str]) -> Value {
        let output = Command::new("nix")
            .args(words)
            .env("HOME", self.0.path())
            .env("NIX_CONFIG", "experimental-features = nix-command flakes\nsubstituters =")
            .output()
            .unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Evaluates an output of the flake, with the stand-in for nixpkgs and `function` applied.
    fn eval(&self, output: &str, function: &str) -> Value {
        let reference = format!("path:{}#{output}", self.path().display());
        let stub = format!("path:{REPOSITORY}/tests/stub-nixpkgs");
        self.nix(&["eval", "--json", &reference, "--override-input", "nixpkgs", &stub, "--apply", function])
    }
}

#[test]
fn the_lock_pins_what_the_flake_names() {
    let tree = Tree::new();
    let reference = format!("path:{}", tree.path().display());
    // Fails when the lock file would have to be changed.
    let metadata = tree.nix(&["flake", "metadata", "--json", "--no-update-lock-file", &reference]);
    let nixpkgs = &metadata["locks"]["nodes"]["nixpkgs"];
    assert_eq!(
        nixpkgs["original"],
        json!({"type": "github", "owner": "NixOS", "repo": "nixpkgs", "ref": "nixos-unstable"})
    );
    assert_eq!(nixpkgs["locked"]["rev"].as_str().unwrap().len(), 40);
    assert!(nixpkgs["locked"]["narHash"].as_str().unwrap().starts_with("sha256-"));
    assert!(nixpkgs["locked"]["lastModified"].as_u64().unwrap() > 1_700_000_000);
}

#[test]
fn every_system_that_nixpkgs_has_gets_every_output() {
    let tree = Tree::new();
    for (output, names) in [
        ("packages", json!(["default"])),
        ("apps", json!(["default"])),
        ("checks", json!(["format", "package"])),
        ("devShells", json!(["default"])),
    ] {
        let wanted: Value = SYSTEMS.iter().map(|system| ((*system).to_owned(), names.clone())).collect();
        assert_eq!(tree.eval(output, "builtins.mapAttrs (_: builtins.attrNames)"), wanted, "{output}");
    }
    let all = "builtins.mapAttrs (_: builtins.mapAttrs (_: output: output.drvPath or output.program))";
    for output in ["packages", "apps", "checks", "devShells"] {
        tree.eval(output, all);
    }
    let program = tree.eval("apps.x86_64-linux.default.program", "program: builtins.baseNameOf program");
    assert_eq!(program, "hubctl");
    let shell = tree.eval("devShells.x86_64-linux.default", "shell: map (p: p.name) shell.arguments.inputsFrom");
    assert_eq!(shell, json!(["hubctl"]));
}

#[test]
fn the_package_is_this_version_from_the_sources_that_it_needs() {
    let tree = Tree::new();
    let package =
        tree.eval("packages.x86_64-linux.default.arguments", "arguments: arguments // { inherit (arguments) src; }");
    assert_eq!(package["pname"], "hubctl");
    assert_eq!(package["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(package["meta"]["mainProgram"], "hubctl");
    assert_eq!(package["meta"]["license"]["spdxId"], env!("CARGO_PKG_LICENSE"));
    let lock = fs::read(package["cargoLock"]["lockFile"].as_str().unwrap()).unwrap();
    assert_eq!(lock, fs::read(Path::new(REPOSITORY).join("Cargo.lock")).unwrap());
    let text = String::from_utf8(lock).unwrap();
    // Anything but a registry would need a hash in the package.
    assert!(text.lines().filter(|line| line.starts_with("source = ")).all(|line| line.contains("registry+")));

    // The manifest is complete with these files, and none of them embeds another.
    let alone = tempfile::tempdir().unwrap();
    for file in package["src"]["fileset"].as_array().unwrap() {
        let from = Path::new(file.as_str().unwrap());
        symlink(from, alone.path().join(from.file_name().unwrap())).unwrap();
    }
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version=1", "--manifest-path"])
        .arg(alone.path().join("Cargo.toml"))
        .output()
        .unwrap();
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
    let targets = serde_json::from_slice::<Value>(&cargo.stdout).unwrap()["packages"][0]["targets"].clone();
    assert_eq!(targets.as_array().unwrap().len(), 2, "{targets}");
}

#[test]
fn manual_pages_and_completions_come_from_the_program() {
    let tree = Tree::new();
    let script = tree.eval("packages.x86_64-linux.default.arguments.postInstall", "script: script");
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("out/bin")).unwrap();
    symlink(env!("CARGO_BIN_EXE_hubctl"), dir.path().join("out/bin/hubctl")).unwrap();
    // What nixpkgs' hooks are called with; each file must be there and have something in it.
    let hooks = r#"
        set -eu
        out=$PWD/out
        has() { for file; do case $file in --* | _hubctl) ;; *) [ -s "$file" ] || { echo "no $file" >&2; exit 1; } ;; esac; done; }
        installManPage() { has "$@"; echo "man $#" >>calls; }
        installShellCompletion() { has "$@"; echo "completion $*" >>calls; }
        wrapProgram() { [ -x "$1" ]; shift; echo "wrap $*" >>calls; }
    "#;
    let built = Command::new("bash")
        .args(["-c", &format!("{hooks}\n{}", script.as_str().unwrap())])
        .current_dir(dir.path())
        .env("HOME", "/homeless-shelter")
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let calls = fs::read_to_string(dir.path().join("calls")).unwrap();
    let calls: Vec<&str> = calls.lines().collect();
    let pages: usize = calls[0].strip_prefix("man ").unwrap().parse().unwrap();
    assert!(pages > 10, "{pages} manual pages");
    assert_eq!(calls[1], "completion hubctl.bash hubctl.fish --zsh --name _hubctl hubctl.zsh");
    assert_eq!(calls[2], "wrap --suffix PATH : /stub/git/bin:/stub/openssh/bin");
}
