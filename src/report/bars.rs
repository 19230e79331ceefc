//! The lines that are redrawn in place while a run goes on, composed by a pure function of the state and the screen.

use jiff::Timestamp;

use super::event::{Event, HostFinished, Stamped};
use super::failure::{hint_line, listed};
use super::line::Line;
use super::plain::wave_finished;
use super::row::{Columns, elapsed, in_short};
use super::screen::Size;
use super::state::{Counts, HostState, RunState};
use super::style::{Palette, Style, mark};
use crate::fleet::HostName;

/// Longer names of hosts are cut.
const WIDEST_NAME: usize = 24;

/// How many lines of a failure's output are shown at once; the whole follows at the end.
const FIRST_OUTPUT_LINES: usize = 3;

/// What the screen is like at the moment of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) now: Timestamp,
    pub(super) size: Size,
    pub(super) palette: Palette,
}

/// The lines of one frame: a line per host and a line for all of them. They never take more room than there is.
pub(super) fn compose(state: &RunState, frame: Frame) -> Vec<String> {
    if state.hosts.is_empty() || state.summary.is_some() {
        return Vec::new();
    }
    // One line is for the whole run, and one stays free for the cursor after a line is printed above.
    let room = frame.size.rows.saturating_sub(2);
    let (shown, hidden) = select(state, room);
    let columns = Columns::of(&shown, frame.now, WIDEST_NAME);
    let mut lines: Vec<Line> = shown.iter().map(|(name, host)| columns.row(name, host, frame.size.columns)).collect();
    if let Some(more) = more_line(&hidden) {
        lines.push(more);
    }
    lines.push(run_line(state, frame.now));
    lines.truncate(frame.size.rows.saturating_sub(1).max(1));
    lines.iter().map(|line| line.render(frame.palette, Some(frame.size.columns))).collect()
}

type Hosts<'a> = Vec<(&'a HostName, &'a HostState)>;

/// The hosts that get a line, and those for which there is no room. All of them stay in the order of the selection, unless
/// there are too many: then those come first that something happens to.
fn select(state: &RunState, room: usize) -> (Hosts<'_>, Hosts<'_>) {
    let mut hosts: Hosts<'_> = state.in_order().collect();
    if hosts.len() <= room {
        return (hosts, Vec::new());
    }
    hosts.sort_by_key(|(_, host)| match (&host.finished, host.current()) {
        (None, Some(_)) => 0,
        (None, None) => 1,
        (Some(_), _) => 2,
    });
    let hidden = hosts.split_off(room.saturating_sub(1).min(hosts.len()));
    (hosts, hidden)
}

fn more_line(hidden: &Hosts<'_>) -> Option<Line> {
    if hidden.is_empty() {
        return None;
    }
    let number = |fits: &dyn Fn(&HostState) -> bool| hidden.iter().filter(|(_, host)| fits(host)).count();
    let counts = Counts {
        running: number(&|host| host.finished.is_none() && host.current().is_some()),
        waiting: number(&|host| host.finished.is_none() && host.current().is_none()),
        done: number(&|host| host.finished.is_some()),
        failed: number(&|host| host.finished.as_ref().is_some_and(|end| !end.outcome.is_success())),
    };
    Some(Line::new().styled(Style::Dim, &format!("  … and {} more: {}", hidden.len(), counted(counts))))
}

fn counted(counts: Counts) -> String {
    let parts =
        [(counts.running, "running"), (counts.waiting, "waiting"), (counts.done, "done"), (counts.failed, "failed")];
    let parts: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    parts.join(", ")
}

/// The line for the whole run.
fn run_line(state: &RunState, now: Timestamp) -> Line {
    let counts = state.counts();
    let time = state.started.map(|started| elapsed(started, now)).unwrap_or_default();
    let line = Line::new().blanks(2);
    let busy: Vec<&HostName> =
        state.in_order().filter(|(_, host)| !host.running.is_empty()).map(|(name, _)| name).collect();
    match state.cancelling {
        Some(true) => line.styled(Style::Warn, &format!("stopping at once  {time}")),
        Some(false) if busy.is_empty() => line.styled(Style::Warn, &format!("stopping  {time}")),
        Some(false) => line.styled(
            Style::Warn,
            &format!("stopping when {} can be left safely; Ctrl-C again kills  {time}", listed(&busy)),
        ),
        None => {
            let total = state.hosts.len();
            let failed = if counts.failed > 0 { format!(", {} failed", counts.failed) } else { String::new() };
            let wave = state.wave.map(|(wave, of)| format!("wave {wave} of {of}, ")).unwrap_or_default();
            line.styled(Style::Dim, &format!("{wave}{} of {total} done{failed}  {time}", counts.done))
        }
    }
}

