//! The hub at hand: its flake, its `hub.toml`, its hosts, and the tools that commands work with.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustix::fs::{Access, access};

use super::args::Global;
use super::config::{Config, config_error, read_hub_toml};
use crate::error::{Error, Kind, Result};
use crate::evaluate::{Evaluator, Options, Uses, WorkTree};
use crate::fleet::{FlakeHosts, Host, HostName, Inventory, Kind as HostKind, Selection};
use crate::nix::{EvalError, FlakeRef, Missed, Nix, Settings, Substituters};
use crate::process::{Cancel, Failure, Level};
use crate::remote::{Elevation, SshConnector, SshOptions, Target, private_runtime_dir};
use crate::report::Ui;
use crate::run::target_of;
use crate::state::{RunLock, State, StateDirs, new_id};

/// What takes longer than this is said.
const NOTABLE: Duration = Duration::from_millis(250);

/// What every command has: the user at the other end, and the options that every command takes.
pub(super) struct Hub {
    pub(super) ui: Ui,
    pub(super) global: Global,
    /// The first word of the command line, when it was taken for a host.
    pub(super) bare: Option<String>,
    /// The user's wish to stop.
    pub(super) cancel: Cancel,
    /// The state, once something asked for it. One for all, so that what is wrong with it is told once.
    state: OnceCell<Arc<State>>,
    /// The run's id, and what tells others that it goes on.
    run: OnceCell<(String, Option<RunLock>)>,
    /// How to become root on hosts that a password was asked for.
    pub(super) elevations: RefCell<BTreeMap<HostName, Elevation>>,
    /// What made connections before the fleet was known.
    early: OnceCell<Arc<SshConnector>>,
}

/// The hosts of the hub, and what it takes to work with them.
pub(super) struct Fleet {
    pub(super) flake: FlakeRef,
    pub(super) config: Config,
    pub(super) nix: Nix,
    pub(super) inventory: Inventory,
}

impl Hub {
    pub(super) fn new(ui: Ui, global: Global, bare: Option<String>, cancel: Cancel) -> Self {
        let (state, run, early) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        Self { ui, global, bare, cancel, state, run, elevations: RefCell::default(), early }
    }

    /// An error when the user asked to stop: then that is what there is to tell, whatever failed by it.
    pub(super) fn not_stopped(&self) -> Result<()> {
        if self.cancel.is_requested() {
            return Err(stopped());
        }
        Ok(())
    }

