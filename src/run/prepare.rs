//! The first half of a host's part: ask it what it runs while its configuration is evaluated, and decide.

use std::sync::Arc;
use std::time::Duration;

use super::context::{Context, Restore, Wants};
use super::host::{HostEvents, HostPart};
use super::reach::Access;
use super::reboot::{ask_for_boot_default, decide_to_boot};
use super::sealed::check_sealed;
use super::stop::Stop;
use crate::evaluate::{Answer, Evaluator, Watcher};
use crate::fleet::{BuildOn, Host};
use crate::nix::{Evaluation, StorePath};
use crate::plan::{Action, Decision, Goal, Look, Sought, Trial, decide, objection};
use crate::process::LineSink;
use crate::remote::{Facts, Generation, ProfileStep, generations};
use crate::report::{Outcome, StepName, units};

/// A host that answered, what it is to run, and what is to be done for that.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The way there, and what it runs.
    pub access: Access,
    /// What it is to run.
    pub wanted: Wanted,
    /// What is to be done.
    pub decision: Decision,
}

impl Prepared {
    /// What makes the wanted system the boot default.
    pub(super) fn profile_step(&self) -> ProfileStep {
        match self.wanted.origin {
            Origin::Flake(_) => ProfileStep::Set,
            Origin::Generation(number) => ProfileStep::SwitchTo(number),
        }
    }

    /// The steps that are left to do for `host`, in order. Its toplevel arrives by a cache where `cached`.
    pub fn steps(&self, host: &Host, cached: bool) -> Vec<StepName> {
        let activate = matches!(self.decision.action, Action::Activate { .. });
        let reboot = matches!(self.decision.action, Action::Reboot(_));
        let trial = matches!(self.decision.action, Action::Reboot(Trial::Guarded(_)));
        let runs = matches!(self.decision.action, Action::Activate { verb, .. } if verb.makes_current());
        let boots = matches!(self.decision.action, Action::Activate { set_profile: true, .. });
        // A host that runs no system yet has nothing that it could go back to.
        let can_go_back = self.access.facts.current.is_some();
        let transfer = activate && matches!(self.wanted.origin, Origin::Flake(_));
        let elsewhere = self.access.remote.store().is_some() && host.build_on != BuildOn::Target;
        let steps = [
            (transfer, StepName::Build),
            (transfer && elsewhere && cached, StepName::Push),
            (transfer && elsewhere, StepName::Copy),
            (activate, StepName::Activate),
            (reboot, StepName::Reboot),
            (activate || reboot, StepName::Verify),
            ((runs || reboot) && !host.health.is_empty(), StepName::Health),
            (trial || runs && boots && can_go_back && host.policy.confirms(), StepName::Confirm),
        ];
        steps.into_iter().filter(|(needed, _)| *needed).map(|(_, step)| step).collect()
    }
}

/// The system that a host is to run.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The toplevel.
    pub toplevel: StorePath,
    /// The specialisation of it that is to run, if one is.
    pub specialisation: Option<Specialisation>,
    /// Where it comes from.
    pub origin: Origin,
}

/// A specialisation that a host is to run.
#[derive(Clone, Debug)]
pub struct Specialisation {
    /// Its name.
    pub name: String,
    /// What runs then, once that is known: what the host has of the system tells.
    pub system: Option<StorePath>,
}

/// Where a wanted system comes from, and so what must happen before it can be activated.
#[derive(Clone, Debug)]
pub enum Origin {
    /// The flake: it may have to be built and copied, and becomes a new generation.
    Flake(Evaluation),
    /// The host's own profile, where this is its generation's number.
    Generation(u64),
}

impl Wanted {
    /// What is to run, as far as it is known.
    pub(super) fn runs(&self) -> &StorePath {
        let specialised = self.specialisation.as_ref().and_then(|specialisation| specialisation.system.as_ref());
        specialised.unwrap_or(&self.toplevel)
    }

    /// What is sought.
    fn sought(&self) -> Sought<'_> {
        let specialisation = self.specialisation.as_ref().map(|specialisation| specialisation.name.as_str());
        Sought { toplevel: &self.toplevel, specialisation }
    }

    /// The Nix system that it is for, where that is known.
    fn system(&self) -> Option<&str> {
        match &self.origin {
            Origin::Flake(evaluation) => Some(&evaluation.system),
            Origin::Generation(_) => None,
        }
    }

    /// The name that the configuration gives the host, where that is known.
    pub fn host_name(&self) -> Option<&str> {
        match &self.origin {
            Origin::Flake(evaluation) => evaluation.host_name.as_deref().filter(|name| !name.is_empty()),
            Origin::Generation(_) => None,
        }
    }
}

