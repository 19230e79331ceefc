//! What becomes of the view by a message, and what is to be done in the world because of it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::keys::{Action, action};
use super::model::{Model, Prompt, Size};
use super::page::{Content, Means, Page, Rows, Tab};
use super::{help, overview};
use crate::cli::looker::Seen;
use crate::fleet::{Host, HostName};

/// Something that happened.
#[derive(Debug)]
pub(super) enum Msg {
    Key(KeyEvent),
    Resized(Size),
    /// Time went on.
    Tick(Timestamp),
    /// A host is being asked.
    Asking(HostName),
    /// A host answered, or did not.
    Seen {
        seen: Box<Seen>,
        /// Whether it is still being found out what the flake wants for it.
        comparing: bool,
    },
    /// The flake was read anew.
    Flake(Result<FlakeNow, String>),
    /// What a tab of a host's page has.
    Content(HostName, Tab, Result<Rows, String>),
    /// A line of the log that is followed.
    Line(String),
    /// The log that is followed ended, for this reason.
    LogEnded(String),
    /// A command that had the terminal ended, and this came of it.
    Returned(String),
}

/// The flake as it is now.
#[derive(Debug)]
pub(super) struct FlakeNow {
    pub(super) title: String,
    pub(super) hosts: Vec<Host>,
}

/// Something to do in the world.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Effect {
    /// Asks all hosts now, and not only when it is time.
    AskAll,
    /// Reads the flake anew.
    Reload,
    /// Finds out what a tab has.
    Fetch(HostName, Tab),
    /// Follows the log of a host, or of one of its units, instead of the one that is followed.
    Follow(HostName, Option<String>),
    /// Follows no log any more.
    Unfollow,
    /// Gives the terminal to hubctl with these words.
    Run(Vec<String>),
    /// Gives the terminal to a shell on a host.
    Shell(HostName),
    /// Gives the terminal to whoever had it before.
    Suspend,
    Quit,
}

/// Takes in what happened, and gives what is to be done.
#[must_use]
pub(super) fn update(model: &mut Model, message: Msg) -> Vec<Effect> {
    match message {
        Msg::Key(key) => return on_key(model, key),
        Msg::Resized(size) => {
            model.size = size;
            model.settle();
            move_by(model, Step::Rows(0));
        }
        Msg::Tick(now) => model.now = now,
        Msg::Asking(host) => {
            let now = model.now;
            if let Some(entry) = model.entry_mut(&host) {
                entry.asking = Some(now);
            }
        }
        Msg::Seen { seen, comparing } => take_seen(model, *seen, comparing),
        Msg::Flake(Ok(flake)) => {
            (model.flake, model.flake_problem) = (flake.title, None);
            model.take_hosts(&flake.hosts);
        }
        Msg::Flake(Err(problem)) => model.flake_problem = Some(problem),
        Msg::Content(host, tab, found) => take_content(model, &host, tab, found),
        Msg::Line(line) => take_line(model, line),
        Msg::LogEnded(why) => {
            if let Some(page) = &mut model.page {
                page.log.ended = Some(why);
            }
        }
        Msg::Returned(note) => return on_return(model, note),
    }
    Vec::new()
}

fn take_seen(model: &mut Model, seen: Seen, comparing: bool) {
    let now = model.now;
    if let Some(entry) = model.entry_mut(&seen.host) {
        (entry.asking, entry.at, entry.comparing) = (None, Some(now), comparing);
        if seen.reachable {
            entry.answered = Some(now);
        }
        entry.seen = Some(seen);
    }
    model.settle();
}

fn take_content(model: &mut Model, host: &HostName, tab: Tab, found: Result<Rows, String>) {
    let Some(page) = model.page.as_mut().filter(|page| page.host == *host) else { return };
    if let Some(content) = page.content_mut(tab) {
        *content = found.map_or_else(Content::Failed, Content::There);
    }
    move_by(model, Step::Rows(0));
}

fn take_line(model: &mut Model, line: String) {
    let Some(page) = &mut model.page else { return };
    page.log.add(line);
    if page.tab == Tab::Log && page.log.at_end {
        move_by(model, Step::Last);
    }
}

fn on_return(model: &mut Model, note: String) -> Vec<Effect> {
    model.note = Some(note);
    let mut effects = vec![Effect::AskAll, Effect::Reload];
    if let Some(page) = &mut model.page {
        // What a page has may be another thing by now.
        page.contents = Default::default();
        if page.log.is_open {
            let unit = page.log.unit.clone();
            page.open_log(unit.clone());
            effects.push(Effect::Follow(page.host.clone(), unit));
        }
        effects.extend(fill(page));
    }
    effects
}

