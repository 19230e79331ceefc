//! Locks sources and asks flakes, and takes what is known already where that is right.

mod asking;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use tokio::sync::OnceCell;

use self::asking::{Looked, cost_of};
use super::all_settings::AllSettings;
use super::answer::{Answer, Known, Reason, Verified};
use super::locking::{Locking, told};
use super::turns::Turns;
use super::work_tree::WorkTree;
use crate::nix::{
    Ballast, Decided, EvalError, Evaluation, FeatureLook, FlakeRef, Formatter, Health, Missed, Nix, Query, Settings,
    Source, StorePath, SystemAttr, TrustedSettings, Unseen, ask, missed,
};
use crate::process::{Cancel, Failure, LineSink};
use crate::state::{Cost, Kept, State};

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
