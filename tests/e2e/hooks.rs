//! Programs that are told of deployments, and may refuse them.

use serde_json::{Value, json};

use crate::support::{Hub, Lab};

#[test]
fn hooks_are_told_and_may_refuse() {
    let lab = Lab::up(&["p620"]);
    let hub = Hub::new(&lab);
    let dir = hub.root().parent().unwrap().display().to_string();
    let hook = |name: &str| format!("[\"sh\", \"-c\", \"cat >{dir}/{name}.json; echo {name} was told\"]");
    let hooks = format!(
        "[deploy.hooks]\nbefore = {}\nafter = {}\nfailed = {}\n",
        hook("before"),
        hook("after"),
        hook("failed")
    );
    let with = |hooks: &str| hub.write("hub.toml", &format!("{}\n{hooks}", hub.committed("hub.toml")));
    let told = |name: &str| -> Value {
        let text = std::fs::read_to_string(format!("{dir}/{name}.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    with(&hooks);
    hub.json(&["quick-deploy", "p620", "--dry-run"]).exits(0);
    hub.json(&["test-host", "p620"]).exits(0);
    assert!(!std::fs::exists(format!("{dir}/before.json")).unwrap());

    let run = hub.json(&["quick-deploy", "p620"]).exits(0);
    let id = run.events()[0]["deployment"].clone();
    let (before, after) = (told("before"), told("after"));
    assert_eq!(
        (&before["hook"], &before["deployment"], &before["command"]),
        (&json!("before"), &id, &json!("quick-deploy"))
    );
    assert_eq!(
        (&before["hosts"], &before["waves"], &before["goal"]),
        (&json!(["p620"]), &json!([["p620"]]), &json!("switch"))
    );
    assert!(before["operator"].as_str().unwrap().starts_with("tester@") && before["summary"].is_null(), "{before}");
    assert_eq!((&after["hook"], &after["summary"]["hosts"]["p620"]), (&json!("after"), &json!("deployed")));
    assert!(!std::fs::exists(format!("{dir}/failed.json")).unwrap());
    let log = std::fs::read_to_string(hub.state().join(format!("logs/{}/@hooks.log", id.as_str().unwrap()))).unwrap();
    assert!(log.contains("before   | before was told") && log.contains("after    | after was told"), "{log}");

    hub.set_host("p620", "build.fail = true;");
    hub.json(&["quick-deploy", "p620"]).exits(1);
    assert_eq!(told("failed")["summary"]["exit"], 1);

    // A hook that cannot be run or fails afterwards changes nothing of what was done.
    with("[deploy.hooks]\nbefore = [\"true\"]\nafter = [\"no-such-program\"]\n");
    hub.set_host("p620", "motd = \"new\";");
    let run = hub.json(&["quick-deploy", "p620"]).exits(0);
    assert!(run.stdout.contains("the hook `after` of hub.toml failed"), "{}", run.stdout);

    with("[deploy.hooks]\nbefore = [\"sh\", \"-c\", \"echo it is Friday >&2; exit 3\"]\n");
    hub.set_host("p620", "motd = \"newer\";");
    let current = lab.current("p620");
    let error = hub.json(&["quick-deploy", "p620"]).exits(5).json();
    assert!(error["message"].as_str().unwrap().contains("it is Friday"), "{error}");
    assert_eq!(lab.current("p620"), current);
}
