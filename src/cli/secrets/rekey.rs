//! `hubctl secrets rekey`.

use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::args::Keys;
use super::both::{Anew, Both, Chosen, anew};
use super::place::{store, told};
use crate::cli::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::report::Output;
use crate::secrets::age::{Compared, Recipient};
use crate::secrets::sops::{Drift, SopsSecret};
use crate::secrets::{Plan, Rule, SecretsError, is_of_host};

#[derive(Args, Debug)]
pub(super) struct RekeyArgs {
    /// Secrets, by name, path or glob; all of them without one.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Encrypts those anew as well that are as their rules want them: each gets a new key of its own.
    #[arg(long)]
    all: bool,
    /// Only secrets that this host can read: those with a key that is commented as its own, `root@HOST` or `HOST`, or has its
    /// name as an anchor in .sops.yaml.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Tells what would be done, without any private key.
    #[arg(long)]
    dry_run: bool,
    /// Does it also when none of the identities can read a secret afterwards.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    keys: Keys,
}

pub(super) async fn run(hub: &Hub, args: &RekeyArgs) -> Result<Exit> {
    let begun = Instant::now();
    let mut both = Both::of(hub).await?;
    let store = if args.dry_run { None } else { Some(store(hub, &both.root)?) };
    let mut chosen = both.select(&args.names)?;
    if let Some(host) = &args.host {
        only_of_host(&both, &mut chosen, host)?;
    }
    let rules: Vec<_> = chosen.rules.iter().collect();
    let plan = both.agenix.as_ref().map(|place| place.vault.plan(&rules, args.all).map_err(told));
    let todo = Todo::of(plan.transpose()?.unwrap_or_default(), &chosen.sops, args.all)?;
    todo.warn(hub);
    let Some(store) = store else {
        todo.tell(hub, "would-rekey", true)?;
        return Ok(Exit::Success);
    };
    let rules = todo.agenix.rekey.iter().map(|(rule, _)| (*rule).clone()).collect();
    let sops = todo.sops.iter().map(|(secret, _)| (*secret).clone()).collect();
    let work = Anew { chosen: Chosen { rules, sops }, all: args.all, forced: args.force };
    let changes = anew(hub, &both, work, &args.keys).await?;
    // From here on it is all or nothing, and soon over: nobody is heard who wants it to stop.
    store.commit(&changes).map_err(told)?;
    todo.tell(hub, "rekeyed", false)?;
    hub.ui.status(&format!("{}, after {} ms", todo.done(), begun.elapsed().as_millis()));
    Ok(Exit::Success)
}

/// Leaves those that a host can read by their rules.
fn only_of_host(both: &Both, chosen: &mut Chosen, host: &str) -> Result<()> {
    let rules = both.agenix.iter().flat_map(|place| place.rules.list.iter().flat_map(|rule| &rule.recipients));
    let mut keys: Vec<Recipient> = rules.filter(|key| is_of_host(key, host)).cloned().collect();
    for file in &both.sops.rules {
        keys.extend(both.sops_rules(file)?.named(host));
    }
    let is_for = |recipients: &[Recipient]| recipients.iter().any(|one| keys.iter().any(|key| key.is_same_key(one)));
    chosen.rules.retain(|rule| is_for(&rule.recipients));
    chosen.sops.retain(|secret| secret.rule().is_some_and(|rule| is_for(&rule.recipients)));
    if chosen.rules.is_empty() && chosen.sops.is_empty() {
        return Err(Error::message(Kind::Usage, format!("no secret has a key that is commented as that of {host}"))
            .hint("comments of host keys are `root@HOST` or `HOST`, as behind the key in secrets.nix; in .sops.yaml it is the key's anchor"));
    }
    Ok(())
}

/// What a rekey is about to do, or did.
struct Todo<'a> {
    agenix: Plan<'a>,
    /// Files of SOPS that are encrypted anew, with what is wrong with their recipients.
    sops: Vec<(&'a SopsSecret, Drift)>,
    /// Files that no rule is for.
    ruleless: Vec<&'a SopsSecret>,
    /// How many files of SOPS are as they should be.
    same: usize,
}

