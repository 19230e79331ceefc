//! What opening files cannot show, and what git cannot tell: each way around them that is known, closed.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

use hubctl::nix::{Settings, SystemAttr};
use hubctl::process::Cancel;

use crate::fleet::Shape;
use crate::world::{World, commit_all};

/// A fleet of one host that reads in these ways.
async fn one(ways: &[&'static str]) -> World {
    World::of(&Shape::of(&[ways])).await
}

const READS_OWN: &str = "builtins.readFile ./own.txt";
const READS_DATA: &str = "builtins.readFile ../../data/a.txt";

#[tokio::test]
async fn an_import_from_derivation_reads_the_source_behind_everybodys_back() {
    // The builder opens the file, or nobody at all where the output is there already.
    let ifd = r#"builtins.readFile (derivation { name = "ifd"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "read x < ${self}/data/a.txt; echo $x > $out" ]; })"#;
    let world = World::of(&Shape::of(&[&[ifd], &[ifd, READS_OWN]])).await;
    world.agreed_on_all().await;
    world.write("README.md", "another\n");
    world.agreed_on_all().await;
    world.write("data/a.txt", "1\n");
    world.agreed_on_all().await;
    world.write("hosts/beta/own.txt", "1\n");
    world.agreed_on_all().await;
    world.write("data/a.txt", "2\n");
    world.agreed_on_all().await;
}

#[tokio::test]
async fn a_hash_of_a_path_hides_it() {
    for way in [
        r#"builtins.hashString "md5" (toString ../../data)"#,
        r#"builtins.hashString "sha256" "${self}""#,
        r"builtins.substring 11 7 (toString ./.)",
        r#""${builtins.toFile "part" (builtins.substring 20 8 (builtins.unsafeDiscardStringContext (toString ./.)))}""#,
    ] {
        let world = one(&[way]).await;
        world.agreed().await;
        world.write("README.md", "another\n");
        world.agreed().await;
    }
}

#[tokio::test]
async fn what_self_has_changes_with_a_commit() {
    for way in [
        "builtins.toJSON (builtins.attrNames self)",
        r#"builtins.concatStringsSep " " (builtins.attrNames inputs.self)"#,
    ] {
        let world = one(&[way, READS_OWN]).await;
        world.agreed().await;
        for text in ["1\n", "2\n"] {
            world.write("hosts/alpha/own.txt", text);
            world.agreed().await;
            world.git(&["commit", "--quiet", "--all", "--message", text]);
            world.agreed().await;
        }
    }
}

#[tokio::test]
async fn an_input_may_ask_for_the_revision_too() {
    for of in [
        "self.rev or \"none\"",
        "self.shortRev or \"none\"",
        "toString self.lastModified",
        "self.lastModifiedDate",
        "builtins.substring 0 8 self.lastModifiedDate",
        "self.narHash",
        "if self ? rev then self.rev else \"changed\"",
        "if self ? rev then \"clean\" else \"dirty\"",
    ] {
        let world = World::new("").await;
        Shape::of(&[&["inputs.outside.of self"]]).write(&world);
        let input = format!("{{ outputs = _: {{ of = self: {of}; }}; }}\n");
        fs::create_dir(world.outside()).unwrap();
        fs::write(world.outside().join("flake.nix"), input).unwrap();
        commit_all(&world.outside());
        let flake = fs::read_to_string(world.root().join("flake.nix")).unwrap();
        let url = format!("{{\n  inputs.outside.url = \"git+file://{}\";\n", world.outside().display());
        world.write("flake.nix", &flake.replacen('{', &url, 1));
        world.commit_all();
        world.agreed().await;
        world.git(&["add", "--all"]);
        world.agreed().await;
        world.git_at("2020-01-01T00:00:00Z", &["commit", "--quiet", "--message", "lock"]);
        world.agreed().await;
        world.git_at("2021-01-01T00:00:00Z", &["commit", "--quiet", "--allow-empty", "--message", "again"]);
        world.agreed().await;
        world.write("README.md", "another\n");
        world.agreed().await;
        world.git_at("2022-01-01T00:00:00Z", &["commit", "--quiet", "--all", "--message", "readme"]);
        world.agreed().await;
    }
}

#[tokio::test]
async fn an_overridden_input_changes_without_the_tree() {
    let mut shape = Shape::of(&[&["inputs.outside.v"], &[READS_OWN]]);
    shape.outside = true;
    let elsewhere = tempfile::tempdir().unwrap();
    let put = |text: &str| {
        fs::write(elsewhere.path().join("flake.nix"), format!("{{ outputs = _: {{ v = \"{text}\"; }}; }}\n")).unwrap();
    };
    put("1");
    let to = format!("path:{}", elsewhere.path().display());
    let settings = Settings { override_inputs: vec![("outside".to_owned(), to)], ..Settings::default() };
    let world = World::with("", settings).await;
    shape.write(&world);
    world.commit_all();
    world.agreed().await;
    for text in ["2", "3", "2"] {
        put(text);
        world.agreed().await;
    }
}

#[tokio::test]
async fn evaluation_that_an_option_makes_impure_is_never_kept() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let way = format!("builtins.readFile {}", file.path().display());
    let settings = Settings { options: vec![("pure-eval".to_owned(), "false".to_owned())], ..Settings::default() };
    let world = World::with("", settings).await;
    let shape = Shape::of(&[&[READS_OWN]]);
    shape.write(&world);
    world.write("hosts/alpha/default.nix", &format!("{{ self, inputs, name }}: [ ({way}) ]\n"));
    world.commit_all();
    for text in ["1", "2"] {
        fs::write(file.path(), text).unwrap();
        let answers = world.agreed().await;
        assert!(answers.systems.unwrap()["alpha"].is_some(), "{:?}", answers.errors);
    }
}

