//! The files of a repository, as transactions change them.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand::RngCore as _;
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest as _, Sha256};

use super::change::{Change, Content, Seen};
use super::disk::{Broken, Disk, open, read};
use super::journal::{Entry, Journal, hex};
use super::spool;
use crate::secrets::error::SecretsError;

/// How many files are made to last at once: what is waited for is the disk.
const AT_ONCE: usize = 32;

type Result<T, E = SecretsError> = std::result::Result<T, E>;

/// The files below a root, which nobody else changes by way of hubctl while this value lives.
pub struct Store {
    root: PathBuf,
    /// Where the journal and the lock are.
    state: PathBuf,
    disk: Disk,
    _lock: File,
    recovered: Recovered,
}

/// What an earlier run that was killed had left, and what was done about it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Recovered {
    /// It had left nothing.
    #[default]
    Nothing,
    /// It had begun to change files: all of them have their new content now.
    Finished(Vec<PathBuf>),
    /// It had not got to change all that it had to: all have their old content.
    TakenBack(Vec<PathBuf>),
}

impl Store {
    /// Takes the repository's lock, and finishes or takes back what an earlier run left. `root` is where paths begin, `state` a
    /// directory of hubctl's own, which is made where it is missing.
    pub fn open(root: &Path, state: &Path, disk: Disk) -> Result<Self> {
        let lock = lock(state)?;
        let mut store = Self {
            root: root.to_path_buf(),
            state: state.to_path_buf(),
            disk,
            _lock: lock,
            recovered: Recovered::Nothing,
        };
        store.recovered = store.recover()?;
        spool::sweep(state).map_err(|error| failed(state, error))?;
        Ok(store)
    }

    /// Whether an earlier run left something below `state` that [`Store::open`] would see to.
    pub fn is_left(state: &Path) -> bool {
        state.join(JOURNAL).exists()
    }

