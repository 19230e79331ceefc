//! What keeps the view going: hands it what happens, draws it, and does what it asks for.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::future::pending;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::asking::Asking;
use super::flake::{Loaded, load, title};
use super::foreground;
use super::model::Model;
use super::page::Tab;
use super::pages::Finder;
use super::terminal::{Input, Screen, size_now};
use super::theme::Theme;
use super::update::{Effect, Msg, update};
use crate::cli::hub::{Fleet, Hub, this_machine};
use crate::cli::looker::Looker;
use crate::cli::select::HostsOrAll;
use crate::cli::status::remember;
use crate::error::{Error, Exit, Kind, Result};
use crate::fleet::{Host, HostName};
use crate::process::{Cancel, Cmd};
use crate::remote::SshConnector;
use crate::report::{Output, Ui};
use crate::run::target_of;

/// How often the flake is looked at for changes.
const RELOAD_EVERY: Duration = Duration::from_secs(30);

/// How often the view is drawn when nothing happens, for the times that it shows.
const TICK: Duration = Duration::from_secs(1);

/// What is to be watched.
pub(in crate::cli) struct Wish {
    pub(in crate::cli) hosts: HostsOrAll,
    /// How long a host is left alone between two questions.
    pub(in crate::cli) every: Duration,
    /// How many hosts are asked at once.
    pub(in crate::cli) at_once: usize,
}

/// What tasks tell.
pub(super) enum Report {
    Happened(Msg),
    /// Something of the log with this number; that of one that is not followed any more is of no use.
    Log(u64, Msg),
}

/// The flake while it is read.
type Reloading = Pin<Box<dyn Future<Output = Result<Loaded>>>>;

/// All that the view stands on.
struct Driver {
    /// One that says nothing, since the screen is the view's.
    hub: Rc<Hub>,
    words: Rc<HostsOrAll>,
    fleet: Fleet,
    hosts: Vec<Host>,
    connect: std::sync::Arc<SshConnector>,
    model: Model,
    asking: Asking,
    /// What finds out what tabs have.
    finding: JoinSet<()>,
    /// The log that is followed, and its number.
    following: Option<AbortHandle>,
    log: u64,
    reports: mpsc::UnboundedSender<Report>,
    reloading: Option<Reloading>,
    reload_at: Instant,
}

/// What ends the view from outside.
struct Ends {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    resume: Signal,
}

/// Shows the view until the user leaves it.
pub(in crate::cli) async fn run(hub: &Hub, fleet: Fleet, hosts: Vec<Host>, looker: Looker, wish: Wish) -> Result<Exit> {
    let failed = |error: std::io::Error| Error::new(Kind::Failed, error);
    let (reports, mut received) = mpsc::unbounded_channel();
    let mut driver = Driver::new(hub, fleet, hosts, looker, wish, reports)?;
    let mut ends = Ends::listen().map_err(failed)?;
    let mut input = Input::new().map_err(failed)?;
    let mut screen = Screen::take(Theme(hub.ui.out())).map_err(failed)?;
    driver.asking.ask(driver.hosts.clone());
    let ended = driver.drive(&mut screen, &mut input, &mut ends, &mut received).await;
    drop(screen);
    driver.leave().await;
    ended.map_err(failed)
}

impl Ends {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            resume: signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?,
        })
    }
}

impl Driver {
    fn new(
        hub: &Hub,
        fleet: Fleet,
        hosts: Vec<Host>,
        looker: Looker,
        wish: Wish,
        reports: mpsc::UnboundedSender<Report>,
    ) -> Result<Self> {
        let connect = hub.connector(&fleet.config)?;
        let title = title(&fleet, looker.evaluator().map(|evaluator| &**evaluator));
        let model = Model::new(title, &hosts, Timestamp::now(), size_now());
        // Nobody stops what goes on in the background but the end of the view.
        let quiet = Hub::new(Ui::new(Output::Quiet), hub.global.clone(), None, Cancel::never());
        Ok(Self {
            hub: Rc::new(quiet),
            words: Rc::new(wish.hosts),
            fleet,
            hosts,
            connect,
            model,
            asking: Asking::new(looker, wish.every, wish.at_once, reports.clone()),
            finding: JoinSet::new(),
            following: None,
            log: 0,
            reports,
            reloading: None,
            reload_at: Instant::now() + RELOAD_EVERY,
        })
    }

