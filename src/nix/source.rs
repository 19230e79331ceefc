//! The flake's source: locked and copied to the store once per run, and the reference that every evaluation of the run
//! goes through.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::build::GcRoot;
use super::flake::FlakeRef;
use super::flake_config::{self, FlakeConfig};
use super::footprint::lists_self;
use super::program::Nix;
use super::store_path::StorePath;
use super::version::Version;
use crate::process::{Cancel, Cmd, Failure};

/// How long locking and copying the source may take; inputs may have to be downloaded.
const DEADLINE: Duration = Duration::from_secs(30 * 60);

/// A locked flake in the store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Source {
    /// The flake, as Nix resolved the user's reference.
    pub url: String,
    /// The source tree in the store.
    pub path: StorePath,
    /// The commit; none for a work tree with changes, and for sources without commits.
    pub rev: Option<String>,
    /// Whether this is a git work tree with changes that no commit has.
    pub dirty: bool,
    pub(super) nar_hash: Option<String>,
    pub(super) last_modified: Option<u64>,
    reference: String,
    identity: String,
    /// The flake's directory below the tree's root, where it is not the root itself.
    dir: Option<String>,
    /// All inputs as they are locked, as JSON.
    locks: String,
    local_inputs: bool,
    config: FlakeConfig,
}

impl Source {
    /// The reference that evaluations use, without `#` and attribute.
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// What tells this source from any other: its content, its revision and its time, and the reference that it is
    /// evaluated by. The reference alone does not, where it is the user's own: a work tree's names the directory.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Whether an evaluation may see another source than this one, because the reference that it uses names a work tree,
    /// which may be edited meanwhile.
    pub fn may_move(&self) -> bool {
        self.rev.is_none() && !self.reference.starts_with(&format!("path:{}", self.path))
    }

    /// The settings of Nix that the flake asks for.
    pub fn config(&self) -> &FlakeConfig {
        &self.config
    }

    /// All inputs as they are locked, as JSON.
    pub fn locks(&self) -> &str {
        &self.locks
    }

    /// Whether the flake has inputs.
    pub fn has_inputs(&self) -> bool {
        let locks: Value = serde_json::from_str(&self.locks).unwrap_or_default();
        locks["nodes"].as_object().is_none_or(|nodes| nodes.len() > 1)
    }

    /// Whether the lock file in the tree says how all inputs are locked, so that the tree alone decides it. Where inputs are
    /// overridden, or the lock file could not be written, other things do as well.
    pub fn is_locked_by_tree(&self) -> bool {
        let lock_file = self.path.as_path().join(self.flake_file()).with_file_name("flake.lock");
        let nodes = |text: &[u8]| Some(serde_json::from_slice::<Value>(text).ok()?["nodes"].take());
        !self.has_inputs() || fs::read(lock_file).is_ok_and(|text| nodes(&text) == nodes(self.locks.as_bytes()))
    }

    /// Whether an input is a part of the tree, or of this machine, and so read elsewhere than in the source.
    pub(super) fn has_local_inputs(&self) -> bool {
        self.local_inputs
    }

    /// The flake's own file, relative to the tree's root.
    pub(super) fn flake_file(&self) -> PathBuf {
        flake_file(self.dir.as_deref())
    }

    /// Keeps the source from being collected for as long as the returned value lives.
    pub async fn root(self, nix: Nix, link: PathBuf, cancel: Cancel) -> Result<GcRoot, Failure> {
        let root = GcRoot::at(link.clone());
        nix.add_root(&self.path, &link).output(&cancel).await?;
        Ok(root)
    }
}

/// Locks the flake and copies it to the store: `nix flake metadata`. Nix writes a missing `flake.lock` here, as every
/// command of its own does.
pub async fn lock(nix: &Nix, flake: &FlakeRef, cancel: &Cancel) -> Result<Source, Failure> {
    let lock_file = flake.root().map(|root| root.join("flake.lock"));
    let lock_text = || lock_file.as_ref().map(fs::read).and_then(Result::ok);
    let before = lock_text();
    let source = lock_once(nix, flake, locked_metadata(nix, flake, cancel).await?, cancel).await?;
    let is_written = lock_text() != before;
    // A lock file that git did not track is made known to git, and so is a part of the tree from then on, even where its text
    // is right as it is.
    let is_made_known = flake.is_git() && nix.settings().override_inputs.is_empty() && !source.is_locked_by_tree();
    if is_written || is_made_known {
        // Newer versions of Nix describe the tree as it was before.
        return lock_once(nix, flake, metadata(nix, flake, &[], cancel).await?, cancel).await;
    }
    Ok(source)
}

