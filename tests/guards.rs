//! What no compiler checks: nothing half-done stays in the repository, children come from one layer, and the commands in
//! the documents exist.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold nothing of ours.
const FOREIGN: [&str; 3] = ["target", ".git", ".direnv"];

/// Hosts that documents use as examples, beside those of the lab's fleet.
const EXAMPLE_HOSTS: [&str; 2] = ["HOST", "web-1"];

#[test]
fn nothing_is_left_half_done() {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("dbg", "!("), concat!("todo", "!(")];
    let mut found = Vec::new();
    for (file, text) in texts() {
        for (number, line) in text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                found.push(format!("{}:{}: {line}", file.display(), number + 1));
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn children_come_from_the_process_layer_alone() {
    let spawns = |text: &str| text.contains("Command::new(") || text.contains("process::Command");
    let inside = |file: &Path| file.starts_with("src/process");
    let sources: Vec<_> = texts().into_iter().filter(|(file, _)| file.starts_with("src")).collect();
    let strays: Vec<_> = sources.iter().filter(|(file, text)| !inside(file) && spawns(text)).collect();
    assert!(strays.is_empty(), "{:?}", strays.iter().map(|(file, _)| file).collect::<Vec<_>>());
    assert!(sources.iter().any(|(file, text)| inside(file) && spawns(text)), "this test looks for the wrong thing");
}

#[test]
fn documented_command_lines_are_accepted() {
    let mut wrong = Vec::new();
    for line in documented_lines() {
        for command in simple_commands(&line.text) {
            if let Some(problem) = problem_with(&command) {
                wrong.push(format!("{}:{}: `{command}`: {problem}", line.file.display(), line.number));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn commands_that_are_mentioned_exist() {
    let mut wrong = Vec::new();
    let mut mentions = 0;
    for (file, text) in texts() {
        for mention in text.split("`hubctl ").skip(1).filter_map(|rest| rest.split(['`', '\n']).next()) {
            let first = mention.split_whitespace().next().unwrap_or_default();
            mentions += 1;
            // The tests say wrong words on purpose, and a hint may have its word filled in.
            if !file.starts_with("tests") && !first.starts_with('{') && !is_known(first) {
                wrong.push(format!("{}: `hubctl {mention}`", file.display()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(mentions > 20, "only {mentions} mentions were found");
}

#[test]
fn a_documented_command_that_does_not_exist_is_found() {
    for line in [
        "hubctl quick-deplyo p620",
        "hubctl quick-deploy p620 --paralel",
        "eval \"$(dev/lab env)\" && hubctl nonsense",
        "HUBCTL_FLAKE=. hubctl frobnicate | less",
        "./dev/no-such-script",
        "sudo ./dev/no-such-script --json",
    ] {
        assert!(simple_commands(line).iter().any(|command| problem_with(command).is_some()), "{line}");
    }
    for line in
        ["hubctl quick-deploy p620 '@edge' --dry-run  # looks", "hubctl p620", "cargo build", "./dev/lab up p620"]
    {
        assert!(simple_commands(line).iter().all(|command| problem_with(command).is_none()), "{line}");
    }
}

/// A line of a fenced block of shell commands.
struct Documented {
    file: PathBuf,
    number: usize,
    text: String,
}

/// The commands that the documents tell their readers to run. Lines that end in a backslash go on.
fn documented_lines() -> Vec<Documented> {
    let mut lines = Vec::new();
    for (file, text) in texts().into_iter().filter(|(file, _)| file.extension().is_some_and(|ext| ext == "md")) {
        let mut in_shell = false;
        let mut begun: Option<Documented> = None;
        for (at, line) in text.lines().enumerate() {
            let fence = line.trim_start().strip_prefix("```");
            if let Some(language) = fence {
                in_shell = !in_shell && ["sh", "bash", "console", "shell"].contains(&language.trim());
                continue;
            }
            if !in_shell {
                continue;
            }
            let part = line.trim().strip_prefix("$ ").unwrap_or(line.trim());
            let mut whole =
                begun.take().unwrap_or_else(|| Documented { file: file.clone(), number: at + 1, text: String::new() });
            whole.text.push_str(part.trim_end_matches('\\'));
            if part.ends_with('\\') { begun = Some(whole) } else { lines.push(whole) }
        }
    }
    lines
}

/// The simple commands of a line of shell, without comments, pipes, redirections and assignments in front.
fn simple_commands(line: &str) -> Vec<String> {
    let code = line.split(" #").next().unwrap().trim();
    if code.starts_with('#') {
        return Vec::new();
    }
    let parts = code.split(['|', ';', '&', '(', ')', '<', '>']).map(str::trim);
    let assigns = |word: &&str| word.contains('=') && !word.starts_with('-');
    let bare =
        |part: &str| part.split(' ').skip_while(|word| assigns(word) || *word == "sudo").collect::<Vec<_>>().join(" ");
    parts.map(bare).filter(|part| !part.is_empty()).collect()
}

/// What is wrong with a simple command, as far as it is one of ours.
fn problem_with(command: &str) -> Option<String> {
    let words: Vec<_> = command.split_whitespace().map(|word| word.trim_matches(['\'', '"'])).collect();
    match words.as_slice() {
        [program, ..] if program.trim_start_matches("./").starts_with("dev/") => {
            (!root().join(program).is_file()).then(|| "there is no such file".to_owned())
        }
        ["hubctl", word, ..] => problem_with_words(word, &words),
        _ => None,
    }
}

fn problem_with_words(first: &str, words: &[&str]) -> Option<String> {
    if !is_known(first) {
        return Some(format!("`{first}` is neither a command nor a host of the examples"));
    }
    let deploy = if is_host(first) { &["deploy"][..] } else { &[] };
    let parsed = hubctl::cli::command().try_get_matches_from([&words[..1], deploy, &words[1..]].concat());
    parsed.err().filter(clap::Error::use_stderr).map(|error| error.to_string())
}

/// Whether `first` may stand behind `hubctl`: an option, a command, or a host of the examples.
fn is_known(first: &str) -> bool {
    let is_command = |word| hubctl::cli::command().get_subcommands().any(|sub| sub.get_name() == word);
    first.starts_with('-') || first == "help" || is_command(first) || is_host(first)
}

fn is_host(word: &str) -> bool {
    let of_lab = || root().join("dev/lab-fleet/hosts").join(word).is_dir();
    word.starts_with('@') || EXAMPLE_HOSTS.contains(&word) || of_lab()
}

/// Every text file of the repository, by its path in it.
fn texts() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    collect(&root(), &mut found);
    assert!(found.len() > 100, "only {} files were read", found.len());
    found
}

fn collect(dir: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            if !FOREIGN.iter().any(|foreign| path.ends_with(foreign)) {
                collect(&path, found);
            }
        } else if let Ok(text) = fs::read_to_string(&path) {
            found.push((path.strip_prefix(root()).unwrap().to_path_buf(), text));
        }
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
