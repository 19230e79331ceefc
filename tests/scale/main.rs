//! The whole pipeline with two hundred hosts: real evaluations, builds and copies, and stand-ins for the hosts. Held are the
//! memory of the process, how many hosts are worked on at once, that each end is told, and that the telling stays readable.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod stand_in;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use hubctl::evaluate::{Evaluator, Options, Uses, WorkTree};
use hubctl::fleet::{BuildOn, Host, Kind, Policy};
use hubctl::nix::{FlakeRef, Nix, Settings, Substituters, Validity};
use hubctl::plan::{Goal, Rule, Waves};
use hubctl::process::Cancel;
use hubctl::remote::Elevate;
use hubctl::report::{Event, HostFinished, Outcome, Output, Reporter, Size, Summary, Ui, exit_of};
use hubctl::run::{Builders, Context, Gate, Job, LastSeen, Machines, OnChange, Places, Wants, execute};
use hubctl::state::{State, StateDirs, new_id};
use tempfile::TempDir;

use stand_in::{StandIns, World};

const HOSTS: usize = 200;
const AT_ONCE: usize = 16;
/// In KiB.
const MEMORY: u64 = 150 * 1024;
const TERMINAL: Size = Size { columns: 100, rows: 24 };

const FLAKE: &str = "{
  outputs = { self }: {
    nixosConfigurations = builtins.mapAttrs (name: _: { config = import ./hosts/${name} name; }) (builtins.readDir ./hosts);
  };
}
";