    async fn drive(
        &mut self,
        screen: &mut Screen,
        input: &mut Input,
        ends: &mut Ends,
        received: &mut mpsc::UnboundedReceiver<Report>,
    ) -> std::io::Result<Exit> {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            self.take_in(Msg::Resized(size_now()));
            screen.draw(&self.model)?;
            let mut effects = VecDeque::new();
            tokio::select! {
                typed = input.next() => {
                    for key in typed?.keys {
                        effects.extend(update(&mut self.model, Msg::Key(key)));
                    }
                }
                Some(report) = received.recv() => {
                    self.report(report);
                    while let Ok(report) = received.try_recv() {
                        self.report(report);
                    }
                }
                _ = tick.tick() => self.tick(),
                loaded = reloaded(&mut self.reloading) => self.loaded(loaded),
                _ = ends.terminate.recv() => return Ok(Exit::Cancelled),
                _ = ends.hangup.recv() => return Ok(Exit::Cancelled),
                _ = ends.interrupt.recv() => return Ok(Exit::Cancelled),
                _ = ends.resume.recv() => screen.retake()?,
            }
            while let Some(effect) = effects.pop_front() {
                if effect == Effect::Quit {
                    return Ok(Exit::Success);
                }
                effects.extend(self.carry_out(effect, screen, input, ends).await?);
            }
        }
    }

    /// Takes in what asks for nothing to be done.
    fn take_in(&mut self, message: Msg) {
        let effects = update(&mut self.model, message);
        debug_assert!(effects.is_empty(), "only keys ask for something: {effects:?}");
    }

    fn report(&mut self, report: Report) {
        match report {
            Report::Happened(message) => self.take_in(message),
            Report::Log(number, message) if number == self.log => self.take_in(message),
            Report::Log(..) => {}
        }
    }

    fn tick(&mut self) {
        self.take_in(Msg::Tick(Timestamp::now()));
        if Instant::now() >= self.reload_at {
            self.reload();
        }
    }

    fn reload(&mut self) {
        if self.reloading.is_none() {
            self.reloading = Some(Box::pin(load(self.hub.clone(), self.words.clone(), self.asking.looker())));
        }
    }

    fn loaded(&mut self, loaded: Result<Loaded>) {
        self.reloading = None;
        self.reload_at = Instant::now() + RELOAD_EVERY;
        match loaded {
            Ok(loaded) => {
                self.take_in(Msg::Flake(Ok(loaded.now())));
                let Loaded { fleet, hosts, looker } = loaded;
                let before = self.asking.looker();
                let is_other = looker.evaluator().map(|one| &one.source().path)
                    != before.evaluator().map(|one| &one.source().path);
                self.asking.look_with(looker);
                if hosts != self.hosts {
                    self.asking.ask(hosts.clone());
                } else if is_other {
                    self.asking.ask_now();
                }
                (self.fleet, self.hosts) = (fleet, hosts);
            }
            Err(error) => {
                let first = error.to_string().lines().next().unwrap_or_default().to_owned();
                self.take_in(Msg::Flake(Err(first)));
            }
        }
    }

    /// Does what is to be done, and gives what that leads to.
    async fn carry_out(
        &mut self,
        effect: Effect,
        screen: &mut Screen,
        input: &mut Input,
        ends: &mut Ends,
    ) -> std::io::Result<Vec<Effect>> {
        match effect {
            Effect::AskAll => self.asking.ask_now(),
            Effect::Reload => self.reload(),
            Effect::Fetch(host, tab) => self.fetch(&host, tab),
            Effect::Follow(host, unit) => self.follow(&host, unit),
            Effect::Unfollow => self.unfollow(),
            Effect::Run(words) => {
                let (cmd, told) = self.own_command(&words);
                return self.give_terminal(&cmd, &told, true, screen, input, ends).await;
            }
            Effect::Shell(name) => {
                if let Some(host) = self.host(&name) {
                    let cmd = self.connect.shell(&target_of(host, this_machine().as_deref()));
                    return self.give_terminal(&cmd, &format!("a shell on {name}"), false, screen, input, ends).await;
                }
            }
            Effect::Suspend => screen.suspend()?,
            Effect::Quit => {}
        }
        Ok(Vec::new())
    }

    /// Gives the terminal to a program, takes it again when that ends, and shows what came of it. What it printed is left on the screen
    /// until a key is pressed, where it `prints` something to be read.
    async fn give_terminal(
        &mut self,
        cmd: &Cmd,
        told: &str,
        prints: bool,
        screen: &mut Screen,
        input: &mut Input,
        ends: &mut Ends,
    ) -> std::io::Result<Vec<Effect>> {
        self.unfollow();
        let note = foreground::run(cmd, told).await;
        if prints {
            foreground::pause(input, &mut ends.terminate).await;
        }
        // Ctrl-C was meant for the program.
        ends.interrupt = signal(SignalKind::interrupt())?;
        screen.retake()?;
        Ok(update(&mut self.model, Msg::Returned(note)))
    }

    /// This program with `words`, as it was called itself, and how a person would type it.
    fn own_command(&self, words: &[String]) -> (Cmd, String) {
        let program = std::env::current_exe().map_or_else(|_| OsString::from("hubctl"), Into::into);
        let cmd = Cmd::new(program).args(words).args(self.hub.global.words());
        (cmd, Cmd::new("hubctl").args(words).display())
    }

    fn host(&self, name: &HostName) -> Option<&Host> {
        self.hosts.iter().find(|host| host.name == *name)
    }

    fn finder(&self, name: &HostName) -> std::result::Result<Finder, String> {
        let host = self.host(name).ok_or("it is no host of the flake any more")?.clone();
        let evaluator = self.asking.looker().evaluator().cloned();
        Finder::new(&self.hub, &self.fleet, self.connect.clone(), evaluator, host).map_err(|error| error.to_string())
    }

    fn fetch(&mut self, name: &HostName, tab: Tab) {
        let (name, reports, finder) = (name.clone(), self.reports.clone(), self.finder(name));
        self.finding.spawn(async move {
            let found = match finder {
                Ok(finder) => finder.find(tab).await,
                Err(why) => Err(why),
            };
            // Who reads it is there for as long as this task is.
            reports.send(Report::Happened(Msg::Content(name, tab, found))).ok();
        });
    }

    fn follow(&mut self, name: &HostName, unit: Option<String>) {
        self.unfollow();
        let (number, reports, finder) = (self.log, self.reports.clone(), self.finder(name));
        let tell = move |message| drop(reports.send(Report::Log(number, message)));
        self.following = Some(self.finding.spawn(async move {
            let ended = match finder {
                Ok(finder) => finder.follow(unit, |line| tell(Msg::Line(line))).await,
                Err(why) => why,
            };
            tell(Msg::LogEnded(ended));
        }));
    }

    fn unfollow(&mut self) {
        self.log += 1;
        if let Some(following) = self.following.take() {
            following.abort();
        }
    }

    /// Ends all that goes on, and remembers how hosts are for commands that ask nobody.
    async fn leave(self) {
        let Self { hub, fleet, model, asking, finding, connect, .. } = self;
        drop((asking, finding));
        if let Ok((state, _)) = hub.state() {
            remember(&state, &fleet, model.entries.iter().filter_map(|entry| entry.seen.as_ref()));
        }
        crate::remote::Connect::close(connect.as_ref()).await;
    }
}

/// The flake once it is read; never, where it is not being read.
async fn reloaded(reloading: &mut Option<Reloading>) -> Result<Loaded> {
    match reloading {
        Some(reloading) => reloading.await,
        None => pending().await,
    }
}
