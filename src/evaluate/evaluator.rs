//! Locks sources and asks flakes, and takes what is known already where that is right.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;

use super::all_settings::AllSettings;
use super::answer::{Answer, Known, Reason, Verified, Whence};
use super::locking::{Locking, told};
use super::turns::Turns;
use super::work_tree::WorkTree;
use crate::nix::{
    Ballast, Changed, Conditions, Decided, EvalError, Evaluation, FeatureLook, FlakeRef, Formatter, GcRoot, Health,
    Missed, Nix, Observed, Query, Settings, Source, StorePath, SystemAttr, Tree, TrustedSettings, Unseen, Wanted, ask,
    ask_watched, holds, lock, missed,
};
use crate::process::{Cancel, End, Failure, LineSink};
use crate::state::{Asked, Cost, Found, Kept, State};

/// What of the cache a run uses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Uses {
    /// All of it.
    Everything,
    /// Nothing: all is evaluated, and nothing remembered.
    Nothing(&'static str),
}

impl Uses {
    /// This, unless there is a reason to use nothing.
    fn unless(self, reason: Option<&'static str>) -> Self {
        match (self, reason) {
            (Self::Everything, Some(reason)) => Self::Nothing(reason),
            _ => self,
        }
    }
}

/// What an evaluator may do, and where.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// What of the cache it uses.
    pub uses: Uses,
    /// How many evaluations run at once.
    pub jobs: usize,
    /// The directory of the roots that keep what it works with from being collected.
    pub gcroots: &'a Path,
    /// The run's id, which the names of its roots begin with.
    pub run: &'a str,
}

/// Whoever wants to know how an evaluation goes on.
pub struct Watcher<'a> {
    /// Called when Nix is about to be asked, because the answer is not known.
    pub on_begin: &'a mut (dyn FnMut() + Send),
    /// Takes each line that Nix prints.
    pub on_line: LineSink<'a>,
}

/// Locks sources and asks flakes.
#[derive(Debug)]
pub struct Evaluator {
    nix: Nix,
    flake: FlakeRef,
    /// What answers are kept under.
    subject: String,
    state: Arc<State>,
    uses: Uses,
    /// A hash of the version of Nix and of all settings that it goes by.
    settings: String,
    /// An empty directory, and where links are made that keep the source from being collected.
    scratch: TempDir,
    source: Source,
    unseen: Vec<Unseen>,
    /// The names of the settings that the flake asks for in vain.
    left_out: Vec<String>,
    looked: OnceCell<Looked>,
    turns: Turns,
}

/// The source, looked at because something is to be evaluated or compared.
#[derive(Debug)]
struct Looked {
    tree: Tree,
    shape: String,
    ballast: Option<Ballast>,
    /// Ends, and the root with it, when this does.
    _root: JoinSet<Result<GcRoot, Failure>>,
}

/// Raised with each change of what a kept answer means.
const FORM: &str = "3";

impl Evaluator {
    /// Locks a flake, or takes the source that was locked from its work tree when that was as it is now.
    pub async fn new(
        nix: Nix,
        tree: WorkTree,
        state: Arc<State>,
        options: Options<'_>,
        cancel: &Cancel,
    ) -> Result<Self, Failure> {
        let WorkTree { flake, print, unseen } = tree;
        let subject = flake.to_string();
        let scratch = make_scratch(options).map_err(|error| Failure::of_ours("making a directory for roots", error))?;
        let nix = nix.caching_in(scratch.path());
        // Another flake for an input is looked up anew each time: the work tree does not tell what it is by now.
        let print = print.filter(|_| nix.settings().override_inputs.is_empty());
        let effective = nix.effective_settings(cancel).await?;
        let effective = AllSettings::parse(effective);
        let uses = options.uses.unless(effective.impurity(&nix));
        let settings = settings_key(&nix, &effective);
        let locking = Locking { nix: &nix, flake: &flake, state: &state, settings: &settings };
        let source = locking.source(print.filter(|_| uses == Uses::Everything), cancel).await?;
        let trusted = TrustedSettings::of_user(nix.version());
        let Decided { accepted, left_out } = source.config().decide(effective.accepts_flake_config(), &trusted);
        let effective = effective.with(&accepted);
        let uses = uses.unless(effective.impurity(&nix)).unless(eval_cache(&accepted));
        let settings = format!("{settings} {accepted:?}");
        let nix = nix.building_with(accepted).with_store(effective.store());
        let (looked, turns) = (OnceCell::new(), Turns::new(options.jobs));
        Ok(Self { nix, flake, subject, state, uses, settings, scratch, source, unseen, left_out, looked, turns })
    }

