//! `hubctl secrets hosts add`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use zeroize::Zeroizing;

use super::args::Keys;
use super::both::{Anew, Both, Chosen, anew};
use super::grant::changed as changed_rules;
use super::hosts::key_of;
use super::place::{Place, store, told};
use super::show::may_be_shown;
use super::values::{Values, changed};
use super::{content, rules, sops_rules};
use crate::cli::confirm::confirm;
use crate::cli::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::fleet::{Host, HostName, Kind as HostKind};
use crate::process::Cmd;
use crate::remote::{Connect as _, scanned_key};
use crate::secrets::age::{Recipient, RecipientKind};
use crate::secrets::edit_rules::{self, Who};
use crate::secrets::rotation::Target;
use crate::secrets::transaction::Change;
use crate::secrets::{Rule, Scratch, bind, identifier};

/// How long making a key may take.
const KEYGEN: Duration = Duration::from_secs(30);

#[derive(Args, Debug)]
pub(super) struct AddArgs {
    /// The host, as the flake names it.
    #[arg(value_name = "HOST")]
    host: HostName,
    /// Its public key, such as `ssh-ed25519 AAAA..`. Without it the host is asked for its own.
    #[arg(long, value_name = "KEY", conflicts_with = "generate")]
    key: Option<String>,
    /// Makes a key for a host that is yet to be installed: the private one is printed, to be put to `/etc/ssh/ssh_host_ed25519_key` there.
    #[arg(long)]
    generate: bool,
    /// Leaves it at the name of the key: the host is not granted what its configuration needs, and nothing is evaluated.
    #[arg(long)]
    no_grant: bool,
    /// Does it without asking.
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    keys: Keys,
}

/// What naming a host comes to.
#[derive(Default)]
struct Plan {
    /// The rules, and what is to be encrypted anew for them.
    changes: Vec<Change>,
    chosen: Chosen,
    /// What the host would be able to read.
    readable: BTreeSet<PathBuf>,
}

pub(super) async fn run(hub: &Hub, args: AddArgs) -> Result<Exit> {
    let stdout = std::io::stdout();
    if args.generate {
        may_be_shown(hub, &stdout, false)?;
    }
    let both = Both::of(hub).await?;
    let store = store(hub, &both.root)?;
    let (key, private) = key(hub, &args).await?;
    let needed = if args.no_grant { Needed::default() } else { needed(hub, &args.host).await? };
    let mut plan = Plan::default();
    if let Some(place) = &both.agenix {
        plan.in_agenix(hub, place, &args.host, &key, &needed).await?;
    }
    if !both.sops.rules.is_empty() {
        plan.in_sops(hub, &both, &args.host, &key, &needed)?;
    }
    tell(hub, &args.host, &key, &plan.readable, &needed);
    for path in needed.agenix.difference(&plan.readable).chain(needed.sops.difference(&plan.readable)) {
        hub.ui.warning(&format!("{} needs {}, which no rule names", args.host, path.display()), None);
    }
    if !args.yes {
        let files: Vec<_> = plan.changes.iter().map(|change| change.path.display().to_string()).collect();
        confirm(hub, &format!("Have {} say so?", files.join(" and "))).await?;
    }
    let Plan { mut changes, chosen, readable } = plan;
    changes.extend(recorded(hub, &both, &args.host, &chosen, &readable)?);
    let count = chosen.rules.len() + chosen.sops.len();
    changes.extend(anew(hub, &both, Anew { chosen, all: false, forced: false }, &args.keys).await?);
    changes.retain(Change::changes);
    store.commit(&changes).map_err(told)?;
    hub.ui.status(&format!("{} is known by it, and {count} secrets are encrypted anew", args.host));
    if let Some(private) = private {
        content::write(&stdout, &private).map_err(|error| Error::new(Kind::Failed, error))?;
    }
    Ok(Exit::Success)
}

