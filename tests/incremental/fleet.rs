//! Generated fleets: hosts that read their files in every way that Nix knows.

use std::fmt::Write as _;
use std::path::Path;

use crate::random::Random;
use crate::world::World;

/// Where a fleet lies, and what it has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Shape {
    /// In a git repository; otherwise it is a flake in a plain directory.
    pub(crate) git: bool,
    /// The flake's directory below the repository's root.
    pub(crate) below: &'static str,
    /// An input that is a part of the flake's own tree.
    pub(crate) nested: bool,
    /// An input that is a directory elsewhere.
    pub(crate) outside: bool,
    /// Each host's ways of reading.
    pub(crate) hosts: Vec<Vec<&'static str>>,
}

/// Ways of reading of which opened files, and the shape of the tree, tell all.
const SEEN: &[&str] = &[
    r"(import ../../shared/common.nix).v",
    r#"(import (../../shared + "/n${toString 0}.nix")).v"#,
    r"builtins.readFile ./own.txt",
    r"(import ./own.nix).v",
    r"builtins.toJSON (builtins.readDir ../../data)",
    r"builtins.toJSON (builtins.pathExists ../../data/maybe)",
    r"builtins.toJSON (builtins.pathExists ../../data/maybe/inner)",
    r#""${../../shared/dir}""#,
    r#""${./.}""#,
    r#""${./own.txt}""#,
    r#""${builtins.path { path = ../../shared; name = "f"; filter = p: t: t == "directory" || builtins.match ".*nix" p != null; }}""#,
    r#""${builtins.path { path = ../../data/gen.json; name = "g"; }}""#,
    r#""${builtins.filterSource (p: t: baseNameOf p != "a.txt") ../../shared/dir}""#,
    r#"builtins.readFile "${self}/data/a.txt""#,
    r#"builtins.readFile (self + "/data/a.txt")"#,
    r#"(import "${self}/shared/common.nix").v"#,
    r#"(import (builtins.unsafeDiscardStringContext "${self}/shared/n0.nix")).v"#,
    r#""${builtins.path { path = self + "/shared/dir"; name = "p"; }}""#,
    r"builtins.readFile ../../links/a",
    r"builtins.toJSON (builtins.readDir ../../links)",
    r"builtins.toJSON (builtins.readDir ../../links/d)",
    r"(import ../../links/m.nix).v",
    r#""${../../links}""#,
    r"builtins.toJSON (builtins.pathExists ../../links/d/sub/c.txt)",
    r"(builtins.fromJSON (builtins.readFile ../../data/gen.json)).v",
    r#"builtins.hashFile "sha256" ../../data/a.txt"#,
    r#""${builtins.toFile "t" (builtins.readFile ../../data/a.txt)}""#,
    r#"builtins.toJSON (builtins.mapAttrs (n: t: if t == "regular" then builtins.readFile (../../data + "/${n}") else t) (builtins.readDir ../../data))"#,
    r#"builtins.concatStringsSep "," (map (f: (import (../../mods + "/${f}")).v) (builtins.attrNames (builtins.readDir ../../mods)))"#,
    r#"if builtins.pathExists ../../data/maybe then builtins.readFile ../../data/a.txt else "no""#,
    r"import ../../lib/greet name",
    r"builtins.scopedImport { inherit name; } ../../lib/scoped.nix",
];

/// Ways of reading that ask for the source itself, or hide what they read.
const BLIND: &[&str] = &[
    r#""${self}/data/a.txt""#,
    r"self.outPath",
    r"toString ./.",
    r#"builtins.unsafeDiscardStringContext "${self}""#,
    r#"self.rev or "none""#,
    r#"self.shortRev or "none""#,
    r#"self.dirtyRev or "none""#,
    r#"self.dirtyShortRev or "none""#,
    r"toString self.lastModified",
    r"self.lastModifiedDate",
    r"self.narHash",
    r#"toString (self.revCount or "none")"#,
    r"builtins.toJSON (self ? rev)",
    r#"builtins.toJSON (self.submodules or "none")"#,
    r#"builtins.toJSON (removeAttrs self.sourceInfo [ "outPath" ])"#,
    r"builtins.toJSON (builtins.attrNames self.sourceInfo)",
    r"builtins.toJSON (builtins.attrNames self)",
    r#"inputs.self.${"rev"} or "none""#,
    r"import ../../lib/facts self",
    r"__curPos.file",
    r"builtins.substring 11 8 (toString ./.)",
];

/// Ways of reading that build while they evaluate.
const BUILDING: &[&str] = &[
    r#"builtins.readFile (derivation { name = "ifd"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "read x < ${../../data/a.txt}; echo $x > $out" ]; })"#,
    r#"builtins.readFile (derivation { name = "ifd"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "read x < ${self}/data/a.txt; echo $x > $out" ]; })"#,
];

const HOSTS: &[&str] = &["alpha", "beta", "gamma", "delta"];

impl Shape {
    /// A fleet of hosts that read nothing but what can be seen.
    pub(crate) fn seen(random: &mut Random) -> Self {
        let ways = |random: &mut Random| (0..2 + random.below(5)).map(|_| random.pick(SEEN)).collect();
        let hosts = (0..2 + random.below(3)).map(|_| ways(random)).collect();
        Self { git: true, below: "", nested: false, outside: false, hosts }
    }

    pub(crate) fn random(random: &mut Random) -> Self {
        let git = random.percent(80);
        let nested = random.percent(10);
        let outside = random.percent(15);
        let below = if git && random.percent(25) { "nix/hub" } else { "" };
        let builds = random.percent(15);
        let hosts = (0..2 + random.below(3)).map(|_| ways(random, builds, nested, outside)).collect();
        Self { git, below, nested, outside, hosts }
    }