#[tokio::test]
async fn a_flake_that_makes_its_evaluation_impure_is_never_kept() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let settings =
        Settings { options: vec![("accept-flake-config".to_owned(), "true".to_owned())], ..Settings::default() };
    let world = World::with("", settings).await;
    let shape = Shape::of(&[&[READS_OWN]]);
    shape.write(&world);
    let flake = fs::read_to_string(world.root().join("flake.nix")).unwrap();
    world.write("flake.nix", &flake.replacen('{', "{\n  nixConfig.pure-eval = false;\n", 1));
    let way = format!("builtins.getEnv \"HOME\" + builtins.readFile {}", file.path().display());
    world.write("hosts/alpha/default.nix", &format!("{{ self, inputs, name }}: [ ({way}) ]\n"));
    world.commit_all();
    for text in ["1", "2"] {
        fs::write(file.path(), text).unwrap();
        world.agreed().await;
    }
}

#[tokio::test]
async fn git_does_not_look_at_all_that_a_flake_sees() {
    // Line endings and what filters take away make no difference to git, and one to Nix, which copies files as they are.
    let quiet: &[(&str, &[&str])] = &[
        ("data/a.txt text", &[]),
        ("* text=auto", &[]),
        ("data/a.txt filter=strip", &["config", "filter.strip.clean", "tr -d '\\r'"]),
        ("data/a.txt ident", &[]),
        ("", &["config", "core.autocrlf", "input"]),
        ("", &["config", "core.fileMode", "false"]),
        ("", &["config", "core.trustctime", "false"]),
        ("", &["config", "core.checkStat", "minimal"]),
    ];
    for (attributes, config) in quiet {
        let world = one(&[READS_DATA, r#""${../../data}""#]).await;
        if !attributes.is_empty() {
            world.write(".gitattributes", &format!("{attributes}\n"));
            world.git(&["add", "--all"]);
        }
        if !config.is_empty() {
            world.git(config);
        }
        world.git(&["commit", "--quiet", "--allow-empty", "--message", "attributes"]);
        world.write("README.md", "changed\n");
        let file = world.root().join("data/a.txt");
        for text in ["0\n", "0\r\n", "$Id$\n", "$Id: 0$\n", "0\n"] {
            fs::write(&file, text).unwrap();
            world.agreed().await;
            world.try_git(&["add", "data/a.txt"]);
            world.agreed().await;
        }
        for mode in [0o755, 0o644] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            world.agreed().await;
        }
    }
}

#[tokio::test]
async fn files_that_git_was_told_not_to_look_at_may_lie_beside_the_flake() {
    let mut shape = Shape::of(&[&["builtins.readFile ../../../../beside.txt"]]);
    shape.below = "nix/hub";
    let world = World::new(shape.below).await;
    shape.write(&world);
    fs::write(world.repository().join("beside.txt"), "0\n").unwrap();
    fs::write(world.repository().join("dirty.txt"), "0\n").unwrap();
    world.commit_all();
    fs::write(world.repository().join("dirty.txt"), "1\n").unwrap();
    world.agreed().await;
    world.git(&["update-index", "--assume-unchanged", "beside.txt"]);
    world.agreed().await;
    for text in ["1\n", "2\n"] {
        fs::write(world.repository().join("beside.txt"), text).unwrap();
        let answers = world.agreed().await;
        assert!(answers.systems.unwrap()["alpha"].is_some(), "{:?}", answers.errors);
    }
}

#[tokio::test]
async fn repositories_come_in_many_forms() {
    // Without a commit.
    let world = World::new("").await;
    let shape = Shape::of(&[&[READS_OWN], &[READS_DATA, "toString self.lastModified"]]);
    shape.write(&world);
    world.git(&["init", "--quiet"]);
    world.agreed().await;
    for words in [&["add", "--intent-to-add", "."][..], &["add", "--all"]] {
        world.git(words);
        world.agreed().await;
        world.write("hosts/alpha/own.txt", &format!("{words:?}\n"));
        world.agreed().await;
    }
    world.git(&["commit", "--quiet", "--message", "first"]);
    world.agreed().await;

    // A linked work tree.
    let linked = World::new("").await;
    let directory = linked.repository();
    fs::remove_dir(&directory).unwrap();
    world.git(&["worktree", "add", "--quiet", "--detach", directory.to_str().unwrap()]);
    edits_are_followed(&linked).await;

    // A shallow clone, which Nix does not take while it is clean.
    let shallow = World::new("").await;
    let from = format!("file://{}", world.repository().display());
    shallow.git(&["clone", "--quiet", "--depth", "1", &from, "."]);
    edits_are_followed(&shallow).await;
    shallow.git(&["commit", "--quiet", "--all", "--message", "second"]);
    shallow.agreed().await;

    // One with a submodule.
    let super_project = World::new("").await;
    let shape = Shape::of(&[&[READS_OWN, "builtins.toJSON (builtins.pathExists ../../module/README.md)"]]);
    shape.write(&super_project);
    super_project.commit_all();
    super_project.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", &from, "module"]);
    edits_are_followed(&super_project).await;
    super_project.write("module/README.md", "changed\n");
    super_project.agreed().await;
    super_project.git(&["commit", "--quiet", "--all", "--message", "second"]);
    super_project.agreed().await;
}

async fn edits_are_followed(world: &World) {
    world.agreed().await;
    world.write("hosts/alpha/own.txt", "1\n");
    world.agreed().await;
    world.write("hosts/alpha/own.txt", "2\n");
    world.agreed().await;
}

#[tokio::test]
async fn edits_within_a_moment_are_told_apart() {
    for git in [true, false] {
        let mut shape = Shape::of(&[&[READS_OWN]]);
        shape.git = git;
        let world = World::of(&shape).await;
        let file = world.root().join("hosts/alpha/own.txt");
        let first = fs::metadata(&file).unwrap().modified().unwrap();
        for text in ["1\n", "2\n", "3\n", "1\n"] {
            fs::write(&file, text).unwrap();
            fs::File::options().write(true).open(&file).unwrap().set_modified(first).unwrap();
            world.agreed().await;
        }
    }
}

#[tokio::test]
async fn a_tree_that_is_edited_all_the_time_is_right_once_it_rests() {
    for (way, git) in [(READS_OWN, true), (READS_OWN, false), ("self.dirtyRev or (builtins.readFile ./own.txt)", true)]
    {
        let mut shape = Shape::of(&[&[way], &["self.narHash"]]);
        shape.git = git;
        let world = World::of(&shape).await;
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Between two states, so that one that was taken for the other would be met again.
                for number in 0_u64.. {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    world.write("hosts/alpha/own.txt", &format!("{}\n", number % 2));
                    std::thread::yield_now();
                }
            });
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            std::thread::spawn(|| ()).join().unwrap();
            scope
                .spawn(|| {
                    for _ in 0..6 {
                        runtime.block_on(world.ours());
                    }
                    done.store(true, Ordering::Relaxed);
                    drop(runtime);
                })
                .join()
                .unwrap();
        });
        for text in ["0\n", "1\n"] {
            world.write("hosts/alpha/own.txt", text);
            world.agreed().await;
        }
    }
}

