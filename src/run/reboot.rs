//! Rebooting a host and staying with it until it is back, on what it was to boot or on what it booted before.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use super::activate::{Contact, activation, judge, look_and_forget, see_through};
use super::guarded::keep;
use super::health::{Tries, complaint, see_health, unhealthy};
use super::host::{HostEvents, HostPart, Reached};
use super::prepare::{Origin, Prepared, Wanted};
use super::reach::Access;
use super::stop::Stop;
use crate::fleet::{FailedUnits, Host, Policy, Reboots};
use crate::plan::{Booted, Decision, Goal, Reason, Trial, Verdict, booted, decide_boot, units_after_boot};
use crate::process::Level;
use crate::remote::{
    Activation, Ailment, BootGuard, Ended, Facts, ProfileStep, RunError, Target, Work, boot_ways, confirm_boot,
    forget_boot, longest, settled_boot, take_back_boot,
};
use crate::report::{Outcome, StepName};

/// How long contact is sought beyond the deadline that ends the search.
const SLACK: Duration = Duration::from_secs(60);

/// How long to wait before a host is asked again whether it was booted.
const RETRY: Duration = Duration::from_secs(1);

/// Asks the host what it boots by default, which is what a reboot is to bring.
pub(super) async fn ask_for_boot_default(part: &HostPart) -> Result<(Access, Wanted), Stop> {
    let (context, events) = (part.context.clone(), part.events());
    check_allowed(&part.host, &context.target_of(&part.host))?;
    let access = events.step(StepName::Probe, context.reach_settled(&part.host, &events)).await?;
    let facts = &access.facts;
    if !access.remote.platform().boots() {
        let platform = access.remote.platform().as_str();
        let message = format!("{} is a host of {platform}, which never needs a boot for a system", part.host.name);
        return Err(refused(message).hint(Some("leave it out with `!NAME`; it can be rebooted there")));
    }
    let (Some(toplevel), Some(generation)) = (facts.profile.clone(), facts.generation) else {
        let message = format!("{} has no system profile, so that nobody knows what it would boot", part.host.name);
        return Err(refused(message).hint(Some("deploy it first: `hubctl deploy HOST`")));
    };
    if facts.booted.is_none() {
        let message = format!("{} does not say what it was booted with", part.host.name);
        return Err(refused(message).hint(Some("hubctl reboots NixOS: what it boots links /run/booted-system")));
    }
    let wanted = Wanted { toplevel, specialisation: None, origin: Origin::Generation(generation) };
    Ok((access, wanted))
}

/// Declines a host that may not be rebooted, before it is asked anything.
fn check_allowed(host: &Host, target: &Target) -> Result<(), Stop> {
    if host.policy.reboots == Reboots::Never {
        let hint =
            "`reboot = \"never\"` in hub.toml says so: it needs a person to come up; reboot it where you can see it";
        return Err(refused(format!("{} is not to be rebooted from afar", host.name)).hint(Some(hint)));
    }
    if *target == Target::Local {
        let message = format!("{} is this machine: hubctl would not live to see it back", host.name);
        return Err(refused(message).hint(Some("`systemctl reboot` reboots it, or hubctl on another machine")));
    }
    Ok(())
}

fn refused(message: String) -> Stop {
    Stop::failed(Outcome::Refused, StepName::Probe, message)
}

/// Finds out how the host can be booted into `wanted`, its generation `number`, and decides.
pub(super) async fn decide_to_boot(
    part: &HostPart,
    access: &Access,
    wanted: &Wanted,
    number: u64,
) -> Result<Decision, Stop> {
    let (facts, rule) = (&access.facts, part.context.job.rule);
    let old = facts.booted.as_ref().unwrap_or(&wanted.toplevel);
    let ways = boot_ways(&access.remote, &wanted.toplevel, old).await;
    let ways = ways.map_err(|error| Stop::script(Outcome::Unreachable, StepName::Probe, &error))?;
    Ok(decide_boot(rule, &wanted.toplevel, number, facts, &ways, part.host.policy.confirms()))
}