async fn lock_once(nix: &Nix, flake: &FlakeRef, metadata: Metadata, cancel: &Cancel) -> Result<Source, Failure> {
    let flake_file = metadata.path.as_path().join(metadata.flake_file());
    let config = FlakeConfig::read(nix, &flake_file, cancel).await?;
    let by_path = metadata.path_reference(nix.version());
    let by_path = by_path.filter(|_| !metadata.reveals_more(&metadata.path));
    let reference = by_path.unwrap_or_else(|| metadata.own_reference().to_owned());
    Ok(Source {
        identity: metadata.identity(&reference),
        reference,
        dirty: metadata.is_dirty(),
        dir: metadata.locked.dir.clone(),
        local_inputs: metadata.has_local_inputs(),
        config,
        locks: metadata.locks.to_string(),
        last_modified: metadata.locked.last_modified,
        nar_hash: metadata.locked.nar_hash,
        rev: metadata.locked.rev,
        url: metadata.resolved_url.or(metadata.url).unwrap_or_else(|| flake.to_string()),
        path: metadata.path,
    })
}

/// What Nix tells of the flake, whose inputs it locks where they are not. A flake that asks for settings is locked by the command
/// that goes by them, which `nix flake metadata` does not.
async fn locked_metadata(nix: &Nix, flake: &FlakeRef, cancel: &Cancel) -> Result<Metadata, Failure> {
    let asks_for_settings = |root: &&Path| flake_config::is_in(&root.join("flake.nix"));
    // Where an input is overridden for one run, Nix writes no lock file, but that command always does.
    if let Some(root) = flake.root().filter(asks_for_settings)
        && nix.settings().override_inputs.is_empty()
    {
        // Where this finds something to lock, it fails, but not before it has fetched that.
        if is_lock_newer(root)
            && let Ok(metadata) = metadata(nix, flake, &["--no-update-lock-file"], cancel).await
        {
            return Ok(metadata);
        }
        let lock = nix.cmd(&["flake", "lock"]).arg(flake.to_string()).deadline(DEADLINE);
        nix.with_own_cache(lock)?.output(cancel).await?;
    }
    metadata(nix, flake, &[], cancel).await
}

/// Whether a lock file was written after the flake's own file, and so is likely to be complete.
fn is_lock_newer(root: &Path) -> bool {
    let modified = |name: &str| fs::metadata(root.join(name)).and_then(|file| file.modified()).ok();
    modified("flake.lock").is_some_and(|lock| modified("flake.nix").is_some_and(|flake| lock > flake))
}

async fn metadata(nix: &Nix, flake: &FlakeRef, flags: &[&str], cancel: &Cancel) -> Result<Metadata, Failure> {
    let cmd = metadata_command(nix, flake).args(flags.iter().copied());
    let output = nix.with_own_cache(cmd.clone())?.output(cancel).await?;
    serde_json::from_slice(&output.stdout).map_err(|error| cmd.failed_to_start(error.into()))
}

fn metadata_command(nix: &Nix, flake: &FlakeRef) -> Cmd {
    // `--impure` means nothing to this command, and Nix 2.8 refuses flags that mean nothing.
    let overrides = nix.settings().override_inputs.iter();
    nix.cmd(&["flake", "metadata", "--json"])
        .args(overrides.flat_map(|(input, reference)| ["--override-input", input, reference]))
        .arg(flake.to_string())
        .deadline(DEADLINE)
}

/// What `nix flake metadata --json` prints, as far as it matters here. Source: the Nix manual, "nix flake metadata".
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    path: StorePath,
    url: Option<String>,
    resolved_url: Option<String>,
    locked: Locked,
    #[serde(default)]
    locks: Value,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Locked {
    #[serde(rename = "type")]
    kind: String,
    nar_hash: Option<String>,
    last_modified: Option<u64>,
    rev: Option<String>,
    rev_count: Option<u64>,
    dirty_rev: Option<String>,
    dir: Option<String>,
}

fn flake_file(dir: Option<&str>) -> PathBuf {
    Path::new(dir.unwrap_or_default()).join("flake.nix")
}

impl Metadata {
    fn flake_file(&self) -> PathBuf {
        flake_file(self.locked.dir.as_deref())
    }

    fn is_dirty(&self) -> bool {
        self.locked.kind == "git" && self.locked.rev.is_none()
    }

    /// The source by its place in the store, with the hash that spares Nix reading it and the facts that `self` has in the
    /// original as well. None where Nix gave no hash, and where this version cannot say all of it in such a reference.
    fn path_reference(&self, version: &Version) -> Option<String> {
        let locked = &self.locked;
        if locked.dir.is_some() && !version.paths_take_directories() {
            return None;
        }
        let hash = percent_encode(locked.nar_hash.as_deref()?);
        let fact = |key: &str, value: Option<String>| value.map(|value| format!("&{key}={value}")).unwrap_or_default();
        Some(format!(
            "path:{}?narHash={hash}{}{}{}{}",
            self.path,
            fact("lastModified", locked.last_modified.map(|time| time.to_string())),
            fact("rev", locked.rev.clone()),
            // A count without its revision is something no reference of Nix's has.
            fact("revCount", locked.rev_count.filter(|_| locked.rev.is_some()).map(|count| count.to_string())),
            fact("dir", locked.dir.as_deref().map(percent_encode)),
        ))
    }

    /// All that `self` tells of the source, and the reference that it is evaluated by.
    fn identity(&self, reference: &str) -> String {
        let Locked { nar_hash, last_modified, rev, rev_count, dirty_rev, dir, .. } = &self.locked;
        let facts = (nar_hash, last_modified, rev, rev_count, dirty_rev, dir);
        format!("{reference} {} {facts:?}", self.path)
    }

