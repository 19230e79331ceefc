//! The display of a run: takes in events, and draws until it is told to finish.
//!
//! It has a thread of its own. A terminal that is halted (Ctrl-S) or a reader of the JSON stream that is slow blocks
//! whoever writes to it; that must never be the thread that keeps deadlines and answers signals.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::oneshot;

use super::bars::{self, Frame};
use super::event::{Event, HostFinished, Stamped};
use super::line::{Line, block};
use super::plain::Plain;
use super::screen::Block;
use super::state::RunState;
use super::ui::{Output, Ui};
use super::{failure, summary};

/// What ends sooner is not worth a display that flashes up.
const INITIAL_DELAY: Duration = Duration::from_millis(250);

/// Ten frames a second look alive and cost next to nothing.
const FRAME_EVERY: Duration = Duration::from_millis(100);

enum Message {
    Event(Box<Stamped>),
    Finish,
}

/// Where workers tell what happens. Cheap to clone; sending never waits.
#[derive(Clone, Debug)]
pub struct EventSender(Sender<Message>);

impl EventSender {
    /// Tells that this happened now.
    pub fn emit(&self, event: Event) {
        // Once the display has finished, nobody is left to be told.
        self.0.send(Message::Event(Box::new(Stamped { time: Timestamp::now(), event }))).ok();
    }

    /// A sender whose events somebody other than a display takes, such as a test.
    pub fn channel() -> (Self, EventReceiver) {
        let (sender, receiver) = mpsc::channel();
        (Self(sender), EventReceiver(receiver))
    }
}

/// The other end of [`EventSender::channel`].
#[derive(Debug)]
pub struct EventReceiver(Receiver<Message>);

impl EventReceiver {
    /// The events that have come since the last call, without waiting.
    pub fn drain(&self) -> Vec<Stamped> {
        let event = |message| match message {
            Message::Event(stamped) => Some(*stamped),
            Message::Finish => None,
        };
        self.0.try_iter().filter_map(event).collect()
    }
}

/// The running display. Dropping it ends the display as [`Reporter::finish`] does, so that an error that is told next
/// never mixes with it.
#[derive(Debug)]
pub struct Reporter {
    sender: EventSender,
    thread: Option<JoinHandle<()>>,
    state: oneshot::Receiver<RunState>,
}

impl Reporter {
    /// Starts to show events in the way that `ui` asks for.
    pub fn start(ui: &Ui) -> io::Result<(Self, EventSender)> {
        let (sender, EventReceiver(receiver)) = EventSender::channel();
        let (done, state) = oneshot::channel();
        let display = Display::new(ui.clone());
        let thread = thread::Builder::new().name("report".to_owned()).spawn(move || {
            // With the reporter dropped, nobody asks for the state.
            done.send(display.run(&receiver)).ok();
        })?;
        Ok((Self { sender: sender.clone(), thread: Some(thread), state }, sender))
    }

    /// Shows what was sent so far, takes the display off the screen, and gives what is known of the run.
    pub async fn finish(mut self) -> RunState {
        self.sender.0.send(Message::Finish).ok();
        // The thread drops its sender without sending only in a panic, which has been told by then.
        (&mut self.state).await.unwrap_or_default()
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.sender.0.send(Message::Finish).ok();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been told by then.
            thread.join().ok();
        }
    }
}

/// How a run is shown.
enum View {
    Bars(Bars),
    Plain(Plain),
    Json,
    Quiet,
}

/// The block of lines, once it is on the screen.
struct Bars {
    next_frame: Instant,
    block: Option<Block>,
}

struct Display {
    ui: Ui,
    state: RunState,
    view: View,
    /// Whether lines stand on stderr that a blank line sets the next block off from.
    printed: bool,
    out_failed: bool,
}

impl Display {
    fn new(ui: Ui) -> Self {
        let view = match ui.output() {
            Output::Json => View::Json,
            Output::Quiet => View::Quiet,
            Output::Auto if ui.redraws() => {
                View::Bars(Bars { next_frame: Instant::now() + INITIAL_DELAY, block: None })
            }
            Output::Auto | Output::Plain => View::Plain(Plain::new(TimeZone::system(), ui.is_verbose())),
        };
        Self { ui, state: RunState::default(), view, printed: false, out_failed: false }
    }

