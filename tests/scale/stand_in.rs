//! Two hundred hosts that are not there: each answers hubctl's own scripts from what it would be, and takes real copies.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hubctl::nix::{StorePath, StoreUri};
use hubctl::process::{Cancel, LineSink};
use hubctl::remote::{Connect, ConnectError, Connection, Executed, Lost, Password, Target};

/// All of the hosts, and what they saw.
#[derive(Debug, Default)]
pub(crate) struct World {
    /// The binary cache that stands in for every host's store.
    store: PathBuf,
    /// Hosts that do not answer.
    pub(crate) down: Mutex<BTreeSet<String>>,
    /// What `switch-to-configuration` exits with, on hosts where that is not 0.
    pub(crate) exits: Mutex<BTreeMap<String, i32>>,
    systems: Mutex<BTreeMap<String, System>>,
    connected: AtomicUsize,
    most: AtomicUsize,
}

/// What one host runs.
#[derive(Clone, Debug)]
struct System {
    toplevel: String,
    generation: u64,
}

/// Connections to the hosts of a [`World`].
#[derive(Debug)]
pub(crate) struct StandIns(pub(crate) Arc<World>);

#[derive(Debug)]
struct StandIn {
    name: String,
    world: Arc<World>,
    is_over: AtomicBool,
}

impl World {
    /// Hosts that run nothing yet, whose stores are at `store`.
    pub(crate) fn new(store: PathBuf) -> Self {
        Self { store, ..Self::default() }
    }

    /// The most hosts that were connected to at once since the last call.
    pub(crate) fn most_at_once(&self) -> usize {
        self.most.swap(0, Ordering::SeqCst)
    }

    /// The toplevel that a host runs.
    pub(crate) fn runs(&self, host: &str) -> Option<String> {
        self.systems.lock().unwrap().get(host).map(|system| system.toplevel.clone())
    }
}

#[async_trait]
impl Connect for StandIns {
    async fn connect(&self, target: &Target, _cancel: &Cancel) -> Result<Arc<dyn Connection>, ConnectError> {
        let Target::Ssh(ssh) = target else { panic!("{target} is no host of the fleet") };
        let name = ssh.host.clone();
        if self.0.down.lock().unwrap().contains(&name) {
            return Err(ConnectError::TimedOut { target: name, limit: Duration::from_secs(10) });
        }
        let connected = self.0.connected.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most.fetch_max(connected, Ordering::SeqCst);
        Ok(Arc::new(StandIn { name, world: self.0.clone(), is_over: AtomicBool::new(false) }))
    }

    async fn close(&self) {}
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.end();
    }
}

#[async_trait]
impl Connection for StandIn {
    async fn execute(
        &self,
        words: &[String],
        _password: Option<&Password>,
        on_line: LineSink<'_>,
    ) -> Result<Executed, Lost> {
        let script = words.last().unwrap();
        // Which of hubctl's scripts this is, by what only that one says.
        let answer = if script.contains("say probe 1") {
            self.probed()
        } else if script.contains("hubctl-lock:") {
            self.locked()
        } else if script.contains("hubctl-start:") {
            self.activated(script)
        } else if script.contains("ln -s confirmed") {
            "hubctl-guard:confirmed".to_owned()
        } else if script.contains("hubctl-guard:") {
            "hubctl-guard:result reverted 0 it was asked for".to_owned()
        } else if script.contains("hubctl-follow:") {
            // Nobody's boot loader fails.
            let told = self.world.exits.lock().unwrap().get(&self.name).copied().unwrap_or_default();
            let code = if script.contains("-boot\n") { 0 } else { told };
            format!("|activating the configuration...\nhubctl-follow:seen 32\nhubctl-follow:exited switch {code}")
        } else {
            // Tidying up, or asking for a journal.
            String::new()
        };
        // As a host does that is some way off.
        tokio::time::sleep(Duration::from_millis(2)).await;
        for line in answer.lines().chain(["hubctl-end:0"]) {
            on_line(line);
        }
        Ok(Executed { code: Some(0), stderr: String::new() })
    }

    fn store(&self) -> Option<StoreUri> {
        let rest = format!("{}?compression=none", self.world.store.display());
        Some(StoreUri { schemes: vec!["file"], rest, ssh: None, programs: None })
    }

    async fn discard(&self) {
        self.end();
    }
}

impl StandIn {
    /// The connection ends, once.
    fn end(&self) {
        if !self.is_over.swap(true, Ordering::SeqCst) {
            self.world.connected.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn probed(&self) -> String {
        let mut facts = format!("probe=1\nhostname={}\nuid=0\nsystemd=1\nnix=/usr/bin/nix-daemon", self.name);
        if let Some(System { toplevel, generation }) = self.world.systems.lock().unwrap().get(&self.name) {
            let system = format!("\ncurrent={toplevel}\nprofile={toplevel}\ngeneration=system-{generation}-link");
            facts.push_str(&system);
        }
        if self.world.exits.lock().unwrap().get(&self.name) == Some(&4) {
            facts.push_str("\nfailed-unit=web.service");
        }
        facts
    }

    /// Nobody else is there who could have the lock.
    fn locked(&self) -> String {
        let systems = self.world.systems.lock().unwrap();
        let system = systems.get(&self.name).map(|system| system.toplevel.clone()).unwrap_or_default();
        format!("hubctl-lock:taken\ncurrent={system}\nprofile={system}")
    }

    /// Runs the system that the script is for, if it has come here.
    fn activated(&self, script: &str) -> String {
        let toplevel: StorePath =
            script.lines().find_map(|line| line.strip_prefix("toplevel=")).unwrap().parse().unwrap();
        let hash = toplevel.as_str().strip_prefix("/nix/store/").unwrap().split('-').next().unwrap();
        if !self.world.store.join(format!("{hash}.narinfo")).exists() {
            return "hubctl-start:not-a-system".to_owned();
        }
        if self.world.exits.lock().unwrap().get(&self.name) != Some(&1) {
            let mut systems = self.world.systems.lock().unwrap();
            let generation = systems.get(&self.name).map_or(1, |system| system.generation + 1);
            systems.insert(self.name.clone(), System { toplevel: toplevel.to_string(), generation });
        }
        "hubctl-start:started".to_owned()
    }
}
