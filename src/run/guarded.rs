//! Activating a system so that the host takes it back by itself unless it is confirmed over a connection made anew.
//!
//! The new system runs first as a test, with the boot default as it was: a host that goes down now comes back with its old
//! system. Only what is confirmed becomes the boot default.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::activate::{
    Contact, Lapse, PART_FAILED, activation, begin, judge, look_and_forget, see_through, unknown, unwaited,
};
use super::health::{Tries, complaint, see_health};
use super::host::{HostPart, Reached};
use super::prepare::Prepared;
use super::sealed::{lack, see_secrets};
use super::stop::Stop;
use crate::fleet::{FailedUnits, Policy};
use crate::plan::{Aim, Goal, Verdict, Why, verdict};
use crate::process::Level;
use crate::remote::{
    Activation, ActivationError, Ailment, Ended, Facts, Guard, Guarded, Platform, ProfileStep, Refusal, Revert,
    RunError, Stage, confirm, prolong, settled_guard, take_back,
};
use crate::report::{Outcome, StepName};

/// How long bringing a host back to its old system may take.
const REVERT: Duration = Duration::from_secs(5 * 60);

/// How long before the end of its time a system must be confirmed at the latest, on a host that is slow or far away.
const MARGIN: Duration = Duration::from_secs(15);

/// What is known of a host that is not reached again.
const LOST: &str = "the host was not reached again to confirm the activation, and takes it back by itself";

/// Activates the system of a part, confirms it or has it taken back, and makes it the boot default where that is wanted.
pub(super) async fn activate_guarded(
    part: &mut HostPart,
    prepared: &Prepared,
    verb: Goal,
    set_profile: bool,
) -> Result<Reached, Stop> {
    let policy = part.host.policy.clone();
    let guard = Guard { confirm: policy.confirm, patience: policy.activation_timeout + policy.confirm };
    let mut first = activation(part, prepared, "", Goal::Test, ProfileStep::Keep);
    first.guard = Some(guard);
    let armed = Instant::now();
    let contact = Contact { remote: prepared.access.remote.clone(), until: armed + guard.patience + REVERT };
    let mut output = VecDeque::new();
    let (mut contact, ended) = begin(part, &first, contact, &mut output).await?;
    // By then the host is back on its old system, or needs hands.
    contact.until = Instant::now() + guard.confirm + REVERT;

    let (events, cancel) = (part.events(), part.context.cancel.clone());
    let test = Test { id: &first.id, verb, set_profile, armed };
    let verifying = verify(part, prepared, &test, contact, ended);
    let verifying = events.step(StepName::Verify, verifying);
    let verified = cancel.unless(Level::Hard, verifying).await.unwrap_or_else(|| Err(unwaited()))?;
    let ending = async {
        match verified {
            Verified::MayStay(contact, seen) => {
                let keeping = keep_confirming(part, prepared, &first, contact, &seen, &mut output);
                events.step(StepName::Confirm, keeping).await
            }
            Verified::Confirmed(contact) if set_profile => {
                events.step(StepName::Confirm, keep(part, prepared, &first, contact, &mut output)).await
            }
            Verified::Confirmed(contact) => look_and_forget(part, contact, &[&first]).await,
            Verified::Undone(contact, undone) => Err(undone.told(part, contact, &first, &mut output).await),
        }
    };
    let (contact, after) = cancel.unless(Level::Hard, ending).await.unwrap_or_else(|| Err(unwaited()))?;
    let judged = verdict(verb, (&first).into(), ended, &prepared.access.facts, &after);
    judge(part, verb, &first, judged, &contact, &after, output).await
}

/// Confirms the system that was activated by `first`, which `seen` shows, and makes it the boot default, in one go.
async fn keep_confirming(
    part: &mut HostPart,
    prepared: &Prepared,
    first: &Activation,
    contact: Contact,
    seen: &Facts,
    output: &mut VecDeque<String>,
) -> Result<(Contact, Facts), Stop> {
    let mut second = boot_default(part, prepared);
    second.confirms = Some(first.id.clone());
    let (contact, answer) = match see_through(part, &second, contact, output).await {
        Ok((contact, made)) => return kept(part, prepared, [first, &second], contact, made, output).await,
        Err(Lapse::NotBegun(contact, error)) => match *error {
            ActivationError::Refused(Refusal::Unconfirmed(answer)) => (contact, answer),
            error => return Err(not_begun(Stop::not_activated(&error))),
        },
        Err(Lapse::Stopped(stop)) if stop.outcome == Outcome::Unknown => return Err(unknown(LOST)),
        Err(Lapse::Stopped(stop)) => return Err(not_begun(stop)),
    };
    match settled(part, prepared, &first.id, contact, answer, Vec::new(), seen).await? {
        Verified::Undone(contact, undone) => Err(undone.told(part, contact, first, output).await),
        Verified::Confirmed(contact) | Verified::MayStay(contact, _) => {
            keep(part, prepared, first, contact, output).await
        }
    }
}

