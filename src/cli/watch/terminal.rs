//! The terminal: taken whole, given back in every case, and what is typed into it.

use std::io::{self, Stdout, stdin, stdout};
use std::os::fd::{AsFd as _, OwnedFd};
use std::panic;
use std::sync::Once;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
};
use ratatui::layout::Position;
use rustix::process::{Signal as Number, getpid, kill_process};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::draw::draw;
use super::model::{Model, Size};
use super::theme::Theme;
use crate::cli::hub::Hub;
use crate::error::{Error, Kind, Result};
use crate::report::Output;

/// Sees to it that there is a terminal for the view.
pub(in crate::cli) fn check_terminal(hub: &Hub) -> Result<()> {
    let once = "without --watch, `hubctl status` tells the same once";
    if hub.ui.output() != Output::Auto {
        let message = "--watch is a view for a person, and --json, --plain and --quiet write for others";
        return Err(Error::message(Kind::Usage, message).hint(once));
    }
    if !hub.ui.has_screen() {
        let message = "--watch needs a terminal to read keys from and to draw on, and there is none";
        return Err(Error::message(Kind::Usage, message).hint(once));
    }
    Ok(())
}

/// The terminal while the view has it. Dropping this gives it back as it was.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    theme: Theme,
}

impl Screen {
    /// Takes the terminal. From now on, a panic gives it back before it tells what went wrong.
    pub(super) fn take(theme: Theme) -> io::Result<Self> {
        static HOOKED: Once = Once::new();
        HOOKED.call_once(|| before_panic_is_told(give_back));
        let terminal = Terminal::new(CrosstermBackend::new(stdout()))?;
        let mut screen = Self { terminal, theme };
        screen.retake()?;
        Ok(screen)
    }

    /// Takes the terminal again, after it was given to somebody else.
    pub(super) fn retake(&mut self) -> io::Result<()> {
        enable_raw_mode()?;
        execute!(stdout(), EnterAlternateScreen, Hide)?;
        // As `Terminal::clear`, which asks the terminal where its cursor is: not every one answers, and not at once.
        let size = self.terminal.size()?;
        self.terminal.resize((Position::ORIGIN, size).into())
    }

    pub(super) fn draw(&mut self, model: &Model) -> io::Result<()> {
        #[cfg(debug_assertions)]
        fail_if_told();
        self.terminal.draw(|frame| draw(model, self.theme, frame)).map(drop)
    }

    /// Gives the terminal to whoever had it before, as Ctrl-Z does, and takes it again when the shell says so.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        give_back();
        kill_process(getpid(), Number::TSTP)?;
        self.retake()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Gives the terminal back as it was.
pub(super) fn give_back() {
    // One that is gone needs nothing given back.
    let _ = disable_raw_mode();
    let _ = execute!(stdout(), LeaveAlternateScreen, Show);
}

/// Panics where a program that is built for tests finds the file that `HUBCTL_TEST_WATCH_PANIC` names.
#[cfg(debug_assertions)]
fn fail_if_told() {
    let told = std::env::var_os("HUBCTL_TEST_WATCH_PANIC").is_some_and(|file| std::path::Path::new(&file).exists());
    assert!(!told, "the view fails because HUBCTL_TEST_WATCH_PANIC says so");
}

/// Has `work` done in a panic before it is told, for all time to come.
fn before_panic_is_told(work: impl Fn() + Send + Sync + 'static) {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        work();
        tell(info);
    }));
}

/// The terminal's columns and rows; the usual ones where it does not tell.
pub(super) fn size_now() -> Size {
    let (columns, rows) = size().ok().filter(|(columns, rows)| *columns > 0 && *rows > 0).unwrap_or((80, 24));
    Size { columns, rows }
}

/// What is typed, and changes of the terminal's size.
pub(super) struct Input {
    stdin: AsyncFd<OwnedFd>,
    resized: Signal,
}

/// What came of the terminal.
#[derive(Debug, Default)]
pub(super) struct Typed {
    pub(super) keys: Vec<KeyEvent>,
    pub(super) is_resized: bool,
}

impl Input {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            stdin: watched(stdin().as_fd().try_clone_to_owned()?)?,
            resized: signal(SignalKind::window_change())?,
        })
    }

    /// Waits for something to be typed, or for the terminal to become another size; an error when it is gone.
    pub(super) async fn next(&mut self) -> io::Result<Typed> {
        tokio::select! {
            ready = self.stdin.readable() => {
                let mut ready = ready?;
                if ready.ready().is_read_closed() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                let typed = drain()?;
                ready.clear_ready();
                Ok(typed)
            }
            _ = self.resized.recv() => Ok(Typed { is_resized: true, ..drain()? }),
        }
    }
}

/// A file descriptor that tells when something can be read from it.
#[expect(unsafe_code, reason = "whoever registers a file descriptor has to keep it open")]
fn watched(file: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: it is open, and owned by what watches it until that is dropped; nothing puts another file in its place.
    Ok(unsafe { AsyncFd::register_with_interest(file, Interest::READABLE) }?)
}

/// All that is there to be read.
fn drain() -> io::Result<Typed> {
    let mut typed = Typed::default();
    while event::poll(Duration::ZERO)? {
        match event::read()? {
            Event::Key(key) if key.kind != KeyEventKind::Release => typed.keys.push(key),
            Event::Resize(..) => typed.is_resized = true,
            _ => {}
        }
    }
    Ok(typed)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::before_panic_is_told;

    #[test]
    fn a_panic_gives_the_terminal_back_before_it_is_told() {
        let (given_back, told) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let before = std::panic::take_hook();
        {
            let (given_back, told) = (given_back.clone(), told.clone());
            std::panic::set_hook(Box::new(move |_| told.store(given_back.load(Ordering::SeqCst), Ordering::SeqCst)));
        }
        {
            let given_back = given_back.clone();
            before_panic_is_told(move || given_back.store(true, Ordering::SeqCst));
        }
        let ended = std::thread::spawn(|| panic!("on purpose")).join();
        std::panic::set_hook(before);
        assert!(ended.is_err() && told.load(Ordering::SeqCst));
    }
}