/// What is printed above the block when this happens, and stays. `state` has taken in the event.
pub(super) fn notice(state: &RunState, stamped: &Stamped, verbose: bool) -> Vec<Line> {
    match &stamped.event {
        Event::Warning { host, message, hint } => warning(host.as_ref(), message, hint.as_deref()),
        Event::WaveFinished { wave, of, failed, stops } => {
            wave_finished(*wave, *of, failed, *stops).into_iter().collect()
        }
        Event::Log { host, line, .. } if verbose => {
            vec![Line::new().styled(Style::Host, host.as_str()).styled(Style::Dim, " │ ").text(line)]
        }
        // The report of the last host to end follows at once; to tell its failure twice would only be noise.
        Event::HostFinished(end) if state.counts().done < state.hosts.len() => first_news(end),
        _ => Vec::new(),
    }
}

/// A warning and what helps.
pub(super) fn warning(host: Option<&HostName>, message: &str, hint: Option<&str>) -> Vec<Line> {
    let mut heading = Line::new().styled(Style::Warn, "warning:").text(" ");
    if let Some(host) = host {
        heading = heading.styled(Style::Host, host.as_str()).text(": ");
    }
    let mut texts = message.lines();
    let mut lines = vec![heading.text(texts.next().unwrap_or_default())];
    lines.extend(texts.map(|text| Line::new().blanks(2).text(text)));
    lines.extend(hint.map(|hint| hint_line(hint, 2)));
    lines
}

/// A failure in short, while other hosts go on.
fn first_news(end: &HostFinished) -> Vec<Line> {
    let Some(error) = &end.error else { return Vec::new() };
    let style = Style::of(end.outcome);
    let heading = Line::new()
        .styled(style, &format!("{} ", mark(end.outcome)))
        .styled(Style::Host, end.host.as_str())
        .text("  ")
        .styled(style, end.outcome.as_str())
        .text(&format!(": {}", in_short(end)));
    let filled: Vec<&String> = error.output.iter().filter(|line| !line.trim().is_empty()).collect();
    let surplus = filled.len().saturating_sub(FIRST_OUTPUT_LINES);
    let output = filled[surplus..].iter().map(|line| Line::new().blanks(4).styled(Style::Dim, line.trim_end()));
    std::iter::once(heading).chain(output).collect()
}

#[cfg(test)]
mod tests {
    use super::super::event::StepName;
    use super::super::outcome::Outcome;
    use super::super::samples::{
        at, end, failed, finished, fold, log, progress, run_started, step_ended, step_started, warning,
    };
    use super::super::text;
    use super::*;

    fn frame(columns: usize, rows: usize) -> Frame {
        let now = at(100, run_started([])).time;
        Frame { now, size: Size { columns, rows }, palette: Palette::Plain }
    }

    fn sample() -> RunState {
        let steps = vec![StepName::Copy, StepName::Activate];
        let decided = |name: &str| Event::Decided {
            host: name.parse().unwrap(),
            steps: steps.clone(),
            reason: "another system".to_owned(),
        };
        fold([
            run_started(["p620", "p510", "razer", "samsung", "hp"]),
            step_started("p620", StepName::Build),
            progress("p620", StepName::Build, 7, 12),
            step_started("p510", StepName::Activate),
            log(
                "p510",
                StepName::Activate,
                "starting the following units: nginx.service, postgresql.service, sshd.service",
            ),
            decided("razer"),
            Event::HostFinished(end("samsung", Outcome::Deployed, 12_300, Some("generation 43 is live"))),
        ])
    }