/// What makes a system that runs the boot default.
fn boot_default(part: &HostPart, prepared: &Prepared) -> Activation {
    activation(part, prepared, "-boot", Goal::Boot, prepared.profile_step())
}

/// Makes the system that runs, and was activated by `first`, the boot default.
pub(super) async fn keep(
    part: &mut HostPart,
    prepared: &Prepared,
    first: &Activation,
    contact: Contact,
    output: &mut VecDeque<String>,
) -> Result<(Contact, Facts), Stop> {
    let second = boot_default(part, prepared);
    let (contact, made) = see_through(part, &second, contact, output).await.map_err(|lapse| not_begun(lapse.into()))?;
    kept(part, prepared, [first, &second], contact, made, output).await
}

/// Looks at a host that was to make the system of the `first` activation its boot default, by the `second`, which came to `made`.
async fn kept(
    part: &mut HostPart,
    prepared: &Prepared,
    [first, second]: [&Activation; 2],
    contact: Contact,
    made: Ended,
    output: &mut VecDeque<String>,
) -> Result<(Contact, Facts), Stop> {
    let (contact, looked) = look_and_forget(part, contact, &[first, second]).await?;
    let (before, wanted) = (&prepared.access.facts, Some(&prepared.wanted.toplevel));
    let is_wanted = (looked.current.as_ref() == wanted, looked.profile.as_ref() == wanted);
    match (made, is_wanted) {
        (Ended::Exited { stage: Stage::Switch, code: 0 }, _) => Ok((contact, looked)),
        // Whatever was missing when the host went down, it found what it was to boot.
        (Ended::Vanished, (true, true)) if before.boot_id != looked.boot_id => Ok((contact, looked)),
        (Ended::Vanished, (false, _)) if is_back(before, &looked) => {
            Err(went_down_late(before, &looked, first.platform))
        }
        _ => Err(not_boot_default(made, second, output)),
    }
}

/// A system that runs as a test.
struct Test<'a> {
    /// The activation that made it run.
    id: &'a str,
    /// What the user wanted to be done with it.
    verb: Goal,
    /// Whether it becomes the boot default next.
    set_profile: bool,
    /// When what takes it back was armed.
    armed: Instant,
}

/// What became of a system that runs as a test.
enum Verified {
    /// Nothing speaks against it. The host was not told so yet; this is how it was seen.
    MayStay(Contact, Box<Facts>),
    /// It stays.
    Confirmed(Contact),
    /// It does not run any more.
    Undone(Contact, Undone),
}

/// How a host came back to its old system.
enum Undone {
    /// It took the new one back.
    Reverted(Revert),
    /// It took the new one back, since checks of its health failed.
    Unhealthy(Revert, Vec<Ailment>),
    /// It went down and came back.
    CameBackOld,
}

impl Undone {
    /// Clears the `first` activation away, and tells what became of it.
    async fn told(
        self,
        part: &mut HostPart,
        contact: Contact,
        first: &Activation,
        output: &mut VecDeque<String>,
    ) -> Stop {
        if let Err(stop) = look_and_forget(part, contact, &[first]).await {
            return stop;
        }
        match self {
            Self::Reverted(revert) => taken_back(&revert, &first.command(Stage::Switch), std::mem::take(output)),
            Self::Unhealthy(revert, ailments) => taken_back_for(&revert, &ailments),
            Self::CameBackOld => went_down(first.platform),
        }
    }
}