    /// A fleet in git whose hosts read in these ways.
    pub(crate) fn of(hosts: &[&[&'static str]]) -> Self {
        let hosts = hosts.iter().map(|ways| ways.to_vec()).collect();
        Self { git: true, below: "", nested: false, outside: false, hosts }
    }

    /// A fleet of so many hosts, each with files of its own and some that it shares.
    pub(crate) fn many(count: usize) -> Self {
        let shared = ["(import ../../shared/n0.nix).v", "(import ../../shared/n1.nix).v"];
        let ways = |n: usize| vec!["builtins.readFile ./own.txt", shared[n % 2]];
        Self { git: true, below: "", nested: false, outside: false, hosts: (0..count).map(ways).collect() }
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        let name = |n: usize| HOSTS.get(n).map_or_else(|| format!("host{n}"), |name| (*name).to_owned());
        (0..self.hosts.len()).map(name)
    }

    /// Writes the fleet's files.
    pub(crate) fn write(&self, world: &World) {
        let put = |file: &str, text: &str| world.write(file, text);
        put("flake.nix", &self.flake(world));
        put("README.md", "A fleet\n");
        put("lib/host.nix", HOST);
        put("lib/facts", "self: self.rev or \"none\"\n");
        put("lib/greet", "name: \"hello ${name}\"\n");
        put("lib/scoped.nix", "name\n");
        for file in ["shared/common.nix", "shared/n0.nix", "shared/n1.nix", "mods/one.nix", "mods/two.nix"] {
            put(file, "{ v = \"0\"; }\n");
        }
        for file in ["shared/dir/a.txt", "shared/dir/b.sh", "shared/dir/sub/c.txt", "data/a.txt", "data/b.txt"] {
            put(file, "0\n");
        }
        put("data/gen.json", "{\"v\": \"0\"}\n");
        for (link, target) in [("a", "../data/a.txt"), ("d", "../shared/dir"), ("m.nix", "../shared/common.nix")] {
            world.link(&format!("links/{link}"), target);
        }
        for (name, ways) in self.names().zip(&self.hosts) {
            put(&format!("hosts/{name}/own.txt"), "0\n");
            put(&format!("hosts/{name}/own.nix"), "{ v = \"0\"; }\n");
            put(&format!("hosts/{name}/default.nix"), &host(ways));
        }
        if self.nested {
            put("sub/flake.nix", "{ outputs = _: { v = \"0\"; }; }\n");
        }
        if self.outside {
            let directory = world.outside();
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(directory.join("flake.nix"), "{ outputs = _: { v = import ./v.nix; }; }\n").unwrap();
            std::fs::write(directory.join("v.nix"), "\"0\"\n").unwrap();
        }
    }

    fn flake(&self, world: &World) -> String {
        let mut inputs = String::new();
        if self.nested {
            inputs.push_str("  inputs.sub.url = \"path:./sub\";\n");
        }
        if self.outside {
            let _ = writeln!(inputs, "  inputs.outside.url = \"path:{}\";", world.outside().display());
        }
        format!("{{\n{inputs}{OUTPUTS}}}\n")
    }
}

fn ways(random: &mut Random, builds: bool, nested: bool, outside: bool) -> Vec<&'static str> {
    let mut ways: Vec<_> = (0..2 + random.below(5)).map(|_| random.pick(SEEN)).collect();
    // A host that depends on all of the source tests little else.
    if random.percent(35) {
        ways.push(random.pick(BLIND));
    }
    if builds && random.percent(50) {
        ways.push(random.pick(BUILDING));
    }
    if nested && random.percent(50) {
        ways.push("inputs.sub.v");
    }
    if outside && random.percent(50) {
        ways.push("inputs.outside.v");
    }
    ways
}

/// A host's own module: a list of texts, each read in one way.
fn host(ways: &[&str]) -> String {
    let items: Vec<_> = ways.iter().map(|way| format!("  ({way})\n")).collect();
    format!("{{ self, inputs, name }}:\n[\n{}]\n", items.concat())
}

const OUTPUTS: &str = r"  outputs = { self, ... }@inputs: {
    nixosConfigurations = builtins.mapAttrs
      (name: _: { config = import ./lib/host.nix { inherit self inputs name; }; })
      (builtins.readDir ./hosts);
  };
";

const HOST: &str = r#"{ self, inputs, name }:
{
  networking.hostName = name;
  system.build.toplevel = derivation {
    name = "nixos-system-${name}";
    system = "x86_64-linux";
    builder = "/bin/sh";
    args = [ "-c" "echo > $out" ];
    items = import (../hosts + "/${name}") { inherit self inputs name; };
  };
}
"#;

/// What a file of this name may hold.
pub(crate) fn content(file: &Path, number: u64) -> String {
    let text = file.to_string_lossy();
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    if text.ends_with("sub/flake.nix") {
        format!("{{ outputs = _: {{ v = \"{number}\"; }}; }}\n")
    } else if name == "facts" {
        [
            "self: self.rev or \"none\"\n",
            "self: self.narHash\n",
            "self: \"none\"\n",
            "self: toString self.lastModified\n",
        ][usize::try_from(number % 4).unwrap()]
        .to_owned()
    } else if name == "greet" {
        format!("name: \"{number} ${{name}}\"\n")
    } else if name == "scoped.nix" {
        format!("name + \"{number}\"\n")
    } else if name == "v.nix" {
        format!("\"{number}\"\n")
    } else if text.ends_with(".nix") {
        format!("{{ v = \"{number}\"; }}\n")
    } else if text.ends_with(".json") {
        format!("{{\"v\": \"{number}\"}}\n")
    } else {
        format!("{number}\n")
    }
}
