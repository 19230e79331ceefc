//! `hubctl secrets create`.

use std::path::Path;

use clap::Args;

use super::args::Keys;
use super::generated::{Generated, tell_generated};
use super::place::{Place, repository, store, told};
use super::rotate::Turn;
use super::values::{Renewed, Values, agenix};
use super::{rules, set, sops};
use crate::cli::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::secrets::generate::Generator;
use crate::secrets::rotation::Target;
use crate::secrets::sops::{SopsRules, SopsSecret};
use crate::secrets::transaction::{Change, Store};
use crate::secrets::{SecretsError, edit_rules};

#[derive(Args, Debug)]
pub(super) struct CreateArgs {
    /// The secret's file: with `--for` below the directory of secrets.nix, where `.age` is added; otherwise a file of SOPS, which a
    /// rule of .sops.yaml is for.
    #[arg(value_name = "NAME")]
    name: String,
    /// Who can read it: names that secrets.nix binds to keys or lists of them, or keys.
    #[arg(long = "for", value_name = "WHO,..", value_delimiter = ',')]
    who: Vec<String>,
    /// Makes the content, as `secrets rotate` does: password, passphrase, hex, base64, ssh-key, age-key, wireguard, htpasswd or mkpasswd,
    /// with options as in `password:length=40`. Without it, it is read from standard input.
    #[arg(long, value_name = "KIND", conflicts_with_all = ["trim", "allow_empty"])]
    generate: Option<Generator>,
    /// Shows a password, of which the secret is the hash, on a terminal too.
    #[arg(long, requires = "generate")]
    reveal: bool,
    /// Leaves out a line break at the end of what is read.
    #[arg(long)]
    trim: bool,
    /// Takes a content that is nothing but white space.
    #[arg(long)]
    allow_empty: bool,
}

pub(super) async fn run(hub: &Hub, args: &CreateArgs) -> Result<Exit> {
    let path = Path::new(&args.name);
    let is_sops = args.who.is_empty() && path.extension().is_none_or(|extension| extension != "age");
    if is_sops {
        return create_sops(hub, args).await;
    }
    if args.who.is_empty() {
        return Err(nobody());
    }
    create_agenix(hub, &Place::of(hub).await?, args).await
}

fn nobody() -> Error {
    Error::message(Kind::Usage, "who is to read it?").hint(
        "`--for me,p620` names keys for a secret of agenix; for a file of SOPS a rule of .sops.yaml says it, and its name ends in \
         .yaml, .json, .env, .ini, or as the rule has it",
    )
}

async fn create_agenix(hub: &Hub, place: &Place, args: &CreateArgs) -> Result<Exit> {
    let name = args.name.strip_suffix(".age").unwrap_or(&args.name).to_owned() + ".age";
    if place.rules.list.iter().any(|rule| rule.name == name) {
        return Err(Error::message(Kind::Usage, format!("there is a rule for {name} already"))
            .hint(format!("give it a content: `hubctl secrets set {name}`")));
    }
    let store = place.store(hub)?;
    let text = rules::text(place)?;
    let who = rules::who(&text, &args.who)?;
    let new = edit_rules::add(&text, &name, &who).map_err(|error| rules::patch(place, &error, &name, &who))?;
    let (after, rules_change) = rules::checked(hub, place, &text, &new).await?;
    let rule = after.get(&name).map_err(told)?.clone();
    if place.vault.bytes(&rule.path).map_err(told)?.is_some() {
        return Err(Error::message(Kind::Refused, format!("{} is there already, without a rule", rule.path.display()))
            .hint("remove it, or write its rule by hand"));
    }
    let values = Values::of(hub, &place.root, Some((place, &after)))?;
    let path = rule.path.display().to_string();
    let done = format!("{path} is created, and has a rule in {}", place.rules.file.display());
    fill(hub, args, &values, Target::file(&rule.path), (&store, Some(rules_change))).await?.tell(hub, &path, &done)
}

/// What was made beside a new secret.
struct Filled(Vec<Generated>);

impl Filled {
    fn tell(&self, hub: &Hub, path: &str, done: &str) -> Result<Exit> {
        hub.ui.status(done);
        hub.ui.status(&format!("a flake sees it once git knows it: `git add {path}`"));
        tell_generated(hub, &self.0)?;
        Ok(Exit::Success)
    }
}

/// Gives a new secret its content, which is generated or read, together with `more` that changes.
async fn fill(
    hub: &Hub,
    args: &CreateArgs,
    values: &Values<'_>,
    secret: Target,
    (store, more): (&Store, Option<Change>),
) -> Result<Filled> {
    let identities = values.identities(hub, &[&secret], &Keys::default()).await?;
    let (mut renewed, mut generated) = (Vec::new(), Vec::new());
    if let Some(generator) = &args.generate {
        Turn::of(values, secret, Some(generator.clone()))?.renew(&mut renewed, &mut generated);
    } else {
        let plain = set::read(hub, &args.name, args.trim).await?;
        renewed.push(Renewed { secret, plain, how: "create", allow_empty: args.allow_empty });
    }
    Generated::may_be_told(hub, &generated, args.reveal)?;
    let mut changes = values.changes(hub, renewed, &identities).await?;
    changes.extend(Generated::files(values.root, &generated)?);
    changes.extend(more);
    store.commit(&changes).map_err(told)?;
    Ok(Filled(generated))
}

/// Makes a file of SOPS, whose readers a rule of `.sops.yaml` names.
async fn create_sops(hub: &Hub, args: &CreateArgs) -> Result<Exit> {
    let root = repository(hub)?;
    let cwd = std::env::current_dir().map_err(|error| Error::new(Kind::Failed, error))?;
    let path = sops::below(&root, &cwd.join(&args.name))
        .ok_or_else(|| told(SecretsError::Outside { path: args.name.clone().into() }))?;
    if SopsRules::find(&root, &root.join(&path)).is_none() {
        return Err(nobody());
    }
    if root.join(&path).symlink_metadata().is_ok() {
        return Err(Error::message(Kind::Refused, format!("{} is there already", path.display()))
            .hint(format!("`hubctl secrets edit {0}` or `set {0}` changes a file of SOPS", path.display())));
    }
    let found = SopsSecret::at(&root, &path).map_err(|error| told(SecretsError::sops(&path, error)))?;
    if found.is_none() {
        let pattern = regex::escape(&path.display().to_string());
        return Err(Error::message(Kind::Usage, format!("no rule of .sops.yaml is for {}", path.display())).hint(format!(
            "add one below `creation_rules`: `- path_regex: ^{pattern}$` and `  age: age1…`; or --for for a secret of agenix"
        )));
    }
    let store = store(hub, &root)?;
    let place = agenix(hub, &root).await?;
    let values = Values::of(hub, &root, place.as_ref().map(|place| (place, &place.rules)))?;
    let (secret, path) = (Target::file(&path), path.display().to_string());
    let done = format!("{path} is created, for those whom its rule in .sops.yaml names");
    fill(hub, args, &values, secret, (&store, None)).await?.tell(hub, &path, &done)
}
