//! `hubctl secrets hosts add`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use zeroize::Zeroizing;

use super::args::Keys;
use super::both::{Anew, Both, Chosen, anew};
use super::grant::changed;
use super::hosts::key_of;
use super::place::{store, told};
use super::show::may_be_shown;
use super::{content, rules};
use crate::cli::confirm::confirm;
use crate::cli::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::fleet::{Host, HostName, Kind as HostKind};
use crate::process::Cmd;
use crate::remote::{Connect as _, scanned_key};
use crate::secrets::age::Recipient;
use crate::secrets::edit_rules::{self, Who};
use crate::secrets::{Rule, Rules, Scratch, bind, identifier};

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

pub(super) async fn run(hub: &Hub, args: AddArgs) -> Result<Exit> {
    let stdout = std::io::stdout();
    if args.generate {
        may_be_shown(hub, &stdout, false)?;
    }
    let both = Both::of(hub).await?;
    let Some(place) = &both.agenix else {
        return Err(Error::message(Kind::Usage, "there is no secrets.nix that could name the host's key")
            .hint("`hubctl secrets grant KEY FILE` adds a key to .sops.yaml"));
    };
    let store = store(hub, &both.root)?;
    let (key, private) = key(hub, &args).await?;
    let old = rules::text(place)?;
    let name = identifier(args.host.as_str());
    let by_hand = |error: edit_rules::TooClever| {
        Error::message(Kind::Refused, format!("{} is not changed by itself: {error}", place.rules.file.display()))
            .hint(format!("write it by hand: `{name} = \"{key} root@{}\";`", args.host))
    };
    let mut new = bind(&old, &name, &format!("{key} root@{}", args.host)).map_err(by_hand)?;
    let needed = if args.no_grant { BTreeSet::new() } else { needed(hub, &args.host).await? };
    let (mut after, mut rules_change) = rules::checked(hub, place, &old, &new).await?;
    let lacks = |rule: &&Rule| needed.contains(&rule.path) && !rule.recipients.contains(&key);
    let lacking: Vec<_> = after.list.iter().filter(lacks).map(|rule| rule.name.clone()).collect();
    if !lacking.is_empty() {
        let who = Who::One(name.clone());
        for rule in &lacking {
            new = edit_rules::grant(&new, rule, &who)
                .map_err(|error| rules::patch(place, &error, rule, std::slice::from_ref(&who)))?;
        }
        (after, rules_change) = rules::checked(hub, place, &old, &new).await?;
    }
    tell(hub, &args.host, &key, &after, &needed);
    if !args.yes {
        confirm(hub, &format!("Have {} say so?", place.rules.file.display())).await?;
    }
    let others = changed(&place.rules, &after);
    let count = others.len();
    let chosen = Chosen { rules: others, sops: Vec::new() };
    let mut changes = anew(hub, &both, Anew { chosen, all: false, forced: false }, &args.keys).await?;
    changes.push(rules_change);
    store.commit(&changes).map_err(told)?;
    hub.ui.status(&format!("{name} is bound to it, and {count} secrets are encrypted anew"));
    if let Some(private) = private {
        content::write(&stdout, &private).map_err(|error| Error::new(Kind::Failed, error))?;
    }
    Ok(Exit::Success)
}

/// Shows what the host would be able to read.
fn tell(hub: &Hub, host: &HostName, key: &Recipient, after: &Rules, needed: &BTreeSet<PathBuf>) {
    let readable: Vec<_> = after.list.iter().filter(|rule| rule.recipients.contains(key)).collect();
    hub.ui.status(&format!("{host} has the key {}", key.short()));
    if readable.is_empty() {
        hub.ui.status("it would be able to read nothing yet");
    }
    for rule in &readable {
        let why = if needed.contains(&rule.path) { "" } else { ", which its configuration is not known to need" };
        hub.ui.status(&format!("it would be able to read {}{why}", rule.path.display()));
    }
    for path in needed.iter().filter(|path| !after.list.iter().any(|rule| rule.path == **path)) {
        hub.ui.warning(&format!("{host} needs {}, which no rule names", path.display()), None);
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

/// The files of secrets that the configuration of a host needs; none where the flake has no such host yet.
async fn needed(hub: &Hub, name: &HostName) -> Result<BTreeSet<PathBuf>> {
    let (fleet, evaluator) = hub.load().await?;
    let of_flake = |host: &&Host| host.kind != HostKind::Home && !fleet.inventory.is_missing_from_flake(name);
    let Some(host) = fleet.inventory.get(name).filter(of_flake) else {
        hub.ui.status(&format!("the flake has no host {name} yet, so that it is granted nothing"));
        return Ok(BTreeSet::new());
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
    Ok(sealed.secrets.into_iter().filter_map(|secret| secret.file).map(Into::into).collect())
}
