//! The life of one child: spawned in its own process group, read, waited for, stopped.

use std::collections::VecDeque;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::cancel::{Cancel, Level};
use super::cmd::{Cmd, Output};
use super::failure::{End, Failure};
use super::group::{Group, pid_of};
use super::lines::{LineSink, for_each_line};
use super::passing::Passing;

/// How long a child may take to end after TERM before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// How many lines of standard error are kept for messages.
const TAIL_LINES: usize = 40;

/// Where the lines of a child's output go, as they come.
pub(super) struct Sinks<'a> {
    /// Standard output; collected where nobody takes it.
    pub(super) stdout: Option<LineSink<'a>>,
    /// Standard error.
    pub(super) stderr: LineSink<'a>,
}

impl<'a> Sinks<'a> {
    pub(super) fn stderr(stderr: LineSink<'a>) -> Self {
        Self { stdout: None, stderr }
    }
}

/// What is to happen between the child's fork and the begin of its program.
pub(super) type OnStart<'a> = Box<dyn FnOnce(u32) + Send + 'a>;

/// A shell that waits for a line before it becomes the program that its arguments name.
const GATE: [&str; 4] = ["/bin/sh", "-c", "read -r _ && exec \"$@\"", "sh"];

/// Runs `cmd` to its end. With `on_start`, its program begins only after that has returned.
pub(super) async fn captured(
    cmd: &Cmd,
    cancel: &Cancel,
    sinks: Sinks<'_>,
    on_start: Option<OnStart<'_>>,
) -> Result<Output, Failure> {
    let (mut child, group) = start(cmd, on_start.is_some())?;
    let mut word: &[u8] = b"";
    if let (Some(on_start), Some(id)) = (on_start, child.id()) {
        on_start(id);
        word = b"\n";
    }
    let mut output = Output::default();
    let mut tail = VecDeque::new();
    let stopped = tokio::select! {
        ended = converse(&mut child, [word, &cmd.stdin], sinks, &mut output.stdout, &mut tail) => Ok(ended),
        () = cancel.reached(cmd.stop_at) => Err(End::Cancelled),
        end = expired(cmd.deadline) => Err(end),
    };
    let end = match stopped {
        Ok(ended) => {
            group.release().await;
            end_of(ended)
        }
        Err(end) => {
            stop(&mut child, &group, cancel).await;
            Some(end)
        }
    };
    output.stderr = tail.into();
    match end {
        None => Ok(output),
        Some(end) => Err(cmd.failure(end, output.stderr)),
    }
}

/// Spawns the child in a group of its own. Where it is `gated`, its program waits for a line before all its input.
fn start(cmd: &Cmd, gated: bool) -> Result<(Child, Group), Failure> {
    let gate: &[&str] = if gated { &GATE } else { &[] };
    let failed = |error| cmd.failure(End::Io(error), Vec::new());
    let guarded = if cmd.ends_by_itself { None } else { Some(Group::guarded().map_err(failed)?) };
    let child = spawn(cmd, gate, |command| {
        let group = guarded.as_ref().map_or(0, Group::id);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(group);
        set_view(command, cmd)
    })?;
    let group = match guarded {
        Some(group) => group,
        None => Group::led_by(&child).map_err(failed)?,
    };
    Ok((child, group))
}

/// Gives the child its input, which may be secret and so is copied nowhere, and takes its output until it has ended. Standard
/// output that no sink takes is collected in `collected`, the last lines of standard error in `tail`.
async fn converse(
    child: &mut Child,
    input: [&[u8]; 2],
    sinks: Sinks<'_>,
    collected: &mut Vec<u8>,
    tail: &mut VecDeque<String>,
) -> io::Result<ExitStatus> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut pipe) = stdin {
            for part in input {
                // A child that does not read its input ends that by closing it, which is no error of its own.
                let _ = pipe.write_all(part).await;
            }
        }
    };
    let read_stdout = async {
        match sinks.stdout {
            Some(on_line) => read_lines(stdout, on_line).await,
            None => read_all(stdout, collected).await,
        }
    };
    let mut keep_tail = |line: &str| {
        keep(tail, line);
        (sinks.stderr)(line);
    };
    let ((), read_out, read_err) = tokio::join!(feed, read_stdout, read_lines(stderr, &mut keep_tail));
    read_out.and(read_err)?;
    child.wait().await
}

/// Runs `cmd` with hubctl's own terminal, and passes signals of these kinds on to it.
pub(super) async fn foreground(cmd: &Cmd, passed: &'static [Signal]) -> Result<(), Failure> {
    let mut passing = Passing::listen(passed).map_err(|error| cmd.failure(End::Io(error), Vec::new()))?;
    let mut child = spawn(cmd, &[], |_| Ok(()))?;
    let pid = pid_of(&child);
    let ended = tokio::select! {
        ended = child.wait() => ended,
        never = passing.to(pid) => match never {},
    };
    end_of(ended).map_or(Ok(()), |end| Err(cmd.failure(end, Vec::new())))
}

#[expect(clippy::disallowed_methods, reason = "this is the process layer")]
fn spawn(cmd: &Cmd, gate: &[&str], configure: impl FnOnce(&mut Command) -> io::Result<()>) -> Result<Child, Failure> {
    let mut words = gate.iter().map(std::ffi::OsStr::new).chain([cmd.program.as_os_str()]);
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).args(&cmd.args);
    for (key, value) in &cmd.env {
        match value {
            Some(value) => command.env(key, value),
            None => command.env_remove(key),
        };
    }
    if let Some(dir) = &cmd.cwd {
        command.current_dir(dir);
    }
    tracing::debug!(command = cmd.display(), "run");
    configure(&mut command).and_then(|()| command.spawn()).map_err(|error| {
        let end = if error.kind() == io::ErrorKind::NotFound { End::NotFound } else { End::Io(error) };
        cmd.failure(end, Vec::new())
    })
}

