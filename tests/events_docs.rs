//! The reference of the events, their schema and the events themselves say the same.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy allows these in test functions, but not in their helpers"
)]

use std::collections::BTreeMap;

use hubctl::error::{Error, Exit, Kind};
use hubctl::fleet::HostName;
use hubctl::nix::StorePath;
use hubctl::report::{Event, Failed, HostFinished, Outcome, Output, Stamped, StepName, Summary, Ui};
use jiff::Timestamp;
use jsonschema::Validator;
use serde_json::{Value, json};

const DOCS: &str = include_str!("../docs/events.md");
const SCHEMA: &str = include_str!("../docs/events.schema.json");

const STEPS: [StepName; 10] = [
    StepName::Probe,
    StepName::Evaluate,
    StepName::Build,
    StepName::Push,
    StepName::Copy,
    StepName::Activate,
    StepName::Verify,
    StepName::Health,
    StepName::Confirm,
    StepName::Soak,
];

fn schema() -> Value {
    serde_json::from_str(SCHEMA).expect("the schema is JSON")
}

fn validator() -> Validator {
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .build(&schema())
        .expect("the schema is a valid schema")
}

#[track_caller]
fn assert_valid(value: &Value) {
    // The root only says that no event fits; the event's own definition says why.
    let mut schema = schema();
    schema["oneOf"] = json!([{ "$ref": format!("#/$defs/{}", value["event"].as_str().unwrap()) }]);
    let errors: Vec<String> = jsonschema::validator_for(&schema)
        .unwrap()
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path))
        .collect();
    assert!(errors.is_empty() && validator().is_valid(value), "{value:#}\n{errors:#?}");
}

fn host() -> HostName {
    "p620".parse().unwrap()
}

fn path(name: &str) -> StorePath {
    format!("/nix/store/0i3kvkpqpr1i9zx4dbdzvj6dcpqnmhhb-{name}").parse().unwrap()
}

/// The event's name; a new event does not compile until it is told here, and then has no sample yet.
fn kind(event: &Event) -> &'static str {
    match event {
        Event::RunStarted { .. } => "run-started",
        Event::Source { .. } => "source",
        Event::WaveStarted { .. } => "wave-started",
        Event::WaveFinished { .. } => "wave-finished",
        Event::StepStarted { .. } => "step-started",
        Event::StepFinished { .. } => "step-finished",
        Event::Evaluated { .. } => "evaluated",
        Event::Decided { .. } => "decided",
        Event::Building { .. } => "building",
        Event::Progress { .. } => "progress",
        Event::Log { .. } => "log",
        Event::Warning { .. } => "warning",
        Event::HostFinished(_) => "host-finished",
        Event::Cancelling { .. } => "cancelling",
        Event::Summary(_) => "summary",
    }
}

/// Every event with every field that it can have.
fn full() -> Vec<Event> {
    let step = StepName::Build;
    vec![
        Event::RunStarted {
            deployment: Some("42".into()),
            command: "quick-deploy".into(),
            goal: "switch".into(),
            hosts: vec![host()],
        },
        Event::Source {
            flake: "git+file:///hub".into(),
            path: path("source"),
            rev: Some("8f2c1d9a7b6e5f4031221100ffeeddccbbaa9988".into()),
            dirty: false,
        },
        Event::WaveStarted { wave: 1, of: 2, hosts: vec![host()], reason: "canary".into() },
        Event::WaveFinished { wave: 1, of: 2, failed: vec![host()], stops: true },
        Event::StepStarted { host: host(), step },
        Event::StepFinished { host: host(), step, duration_ms: 1 },
        Event::Evaluated { host: host(), cached: false, reason: "flake.nix changed, which was read".into() },
        Event::Decided { host: host(), steps: STEPS.to_vec(), reason: "it runs another system".into() },
        Event::Building { host: host(), name: "web".into(), builder: Some("ssh-ng://p510".into()) },
        Event::Progress {
            host: host(),
            step,
            done: 1,
            running: 2,
            expected: 3,
            current: Some("web".into()),
            builder: Some("ssh-ng://p510".into()),
        },
        Event::Log { host: host(), step, line: "cc -c web.c".into() },
        Event::Warning { host: Some(host()), message: "/boot is full".into(), hint: Some("tidy it".into()) },
        Event::HostFinished(HostFinished {
            host: host(),
            outcome: Outcome::BuildFailed,
            duration_ms: 12,
            detail: Some("nothing was changed".into()),
            old: Some(path("nixos-system-p620-25.05")),
            wanted: Some(path("nixos-system-p620-25.11")),
            system: Some("x86_64-linux".to_owned()),
            generation: Some(43),
            build_ms: Some(7),
            error: Some(Failed {
                step,
                message: "cannot build web".into(),
                command: Some("nix build".into()),
                output: vec!["error: no".into()],
                hints: vec!["mend it".into()],
                log: Some("/var/log/p620.log".into()),
            }),
        }),
        Event::Cancelling { forced: true },
        summary(Outcome::BuildFailed, Exit::Failed),
    ]
}