/// Finds out what the host runs and what it is to run, and decides.
pub(super) async fn prepare(part: &mut HostPart) -> Result<Prepared, Stop> {
    let context = part.context.clone();
    let (access, wanted) = match part.wants.clone() {
        Wants::Flake(evaluator) => ask_and_evaluate(part, &evaluator).await?,
        Wants::Generation(number) => ask_for_generation(part, number).await?,
        Wants::Earlier(systems) => ask_for_earlier(part, systems.get(&part.host.name)).await?,
        Wants::BootDefault => ask_for_boot_default(part).await?,
    };
    if let Some(skew) = access.clock_skew {
        warn_of_clock(&part.events(), &part.host, skew);
    }
    // What is changed, and would be brought back: what runs, or what is booted.
    let old = if context.job.goal == Goal::Boot { access.facts.profile.as_ref() } else { access.facts.system() };
    part.old = old.cloned();
    part.generation = access.facts.generation;
    part.wanted = Some(wanted.toplevel.clone());
    part.system = wanted.system().map(str::to_owned);
    check_host(&context, &part.host, &access, &wanted)?;
    if let Some(id) = &access.facts.machine_id {
        context.machines.accept(&part.host.name, id.clone());
    }
    let decision = match (&context.wants, &wanted.origin) {
        (Wants::BootDefault, Origin::Generation(number)) => decide_to_boot(part, &access, &wanted, *number).await?,
        _ => decide(goal_of(part, &access.facts), context.job.rule, wanted.sought(), &access.facts),
    };
    let prepared = Prepared { access, wanted, decision };
    check_sealed(part, &prepared).await?;
    Ok(prepared)
}

/// What is to be reached on the host. A boot default that runs by now is not taken back by what the next boot brings.
fn goal_of(part: &HostPart, facts: &Facts) -> Goal {
    let restore = match &part.wants {
        Wants::Earlier(systems) => systems.get(&part.host.name),
        Wants::Flake(_) | Wants::Generation(_) | Wants::BootDefault => None,
    };
    let runs =
        restore.is_some_and(|restore| restore.instead_of.is_some() && restore.instead_of.as_ref() == facts.system());
    match part.context.job.goal {
        Goal::Boot if runs => Goal::Switch,
        goal => goal,
    }
}

/// Asks and evaluates side by side. The first of the two that fails ends the other.
async fn ask_and_evaluate(part: &mut HostPart, evaluator: &Evaluator) -> Result<(Access, Wanted), Stop> {
    let (context, host) = (part.context.clone(), part.host.clone());
    let (events, log) = part.split();
    let mut on_line = |line: &str| log.line(StepName::Evaluate, line);
    let probing = events.step(StepName::Probe, context.reach_settled(&host, &events));
    let evaluating = events.step(StepName::Evaluate, evaluate_host(&context, evaluator, &host, &mut on_line));
    let (access, answer) = tokio::try_join!(probing, evaluating)?;
    let evaluation = events.evaluated(answer);
    // What is booted is the system itself.
    let name = host.specialisation.filter(|_| context.job.goal != Goal::Boot);
    let specialisation = name.map(|name| Specialisation { name, system: None });
    let wanted = Wanted { toplevel: evaluation.out.clone(), specialisation, origin: Origin::Flake(evaluation) };
    Ok((access, wanted))
}

async fn ask_for_generation(part: &HostPart, number: Option<u64>) -> Result<(Access, Wanted), Stop> {
    let (context, events) = (part.context.clone(), part.events());
    let access = events.step(StepName::Probe, context.reach_settled(&part.host, &events)).await?;
    let found = generations(&access.remote).await;
    let found = found.map_err(|error| Stop::script(Outcome::Unreachable, StepName::Probe, &error))?;
    let chosen = choose(&found, number, access.facts.generation).map_err(|message| {
        let hint = format!("`hubctl generations {}` lists them", part.host.name);
        Stop::failed(Outcome::Refused, StepName::Probe, message).hint(Some(hint))
    })?;
    let wanted =
        Wanted { toplevel: chosen.toplevel.clone(), specialisation: None, origin: Origin::Generation(chosen.number) };
    Ok((access, wanted))
}

/// Finds the generation that has the system to go back to.
async fn ask_for_earlier(part: &HostPart, restore: Option<&Restore>) -> Result<(Access, Wanted), Stop> {
    let (context, events) = (part.context.clone(), part.events());
    let refused = |message: String| Stop::failed(Outcome::Refused, StepName::Probe, message);
    let restore = restore.ok_or_else(|| refused("it is not known what the host ran before".to_owned()))?;
    let access = events.step(StepName::Probe, context.reach_settled(&part.host, &events)).await?;
    let goal = context.job.goal;
    let runs = if goal.makes_current() { access.facts.system() } else { access.facts.profile.as_ref() };
    check_still(restore, runs).map_err(|message| {
        let hint = "`hubctl status` and `hubctl history` tell what it runs; --even-if-changed goes back all the same";
        refused(message).hint(Some(hint))
    })?;
    let found = generations(&access.remote).await;
    let found = found.map_err(|error| Stop::script(Outcome::Unreachable, StepName::Probe, &error))?;
    let newest = found.iter().filter(|generation| generation.toplevel == restore.toplevel).max_by_key(|one| one.number);
    let newest = newest.ok_or_else(|| {
        let message = format!("no generation of the host has the system that it ran before, {}", restore.toplevel);
        let hint = format!("`hubctl generations {}` lists them; deploy the revision that it came from", part.host.name);
        refused(message).hint(Some(hint))
    })?;
    let wanted =
        Wanted { toplevel: newest.toplevel.clone(), specialisation: None, origin: Origin::Generation(newest.number) };
    Ok((access, wanted))
}

