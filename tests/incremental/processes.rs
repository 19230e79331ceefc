//! Several processes of hubctl at work on one tree, with one database.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use crate::fleet::Shape;
use crate::world::{ON_ANY_MACHINE, Systems, World};

const HOSTS: usize = 64;

/// How many processes run at once.
const PROCESSES: usize = 3;

#[tokio::test]
async fn processes_at_once_agree_and_leave_the_database_whole() {
    let world = World::of(&Shape::many(HOSTS)).await;
    for round in 0..2 {
        if round > 0 {
            world.write("hosts/host7/own.txt", &format!("{round}\n"));
            world.write("shared/n0.nix", &format!("{{ v = \"{round}\"; }}\n"));
        }
        let running: Vec<_> = (0..PROCESSES).map(|_| start(&world)).collect();
        let wanted = outputs(world.theirs().unwrap());
        assert_eq!(wanted.len(), HOSTS);
        for child in running {
            assert_eq!(built(child), wanted, "round {round}");
        }
        let state = world.state().join("hubctl/state.db");
        let database = Connection::open_with_flags(&state, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let verdict: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(verdict, "ok");
        let kept: i64 =
            database.query_row("SELECT count(DISTINCT subject) FROM evaluation", [], |row| row.get(0)).unwrap();
        assert!(usize::try_from(kept).unwrap() >= HOSTS, "{kept} answers are kept");
        let aside = std::fs::read_dir(state.parent().unwrap()).unwrap();
        assert!(!aside.flatten().any(|entry| entry.file_name().to_string_lossy().contains("aside")));
    }
}

/// Starts hubctl with a command that evaluates and builds every host, and contacts none.
fn start(world: &World) -> Child {
    Command::new(env!("CARGO_BIN_EXE_hubctl"))
        .args(["test-all", "--parallel", "--json", "--no-input"])
        .current_dir(world.root())
        .env("XDG_STATE_HOME", world.state())
        .args(ON_ANY_MACHINE.iter().flat_map(|(name, value)| ["--option", name, value]))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The systems that a run built.
fn built(child: Child) -> BTreeMap<String, String> {
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
    assert!(!stderr.contains("database"), "{stderr}");
    let events = stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let finished = events.filter(|event| event["event"] == "host-finished");
    finished.map(|event| (text(&event, "host"), text(&event, "wanted"))).collect()
}

fn outputs(systems: Systems) -> BTreeMap<String, String> {
    systems.into_iter().map(|(name, system)| (name, system.unwrap().out.to_string())).collect()
}