impl<'a> Todo<'a> {
    fn of(agenix: Plan<'a>, secrets: &'a [SopsSecret], all: bool) -> Result<Self> {
        let mut todo = Self { agenix, sops: Vec::new(), ruleless: Vec::new(), same: 0 };
        for secret in secrets {
            match secret.drift().map_err(|error| told(SecretsError::sops(&secret.path, error)))? {
                Drift::NoRule => todo.ruleless.push(secret),
                Drift::None if !all => todo.same += 1,
                drift => todo.sops.push((secret, drift)),
            }
        }
        Ok(todo)
    }

    fn warn(&self, hub: &Hub) {
        for rule in &self.agenix.missing {
            hub.ui.warning(&format!("{} is not there yet", rule.path.display()), None);
        }
        for secret in &self.ruleless {
            hub.ui.warning(&format!("no rule of .sops.yaml is for {}", secret.path.display()), None);
        }
        if !self.agenix.unsure.is_empty() {
            let count = self.agenix.unsure.len();
            hub.ui.status(&format!(
                "{count} with recipients that leave no tag may be encrypted to others; --all encrypts them anew"
            ));
        }
    }

    /// The secrets that are encrypted anew, as they are named, with why.
    fn lines(&self) -> Vec<(String, String)> {
        let agenix = self.agenix.rekey.iter().map(|(rule, compared)| (rule.name.clone(), why(compared)));
        let sops = self.sops.iter().map(|(secret, drift)| (secret.path.display().to_string(), why_sops(drift)));
        agenix.chain(sops).collect()
    }

    /// Tells it as JSON under `key`, or else as lines where `lines`.
    fn tell(&self, hub: &Hub, key: &str, lines: bool) -> Result<()> {
        let written = if hub.ui.output() == Output::Json {
            let names = |rules: &[&Rule]| rules.iter().map(|rule| rule.name.clone()).collect::<Vec<_>>();
            let secrets: Vec<_> = self.lines().into_iter().map(|(name, _)| name).collect();
            let ruleless: Vec<_> = self.ruleless.iter().map(|secret| &secret.path).collect();
            let (missing, unsure) = (names(&self.agenix.missing), names(&self.agenix.unsure));
            hub.ui.data_json(&json!({
                key: secrets, "missing": missing, "unsure": unsure, "without-rule": ruleless,
                "same": self.agenix.same + self.same,
            }))
        } else if lines {
            let lines: Vec<_> = self.lines().into_iter().map(|(name, why)| format!("{name}: {why}")).collect();
            hub.ui.data(&lines.join("\n"))
        } else {
            Ok(())
        };
        written.map_err(|error| Error::new(Kind::Failed, error))
    }

    fn done(&self) -> String {
        match self.lines().as_slice() {
            [] => "nothing had to be encrypted anew".to_owned(),
            [(name, _)] => format!("{name} is encrypted anew"),
            all => format!("{} secrets are encrypted anew", all.len()),
        }
    }
}

/// What is wrong with the recipients of a file of SOPS.
fn why_sops(drift: &Drift) -> String {
    let Drift::Recipients { missing, stale } = drift else { return "anew".to_owned() };
    let line = |sign: &'static str| {
        move |key: &String| {
            let short = key.parse::<Recipient>().map_or_else(|_| key.clone(), |key| key.short());
            format!("{sign} {short}")
        }
    };
    missing.iter().map(line("+")).chain(stale.iter().map(line("-"))).collect::<Vec<_>>().join(", ")
}

/// What is wrong with a secret's recipients.
fn why(compared: &Compared) -> String {
    let missing = compared.missing.iter().map(|one| format!("+ {}", one.short()));
    let stale = compared.stale.iter().map(|tag| format!("- {tag}"));
    let untagged = compared.untagged.map(|differs| format!("{} of {} without tags", differs.found, differs.wanted));
    let all: Vec<_> = missing.chain(stale).chain(untagged).collect();
    if all.is_empty() { "anew".to_owned() } else { all.join(", ") }
}
