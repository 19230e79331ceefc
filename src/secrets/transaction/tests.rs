//! A transaction is stopped at each of its operations, in each way.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use super::{Change, Disk, Recovered, Seen, Step, Store};
use crate::secrets::error::SecretsError;

/// A tree of files, and what is to become of them.
struct Tree {
    dir: TempDir,
    changes: Vec<Change>,
    old: BTreeMap<PathBuf, Vec<u8>>,
    new: BTreeMap<PathBuf, Vec<u8>>,
}

impl Tree {
    /// So many files in two directories, and one more that is not there yet.
    fn new(count: usize) -> Self {
        // To make files last takes a disk its time, of which nothing is seen here.
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let mut tree = Self { dir, changes: Vec::new(), old: BTreeMap::new(), new: BTreeMap::new() };
        for at in 0..=count {
            let path = PathBuf::from(["root/a", "root/b"][at % 2]).join(format!("{at}.age"));
            let (old, content) = (format!("old {at}").into_bytes(), format!("new {at}").into_bytes());
            fs::create_dir_all(tree.dir.path().join(path.parent().unwrap())).unwrap();
            let seen = if at == count { Seen::Nothing } else { Seen::of(&old) };
            tree.new.insert(path.clone(), content.clone());
            if at < count {
                fs::write(tree.dir.path().join(&path), &old).unwrap();
                tree.old.insert(path.clone(), old);
            }
            tree.changes.push(Change {
                path: path.strip_prefix("root").unwrap().to_path_buf(),
                seen,
                content: content.into(),
            });
        }
        // One that is to go.
        fs::write(tree.dir.path().join("root/a/gone.age"), "gone").unwrap();
        tree.old.insert("root/a/gone.age".into(), b"gone".to_vec());
        tree.changes.insert(1, Change::gone("a/gone.age".into(), Seen::of(b"gone")));
        tree
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn open(&self, disk: Disk) -> Result<Store, SecretsError> {
        Store::open(&self.root(), &self.dir.path().join("state"), disk)
    }

    /// All files below the root, hidden ones too.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        for dir in ["root/a", "root/b"] {
            for entry in fs::read_dir(self.dir.path().join(dir)).unwrap().flatten() {
                found.insert(Path::new(dir).join(entry.file_name()), fs::read(entry.path()).unwrap());
            }
        }
        found
    }

    #[track_caller]
    fn is_old(&self) {
        assert_eq!(self.files(), self.old);
    }

    #[track_caller]
    fn is_new(&self) {
        assert_eq!(self.files(), self.new);
    }

    #[track_caller]
    fn is_whole(&self, what: &str) {
        let files = self.files();
        assert!(files == self.old || files == self.new, "{what}: {:?}", files.keys());
    }
}

/// A disk whose operation `at` ends in `step`; the number of operations that it was asked for.
fn disk(at: usize, step: impl Fn() -> Step + Send + Sync + 'static) -> (Disk, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let asked = count.clone();
    // After the first that did not happen none happens: the process is gone.
    let hook = move |_: &'static str| match (asked.fetch_add(1, Ordering::SeqCst), step()) {
        (now, Step::Vanish) if now >= at => Step::Vanish,
        (now, step) if now == at => step,
        _ => Step::Go,
    };
    (Disk::with_hook(hook), count)
}

/// Stops a transaction of `count` files at each operation; gives the number of operations.
fn sweep(count: usize, step: fn() -> Step, check: impl Fn(&Tree, usize, Result<(), SecretsError>)) -> usize {
    for at in 0.. {
        let tree = Tree::new(count);
        let (disk, asked) = disk(at, step);
        let done = tree.open(disk).and_then(|store| store.commit(&tree.changes));
        check(&tree, at, done);
        if asked.load(Ordering::SeqCst) <= at {
            return at;
        }
    }
    0
}

#[test]
fn killed_at_any_operation_the_tree_is_wholly_old_or_wholly_new_after_the_next_start() {
    // With 200 of them it takes a minute.
    let count = std::env::var("HUBCTL_TEST_SWEEP").ok().and_then(|count| count.parse().ok()).unwrap_or(50);
    let operations = sweep(
        count,
        || Step::Vanish,
        |tree, at, _| {
            let store = tree.open(Disk::default()).unwrap();
            tree.is_whole(&format!("operation {at}"));
            match store.recovered() {
                Recovered::Finished(_) => tree.is_new(),
                Recovered::TakenBack(_) => tree.is_old(),
                Recovered::Nothing => {}
            }
        },
    );
    assert!(operations > 4 * count, "{operations}");
}

#[test]
fn killed_again_while_it_recovers_the_tree_is_whole_all_the_same() {
    sweep(
        4,
        || Step::Vanish,
        |tree, at, _| {
            let keep = tree.files();
            let state = fs::read(tree.dir.path().join("state/journal.json")).ok();
            for again in 0.. {
                // The same remains, each time anew.
                for path in tree.files().keys() {
                    fs::remove_file(tree.dir.path().join(path)).unwrap();
                }
                for (path, content) in &keep {
                    fs::write(tree.dir.path().join(path), content).unwrap();
                }
                if let Some(state) = &state {
                    fs::write(tree.dir.path().join("state/journal.json"), state).unwrap();
                }
                let (disk, asked) = disk(again, || Step::Vanish);
                let ended = tree.open(disk).is_ok();
                tree.open(Disk::default()).unwrap();
                tree.is_whole(&format!("operation {at}, then {again}"));
                if ended && asked.load(Ordering::SeqCst) <= again {
                    break;
                }
            }
        },
    );
}