    /// Does `work`, unless the user asks to stop: then it is dropped.
    pub(super) async fn unless_stopped<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.cancel.unless(Level::Soft, work).await.unwrap_or_else(|| Err(stopped()))
    }

    /// The flake that `--flake` names.
    pub(super) fn flake(&self) -> Result<FlakeRef> {
        let cwd = std::env::current_dir().map_err(|error| Error::new(Kind::Failed, error))?;
        FlakeRef::resolve(&self.global.flake, &cwd).map_err(|error| {
            let hint = error.hint();
            Error::new(Kind::Usage, error).hint(hint)
        })
    }

    /// Finds Nix, locks the flake and lists its hosts.
    pub(super) async fn load(&self) -> Result<(Fleet, Arc<Evaluator>)> {
        let loaded = self.lock_and_list().await;
        self.not_stopped()?;
        loaded
    }

    /// As [`Hub::load`], for a command that will reach the hosts that `choose` picks, in this order and so many at once: the first
    /// of them are connected to meanwhile, as far as `hub.toml` and earlier runs know them. A guess that is wrong costs a connection
    /// that idles.
    pub(super) async fn load_to_reach(
        &self,
        parallel: impl Fn(&Config) -> usize,
        choose: impl Fn(&Inventory) -> Vec<Host>,
    ) -> Result<(Fleet, Arc<Evaluator>)> {
        // Whatever is wrong here is wrong below too, and told there.
        let _ = self.connect_early(parallel, choose);
        self.load().await
    }

    fn connect_early(
        &self,
        parallel: impl Fn(&Config) -> usize,
        choose: impl Fn(&Inventory) -> Vec<Host>,
    ) -> Result<()> {
        let (connector, hosts) = self.guessed(parallel, choose)?;
        let this_machine = this_machine();
        for host in &hosts {
            connector.connect_early(&target_of(host, this_machine.as_deref()), &self.cancel);
        }
        Ok(())
    }

    /// The first of the hosts that `choose` picks from those that `hub.toml` and earlier runs know, as far as they know them, and what
    /// connects to them.
    pub(super) fn guessed(
        &self,
        parallel: impl Fn(&Config) -> usize,
        choose: impl Fn(&Inventory) -> Vec<Host>,
    ) -> Result<(Arc<SshConnector>, Vec<Host>)> {
        let flake = self.flake()?;
        let config = Config::of(&flake)?;
        let (state, _) = self.state()?;
        let known = state.hosts_of(&flake.to_string()).map_err(|error| Error::new(Kind::Failed, error))?;
        let known = FlakeHosts::of_names(known);
        let (inventory, _) = Inventory::new(config.file(), &known).map_err(|errors| config_error(&errors))?;
        let connector = self.connector(&config)?;
        let mut hosts = choose(&inventory);
        hosts.truncate(parallel(&config));
        let _ = self.early.set(connector.clone());
        Ok((connector, hosts))
    }

    async fn lock_and_list(&self) -> Result<(Fleet, Arc<Evaluator>)> {
        let flake = self.flake()?;
        let config = Config::of(&flake)?;
        let (state, dirs) = self.state()?;
        let gcroots = Self::gcroots(&dirs)?;
        let options = self.evaluating(&config, &gcroots, &dirs);
        let look = Box::pin(WorkTree::look(flake.clone(), options.uses, &self.cancel));
        let (nix, tree) = tokio::join!(self.nix(&config), look);
        let locking = Box::pin(Evaluator::new(nix?, tree, state, options, &self.cancel));
        let evaluator = self.patiently("locking the flake and copying it to the store", locking).await;
        let evaluator = evaluator.map_err(|failure| not_locked(&flake, &failure))?;
        self.tell_left_out(evaluator.left_out());
        // The flake of a remote reference has its hub.toml in the source.
        let config = match &config.root {
            Some(_) => config,
            None => Config { root: None, file: read_hub_toml(&evaluator.source().path.as_path().join("hub.toml"))? },
        };
        self.warn_of_unseen(evaluator.unseen());
        let listing = Box::pin(flake_hosts(&evaluator, &self.cancel));
        let listed = self.patiently("listing the flake's hosts", listing).await;
        if let Some(ballast) = evaluator.ballast() {
            self.warn_of_ballast(ballast);
        }
        let (inventory, notes) =
            Inventory::new(config.file.as_ref(), &listed?).map_err(|errors| config_error(&errors))?;
        for note in notes {
            self.ui.warning(&note.to_string(), Some(&note.hint()));
        }
        let nix = evaluator.nix().clone();
        Ok((Fleet { flake, config, nix, inventory }, Arc::new(evaluator)))
    }

    fn evaluating<'a>(&'a self, config: &Config, gcroots: &'a Path, dirs: &StateDirs) -> Options<'a> {
        let uses = if self.global.no_cache { Uses::Nothing("--no-cache") } else { Uses::Everything };
        Options { uses, jobs: config.evaluations_at_once(), gcroots, run: self.run_id(dirs) }
    }

    /// The evaluator of another revision of the same flake.
    pub(super) async fn evaluator_at(&self, evaluator: &Evaluator, flake: FlakeRef) -> Result<Evaluator> {
        let (_, dirs) = self.state()?;
        let (gcroots, config) = (Self::gcroots(&dirs)?, Config::of(&self.flake()?)?);
        let options = self.evaluating(&config, &gcroots, &dirs);
        let locking = Box::pin(evaluator.at(flake.clone(), options, &self.cancel));
        let locked = self.patiently("copying the other revision to the store", locking).await;
        self.not_stopped()?;
        locked.map_err(|failure| not_locked(&flake, &failure))
    }

    /// The fleet as far as it takes to reach the hosts that `words` name: a flake that is broken must not keep anybody from
    /// looking at a host or rolling it back. `hub.toml` alone is asked first, then the flake; when that fails, the words are
    /// taken for the names of hosts.
    pub(super) async fn reachable(&self, words: &[String]) -> Result<Fleet> {
        let flake = self.flake()?;
        let config = Config::of(&flake)?;
        if let Some(file) = config.file() {
            let inventory = Inventory::from_file_only(file);
            let known = Selection::parse(words).is_ok_and(|selection| inventory.select(&selection).is_ok());
            if known && inventory.iter().next().is_some() {
                let nix = self.nix(&config).await?;
                return Ok(Fleet { flake, config, nix, inventory });
            }
        }
        let error = match self.load().await {
            Ok((fleet, _)) => return Ok(fleet),
            Err(error) if error.kind() == Kind::Cancelled => return Err(error),
            Err(error) => error,
        };
        let names: Vec<_> = words.iter().filter_map(|word| word.parse::<HostName>().ok()).collect();
        if names.is_empty() || names.len() < words.len() {
            return Err(error);
        }
        self.ui.warning(&format!("{error}\nthe words are taken for names of hosts"), None);
        let as_given = FlakeHosts::of_names(words.to_vec());
        let (inventory, _) = Inventory::new(config.file(), &as_given).map_err(|errors| config_error(&errors))?;
        let nix = self.nix(&config).await?;
        Ok(Fleet { flake, config, nix, inventory })
    }

    /// Nix, with the settings of `hub.toml` and of the command line, which come last and so win.
    pub(super) async fn nix(&self, config: &Config) -> Result<Nix> {
        let of_file = config.nix();
        let accepts = if self.global.accept_flake_config { Some(true) } else { of_file.accept_flake_config };
        let accepts = accepts.map(|accepts| ("accept-flake-config".to_owned(), accepts.to_string()));
        let settings = Settings {
            options: of_file.options.into_iter().chain(accepts).chain(pairs(&self.global.option)).collect(),
            override_inputs: pairs(&self.global.override_input).collect(),
            impure: self.global.impure,
            builders: self.global.builders.clone(),
        };
        let detected = Nix::detect(settings, StateDirs::nix_version().ok().as_deref(), &self.cancel).await;
        self.not_stopped()?;
        detected.map_err(|error| {
            let hint = error.hint();
            Error::new(Kind::Config, error).hint(hint)
        })
    }

    /// The ssh configuration that is used in place of the user's.
    pub(super) fn ssh_config(&self, config: &Config) -> Result<Option<PathBuf>> {
        let of_file = config.root.as_ref().and_then(|root| config.ssh().config_file_in(root));
        let file = self.global.ssh_config.clone().or(of_file);
        file.map(|file| {
            file.canonicalize().map_err(|error| {
                let message = format!("the ssh configuration {} cannot be read: {error}", file.display());
                Error::message(Kind::Config, message)
                    .hint("see --ssh-config, and `config-file` under [ssh] in hub.toml")
            })
        })
        .transpose()
    }

    /// What makes connections, as `hub.toml` and the command line want them.
    pub(super) fn connector(&self, config: &Config) -> Result<Arc<SshConnector>> {
        let ssh = config.ssh();
        let config_file = self.ssh_config(config)?;
        let control_dir = private_runtime_dir().map_err(|error| {
            Error::new(
                Kind::Failed,
                anyhow::Error::new(error).context("there is no private place for ssh's control sockets"),
            )
        })?;
        let options = SshOptions {
            config_file,
            persist: ssh.persist,
            host_keys: ssh.host_keys,
            connect_timeout: ssh.connect_timeout,
            control_dir,
        };
        let early = self.early.get().filter(|early| *early.options() == options);
        Ok(early.cloned().unwrap_or_else(|| Arc::new(SshConnector::new(options))))
    }

    /// The state of this user. One that cannot be used is told, and the run goes on without.
    pub(super) fn state(&self) -> Result<(Arc<State>, StateDirs)> {
        let dirs = StateDirs::of_user().map_err(|error| Error::new(Kind::Config, error))?;
        if let Some(state) = self.state.get() {
            return Ok((state.clone(), dirs));
        }
        let ui = self.ui.clone();
        let state = State::open(&dirs.database(), move |warning| ui.warning(warning, None))
            .map_err(|error| Error::new(Kind::Failed, error))?;
        Ok((self.state.get_or_init(|| Arc::new(state)).clone(), dirs))
    }

    /// A directory for the roots that keep what a run works with from being collected: that of the state, or a private one
    /// where the state cannot be written.
    pub(super) fn gcroots(dirs: &StateDirs) -> Result<PathBuf> {
        let usable = |dir: &Path| fs::create_dir_all(dir).is_ok() && access(dir, Access::WRITE_OK).is_ok();
        let of_state = dirs.gcroots();
        if usable(&of_state) {
            return Ok(of_state);
        }
        let private = private_runtime_dir().map(|dir| dir.join("gcroots")).ok().filter(|dir| usable(dir));
        private.ok_or_else(|| {
            Error::message(
                Kind::Failed,
                format!("what is built cannot be kept: {} cannot be written", of_state.display()),
            )
            .hint("make it writable, or set XDG_STATE_HOME to a directory that is")
        })
    }

    /// The id of this run. With the first call the run begins: what runs left here that were killed is removed, and until this
    /// value goes, others know that it goes on. Where that fails, it is said, and the run goes on.
    pub(super) fn run_id(&self, dirs: &StateDirs) -> &str {
        let begin = || {
            let (id, runs) = (new_id(Timestamp::now()), dirs.runs());
            let begun = runs.begin(&id);
            let swept = runs.sweep(&dirs.gcroots());
            if let Some(error) = begun.as_ref().err().or(swept.as_ref().err()) {
                self.ui.warning(&format!("{} cannot be kept in order: {error}", dirs.root().display()), None);
            }
            (id, begun.ok())
        };
        &self.run.get_or_init(begin).0
    }

    /// Waits for `work`, and says what it is when it takes notably long.
    async fn patiently<T>(&self, what: &str, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        tokio::select! {
            done = &mut work => done,
            () = tokio::time::sleep(NOTABLE) => {
                self.ui.status(&format!("{what} …"));
                work.await
            }
        }
    }
}

