//! What was done is told later: who deployed what where, from which files, how it ended, and what was printed.

use serde_json::json;

use crate::support::{Hub, Lab};

#[test]
fn deployments_are_told_with_their_files_ends_and_logs() {
    let lab = Lab::up(&["p620"]);
    let hub = Hub::new(&lab);
    hub.json(&["quick-deploy", "p620"]).exits(0);
    hub.set_host("p620", r#"motd = "edited"; build.fail = true;"#);
    let failed = hub.json(&["quick-deploy", "p620"]).exits(1).events()[0]["deployment"].clone();
    let failed = failed.as_str().unwrap();
    hub.set_host("p620", r#"motd = "edited";"#);
    hub.write("shared/motd.txt", "From a work tree.\n");
    hub.json(&["quick-deploy", "p620", "p510"]).exits(1);

    let all = hub.json(&["history"]).exits(0).json();
    assert_eq!(all.as_array().unwrap().len(), 3);
    assert_eq!(all[2]["dirty-files"], json!([]), "{all}");
    assert_eq!(all[0]["dirty-files"], json!(["hosts/p620/default.nix", "shared/motd.txt"]), "{all}");

    let ids = |words: &[&str]| -> Vec<String> {
        let found = hub.json(&[&["history"], words].concat()).exits(0).json();
        found.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&["--outcome", "build-failed"]), [failed]);
    assert_eq!(ids(&["--outcome", "deployed,unreachable"]).len(), 2);
    assert_eq!(ids(&["--outcome", "failed"]).len(), 2);
    // Of the last one, this host's part went well.
    assert_eq!(ids(&["p620", "--outcome", "failed"]), [failed]);
    assert_eq!((ids(&["--since", "1h"]).len(), ids(&["--since", "today", "--until", "1h"]).len()), (3, 0));
    assert_eq!(ids(&["--until", "yesterday"]).len(), 0);
    hub.run(&["history", "--until", "2001-01-01"]).exits(0).says("no deployment matches");
    hub.run(&["history", "--since", "tomorow"]).exits(2).says("a time is `3d`");
    hub.run(&["history", "--outcome", "deploid"]).exits(2).says("did you mean `deployed`?");

    let shown = hub.run(&["history", "show", failed]).exits(0);
    for text in ["hosts/p620/default.nix", "build-failed", "the toplevel does not build", "the build was told to fail"]
    {
        shown.stdout.find(text).unwrap_or_else(|| panic!("no `{text}` in {}", shown.stdout));
    }
    let shown = hub.json(&["history", "show", failed]).exits(0).json();
    assert_eq!(shown["id"], failed);
    assert!(shown["logs"]["p620"].to_string().contains("the build was told to fail"), "{shown}");
    let short = hub.json(&["history", "show", failed, "--tail", "1"]).exits(0).json();
    assert_eq!(short["logs"]["p620"].as_array().unwrap().len(), 1, "{short}");
    // Without an id it is the last one.
    assert_eq!(hub.json(&["history", "show", "--tail=0"]).exits(0).json()["id"], all[0]["id"]);

    let chart = hub.run(&["history", "--chart"]).exits(0);
    for text in ["✓ deployed", "✗ build-failed", "✗ unreachable", "█", "p620", "DURATIONS"] {
        assert!(chart.stdout.contains(text), "no `{text}` in {}", chart.stdout);
    }
    // Of one host, the parts of others count for nothing.
    let own = hub.run(&["history", "p620", "--chart"]).exits(0).stdout;
    assert!(own.contains("✗ build-failed") && !own.contains("✗ unreachable"), "{own}");
}
