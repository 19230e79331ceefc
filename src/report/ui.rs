//! All output of the program: data on stdout, everything else on stderr.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;

use super::bars;
use super::failure::hint_line;
use super::json::{self, ErrorLine};
use super::line::{Line, block};
use super::screen::{Block, Screen, Sink, Size, SizeOf};
use super::style::{Palette, Style};
use super::table::Table;
use super::terminal::{Stream, Terminal};
use crate::error::Error;

/// How output is presented, as the flags choose it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Output {
    /// Lines that are redrawn in place on a terminal, timestamped lines elsewhere.
    #[default]
    Auto,
    /// Timestamped lines.
    Plain,
    /// NDJSON on stdout.
    Json,
    /// Errors only.
    Quiet,
}

/// The user at the other end, and how to speak to them. Clones share their streams and the display.
#[derive(Clone, Debug)]
pub struct Ui {
    output: Output,
    verbose: bool,
    no_input: bool,
    terminal: Terminal,
    screen: Screen,
}

impl Ui {
    /// Speaks through this process's standard streams.
    pub fn new(output: Output) -> Self {
        let sinks = (Sink::new(io::stdout()), Sink::new(io::stderr()));
        Self::with(output, Terminal::detect(), sinks, SizeOf::Stderr)
    }

    /// Speaks into memory, for tests: as if to a terminal of this size, without colours, or as if into pipes.
    pub fn captured(output: Output, terminal: Option<Size>) -> (Self, Captured) {
        let captured = Captured::default();
        let sinks = (Sink::new(captured.out.clone()), Sink::new(captured.err.clone()));
        let is_terminal = terminal.is_some();
        let env = |name: &str| match name {
            "TERM" => Some("xterm".into()),
            "NO_COLOR" => Some("1".into()),
            _ => None,
        };
        let streams = Terminal::new(is_terminal, is_terminal, is_terminal, env);
        let size = terminal.unwrap_or(Size { columns: 80, rows: 24 });
        (Self::with(output, streams, sinks, SizeOf::Fixed(size)), captured)
    }

    fn with(output: Output, terminal: Terminal, (out, err): (Sink, Sink), size: SizeOf) -> Self {
        let redraws = output == Output::Auto && terminal.err == Stream::Terminal;
        Self { output, verbose: false, no_input: false, terminal, screen: Screen::new(out, err, size, redraws) }
    }

    /// Shows what builds and activations print.
    #[must_use]
    pub fn verbose(mut self, verbose: bool) -> Self {
        self.verbose = verbose;
        self
    }

    /// Never asks the user anything.
    #[must_use]
    pub fn no_input(mut self, no_input: bool) -> Self {
        self.no_input = no_input;
        self
    }

    /// The same user, while an answer is prepared that is one JSON document with `--json`: no event stands on stdout before
    /// it.
    #[must_use]
    pub fn without_events(&self) -> Self {
        let output = if self.output == Output::Json { Output::Quiet } else { self.output };
        Self { output, ..self.clone() }
    }

    /// How output is presented.
    pub fn output(&self) -> Output {
        self.output
    }

    /// Whether what builds and activations print is shown.
    pub fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Whether the user can be asked: they sit at a terminal and did not forbid it.
    pub fn is_interactive(&self) -> bool {
        self.terminal.input && self.terminal.err.is_terminal() && !self.no_input
    }

    /// Whether there is a whole screen to draw on, and somebody at its keyboard.
    pub fn has_screen(&self) -> bool {
        self.terminal.input && self.terminal.out == Stream::Terminal
    }

    /// The styles of stdout.
    pub fn out(&self) -> Palette {
        self.terminal.out_palette
    }

    /// The styles of stderr.
    pub fn err(&self) -> Palette {
        self.terminal.err_palette
    }

    /// The columns that stdout has, when it is a terminal.
    pub fn out_width(&self) -> Option<usize> {
        self.terminal.out.is_terminal().then(|| self.screen.size().columns)
    }