/// Looks at the host over a connection made anew, and has it keep what it runs or take it back. What is made the boot default next
/// is confirmed with that.
async fn verify(
    part: &mut HostPart,
    prepared: &Prepared,
    test: &Test<'_>,
    contact: Contact,
    ended: Ended,
) -> Result<Verified, Stop> {
    let lost = || unknown(LOST);
    let contact = contact.anew(part).await.ok_or_else(lost)?;
    let (mut contact, mut after) = contact.look(part).await.ok_or_else(lost)?;
    if after.current.as_ref() == Some(prepared.wanted.runs()) {
        contact = see_secrets(part, prepared, contact).await?;
        after.missing_secrets.clone_from(&part.missing_secrets);
    }
    let before = &prepared.access.facts;
    let aim = Aim { runs: prepared.wanted.runs(), boots: &prepared.wanted.toplevel };
    let judged = verdict(Goal::Test, aim, ended, before, &after);
    let (wish, contact, ailments) = match objection(&judged, test.verb, &part.host.policy) {
        Some(reason) => (Wish::TakeBack(reason), contact, Vec::new()),
        None if after.current.as_ref() != Some(prepared.wanted.runs()) => (Wish::Keep, contact, Vec::new()),
        None if part.host.health.is_empty() => (Wish::Keep, contact, Vec::new()),
        None => {
            let examining = part.events().step(StepName::Health, examine(part, contact, test.id, test.armed)).await;
            let (contact, ailments) = examining.ok_or_else(lost)?;
            let wish = if ailments.is_empty() { Wish::Keep } else { Wish::TakeBack(complaint(&ailments)) };
            (wish, contact, ailments)
        }
    };
    if test.set_profile && matches!(wish, Wish::Keep) {
        return Ok(Verified::MayStay(contact, Box::new(after)));
    }
    let (contact, answer) = wish.tell(part, contact, test.id).await.ok_or_else(lost)?;
    settled(part, prepared, test.id, contact, answer, ailments, &after).await
}

/// What a host came to that gives this `answer` about the activation `id`, whose system `seen` shows.
async fn settled(
    part: &HostPart,
    prepared: &Prepared,
    id: &str,
    mut contact: Contact,
    mut answer: Guarded,
    ailments: Vec<Ailment>,
    seen: &Facts,
) -> Result<Verified, Stop> {
    while answer == Guarded::Reverting {
        (contact, answer) = Wish::Wait.tell(part, contact, id).await.ok_or_else(|| unknown(LOST))?;
    }
    match answer {
        Guarded::Confirmed => Ok(Verified::Confirmed(contact)),
        Guarded::Reverted(revert) if ailments.is_empty() => Ok(Verified::Undone(contact, Undone::Reverted(revert))),
        Guarded::Reverted(revert) => Ok(Verified::Undone(contact, Undone::Unhealthy(revert, ailments))),
        Guarded::Gone if is_back(&prepared.access.facts, seen) => Ok(Verified::Undone(contact, Undone::CameBackOld)),
        Guarded::Gone if seen.current.as_ref() == Some(prepared.wanted.runs()) => Ok(Verified::Confirmed(contact)),
        Guarded::Gone => Err(unknown("the host went down and came back with neither its old system nor the new one")),
        Guarded::Armed | Guarded::Reverting => Err(unknown(LOST)),
    }
}

/// Runs the health checks of what runs. That it can be reached is proved by then, so the host waits for as long as they may take;
/// it need not be told so where they pass at once.
async fn examine(part: &HostPart, mut contact: Contact, id: &str, armed: Instant) -> Option<(Contact, Vec<Ailment>)> {
    let confirm = part.host.policy.confirm;
    if suffices(confirm, armed.elapsed(), Tries::One.longest(&part.host)) {
        let ailments;
        (contact, ailments) = see_health(part, contact, Tries::One).await?;
        if ailments.is_empty() {
            return Some((contact, ailments));
        }
    }
    let limit = Tries::All.longest(&part.host) + confirm;
    let (contact, answer) = Wish::Prolong(limit).tell(part, contact, id).await?;
    if answer == Guarded::Armed { see_health(part, contact, Tries::All).await } else { Some((contact, Vec::new())) }
}

/// Whether checks that take `needed` at most end well before a host takes back what it was to confirm within `confirm` of the
/// end of an activation that began `since` ago.
fn suffices(confirm: Duration, since: Duration, needed: Duration) -> bool {
    since + needed + MARGIN <= confirm
}

/// Why what runs must not stay, if it must not.
fn objection(judged: &Verdict, verb: Goal, policy: &Policy) -> Option<String> {
    match judged {
        Verdict::UnitsFailed { new, known, secrets }
            if policy.on_lack(new, known, secrets) == FailedUnits::Rollback =>
        {
            let units = (!new.is_empty()).then(|| format!("units failed: {}", new.join(", ")));
            let wrong: Vec<_> = lack(secrets).into_iter().chain(units).collect();
            Some(if wrong.is_empty() { PART_FAILED.to_owned() } else { wrong.join("; ") })
        }
        // Nothing was activated, and the boot default will be what only a boot brings.
        Verdict::Failed(Why::NeedsBoot) if verb.sets_profile() => None,
        Verdict::Failed(why) => Some(why.cause()),
        _ => None,
    }
}

/// Whether the host was booted since, with what it ran before.
fn is_back(before: &Facts, after: &Facts) -> bool {
    before.boot_id != after.boot_id && before.current == after.current
}

