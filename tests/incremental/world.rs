//! A fleet on disk, the answers of hubctl's library to it, and those of Nix.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hubctl::evaluate::{Evaluator, Options, Reason, Uses, Whence, WorkTree};
use hubctl::nix::{Blind, Changed, Evaluation, FlakeRef, Nix, Settings, SystemAttr};
use hubctl::process::Cancel;
use hubctl::state::State;
use tempfile::TempDir;

use crate::fleet::Shape;

/// A fleet on disk, with the state that hubctl keeps of it.
#[derive(Debug)]
pub(crate) struct World {
    dir: TempDir,
    below: &'static str,
    state: Arc<State>,
    nix: Nix,
}

/// What each host would be, or none where that cannot be said.
pub(crate) type Systems = BTreeMap<String, Option<Evaluation>>;

/// What hubctl says of a fleet.
#[derive(Debug)]
pub(crate) struct Answers {
    /// None when there is no list of hosts.
    pub(crate) systems: Option<Systems>,
    /// How each host's was come by.
    pub(crate) whence: BTreeMap<String, Whence>,
    /// What failed, for whoever reads of a test that failed.
    pub(crate) errors: Vec<String>,
}

impl Answers {
    /// The hosts that were evaluated, or none where their last evaluations could not be watched.
    pub(crate) fn evaluated(&self) -> Result<Vec<&str>, Unwatched> {
        let is_blind = |whence: &Whence| {
            matches!(whence, Whence::Evaluated(Reason::Changed(Changed::Source(Blind::NotWatched(_)))))
        };
        if self.whence.values().any(is_blind) {
            return Err(Unwatched);
        }
        let evaluated = self.whence.iter().filter(|(_, whence)| **whence != Whence::Kept);
        Ok(evaluated.map(|(name, _)| name.as_str()).collect())
    }
}

/// The kernel allows each user so many watches, and the hosts of labs that run at the same time use many of them. Without,
/// answers are right and footprints everything.
#[derive(Debug)]
pub(crate) struct Unwatched;

/// Runs a test of what is evaluated until it had watches all the time.
pub(crate) async fn watched<F: Future<Output = Result<(), Unwatched>>>(test: impl Fn() -> F) {
    let deadline = Instant::now() + Duration::from_secs(300);
    while test().await.is_err() {
        assert!(Instant::now() < deadline, "no watches are left: see `sysctl fs.inotify.max_user_instances`");
    }
}

/// What lets root build on a machine whose Nix was just installed, and keeps Nix from asking a cache that this machine may not
/// reach for what only the test has.
pub(crate) const ON_ANY_MACHINE: [(&str, &str); 3] =
    [("substituters", ""), ("sandbox", "false"), ("build-users-group", "")];

/// All hosts at once, as the user's own reference gives them.
const ALL: &str = "builtins.mapAttrs (_: c: let config = c.config; toplevel = config.system.build.toplevel; in \
    { drv = toplevel.drvPath; out = toplevel.outPath; system = toplevel.system; \
    hostName = config.networking.hostName or null; })";

impl World {
    /// An empty directory, with the flake's place `below` it.
    pub(crate) async fn new(below: &'static str) -> Self {
        Self::with(below, Settings::default()).await
    }

