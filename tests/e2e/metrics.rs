//! Metrics: in the format that Prometheus reads, of what was done and seen, in a file and at a push gateway.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::{Hub, Lab, Server, Status};

/// The numbers of a text in Prometheus's format, by their names and labels as they stand there. Fails where the text breaks a rule of
/// the format.
#[track_caller]
fn parse(text: &str) -> BTreeMap<String, f64> {
    assert!(text.is_empty() || text.ends_with('\n'), "the last line has no end");
    let mut found = BTreeMap::new();
    let (mut family, mut kind, mut over) = (String::new(), String::new(), BTreeSet::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            rest.split(' ').next().unwrap().clone_into(&mut family);
            assert!(is_name(&family) && over.insert(family.clone()), "{line}: a family stands in one place");
            kind.clear();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, of) = rest.split_once(' ').unwrap();
            assert!(name == family && kind.is_empty() && ["counter", "gauge", "summary"].contains(&of), "{line}");
            of.clone_into(&mut kind);
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').map_or((series, ""), |(name, rest)| (name, rest));
            let suffix = name.strip_prefix(family.as_str()).unwrap_or_else(|| panic!("{line} is not of {family}"));
            let fits = if kind == "summary" { ["_sum", "_count"].contains(&suffix) } else { suffix.is_empty() };
            assert!(fits && !kind.is_empty(), "{line} is no {kind}");
            assert!(kind != "counter" || family.ends_with("_total"), "{line}");
            assert!(labels.is_empty() || labels_fit(labels), "{line}");
            assert!(found.insert(series.to_owned(), value.parse().unwrap()).is_none(), "{line} is there twice");
        }
    }
    found
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    name.chars().all(fits) && !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty()
}

/// Whether `a="b",c="d"}` stands there, with each name once and nothing that ends a value too early.
fn labels_fit(labels: &str) -> bool {
    let (mut rest, mut seen) = (labels, BTreeSet::new());
    loop {
        let Some((name, value)) = rest.split_once("=\"") else { return false };
        if !is_name(name) || name.contains(':') || !seen.insert(name) {
            return false;
        }
        let mut escaped = false;
        let end = value.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let Some(end) = end else { return false };
        rest = &value[end + 1..];
        match rest.strip_prefix(',') {
            Some(next) => rest = next,
            None => return rest == "}",
        }
    }
}

#[test]
fn what_breaks_the_format_is_found() {
    parse("# HELP a_total x\n# TYPE a_total counter\na_total{b=\"c\\\"},d\",e=\"\"} 1\n");
    for text in [
        "a 1\n",
        "# HELP a x\n# TYPE a gauge\na 1",
        "# HELP a x\n# TYPE a gauge\na{b=\"c} 1\n",
        "# HELP a x\n# TYPE a gauge\na 1\na 2\n",
    ] {
        assert!(std::panic::catch_unwind(|| parse(text)).is_err(), "{text}");
    }
}

#[test]
fn metrics_tell_what_was_done_and_seen() {
    let lab = Lab::up(&["p620"]);
    let hub = Hub::new(&lab);
    assert_eq!(hub.run(&["metrics"]).exits(0).stdout, "");
    let file = hub.root().with_file_name("hubctl.prom");
    let gateway = Server::answering("127.0.0.1", |_| (Status::OK, Vec::new()));
    let metrics = format!("[metrics]\nfile = \"{}\"\npush = \"{}\"\n", file.display(), gateway.url());
    hub.write("hub.toml", &format!("{}\n{metrics}", hub.committed("hub.toml")));
    hub.json(&["quick-deploy", "p620", "p510"]).exits(1).ends(&[("p620", "deployed"), ("p510", "unreachable")]);

    let at = |metrics: &BTreeMap<String, f64>, name: &str, host: &str, more: &str| {
        let wanted = format!("{name}{{flake=\"{}\",host=\"{host}\"{more}}}", hub.root().display());
        *metrics.get(&wanted).unwrap_or_else(|| panic!("no {wanted} in {metrics:#?}"))
    };
    let written = fs::read_to_string(&file).unwrap();
    let metrics = parse(&written);
    assert!((at(&metrics, "hubctl_host_deployments_total", "p620", ",outcome=\"deployed\"") - 1.0).abs() < 0.1);
    assert!((at(&metrics, "hubctl_host_deployments_total", "p510", ",outcome=\"unreachable\"") - 1.0).abs() < 0.1);
    assert!(at(&metrics, "hubctl_host_last_success_timestamp_seconds", "p620", "") > 1e9);
    assert!(at(&metrics, "hubctl_host_deployment_duration_seconds_sum", "p620", "") > 0.0);
    assert!(!written.lines().any(|line| line.contains("last_success") && line.contains("p510")), "{written}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    // The gateway was given the same, and as all that there is of this group.
    let pushed = gateway.requests().pop().unwrap();
    assert_eq!(pushed.method, "PUT");
    assert!(pushed.path.starts_with("/metrics/job/hubctl/instance/"), "{}", pushed.path);
    assert_eq!(parse(&String::from_utf8(pushed.body).unwrap()), metrics);

    // Another system than the flake's is told as drift, with the next look.
    hub.set_host("p620", r#"motd = "edited";"#);
    hub.run(&["status", "p620"]).exits(0);
    let metrics = parse(&fs::read_to_string(&file).unwrap());
    assert!(at(&metrics, "hubctl_host_drift", "p620", ",drift=\"behind\"") > 0.0);
    assert!(at(&metrics, "hubctl_host_store_free_bytes", "p620", "") > 0.0);
    lab.cut("p620");
    let nowhere = "[metrics]\nfile = \"/no/such/directory/x.prom\"\npush = \"http://127.0.0.1:9\"\n";
    hub.write("hub.toml", &format!("{nowhere}[hosts.p620]\n[ssh]\nconnect-timeout = \"2s\"\n"));
    // What cannot be left is told, and costs nothing else.
    let told = hub.run(&["status", "p620", "--no-eval"]).exits(1);
    told.says("/no/such/directory").says("the metrics were not pushed").says("[metrics]");
    let metrics = parse(&hub.run(&["metrics"]).exits(0).stdout);
    assert!(at(&metrics, "hubctl_host_reachable", "p620", "") < 0.5);
    assert!(at(&metrics, "hubctl_host_drift", "p620", ",drift=\"behind\"") > 0.0, "it was seen last");
    let data = hub.json(&["metrics"]).exits(0).json();
    assert!(data.as_array().unwrap().iter().any(|family| family["name"] == "hubctl_runs_total"), "{data}");
}