/// Reboots the host, and has it keep what it came back with or go back.
pub(super) async fn reboot_host(part: &mut HostPart, prepared: &Prepared, trial: &Trial) -> Result<Reached, Stop> {
    let events = part.events();
    if let Reason::Boot { way_back, .. } = prepared.decision.reason
        && way_back.is_notable()
    {
        events.warning(way_back.to_string(), None);
    }
    let trip = Trip::new(part, prepared, trial);
    let mut output = VecDeque::new();
    let contact = events.step(StepName::Reboot, trip.go_down(part, &mut output)).await?;
    let cancel = part.context.cancel.clone();
    let arriving = trip.arrive(part, contact, &mut output);
    let arrived = cancel.unless(Level::Hard, arriving).await.unwrap_or_else(|| Err(unwaited()));
    let Arrived { contact, facts, ailments } = arrived?;
    part.generation = facts.generation;
    if !ailments.is_empty() {
        return Err(unhealthy(&ailments));
    }
    let units = units_after_boot(&prepared.access.facts, &facts);
    let reached = judge(part, Goal::Reboot, &trip.boot, units, &contact, &facts, output).await?;
    Ok(Reached { detail: Some(format!("booted {}", trip.boot.toplevel.name())), ..reached })
}

/// A host's way down and up again.
struct Trip<'a> {
    prepared: &'a Prepared,
    /// What the host is told to do.
    boot: Activation,
    /// Whether it goes back unless it is confirmed.
    guarded: bool,
    /// Until when it is waited for.
    deadline: Instant,
}

/// A host that is back on what it was to boot.
struct Arrived {
    contact: Contact,
    facts: Facts,
    /// What is wrong with it, where it stays all the same.
    ailments: Vec<Ailment>,
}

impl<'a> Trip<'a> {
    fn new(part: &HostPart, prepared: &'a Prepared, trial: &Trial) -> Self {
        let one_time = match trial {
            Trial::Guarded(way) => Some(way.clone()),
            Trial::Plain(_) => None,
        };
        let (guarded, timeout) = (one_time.is_some(), part.host.policy.reboot_timeout);
        // Its checks begin when it is reached, and that may be late.
        let patience = timeout + longest(&part.host.health);
        // A host that goes back by itself does so when its patience is over, and is back after another boot.
        let limit = if guarded { timeout + patience + timeout } else { timeout };
        let mut boot = activation(part, prepared, "", Goal::Reboot, ProfileStep::Keep);
        boot.work = Work::Boot { from: prepared.access.facts.boot_id.clone(), one_time, patience };
        Self { prepared, boot, guarded, deadline: Instant::now() + limit }
    }

    /// Has the host reboot, and waits until it answers again.
    async fn go_down(&self, part: &mut HostPart, output: &mut VecDeque<String>) -> Result<Contact, Stop> {
        let (events, cancel, timeout) = (part.events(), part.context.cancel.clone(), part.host.policy.reboot_timeout);
        let contact = Contact { remote: self.prepared.access.remote.clone(), until: self.deadline + SLACK };
        let seen = async {
            tokio::select! {
                seen = see_through(part, &self.boot, contact, output) => seen.map_err(Stop::from),
                () = tokio::time::sleep_until(self.deadline.into()) => Err(not_back(timeout)),
                never = self.late(&events, timeout) => match never {},
            }
        };
        let seen = cancel.unless(Level::Soft, seen).await.unwrap_or_else(|| Err(unwaited()));
        match seen.map_err(while_rebooting)? {
            (contact, Ended::Vanished) => {
                // The boot took the lock with it.
                part.lock = None;
                Ok(contact)
            }
            (contact, Ended::Exited { code, .. }) => {
                // What stays behind where this fails, the next activation clears away.
                let _ = look_and_forget(part, contact, &[&self.boot]).await;
                let why = output.back().cloned().unwrap_or_else(|| format!("exit code {code}"));
                let message = format!("the host was not rebooted: {why}");
                Err(Stop::failed(Outcome::ActivateFailed, StepName::Reboot, message)
                    .command("systemctl reboot", std::mem::take(output).into())
                    .hint(Some("with `confirm = \"0s\"` for the host in hub.toml it is rebooted without a way back")))
            }
        }
    }

    /// Tells when the host is longer away than it should be, where there is still something to wait for.
    async fn late(&self, events: &HostEvents, timeout: Duration) -> Infallible {
        tokio::time::sleep(timeout).await;
        if self.guarded {
            let message = format!(
                "the host is not back within {} s; when it is up and cannot be reached it goes back to its old system, which \
                 is waited for",
                timeout.as_secs()
            );
            events.warning(message, Some("Ctrl-C stops waiting; the host goes back all the same"));
        }
        std::future::pending().await
    }

