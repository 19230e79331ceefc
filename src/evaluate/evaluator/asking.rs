//! How a question is answered: by what is kept where that holds, by Nix otherwise.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use super::{Evaluator, Uses, Watcher};
use crate::evaluate::answer::{Answer, Reason, Whence};
use crate::evaluate::locking::told;
use crate::nix::{
    Ballast, Changed, Conditions, EvalError, GcRoot, Observed, Query, Source, StorePath, Tree, Wanted, ask,
    ask_watched, holds, lock,
};
use crate::process::{Cancel, End, Failure, LineSink};
use crate::state::{Asked, Cost, Found, Kept};

/// The source, looked at because something is to be evaluated or compared.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) tree: Tree,
    shape: String,
    pub(super) ballast: Option<Ballast>,
    /// Ends, and the root with it, when this does.
    _root: JoinSet<Result<GcRoot, Failure>>,
}

impl Evaluator {
    pub(super) fn asked(&self, query: &Query) -> Asked {
        let settings = blake3::hash(format!("{}\0{}", self.settings, self.source.locks()).as_bytes());
        Asked { subject: format!("{} # {}", self.subject, query.subject()), settings: settings.to_hex().to_string() }
    }

    pub(super) async fn ask<T: DeserializeOwned>(
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
    pub(super) async fn kept(&self, asked: &Asked, cancel: &Cancel) -> Result<Kept, Reason> {
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
    pub(super) async fn evaluate_now(
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

pub(super) fn cost_of(observed: &Observed) -> Cost {
    let duration_ms = u64::try_from(observed.duration.as_millis()).unwrap_or(u64::MAX);
    Cost { duration_ms, peak_kib: observed.peak }
}

/// Whether answers to one question show that it does not matter whether the source has a revision.
fn is_revision_ignored(kept: &[Kept]) -> bool {
    let agree = |a: &Kept, b: &Kept| a.answer == b.answer && a.conditions.differs_in_revision_alone(&b.conditions);
    kept.iter().enumerate().any(|(at, a)| kept[at + 1..].iter().any(|b| agree(a, b)))
}