    /// The same, where Nix has these settings too.
    pub(crate) async fn with(below: &'static str, mut settings: Settings) -> Self {
        settings.options.splice(..0, ON_ANY_MACHINE.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let dir = tempfile::Builder::new().prefix("hubctl-incremental-").tempdir().unwrap();
        fs::create_dir_all(dir.path().join("repo").join(below)).unwrap();
        let state = State::open(&dir.path().join("state/state.db"), |warning| panic!("{warning}")).unwrap();
        let nix = Nix::detect(settings, None, &Cancel::never()).await.unwrap();
        Self { dir, below, state: Arc::new(state), nix }
    }

    /// A fleet, in a repository with one commit where it is to be in one.
    pub(crate) async fn of(shape: &Shape) -> Self {
        let world = Self::new(shape.below).await;
        shape.write(&world);
        if shape.git {
            world.commit_all();
        }
        world
    }

    /// The repository's directory.
    pub(crate) fn repository(&self) -> PathBuf {
        self.dir.path().join("repo")
    }

    /// The flake's directory.
    pub(crate) fn root(&self) -> PathBuf {
        self.repository().join(self.below)
    }

    /// A directory elsewhere.
    pub(crate) fn outside(&self) -> PathBuf {
        self.dir.path().join("outside")
    }

    /// Where a hubctl that runs as a program keeps its state.
    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("state-of-programs")
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        let path = self.root().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn link(&self, file: &str, target: &str) {
        let path = self.root().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
    }

    /// Runs git in the repository; what it refuses is left undone.
    pub(crate) fn try_git(&self, words: &[&str]) -> bool {
        git(&self.repository(), words).status.success()
    }

    /// Runs git in the repository.
    pub(crate) fn git(&self, words: &[&str]) {
        git_in(&self.repository(), words);
    }

    /// Runs git in the repository as if it were another time.
    pub(crate) fn git_at(&self, time: &str, words: &[&str]) {
        let mut git = git_command(&self.repository(), words);
        let output = git.envs([("GIT_AUTHOR_DATE", time), ("GIT_COMMITTER_DATE", time)]).output().unwrap();
        assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Makes it a repository with one commit of everything.
    pub(crate) fn commit_all(&self) {
        commit_all(&self.repository());
    }

    pub(crate) async fn evaluator(&self) -> Result<Evaluator, String> {
        let flake = FlakeRef::resolve(".", &self.root()).map_err(|error| error.to_string())?;
        let gcroots = self.dir.path().join("state");
        let options = Options { uses: Uses::Everything, jobs: 4, gcroots: &gcroots, run: "test" };
        let (nix, state) = (self.nix.clone(), self.state.clone());
        let tree = WorkTree::look(flake, options.uses, &Cancel::never()).await;
        let evaluator = Evaluator::new(nix, tree, state, options, &Cancel::never()).await;
        evaluator.map_err(|failure| failure.to_string())
    }

    /// What hubctl says, which must be what Nix says, and be something.
    #[track_caller]
    pub(crate) fn agreed_on_all(&self) -> impl Future<Output = Answers> {
        let (caller, agreed) = (std::panic::Location::caller(), Box::pin(self.agreed()));
        async move {
            let answers = agreed.await;
            let all = answers.systems.as_ref().is_some_and(|systems| systems.values().all(Option::is_some));
            assert!(all, "at {caller}, {:#?}", answers.errors);
            answers
        }
    }

    /// What hubctl says, which must be what Nix says.
    #[track_caller]
    pub(crate) fn agreed(&self) -> impl Future<Output = Answers> {
        let caller = std::panic::Location::caller();
        async move {
            let ours = self.ours().await;
            assert_eq!(ours.systems, self.theirs(), "at {caller}, {:#?} {:?}", ours.errors, ours.whence);
            ours
        }
    }

    /// What hubctl says, of all hosts side by side.
    pub(crate) async fn ours(&self) -> Answers {
        let mut answers = Answers { systems: None, whence: BTreeMap::new(), errors: Vec::new() };
        let evaluator = match self.evaluator().await {
            Ok(evaluator) => Arc::new(evaluator),
            Err(error) => {
                answers.errors.push(error);
                return answers;
            }
        };
        let names = match evaluator.names("nixosConfigurations", &Cancel::never()).await {
            Ok(names) => names,
            Err(error) => {
                answers.errors.push(error.to_string());
                return answers;
            }
        };
        let mut running = tokio::task::JoinSet::new();
        for name in names {
            let evaluator = evaluator.clone();
            running.spawn(async move {
                let system = SystemAttr { output: "nixosConfigurations", name: &name };
                let answer = evaluator.system(system, &Cancel::never(), &mut |_| ()).await;
                (name, answer)
            });
        }
        let mut systems = Systems::new();
        for (name, answer) in running.join_all().await {
            match answer {
                Ok(answer) => {
                    answers.whence.insert(name.clone(), answer.whence);
                    systems.insert(name, Some(answer.value));
                }
                Err(error) => {
                    answers.errors.push(format!("{name}: {error}"));
                    systems.insert(name, None);
                }
            }
        }
        answers.systems = Some(systems);
        answers
    }

    /// What Nix says, by the user's own reference. Of a version that remembers what it copied it is what it says when it does
    /// not: with the record of an earlier state of a tree, it may read a file as it is and copy it as it was.
    pub(crate) fn theirs(&self) -> Option<Systems> {
        let forgetful = self.nix.version().remembers_copies().then(|| tempfile::tempdir().unwrap());
        let cache = forgetful.iter().map(|cache| ("NIX_CACHE_HOME", cache.path()));
        let ask = |attribute: &str, function: &str| {
            let output = Command::new("nix")
                .args(["--extra-experimental-features", "nix-command flakes", "eval", "--json"])
                .args(["--option", "eval-cache", "false"])
                .args(self.nix.settings().options.iter().flat_map(|(name, value)| ["--option", name, value]))
                .args(self.nix.settings().override_inputs.iter().flat_map(|(name, to)| ["--override-input", name, to]))
                .arg(format!("{}#{attribute}", self.root().display()))
                .args(["--apply", function])
                .envs(cache.clone())
                .output()
                .unwrap();
            output.status.success().then_some(output.stdout)
        };
        if let Some(all) = ask("nixosConfigurations", ALL) {
            return Some(serde_json::from_slice(&all).unwrap());
        }
        let names: Vec<String> = serde_json::from_slice(&ask("nixosConfigurations", "builtins.attrNames")?).unwrap();
        let one = |name: String| {
            let system = ask("nixosConfigurations", &format!("c: ({ALL} {{ x = c.\"{name}\"; }}).x"));
            (name, system.map(|system| serde_json::from_slice(&system).unwrap()))
        };
        Some(names.into_iter().map(one).collect())
    }
}

/// Makes a directory a repository with one commit of everything.
pub(crate) fn commit_all(directory: &Path) {
    git_in(directory, &["init", "--quiet", "--initial-branch=main"]);
    git_in(directory, &["add", "--all"]);
    git_in(directory, &["commit", "--quiet", "--allow-empty", "--message", "all"]);
}

fn git_in(directory: &Path, words: &[&str]) {
    let output = git(directory, words);
    assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Runs git, with an identity of its own.
fn git(directory: &Path, words: &[&str]) -> Output {
    git_command(directory, words).output().unwrap()
}

fn git_command(directory: &Path, words: &[&str]) -> Command {
    let mut git = Command::new("git");
    git.arg("-C")
        .arg(directory)
        .args(["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"])
        .args(["-c", "advice.detachedHead=false"])
        .args(words);
    git
}
