//! Completion while a line is typed: hosts, tags, generations and deployments, as `hub.toml` and earlier runs know them. Nothing is
//! evaluated and nobody is asked, so that the answer is there at once.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;

use clap::{Arg, Command};
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, SubcommandCandidates};

use super::aliases;
use super::args::command;
use super::config::Config;
use crate::error::Exit;
use crate::fleet::{FlakeHosts, HostName, Inventory};
use crate::nix::FlakeRef;
use crate::plan::Doubt;
use crate::report::Outcome;
use crate::report::units::local;
use crate::state::{Deployment, Filter, State, StateDirs};

/// What a shell sets to ask for completions.
pub(super) const VARIABLE: &str = "HUBCTL_COMPLETE";

/// How many deployments are offered.
const OFFERED: u32 = 50;

/// Answers the shell where one asks, and gives the exit code then.
pub(super) fn answer(args: &[OsString]) -> Option<u8> {
    std::env::var_os(VARIABLE)?;
    let words: Vec<_> = args.iter().skip_while(|word| *word != "--").skip(1).cloned().collect();
    let described = || described(&words);
    let answered = CompleteEnv::with_factory(described).var(VARIABLE).completer("hubctl");
    let here = std::env::current_dir().ok();
    match answered.try_complete(args.iter().cloned(), here.as_deref()) {
        Ok(false) => None,
        Ok(true) => Some(Exit::Success.code()),
        // A prompt is no place for an error.
        Err(_) => Some(Exit::Failed.code()),
    }
}

/// The command line's description with what `words` may go on with.
fn described(words: &[OsString]) -> Command {
    let words: Arc<[String]> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let known = {
        let words = words.clone();
        move || Known::of(&words)
    };
    let all = with_completers(with_meaning_of_first(command(), &words), &words);
    all.allow_external_subcommands(true).add(SubcommandCandidates::new(move || known().hosts("")))
}

/// Adds the first word as a command where it is an alias or a host, since options of what it stands for may follow.
fn with_meaning_of_first(all: Command, words: &[String]) -> Command {
    let args: Vec<_> = words.iter().map(OsString::from).collect();
    // What is being typed may become something else yet.
    let Some(at) = aliases::first_word(&args, &all).filter(|at| at + 1 < args.len()) else { return all };
    let first = &words[at];
    if all.find_subcommand(first).is_some() {
        return all;
    }
    let meant = aliases::rewrite(args, &all).args;
    let meant = meant.get(at).and_then(|word| all.find_subcommand(word)).cloned();
    match meant {
        Some(meant) => all.subcommand(meant.name(first.clone()).hide(true)),
        None => all,
    }
}

/// Gives every argument that names one of the things below its completer.
fn with_completers(command: Command, words: &Arc<[String]>) -> Command {
    let names: Vec<_> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    let command = command.mut_args(|arg| with_completer(arg, words));
    names.into_iter().fold(command, |all, name| all.mut_subcommand(name, |sub| with_completers(sub, words)))
}

fn with_completer(arg: Arg, words: &Arc<[String]>) -> Arg {
    let offers: fn(&Known, &str) -> Vec<CompletionCandidate> = match arg.get_value_names() {
        Some([name]) => match name.as_str() {
            "HOST" | "HOST,.." | "OLD" | "NEW" => Known::hosts,
            "WHERE" => Known::builders,
            "ID" => Known::deployments,
            "GENERATION" => Known::generations,
            "OUTCOME,.." => |_, typed| beginning(Outcome::ALL.map(Outcome::as_str), typed),
            "DOUBT,.." => |_, typed| beginning(Doubt::ALL.map(Doubt::as_str), typed),
            _ => return arg,
        },
        _ => return arg,
    };
    let words = words.clone();
    arg.add(ArgValueCompleter::new(move |typed: &OsStr| offers(&Known::of(&words), &typed.to_string_lossy())))
}

/// The words that begin with what is typed.
fn beginning<'a>(words: impl IntoIterator<Item = &'a str>, typed: &str) -> Vec<CompletionCandidate> {
    words.into_iter().filter(|word| word.starts_with(typed)).map(CompletionCandidate::new).collect()
}

/// What is known of the flake at hand without asking anybody.
struct Known {
    flake: Option<FlakeRef>,
    state: Option<State>,
    inventory: Inventory,
    /// The words of the line.
    words: Vec<String>,
}

impl Known {
    fn of(words: &[String]) -> Self {
        let flake = flake_of(words);
        let dirs = StateDirs::of_user().ok();
        let database = dirs.map(|dirs| dirs.database()).filter(|file| file.exists());
        let state = database.and_then(|file| State::open(&file, |_| ()).ok());
        let inventory = flake.as_ref().map(|flake| inventory_of(flake, state.as_ref())).unwrap_or_default();
        Self { flake, state, inventory, words: words.to_vec() }
    }

