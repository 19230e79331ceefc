//! Activating a system on a host, staying with it whatever the connection does, and looking at what came of it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::dry_activate::would_do;
use super::guarded::activate_guarded;
use super::health::{Tries, see_health, unhealthy};
use super::host::{HostPart, Reached};
use super::prepare::Prepared;
use super::sealed::{LACK_HINT, lack, see_secrets};
use super::stop::Stop;
use crate::fleet::FailedUnits;
use crate::plan::{Doubt, Goal, Verdict, Why, verdict};
use crate::process::Level;
use crate::remote::{
    Activation, ActivationError, Ended, Facts, ProbeError, ProfileStep, Remote, RunError, Script, Seen, Stage, Work,
    forget_and_probe, probe,
};
use crate::report::{Outcome, StepName};

/// How long a host may take to say whether it still activates, when that has taken too long.
const LAST_QUESTION: Duration = Duration::from_secs(4);

/// How many lines of an activation's output are shown when it failed.
const OUTPUT_LINES: usize = 15;

/// What is known when nothing is.
const LOST: &str = "contact was lost during the activation, and the host was not reached again";

/// What exit code 4 means when no unit failed.
pub(super) const PART_FAILED: &str = "switch-to-configuration says that a part of it failed";

/// How many lines of a failed unit's journal are shown.
const JOURNAL_LINES: u32 = 5;

/// Activates the system that was copied, and judges what came of it. What runs afterwards is confirmed, or taken back, unless
/// nothing will run or the user wants it so.
pub(super) async fn activate_host(
    part: &mut HostPart,
    prepared: &Prepared,
    verb: Goal,
    set_profile: bool,
) -> Result<Reached, Stop> {
    // A host that runs no system yet has nothing that it could go back to.
    if verb.makes_current() && part.host.policy.confirms() && prepared.access.facts.current.is_some() {
        return Box::pin(activate_guarded(part, prepared, verb, set_profile)).await;
    }
    let profile = if set_profile { prepared.profile_step() } else { ProfileStep::Keep };
    let activation = activation(part, prepared, "", verb, profile);
    let until = Instant::now() + part.host.policy.activation_timeout;
    let contact = Contact { remote: prepared.access.remote.clone(), until };
    let mut output = VecDeque::new();
    let (contact, ended) = begin(part, &activation, contact, &mut output).await?;
    let (events, cancel) = (part.events(), part.context.cancel.clone());
    let activations = [&activation];
    let looking = async {
        let contact = if verb.makes_current() { see_secrets(part, prepared, contact).await? } else { contact };
        look_and_forget(part, contact, &activations).await
    };
    let looking = events.step(StepName::Verify, looking);
    let (contact, after) = cancel.unless(Level::Hard, looking).await.unwrap_or_else(|| Err(unwaited()))?;
    let judged = verdict(verb, (&activation).into(), ended, &prepared.access.facts, &after);
    let ended = judge(part, verb, &activation, judged, &contact, &after, output).await;
    let lives = verb.makes_current() && after.current.as_ref() == Some(&activation.runs);
    if !lives || part.host.health.is_empty() || ended.as_ref().is_err_and(|stop| stop.outcome != Outcome::Degraded) {
        return ended;
    }
    let checking = events.step(StepName::Health, see_health(part, contact, Tries::All));
    match cancel.unless(Level::Hard, checking).await {
        Some(Some((_, ailments))) if !ailments.is_empty() => Err(unhealthy(&ailments)),
        Some(Some(_)) => ended,
        Some(None) => Err(unknown("the system is live, but the host was not reached again to check its health")),
        None => Err(unwaited()),
    }
}