#[tokio::test]
async fn flakes_are_reached_in_many_ways() {
    // Its own file is a link.
    let world = one(&[READS_OWN]).await;
    fs::rename(world.root().join("flake.nix"), world.root().join("lib/flake.nix")).unwrap();
    symlink("lib/flake.nix", world.root().join("flake.nix")).unwrap();
    world.git(&["add", "--all"]);
    edits_are_followed(&world).await;

    // It fetches itself, or a part of itself, or what lies beside it.
    for way in [
        r#"(builtins.getFlake "path:${toString ../../sub}").v"#,
        r#"(builtins.getFlake "path:${self}/sub?narHash=${self.narHash}").v"#,
        r#"builtins.readFile "${builtins.fetchGit ./.}/data/a.txt""#,
        r#"builtins.readFile "${builtins.fetchTree { type = "path"; path = toString ../../data; }}/a.txt""#,
        r#"builtins.readFile "${builtins.path { path = ../../data; recursive = true; }}/a.txt""#,
        r"toString <nixpkgs>",
        r#"builtins.readFile (builtins.toFile "x" (builtins.readFile ../../data/a.txt))"#,
        r#"builtins.getEnv "HOME""#,
        r"builtins.currentSystem or builtins.readFile ../../data/a.txt",
        r"builtins.toJSON (builtins.tryEval (builtins.readFile ../../data/maybe))",
        r#"builtins.toJSON (builtins.map (n: "${../../data}/${n}") (builtins.attrNames (builtins.readDir ../../data)))"#,
        r#"(import (builtins.toFile "x.nix" (builtins.readFile ../../lib/facts)) self)"#,
    ] {
        let world = one(&[way]).await;
        world.write("sub/flake.nix", "{ outputs = _: { v = \"0\"; }; }\n");
        world.git(&["add", "--all"]);
        world.git(&["commit", "--quiet", "--message", "sub"]);
        world.agreed().await;
        world.write("README.md", "another\n");
        world.agreed().await;
        world.write("data/a.txt", "1\n");
        world.agreed().await;
        world.write("sub/flake.nix", "{ outputs = _: { v = \"1\"; }; }\n");
        world.agreed().await;
        world.write("lib/facts", "self: self.narHash\n");
        world.agreed().await;
    }
}