    /// What the flake does not see although its code names it.
    pub fn unseen(&self) -> &[Unseen] {
        &self.unseen
    }

    /// What makes the source large, where that is news. Only a source that is new to hubctl is looked at for it, so that one that
    /// was seen before costs nothing; once it was told, it is news again when it has grown.
    pub fn ballast(&self) -> Option<&Ballast> {
        let (looked, flake) = (self.looked.get()?, self.flake.to_string());
        let told = told(self.state.told_weight(&flake)).flatten();
        let ballast = looked.ballast.as_ref().filter(|ballast| ballast.all.is_news(told));
        if ballast.is_some() || (looked.ballast.is_none() && told.is_some()) {
            self::told(self.state.remember_weight(&flake, ballast.map(|ballast| ballast.all)));
        }
        ballast
    }

    /// The file for want of which an evaluation failed, where the work tree has it and git does not track it.
    pub async fn missed(&self, error: &EvalError, cancel: &Cancel) -> Option<Missed> {
        missed(&self.flake, &self.source, error, cancel).await
    }

    /// The same flake at another revision, which `flake` refers to. Answers are kept with this one's: what they depend on tells
    /// them apart, and where nothing of that differs, they hold for both.
    pub async fn at(&self, flake: FlakeRef, options: Options<'_>, cancel: &Cancel) -> Result<Self, Failure> {
        let (nix, state) = (self.nix.clone(), self.state.clone());
        let tree = Box::pin(WorkTree::look(flake, options.uses, cancel)).await;
        let other = Self::new(nix, tree, state, options, cancel).await?;
        Ok(Self { subject: self.subject.clone(), ..other })
    }

    /// The locked source.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The names of the settings that the flake asks for in vain: nobody said that it may set them.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Nix, which builds with the settings that the flake asks for and may set.
    pub fn nix(&self) -> &Nix {
        &self.nix
    }

    /// The names under one output of the flake, such as `nixosConfigurations`. Evaluates no system.
    pub async fn names(&self, output: &str, cancel: &Cancel) -> Result<Vec<String>, EvalError> {
        let watcher = Watcher { on_begin: &mut || (), on_line: &mut |_| () };
        let answer = self.ask(&Query::names(output), no_derivation, cancel, watcher).await?;
        Ok(answer.value)
    }

    /// What a system would be. Each line that Nix prints, if it is asked at all, goes to `on_line`.
    pub async fn system(
        &self,
        system: SystemAttr<'_>,
        cancel: &Cancel,
        on_line: LineSink<'_>,
    ) -> Result<Answer<Evaluation>, EvalError> {
        self.system_watched(system, cancel, Watcher { on_begin: &mut || (), on_line }).await
    }

    /// Like [`Self::system`], and says as well when Nix is about to be asked.
    pub async fn system_watched(
        &self,
        system: SystemAttr<'_>,
        cancel: &Cancel,
        watcher: Watcher<'_>,
    ) -> Result<Answer<Evaluation>, EvalError> {
        let derivation = |evaluation: &Evaluation| Some(evaluation.drv.clone());
        self.ask(&Query::system(system), derivation, cancel, watcher).await
    }

    /// The features of a system, by their names.
    pub async fn features(
        &self,
        system: SystemAttr<'_>,
        cancel: &Cancel,
    ) -> Result<BTreeMap<String, FeatureLook>, EvalError> {
        let watcher = Watcher { on_begin: &mut || (), on_line: &mut |_| () };
        Ok(self.ask(&Query::features(system), no_derivation, cancel, watcher).await?.value)
    }

