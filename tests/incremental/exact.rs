//! Only what must be is evaluated: the hosts that read what was edited, however many evaluations run side by side.

use std::path::Path;

use hubctl::evaluate::Whence;
use hubctl::nix::{Blind, FlakeRef, Footprint, Nix, Query, Settings, Source, SystemAttr, Tree, ask_watched, lock};
use hubctl::process::Cancel;

use crate::fleet::Shape;
use crate::random::Random;
use crate::world::{Unwatched, World, watched};

/// Three hosts, and every file that only some of them read.
fn three_hosts() -> Shape {
    Shape::of(&[
        &["builtins.readFile ./own.txt", "(import ../../shared/common.nix).v", r#""${../../shared/dir}""#],
        &["builtins.readFile ./own.txt", "builtins.readFile ../../links/a", "(import ../../shared/common.nix).v"],
        &["(import ./own.nix).v", r"(builtins.fromJSON (builtins.readFile ../../data/gen.json)).v"],
    ])
}

#[tokio::test]
async fn an_edit_evaluates_exactly_the_hosts_that_read_the_file() {
    watched(edits_of_every_file).await;
}

async fn edits_of_every_file() -> Result<(), Unwatched> {
    let world = World::of(&three_hosts()).await;
    assert_eq!(world.agreed().await.evaluated()?, ["alpha", "beta", "gamma"]);
    assert_eq!(world.agreed().await.evaluated()?, [""; 0]);
    let edits: &[(&str, &str, &[&str])] = &[
        ("README.md", "1\n", &[]),
        ("data/b.txt", "1\n", &[]),
        ("hosts/alpha/own.nix", "1\n", &[]),
        ("hosts/alpha/own.txt", "1\n", &["alpha"]),
        ("hosts/beta/own.txt", "1\n", &["beta"]),
        ("hosts/gamma/own.nix", "{ v = \"1\"; }\n", &["gamma"]),
        ("data/a.txt", "1\n", &["beta"]),
        ("data/gen.json", "{\"v\": \"1\"}\n", &["gamma"]),
        ("shared/dir/sub/c.txt", "1\n", &["alpha"]),
        ("shared/common.nix", "{ v = \"1\"; }\n", &["alpha", "beta"]),
    ];
    for (file, text, readers) in edits {
        world.write(file, text);
        assert_eq!(world.agreed().await.evaluated()?, *readers, "{file}");
    }
    // What was evaluated before the commit holds after it, and the other way around.
    world.git(&["commit", "--quiet", "--all", "--message", "edits"]);
    assert_eq!(world.agreed().await.evaluated()?, [""; 0]);
    world.git(&["checkout", "--quiet", "HEAD~1"]);
    assert_eq!(world.agreed().await.evaluated()?, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn in_any_fleet_a_hosts_own_file_concerns_that_host_alone() {
    for seed in 0..6 {
        watched(|| edits_of_own_files(seed)).await;
    }
}

async fn edits_of_own_files(seed: u64) -> Result<(), Unwatched> {
    let shape = Shape::seen(&mut Random::new(seed));
    let world = World::of(&shape).await;
    world.agreed().await;
    world.write("README.md", "another\n");
    assert_eq!(world.agreed().await.evaluated()?, [""; 0], "seed {seed}, {shape:?}");
    for (name, ways) in shape.names().zip(&shape.hosts) {
        world.write(&format!("hosts/{name}/own.txt"), "1\n");
        let answers = world.agreed().await;
        let reads = ways.iter().any(|way| way.contains("./own.txt") || way.contains("${./.}"));
        let works = answers.systems.as_ref().unwrap()[&name].is_some();
        let expected: &[&str] = if reads && works { &[&name] } else { &[] };
        assert_eq!(answers.evaluated()?, expected, "seed {seed}, {shape:?}");
    }
    Ok(())
}

#[tokio::test]
async fn without_a_view_of_its_own_an_evaluation_sees_no_less() {
    watched(footprints_with_and_without_a_view).await;
}

async fn footprints_with_and_without_a_view() -> Result<(), Unwatched> {
    let world = World::of(&three_hosts()).await;
    let nix = Nix::detect(Settings::default(), None, &Cancel::never()).await.unwrap();
    let flake = FlakeRef::resolve(".", &world.root()).unwrap();
    let source = lock(&nix, &flake, &Cancel::never()).await.unwrap();
    let tree = Tree::scan(source.path.as_path()).unwrap();
    let empty = tempfile::tempdir().unwrap();
    let (nix, source, tree) = (&nix, &source, &tree);
    let seen = |name, empty| footprint(nix, source, tree, name, empty);
    // A view needs an empty directory; without one the kernel refuses it.
    let nowhere = Path::new("/nowhere");
    let (alpha, beta) = tokio::join!(seen("alpha", nowhere), seen("beta", nowhere));
    let (exact_alpha, exact_beta) = tokio::join!(seen("alpha", empty.path()), seen("beta", empty.path()));
    for (exact, larger, own, other) in [(exact_alpha?, alpha?, "alpha", "beta"), (exact_beta?, beta?, "beta", "alpha")]
    {
        assert!(exact.contains(&format!("hosts/{own}/own.txt")), "{exact:?}");
        assert!(!exact.contains(&format!("hosts/{other}/own.txt")), "{exact:?}");
        // Where everybody's reads are seen, one may be of a file after which nothing less than all of the source will do.
        let is_everything = larger.first().is_some_and(|first| first.starts_with("Everything"));
        assert!(is_everything || exact.iter().all(|file| larger.contains(file)), "{larger:?} has less than {exact:?}");
    }
    Ok(())
}

async fn footprint(
    nix: &Nix,
    source: &Source,
    tree: &Tree,
    name: &str,
    empty: &Path,
) -> Result<Vec<String>, Unwatched> {
    let query = Query::system(SystemAttr { output: "nixosConfigurations", name });
    let observed = ask_watched(nix, source, tree, empty, &query, &Cancel::never(), &mut |_| ()).await.unwrap();
    match observed.footprint(nix, source, tree, None, &Cancel::never()).await {
        Footprint::Files(files) => Ok(files.into_keys().collect()),
        Footprint::Everything(Blind::NotWatched(_)) => Err(Unwatched),
        blind @ Footprint::Everything(_) => Ok(vec![format!("{blind:?}")]),
    }
}

#[tokio::test]
async fn a_derivation_that_is_gone_is_evaluated_again() {
    let world = World::of(&Shape::of(&[&["builtins.readFile ./own.txt"], &["(import ./own.nix).v"]])).await;
    // A text of this run's own, so that no other test has the same derivation.
    world.write("hosts/alpha/own.txt", &world.root().display().to_string());
    let before = world.agreed().await;
    let drv = before.systems.unwrap()["alpha"].clone().unwrap().drv;
    let deleted = std::process::Command::new("nix-store").args(["--delete", drv.as_str()]).output().unwrap();
    assert!(deleted.status.success(), "{}", String::from_utf8_lossy(&deleted.stderr));
    let after = world.ours().await;
    assert_ne!(after.whence["alpha"], Whence::Kept);
    assert!(drv.as_path().exists());
    assert_eq!(after.whence["beta"], Whence::Kept);
}
