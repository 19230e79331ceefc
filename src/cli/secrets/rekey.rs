//! `hubctl secrets rekey`.

use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::args::Keys;
use super::place::{Place, aside, told};
use crate::cli::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::report::Output;
use crate::secrets::age::Compared;
use crate::secrets::{Plan, Rule};

#[derive(Args, Debug)]
pub(super) struct RekeyArgs {
    /// Secrets, by name or glob; all of them without one.
    #[arg(value_name = "NAME")]
    pub(super) names: Vec<String>,
    /// Encrypts those anew as well that are as their rules want them: each gets a new key of its own.
    #[arg(long)]
    pub(super) all: bool,
    /// Only secrets that this host can read: those with a key that is commented as its own, `root@HOST` or `HOST`.
    #[arg(long, value_name = "HOST")]
    pub(super) host: Option<String>,
    /// Tells what would be done, without any private key.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Does it also when none of the identities can read a secret afterwards.
    #[arg(long)]
    pub(super) force: bool,
    #[command(flatten)]
    pub(super) keys: Keys,
}

pub(super) async fn run(hub: &Hub, place: &Place, args: &RekeyArgs) -> Result<Exit> {
    let begun = Instant::now();
    let store = if args.dry_run { None } else { Some(place.store(hub)?) };
    let mut chosen = place.rules.select(&args.names).map_err(told)?;
    if let Some(host) = &args.host {
        chosen.retain(|rule| is_of_host(rule, host));
        if chosen.is_empty() {
            return Err(Error::message(
                Kind::Usage,
                format!("no secret has a key that is commented as that of {host}"),
            )
            .hint("comments of host keys are `root@HOST` or `HOST`, as behind the key in secrets.nix"));
        }
    }
    let plan = place.vault.plan(&chosen, args.all).map_err(told)?;
    for rule in &plan.missing {
        hub.ui.warning(&format!("{} is not there yet", rule.path.display()), None);
    }
    if !plan.unsure.is_empty() {
        let count = plan.unsure.len();
        hub.ui.status(&format!(
            "{count} with recipients that leave no tag may be encrypted to others; --all encrypts them anew"
        ));
    }
    let rekeyed: Vec<_> = plan.rekey.iter().map(|(rule, _)| rule.name.clone()).collect();
    let Some(store) = store else {
        tell_plan(hub, &plan)?;
        return Ok(Exit::Success);
    };
    if !rekeyed.is_empty() {
        let rules: Vec<Rule> = plan.rekey.iter().map(|(rule, _)| (*rule).clone()).collect();
        let (vault, identities, force) = (place.vault.clone(), place.identities(hub, &args.keys)?, args.force);
        let changes = aside(hub, move || vault.rekey(&rules.iter().collect::<Vec<_>>(), &identities, force)).await?;
        // From here on it is all or nothing, and soon over: nobody is heard who wants it to stop.
        store.commit(&changes).map_err(told)?;
    }
    tell(hub, &plan, &rekeyed, begun)
}

fn is_of_host(rule: &Rule, host: &str) -> bool {
    let is = |comment: &str| comment == host || comment.strip_prefix("root@") == Some(host);
    rule.recipients.iter().any(|one| one.comment().is_some_and(is))
}

fn tell_plan(hub: &Hub, plan: &Plan<'_>) -> Result<()> {
    let written = if hub.ui.output() == Output::Json {
        let names = |rules: &[&Rule]| rules.iter().map(|rule| rule.name.clone()).collect::<Vec<_>>();
        let rekey: Vec<_> = plan.rekey.iter().map(|(rule, _)| rule.name.clone()).collect();
        hub.ui.data_json(&json!({
            "would-rekey": rekey, "missing": names(&plan.missing), "unsure": names(&plan.unsure), "same": plan.same,
        }))
    } else {
        let lines = plan.rekey.iter().map(|(rule, compared)| format!("{}: {}", rule.name, why(compared)));
        hub.ui.data(&lines.collect::<Vec<_>>().join("\n"))
    };
    written.map_err(|error| Error::new(Kind::Failed, error))
}

/// What is wrong with a secret's recipients.
fn why(compared: &Compared) -> String {
    let missing = compared.missing.iter().map(|one| format!("+ {}", one.short()));
    let stale = compared.stale.iter().map(|tag| format!("- {tag}"));
    let untagged = compared.untagged.map(|differs| format!("{} of {} without tags", differs.found, differs.wanted));
    let all: Vec<_> = missing.chain(stale).chain(untagged).collect();
    if all.is_empty() { "anew".to_owned() } else { all.join(", ") }
}

fn tell(hub: &Hub, plan: &Plan<'_>, rekeyed: &[String], begun: Instant) -> Result<Exit> {
    if hub.ui.output() == Output::Json {
        let missing: Vec<_> = plan.missing.iter().map(|rule| &rule.name).collect();
        let unsure: Vec<_> = plan.unsure.iter().map(|rule| &rule.name).collect();
        let told = json!({ "rekeyed": rekeyed, "missing": missing, "unsure": unsure, "same": plan.same });
        hub.ui.data_json(&told).map_err(|error| Error::new(Kind::Failed, error))?;
    }
    let count = match rekeyed.len() {
        0 => "nothing had to be encrypted anew".to_owned(),
        1 => format!("{} is encrypted anew", rekeyed[0]),
        count => format!("{count} secrets are encrypted anew"),
    };
    hub.ui.status(&format!("{count}, after {} ms", begun.elapsed().as_millis()));
    Ok(Exit::Success)
}