    fn run(mut self, messages: &Receiver<Message>) -> RunState {
        loop {
            self.draw_if_due();
            match self.receive(messages) {
                Ok(Message::Event(stamped)) => self.on_event(&stamped),
                Ok(Message::Finish) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        self.close();
        self.state
    }

    fn receive(&self, messages: &Receiver<Message>) -> Result<Message, RecvTimeoutError> {
        match &self.view {
            View::Bars(bars) => messages.recv_timeout(bars.next_frame.saturating_duration_since(Instant::now())),
            View::Plain(_) | View::Json | View::Quiet => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn on_event(&mut self, stamped: &Stamped) {
        self.state.apply(stamped);
        match &mut self.view {
            View::Bars(_) => {
                let notice = bars::notice(&self.state, stamped, self.ui.is_verbose());
                self.print(&notice);
            }
            View::Plain(plain) => {
                let lines = plain.lines(&self.state, stamped);
                self.print(&lines);
            }
            View::Quiet => self.report_failure(stamped),
            View::Json => self.write_json(stamped),
        }
    }

    fn print(&mut self, lines: &[Line]) {
        self.printed |= !lines.is_empty();
        self.ui.lines(lines);
    }

    /// Prints a block of text, set off from what stands above it.
    fn print_block(&mut self, text: &str) {
        if self.printed && !text.is_empty() {
            self.ui.err_text("\n");
        }
        self.printed |= !text.is_empty();
        self.ui.err_text(text);
    }

    /// The reports of failures, with blank lines between them.
    fn reports<'a>(&self, ends: impl Iterator<Item = &'a HostFinished>) -> String {
        let text = |report: &Vec<Line>| block(report, self.ui.err(), None);
        failure::reports(ends).iter().map(text).collect::<Vec<_>>().join("\n")
    }

    fn report_failure(&mut self, stamped: &Stamped) {
        if let Event::HostFinished(HostFinished { host, .. }) = &stamped.event {
            // The state's own copy is used: where the event has no output, it holds what the host printed last.
            let end = self.state.hosts.get(host).and_then(|host| host.finished.as_ref());
            let report = self.reports(end.into_iter());
            self.print_block(&report);
        }
    }

    fn write_json(&mut self, stamped: &Stamped) {
        if self.out_failed {
            return;
        }
        if let Err(error) = self.ui.data_json(stamped) {
            // The run goes on: hosts must not be left half-done because a disk of ours is full.
            self.out_failed = true;
            self.ui.warning(&format!("cannot write events to stdout: {error}"), Some("the run goes on without them"));
        }
    }

    fn draw_if_due(&mut self) {
        let View::Bars(bars) = &mut self.view else { return };
        let now = Instant::now();
        if now < bars.next_frame {
            return;
        }
        bars.next_frame = now + FRAME_EVERY;
        let frame = Frame { now: Timestamp::now(), size: self.ui.size(), palette: self.ui.err() };
        let lines = bars::compose(&self.state, frame);
        if lines.is_empty() {
            bars.block = None;
        } else {
            bars.block.get_or_insert_with(|| self.ui.open_block()).draw(&lines);
        }
    }

    /// Takes the block off the screen and leaves the summary; or, of a run that broke off, what failed by then.
    fn close(&mut self) {
        match &mut self.view {
            View::Bars(bars) => bars.block = None,
            View::Plain(_) => {}
            View::Json | View::Quiet => return,
        }
        let text = match &self.state.summary {
            Some(end) => summary::render(&self.state, end, self.ui.err(), self.ui.err_width()),
            None => self.reports(self.state.finished()),
        };
        self.print_block(&text);
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::StepName;
    use super::super::outcome::Outcome;
    use super::super::samples::{failed, finished, run_started, step_started, summary, warning};
    use super::super::screen::Size;
    use super::*;

    /// Shows a run of two hosts of which one fails, and gives what stands on stdout and stderr in the end.
    async fn shown(output: Output, terminal: Option<Size>, pause: Duration) -> (String, String, RunState) {
        let (ui, captured) = Ui::captured(output, terminal);
        let (reporter, events) = Reporter::start(&ui).unwrap();
        let mut state = RunState::default();
        let before = [run_started(["p620", "p510"]), step_started("p620", StepName::Build)];
        let after = [
            failed("p620", Outcome::BuildFailed, StepName::Build, "cannot build web-1.0"),
            warning(Some("p510"), "/boot is 91 % full", "hubctl boot-space p510"),
            finished("p510", Outcome::Unchanged),
        ];
        for event in before {
            events.emit(event);
        }
        tokio::time::sleep(pause).await;
        for event in after {
            state.apply(&Stamped { time: Timestamp::UNIX_EPOCH, event: event.clone() });
            events.emit(event);
        }
        events.emit(summary(&state, 74_000));
        let state = reporter.finish().await;
        (captured.stdout(), captured.stderr(), state)
    }

    const SCREEN: Option<Size> = Some(Size { columns: 80, rows: 24 });

    #[tokio::test]
    async fn json_is_one_line_per_event_on_stdout_and_the_summary_last() {
        let (out, err, state) = shown(Output::Json, SCREEN, Duration::ZERO).await;
        let kind =
            |line| serde_json::from_str::<serde_json::Value>(line).unwrap()["event"].as_str().unwrap().to_owned();
        let kinds: Vec<String> = out.lines().map(kind).collect();
        assert_eq!(kinds, ["run-started", "step-started", "host-finished", "warning", "host-finished", "summary"]);
        assert_eq!(err, "");
        assert_eq!(state.summary.unwrap().exit, 1);
    }

    #[tokio::test]
    async fn quiet_is_the_failures_alone() {
        let (out, err, _) = shown(Output::Quiet, SCREEN, Duration::ZERO).await;
        assert_eq!(out, "");
        assert!(err.starts_with("error: p620: build-failed\n  cannot build web-1.0\n"), "{err}");
        assert!(!err.contains("p510"), "{err}");
    }

    #[tokio::test]
    async fn without_a_terminal_there_are_lines_and_no_escapes() {
        let (out, err, _) = shown(Output::Auto, None, Duration::ZERO).await;
        assert_eq!(out, "");
        assert!(err.contains(" p620  building\n") && err.contains(" p510  warning: /boot is 91 % full\n"), "{err}");
        assert!(err.contains("2 hosts in 1 min 14 s: 1 unchanged, 1 build-failed\n"), "{err}");
        assert!(!err.contains('\u{1b}'), "{err}");
    }

    #[tokio::test]
    async fn a_run_that_ends_at_once_draws_no_block() {
        let (_, err, _) = shown(Output::Auto, SCREEN, Duration::ZERO).await;
        assert!(!err.contains("0 of 2 done") && !err.contains('\u{1b}'), "{err}");
        assert!(err.contains("✗ p620  build-failed   12 s  cannot build web-1.0\n"), "{err}");
    }

    #[tokio::test]
    async fn a_longer_run_draws_a_block_and_takes_it_away() {
        let (_, err, _) = shown(Output::Auto, SCREEN, Duration::from_millis(600)).await;
        assert!(err.contains("0 of 2 done"), "{err}");
        let (_, after) = err.rsplit_once('\u{1b}').unwrap();
        assert!(!after.contains("0 of 2 done") && after.contains("2 hosts in"), "{err}");
    }

    #[tokio::test]
    async fn finishing_waits_for_no_sender_and_later_events_harm_nothing() {
        let (ui, _captured) = Ui::captured(Output::Plain, None);
        let (reporter, events) = Reporter::start(&ui).unwrap();
        events.emit(run_started(["p620"]));
        let kept = events.clone();
        let state = reporter.finish().await;
        assert_eq!(state.counts().waiting, 1);
        kept.emit(finished("p620", Outcome::Unchanged));
    }

    #[test]
    fn a_reporter_that_is_dropped_has_told_what_failed() {
        let (ui, captured) = Ui::captured(Output::Auto, SCREEN);
        let (reporter, events) = Reporter::start(&ui).unwrap();
        events.emit(run_started(["p620", "p510"]));
        events.emit(failed("p620", Outcome::BuildFailed, StepName::Build, "cannot build web-1.0"));
        drop(reporter);
        assert!(captured.stderr().contains("error: p620: build-failed"), "{}", captured.stderr());
    }

    #[test]
    fn events_can_be_taken_without_a_display() {
        let (sender, receiver) = EventSender::channel();
        sender.emit(run_started(["p620"]));
        assert_eq!(receiver.drain().len(), 1);
        assert_eq!(receiver.drain().len(), 0);
    }
}
