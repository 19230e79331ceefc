//! Activating a system on a host, staying with it whatever the connection does, and looking at what came of it.

use std::time::{Duration, Instant};

use super::host::{HostPart, Reached};
use super::prepare::{Origin, Prepared};
use super::stop::Stop;
use crate::plan::{Goal, Verdict, verdict};
use crate::process::{Cancel, Level};
use crate::remote::{
    Activation, ActivationError, Ended, Facts, ProfileStep, Remote, RunError, Script, activate, forget, probe,
};
use crate::report::{Outcome, StepName};

/// How long to wait before contact is sought again, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(300), Duration::from_secs(3));

/// How many lines of a failed unit's journal are shown.
const JOURNAL_LINES: u32 = 5;

/// Activates the system that was copied, and judges what came of it.
pub(super) async fn activate_host(
    part: &mut HostPart,
    prepared: &Prepared,
    verb: Goal,
    set_profile: bool,
) -> Result<Reached, Stop> {
    let job = &part.context.job;
    let activation = Activation {
        id: format!("{}-{}", job.id, part.host.name),
        toplevel: prepared.wanted.toplevel.clone(),
        verb: verb.as_str(),
        profile: match prepared.wanted.origin {
            _ if !set_profile => ProfileStep::Keep,
            Origin::Flake(_) => ProfileStep::Set,
            Origin::Generation(number) => ProfileStep::SwitchTo(number),
        },
        hostname: prepared.wanted.host_name().filter(|_| !job.accept_hostname).map(str::to_owned),
    };
    let contact = Contact { remote: prepared.access.remote.clone(), until: Instant::now() + job.activation_timeout };
    let events = part.events();
    let cancel = part.context.cancel.clone();
    // From here on only the second Ctrl-C gives the host up.
    let seen =
        cancel.unless(Level::Hard, events.step(StepName::Activate, see_through(part, &activation, contact))).await;
    let (contact, ended) =
        seen.unwrap_or_else(|| Err(unknown("the activation goes on on the host; you chose not to wait for it")))?;
    let looked = cancel.unless(Level::Hard, events.step(StepName::Verify, contact.look(part))).await;
    let (contact, after) =
        looked.flatten().ok_or_else(|| unknown("the activation ended, but the host was not reached after it"))?;
    part.generation = after.generation;
    let judged = verdict(verb, &activation.toplevel, ended, &prepared.access.facts, &after);
    let reached = conclude(judged, &after, &contact.remote, verb).await;
    // What stays behind does no harm: the next activation clears it away.
    let _ = forget(&contact.remote, &[activation.id]).await;
    reached
}

/// A way to the host, and until when it is sought again when it is lost.
struct Contact {
    remote: Remote,
    until: Instant,
}

impl Contact {
    /// Connects anew, again and again, until the host answers; none when time is up.
    async fn regain(mut self, part: &HostPart) -> Option<Self> {
        let context = &part.context;
        let target = context.target_of(&part.host);
        let mut pause = RETRY.0;
        while Instant::now() < self.until {
            self.remote.connection().discard().await;
            // An activation is under way: the first Ctrl-C does not end the search.
            if let Ok(connection) = context.connect.connect(&target, &Cancel::never()).await {
                self.remote = self.remote.over(connection);
                return Some(self);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY.1);
        }
        None
    }

    /// Asks the host what it runs now.
    async fn look(mut self, part: &HostPart) -> Option<(Self, Facts)> {
        loop {
            match probe(&self.remote).await {
                Ok(facts) => return Some((self, facts)),
                Err(error) if error.is_connection() => self = self.regain(part).await?,
                Err(_) => return None,
            }
        }
    }
}