#[test]
fn what_fails_leaves_everything_as_it_was() {
    for errno in [rustix::io::Errno::NOSPC, rustix::io::Errno::ACCESS, rustix::io::Errno::ROFS, rustix::io::Errno::IO] {
        for at in 0.. {
            let tree = Tree::new(6);
            let (disk, asked) = disk(at, move || Step::Fail(io::Error::from_raw_os_error(errno.raw_os_error())));
            let done = tree.open(disk).and_then(|store| store.commit(&tree.changes));
            match &done {
                Ok(()) => {
                    tree.open(Disk::default()).unwrap();
                    tree.is_new();
                }
                Err(error) => {
                    assert!(error.hints()[0].contains("nothing was changed"), "{error}: {:?}", error.hints());
                    tree.is_old();
                }
            }
            if asked.load(Ordering::SeqCst) <= at {
                break;
            }
        }
    }
}

#[test]
fn a_disk_that_fails_for_good_is_seen_to_by_the_next_start() {
    for at in 0..60 {
        let tree = Tree::new(6);
        let count = AtomicUsize::new(0);
        let disk = Disk::with_hook(move |_| {
            if count.fetch_add(1, Ordering::SeqCst) < at {
                Step::Go
            } else {
                Step::Fail(io::ErrorKind::StorageFull.into())
            }
        });
        let done = tree.open(disk).and_then(|store| store.commit(&tree.changes));
        tree.open(Disk::default()).unwrap();
        if done.is_ok() { tree.is_new() } else { tree.is_whole(&format!("operation {at}")) }
    }
}

#[test]
fn a_file_that_somebody_changed_meanwhile_keeps_that_and_nothing_else_changes() {
    for name in ["create", "sync", "replace", "exchange"] {
        let tree = Tree::new(5);
        let path = tree.root().join("b/3.age");
        let (writes, content) = (path.clone(), b"by somebody else".to_vec());
        let done = AtomicUsize::new(0);
        let disk = Disk::with_hook(move |now| {
            if now == name && done.fetch_add(1, Ordering::SeqCst) == 0 {
                fs::write(&writes, &content).unwrap();
            }
            Step::Go
        });
        let error = tree.open(disk).unwrap().commit(&tree.changes).unwrap_err().to_string();
        assert!(error.contains("somebody else changed it"), "{name}: {error}");
        let mut expected = tree.old.clone();
        expected.insert("root/b/3.age".into(), b"by somebody else".to_vec());
        assert_eq!(tree.files(), expected, "{name}");
    }
}

#[test]
fn a_file_that_was_to_be_new_and_is_there_by_now_stays() {
    let tree = Tree::new(3);
    fs::write(tree.root().join("b/3.age"), "by somebody else").unwrap();
    tree.open(Disk::default()).unwrap().commit(&tree.changes).unwrap_err();
    assert_eq!(fs::read(tree.root().join("b/3.age")).unwrap(), b"by somebody else");
    assert_eq!(fs::read(tree.root().join("a/0.age")).unwrap(), b"old 0");
}

#[test]
fn only_one_run_at_a_time_changes_a_repository() {
    let tree = Tree::new(1);
    let first = tree.open(Disk::default()).unwrap();
    assert!(matches!(tree.open(Disk::default()), Err(SecretsError::Busy)));
    drop(first);
    tree.open(Disk::default()).unwrap();
}

#[test]
fn links_and_paths_that_lead_elsewhere_are_not_followed() {
    let tree = Tree::new(1);
    let outside = tree.dir.path().join("outside");
    fs::write(&outside, "old 0").unwrap();
    fs::remove_file(tree.root().join("a/0.age")).unwrap();
    std::os::unix::fs::symlink(&outside, tree.root().join("a/0.age")).unwrap();
    let store = tree.open(Disk::default()).unwrap();
    let error = store.commit(&tree.changes).unwrap_err().to_string();
    assert!(error.contains("it is a link"), "{error}");
    let change = |path: &str| Change { path: path.into(), seen: Seen::Nothing, content: Vec::new().into() };
    for path in ["../outside", "/etc/x", "a/../../outside"] {
        assert!(matches!(store.commit(&[change(path)]), Err(SecretsError::Outside { .. })), "{path}");
    }
    assert_eq!(fs::read(&outside).unwrap(), b"old 0");
}

#[test]
fn the_mode_of_a_file_stays() {
    use std::os::unix::fs::PermissionsExt as _;
    let tree = Tree::new(1);
    let path = tree.root().join("a/0.age");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    tree.open(Disk::default()).unwrap().commit(&tree.changes).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    tree.is_new();
}