    /// The columns that stderr has, when it is a terminal.
    pub fn err_width(&self) -> Option<usize> {
        self.terminal.err.is_terminal().then(|| self.screen.size().columns)
    }

    /// Writes data to stdout, as lines. A reader that went away is no error; [`Ui::out_is_closed`] tells it.
    pub fn data(&self, text: &str) -> io::Result<()> {
        if text.is_empty() || text.ends_with('\n') {
            self.screen.write_out(text)
        } else {
            self.screen.write_out(&format!("{text}\n"))
        }
    }

    /// Writes data to stdout as one line of JSON.
    pub fn data_json(&self, value: &impl Serialize) -> io::Result<()> {
        self.screen.write_out(&json::line(value)?)
    }

    /// Writes a table to stdout, cut to the terminal's width where there is one.
    pub fn table(&self, table: &Table) -> io::Result<()> {
        self.screen.write_out(&table.render(self.out(), self.out_width()))
    }

    /// Whether the reader of stdout went away: more data is of no use to anybody.
    pub fn out_is_closed(&self) -> bool {
        self.screen.out_is_closed()
    }

    /// Tells what goes on. Not data: on stderr, and not with `--quiet` or `--json`.
    pub fn status(&self, text: &str) {
        if !matches!(self.output, Output::Quiet | Output::Json) {
            self.screen.write_err(&format!("{}\n", text.trim_end_matches('\n')));
        }
    }

    /// Tells what the user should know and what helps. On stderr even with `--json`, where stdout is the run's events or
    /// the command's data; a warning within a run is an event.
    pub fn warning(&self, message: &str, hint: Option<&str>) {
        if self.output != Output::Quiet {
            self.lines(&bars::warning(None, message, hint));
        }
    }

    /// Tells the error that ends the command: its heading, its message with the causes, and its hints last.
    ///
    /// With `--json` it is an `error` line on stdout, so that a stream of events never just ends.
    pub fn error(&self, error: &Error) {
        if self.output == Output::Json {
            // Nothing is left to tell a full disk to; the exit code tells the error itself.
            self.data_json(&ErrorLine::new(error, Timestamp::now())).ok();
            return;
        }
        let palette = self.err();
        let heading = palette.paint(Style::Fail, &format!("{}:", error.kind().heading()));
        // The message is not cleaned: it may hold an excerpt of a file with styles of its own.
        let mut text = format!("{heading} {}\n", error.to_string().trim_end());
        for hint in error.all_hints() {
            text.push_str(&hint_line(hint, 0).render(palette, None));
            text.push('\n');
        }
        self.screen.write_err(&text);
    }

    /// Takes the display off the screen while `f` talks to the terminal itself, such as to ask for a password.
    pub fn suspend<R>(&self, f: impl FnOnce() -> R) -> R {
        self.screen.suspend(f)
    }

    /// What makes writers for a log: each writes to stderr, above the display, when it is dropped.
    pub fn log_writer(&self) -> impl Fn() -> LogWriter + Send + Sync + 'static {
        let screen = self.screen.clone();
        move || LogWriter { screen: screen.clone(), buffer: Vec::new() }
    }

    /// Whether a run is shown as lines that are redrawn in place.
    pub(super) fn redraws(&self) -> bool {
        self.output == Output::Auto && self.terminal.err == Stream::Terminal
    }

    pub(super) fn size(&self) -> Size {
        self.screen.size()
    }

    pub(super) fn open_block(&self) -> Block {
        self.screen.open_block()
    }

    /// Writes lines to stderr, uncut: the terminal wraps what is too long.
    pub(super) fn lines(&self, lines: &[Line]) {
        self.screen.write_err(&block(lines, self.err(), None));
    }

    pub(super) fn err_text(&self, text: &str) {
        self.screen.write_err(text);
    }
}

/// Collects one log entry and writes it whole.
#[derive(Debug)]
pub struct LogWriter {
    screen: Screen,
    buffer: Vec<u8>,
}

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.screen.write_err(&String::from_utf8_lossy(&self.buffer));
    }
}