    #[test]
    fn each_host_has_a_line_with_its_step_time_and_progress() {
        insta::assert_snapshot!(compose(&sample(), frame(80, 24)).join("\n"), @"
          p620     building    1 min 39 s  ━━━━━─────  7/12  linux-6.12.40
          p510     activating  1 min 37 s  starting the following units: nginx.service,…
          razer    waiting                 to copy
        ✓ samsung  deployed          12 s  generation 43 is live
          hp       waiting
          1 of 5 done  1 min 40 s
        ");
    }

    #[test]
    fn a_narrow_terminal_gets_what_fits() {
        insta::assert_snapshot!(compose(&sample(), frame(44, 24)).join("\n"), @"
          p620     building    1 min 39 s  7/12  li…
          p510     activating  1 min 37 s  starting…
          razer    waiting                 to copy
        ✓ samsung  deployed          12 s  generati…
          hp       waiting
          1 of 5 done  1 min 40 s
        ");
    }

    #[test]
    fn what_does_not_fit_is_counted_and_running_hosts_come_first() {
        insta::assert_snapshot!(compose(&sample(), frame(80, 5)).join("\n"), @"
        p620  building    1 min 39 s  ━━━━━─────  7/12  linux-6.12.40
        p510  activating  1 min 37 s  starting the following units: nginx.service, po…
        … and 3 more: 2 waiting, 1 done
        1 of 5 done  1 min 40 s
        ");
    }

    #[test]
    fn a_frame_never_takes_more_room_than_there_is() {
        let mut state = sample();
        for n in 0..60 {
            state.apply(&at(8, step_started(&format!("web-{n}-with-quite-a-long-name-indeed"), StepName::Evaluate)));
        }
        for (columns, rows) in [(80, 24), (40, 10), (20, 4), (7, 3), (1, 2), (1, 1)] {
            let lines = compose(&state, frame(columns, rows));
            assert!(lines.len() <= rows.saturating_sub(1).max(1), "{columns}x{rows}: {lines:#?}");
            assert!(lines.iter().all(|line| text::width(line) <= columns), "{columns}x{rows}: {lines:#?}");
        }
    }

    #[test]
    fn there_is_nothing_to_draw_before_and_after() {
        assert!(compose(&RunState::default(), frame(80, 24)).is_empty());
        let done = super::super::samples::run(["p620"], [finished("p620", Outcome::Unchanged)]);
        assert!(compose(&done, frame(80, 24)).is_empty());
    }

    #[test]
    fn a_stop_says_what_it_waits_for_and_how_to_force_it() {
        let mut state = fold([run_started(["p620", "p510"]), step_started("p620", StepName::Activate)]);
        state.apply(&at(2, Event::Cancelling { forced: false }));
        let last = |state: &RunState| compose(state, frame(80, 24)).pop().unwrap();
        assert_eq!(last(&state), "  stopping when p620 can be left safely; Ctrl-C again kills  1 min 40 s");
        state.apply(&at(3, step_ended("p620", StepName::Activate)));
        assert_eq!(last(&state), "  stopping  1 min 40 s");
        state.apply(&at(3, Event::Cancelling { forced: true }));
        assert_eq!(last(&state), "  stopping at once  1 min 40 s");
    }

    #[test]
    fn failures_and_warnings_are_printed_at_once() {
        let said = |state: &RunState, event: Event, verbose: bool| {
            let lines = notice(state, &at(9, event), verbose);
            lines.iter().map(|line| line.render(Palette::Plain, None)).collect::<Vec<_>>()
        };
        let event = failed("p620", Outcome::BuildFailed, StepName::Build, "cannot build web-1.0");
        let mut state = sample();
        state.apply(&at(8, event.clone()));
        let news = said(&state, event.clone(), false);
        assert_eq!(
            news,
            [
                "✗ p620  build-failed: cannot build web-1.0",
                "    web.c:3: error: expected `;`",
                "    make: *** [web.o] Error 1"
            ]
        );
        assert_eq!(said(&fold([run_started(["p620"]), event.clone()]), event, false), [""; 0]);

        let said_warning = said(&state, warning(Some("p510"), "/boot is 91 % full", "hubctl boot-space p510"), false);
        assert_eq!(said_warning, ["warning: p510: /boot is 91 % full", "  hint: hubctl boot-space p510"]);

        let line = || log("p510", StepName::Build, "cc -c web.c");
        assert_eq!(said(&state, line(), false), [""; 0]);
        assert_eq!(said(&state, line(), true), ["p510 │ cc -c web.c"]);
    }
}