    /// Looks at what the host came back with and how well that is. A boot that is guarded is confirmed and made the boot
    /// default, or waited out until the host is back on its old system.
    async fn arrive(
        &self,
        part: &mut HostPart,
        contact: Contact,
        output: &mut VecDeque<String>,
    ) -> Result<Arrived, Stop> {
        let events = part.events();
        let (contact, facts) = events.step(StepName::Verify, self.verify(part, contact)).await?;
        let (contact, ailments) = self.examine(part, contact).await?;
        if !self.guarded {
            return Ok(Arrived { contact, facts, ailments });
        }
        // Somebody else who has it by now waits for the end of this boot.
        let access = Access { remote: contact.remote.clone(), facts: facts.clone(), clock_skew: None };
        let lock = part.context.lock(&part.host, &access, &events).await;
        part.lock = lock.ok().map(|(lock, _)| lock);
        if let Some(reason) = self.objection(part, &facts, &ailments) {
            return Err(self.send_back(part, contact, &facts, &reason).await?);
        }
        let keeping = events.step(StepName::Confirm, self.confirm(part, contact, &facts, output));
        let (contact, facts) = keeping.await?;
        Ok(Arrived { contact, facts, ailments })
    }

    /// Looks at what the host came back with.
    async fn verify(&self, part: &HostPart, contact: Contact) -> Result<(Contact, Facts), Stop> {
        let Policy { confirm, reboot_timeout, .. } = &part.host.policy;
        // Which units fail shows when all have been started. One that never ends to start is not waited for.
        let _ = settled_boot(&contact.remote, (*confirm).min(*reboot_timeout / 2)).await;
        let (contact, after) = contact.look(part).await.ok_or_else(|| not_back(*reboot_timeout))?;
        let failed = |step, message: &str| Stop::failed(Outcome::ActivateFailed, step, message);
        match booted(&self.prepared.wanted.toplevel, &self.prepared.access.facts, &after) {
            Booted::Wanted => Ok((contact, after)),
            Booted::Not => Err(failed(StepName::Reboot, "the reboot was killed on the host")),
            Booted::Old if self.guarded => Err(went_back(&contact, &after, None, "it did not come up").await),
            Booted::Old => {
                let message =
                    "the host came back with the system that it was booted with before, not with its boot default";
                Err(failed(StepName::Verify, message))
            }
            Booted::Other(found) => {
                let found = found.map_or_else(|| "no known system".to_owned(), |path| path.to_string());
                let wanted = &self.prepared.wanted.toplevel;
                let message = format!("the host was to boot {wanted}, and came back with {found}");
                Err(failed(StepName::Verify, &message))
            }
        }
    }

    /// Runs the health checks of what was booted.
    async fn examine(&self, part: &HostPart, contact: Contact) -> Result<(Contact, Vec<Ailment>), Stop> {
        if part.host.health.is_empty() {
            return Ok((contact, Vec::new()));
        }
        let checked = part.events().step(StepName::Health, see_health(part, contact, Tries::All)).await;
        checked.ok_or_else(|| lost("the host is back, and was not reached again to check its health"))
    }

    /// Why the host must not stay on what it booted, if it must not.
    fn objection(&self, part: &HostPart, after: &Facts, ailments: &[Ailment]) -> Option<String> {
        match units_after_boot(&self.prepared.access.facts, after) {
            Verdict::UnitsFailed { new, known, .. }
                if part.host.policy.on_failed(&new, &known) == FailedUnits::Rollback =>
            {
                Some(format!("units failed: {}", new.join(", ")))
            }
            _ if !ailments.is_empty() => Some(complaint(ailments)),
            _ => None,
        }
    }

    /// Confirms the boot and makes what was booted the boot default.
    async fn confirm(
        &self,
        part: &mut HostPart,
        contact: Contact,
        after: &Facts,
        output: &mut VecDeque<String>,
    ) -> Result<(Contact, Facts), Stop> {
        let timeout = part.host.policy.reboot_timeout;
        let (contact, guard) = self.tell(part, contact, after, None).await.ok_or_else(|| not_back(timeout))?;
        match guard {
            BootGuard::Confirmed => {
                let (contact, now) = keep(part, self.prepared, &self.boot, contact, output).await?;
                if now.boot_id != after.boot_id {
                    return Err(went_down());
                }
                Ok((contact, now))
            }
            BootGuard::Gone => Err(self.see_back(part, contact, after, None).await?),
        }
    }