/// What a captured [`Ui`] wrote so far.
#[derive(Clone, Debug, Default)]
pub struct Captured {
    out: Buffer,
    err: Buffer,
}

impl Captured {
    /// What went to stdout.
    pub fn stdout(&self) -> String {
        self.out.text()
    }

    /// What went to stderr.
    pub fn stderr(&self) -> String {
        self.err.text()
    }
}

#[derive(Clone, Debug, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn speak(output: Output) -> (String, String) {
        let (ui, captured) = Ui::captured(output, None);
        ui.status("reading the flake");
        ui.warning("`dex5550` is not in the flake", Some("remove it from hub.toml"));
        ui.data("p620").unwrap();
        ui.data_json(&["p620"]).unwrap();
        (captured.stdout(), captured.stderr())
    }

    #[test]
    fn data_goes_to_stdout_and_the_rest_to_stderr() {
        let warning = "warning: `dex5550` is not in the flake\n  hint: remove it from hub.toml\n";
        for output in [Output::Auto, Output::Plain, Output::Json, Output::Quiet] {
            let (out, err) = speak(output);
            assert_eq!(out, "p620\n[\"p620\"]\n");
            let expected = match output {
                Output::Auto | Output::Plain => format!("reading the flake\n{warning}"),
                Output::Json => warning.to_owned(),
                Output::Quiet => String::new(),
            };
            assert_eq!(err, expected, "{output:?}");
        }
    }

    #[test]
    fn an_error_ends_with_its_hints_and_is_told_in_every_mode() {
        let error = || {
            let source = anyhow::anyhow!("permission denied").context("cannot read hub.toml");
            Error::new(Kind::Config, source).hint("chmod +r hub.toml").hint("or name another flake with --flake")
        };
        for output in [Output::Auto, Output::Plain, Output::Quiet] {
            let (ui, captured) = Ui::captured(output, None);
            ui.error(&error());
            assert_eq!(
                captured.stderr(),
                "configuration error: cannot read hub.toml: permission denied\n\
                 hint: chmod +r hub.toml\n\
                 hint: or name another flake with --flake\n"
            );
        }
        let (ui, captured) = Ui::captured(Output::Json, None);
        ui.error(&error());
        assert_eq!(captured.stderr(), "");
        let line: serde_json::Value = serde_json::from_str(&captured.stdout()).unwrap();
        assert_eq!((&line["event"], &line["exit"]), (&"error".into(), &2.into()));
    }

    #[test]
    fn nobody_is_asked_without_a_terminal_or_against_their_will() {
        let size = Some(Size { columns: 80, rows: 24 });
        assert!(Ui::captured(Output::Auto, size).0.is_interactive());
        assert!(!Ui::captured(Output::Auto, size).0.no_input(true).is_interactive());
        assert!(!Ui::captured(Output::Auto, None).0.is_interactive());
    }

    #[test]
    fn tables_are_cut_on_terminals_only() {
        let mut table = Table::new();
        table.row(["p620", "a text that is longer than the terminal is wide"]);
        let (ui, captured) = Ui::captured(Output::Auto, Some(Size { columns: 20, rows: 24 }));
        ui.table(&table).unwrap();
        assert_eq!(captured.stdout(), "p620  a text that i…\n");
        let (ui, captured) = Ui::captured(Output::Auto, None);
        ui.table(&table).unwrap();
        assert!(captured.stdout().ends_with("is wide\n"));
    }

    #[test]
    fn a_log_entry_is_written_whole() {
        let (ui, captured) = Ui::captured(Output::Auto, None);
        let make = ui.log_writer();
        let mut writer = make();
        writer.write_all(b"DEBUG ssh").unwrap();
        assert_eq!(captured.stderr(), "");
        writer.write_all(b" p620\n").unwrap();
        drop(writer);
        assert_eq!(captured.stderr(), "DEBUG ssh p620\n");
    }
}
