//! The two streams and the block of lines at the bottom of the terminal that is redrawn in place.
//!
//! Everything that is printed while that block is on screen goes through here, so that lines above it scroll by and
//! never mix with it.

use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};
use rustix::termios;

/// The size of a terminal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Size {
    /// Characters per line.
    pub columns: usize,
    /// Lines.
    pub rows: usize,
}

impl Size {
    /// What is taken for a terminal that does not tell its size.
    const DEFAULT: Self = Self { columns: 80, rows: 24 };

    /// The size of the terminal behind stderr, which may change at any time.
    fn of_stderr() -> Self {
        let size = termios::tcgetwinsize(io::stderr()).ok();
        let columns = size.map(|size| size.ws_col.into()).filter(|columns| *columns > 0);
        let rows = size.map(|size| size.ws_row.into()).filter(|rows| *rows > 0);
        let from_env = |name| std::env::var(name).ok()?.parse().ok().filter(|number| *number > 0);
        Self {
            columns: columns.or_else(|| from_env("COLUMNS")).unwrap_or(Self::DEFAULT.columns),
            rows: rows.or_else(|| from_env("LINES")).unwrap_or(Self::DEFAULT.rows),
        }
    }
}

/// A stream that text is written to: whole, flushed, and without ever failing the work that reports on itself.
#[derive(Clone)]
pub(super) struct Sink {
    writer: Arc<Mutex<dyn Write + Send>>,
    closed: Arc<AtomicBool>,
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}

impl Sink {
    pub(super) fn new(writer: impl Write + Send + 'static) -> Self {
        Self { writer: Arc::new(Mutex::new(writer)), closed: Arc::new(AtomicBool::new(false)) }
    }

    /// Writes and flushes `text`. A reader that went away is no error: it has read what it wanted.
    pub(super) fn write(&self, text: &str) -> io::Result<()> {
        if self.is_closed() {
            return Ok(());
        }
        let mut writer = lock(&self.writer);
        match writer.write_all(text.as_bytes()).and_then(|()| writer.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed.store(true, Ordering::Relaxed);
                Ok(())
            }
            result => result,
        }
    }

    /// Whether the reader went away.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}

/// A panic elsewhere must not keep the rest from being told.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the size of the screen comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum SizeOf {
    Stderr,
    Fixed(Size),
}

impl SizeOf {
    fn get(self) -> Size {
        match self {
            Self::Stderr => Size::of_stderr(),
            Self::Fixed(size) => size,
        }
    }
}

/// stdout, stderr, and the block of lines that is redrawn on stderr.
#[derive(Clone, Debug)]
pub(super) struct Screen {
    out: Sink,
    err: Sink,
    size: SizeOf,
    bars: MultiProgress,
}

impl Screen {
    pub(super) fn new(out: Sink, err: Sink, size: SizeOf, redraws: bool) -> Self {
        let target = if redraws {
            ProgressDrawTarget::term_like(Box::new(Canvas { sink: err.clone(), size, buffer: Mutex::default() }))
        } else {
            ProgressDrawTarget::hidden()
        };
        Self { out, err, size, bars: MultiProgress::with_draw_target(target) }
    }

    pub(super) fn size(&self) -> Size {
        self.size.get()
    }

    pub(super) fn write_out(&self, text: &str) -> io::Result<()> {
        self.suspend(|| self.out.write(text))
    }

    pub(super) fn out_is_closed(&self) -> bool {
        self.out.is_closed()
    }

    /// Writes to stderr, above the block. Nothing is left to tell an error of stderr to.
    pub(super) fn write_err(&self, text: &str) {
        if !text.is_empty() {
            self.suspend(|| self.err.write(text).ok());
        }
    }

    /// Takes the block off the screen while `f` runs.
    pub(super) fn suspend<R>(&self, f: impl FnOnce() -> R) -> R {
        self.bars.suspend(f)
    }

    /// Puts the block on the screen.
    pub(super) fn open_block(&self) -> Block {
        let style = ProgressStyle::with_template("{msg}").expect("the template is valid");
        Block { bar: self.bars.add(ProgressBar::no_length().with_style(style)), bars: self.bars.clone() }
    }
}

/// The block of lines on the screen; dropping it takes it off.
#[derive(Debug)]
pub(super) struct Block {
    bar: ProgressBar,
    bars: MultiProgress,
}

impl Block {
    pub(super) fn draw(&self, lines: &[String]) {
        self.bar.set_message(lines.join("\n"));
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        self.bars.remove(&self.bar);
    }
}

/// The terminal as indicatif draws on it. Each frame is written in one go, so that it does not flicker; and an error, such
/// as of a terminal that was closed, is dropped, since indicatif would panic in the midst of a deployment.
#[derive(Debug)]
struct Canvas {
    sink: Sink,
    size: SizeOf,
    buffer: Mutex<String>,
}

impl Canvas {
    fn push(&self, text: &str) {
        lock(&self.buffer).push_str(text);
    }

    fn move_cursor(&self, n: usize, direction: char) {
        // A count of 0 means 1 to a terminal.
        if n > 0 {
            self.push(&format!("\u{1b}[{n}{direction}"));
        }
    }
}

impl TermLike for Canvas {
    fn width(&self) -> u16 {
        self.size.get().columns.try_into().unwrap_or(u16::MAX)
    }

    fn height(&self) -> u16 {
        self.size.get().rows.try_into().unwrap_or(u16::MAX)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'A');
        Ok(())
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'B');
        Ok(())
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'C');
        Ok(())
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'D');
        Ok(())
    }

    fn write_line(&self, s: &str) -> io::Result<()> {
        self.push(s);
        self.push("\n");
        Ok(())
    }

    fn write_str(&self, s: &str) -> io::Result<()> {
        self.push(s);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.push("\r\u{1b}[2K");
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let frame = std::mem::take(&mut *lock(&self.buffer));
        if !frame.is_empty() {
            self.sink.write(&frame).ok();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_error_and_is_known() {
        let sink = Sink::new(Broken(io::ErrorKind::BrokenPipe));
        sink.write("x").unwrap();
        assert!(sink.is_closed());
        assert!(Sink::new(Broken(io::ErrorKind::StorageFull)).write("x").is_err());
    }

    #[test]
    fn a_terminal_that_was_closed_stops_no_drawing() {
        let sink = Sink::new(Broken(io::ErrorKind::Other));
        let size = SizeOf::Fixed(Size { columns: 80, rows: 24 });
        let screen = Screen::new(sink.clone(), sink, size, true);
        let block = screen.open_block();
        block.draw(&["p620  building".to_owned()]);
        screen.write_err("above\n");
    }
}
