//! What hubctl runs on hosts is written in the shell that all of them have, and shellcheck finds nothing in it.

#![expect(clippy::disallowed_methods, reason = "shellcheck is run as a person would")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What is of no use here. Scripts are put together of several files, so that one uses what another sets (2034, 2154), and a value
/// that is filled in is constant (2050, 2194). `a= b=` is meant so (1007). `-ef` is known to the shells of all systems (3013), and
/// macOS and BSD have no pgrep that could be relied on (2009).
const EXCLUDED: &str = "SC1007,SC2009,SC2034,SC2050,SC2154,SC2194,SC3013";

/// The scripts that are part of the program, each with whether values are filled in.
fn scripts() -> Vec<(PathBuf, bool)> {
    let sources = files(Path::new("src"), "rs").into_iter().map(|file| fs::read_to_string(file).unwrap());
    let sources = sources.collect::<String>().split_whitespace().collect::<String>();
    let is_filled_in = |script: &Path| {
        let name = script.file_name().unwrap().to_str().unwrap();
        sources.contains(&format!("format!(include_str!(\"{name}\")"))
    };
    files(Path::new("src"), "sh").into_iter().map(|script| (script.clone(), is_filled_in(&script))).collect()
}

fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let (directories, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let here = files.into_iter().filter(|path| path.extension().is_some_and(|found| found == extension));
    let below = directories.iter().flat_map(|directory| self::files(directory, extension));
    let mut all: Vec<_> = here.chain(below).collect();
    all.sort();
    all
}

/// The text as a host gets it: a value that has a line to itself is commands, and any other a word.
fn filled_in(text: &str) -> String {
    let line = |line: &str| {
        let whole = line.trim();
        if whole.starts_with('{') && whole.ends_with('}') && is_name(&whole[1..whole.len() - 1]) {
            return ":\n".to_owned();
        }
        let (mut filled, mut rest) = (String::new(), line);
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            filled.push_str(before);
            let end = from.find('}').filter(|end| from.starts_with('{') && is_name(&from[1..*end]));
            // Braces that are no value's are doubled.
            let (word, length) = end.map_or((&from[..1], 2), |end| ("value", end + 1));
            filled.push_str(word);
            rest = &from[length..];
        }
        filled + rest + "\n"
    };
    text.lines().map(line).collect()
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|one| one.is_ascii_lowercase() || one == '_')
}

#[test]
fn shellcheck_finds_nothing_in_what_hosts_run() {
    if !Command::new("shellcheck").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success())
    {
        eprintln!("skipped: shellcheck is not installed");
        return;
    }
    let scripts = scripts();
    assert!(scripts.iter().any(|(_, filled_in)| *filled_in), "this test looks for the wrong thing");
    let directory = tempfile::tempdir().unwrap();
    for (script, is_filled_in) in &scripts {
        let text = fs::read_to_string(script).unwrap();
        let text = if *is_filled_in { filled_in(&text) } else { text };
        fs::write(directory.path().join(script.file_name().unwrap()), text).unwrap();
    }
    let checked = Command::new("shellcheck")
        .args(["--shell", "sh", "--format", "gcc", "--exclude", EXCLUDED])
        .args(files(directory.path(), "sh"))
        .output()
        .unwrap();
    assert!(
        checked.status.success(),
        "{}{}",
        String::from_utf8_lossy(&checked.stdout),
        String::from_utf8_lossy(&checked.stderr)
    );
}
