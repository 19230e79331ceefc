//! Random edits of a fleet. Each is a value, so that a list of them can be shown, repeated and shortened.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::fleet::content;
use crate::random::Random;
use crate::world::{ON_ANY_MACHINE, World};

/// A change of a fleet. Paths are relative to the flake's directory.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    Write(PathBuf, String),
    /// Another content of the same size, with the times that the file had before.
    WriteQuietly(PathBuf, u64),
    Append(PathBuf, String),
    Delete(PathBuf),
    Rename(PathBuf, PathBuf),
    Chmod(PathBuf, u32),
    ToDirectory(PathBuf),
    ToLink(PathBuf, &'static str),
    ToFile(PathBuf, String),
    Git(Vec<String>),
    Outside(u64),
    Update,
    NewHost(PathBuf, PathBuf),
}

/// Files that may come to be.
const NEW: &[&str] = &[
    "data/maybe",
    "data/maybe/inner",
    "data/new.txt",
    "mods/extra.nix",
    "shared/dir/new",
    "shared/dir/sub/new",
    "shared/n2.nix",
    "docs/notes.md",
    "hosts/alpha/extra.txt",
    "links/new",
];

const TARGETS: &[&str] =
    &["../data/b.txt", "../shared/dir", "../shared/n0.nix", "../data", "../../data/a.txt", "nowhere"];

impl Edit {
    pub(crate) fn random(world: &World, random: &mut Random) -> Vec<Self> {
        let files = files(&world.root());
        let mut edits = vec![Self::one(world, &files, random)];
        // Half of the edits are made known to git, as most people's are.
        if world.repository().join(".git").exists() && random.percent(50) {
            let words: &[&str] = if random.percent(70) { &["add", "--all"] } else { &["add", "--intent-to-add", "."] };
            edits.push(Self::git(words));
        }
        edits
    }

    fn one(world: &World, files: &[PathBuf], random: &mut Random) -> Self {
        let is_git = world.repository().join(".git").exists();
        let plain: Vec<_> = files.iter().filter(|file| !is_code(file)).cloned().collect();
        if plain.is_empty() {
            return Self::Write(PathBuf::from("README.md"), "1\n".to_owned());
        }
        let file = plain[random.below(plain.len())].clone();
        let number = random.next() % 1000;
        match random.below(if is_git { 100 } else { 66 }) {
            0..24 => Self::Write(file.clone(), text(&file, number, random)),
            24..28 => Self::WriteQuietly(file, number),
            28..32 => Self::Append(files[random.below(files.len())].clone(), format!("# {number}\n")),
            32..38 => {
                let new = PathBuf::from(random.pick(NEW));
                let text = text(&new, number, random);
                Self::Write(new, text)
            }
            38..42 => Self::Delete(file),
            42..46 => Self::Rename(file, PathBuf::from(random.pick(NEW))),
            46..50 => Self::Chmod(file, random.pick(&[0o644, 0o755])),
            50..53 => Self::ToDirectory(file),
            53..56 => Self::ToLink(file, random.pick(TARGETS)),
            56..58 => {
                let text = text(&file, number, random);
                Self::ToFile(file.parent().unwrap_or(&file).to_path_buf(), text)
            }
            58..61 => Self::Write(PathBuf::from("README.md"), format!("{number}\n")),
            61..63 => Self::Outside(number),
            63..65 => Self::Update,
            65 => Self::NewHost(PathBuf::from("hosts/alpha"), PathBuf::from("hosts/omega")),
            66..84 => Self::git(&["commit", "--quiet", "--all", "--message", "more"]),
            84..86 => Self::git(&["checkout", "--quiet", "--force", "HEAD~1"]),
            86..88 => Self::git(&["checkout", "--quiet", "--force", "main"]),
            88..90 => Self::git(&["reset", "--quiet", "--", "."]),
            90..92 => Self::git(&["stash", "--quiet"]),
            92..94 => Self::git(&["stash", "pop", "--quiet"]),
            94 => Self::git_on(world, &["update-index", "--assume-unchanged"], &file),
            95 => Self::git_on(world, &["update-index", "--no-assume-unchanged"], &file),
            96 => Self::git_on(world, &["rm", "--quiet", "--cached"], &file),
            97 => Self::git(&["commit", "--quiet", "--amend", "--allow-empty", "--message", "again"]),
            98 => Self::git(&["config", "core.fileMode", random.pick(&["true", "false"])]),
            _ => Self::git(&["add", "--all"]),
        }
    }

    fn git(words: &[&str]) -> Self {
        Self::Git(words.iter().map(|word| (*word).to_owned()).collect())
    }