impl Plan {
    /// Has secrets.nix bind the key to the host's name, and name that where the host needs a secret.
    async fn in_agenix(
        &mut self,
        hub: &Hub,
        place: &Place,
        host: &HostName,
        key: &Recipient,
        needed: &Needed,
    ) -> Result<()> {
        let old = rules::text(place)?;
        let name = identifier(host.as_str());
        let by_hand = |error: edit_rules::TooClever| {
            Error::message(Kind::Refused, format!("{} is not changed by itself: {error}", place.rules.file.display()))
                .hint(format!("write it by hand: `{name} = \"{key} root@{host}\";`"))
        };
        let mut new = bind(&old, &name, &format!("{key} root@{host}")).map_err(by_hand)?;
        let (mut after, mut change) = rules::checked(hub, place, &old, &new).await?;
        let lacks = |rule: &&Rule| needed.agenix.contains(&rule.path) && !rule.recipients.contains(key);
        let lacking: Vec<_> = after.list.iter().filter(lacks).map(|rule| rule.name.clone()).collect();
        if !lacking.is_empty() {
            let who = Who::One(name.clone());
            for rule in &lacking {
                new = edit_rules::grant(&new, rule, &who)
                    .map_err(|error| rules::patch(place, &error, rule, std::slice::from_ref(&who)))?;
            }
            (after, change) = rules::checked(hub, place, &old, &new).await?;
        }
        let reads = after.list.iter().filter(|rule| rule.recipients.contains(key));
        self.readable.extend(reads.map(|rule| rule.path.clone()));
        self.chosen.rules = changed_rules(&place.rules, &after);
        self.changes.push(change);
        Ok(())
    }

    /// The same in all `.sops.yaml`, where the host's key has the form that sops-nix opens files with.
    fn in_sops(&mut self, hub: &Hub, both: &Both, host: &HostName, key: &Recipient, needed: &Needed) -> Result<()> {
        let of_age = (*key.kind() == RecipientKind::X25519).then(|| key.clone());
        let Some(own) = key.to_age().or(of_age) else {
            let hint = "sops-nix makes a key of age of a host's ed25519 key, and of no other";
            hub.ui.warning(&format!("{} is not written to .sops.yaml", key.short()), Some(hint));
            return Ok(());
        };
        let files = both.sops.secrets.iter().filter(|secret| needed.sops.contains(&secret.path));
        let files: Vec<_> = files.cloned().collect();
        let (new, readable) = sops_rules::with_host(both, host.as_str(), &own, &files)?;
        if !new.changes.is_empty() && own != *key {
            hub.ui.status(&format!("in .sops.yaml it is {own}, which is what sops-nix opens files with"));
        }
        self.readable.extend(readable);
        self.chosen.sops = new.secrets;
        self.changes.extend(new.changes);
        Ok(())
    }
}

/// The record of secrets that the host can read from now on.
fn recorded(
    hub: &Hub,
    both: &Both,
    host: &HostName,
    chosen: &Chosen,
    readable: &BTreeSet<PathBuf>,
) -> Result<Option<Change>> {
    let paths = chosen.rules.iter().map(|rule| &rule.path).chain(chosen.sops.iter().map(|secret| &secret.path));
    let granted: Vec<_> = paths.filter(|path| readable.contains(*path)).map(|path| Target::file(path)).collect();
    let place = both.agenix.as_ref();
    let values = Values::of(hub, &both.root, place.map(|place| (place, &place.rules)))?;
    let mut record = values.record()?;
    record.granted(&granted, host.as_str(), Timestamp::now());
    changed(&both.root, &values.record_file(), !granted.is_empty(), || record.render())
}

/// Shows what the host would be able to read.
fn tell(hub: &Hub, host: &HostName, key: &Recipient, readable: &BTreeSet<PathBuf>, needed: &Needed) {
    hub.ui.status(&format!("{host} has the key {}", key.short()));
    if readable.is_empty() {
        hub.ui.status("it would be able to read nothing yet");
    }
    for path in readable {
        let is_needed = needed.agenix.contains(path) || needed.sops.contains(path);
        let why = if is_needed { "" } else { ", which its configuration is not known to need" };
        hub.ui.status(&format!("it would be able to read {}{why}", path.display()));
    }
}

