//! The terminal: taken whole, given back in every case, and what is typed into it.

use std::io::{self, Stdout, stdin, stdout};
use std::os::fd::{AsFd, OwnedFd};
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
use rustix::io::ioctl_fionread;
use rustix::process::{Signal as Number, getpid, kill_process};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::draw::draw;
use super::model::{Model, Size};
use super::theme::Theme;
use crate::cli::hub::Hub;
use crate::error::{Error, Kind, Result};
use crate::report::Output;

/// How often at most it is told again that something can be read: the terminal may become yet another size meanwhile.
const TOLD_AGAIN: usize = 8;

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
    take(&mut typed)?;
    let terminal = stdin();
    for _ in 0..TOLD_AGAIN {
        if !is_unread(&terminal)? {
            break;
        }
        tell_again(&terminal)?;
        take(&mut typed)?;
    }
    Ok(typed)
}

/// Adds the events that crossterm knows of. It is told only once of what was typed, and forgets that when it hears of another size in
/// the same moment.
fn take(typed: &mut Typed) -> io::Result<()> {
    while event::poll(Duration::ZERO)? {
        match event::read()? {
            Event::Key(key) if key.kind != KeyEventKind::Release => typed.keys.push(key),
            Event::Resize(..) => typed.is_resized = true,
            _ => {}
        }
    }
    Ok(())
}

/// Whether something was typed that nobody read.
fn is_unread(terminal: impl AsFd) -> io::Result<bool> {
    Ok(ioctl_fionread(terminal)? > 0)
}

/// Has everybody who waits for a terminal told again that it can be read: setting its attributes does that, also to what they are.
fn tell_again(terminal: impl AsFd) -> io::Result<()> {
    Ok(tcsetattr(&terminal, OptionalActions::Now, &tcgetattr(&terminal)?)?)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Write as _};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use tokio::time::timeout;

    use super::{before_panic_is_told, is_unread, tell_again, watched};

    #[tokio::test]
    async fn what_was_not_read_is_told_again() {
        let mut session = rexpect::spawn("sh -c 'tty; exec sleep 1000'", None).unwrap();
        let mut keys = session.process().get_file_handle().unwrap();
        // The terminal as its programs have it.
        let terminal = File::open(session.read_line().unwrap()).unwrap();
        let told = watched(terminal.try_clone().unwrap().into()).unwrap();
        let is_told = async || timeout(Duration::from_millis(200), told.readable()).await.is_ok();
        keys.write_all(b"a key\n").unwrap();
        assert!(is_told().await);
        told.readable().await.unwrap().clear_ready();
        assert!(is_unread(&terminal).unwrap() && !is_told().await);
        tell_again(&terminal).unwrap();
        timeout(Duration::from_secs(60), told.readable()).await.unwrap().unwrap().retain_ready();
        (&terminal).read_exact(&mut [0; 6]).unwrap();
        assert!(!is_unread(&terminal).unwrap());
    }

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