/// What the host is to do with a guarded activation.
enum Wish {
    Keep,
    TakeBack(String),
    /// It is to wait for so long until it is confirmed.
    Prolong(Duration),
    /// Nothing but to tell when it is taken back.
    Wait,
}

impl Wish {
    /// Tells the host, over as many connections as it takes, and gives its answer.
    async fn tell(&self, part: &HostPart, mut contact: Contact, id: &str) -> Option<(Contact, Guarded)> {
        loop {
            let answer = match self {
                Self::Keep => confirm(&contact.remote, id).await,
                Self::TakeBack(reason) => take_back(&contact.remote, id, reason).await,
                Self::Prolong(limit) => prolong(&contact.remote, id, *limit).await,
                Self::Wait => settled_guard(&contact.remote, id).await,
            };
            match answer {
                Ok(answer) => return Some((contact, answer)),
                Err(RunError::Lost(_) | RunError::TimedOut(_)) => contact = contact.regain(part).await?,
                Err(RunError::NotElevated { .. }) => return None,
            }
        }
    }
}

fn taken_back(revert: &Revert, command: &str, output: VecDeque<String>) -> Stop {
    let reason = &revert.reason;
    let (outcome, message) = if revert.complete {
        (Outcome::RolledBack, format!("the activation was taken back, since {reason}; the host runs its old system"))
    } else {
        let message =
            format!("the activation was to be taken back, since {reason}, which failed with code {}", revert.code);
        (Outcome::ActivateFailed, message)
    };
    Stop::failed(outcome, StepName::Activate, message).command(command, output.into())
}

/// A system that was taken back because of its health, with what the checks saw in place of what the activation printed.
fn taken_back_for(revert: &Revert, ailments: &[Ailment]) -> Stop {
    let mut stop = taken_back(revert, "", VecDeque::new());
    if let Some(failed) = &mut stop.failed {
        failed.step = StepName::Health;
        failed.command = None;
        failed.output = ailments.iter().map(ToString::to_string).collect();
    }
    stop.hint(Some("checks that fail with the old system too are not the new one's fault: `hubctl status HOST` tells"))
}

fn went_down(platform: Platform) -> Stop {
    let message = "the host went down during the activation and came back with its old system";
    let rest = platform.lasts_over_a_boot();
    let message = rest.map_or_else(|| message.to_owned(), |rest| format!("{message}; {rest}"));
    Stop::failed(Outcome::RolledBack, StepName::Activate, message).hint(
        rest.map(|_| "`hubctl deploy HOST` activates a system in any case, from this revision or from an earlier one"),
    )
}

/// A host that went down after its system was confirmed, before that was the boot default.
fn went_down_late(before: &Facts, after: &Facts, platform: Platform) -> Stop {
    if before.profile == after.profile {
        return went_down(platform);
    }
    let message = "the host went down while its new system was made the boot default, and came back with the old one; the system \
                   profile has the new one";
    Stop::failed(Outcome::ActivateFailed, StepName::Confirm, message)
        .hint(Some("run the command again: it does what is left to do"))
}

/// What is refused only now leaves a host that was changed.
fn not_begun(mut stop: Stop) -> Stop {
    if let (Outcome::Refused, Some(failed)) = (stop.outcome, &mut stop.failed) {
        stop.outcome = Outcome::ActivateFailed;
        failed.step = StepName::Confirm;
        failed.message = format!("the system runs and is confirmed, but is not the boot default: {}", failed.message);
    }
    stop
}

fn not_boot_default(ended: Ended, second: &Activation, output: &mut VecDeque<String>) -> Stop {
    let (stage, why) = match ended {
        Ended::Exited { stage: Stage::Profile, code } => {
            (Stage::Profile, format!("setting the system profile failed with code {code}"))
        }
        Ended::Exited { stage, code } => (stage, format!("installing the boot loader failed with code {code}")),
        Ended::Vanished => (Stage::Switch, "making it the boot default was killed".to_owned()),
    };
    let message = format!("the system runs and is confirmed, but is not the boot default: {why}");
    Stop::failed(Outcome::ActivateFailed, StepName::Confirm, message)
        .command(&second.command(stage), std::mem::take(output).into())
        .hint(Some("run the command again once that is mended: it does what is left to do"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_given_more_time_where_checks_may_outlast_what_it_has() {
        let holds = |confirm, since, needed| {
            let seconds = Duration::from_secs;
            suffices(seconds(confirm), seconds(since), seconds(needed))
        };
        assert!(holds(60, 2, 30));
        assert!(!holds(60, 2, 50));
        assert!(!holds(60, 40, 30));
        assert!(!holds(8, 0, 1));
    }
}