/// Starts the activation and stays with it until it ends.
async fn see_through(
    part: &mut HostPart,
    activation: &Activation,
    mut contact: Contact,
) -> Result<(Contact, Ended), Stop> {
    loop {
        match activate(&contact.remote, activation).await {
            Ok(()) => break,
            // Whether it began is not known, so it is asked for again; one that did begin is left alone.
            Err(ActivationError::Run(RunError::Lost(_) | RunError::TimedOut(_))) => {
                contact = regain_or_unknown(part, contact).await?;
            }
            Err(error) => return Err(Stop::not_activated(&error)),
        }
    }
    let mut seen = 0;
    loop {
        let (events, log) = part.split();
        let mut on_line = |line: &str| {
            log.line(StepName::Activate, line);
            events.log(StepName::Activate, line);
        };
        let followed = tokio::select! {
            followed = activation.follow(&contact.remote, &mut seen, &mut on_line) => followed,
            () = tokio::time::sleep_until(contact.until.into()) => {
                return Err(unknown("the activation goes on on the host, longer than `activation-timeout` allows"));
            }
        };
        match followed {
            Ok(Some(ended)) => return Ok((contact, ended)),
            Ok(None) => {}
            Err(error @ (RunError::Lost(_) | RunError::TimedOut(_))) => {
                events.warning(format!("{error}; the activation goes on without it, contact is sought again"), None);
                contact = regain_or_unknown(part, contact).await?;
            }
            Err(error) => return Err(Stop::script(Outcome::Unknown, StepName::Activate, &error)),
        }
    }
}

async fn regain_or_unknown(part: &HostPart, contact: Contact) -> Result<Contact, Stop> {
    let regained = contact.regain(part).await;
    regained.ok_or_else(|| unknown("contact was lost during the activation, and the host was not reached again"))
}

fn unknown(message: &str) -> Stop {
    Stop::failed(Outcome::Unknown, StepName::Activate, message).hint(Some(
        "`hubctl status HOST` tells what it runs once it answers; the activation's output is in its journal",
    ))
}

async fn conclude(judged: Verdict, after: &Facts, remote: &Remote, verb: Goal) -> Result<Reached, Stop> {
    let parts = || after.reboot.iter().map(|part| part.as_str()).collect::<Vec<_>>().join(", ");
    match judged {
        Verdict::Reached => {
            let detail = match verb {
                Goal::Boot => Some("takes effect with the next boot".to_owned()),
                Goal::DryActivate => Some("nothing was changed".to_owned()),
                _ => None,
            };
            Ok(Reached { outcome: Outcome::Deployed, detail })
        }
        Verdict::RebootNeeded => {
            let why = if after.reboot.is_empty() { "init interface".to_owned() } else { parts() };
            let detail = Some(format!("new {why}: reboot to use it"));
            Ok(Reached { outcome: Outcome::RebootNeeded, detail })
        }
        Verdict::UnitsFailed(units) => {
            Err(degraded(if units.is_empty() { &after.failed_units } else { &units }, remote).await)
        }
        Verdict::Failed(why) => Err(Stop::failed(Outcome::ActivateFailed, StepName::Activate, why).hint(Some(
            "`hubctl status HOST` shows what it runs, `hubctl rollback HOST` brings the last generation back",
        ))),
    }
}

/// The wanted system is live, and some of its units are not.
async fn degraded(units: &[String], remote: &Remote) -> Stop {
    let mut output = Vec::new();
    for unit in units {
        let script = format!(
            "journalctl --unit {} --lines {JOURNAL_LINES} --output cat --no-pager",
            crate::process::shell_quote(unit)
        );
        output.push(format!("{unit}:"));
        if let Ok((_, journal)) = remote.run(&Script::new(script).as_root()).await {
            output.extend(journal.lines().map(|line| format!("  {line}")));
        }
    }
    let message = match units {
        [] => "the system is live, but some units failed".to_owned(),
        units => format!("the system is live, but units failed: {}", units.join(", ")),
    };
    let mut stop = Stop::failed(Outcome::Degraded, StepName::Activate, message);
    if let Some(failed) = &mut stop.failed {
        failed.output = output;
    }
    stop
}