/// A system as small as one can be. The seed makes it another one in every test.
const SYSTEM: &str = "name:
{ error ? null, fail ? false, note ? \"\" }:
let
  toplevel = derivation {
    name = \"nixos-system-${name}-25.11\";
    system = \"SYSTEM\";
    builder = \"/bin/sh\";
    args = [ \"-c\" (if fail then \"echo this build was told to fail; exit 1\" else \"echo $note >$out\") ];
    note = \"SEED ${note}\";
  };
in
{
  networking.hostName = name;
  system.build.toplevel = if error == null then toplevel else throw error;
}
";

struct Fleet {
    dir: TempDir,
    nix: Nix,
    world: Arc<World>,
}

/// What a run came to, and what it printed.
struct Ran {
    finished: Vec<HostFinished>,
    printed: String,
}

fn name(n: usize) -> String {
    format!("host-{n:03}")
}

impl Fleet {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = [("sandbox", "false"), ("build-users-group", ""), ("substituters", "")];
        let settings = Settings {
            options: options.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            ..Settings::default()
        };
        let nix = Nix::detect(settings, None, &Cancel::never()).await.unwrap();
        let world = Arc::new(World::new(dir.path().join("store")));
        let fleet = Self { dir, nix, world };
        let system = SYSTEM.replace("SYSTEM", &format!("{}-linux", std::env::consts::ARCH));
        fleet.write("flake.nix", FLAKE);
        fleet.write("system.nix", &system.replace("SEED", &fleet.dir.path().display().to_string()));
        for n in 0..HOSTS {
            fleet.set(n, "");
        }
        fleet
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.dir.path().join("hub").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Sets values of a host.
    fn set(&self, host: usize, values: &str) {
        let text = format!("name: import ../../system.nix name {{ {values} }}\n");
        self.write(&format!("hosts/{}/default.nix", name(host)), &text);
    }

    /// Edits some hosts and breaks others, each kind in its own way, and gives what is to become of them.
    fn edit(&self) -> BTreeMap<String, Outcome> {
        let mut outcomes = BTreeMap::new();
        for n in 0..5 {
            self.set(n, "error = \"this host was told to fail\";");
            outcomes.insert(name(n), Outcome::EvalFailed);
            self.set(20 + n, "fail = true;");
            outcomes.insert(name(20 + n), Outcome::BuildFailed);
            self.set(40 + n, "note = \"new\";");
            self.world.exits.lock().unwrap().insert(name(40 + n), 1);
            outcomes.insert(name(40 + n), Outcome::RolledBack);
            self.set(60 + n, "note = \"new\";");
            self.world.exits.lock().unwrap().insert(name(60 + n), 4);
            outcomes.insert(name(60 + n), Outcome::Degraded);
            self.set(80 + n, "note = \"new\";");
            outcomes.insert(name(80 + n), Outcome::Deployed);
            self.world.down.lock().unwrap().insert(name(100 + n));
            outcomes.insert(name(100 + n), Outcome::Unreachable);
        }
        outcomes
    }

    /// `quick-deploy '*'`, shown in this way.
    async fn deploy(&self, (output, terminal): (Output, Option<Size>)) -> Ran {
        let begun = Instant::now();
        let dirs = StateDirs::at(self.dir.path().join("state"));
        let state = Arc::new(State::open(&dirs.database(), |warning| panic!("{warning}")).unwrap());
        let id = new_id(jiff::Timestamp::now());
        fs::create_dir_all(dirs.gcroots()).unwrap();
        let run = dirs.runs().begin(&id).unwrap();
        let (ui, captured) = Ui::captured(output, terminal);
        let (reporter, events) = Reporter::start(&ui).unwrap();
        let hub = self.dir.path().join("hub");
        let flake = FlakeRef::resolve(&format!("path:{}", hub.display()), Path::new("/")).unwrap();
        let options = Options { uses: Uses::Everything, jobs: 4, gcroots: &dirs.gcroots(), run: &id };
        let evaluator = {
            let tree = WorkTree::look(flake, options.uses, &Cancel::never()).await;
            Evaluator::new(self.nix.clone(), tree, state, options, &Cancel::never()).await.unwrap()
        };
        let hosts: Vec<Host> = (0..HOSTS).map(host).collect();
        events.emit(Event::RunStarted {
            deployment: Some(id.clone()),
            command: "quick-deploy".to_owned(),
            goal: Goal::Switch.to_string(),
            hosts: hosts.iter().map(|host| host.name.clone()).collect(),
        });
        let context = Arc::new(Context {
            job: Job {
                id: id.clone(),
                operator: "tester@here".to_owned(),
                command: "quick-deploy".to_owned(),
                goal: Goal::Switch,
                rule: Rule::IfChanged,
                waves: Waves::at_once(&hosts),
                hosts,
                parallel: AT_ONCE,
                overruled: BTreeSet::new(),
            },
            nix: self.nix.clone(),
            substituters: Substituters::unasked(self.nix.clone()),
            validity: Validity::new(self.nix.clone()),
            wants: Wants::Flake(Arc::new(evaluator)),
            fleet: BTreeMap::new(),
            connect: Arc::new(StandIns(self.world.clone())),
            elevations: BTreeMap::new(),
            this_machine: None,
            machines: Machines::default(),
            builders: Builders::default(),
            cache: None,
            places: Places { logs: dirs.logs(&id), gcroots: dirs.gcroots() },
            gate: Gate::default(),
            seen: LastSeen::default(),
            on_change: OnChange::default(),
            runs: dirs.runs(),
            told: Arc::default(),
            events: events.clone(),
            cancel: Cancel::never(),
        });
        let finished = execute(&context, |_| ()).await;
        events.emit(Event::Summary(summary(&finished, begun)));
        reporter.finish().await;
        drop(run);
        Ran { finished, printed: captured.stderr() }
    }
}

fn host(n: usize) -> Host {
    Host {
        name: name(n).parse().unwrap(),
        target: name(n),
        user: None,
        port: None,
        system: None,
        kind: Kind::Nixos,
        role: None,
        tags: BTreeSet::new(),
        archived: false,
        elevate: Elevate::None,
        build_on: BuildOn::Here,
        specialisation: None,
        policy: Policy::default(),
        health: Vec::new(),
        after: BTreeSet::new(),
        alone: false,
    }
}

fn summary(finished: &[HostFinished], begun: Instant) -> Summary {
    let mut counts = BTreeMap::new();
    for ended in finished {
        *counts.entry(ended.outcome.to_string()).or_default() += 1;
    }
    Summary {
        exit: exit_of(finished.iter().map(|ended| ended.outcome)).code(),
        duration_ms: u64::try_from(begun.elapsed().as_millis()).unwrap(),
        counts,
        hosts: finished.iter().map(|ended| (ended.host.clone(), ended.outcome)).collect(),
    }
}

impl Ran {
    fn counts(&self) -> BTreeMap<Outcome, usize> {
        let mut counts = BTreeMap::new();
        for ended in &self.finished {
            *counts.entry(ended.outcome).or_default() += 1;
        }
        counts
    }

    /// The lines below all that was told on the way, without the empty ones.
    fn summary(&self) -> Vec<&str> {
        let is_timed = |line: &str| line.as_bytes().get(2) == Some(&b':') && line.as_bytes().get(5) == Some(&b':');
        // Where there is a display, the summary follows when it was taken away for the last time.
        let (_, after) = self.printed.rsplit_once("\u{1b}[2K").unwrap_or(("", &self.printed));
        after.lines().filter(|line| !line.trim().is_empty() && !is_timed(line)).collect()
    }

    /// How many lines the cursor went up at most, to draw over what it had drawn.
    fn highest_block(&self) -> usize {
        let ups = self.printed.split("\u{1b}[").filter_map(|step| step.split_once('A')?.0.parse().ok());
        ups.max().unwrap_or_default()
    }
}

/// The most memory that this process ever had, in KiB. See proc(5).
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn two_hundred_hosts() {
    let fleet = Fleet::new().await;
    let first = fleet.deploy((Output::Plain, None)).await;
    assert_eq!(first.counts(), BTreeMap::from([(Outcome::Deployed, HOSTS)]), "{}", first.printed);
    for ended in &first.finished {
        assert_eq!(fleet.world.runs(ended.host.as_str()), ended.wanted.as_ref().map(ToString::to_string));
    }
    // The bound holds, and is made use of.
    assert_eq!(fleet.world.most_at_once(), AT_ONCE);
    // A line for each host, and how many they are.
    assert_eq!(first.summary().len(), HOSTS + 1, "{}", first.printed);
    assert!(first.printed.lines().count() < 12 * HOSTS, "{}", first.printed);

    let second = fleet.deploy((Output::Plain, None)).await;
    assert_eq!(second.counts(), BTreeMap::from([(Outcome::Unchanged, HOSTS)]), "{}", second.printed);
    assert_eq!(second.summary().len(), 1, "{}", second.printed);
    assert!(second.summary()[0].starts_with("200 hosts unchanged in "), "{}", second.printed);

    let outcomes = fleet.edit();
    let third = fleet.deploy((Output::Auto, Some(TERMINAL))).await;
    for ended in &third.finished {
        let expected = outcomes.get(ended.host.as_str()).copied().unwrap_or(Outcome::Unchanged);
        assert_eq!(ended.outcome, expected, "{}: {:?}", ended.host, ended.error);
    }
    let summary = third.summary();
    for (host, outcome) in &outcomes {
        let row = |line: &&&str| line.split_whitespace().skip(1).take(2).eq([host.as_str(), outcome.as_str()]);
        assert_eq!(summary.iter().filter(row).count(), 1, "{host} {outcome} in {}", summary.join("\n"));
        let failed = !outcome.is_success();
        let reports = summary.iter().filter(|line| {
            let heading = line.starts_with("error: ") || line.starts_with("warning: ");
            heading && line.contains(host.as_str()) && line.contains(outcome.as_str())
        });
        assert_eq!(reports.count(), usize::from(failed), "{host} {outcome} in {}", summary.join("\n"));
    }
    // A line for each host that is not unchanged; hosts that fail alike share a report.
    assert!(summary.len() < 4 * outcomes.len(), "{}", summary.join("\n"));
    // What is redrawn never leaves the screen.
    assert!((AT_ONCE..TERMINAL.rows).contains(&third.highest_block()), "{}", third.highest_block());

    assert!(fleet.world.most_at_once() <= AT_ONCE);
    assert!(peak_memory() < MEMORY, "{} KiB", peak_memory());
}
