//! Words that are accepted beside the canonical commands, so that a user's fingers keep working.

use std::ffi::OsString;

use clap::Command;

/// Each word with what it stands for.
const ALIASES: &[(&str, &[&str])] = &[
    ("summary", &["hosts"]),
    ("ping-hosts", &["ping"]),
    ("status-all", &["status"]),
    ("deployment-validation", &["status"]),
    ("test-all-parallel", &["test-all", "--parallel"]),
    ("quick-test", &["test-all", "--parallel"]),
    ("deploy-smart", &["quick-deploy"]),
    ("deploy-fast", &["deploy", "--fast"]),
    ("deploy-local-build", &["deploy", "--build-on", "here"]),
    ("deploy-all-parallel", &["deploy-all", "--parallel"]),
    ("show-diff", &["diff"]),
    ("system-diff", &["diff"]),
    ("test-rollback", &["rollback", "--dry-run"]),
    ("gc-aggressive", &["gc", "--keep", "1", "--keep-since", "0s"]),
    ("boot-space-all", &["boot-space"]),
    ("boot-space-clean", &["gc", "--no-collect"]),
    ("full-cleanup", &["cleanup"]),
    ("lint-all", &["lint"]),
    ("check-deprecated", &["lint"]),
    ("security-scan", &["lint"]),
    ("validate-quality", &["lint"]),
    ("check", &["validate"]),
    ("validate-quick", &["validate", "--quick"]),
    ("validate-full", &["validate", "--full"]),
    ("validate-features", &["features"]),
    ("ci-quick", &["validate", "--quick"]),
    ("ci-hosts", &["ci", "matrix"]),
    ("check-module", &["check-syntax"]),
    ("check-module-docs", &["lint", "--only", "option-description,option-type"]),
    ("cleanup-dead-code", &["lint", "--fix"]),
    ("test-build", &["test-host"]),
    ("test-build-verbose", &["test-host", "--verbose"]),
    ("test-build-all", &["test-all"]),
    ("test-build-all-parallel", &["test-all", "--parallel"]),
    ("build-all-parallel", &["test-all", "--parallel"]),
    ("dry-run", &["quick-deploy", "--dry-run"]),
    ("secrets-status", &["secrets", "status"]),
    ("test-secrets", &["secrets", "status", "--check"]),
    ("test-all-secrets", &["secrets", "status", "--check"]),
    ("manage-secrets", &["secrets"]),
    ("format-all", &["format"]),
    ("format-path", &["format"]),
    ("pre-commit-install", &["hook", "install"]),
    ("pre-commit-staged", &["hook", "run"]),
    ("pre-commit-run", &["hook", "run"]),
    ("pre-commit-clean", &["hook", "uninstall"]),
    ("check-format", &["format", "--check"]),
    ("metadata", &["info"]),
    ("perf-eval", &["perf-test", "--only", "evaluation"]),
    ("perf-memory", &["perf-test", "--only", "memory"]),
    ("perf-cache", &["perf-test", "--only", "cache"]),
    ("perf-build-times", &["perf-test", "--only", "build"]),
    ("perf-parallel", &["perf-test", "--only", "fan-out"]),
    ("bench-host", &["perf-test"]),
    ("update-flake", &["update"]),
    ("update-input", &["update"]),
    ("check-updates", &["update", "--check"]),
    ("preview-updates", &["update", "--dry-run"]),
    ("update-commit", &["update", "--commit"]),
    ("update-commit-deploy", &["update", "--commit", "--deploy"]),
];

/// Words that have no command of their own, with what helps instead.
const INSTEAD: &[(&str, &str)] = &[("test-modules", MODULES), ("test-module", MODULES)];

const MODULES: &str = "no command evaluates a module by itself: `hubctl validate` evaluates the hosts with all their modules, \
                       `hubctl features` shows which of them a host has, `hubctl check-syntax PATH` and `hubctl lint PATH` check one file";

