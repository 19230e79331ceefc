//! Asking a flake while the kernel is watched for what the answer is read from.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::eval::{EvalError, Query};
use super::footprint::{Blind, Footprint, asked_fact};
use super::program::Nix;
use super::source::Source;
use super::store_path::StorePath;
use super::traces;
use super::tree::{Tree, hash};
use super::watch::{self, Opened, Watch};
use crate::process::{Cancel, Cmd, Failure, Output};

/// After how long a child's peak of memory is read first.
const FIRST_SAMPLE: Duration = Duration::from_millis(10);

/// An answer, and what was seen on the way to it.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The answer, as JSON.
    pub answer: String,
    /// The files that were opened in the source, or why they are not known.
    opened: Result<Opened, Blind>,
    /// How long it took.
    pub duration: Duration,
    /// The most memory that Nix had, in KiB; none where it ended too soon to tell.
    pub peak: Option<u64>,
}

/// Asks a flake and watches what of its source is opened. `empty` is an empty directory.
///
/// Each evaluation sees the source through a mount of its own, so that evaluations side by side do not see each other's files.
/// Where the kernel does not allow that, the source itself is watched, and a footprint may have files too many.
pub async fn ask_watched(
    nix: &Nix,
    source: &Source,
    tree: &Tree,
    empty: &Path,
    query: &Query,
    cancel: &Cancel,
    on_line: &mut (dyn FnMut(&str) + Send),
) -> Result<Observed, EvalError> {
    let cmd = nix.with_own_cache(query.command(nix, source)).map_err(EvalError::Nix)?;
    let own_view = cmd.clone().own_view(tree.root(), empty);
    let mut seen = watched(&own_view, tree, |pid| seen_by(pid, tree.root()), cancel, on_line).await;
    if matches!(&seen.ended, Err(failure) if failure.is_not_started()) {
        tracing::info!("no view of its own for an evaluation; the source itself is watched");
        seen = watched(&cmd, tree, |_| tree.root().to_path_buf(), cancel, on_line).await;
    }
    Ok(Observed { answer: query.answer(seen.ended)?, opened: seen.opened, duration: seen.duration, peak: seen.peak })
}

struct Seen {
    ended: Result<Output, Failure>,
    opened: Result<Opened, Blind>,
    duration: Duration,
    peak: Option<u64>,
}

/// The path by which this process sees what the process `pid` sees at `path`.
fn seen_by(pid: u32, path: &Path) -> PathBuf {
    let below_root = path.strip_prefix("/").unwrap_or(path);
    Path::new("/proc").join(pid.to_string()).join("root").join(below_root)
}

async fn watched(
    cmd: &Cmd,
    tree: &Tree,
    place: impl FnOnce(u32) -> PathBuf + Send,
    cancel: &Cancel,
    on_line: &mut (dyn FnMut(&str) + Send),
) -> Seen {
    let begun = Instant::now();
    let (stop, stopped) = oneshot::channel();
    let mut follower = None;
    let on_start = |pid: u32| {
        let watch = Watch::new().and_then(|mut watch| watch.add(tree, &place(pid)).map(|()| watch));
        follower = Some(tokio::spawn(follow(pid, watch, stopped)));
    };
    let ended = cmd.output_watched(cancel, |line| on_line(line), on_start).await;
    let duration = begun.elapsed();
    // The follower waits for this, or has ended by an error that it tells.
    stop.send(()).ok();
    let (opened, peak) = match follower {
        Some(follower) => follower.await.unwrap_or((Err(Blind::NotSeen), None)),
        None => (Err(Blind::NotSeen), None),
    };
    Seen { ended, opened, duration, peak }
}

/// Takes in what is opened, and the process's peak of memory, until told to stop.
async fn follow(
    pid: u32,
    watch: io::Result<Watch>,
    mut stopped: oneshot::Receiver<()>,
) -> (Result<Opened, Blind>, Option<u64>) {
    let blind = |error: io::Error| Err(Blind::NotWatched(watch::explain(&error)));
    let mut watch = match watch {
        Ok(watch) => watch,
        Err(error) => return (blind(error), None),
    };
    let (mut peak, begun) = (None, tokio::time::Instant::now());
    let mut sample = begun + FIRST_SAMPLE;
    loop {
        tokio::select! {
            _ = &mut stopped => return (watch.finish().or_else(blind), peak),
            taken = watch.take_in() => if let Err(error) = taken {
                return (blind(error), peak);
            },
            () = tokio::time::sleep_until(sample) => {
                peak = peak_of(pid).max(peak);
                // The kernel keeps the peak: what is missed is what is used after the last look, a quarter of the time at most.
                sample += (sample - begun) / 4;
            }
        }
    }
}

/// The most memory that a process has had so far, in KiB. Source: proc(5), `VmHWM`.
fn peak_of(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

impl Observed {
    /// Whether the flake's own file was read from this source, and not from a copy of another state of the work tree.
    pub fn saw_flake(&self, source: &Source) -> bool {
        self.opened.as_ref().is_ok_and(|opened| opened.files.contains(&source.flake_file()))
    }

    /// What the answer depends on. `drv` is the derivation that the answer names, if any: one whose closure holds or names the
    /// source depends on all of it, whatever was opened.
    pub async fn footprint(
        &self,
        nix: &Nix,
        source: &Source,
        tree: &Tree,
        drv: Option<&StorePath>,
        cancel: &Cancel,
    ) -> Footprint {
        if !nix.version().opens_all_it_reads() {
            return Footprint::Everything(Blind::UntriedNix);
        }
        let files = match self.files(source, tree) {
            Ok(files) => files,
            Err(blind) => return Footprint::Everything(blind),
        };
        if traces::are_left(source, &self.answer, drv).await {
            return Footprint::Everything(Blind::HoldsSource);
        }
        if traces::are_built(nix, source, cancel).await {
            return Footprint::Everything(Blind::BuiltFrom);
        }
        Footprint::Files(files)
    }

    /// The files that were read, with their hashes, when they tell all.
    fn files(&self, source: &Source, tree: &Tree) -> Result<BTreeMap<String, String>, Blind> {
        let opened = self.opened.as_ref().map_err(Clone::clone)?;
        if opened.overflowed {
            return Err(Blind::Overflow);
        }
        if !opened.files.contains(&source.flake_file()) {
            return Err(Blind::NotSeen);
        }
        if source.has_local_inputs() {
            return Err(Blind::LocalInputs);
        }
        let mut files = BTreeMap::new();
        for path in &opened.files {
            // A name that is no UTF-8, or a file that cannot be read, is nothing to vouch for.
            let file = path.to_str().ok_or(Blind::NotSeen)?;
            let text = fs::read(tree.root().join(path)).map_err(|_| Blind::NotSeen)?;
            if let Some(word) = asked_fact(&text) {
                return Err(Blind::AsksForSource { file: file.to_owned(), word: word.to_owned() });
            }
            files.insert(file.to_owned(), hash(&text));
        }
        Ok(files)
    }
}