impl Fleet {
    /// The hosts by name.
    pub(super) fn hosts(&self) -> BTreeMap<HostName, Host> {
        self.inventory.iter().map(|host| (host.name.clone(), host.clone())).collect()
    }

    /// What builds fetch from; asked whether it answers where that is of use and `hub.toml` allows it.
    pub(super) fn substituters(&self, of_use: bool) -> Substituters {
        if of_use && self.config.nix().ask_substituters {
            Substituters::new(self.nix.clone())
        } else {
            Substituters::unasked(self.nix.clone())
        }
    }

    /// The flake as the state database knows it.
    pub(super) fn flake_key(&self) -> String {
        self.flake.to_string()
    }
}

fn not_locked(flake: &FlakeRef, failure: &Failure) -> Error {
    Error::message(Kind::Config, format!("the flake {flake} cannot be locked\n{}", indent(&failure.stderr)))
        .hint(format!("`{}` shows the same", failure.command))
}

fn stopped() -> Error {
    Error::message(Kind::Cancelled, "stopped; nothing was changed")
}

/// This machine's own name.
pub(super) fn this_machine() -> Option<String> {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    name.split('.').next().filter(|name| !name.is_empty()).map(str::to_owned)
}

/// The host that is this machine.
pub(super) fn local_host(inventory: &Inventory) -> Option<&Host> {
    let name = this_machine()?;
    inventory.active().find(|host| target_of(host, Some(&name)) == Target::Local)
}

pub(super) fn indent(lines: &[String]) -> String {
    lines.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

async fn flake_hosts(evaluator: &Evaluator, cancel: &Cancel) -> Result<FlakeHosts> {
    let names = |output| evaluator.names(output, cancel);
    let [nixos, darwin, homes] = [HostKind::Nixos, HostKind::Darwin, HostKind::Home].map(HostKind::output);
    let error = match tokio::try_join!(names(nixos), names(darwin), names(homes)) {
        Ok((nixos, darwin, homes)) => return Ok(FlakeHosts { nixos, darwin, homes }),
        Err(error) => error,
    };
    let output = match &error {
        EvalError::Nix(failure) => indent(&failure.stderr),
        EvalError::Unexpected { .. } => error.to_string(),
    };
    let missed = evaluator.missed(&error, cancel).await;
    Err(Error::message(Kind::Config, format!("the flake's hosts cannot be listed\n{output}"))
        .hints(missed.as_ref().map(Missed::hint))
        .hint(format!("`{}` shows the same", error.command())))
}

fn pairs(words: &[String]) -> impl Iterator<Item = (String, String)> {
    words.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone()))
}
