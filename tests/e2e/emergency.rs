//! In an emergency a host is deployed when its name was given twice, and only what cannot be reached is taken back.

use std::process::Stdio;

use rexpect::session::{PtySession, spawn_command};

use crate::support::{Hub, Lab};

#[test]
fn without_the_same_names_again_nothing_is_done() {
    let hub = Hub::offline();
    let words = ["emergency-deploy", "p510"];
    hub.run(&words).exits(5).says("the hosts' names a second time").says("--confirm p510");
    let again = |names: &str| hub.run(&["emergency-deploy", "p510", "p620", "--confirm", names]);
    again("p510").exits(5).says("differ in `p620`");
    again("p510,p620,razer").exits(5).says("differ in `razer`");
    for word in ["p*", "@server", "p510,p620", "!p510"] {
        hub.run(&["emergency-deploy", word, "--confirm", "p510"]).exits(2).says("is not the name of one host");
    }
    hub.run(&["emergency-deploy"]).exits(2);
    assert_eq!(hub.json(&["history"]).exits(0).json(), serde_json::json!([]), "something was begun");
}

fn answering(hub: &Hub, answer: &str) -> PtySession {
    let mut command = hub.command(&["emergency-deploy", "p510"]);
    command.env("TERM", "xterm").stdin(Stdio::inherit());
    let mut session = spawn_command(command, Some(120_000)).unwrap();
    session.exp_string("Type p510 to deploy it now").unwrap();
    session.send(&format!("{answer}\r")).unwrap();
    session.flush().unwrap();
    session
}

#[test]
fn the_name_is_typed_at_a_terminal() {
    let lab = Lab::up(&["p510"]);
    let hub = Hub::new(&lab);
    answering(&hub, "p51").exp_string("that was not `p510`; nothing was changed").unwrap();
    assert_eq!(lab.current("p510"), "");
    answering(&hub, "p510").exp_string("1 host ").unwrap();
    assert_ne!(lab.current("p510"), "");
}

#[test]
fn what_cannot_be_reached_is_taken_back_and_nothing_else() {
    let lab = Lab::up(&["p510"]);
    let hub = Hub::new(&lab);
    let policy =
        "[deploy]\nconfirm = \"8s\"\nfailed-units = \"rollback\"\n\n[defaults.health]\nunits = [\"missing.service\"]";
    let emergency = || hub.json(&["emergency-deploy", "p510", "--confirm", "p510"]);
    hub.run(&["quick-deploy", "p510"]).exits(0);
    hub.write("hub.toml", &format!("{}\n{policy}\n", hub.committed("hub.toml")));
    emergency().exits(0).ends(&[("p510", "deployed")]);
    hub.set_host("p510", "units.broken.failing = true;");
    emergency().exits(3).ends(&[("p510", "degraded")]);
    let before = lab.current("p510");
    hub.set_host("p510", "activation.cutNetwork = true;");
    emergency().exits(1).ends(&[("p510", "rolled-back")]);
    assert_eq!(lab.current("p510"), before);
    lab.assert_no_remains("p510");
}