    /// The flake's own formatter for this machine, if it has one.
    pub async fn formatter(&self, cancel: &Cancel) -> Result<Option<Formatter>, EvalError> {
        let settings = self.nix.effective_settings(cancel).await.map_err(EvalError::Nix)?;
        let query = Query::formatter(&AllSettings::parse(settings).system());
        let derivation = |formatter: &Option<Formatter>| formatter.as_ref()?.drv.clone();
        let watcher = Watcher { on_begin: &mut || (), on_line: &mut |_| () };
        Ok(self.ask(&query, derivation, cancel, watcher).await?.value)
    }

    /// What a system's modules say of it. Each line that Nix prints, if it is asked at all, goes to `on_line`.
    pub async fn health(
        &self,
        system: SystemAttr<'_>,
        cancel: &Cancel,
        on_line: LineSink<'_>,
    ) -> Result<Answer<Health>, EvalError> {
        let watcher = Watcher { on_begin: &mut || (), on_line };
        self.ask(&Query::health(system), no_derivation, cancel, watcher).await
    }

    /// What the last evaluation of a system cost.
    pub fn last_cost(&self, system: SystemAttr<'_>) -> Option<Cost> {
        told(self.state.last_cost(&self.asked(&Query::system(system)).subject)).flatten()
    }

    /// What a system is known to be without as much as a look at the source; none where it takes one.
    pub fn held(&self, system: SystemAttr<'_>) -> Option<Evaluation> {
        let query = Query::system(system);
        let held = self.state.held(&self.asked(&query), self.source.identity());
        let kept = told(held).flatten().filter(|_| self.uses == Uses::Everything)?;
        query.read(&self.nix, &self.source, &kept.answer).ok()
    }

    /// What is known of a system without evaluating it: the answer that holds now, or why there is none; and the newest answer,
    /// whether it holds or not.
    pub async fn known(&self, system: SystemAttr<'_>, cancel: &Cancel) -> Known {
        let query = Query::system(system);
        let asked = self.asked(&query);
        let newest = told(self.state.kept(&asked)).and_then(|kept| kept.into_iter().next());
        let holds = match self.uses {
            Uses::Nothing(why) => Err(Reason::NotUsed(why)),
            Uses::Everything => self.kept(&asked, cancel).await,
        };
        let read = |kept: &Kept| query.read(&self.nix, &self.source, &kept.answer).ok();
        Known { evaluation: holds.as_ref().ok().and_then(read), holds: holds.map(drop), newest }
    }

    /// Evaluates a system afresh, to see what that costs. Nothing of it is kept, and it waits for no other evaluation.
    pub async fn measure(
        &self,
        system: SystemAttr<'_>,
        cancel: &Cancel,
    ) -> Result<(Evaluation, Option<Cost>), EvalError> {
        let query = Query::system(system);
        let (answer, observed) = self.evaluate_now(&query, cancel, &mut |_| ()).await?;
        let cost = observed.map(|(observed, _)| cost_of(&observed));
        Ok((query.read(&self.nix, &self.source, &answer)?, cost))
    }

    /// Evaluates a system afresh and compares. An answer that was kept and is wrong is forgotten.
    pub async fn verify(&self, system: SystemAttr<'_>, cancel: &Cancel) -> Result<Verified, EvalError> {
        let query = Query::system(system);
        let asked = self.asked(&query);
        let Ok(kept) = self.kept(&asked, cancel).await else { return Ok(Verified::NothingKept) };
        let turn = self.turns.take(Some(kept.cost)).await;
        let fresh = ask(&self.nix, &self.source, &query, cancel, |_| ()).await?;
        drop(turn);
        let read = |answer: &str| query.read::<Evaluation>(&self.nix, &self.source, answer);
        let fresh = read(&fresh)?;
        if read(&kept.answer).is_ok_and(|kept| kept == fresh) {
            return Ok(Verified::Right);
        }
        told(self.state.forget_evaluation(kept.id));
        Ok(Verified::Wrong { kept: kept.answer, fresh: fresh.out.to_string() })
    }