    fn git_on(world: &World, words: &[&str], file: &Path) -> Self {
        let path = world.root().join(file);
        let below = path.strip_prefix(world.repository()).unwrap().display().to_string();
        let words = words.iter().map(|word| (*word).to_owned());
        Self::Git(words.chain(["--".to_owned(), below]).collect())
    }

    /// Makes the change, as far as it can be made to the fleet as it is.
    pub(crate) fn apply(&self, world: &World) {
        let at = |file: &Path| world.root().join(file);
        match self {
            Self::Write(file, text) => write(&at(file), text),
            Self::WriteQuietly(file, number) => drop(write_quietly(&at(file), *number)),
            Self::Append(file, text) => {
                if let Ok(before) = fs::read_to_string(at(file)) {
                    write(&at(file), &(before + text));
                }
            }
            Self::Delete(file) => remove(&at(file)),
            Self::Rename(from, to) => {
                if fs::create_dir_all(at(to).parent().unwrap()).is_ok() {
                    // A directory may be in the way, which then stays.
                    let _ = fs::rename(at(from), at(to));
                }
            }
            Self::Chmod(file, mode) => {
                if at(file).is_file() {
                    fs::set_permissions(at(file), fs::Permissions::from_mode(*mode)).unwrap();
                }
            }
            Self::ToDirectory(file) => {
                remove(&at(file));
                write(&at(file).join("inner"), "1\n");
            }
            Self::ToLink(file, target) => {
                remove(&at(file));
                if fs::create_dir_all(at(file).parent().unwrap()).is_ok() {
                    let _ = symlink(target, at(file));
                }
            }
            Self::ToFile(directory, text) => {
                let top = ["", "hosts", "lib"].iter().any(|top| Path::new(top) == directory);
                if !top {
                    remove(&at(directory));
                    write(&at(directory), text);
                }
            }
            Self::Git(words) => {
                world.try_git(&words.iter().map(String::as_str).collect::<Vec<_>>());
            }
            Self::Outside(number) => {
                if world.outside().exists() {
                    write(&world.outside().join("v.nix"), &content(Path::new("v.nix"), *number));
                }
            }
            Self::Update => update(world),
            Self::NewHost(from, to) => {
                for file in files(&at(from)) {
                    if let Ok(text) = fs::read_to_string(at(from).join(&file)) {
                        write(&at(to).join(&file), &text);
                    }
                }
            }
        }
    }
}

/// A text that fits a file, and now and then one that is broken.
fn text(file: &Path, number: u64, random: &mut Random) -> String {
    if random.percent(4) { "{ broken\n".to_owned() } else { content(file, number) }
}

/// Files whose text is a part of the fleet's program.
fn is_code(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default();
    name == "default.nix" || file == Path::new("flake.nix") || file == Path::new("lib/host.nix") || name == "flake.lock"
}

fn write(path: &Path, text: &str) {
    // A file may be where a directory is wanted; then nothing is written.
    if path.symlink_metadata().is_ok_and(|found| found.is_symlink()) {
        remove(path);
    }
    if fs::create_dir_all(path.parent().unwrap()).is_ok() {
        let _ = fs::write(path, text);
    }
}

fn write_quietly(path: &Path, number: u64) -> std::io::Result<()> {
    let file = fs::File::open(path)?;
    let modified = file.metadata()?.modified()?;
    let text = fs::read_to_string(path)?;
    let digits = number.to_string();
    let mut digits = digits.bytes().cycle();
    let change = |c: char| if c.is_ascii_digit() { char::from(digits.next().unwrap_or(b'0')) } else { c };
    fs::write(path, text.chars().map(change).collect::<String>())?;
    fs::File::options().write(true).open(path)?.set_modified(modified)
}

fn remove(path: &Path) {
    match path.symlink_metadata() {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

/// Updates all inputs, in the words that every version of Nix has.
fn update(world: &World) {
    std::process::Command::new("nix")
        .args(["--extra-experimental-features", "nix-command flakes", "flake", "lock", "--recreate-lock-file"])
        .args(ON_ANY_MACHINE.iter().flat_map(|(name, value)| ["--option", name, value]))
        .arg(world.root())
        .output()
        .unwrap();
}

/// All files and links below a directory, in order.
fn files(directory: &Path) -> Vec<PathBuf> {
    fn walk(root: &Path, directory: &Path, into: &mut Vec<PathBuf>) {
        let Ok(entries) = fs::read_dir(directory) else { return };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.symlink_metadata().is_ok_and(|found| found.is_dir()) {
                if path.file_name().is_some_and(|name| name != ".git") {
                    walk(root, &path, into);
                }
            } else {
                into.push(path.strip_prefix(root).unwrap().to_path_buf());
            }
        }
    }
    let mut found = Vec::new();
    walk(directory, directory, &mut found);
    found.sort();
    found
}
