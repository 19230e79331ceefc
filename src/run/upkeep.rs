//! Making room on one host: what would go is found out first, and nothing else goes then.

use std::collections::BTreeSet;

use super::reach::Access;
use crate::fleet::KeepPolicy;
use crate::nix::StorePath;
use crate::plan::{Fate, fates};
use crate::remote::{
    Garbage, GarbageError, Remote, Space, collect, garbage, generations, optimise, probe, remove_generations,
};

/// What is done to make room.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Work {
    /// Which generations stay; none to leave all of them.
    pub policy: Option<KeepPolicy>,
    /// Whether what nothing needs is collected.
    pub collect: bool,
    /// Whether files of the store that are the same are made to share their place.
    pub optimise: bool,
}

/// What would be done on a host, and what that frees.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Each generation with what keeps it; none where all of them stay.
    pub fates: Vec<Fate>,
    /// What a collection would free afterwards; none without one.
    pub garbage: Option<Garbage>,
    /// The file system of the store.
    pub store: Option<Space>,
    /// The file system of `/boot`.
    pub boot: Option<Space>,
}

/// What was done on a host.
#[derive(Clone, Debug, Default)]
pub struct Made {
    /// The generations that went.
    pub removed: Vec<u64>,
    /// What Nix said of what it freed.
    pub said: Vec<String>,
    /// The file system of the store afterwards.
    pub store: Option<Space>,
    /// The file system of `/boot` afterwards.
    pub boot: Option<Space>,
}

impl Survey {
    /// The generations that would go.
    pub fn going(&self) -> Vec<u64> {
        self.fates.iter().filter(|fate| fate.may_go()).map(|fate| fate.generation.number).collect()
    }
}

/// Finds out what `work` would do on a host. `confirmed` are the systems that the last deployment promises. Changes nothing.
pub async fn survey(access: &Access, work: Work, confirmed: &BTreeSet<StorePath>) -> Result<Survey, GarbageError> {
    let facts = &access.facts;
    let fates = fates_of(&access.remote, access, work, confirmed).await?;
    let mut survey = Survey { fates, garbage: None, store: facts.store_space, boot: facts.boot_space };
    if work.collect {
        survey.garbage = Some(garbage(&access.remote, &survey.going()).await?);
    }
    Ok(survey)
}

/// Does `work` on a host of which the lock is held. Of the generations that were `agreed` on, only those go that may still go.
pub async fn make_room(
    access: &Access,
    work: Work,
    confirmed: &BTreeSet<StorePath>,
    agreed: &[u64],
) -> Result<Made, GarbageError> {
    let remote = &access.remote;
    let fates = fates_of(remote, access, work, confirmed).await?;
    let going = fates.iter().filter(|fate| fate.may_go()).map(|fate| fate.generation.number);
    let mut made = Made { removed: going.filter(|number| agreed.contains(number)).collect(), ..Made::default() };
    if !made.removed.is_empty() {
        remove_generations(remote, &made.removed).await?;
    }
    if work.collect {
        made.said.push(collect(remote).await?);
    }
    if work.optimise {
        made.said.push(optimise(remote).await?);
    }
    // What there is now is told where the host tells it.
    if let Ok(facts) = probe(remote).await {
        (made.store, made.boot) = (facts.store_space, facts.boot_space);
    }
    Ok(made)
}

async fn fates_of(
    remote: &Remote,
    access: &Access,
    work: Work,
    confirmed: &BTreeSet<StorePath>,
) -> Result<Vec<Fate>, GarbageError> {
    let Some(policy) = work.policy else { return Ok(Vec::new()) };
    let found = generations(remote).await?;
    Ok(fates(&found, &access.facts, confirmed, policy))
}
