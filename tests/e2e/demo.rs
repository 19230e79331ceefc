//! `dev/demo` shows the main job, and says so only when the hosts say so too.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{Finished, REPOSITORY};

/// Runs the demo with `program` as hubctl; it leaves nothing behind.
fn demo(program: &Path) -> Finished {
    let temporary = tempfile::Builder::new().prefix("demo").tempdir_in("/tmp").unwrap();
    let demo = Command::new(Path::new(REPOSITORY).join("dev/demo"))
        .env("HUBCTL", program)
        .env("TMPDIR", temporary.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let name = format!("demo-{}", demo.id());
    let finished = demo.wait_with_output().unwrap().into();
    for place in ["/tmp", "/run/hubctl-lab", "/run/netns"] {
        let entries = fs::read_dir(place).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let left: Vec<_> = entries.filter(|entry| entry.to_string_lossy().contains(&name)).collect();
        assert!(left.is_empty(), "{left:?} is left in {place}");
    }
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0, "temporary files are left");
    finished
}

/// A program that behaves as hubctl does, except for what `script` does first.
fn like_hubctl(script: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("hubctl");
    let real = env!("CARGO_BIN_EXE_hubctl");
    fs::write(&program, format!("#!/bin/sh\nreal={real}\n{script}\nexec $real \"$@\"\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    (dir, program)
}

#[test]
fn every_step_does_what_it_says() {
    demo(Path::new(env!("CARGO_BIN_EXE_hubctl"))).exits(0).prints("All 9 steps did what they say");
}

#[test]
fn a_deployment_that_only_claims_to_have_been_made_is_found_out() {
    let claim = "if [ \"$1\" = quick-deploy ]; then $real test-all --quiet; echo '4 hosts deployed'; exit 0; fi";
    let (_dir, program) = like_hubctl(claim);
    demo(&program).exits(1).says("step 2 did not do what it says");
}

#[test]
fn an_exit_code_that_hides_a_failure_is_found_out() {
    let (_dir, program) = like_hubctl("if [ \"$1\" = quick-deploy ]; then $real \"$@\"; exit 0; fi");
    demo(&program).exits(1).says("step 5 did not do what it says: exit code 0 instead of 1");
}