/// What is to be activated for a part; `suffix` tells its activations apart.
pub(super) fn activation(
    part: &HostPart,
    prepared: &Prepared,
    suffix: &str,
    verb: Goal,
    profile: ProfileStep,
) -> Activation {
    let job = &part.context.job;
    Activation {
        platform: prepared.access.remote.platform(),
        id: format!("{}-{}{}{suffix}", job.id, part.host.name, part.suffix),
        toplevel: prepared.wanted.toplevel.clone(),
        runs: prepared.wanted.runs().clone(),
        work: Work::Switch(verb.as_str()),
        profile,
        hostname: prepared.wanted.host_name().filter(|_| !job.overruled.contains(&Doubt::HostName)).map(str::to_owned),
        guard: None,
        confirms: None,
        locked: part.lock.as_ref().map(|lock| lock.id().to_owned()),
    }
}

/// Starts an activation and stays with it. From here on only the second Ctrl-C gives the host up.
pub(super) async fn begin(
    part: &mut HostPart,
    activation: &Activation,
    contact: Contact,
    output: &mut VecDeque<String>,
) -> Result<(Contact, Ended), Stop> {
    let (events, cancel) = (part.events(), part.context.cancel.clone());
    let seen = events.step(StepName::Activate, see_through(part, activation, contact, output));
    Ok(cancel.unless(Level::Hard, seen).await.unwrap_or_else(|| Err(unwaited().into()))?)
}

/// What is true when the user does not wait.
pub(super) fn unwaited() -> Stop {
    unknown("the activation goes on on the host; you chose not to wait for it")
}

/// Asks the host what it runs after activations that ended, clears them away, and gives its lock back. What stays behind where
/// that fails does no harm: the next activation clears it away.
pub(super) async fn look_and_forget(
    part: &mut HostPart,
    contact: Contact,
    activations: &[&Activation],
) -> Result<(Contact, Facts), Stop> {
    let ids: Vec<_> = activations.iter().map(|activation| activation.id.clone()).collect();
    let lock_id = part.lock.as_ref().map(|lock| lock.id().to_owned());
    let looked = contact.ask(part, Question::Forgetting(&ids, lock_id.as_deref())).await;
    let (contact, mut after) =
        looked.ok_or_else(|| unknown("the activation ended, but the host was not reached after it"))?;
    part.lock = None;
    part.generation = after.generation;
    after.missing_secrets.clone_from(&part.missing_secrets);
    part.context.seen.note(&part.host.name, &after);
    Ok((contact, after))
}

/// The end of a part, as its activation was judged. Units that fail against the host's policy make it unhealthy.
pub(super) async fn judge(
    part: &HostPart,
    verb: Goal,
    activation: &Activation,
    judged: Verdict,
    contact: &Contact,
    after: &Facts,
    output: VecDeque<String>,
) -> Result<Reached, Stop> {
    match judged {
        Verdict::Failed(why) => Err(failed(&why, activation, output)),
        Verdict::UnitsFailed { new, known, secrets } => {
            let mut stop = if new.is_empty() && known.is_empty() && secrets.is_empty() {
                let message = format!("the system is live, but {PART_FAILED}");
                let command = activation.command(Stage::Switch);
                Stop::failed(Outcome::Degraded, StepName::Activate, message).command(&command, output.into())
            } else {
                degraded(&new, &known, &secrets, &contact.remote).await
            };
            // Where it would have been taken back, there was nothing to do that with.
            if part.host.policy.on_lack(&new, &known, &secrets) > FailedUnits::Tolerate {
                stop.outcome = Outcome::Unhealthy;
            }
            Err(stop)
        }
        Verdict::Reached => Ok(reached(verb, &output)),
        Verdict::CameBack => {
            let detail = "the host went down during the activation and came back with this system".to_owned();
            Ok(Reached { outcome: Outcome::Deployed, detail: Some(detail) })
        }
        Verdict::RebootNeeded => Ok(reboot_needed(activation, after)),
    }
}

/// A way to the host, and until when it is sought again when it is lost.
pub(super) struct Contact {
    pub(super) remote: Remote,
    pub(super) until: Instant,
}