#[tokio::test]
async fn a_lock_file_that_nix_makes_known_to_git_changes_the_tree() {
    let mut shape = Shape::of(&[&["inputs.outside.v", "self.narHash"]]);
    shape.outside = true;
    let world = World::of(&shape).await;
    world.agreed().await;
    // The lock file stays where it is, with the text that it had.
    world.git(&["reset", "--quiet", "--", "."]);
    world.agreed().await;
}

#[tokio::test]
async fn a_lock_file_that_nix_cannot_see_locks_nothing() {
    let mut shape = Shape::of(&[&["inputs.outside.v"]]);
    shape.outside = true;
    let world = World::of(&shape).await;
    world.agreed().await;
    world.git(&["commit", "--quiet", "--all", "--message", "lock"]);
    world.agreed().await;
    world.git(&["rm", "--quiet", "--cached", "flake.lock"]);
    world.agreed().await;
    for text in ["\"1\"\n", "\"2\"\n"] {
        fs::write(world.outside().join("v.nix"), text).unwrap();
        world.agreed().await;
        world.git(&["add", "--all"]);
        world.agreed().await;
    }
}

#[tokio::test]
async fn what_another_host_copied_is_read_again() {
    // The first host's copy must be there when the second one is evaluated, and so they are not evaluated side by side.
    for way in [
        r#""${../../shared/dir}""#,
        r#"builtins.readFile "${../../data}/a.txt""#,
        r#""${builtins.path { path = ../../data; name = "data"; }}""#,
        r#""${builtins.filterSource (_: _: true) ../../data}""#,
    ] {
        let world = World::of(&Shape::of(&[&[way], &[way], &[way, READS_OWN]])).await;
        for text in ["0\n", "1\n", "2\n", "0\n"] {
            for file in ["data/a.txt", "shared/dir/sub/c.txt"] {
                world.write(file, text);
            }
            let evaluator = world.evaluator().await.unwrap();
            for name in ["alpha", "beta", "gamma"] {
                let system = SystemAttr { output: "nixosConfigurations", name };
                evaluator.system(system, &Cancel::never(), &mut |_| ()).await.unwrap();
            }
            drop(evaluator);
            world.agreed().await;
        }
    }
}