/// Whether the host still runs what it is to go back from, or runs already what it is to go back to.
fn check_still(restore: &Restore, runs: Option<&StorePath>) -> Result<(), String> {
    match &restore.instead_of {
        Some(expected) if runs != Some(expected) && runs != Some(&restore.toplevel) => {
            let runs = runs.map_or("no known system", StorePath::as_str);
            Err(format!("the host was changed since that deployment: it runs {runs}, not {expected}"))
        }
        _ => Ok(()),
    }
}

/// The generation with this number, or the newest one before the profile's own.
fn choose(found: &[Generation], number: Option<u64>, current: Option<u64>) -> Result<&Generation, String> {
    if let Some(number) = number {
        let chosen = found.iter().find(|generation| generation.number == number);
        return chosen.ok_or_else(|| format!("the host has no generation {number}"));
    }
    let current = current.ok_or("the host's system profile has no generation")?;
    let older = found.iter().filter(|generation| generation.number < current);
    older
        .max_by_key(|generation| generation.number)
        .ok_or_else(|| format!("the host has no generation older than {current}"))
}

/// Evaluates a host's system, unless it is known.
pub(super) async fn evaluate_host(
    context: &Arc<Context>,
    evaluator: &Evaluator,
    host: &Host,
    on_line: LineSink<'_>,
) -> Result<Answer<Evaluation>, Stop> {
    let mut on_begin = || {
        if host.build_on == BuildOn::Here {
            context.expect_builds();
        }
    };
    let watcher = Watcher { on_begin: &mut on_begin, on_line };
    match evaluator.system_watched(host.attribute(), &context.cancel, watcher).await {
        Ok(answer) => Ok(answer),
        Err(error) => {
            let missed = Box::pin(evaluator.missed(&error, &context.cancel)).await;
            Err(Stop::not_evaluated(&error, host.name.as_str(), missed.as_ref()))
        }
    }
}

/// Declines a host that must not be deployed to as it is, before anything is built or copied.
fn check_host(context: &Context, host: &Host, access: &Access, wanted: &Wanted) -> Result<(), Stop> {
    let look = Look {
        host,
        facts: &access.facts,
        platform: access.remote.platform(),
        goal: context.job.goal,
        from_flake: matches!(wanted.origin, Origin::Flake(_)),
        specialisation: wanted.sought().specialisation,
        name: wanted.host_name(),
        machine: context.machines.before(&host.name),
    };
    match objection(&look, |doubt| context.job.overruled.contains(&doubt)) {
        Some(objection) => Err(Stop::objection(StepName::Probe, objection)),
        None => Ok(()),
    }
}

/// Says that a host's clock is wrong, or ours.
fn warn_of_clock(events: &HostEvents, host: &Host, skew: i64) {
    let by = units::elapsed(Duration::from_secs(skew.unsigned_abs()));
    let way = if skew > 0 { "ahead of" } else { "behind" };
    let message = format!("the clock of {} is {by} {way} this machine's", host.name);
    events.warning(
        message,
        Some("certificates and timers go by it: `timedatectl` there, and here, shows whether it is synchronised"),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generation(number: u64) -> Generation {
        let toplevel = "/nix/store/0i3kvkpqpr1i9zx4dbdzvj6dcpqnmhhb-nixos-system-p620-25.11".parse().unwrap();
        Generation { number, created: None, toplevel, specialisations: Vec::new(), version: None }
    }

    #[test]
    fn a_host_goes_back_only_from_what_it_was_given() {
        let path = |hash: char| -> StorePath {
            format!("/nix/store/{}-nixos-system-p620-25.11", hash.to_string().repeat(32)).parse().unwrap()
        };
        let restore = |instead_of| Restore { toplevel: path('a'), instead_of };
        let still = |instead_of: Option<char>, runs: Option<char>| {
            check_still(&restore(instead_of.map(path)), runs.map(path).as_ref()).is_ok()
        };
        assert!(still(Some('b'), Some('b')));
        assert!(still(Some('b'), Some('a')));
        assert!(!still(Some('b'), Some('c')));
        assert!(!still(Some('b'), None));
        assert!(still(None, Some('c')));
    }

    #[test]
    fn the_generation_before_the_current_one_need_not_be_the_newest() {
        let found = [generation(3), generation(5), generation(9)];
        assert_eq!(choose(&found, None, Some(9)).unwrap().number, 5);
        assert_eq!(choose(&found, None, Some(5)).unwrap().number, 3);
        assert_eq!(choose(&found, Some(3), Some(9)).unwrap().number, 3);
        assert!(choose(&found, None, Some(3)).is_err());
        assert!(choose(&found, Some(4), Some(9)).is_err());
    }
}