impl Contact {
    /// Connects anew, again and again, until the host answers; none when time is up. An activation is under way: the first
    /// Ctrl-C does not end the search.
    pub(super) async fn regain(mut self, part: &HostPart) -> Option<Self> {
        let lost = self.remote.connection();
        let connection = part.context.reconnect(&part.host, lost, self.until, Level::Hard).await?;
        self.remote = self.remote.over(connection);
        Some(self)
    }

    /// The same host over a connection made anew, which proves that others can be made too.
    pub(super) async fn anew(self, part: &HostPart) -> Option<Self> {
        self.remote.connection().retire().await;
        self.regain(part).await
    }

    /// What is true of an activation that was not seen to end in time.
    async fn overdue(&self) -> Stop {
        match tokio::time::timeout(LAST_QUESTION, probe(&self.remote)).await {
            Ok(Ok(facts)) if facts.activating.is_some() => {
                unknown("the activation goes on on the host, longer than `activation-timeout` allows")
            }
            Ok(Ok(_)) => unknown("the activation did not end within `activation-timeout`"),
            _ => unknown(LOST),
        }
    }

    /// Asks the host what it runs now.
    pub(super) async fn look(self, part: &HostPart) -> Option<(Self, Facts)> {
        self.ask(part, Question::Plain).await
    }

    /// Puts a question to the host, over as many connections as it takes.
    async fn ask(mut self, part: &HostPart, question: Question<'_>) -> Option<(Self, Facts)> {
        loop {
            match question.ask(&self.remote).await {
                Ok(facts) => return Some((self, facts)),
                Err(error) if error.is_connection() => self = self.regain(part).await?,
                Err(_) => return None,
            }
        }
    }
}

/// How a host is asked what it runs.
enum Question<'a> {
    Plain,
    /// Once it has forgotten these activations, and given the lock of this deployment back.
    Forgetting(&'a [String], Option<&'a str>),
}

impl Question<'_> {
    async fn ask(&self, remote: &Remote) -> Result<Facts, ProbeError> {
        match self {
            Self::Plain => probe(remote).await,
            Self::Forgetting(ids, locked) => forget_and_probe(remote, ids, *locked).await,
        }
    }
}

/// Why an activation was not seen to its end.
pub(super) enum Lapse {
    /// It did not begin, as the host says over this contact.
    NotBegun(Contact, Box<ActivationError>),
    /// What is known of it instead.
    Stopped(Stop),
}

impl From<Stop> for Lapse {
    fn from(stop: Stop) -> Self {
        Self::Stopped(stop)
    }
}

impl From<Lapse> for Stop {
    fn from(lapse: Lapse) -> Self {
        match lapse {
            Lapse::NotBegun(_, error) => Self::not_activated(&error),
            Lapse::Stopped(stop) => stop,
        }
    }
}

/// Starts the activation and stays with it until it ends.
pub(super) async fn see_through(
    part: &mut HostPart,
    activation: &Activation,
    mut contact: Contact,
    output: &mut VecDeque<String>,
) -> Result<(Contact, Ended), Lapse> {
    let mut seen = Seen::default();
    let step = if activation.goes_down() { StepName::Reboot } else { StepName::Activate };
    loop {
        let (events, log) = part.split();
        let mut on_line = |line: &str| {
            log.line(step, line);
            events.log(step, line);
            output.push_back(line.to_owned());
            output.drain(..output.len().saturating_sub(OUTPUT_LINES));
        };
        let ended = tokio::select! {
            ended = activation.see(&contact.remote, &mut seen, &mut on_line) => ended,
            () = tokio::time::sleep_until(contact.until.into()) => {
                return Err(contact.overdue().await.into());
            }
        };
        match ended {
            Ok(Some(ended)) => return Ok((contact, ended)),
            Ok(None) => {}
            Err(ActivationError::Run(error @ (RunError::Lost(_) | RunError::TimedOut(_)))) => {
                if seen.begun() && !activation.goes_down() {
                    let message = format!("{error}; the activation goes on without it, contact is sought again");
                    events.warning(message, None);
                }
                contact = regain_or_unknown(part, contact).await?;
            }
            Err(ActivationError::Run(error)) if seen.begun() => {
                return Err(Stop::script(Outcome::Unknown, StepName::Activate, &error).into());
            }
            Err(error) => return Err(Lapse::NotBegun(contact, Box::new(error))),
        }
    }
}

