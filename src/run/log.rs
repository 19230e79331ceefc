//! The whole log of one host's part of a run, in a file.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use crate::fleet::HostName;
use crate::report::StepName;

/// A host's log file. It is made with its first line, so that hosts with nothing to say leave none.
#[derive(Debug)]
pub(super) struct HostLog {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    broken: bool,
}

impl HostLog {
    pub(super) fn new(directory: &Path, host: &HostName) -> Self {
        Self { path: directory.join(format!("{host}.log")), file: None, broken: false }
    }

    /// Adds a line. A disk that takes no more is told by [`Self::path`] giving none.
    pub(super) fn line(&mut self, step: StepName, line: &str) {
        if !self.broken && self.write(step, line).is_err() {
            self.broken = true;
        }
    }

    /// Where the log is, written out as far as it goes; none when there is none.
    pub(super) fn path(&mut self) -> Option<String> {
        let file = self.file.as_mut()?;
        if self.broken || file.flush().is_err() {
            return None;
        }
        Some(self.path.display().to_string())
    }

    fn write(&mut self, step: StepName, line: &str) -> io::Result<()> {
        let file = if let Some(file) = &mut self.file {
            file
        } else {
            if let Some(directory) = self.path.parent() {
                fs::create_dir_all(directory)?;
            }
            // A host that is brought back has two parts, and one log.
            let file = File::options().create(true).append(true).open(&self.path)?;
            self.file.insert(BufWriter::new(file))
        };
        writeln!(file, "{:<8} | {line}", step.as_str())
    }
}