    fn asked(&self, query: &Query) -> Asked {
        let settings = blake3::hash(format!("{}\0{}", self.settings, self.source.locks()).as_bytes());
        Asked { subject: format!("{} # {}", self.subject, query.subject()), settings: settings.to_hex().to_string() }
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        query: &Query,
        derivation: impl Fn(&T) -> Option<StorePath>,
        cancel: &Cancel,
        Watcher { on_begin, on_line }: Watcher<'_>,
    ) -> Result<Answer<T>, EvalError> {
        let read = |answer: &str| query.read::<T>(&self.nix, &self.source, answer);
        let asked = self.asked(query);
        if let Uses::Nothing(why) = self.uses {
            on_begin();
            let (answer, _) = Box::pin(self.evaluate(&asked, query, cancel, on_line)).await?;
            return Ok(Answer { value: read(&answer)?, whence: Whence::Evaluated(Reason::NotUsed(why)) });
        }
        let reason = match self.kept(&asked, cancel).await {
            Ok(kept) => match read(&kept.answer) {
                Ok(value) if derivation(&value).is_none_or(|drv| drv.as_path().exists()) => {
                    return Ok(Answer { value, whence: Whence::Kept });
                }
                _ => Reason::DerivationGone,
            },
            Err(reason) => reason,
        };
        // The rare case of a long one must not make every caller's future as large as its own.
        let whence = Whence::Evaluated(reason);
        on_begin();
        let (answer, observed) = Box::pin(self.evaluate(&asked, query, cancel, on_line)).await?;
        let value = read(&answer)?;
        if let Some(observed) = observed {
            let drv = derivation(&value);
            Box::pin(self.remember(&asked, &whence.to_string(), observed, drv.as_ref(), cancel)).await;
        }
        Ok(Answer { value, whence })
    }

    /// The answer that is kept and holds for the source, or why there is none.
    async fn kept(&self, asked: &Asked, cancel: &Cancel) -> Result<Kept, Reason> {
        let identity = self.source.identity();
        if let Some(kept) = told(self.state.held(asked, identity)).flatten() {
            return Ok(kept);
        }
        let candidates = told(self.state.kept(asked)).unwrap_or_default();
        if candidates.is_empty() {
            return Err(Reason::First);
        }
        let looked = self.look(cancel).await.map_err(|_| Reason::Changed(Changed::Shape))?;
        let may_ask = self.source.has_inputs() && !is_revision_ignored(&candidates);
        let wanted = Wanted { identity, revision: may_ask.then_some(self.source.rev.is_some()) };
        let mut first = None;
        for kept in candidates {
            match holds(&kept.conditions, wanted, || looked.shape.clone(), |file| looked.tree.hash(file)) {
                Ok(()) => {
                    told(self.state.remember_holds(asked, identity, kept.id));
                    return Ok(kept);
                }
                // The newest answer's reason is the one that means something to the user.
                Err(changed) => first = first.or(Some(changed)),
            }
        }
        Err(first.map_or(Reason::First, Reason::Changed))
    }

    /// Asks Nix when its turn comes. An evaluation that the kernel ended for want of memory is tried once more, alone.
    async fn evaluate(
        &self,
        asked: &Asked,
        query: &Query,
        cancel: &Cancel,
        on_line: LineSink<'_>,
    ) -> Result<(String, Option<(Observed, &Looked)>), EvalError> {
        let last = told(self.state.last_cost(&asked.subject)).flatten();
        let first = {
            let _turn = self.turns.take(last).await;
            self.evaluate_now(query, cancel, on_line).await
        };
        match first {
            Err(EvalError::Nix(failure)) if failure.is_killed() && !cancel.is_requested() => {
                on_line("the evaluation was killed, probably for want of memory; it is tried once more, alone");
                let _turn = self.turns.alone().await;
                self.evaluate_now(query, cancel, on_line).await
            }
            ended => ended,
        }
    }

    /// Asks Nix. Where the source can be looked at, what the answer is read from is watched.
    async fn evaluate_now(
        &self,
        query: &Query,
        cancel: &Cancel,
        on_line: LineSink<'_>,
    ) -> Result<(String, Option<(Observed, &Looked)>), EvalError> {
        if cancel.is_requested() {
            let stopped = Failure { command: query.subject(), end: End::Cancelled, stderr: Vec::new() };
            return Err(EvalError::Nix(stopped));
        }
        let looked = match self.uses {
            Uses::Nothing(_) => None,
            // Without a look at the tree there is an answer, and nothing to remember of it.
            Uses::Everything => self.look(cancel).await.ok(),
        };
        let Some(looked) = looked else {
            return Ok((ask(&self.nix, &self.source, query, cancel, on_line).await?, None));
        };
        let empty = self.scratch.path().join("empty");
        let observed = ask_watched(&self.nix, &self.source, &looked.tree, &empty, query, cancel, on_line).await?;
        Ok((observed.answer.clone(), Some((observed, looked))))
    }