/// What helps in the place of a word that is no command.
pub(super) fn instead(word: &str) -> Option<&'static str> {
    INSTEAD.iter().find(|(old, _)| *old == word).map(|(_, helps)| *helps)
}

/// A command line with its aliases replaced and, where its first word is neither command nor alias, `deploy` in front of it.
#[derive(Debug)]
pub(super) struct Rewritten {
    /// The words, for clap.
    pub(super) args: Vec<OsString>,
    /// The first word, when it was taken for a host.
    pub(super) bare: Option<String>,
}

/// Replaces aliases, and gives a bare host its command.
pub(super) fn rewrite(args: impl IntoIterator<Item = OsString>, command: &Command) -> Rewritten {
    let mut args: Vec<_> = args.into_iter().collect();
    let Some(at) = first_word(&args, command) else { return Rewritten { args, bare: None } };
    let word = args[at].to_string_lossy().into_owned();
    if let Some((_, stands_for)) = ALIASES.iter().find(|(alias, _)| *alias == word) {
        args.splice(at..=at, stands_for.iter().map(OsString::from));
        return Rewritten { args, bare: None };
    }
    if word == "help" || command.get_subcommands().any(|sub| sub.get_name() == word) {
        return Rewritten { args, bare: None };
    }
    args.insert(at, "deploy".into());
    Rewritten { args, bare: Some(word) }
}

/// Every word that is accepted as a command, for the nearest one to a slip.
pub(super) fn words(command: &Command) -> impl Iterator<Item = &str> {
    command.get_subcommands().map(Command::get_name).chain(ALIASES.iter().map(|(alias, _)| *alias))
}

/// The place of the first word that is neither an option nor an option's value.
pub(super) fn first_word(args: &[OsString], command: &Command) -> Option<usize> {
    let mut at = 1;
    while at < args.len() {
        let arg = args[at].to_string_lossy();
        if !arg.starts_with('-') {
            return Some(at);
        }
        at += 1 + values_after(&arg, command);
    }
    None
}

/// How many words after the option `arg` are its values.
fn values_after(arg: &str, command: &Command) -> usize {
    let Some(long) = arg.strip_prefix("--").filter(|long| !long.contains('=')) else { return 0 };
    let option = command.get_arguments().find(|option| option.get_long() == Some(long));
    option
        .filter(|option| option.get_action().takes_values())
        .map_or(0, |option| option.get_num_args().map_or(1, |range| range.min_values()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(line: &str) -> String {
        let args = line.split(' ').map(OsString::from);
        let words = rewrite(args, &crate::cli::command()).args;
        words.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn aliases_and_bare_hosts_become_commands() {
        for (line, wanted) in [
            ("hubctl quick-deploy p620", "hubctl quick-deploy p620"),
            ("hubctl deploy-smart p620", "hubctl quick-deploy p620"),
            ("hubctl p620 razer", "hubctl deploy p620 razer"),
            ("hubctl --flake /hub --json p620 --dry-run", "hubctl --flake /hub --json deploy p620 --dry-run"),
            ("hubctl --option cores 2 @edge", "hubctl --option cores 2 deploy @edge"),
            ("hubctl --flake=/hub quick-test", "hubctl --flake=/hub test-all --parallel"),
            ("hubctl --help", "hubctl --help"),
            ("hubctl help deploy", "hubctl help deploy"),
        ] {
            assert_eq!(rewritten(line), wanted);
        }
    }

    #[test]
    fn every_alias_stands_for_a_command_line_that_is_accepted() {
        for (alias, stands_for) in ALIASES {
            let rest: &[&str] = match stands_for {
                ["secrets"] => &["status"],
                // Commands without a host argument are complete as they are.
                ["hosts" | "hook" | "test-all" | "deploy-all" | "info" | "validate" | "secrets", ..] => &[],
                _ => &["p620"],
            };
            let words = ["hubctl"].iter().chain(*stands_for).chain(rest);
            let parsed = crate::cli::command().try_get_matches_from(words);
            assert!(parsed.is_ok(), "{alias}: {}", parsed.unwrap_err());
        }
    }
}