fn on_key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    model.note = None;
    if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
        return vec![Effect::Quit];
    }
    match model.prompt.take() {
        Some(Prompt::Filter) => return typed(model, key),
        Some(Prompt::Confirm { words, .. }) => {
            let yes = matches!(key.code, KeyCode::Char('y' | 'Y'));
            if !yes {
                model.note = Some("nothing was changed".to_owned());
            }
            return if yes { vec![Effect::Run(words)] } else { Vec::new() };
        }
        None => {}
    }
    let Some(action) = action(key, model.page.is_some()) else { return Vec::new() };
    if let Some(top) = model.help {
        model.help = help::scrolled(top, action, model.size);
        return if action == Action::Quit { vec![Effect::Quit] } else { Vec::new() };
    }
    act(model, action)
}

/// A key while the words of a filter are typed.
fn typed(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let filter = model.page.as_mut().map_or(&mut model.filter, |page| &mut page.filter);
    model.prompt = Some(Prompt::Filter);
    match key.code {
        KeyCode::Enter => model.prompt = None,
        KeyCode::Esc => {
            filter.clear();
            model.prompt = None;
        }
        KeyCode::Backspace => drop(filter.pop()),
        KeyCode::Char('u') if key.modifiers.contains(KeyModifiers::CONTROL) => filter.clear(),
        KeyCode::Char(c) if !key.modifiers.contains(KeyModifiers::CONTROL) => filter.push(c),
        _ => {}
    }
    model.settle();
    move_by(model, Step::Rows(0));
    Vec::new()
}

fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    match action {
        Action::Up => move_by(model, Step::Rows(-1)),
        Action::Down => move_by(model, Step::Rows(1)),
        Action::PageUp => move_by(model, Step::Screens(-1)),
        Action::PageDown => move_by(model, Step::Screens(1)),
        Action::First => move_by(model, Step::First),
        Action::Last => move_by(model, Step::Last),
        Action::Filter => model.prompt = Some(Prompt::Filter),
        Action::Help => model.help = Some(0),
        Action::Sort | Action::Reverse | Action::Mark | Action::MarkAll => arrange(model, action),
        Action::Enter => return enter(model),
        Action::Back => return back(model),
        Action::NextTab => return turn(model, |tab| tab.beside(1)),
        Action::PreviousTab => return turn(model, |tab| tab.beside(Tab::ALL.len() - 1)),
        Action::Tab(at) => return turn(model, |_| Tab::ALL[at]),
        Action::Deploy => return deploy(model),
        Action::RollBack => roll_back(model),
        Action::Shell => return model.current().map(|entry| Effect::Shell(entry.name.clone())).into_iter().collect(),
        Action::Refresh => return refresh(model),
        Action::Suspend => return vec![Effect::Suspend],
        Action::Quit => return vec![Effect::Quit],
    }
    Vec::new()
}

/// A way to move.
#[derive(Clone, Copy)]
enum Step {
    Rows(isize),
    Screens(isize),
    First,
    Last,
}

impl Step {
    fn from(self, at: usize, room: usize) -> usize {
        match self {
            Self::Rows(by) => at.saturating_add_signed(by),
            Self::Screens(by) => at.saturating_add_signed(by * isize::try_from(room.max(1)).unwrap_or(1)),
            Self::First => 0,
            Self::Last => usize::MAX,
        }
    }
}

fn move_by(model: &mut Model, step: Step) {
    let room = super::draw_page::rows(model);
    let is_overview = model.page.as_ref().is_some_and(|page| page.tab == Tab::Overview);
    let overview =
        model.current().filter(|_| is_overview).map_or(0, |entry| overview::overview(entry, model.now).len());
    if let Some(page) = &mut model.page {
        let stays = matches!(step, Step::Rows(0)) && page.tab == Tab::Log && page.log.at_end;
        let at = if stays { usize::MAX } else { step.from(page.cursor, room) };
        page.move_to(at, overview, room);
        return;
    }
    let at = model.cursor_at(&model.shown());
    model.move_to(step.from(at, model.rows()));
}