/// The key that the host has or is to have; with its private half where it was made here.
async fn key(hub: &Hub, args: &AddArgs) -> Result<(Recipient, Option<Zeroizing<Vec<u8>>>)> {
    if let Some(key) = &args.key {
        let key: Recipient = key.parse().map_err(|error| Error::new(Kind::Usage, error))?;
        return Ok((key, None));
    }
    if args.generate {
        let (key, private) = generated(hub, &args.host).await?;
        return Ok((key, Some(private)));
    }
    let fleet = hub.reachable(&[args.host.to_string()]).await?;
    if let Some(host) = fleet.inventory.get(&args.host) {
        let connector = hub.connector(&fleet.config)?;
        let key = key_of(hub, &connector, host).await;
        connector.close().await;
        hub.not_stopped()?;
        if let Some(key) = key {
            return Ok((key, None));
        }
    }
    let scanned = scanned_key(args.host.as_str(), &hub.cancel).await;
    hub.not_stopped()?;
    let Some(key) = scanned.and_then(|key| key.parse().ok()) else {
        return Err(Error::message(Kind::Failed, format!("nobody says what the key of {} is", args.host)).hint(
            "it does not answer, and no known hosts file has it; give its key with --key, or --generate one for a new host",
        ));
    };
    hub.ui.warning("anybody may have answered with this key; compare it with the host's own", None);
    Ok((key, None))
}

/// A new key, which is on no disk here.
async fn generated(hub: &Hub, host: &HostName) -> Result<(Recipient, Zeroizing<Vec<u8>>)> {
    Scratch::sweep();
    let failed = |error: std::io::Error| Error::new(Kind::Failed, error);
    let scratch = Scratch::new("seed", b"", false)
        .map_err(|error| Error::new(Kind::Refused, error).hint("mount a tmpfs at /dev/shm"))?;
    let file = scratch.dir().join("key");
    let keygen = Cmd::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", &format!("root@{host}"), "-f"]);
    let made = keygen.arg(&file).ends_by_itself().deadline(KEYGEN).output(&hub.cancel).await;
    hub.not_stopped()?;
    made.map_err(|failure| Error::message(Kind::Failed, failure).hint("a key is made by ssh-keygen, of OpenSSH"))?;
    let private = Zeroizing::new(std::fs::read(&file).map_err(failed)?);
    let public = std::fs::read_to_string(file.with_extension("pub")).map_err(failed)?;
    Ok((public.trim().parse().map_err(|error| Error::new(Kind::Failed, error))?, private))
}

/// The files of secrets that the configuration of a host needs.
#[derive(Default)]
struct Needed {
    agenix: BTreeSet<PathBuf>,
    sops: BTreeSet<PathBuf>,
}

/// What the configuration of a host needs; nothing where the flake has no such host yet.
async fn needed(hub: &Hub, name: &HostName) -> Result<Needed> {
    let (fleet, evaluator) = hub.load().await?;
    let of_flake = |host: &&Host| host.kind != HostKind::Home && !fleet.inventory.is_missing_from_flake(name);
    let Some(host) = fleet.inventory.get(name).filter(of_flake) else {
        hub.ui.status(&format!("the flake has no host {name} yet, so that it is granted nothing"));
        return Ok(Needed::default());
    };
    let evaluated = evaluator.system(host.attribute(), &hub.cancel, &mut |_| ()).await;
    hub.not_stopped()?;
    let sealed = evaluated
        .map_err(|error| {
            let hint = format!("`{}` shows the same; --no-grant goes without", error.command());
            Error::message(Kind::Config, format!("what {name} needs is not known: {error}")).hint(hint)
        })?
        .value
        .sealed;
    Ok(Needed {
        agenix: sealed.secrets.into_iter().filter_map(|secret| secret.file).map(Into::into).collect(),
        sops: sealed.sops.secrets.into_iter().filter_map(|secret| secret.place.file).map(Into::into).collect(),
    })
}