    /// Has the host go back to its old system for `reason`, and waits until it is there. The stop that tells so.
    async fn send_back(&self, part: &HostPart, contact: Contact, after: &Facts, reason: &str) -> Result<Stop, Stop> {
        let timeout = part.host.policy.reboot_timeout;
        let (contact, _) = self.tell(part, contact, after, Some(reason)).await.ok_or_else(|| not_back(timeout))?;
        self.see_back(part, contact, after, Some(reason)).await
    }

    /// Confirms the boot or, with an objection, has the host go back, over as many connections as it takes.
    async fn tell(
        &self,
        part: &HostPart,
        mut contact: Contact,
        after: &Facts,
        objection: Option<&str>,
    ) -> Option<(Contact, BootGuard)> {
        loop {
            let told = match objection {
                Some(reason) => take_back_boot(&contact.remote, &self.boot.toplevel, reason).await,
                None => {
                    confirm_boot(&contact.remote, &self.boot.id, after.boot_id.as_deref().unwrap_or_default()).await
                }
            };
            match told {
                Ok(guard) => return Some((contact, guard)),
                Err(RunError::Lost(_) | RunError::TimedOut(_)) => contact = contact.regain(part).await?,
                Err(RunError::NotElevated { .. }) => return None,
            }
        }
    }

    /// Waits until the host has another boot than the one that `after` tells of. The stop that tells how it went.
    async fn see_back(
        &self,
        part: &HostPart,
        mut contact: Contact,
        after: &Facts,
        objection: Option<&str>,
    ) -> Result<Stop, Stop> {
        let looking = async {
            loop {
                let (same, now) = contact.look(part).await?;
                if now.boot_id != after.boot_id {
                    return Some((same, now));
                }
                contact = same;
                tokio::time::sleep(RETRY).await;
            }
        };
        let until = Instant::now() + part.host.policy.reboot_timeout;
        let back = tokio::time::timeout_at(until.into(), looking).await.ok().flatten();
        let (contact, now) = back.ok_or_else(|| not_back(part.host.policy.reboot_timeout))?;
        if now.booted != self.prepared.access.facts.booted {
            return Err(lost("the host went back, and came up with neither its old system nor the new one"));
        }
        Ok(went_back(&contact, &now, objection, "it went down before it was confirmed").await)
    }
}

/// The end of a boot that did not last, on a host that is back on its old system. It is `likely` why, where nobody says it.
async fn went_back(contact: &Contact, after: &Facts, objection: Option<&str>, likely: &str) -> Stop {
    let noted = after.reverted.as_ref().map(|reverted| reverted.reason.as_str());
    let reason = objection.or(noted).unwrap_or(likely);
    // What stays behind where this fails does no harm: the host clears it away itself.
    let _ = forget_boot(&contact.remote).await;
    let message = format!("the host went back to the system that it was booted with before, since {reason}");
    Stop::failed(Outcome::RolledBack, StepName::Reboot, message).hint(Some(
        "`journalctl --boot=-1` on the host shows the boot that failed, if it got that far; the system is still a generation there",
    ))
}

/// A host that was confirmed, and then booted once more.
fn went_down() -> Stop {
    let message = "the boot was confirmed, and the host went down before it was the boot default for good";
    Stop::failed(Outcome::Unknown, StepName::Confirm, message)
        .hint(Some("`hubctl status HOST` tells what it runs, `hubctl reboot HOST` boots its boot default"))
}

/// The same end, as one of a reboot.
fn while_rebooting(mut stop: Stop) -> Stop {
    if let Some(failed) = &mut stop.failed {
        failed.step = StepName::Reboot;
    }
    stop
}

/// What is true when the user does not wait.
fn unwaited() -> Stop {
    lost("the host reboots; you chose not to wait for it")
}

fn not_back(timeout: Duration) -> Stop {
    lost(&format!("the host did not come back within {} s of its reboot", timeout.as_secs()))
        .hint(Some("`reboot-timeout` in hub.toml is for hosts that take longer"))
}

fn lost(message: &str) -> Stop {
    Stop::failed(Outcome::Unknown, StepName::Reboot, message)
        .hint(Some("`hubctl status HOST` tells what it runs once it answers"))
}