/// Every event that has optional fields, with none of them.
fn bare() -> Vec<Event> {
    let ended = |outcome, error| {
        let (detail, old, wanted, system, generation) = (None, None, None, None, None);
        Event::HostFinished(HostFinished {
            host: host(),
            outcome,
            duration_ms: 0,
            detail,
            old,
            wanted,
            system,
            generation,
            build_ms: None,
            error,
        })
    };
    let error = |step| {
        let (command, output, hints, log) = (None, Vec::new(), Vec::new(), None);
        Failed { step, message: String::new(), command, output, hints, log }
    };
    let mut events = vec![
        Event::RunStarted { deployment: None, command: "test-all".into(), goal: "build".into(), hosts: Vec::new() },
        Event::Source { flake: ".".into(), path: path("source"), rev: None, dirty: true },
        Event::Building { host: host(), name: "web".into(), builder: None },
        Event::Progress {
            host: host(),
            step: StepName::Copy,
            done: 0,
            running: 0,
            expected: 0,
            current: None,
            builder: None,
        },
        Event::Warning { host: None, message: "no".into(), hint: None },
    ];
    events.extend(Outcome::ALL.into_iter().map(|outcome| ended(outcome, None)));
    events.extend(STEPS.into_iter().map(|step| ended(Outcome::Refused, Some(error(step)))));
    events.extend(Exit::TABLE.iter().map(|(exit, _)| summary(Outcome::Unknown, *exit)));
    events
}

fn summary(outcome: Outcome, exit: Exit) -> Event {
    Event::Summary(Summary {
        exit: exit.code(),
        duration_ms: 74_000,
        counts: BTreeMap::from([(outcome.to_string(), 1)]),
        hosts: BTreeMap::from([(host(), outcome)]),
    })
}

fn stamped(event: Event) -> Value {
    serde_json::to_value(Stamped { time: Timestamp::now(), event }).unwrap()
}

/// What `--json` prints for an error.
fn error_line(kind: Kind) -> Value {
    let (ui, captured) = Ui::captured(Output::Json, None);
    ui.error(&Error::message(kind, "cannot read hub.toml").hint("chmod +r hub.toml"));
    serde_json::from_str(&captured.stdout()).unwrap()
}

/// The samples with every field, by their kind.
fn samples() -> BTreeMap<String, Value> {
    let mut samples: BTreeMap<String, Value> =
        full().into_iter().map(|event| (kind(&event).to_owned(), stamped(event))).collect();
    samples.insert("error".into(), error_line(Kind::Config));
    samples
}

/// The kinds of events that the schema describes.
fn described() -> Vec<String> {
    let root = schema();
    let names = root["oneOf"].as_array().unwrap().iter().map(|one| one["$ref"].as_str().unwrap());
    names.map(|name| name.trim_start_matches("#/$defs/").to_owned()).collect()
}

/// The definition's properties.
fn properties(definition: &str) -> Vec<String> {
    schema()["$defs"][definition]["properties"].as_object().unwrap().keys().cloned().collect()
}

