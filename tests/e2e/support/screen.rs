//! A program in a real terminal: what is typed into it, and what its screen shows.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use rexpect::process::{PtyProcess, Signal, WaitStatus};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};

/// How long is waited for what is to be on the screen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal with a program in it, and its screen.
pub(crate) struct Screen {
    process: PtyProcess,
    keys: File,
    parser: Arc<Mutex<vt100::Parser>>,
    /// What was printed since something was typed last.
    printed: Arc<Mutex<Vec<u8>>>,
}

impl Screen {
    /// Starts a program in a terminal of this size, which is there before the program is.
    pub(crate) fn start(command: &Command, columns: u16, rows: u16) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", "read -r _ && stty echo && exec \"$@\"", "sh"]);
        shell.arg(command.get_program()).args(command.get_args());
        shell.env_clear().envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
        shell.env("TERM", "xterm-256color");
        if let Some(directory) = command.get_current_dir() {
            shell.current_dir(directory);
        }
        let process = PtyProcess::new(shell).unwrap();
        let (keys, mut output) = (process.get_file_handle().unwrap(), process.get_file_handle().unwrap());
        let parser = Arc::new(Mutex::new(vt100::Parser::new(size(rows), size(columns), 0)));
        let printed = Arc::new(Mutex::new(Vec::new()));
        let screen = Self { process, keys, parser: parser.clone(), printed: printed.clone() };
        spawn(move || {
            let mut bytes = [0; 4096];
            // Reading ends with an error when the program does.
            while let Ok(count) = output.read(&mut bytes) {
                parser.lock().unwrap().process(&bytes[..count]);
                printed.lock().unwrap().extend(&bytes[..count]);
            }
        });
        screen.resize(columns, rows);
        screen.keys("\n");
        screen
    }

    /// Gives the terminal another size.
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        self.parser.lock().unwrap().screen_mut().set_size(size(rows), size(columns));
        tcsetwinsize(&self.keys, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    }

    /// Types.
    pub(crate) fn keys(&self, keys: &str) {
        self.printed.lock().unwrap().clear();
        (&self.keys).write_all(keys.as_bytes()).unwrap();
    }

    /// What the screen shows.
    pub(crate) fn text(&self) -> String {
        self.parser.lock().unwrap().screen().contents()
    }

    /// Waits until the screen shows `text`.
    #[track_caller]
    pub(crate) fn shows(&self, text: &str) {
        self.reaches(text, |screen| screen.contains(text));
    }

    /// Waits until `text` was printed since something was typed last, be it on the screen from before or not.
    #[track_caller]
    pub(crate) fn prints(&self, text: &str) {
        self.reaches(text, |_| String::from_utf8_lossy(&self.printed.lock().unwrap()).contains(text));
    }

    /// Waits until `holds` is true of what the screen shows.
    #[track_caller]
    pub(crate) fn reaches(&self, what: &str, holds: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        while !holds(&self.text()) {
            assert!(begun.elapsed() < PATIENCE, "no `{what}` on the screen:\n{}", self.text());
            sleep(Duration::from_millis(20));
        }
    }

    /// Whether the program has taken the whole screen: another one than that of the shell it was started from.
    pub(crate) fn is_taken(&self) -> bool {
        self.parser.lock().unwrap().screen().alternate_screen()
    }

    /// Whether keys reach the program one by one, and unseen.
    pub(crate) fn is_raw(&self) -> bool {
        use rustix::termios::LocalModes;
        !tcgetattr(&self.keys).unwrap().local_modes.intersects(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// Sends the program a signal.
    pub(crate) fn signal(&mut self, signal: Signal) {
        self.process.signal(signal).unwrap();
    }

    /// Waits for the program's end and gives its exit code.
    #[track_caller]
    pub(crate) fn exit(&self) -> i32 {
        let begun = Instant::now();
        loop {
            match self.process.status() {
                Some(WaitStatus::Exited(_, code)) => return code,
                Some(WaitStatus::StillAlive) => {}
                other => panic!("it ended otherwise: {other:?}"),
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end:\n{}", self.text());
            sleep(Duration::from_millis(20));
        }
    }

    /// Asserts that the terminal is as it was before the program took it.
    #[track_caller]
    pub(crate) fn assert_given_back(&self) {
        self.reaches("the shell's own screen", |_| !self.is_taken());
        assert!(!self.is_raw(), "keys are still read one by one");
        assert!(!self.parser.lock().unwrap().screen().hide_cursor(), "the cursor is still hidden");
    }
}

fn size(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).unwrap()
}