    /// Hosts and tags, for a word that may hold several with commas between, each with `!` in front.
    fn hosts(&self, typed: &str) -> Vec<CompletionCandidate> {
        let at = typed.rfind(',').map_or(0, |comma| comma + 1);
        let at = at + usize::from(typed[at..].starts_with('!'));
        let (before, part) = typed.split_at(at);
        let mut tags = BTreeMap::<&str, usize>::new();
        self.inventory.active().flat_map(|host| &host.tags).for_each(|tag| *tags.entry(tag).or_default() += 1);
        let hosts = self.inventory.iter().map(|host| {
            let role = host.role.clone().unwrap_or_default();
            (host.name.to_string(), if host.archived { "archived".to_owned() } else { role })
        });
        let tags = tags.iter().map(|(tag, count)| (format!("@{tag}"), format!("{count} hosts")));
        let all = hosts.chain(tags).filter(|(name, _)| name.starts_with(part));
        all.map(|(name, help)| offered(format!("{before}{name}"), help)).collect()
    }

    fn builders(&self, typed: &str) -> Vec<CompletionCandidate> {
        let mut found = beginning(["here", "target"], typed);
        found.extend(self.hosts(typed).into_iter().filter(|host| !host.get_value().as_encoded_bytes().contains(&b'@')));
        found
    }

    fn deployments(&self, typed: &str) -> Vec<CompletionCandidate> {
        let found = self.recorded().into_iter().filter(|one| one.id.starts_with(typed));
        found.map(|one| offered(one.id.clone(), in_short(&one))).collect()
    }

    /// The generations that deployments gave the hosts of the line, newest first.
    fn generations(&self, typed: &str) -> Vec<CompletionCandidate> {
        let mut found = BTreeMap::new();
        let (flake, state) = (self.flake.as_ref().map(ToString::to_string), self.state.as_ref());
        let removed = flake.and_then(|flake| state?.removed_of(&flake).ok()).unwrap_or_default();
        for one in self.recorded() {
            let records = one.hosts.iter().filter(|(host, _)| self.words.contains(host));
            let numbers = records.filter_map(|(host, record)| Some((host, record.generation?)));
            let is_there =
                |host: &str, number| removed.get(&(host.to_owned(), number)).is_none_or(|at| *at < one.started);
            for (host, number) in numbers.filter(|(host, number)| is_there(host, *number)) {
                // The newest deployment comes first, and its is the generation of this number now.
                found.entry(number).or_insert_with(|| format!("{host}, {}", local(one.started)));
            }
        }
        let found = found.into_iter().rev().map(|(number, help)| (number.to_string(), help));
        found.filter(|(number, _)| number.starts_with(typed)).map(|(number, help)| offered(number, help)).collect()
    }

    /// The last deployments of the flake, newest first.
    fn recorded(&self) -> Vec<Deployment> {
        let filter = Filter { limit: Some(OFFERED), ..Filter::default() };
        let found = self.state.as_ref().and_then(|state| state.deployments(&filter).ok()).unwrap_or_default();
        let flake = self.flake.as_ref().map(ToString::to_string);
        found.into_iter().filter(|one| Some(&one.flake) == flake.as_ref()).collect()
    }
}

fn offered(value: String, help: String) -> CompletionCandidate {
    CompletionCandidate::new(value).help((!help.is_empty()).then(|| help.into()))
}

/// The flake that the line names, or that of the directory.
fn flake_of(words: &[String]) -> Option<FlakeRef> {
    let behind = words.iter().position(|word| word == "--flake").and_then(|at| words.get(at + 1)).map(String::as_str);
    let given = behind.or_else(|| words.iter().find_map(|word| word.strip_prefix("--flake=")));
    let given = given.map(str::to_owned).or_else(|| std::env::var("HUBCTL_FLAKE").ok());
    let here = std::env::current_dir().ok()?;
    FlakeRef::resolve(given.as_deref().unwrap_or("."), Path::new(&here)).ok()
}

/// The hosts of `hub.toml`, and those that were evaluated before.
fn inventory_of(flake: &FlakeRef, state: Option<&State>) -> Inventory {
    let config = Config::of(flake).ok();
    let file = config.as_ref().and_then(Config::file);
    let known = state.and_then(|state| state.hosts_of(&flake.to_string()).ok()).unwrap_or_default();
    let known = FlakeHosts::of_names(known.into_iter().filter(|name| name.parse::<HostName>().is_ok()).collect());
    Inventory::new(file, &known).map(|(inventory, _)| inventory).unwrap_or_default()
}

/// A deployment in a line: when, what, and how it ended.
fn in_short(one: &Deployment) -> String {
    let mut ends: Vec<_> =
        one.hosts.values().map(|record| record.outcome.map_or("not ended", Outcome::as_str)).collect();
    ends.sort_unstable();
    ends.dedup();
    format!("{} {}: {}", local(one.started), one.command, ends.join(", "))
}

/// What bash loads: the line is split at blanks alone, since bash itself also does so at `@`, `:` and `=`, and what stands in front
/// of these in the word is taken off the answers.
pub(super) const BASH: &str = include_str!("complete.bash");
