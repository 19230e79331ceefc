//! Which runs of this user go on, so that what a run left that was killed is told from what another run is at.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

/// How long a run that ended is remembered. What it left on a host lies in memory there, and goes with the next boot anyway.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The runs of this user: a file for each, locked for as long as the run's process lives.
#[derive(Clone, Debug)]
pub struct Runs(PathBuf);

/// A run that goes on. The lock ends with this value, and with the process however that ends.
#[derive(Debug)]
pub struct RunLock(#[expect(dead_code, reason = "open for its lock alone")] File);

/// What is known of a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RunState {
    /// It goes on.
    Live,
    /// It ended, or was killed.
    Ended,
    /// It was not begun by this user on this machine, or long ago.
    Unknown,
}

impl Runs {
    /// The runs that have their files in `directory`.
    pub fn at(directory: PathBuf) -> Self {
        Self(directory)
    }

    /// Begins the run called `id`, and forgets those that ended long ago.
    pub fn begin(&self, id: &str) -> io::Result<RunLock> {
        fs::create_dir_all(&self.0)?;
        self.forget_old()?;
        let file = File::create(self.0.join(id))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(RunLock(file))
    }

    /// What is known of the run called `id`.
    pub fn state(&self, id: &str) -> RunState {
        state_of(&self.0.join(id))
    }

    /// Removes from `directory` the entries of runs that do not go on. Their names begin with the run's id.
    pub fn sweep(&self, directory: &Path) -> io::Result<()> {
        let entries = match fs::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?.collect::<Result<Vec<_>, _>>()?,
        };
        for entry in entries {
            // A run makes its entries after its lock, so that one without is nobody's any more.
            if self.state(run_of(&entry.file_name().to_string_lossy())) != RunState::Live {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    fn forget_old(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            let age = entry.metadata().and_then(|metadata| metadata.modified()).map(|time| time.elapsed());
            let old = matches!(age, Ok(Ok(age)) if age > REMEMBERED);
            if old && state_of(&entry.path()) == RunState::Ended {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }
}

/// The id in front of the name of what belongs to a run, such as `20260131-120000-0f3a-p620`.
pub fn run_of(name: &str) -> &str {
    name.match_indices('-').nth(2).map_or(name, |(end, _)| &name[..end])
}

fn state_of(file: &Path) -> RunState {
    let Ok(file) = File::open(file) else { return RunState::Unknown };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => RunState::Ended,
        // Where locks do not work nothing is taken for ended.
        Err(_) => RunState::Live,
    }
}

/// Another hubctl may be at the same.
fn remove(path: &Path) -> io::Result<()> {
    let is_directory = path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
    match if is_directory { fs::remove_dir_all(path) } else { fs::remove_file(path) } {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::new_id;
    use super::*;

    #[test]
    fn a_run_is_live_until_its_lock_ends() {
        let dir = tempfile::tempdir().unwrap();
        let runs = Runs::at(dir.path().join("runs"));
        let lock = runs.begin("a").unwrap();
        assert_eq!((runs.state("a"), runs.state("b")), (RunState::Live, RunState::Unknown));
        // Asking leaves the lock as it is.
        assert_eq!(runs.state("a"), RunState::Live);
        drop(lock);
        assert_eq!(runs.state("a"), RunState::Ended);
    }

    #[test]
    fn only_what_belongs_to_live_runs_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let runs = Runs::at(dir.path().join("runs"));
        let roots = dir.path().join("roots");
        runs.sweep(&roots).unwrap();
        fs::create_dir(&roots).unwrap();
        let (live, ended) = ("20260131-120000-0f3a", "20260131-120000-0f3b");
        let _live = runs.begin(live).unwrap();
        drop(runs.begin(ended).unwrap());
        for name in [format!("{live}-web-1"), format!("{ended}-web-1"), "20250131-120000-0f3a-p620".to_owned()] {
            std::os::unix::fs::symlink("/nix/store/none", roots.join(name)).unwrap();
        }
        fs::create_dir_all(roots.join(format!("{ended}-source-x1/empty"))).unwrap();
        runs.sweep(&roots).unwrap();
        let left: Vec<_> = fs::read_dir(&roots).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, [format!("{live}-web-1").as_str()]);
    }

    #[test]
    fn runs_that_ended_long_ago_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let runs = Runs::at(dir.path().to_path_buf());
        let live = runs.begin("live").unwrap();
        drop(runs.begin("ended").unwrap());
        let long_ago = std::time::SystemTime::now() - 2 * REMEMBERED;
        for name in ["live", "ended"] {
            File::open(dir.path().join(name)).unwrap().set_modified(long_ago).unwrap();
        }
        drop(runs.begin("now").unwrap());
        assert_eq!(
            ["live", "ended", "now"].map(|name| runs.state(name)),
            [RunState::Live, RunState::Unknown, RunState::Ended]
        );
        drop(live);
    }

    #[test]
    fn the_run_stands_in_the_name() {
        let id = new_id(jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(run_of(&format!("{id}-web-1.example")), id);
        assert_eq!(run_of(&id), id);
    }
}