/// Gives the child its own view of a directory, where the command asks for one.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "a mount namespace of the child's own must be made between fork and exec")]
fn set_view(command: &mut Command, cmd: &Cmd) -> io::Result<()> {
    let Some((directory, empty)) = &cmd.view else { return Ok(()) };
    let view = super::view::View::of(directory, empty)?;
    // SAFETY: all that `enter` needs is made already, and it does system calls alone.
    unsafe {
        command.pre_exec(move || view.enter());
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn set_view(_command: &mut Command, cmd: &Cmd) -> io::Result<()> {
    if cmd.view.is_some() { Err(io::ErrorKind::Unsupported.into()) } else { Ok(()) }
}

async fn stop(child: &mut Child, group: &Group, cancel: &Cancel) {
    group.signal(Signal::TERM);
    tokio::select! {
        _ = child.wait() => {}
        () = tokio::time::sleep(GRACE) => {}
        () = cancel.reached(Level::Hard) => {}
    }
    group.signal(Signal::KILL);
    // The status of a child that was killed on purpose says nothing more.
    let _ = child.wait().await;
}

async fn expired(deadline: Option<Duration>) -> End {
    match deadline {
        Some(limit) => {
            tokio::time::sleep(limit).await;
            End::TimedOut(limit)
        }
        None => std::future::pending().await,
    }
}

fn end_of(ended: io::Result<ExitStatus>) -> Option<End> {
    match ended {
        Ok(status) if status.success() => None,
        Ok(status) => Some(match status.code() {
            Some(code) => End::Code(code),
            None => End::Signal(status.signal().unwrap_or_default()),
        }),
        Err(error) => Some(End::Io(error)),
    }
}

async fn read_all(pipe: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) -> io::Result<()> {
    if let Some(mut pipe) = pipe {
        pipe.read_to_end(into).await?;
    }
    Ok(())
}

async fn read_lines(pipe: Option<impl AsyncRead + Unpin>, on_line: LineSink<'_>) -> io::Result<()> {
    match pipe {
        Some(pipe) => for_each_line(pipe, on_line).await,
        None => Ok(()),
    }
}

fn keep(tail: &mut VecDeque<String>, line: &str) {
    if tail.len() == TAIL_LINES {
        tail.pop_front();
    }
    tail.push_back(line.to_owned());
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::{Cancel, Canceller, Cmd, End, Level};

    #[tokio::test]
    async fn output_and_exit_code_are_told() {
        let output = Cmd::new("sh").args(["-c", "cat; echo warn >&2"]).stdin("in").output(&Cancel::never()).await;
        let output = output.unwrap();
        assert_eq!((output.text().as_str(), output.stderr.as_slice()), ("in", &["warn".to_owned()][..]));

        let failure = Cmd::new("sh").args(["-c", "echo no >&2; exit 7"]).output(&Cancel::never()).await.unwrap_err();
        assert!(matches!(failure.end, End::Code(7)));
        assert_eq!(failure.to_string(), "`sh` exited with code 7: no");

        let failure = Cmd::new("/no/such/program").output(&Cancel::never()).await.unwrap_err();
        assert!(matches!(failure.end, End::NotFound));
    }

    #[tokio::test]
    async fn a_deadline_ends_the_whole_group() {
        let marker = tempfile::NamedTempFile::new().unwrap();
        let script = format!("(sleep 3; echo late > {}) & wait", marker.path().display());
        let begun = Instant::now();
        let cmd = Cmd::new("sh").args(["-c", &script]).deadline(Duration::from_millis(100));
        assert!(matches!(cmd.output(&Cancel::never()).await.unwrap_err().end, End::TimedOut(_)));
        assert!(begun.elapsed() < Duration::from_secs(3));
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(std::fs::read_to_string(marker.path()).unwrap(), "");
    }

    #[tokio::test]
    async fn what_a_child_left_running_on_purpose_stays_and_what_is_dropped_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let (left, dropped) = (dir.path().join("left"), dir.path().join("dropped"));
        let leaving = format!("(sleep 1; echo on >{}) >/dev/null 2>&1 &", left.display());
        Cmd::new("sh").args(["-c", &leaving]).output(&Cancel::never()).await.unwrap();
        let lasting = format!("sleep 1; echo on >{}", dropped.display());
        let cmd = Cmd::new("sh").args(["-c", &lasting]);
        let never = Cancel::never();
        let given_up = tokio::time::timeout(Duration::from_millis(200), cmd.output(&never)).await;
        assert!(given_up.is_err());
        while !left.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(!dropped.exists());
    }

    #[tokio::test]
    async fn only_a_wish_of_its_level_stops_a_child() {
        let (canceller, cancel) = Canceller::new();
        canceller.raise(Level::Soft);
        let cmd = Cmd::new("sh").args(["-c", "sleep 0.2; echo done"]).stop_at(Level::Hard);
        assert_eq!(cmd.output(&cancel).await.unwrap().text(), "done");
        assert!(Cmd::new("sleep").arg("9").output(&cancel).await.unwrap_err().is_cancelled());
    }
}