    /// What was done about an earlier run.
    pub fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// Gives all these files their new content, or none of them. A file that is not what was seen of it is an error.
    pub fn commit(&self, changes: &[Change]) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let id = new_id();
        let entries: Vec<_> = changes.iter().map(|change| entry(change, &id)).collect();
        if let Some(wrong) = entries.iter().find(|entry| !entry.is_sane()) {
            return Err(SecretsError::Outside { path: wrong.path.clone() });
        }
        match self.stage_and_rename(changes, &entries) {
            Ok(()) => match self.clean_up(&entries) {
                Err(Broken::Vanished) => Err(SecretsError::Vanished),
                _ => Ok(()),
            },
            // As if this process were no more: the next one sees to it.
            Err((_, Broken::Vanished)) => Err(SecretsError::Vanished),
            Err((path, Broken::Failed(error))) => {
                let left = self.take_back(&entries).err();
                Err(SecretsError::NotWritten { path, error, left: left.map(|(path, _)| path) })
            }
        }
    }

    fn stage_and_rename(&self, changes: &[Change], entries: &[Entry]) -> std::result::Result<(), (PathBuf, Broken)> {
        let here = |broken: Broken| (self.state.clone(), broken);
        self.write_journal(&Journal { renaming: false, entries: entries.to_vec() }).map_err(here)?;
        self.stage(changes, entries)?;
        self.sync_dirs(entries)?;
        for (change, entry) in changes.iter().zip(entries) {
            is_as_seen(&self.root.join(&change.path), change.seen).map_err(|broken| (entry.path.clone(), broken))?;
        }
        self.write_journal(&Journal { renaming: true, entries: entries.to_vec() }).map_err(here)?;
        for entry in entries {
            self.forward(entry).map_err(|broken| (entry.path.clone(), broken))?;
        }
        self.sync_dirs(entries)
    }

    /// Removes the old contents, and the journal last. All files are what they are to be: what fails here is left to the next run.
    fn clean_up(&self, entries: &[Entry]) -> std::result::Result<(), Broken> {
        for entry in entries {
            self.disk.remove(&self.root.join(&entry.beside))?;
        }
        self.remove_journal()
    }

    /// Writes all new contents beside their files, several at once.
    fn stage(&self, changes: &[Change], entries: &[Entry]) -> std::result::Result<(), (PathBuf, Broken)> {
        let next = AtomicUsize::new(0);
        let broken = Mutex::new(None);
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE.min(changes.len()) {
                scope.spawn(|| {
                    while let Some((change, entry)) = {
                        let at = next.fetch_add(1, Ordering::SeqCst);
                        changes.get(at).zip(entries.get(at))
                    } {
                        if let Err(why) = self.stage_one(change, entry)
                            && let Ok(mut first) = broken.lock()
                        {
                            next.store(changes.len(), Ordering::SeqCst);
                            first.get_or_insert((entry.path.clone(), why));
                        }
                    }
                });
            }
        });
        broken.into_inner().unwrap_or_default().map_or(Ok(()), Err)
    }

    fn stage_one(&self, change: &Change, entry: &Entry) -> std::result::Result<(), Broken> {
        let path = self.root.join(&entry.path);
        let like = match fs::symlink_metadata(&path) {
            Ok(about) => Some(about),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let beside = self.root.join(&entry.beside);
        match &change.content {
            Content::Bytes(bytes) => self.disk.create(&beside, bytes, like.as_ref()),
            Content::Spooled(spooled) => self.disk.take(spooled.path(), &beside, like.as_ref()),
            // Nothing takes its place.
            Content::Nothing => Ok(()),
        }
    }

    /// Gives a file its new content; the old one goes beside it.
    fn forward(&self, entry: &Entry) -> std::result::Result<(), Broken> {
        let (path, beside) = (self.root.join(&entry.path), self.root.join(&entry.beside));
        let Some(old) = &entry.old else { return self.disk.rename_to_new(&beside, &path) };
        if entry.new.is_some() {
            self.disk.exchange(&beside, &path)?;
        } else {
            self.disk.rename_to_new(&path, &beside)?;
        }
        // Whoever wrote in between has what they wrote beside it now.
        if hash_of(&beside)?.as_ref() == Some(old) { Ok(()) } else { Err(changed().into()) }
    }

    /// Gives all files their old content, and removes what was beside them. Gives the first that this failed for.
    fn take_back(&self, entries: &[Entry]) -> std::result::Result<(), (PathBuf, Broken)> {
        for entry in entries {
            self.back(entry).map_err(|broken| (entry.path.clone(), broken))?;
        }
        self.sync_dirs(entries)?;
        self.remove_journal().map_err(|broken| (self.state.clone(), broken))?;
        Ok(())
    }

    fn back(&self, entry: &Entry) -> std::result::Result<(), Broken> {
        let (path, beside) = (self.root.join(&entry.path), self.root.join(&entry.beside));
        let (now, kept) = (hash_of(&path)?, hash_of(&beside)?);
        let has_new = now == entry.new;
        match (&entry.old, kept) {
            // Only a transaction gives the old content this name.
            (Some(_), Some(_)) if has_new && now.is_none() => self.disk.rename_to_new(&beside, &path)?,
            (Some(_), kept @ Some(_)) if has_new && kept != entry.new => self.disk.exchange(&beside, &path)?,
            (None, None) if has_new => self.disk.rename_to_new(&path, &beside)?,
            _ => {}
        }
        self.disk.remove(&beside)
    }

    /// Sees to what an earlier run left.
    fn recover(&self) -> Result<Recovered> {
        let file = self.state.join(JOURNAL);
        let unreadable = |error: io::Error| SecretsError::NotWritten { path: file.clone(), error, left: None };
        let Some((text, _)) = read(&file).map_err(unreadable)? else { return Ok(Recovered::Nothing) };
        let journal: Journal = serde_json::from_slice(&text).map_err(|error| unreadable(io::Error::other(error)))?;
        if !journal.entries.iter().all(Entry::is_sane) {
            return Err(unreadable(io::Error::other("it names files outside of the repository")));
        }
        let paths = || journal.entries.iter().map(|entry| entry.path.clone()).collect();
        let done = if journal.renaming && self.can_finish(&journal.entries)? {
            self.finish(&journal.entries).map(|()| Recovered::Finished(paths()))
        } else {
            self.take_back(&journal.entries).map(|()| Recovered::TakenBack(paths()))
        };
        done.map_err(|(path, broken)| match broken {
            Broken::Failed(error) => SecretsError::NotWritten { left: Some(path.clone()), path, error },
            Broken::Vanished => SecretsError::Vanished,
        })
    }

    /// Whether each file has its new content, or has its old one and the new one lies whole beside it.
    fn can_finish(&self, entries: &[Entry]) -> Result<bool> {
        for entry in entries {
            let of = |path: &Path| {
                hash_of(&self.root.join(path)).map_err(|broken| match broken {
                    Broken::Failed(error) => SecretsError::NotWritten { path: path.to_path_buf(), error, left: None },
                    Broken::Vanished => SecretsError::Vanished,
                })
            };
            let now = of(&entry.path)?;
            let is_done = now == entry.new;
            // One that is to go has nothing beside it until it went.
            if !is_done && (now != entry.old || of(&entry.beside)? != entry.new) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn finish(&self, entries: &[Entry]) -> std::result::Result<(), (PathBuf, Broken)> {
        for entry in entries {
            let here = |broken| (entry.path.clone(), broken);
            if hash_of(&self.root.join(&entry.path)).map_err(here)? != entry.new {
                self.forward(entry).map_err(here)?;
            }
        }
        self.sync_dirs(entries)?;
        for entry in entries {
            self.disk.remove(&self.root.join(&entry.beside)).map_err(|broken| (entry.path.clone(), broken))?;
        }
        self.remove_journal().map_err(|broken| (self.state.clone(), broken))
    }

    fn write_journal(&self, journal: &Journal) -> std::result::Result<(), Broken> {
        let text = serde_json::to_vec(journal).map_err(io::Error::from)?;
        let (file, new) = (self.state.join(JOURNAL), self.state.join("journal.new"));
        // One that a run left before it was whole.
        let _ = fs::remove_file(&new);
        self.disk.create(&new, &text, None)?;
        self.disk.replace(&new, &file)?;
        self.disk.sync_dir(&self.state)
    }

    fn remove_journal(&self) -> std::result::Result<(), Broken> {
        self.disk.remove(&self.state.join(JOURNAL))?;
        self.disk.sync_dir(&self.state)
    }

    fn sync_dirs(&self, entries: &[Entry]) -> std::result::Result<(), (PathBuf, Broken)> {
        let dirs: BTreeSet<_> = entries.iter().filter_map(|entry| entry.path.parent()).collect();
        for dir in dirs {
            self.disk.sync_dir(&self.root.join(dir)).map_err(|broken| (dir.to_path_buf(), broken))?;
        }
        Ok(())
    }
}

/// The journal's name.
const JOURNAL: &str = "journal.json";

fn entry(change: &Change, id: &str) -> Entry {
    let old = match &change.seen {
        Seen::Nothing => None,
        Seen::Content(hash) => Some(hash),
    };
    Entry::new(&change.path, old, change.content.hash().as_ref(), id)
}

/// What is seen of a file, however long it is.
pub fn seen(path: &Path) -> io::Result<Seen> {
    let Some((mut file, _)) = open(path)? else { return Ok(Seen::Nothing) };
    let mut hash = Sha256::new();
    io::copy(&mut file, &mut hash)?;
    Ok(Seen::Content(hash.finalize().into()))
}

/// The hash of a file's content; nothing where there is none.
fn hash_of(path: &Path) -> std::result::Result<Option<String>, Broken> {
    Ok(match seen(path)? {
        Seen::Nothing => None,
        Seen::Content(hash) => Some(hex(&hash)),
    })
}

fn is_as_seen(path: &Path, was: Seen) -> std::result::Result<(), Broken> {
    if seen(path)? == was { Ok(()) } else { Err(changed().into()) }
}

fn changed() -> io::Error {
    io::Error::other("somebody else changed it meanwhile")
}

fn new_id() -> String {
    format!("{:08x}", rand::rngs::OsRng.next_u32())
}

/// Takes the repository's lock, or tells that another has it.
fn lock(state: &Path) -> Result<File> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(state).map_err(|error| failed(state, error))?;
    let path = state.join("lock");
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
    let file = file.map_err(|error| failed(state, error))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(SecretsError::Busy),
        Err(error) => Err(failed(state, error.into())),
    }
}

fn failed(state: &Path, error: io::Error) -> SecretsError {
    SecretsError::NotWritten { path: state.to_path_buf(), error, left: None }
}