    /// Whether a locked input is a path: one inside the flake, which Nix reads from the source or from a copy, or one on this
    /// machine.
    fn has_local_inputs(&self) -> bool {
        let nodes = self.locks.get("nodes").and_then(Value::as_object);
        let locked = nodes.into_iter().flat_map(|nodes| nodes.values()).filter_map(|node| node.get("locked"));
        locked.into_iter().any(|locked| locked.get("type").and_then(Value::as_str) == Some("path"))
    }

    fn own_reference(&self) -> &str {
        self.url.as_deref().or(self.resolved_url.as_deref()).unwrap_or_default()
    }

    /// Whether an evaluation could tell the user's reference from the store path: `self.submodules`, and of changed trees
    /// `self.dirtyRev` and `self.dirtyShortRev`, exist for git alone. A file that cannot be read counts as one that asks.
    fn reveals_more(&self, tree: &StorePath) -> bool {
        self.locked.kind == "git" && has_text(tree.as_path(), &asks_git).unwrap_or(true)
    }
}

/// Words of files that may ask for what only a reference to git tells.
const GIT_FACTS: &[&str] = &["dirtyRev", "dirtyShortRev", "submodules", "sourceInfo"];

/// Whether a file may ask for what only a reference to git tells, whether one by one or all at once.
fn asks_git(text: &str) -> bool {
    GIT_FACTS.iter().any(|fact| text.contains(fact)) || lists_self(text).is_some()
}

/// Whether a file below `dir` that is Nix by its name, or may be for want of another, has a text of which `is_such` is true.
fn has_text(dir: &Path, is_such: &dyn Fn(&str) -> bool) -> io::Result<bool> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let path = entry.path();
        let found = if kind.is_dir() {
            has_text(&path, is_such)?
        } else if kind.is_file() && path.extension().is_none_or(|ext| ext == "nix") {
            is_such(&String::from_utf8_lossy(&fs::read(&path)?))
        } else {
            false
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Percent-encodes for the query of a flake reference.
pub(super) fn percent_encode(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(locked: &str) -> Metadata {
        let path = "/nix/store/f20zbf95cm861qlk7hx0cqhw3635l0gk-source";
        serde_json::from_str(&format!(r#"{{"path":"{path}","url":"git+file:///hub","locked":{locked}}}"#)).unwrap()
    }

    fn version(number: &str) -> Version {
        Version::parse(&format!("nix (Nix) {number}")).unwrap()
    }

    #[test]
    fn changed_trees_by_the_users_own_reference_are_told_apart() {
        let at = |hash: &str| metadata(&format!(r#"{{"type":"git","narHash":"{hash}","lastModified":5}}"#));
        assert_ne!(at("sha256-a").identity("git+file:///hub"), at("sha256-b").identity("git+file:///hub"));
        assert_eq!(at("sha256-a").identity("git+file:///hub"), at("sha256-a").identity("git+file:///hub"));
    }

    #[test]
    fn a_clean_tree_keeps_its_revision() {
        let metadata = metadata(
            r#"{"type":"git","narHash":"sha256-a+/b=","lastModified":5,"rev":"abc","revCount":2,"url":"file:///hub"}"#,
        );
        assert_eq!(
            metadata.path_reference(&version("2.26.3")).unwrap(),
            "path:/nix/store/f20zbf95cm861qlk7hx0cqhw3635l0gk-source?narHash=sha256-a%2B%2Fb%3D&lastModified=5&rev=abc&revCount=2"
        );
        assert!(!metadata.is_dirty());
    }

    #[test]
    fn a_dirty_tree_has_no_revision_and_a_subflake_keeps_its_directory() {
        let metadata = metadata(r#"{"type":"git","narHash":"sha256-a","revCount":0,"dir":"nix/hub"}"#);
        let reference = metadata.path_reference(&version("2.26.3")).unwrap();
        assert!(reference.ends_with("-source?narHash=sha256-a&dir=nix%2Fhub"), "{reference}");
        assert_eq!(metadata.path_reference(&version("2.8.0")), None);
        assert!(metadata.is_dirty());
    }

    #[test]
    fn files_that_ask_for_the_dirty_revision_are_found() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        fs::write(dir.path().join("a/x.txt"), "self.dirtyRev").unwrap();
        assert!(!has_text(dir.path(), &asks_git).unwrap());
        fs::write(dir.path().join("a/x.nix"), "{ self }: self.dirtyRev or null").unwrap();
        assert!(has_text(dir.path(), &asks_git).unwrap());
        fs::write(dir.path().join("a/x.nix"), "{ inputs }: builtins.attrNames inputs.self").unwrap();
        assert!(has_text(dir.path(), &asks_git).unwrap());
        fs::write(dir.path().join("a/x.nix"), "{ self }: builtins.attrNames self.hosts").unwrap();
        assert!(!has_text(dir.path(), &asks_git).unwrap());
    }
}