    /// Whether what was observed was made from this source and these inputs. Where they were locked again for the evaluation, it
    /// may have been others.
    async fn is_settled(&self, observed: &Observed, cancel: &Cancel) -> bool {
        if !self.source.may_move() && self.source.is_locked_by_tree() {
            return true;
        }
        let same = |now: &Source| now.identity() == self.source.identity() && now.locks() == self.source.locks();
        observed.saw_flake(&self.source) && lock(&self.nix, &self.flake, cancel).await.is_ok_and(|now| same(&now))
    }

    async fn remember(
        &self,
        asked: &Asked,
        reason: &str,
        (observed, looked): (Observed, &Looked),
        drv: Option<&StorePath>,
        cancel: &Cancel,
    ) {
        let footprint = observed.footprint(&self.nix, &self.source, &looked.tree, drv, cancel).await;
        if cancel.is_requested() || !self.is_settled(&observed, cancel).await {
            return;
        }
        let identity = self.source.identity().to_owned();
        let revision = self.source.rev.is_some();
        let conditions = Conditions { identity, revision, shape: looked.shape.clone(), footprint };
        let found = Found { conditions: &conditions, answer: &observed.answer, reason, cost: cost_of(&observed) };
        told(self.state.remember_evaluation(asked, found, Timestamp::now()));
    }

    /// Looks at the source, once, and keeps it from being collected from then on.
    async fn look(&self, cancel: &Cancel) -> Result<&Looked, Failure> {
        let looking = || async {
            let link = self.scratch.path().join("source");
            let mut root = JoinSet::new();
            // An evaluation holds the source by itself: nothing has to wait for this.
            root.spawn(self.source.clone().root(self.nix.clone(), link, cancel.clone()));
            let tree = Tree::scan(self.source.path.as_path());
            let tree = tree.map_err(|error| Failure::of_ours("looking at the source", error))?;
            let shape = tree.shape();
            Ok(Looked { ballast: tree.ballast(), tree, shape, _root: root })
        };
        self.looked.get_or_try_init(looking).await
    }
}

fn cost_of(observed: &Observed) -> Cost {
    let duration_ms = u64::try_from(observed.duration.as_millis()).unwrap_or(u64::MAX);
    Cost { duration_ms, peak_kib: observed.peak }
}

/// Whether answers to one question show that it does not matter whether the source has a revision.
fn is_revision_ignored(kept: &[Kept]) -> bool {
    let agree = |a: &Kept, b: &Kept| a.answer == b.answer && a.conditions.differs_in_revision_alone(&b.conditions);
    kept.iter().enumerate().any(|(at, a)| kept[at + 1..].iter().any(|b| agree(a, b)))
}

fn no_derivation<T>(_: &T) -> Option<StorePath> {
    None
}

fn make_scratch(options: Options<'_>) -> std::io::Result<TempDir> {
    let prefix = format!("{}-source-", options.run);
    let scratch = tempfile::Builder::new().prefix(&prefix).tempdir_in(options.gcroots)?;
    std::fs::create_dir(scratch.path().join("empty"))?;
    Ok(scratch)
}

/// Why answers may come from elsewhere than from files that can be watched, where a flake's settings see to that.
fn eval_cache(accepted: &[(String, String)]) -> Option<&'static str> {
    // They win over the one that hubctl gives to each evaluation.
    let is_on = accepted.iter().any(|(name, value)| name == "eval-cache" && value == "true");
    is_on.then_some("the flake turns on Nix's own cache of evaluations")
}

/// A hash of all that answers depend on beside the source: the form of what is kept, the version, the settings.
fn settings_key(nix: &Nix, effective: &AllSettings) -> String {
    let given = format!("{:?}", Settings { builders: None, ..nix.settings().clone() });
    let all = [FORM, &nix.version().to_string(), &given, &effective.to_string()].join("\0");
    blake3::hash(all.as_bytes()).to_hex().to_string()
}