/// Sorts and marks in the table.
fn arrange(model: &mut Model, action: Action) {
    if model.page.is_some() {
        return;
    }
    match action {
        Action::Sort => (model.sort, model.reversed) = (model.sort.next(), false),
        Action::Reverse => model.reversed = !model.reversed,
        Action::Mark => {
            if let Some(name) = model.cursor.clone()
                && !model.marked.remove(&name)
            {
                model.marked.insert(name);
            }
            move_by(model, Step::Rows(1));
        }
        _ => {
            let shown: Vec<_> = model.shown().iter().map(|entry| entry.name.clone()).collect();
            let all = shown.iter().all(|name| model.marked.contains(name));
            model.marked = if all { BTreeSet::new() } else { shown.into_iter().collect() };
        }
    }
    model.settle();
}

fn enter(model: &mut Model) -> Vec<Effect> {
    let Some(page) = &mut model.page else {
        model.page = model.current().map(|entry| Page::new(entry.name.clone()));
        return Vec::new();
    };
    match page.means().cloned() {
        Some(Means::Unit(unit)) => {
            page.tab = Tab::Log;
            page.filter.clear();
            page.open_log(Some(unit.clone()));
            vec![Effect::Follow(page.host.clone(), Some(unit))]
        }
        Some(Means::Deployment(id)) => vec![Effect::Run(words(["history", "show", &id]))],
        Some(Means::Generation(number)) => {
            let host = page.host.to_string();
            let question = format!("Roll {host} back to generation {number}?");
            let words = words(["rollback", &host, "--to", &number.to_string()]);
            model.prompt = Some(Prompt::Confirm { question, words });
            Vec::new()
        }
        None => Vec::new(),
    }
}

fn back(model: &mut Model) -> Vec<Effect> {
    match &mut model.page {
        Some(page) if !page.filter.is_empty() => page.filter.clear(),
        Some(_) => {
            model.page = None;
            model.settle();
            return vec![Effect::Unfollow];
        }
        None if !model.filter.is_empty() => model.filter.clear(),
        None => model.marked.clear(),
    }
    model.settle();
    Vec::new()
}

fn turn(model: &mut Model, to: impl Fn(Tab) -> Tab) -> Vec<Effect> {
    let Some(page) = &mut model.page else { return Vec::new() };
    page.tab = to(page.tab);
    (page.cursor, page.top) = (0, 0);
    page.filter.clear();
    page.log.at_end = true;
    let effects = fill(page);
    if model.page.as_ref().is_some_and(|page| page.tab == Tab::Log) {
        move_by(model, Step::Last);
    }
    effects
}

/// Has the tab of the page filled that is shown, where it is not.
fn fill(page: &mut Page) -> Vec<Effect> {
    let (host, tab) = (page.host.clone(), page.tab);
    if tab == Tab::Log && !page.log.is_open {
        page.open_log(None);
        return vec![Effect::Follow(host, None)];
    }
    match page.content_mut(tab) {
        Some(content @ Content::Unknown) => {
            *content = Content::Asking;
            vec![Effect::Fetch(host, tab)]
        }
        _ => Vec::new(),
    }
}

fn refresh(model: &mut Model) -> Vec<Effect> {
    let mut effects = vec![Effect::AskAll, Effect::Reload];
    if let Some(page) = &mut model.page {
        let tab = page.tab;
        if tab == Tab::Log {
            let unit = page.log.unit.clone();
            page.open_log(unit.clone());
            effects.push(Effect::Follow(page.host.clone(), unit));
        } else if let Some(content) = page.content_mut(tab) {
            *content = Content::Unknown;
            effects.extend(fill(page));
        }
    }
    effects
}

/// The command shows what would change and asks, so that nothing is asked here.
fn deploy(model: &mut Model) -> Vec<Effect> {
    let hosts = model.chosen();
    if hosts.is_empty() {
        return Vec::new();
    }
    let names = hosts.iter().map(HostName::as_str);
    vec![Effect::Run(words(["quick-deploy"].into_iter().chain(names).chain(["--ask"])))]
}

/// The command asks nothing, since whoever types it knows what it does; a key is pressed sooner than that.
fn roll_back(model: &mut Model) {
    let hosts = model.chosen();
    if hosts.is_empty() {
        return;
    }
    let names: Vec<_> = hosts.iter().map(HostName::as_str).collect();
    let question = format!("Roll {} back to the generation before?", names.join(", "));
    let words = words(["rollback"].into_iter().chain(names));
    model.prompt = Some(Prompt::Confirm { question, words });
}

fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    words.into_iter().map(str::to_owned).collect()
}
