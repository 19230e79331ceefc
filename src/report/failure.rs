//! The report of a host that failed: what failed, on which host, the command, the end of its output, the log, the hints.

use super::event::{Failed, HostFinished, StepName};
use super::line::Line;
use super::outcome::Outcome;
use super::style::Style;
use super::text;
use crate::fleet::HostName;

/// How many of the hosts that failed alike are named.
const NAMED: usize = 4;

/// What each step does, for a person.
pub(super) const fn doing(step: StepName) -> &'static str {
    match step {
        StepName::Probe => "probing",
        StepName::Evaluate => "evaluating",
        StepName::Build => "building",
        StepName::Push => "pushing",
        StepName::Copy => "copying",
        StepName::Activate => "activating",
        StepName::Reboot => "rebooting",
        StepName::Verify => "verifying",
        StepName::Health => "checking its health",
        StepName::Confirm => "confirming",
        StepName::Soak => "soaking",
    }
}

/// Reports on all hosts with an error. Hosts that failed in the same way, such as all that import a broken module, share
/// one report.
pub(super) fn reports<'a>(ends: impl Iterator<Item = &'a HostFinished>) -> Vec<Vec<Line>> {
    let mut groups: Vec<(Key, Vec<&HostName>, Vec<Line>)> = Vec::new();
    for end in ends {
        let Some(error) = &end.error else { continue };
        let key = Key::of(end, error);
        match groups.iter_mut().find(|(other, ..)| *other == key) {
            Some((_, hosts, _)) => hosts.push(&end.host),
            None => groups.push((key, vec![&end.host], details(error))),
        }
    }
    let report = |(key, hosts, details): (Key, Vec<&HostName>, Vec<Line>)| {
        std::iter::once(heading(&hosts, key.outcome, key.step)).chain(details).collect()
    };
    groups.into_iter().map(report).collect()
}

/// What two failures have in common when one report does for both.
#[derive(Eq, PartialEq)]
struct Key {
    outcome: Outcome,
    step: StepName,
    texts: Vec<String>,
}

impl Key {
    fn of(end: &HostFinished, error: &Failed) -> Self {
        // Texts that differ in nothing but the host's own name say the same.
        let same = |text: &String| text.replace(end.host.as_str(), "\0");
        let texts = [&error.message].into_iter().chain(&error.output).chain(&error.hints).map(same).collect();
        Self { outcome: end.outcome, step: error.step, texts }
    }
}

fn heading(hosts: &[&HostName], outcome: Outcome, step: StepName) -> Line {
    let style = Style::of(outcome);
    let word = if style == Style::Fail { "error:" } else { "warning:" };
    let line =
        Line::new().styled(style, word).text(" ").styled(Style::Host, &listed(hosts)).text(&format!(": {outcome}"));
    if is_implied(outcome, step) { line } else { line.text(&format!(" while {}", doing(step))) }
}

/// Whether the outcome's name already says in which step it came about.
const fn is_implied(outcome: Outcome, step: StepName) -> bool {
    matches!(
        (outcome, step),
        (Outcome::EvalFailed, StepName::Evaluate)
            | (Outcome::BuildFailed, StepName::Build)
            | (Outcome::CopyFailed, StepName::Copy)
            | (Outcome::ActivateFailed, StepName::Activate)
            | (Outcome::Unreachable, StepName::Probe)
    )
}

fn details(error: &Failed) -> Vec<Line> {
    let mut lines: Vec<Line> = error.message.lines().map(|line| Line::new().blanks(2).text(line)).collect();
    lines.extend(error.command.iter().flat_map(|command| field("command", &[command])));
    let output: Vec<&str> = error.output.iter().map(|line| line.trim_end()).collect();
    lines.extend(field("output", trimmed(&output)));
    lines.extend(error.log.iter().flat_map(|log| field("log", &[log])));
    lines.extend(error.hints.iter().map(|hint| hint_line(hint, 2)));
    lines
}