/// The part of the reference under an event's heading.
fn section(kind: &str) -> &'static str {
    let heading = format!("\n## `{kind}`\n");
    let start = DOCS.find(&heading).unwrap_or_else(|| panic!("docs/events.md has no section on `{kind}`"));
    let text = &DOCS[start + heading.len()..];
    text.split("\n## ").next().unwrap()
}

#[test]
fn every_event_fits_the_schema() {
    for event in full().into_iter().chain(bare()) {
        let name = kind(&event);
        let value = stamped(event);
        assert_eq!(value["event"], name);
        assert_valid(&value);
    }
    for kind in [Kind::Usage, Kind::Config, Kind::NoHost, Kind::Refused, Kind::Cancelled, Kind::Failed] {
        assert_valid(&error_line(kind));
    }
}

#[test]
fn the_schema_describes_every_event_and_every_field_and_no_others() {
    let samples = samples();
    let mut described = described();
    described.sort();
    assert_eq!(samples.keys().cloned().collect::<Vec<_>>(), described);
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    for (kind, sample) in &samples {
        assert_eq!(keys(sample), properties(kind), "{kind}");
    }
    assert_eq!(keys(&samples["host-finished"]["error"]), properties("failed"));
}

#[test]
fn what_is_wrong_does_not_fit_the_schema() {
    let validator = validator();
    for (kind, sample) in samples() {
        let mut unknown_field = sample.clone();
        unknown_field["surprise"] = json!(1);
        assert!(!validator.is_valid(&unknown_field), "{kind}");
        let mut unknown_event = sample.clone();
        unknown_event["event"] = json!("surprise");
        assert!(!validator.is_valid(&unknown_event), "{kind}");
        for (field, value) in sample.as_object().unwrap() {
            let mut wrong_type = sample.clone();
            wrong_type[field] = if value.is_array() { json!("") } else { json!([]) };
            assert!(!validator.is_valid(&wrong_type), "{kind}: {field}");
            let mut null = sample.clone();
            null[field] = Value::Null;
            assert!(!validator.is_valid(&null), "{kind}: {field}");
        }
        for field in schema()["$defs"][&kind]["required"].as_array().unwrap() {
            let mut missing = sample.clone();
            missing.as_object_mut().unwrap().remove(field.as_str().unwrap());
            assert!(!validator.is_valid(&missing), "{kind}: {field}");
        }
    }
    let bad = [
        ("step-started", "host", json!("-oProxyCommand=x")),
        ("step-started", "step", json!("pray")),
        ("step-finished", "duration-ms", json!(-1)),
        ("source", "path", json!("/tmp/source")),
        ("log", "time", json!("yesterday")),
        ("summary", "exit", json!(7)),
        ("summary", "counts", json!({ "surprised": 1 })),
        ("summary", "hosts", json!({ "p620": "surprised" })),
    ];
    for (kind, field, value) in bad {
        let mut sample = samples().remove(kind).unwrap();
        sample[field] = value;
        assert!(!validator.is_valid(&sample), "{sample}");
    }
}

#[test]
fn the_reference_tells_every_event_with_every_field() {
    for kind in described() {
        let section = section(&kind);
        for field in properties(&kind).iter().filter(|field| !["time", "event"].contains(&field.as_str())) {
            assert!(section.contains(&format!("\n| `{field}` |")), "`{kind}` lacks `{field}`");
        }
    }
    for field in properties("failed") {
        assert!(section("host-finished").contains(&format!("\n| `{field}` |")), "`error` lacks `{field}`");
    }
    for outcome in Outcome::ALL {
        assert!(section("host-finished").contains(&format!("\n| `{outcome}` |")), "`{outcome}`");
    }
    for step in STEPS {
        assert!(DOCS.contains(&format!("\n| `{}` |", step.as_str())), "`{}`", step.as_str());
    }
    for (exit, _) in Exit::TABLE {
        assert!(section("summary").contains(&format!("\n| {} |", exit.code())), "{exit:?}");
    }
}

#[test]
fn the_examples_of_the_reference_fit_the_schema() {
    let blocks = DOCS.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let lines: Vec<&str> = blocks.flat_map(str::lines).collect();
    assert!(lines.len() > 10, "the examples were not found");
    for line in lines {
        assert_valid(&serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    }
}