async fn regain_or_unknown(part: &HostPart, contact: Contact) -> Result<Contact, Stop> {
    let regained = contact.regain(part).await;
    regained.ok_or_else(|| unknown(LOST))
}

pub(super) fn unknown(message: &str) -> Stop {
    Stop::failed(Outcome::Unknown, StepName::Activate, message).hint(Some(
        "`hubctl status HOST` tells what it runs once it answers; the activation's output is in its journal",
    ))
}

/// The end of an activation that did what it was to do, and printed `output`.
fn reached(verb: Goal, output: &VecDeque<String>) -> Reached {
    let (outcome, detail) = match verb {
        Goal::Boot => (Outcome::Deployed, Some("takes effect with the next boot".to_owned())),
        Goal::DryActivate => (Outcome::Built, Some(would_do(output))),
        _ => (Outcome::Deployed, None),
    };
    Reached { outcome, detail }
}

fn reboot_needed(activation: &Activation, after: &Facts) -> Reached {
    let parts: Vec<_> = after.reboot.iter().map(|part| part.as_str()).collect();
    let why = if parts.is_empty() { "init interface".to_owned() } else { parts.join(", ") };
    let detail = if after.profile.as_ref() == Some(&activation.toplevel) {
        format!("new {why}: reboot to use it")
    } else {
        format!("new {why}, which is not in use: only a boot brings it, and another system is the boot default")
    };
    Reached { outcome: Outcome::RebootNeeded, detail: Some(detail) }
}

fn failed(why: &Why, activation: &Activation, output: VecDeque<String>) -> Stop {
    let stage = if matches!(why, Why::Profile(_)) { Stage::Profile } else { Stage::Switch };
    let command = activation.command(stage);
    Stop::failed(Outcome::ActivateFailed, StepName::Activate, why)
        .command(&command, output.into())
        .hint(Some("`hubctl status HOST` shows what it runs, `hubctl rollback HOST` brings the last generation back"))
}

/// The wanted system is live, and some of its units are not. What is new is looked into; where nothing is, all of it.
async fn degraded(new: &[String], known: &[String], secrets: &[String], remote: &Remote) -> Stop {
    let units = match (new, known) {
        ([], []) => None,
        ([], known) => Some(format!("units still fail: {}", known.join(", "))),
        (new, []) => Some(format!("units failed: {}", new.join(", "))),
        (new, known) => Some(format!("units failed: {} (and as before: {})", new.join(", "), known.join(", "))),
    };
    let wrong: Vec<_> = lack(secrets).into_iter().chain(units).collect();
    let message = format!("the system is live, but {}", wrong.join("; "));
    let mut stop = Stop::failed(Outcome::Degraded, StepName::Activate, message);
    if !secrets.is_empty() {
        stop = stop.hint(Some(LACK_HINT));
    }
    if let Some(failed) = &mut stop.failed {
        for unit in if new.is_empty() { known } else { new } {
            failed.output.push(format!("{unit}:"));
            failed.output.extend(journal(unit, remote).await.iter().map(|line| format!("  {line}")));
        }
    }
    stop
}

/// The last that a unit said.
async fn journal(unit: &str, remote: &Remote) -> Vec<String> {
    let unit = crate::process::shell_quote(unit);
    let script = format!("journalctl --unit {unit} --lines {JOURNAL_LINES} --output cat --no-pager");
    let ran = remote.run(&Script::new(script).as_root()).await;
    ran.map(|(_, printed)| printed.lines().map(str::to_owned).collect()).unwrap_or_default()
}