/// A named text: beside its name when it is one line, below it and indented when it is more.
fn field(name: &str, texts: &[&str]) -> Vec<Line> {
    let heading = Line::new().blanks(2).styled(Style::Dim, &format!("{name}:"));
    match texts {
        [] => Vec::new(),
        [text] => vec![heading.text(" ").text(text)],
        texts => std::iter::once(heading).chain(texts.iter().map(|text| Line::new().blanks(4).text(text))).collect(),
    }
}

/// A hint, indented.
pub(super) fn hint_line(hint: &str, indentation: usize) -> Line {
    Line::new().blanks(indentation).styled(Style::Changed, "hint:").text(" ").text(hint)
}

/// The lines without empty ones at both ends.
fn trimmed<'a, 'b>(lines: &'a [&'b str]) -> &'a [&'b str] {
    let filled = |line: &&str| !text::clean(line).trim().is_empty();
    match (lines.iter().position(filled), lines.iter().rposition(filled)) {
        (Some(first), Some(last)) => &lines[first..=last],
        _ => &[],
    }
}

/// Names in a row, and how many more there are.
pub(super) fn listed(hosts: &[&HostName]) -> String {
    let names = |hosts: &[&HostName]| hosts.iter().map(|host| host.as_str()).collect::<Vec<_>>().join(", ");
    match hosts {
        [] => String::new(),
        [host] => host.to_string(),
        [hosts @ .., last] if hosts.len() <= NAMED => format!("{} and {last}", names(hosts)),
        hosts => format!("{} and {} more", names(&hosts[..NAMED]), hosts.len() - NAMED),
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::Event;
    use super::super::line::block;
    use super::super::samples::{failed, host, run};
    use super::super::state::RunState;
    use super::super::style::Palette;
    use super::*;

    fn told(state: &RunState) -> String {
        reports(state.finished()).iter().map(|report| block(report, Palette::Plain, None)).collect()
    }

    #[test]
    fn a_report_says_what_where_how_and_what_helps() {
        let state = run(
            ["p510"],
            [failed("p510", Outcome::BuildFailed, StepName::Build, "cannot build web-1.0:\nexit code 1")],
        );
        insta::assert_snapshot!(told(&state), @r"
        error: p510: build-failed
          cannot build web-1.0:
          exit code 1
          command: nix build .#p510
          output:
            web.c:3: error: expected `;`
            make: *** [web.o] Error 1
          log: /var/log/hubctl/42/p510.log
          hint: mend hosts/p510/default.nix
        ");
    }

    #[test]
    fn hosts_that_failed_alike_share_a_report() {
        let names = ["p620", "p510", "razer", "samsung", "dex5550", "hp"];
        let alike = |name: &&str| failed(name, Outcome::EvalFailed, StepName::Evaluate, "attribute `x` missing");
        let mut ends: Vec<Event> = names[..5].iter().map(alike).collect();
        ends.push(failed("hp", Outcome::EvalFailed, StepName::Evaluate, "infinite recursion"));
        let text = told(&run(names, ends));
        let headings: Vec<&str> = text.lines().filter(|line| line.starts_with("error")).collect();
        assert_eq!(headings, ["error: p620, p510, razer, samsung and dex5550: eval-failed", "error: hp: eval-failed"]);
    }

    #[test]
    fn output_cannot_write_escapes_to_the_terminal() {
        let mut end = failed("p510", Outcome::Unreachable, StepName::Probe, "x\u{1b}[2Jy");
        if let Event::HostFinished(HostFinished { error: Some(error), .. }) = &mut end {
            error.output = vec![String::new(), "\u{1b}]0;title\u{7}one".to_owned(), "\r".to_owned()];
        }
        let text = told(&run(["p510"], [end]));
        assert!(text.contains("\n  xy\n") && text.contains("\n  output: one\n"), "{text}");
    }

    #[test]
    fn names_are_listed_as_one_would_say_them() {
        let names = ["a", "b", "c", "d", "e", "f"].map(host);
        let first = |count: usize| listed(&names.iter().take(count).collect::<Vec<_>>());
        assert_eq!(
            [1, 2, 4, 5, 6].map(first),
            ["a", "a and b", "a, b, c and d", "a, b, c, d and e", "a, b, c, d and 2 more"]
        );
    }
}
