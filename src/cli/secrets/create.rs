//! `hubctl secrets create`.

use clap::Args;

use super::args::Keys;
use super::edit::checked;
use super::place::{Place, aside, told};
use super::{rules, set};
use crate::cli::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::secrets::edit_rules;
use crate::secrets::transaction::Seen;

#[derive(Args, Debug)]
pub(super) struct CreateArgs {
    /// The secret's file, below the directory of secrets.nix; `.age` is added.
    #[arg(value_name = "NAME")]
    name: String,
    /// Who can read it: names that secrets.nix binds to keys or lists of them, or keys.
    #[arg(long = "for", value_name = "WHO,..", value_delimiter = ',', required = true)]
    who: Vec<String>,
    /// Leaves out a line break at the end of what is read.
    #[arg(long)]
    trim: bool,
    /// Takes a content that is nothing but white space.
    #[arg(long)]
    allow_empty: bool,
}

pub(super) async fn run(hub: &Hub, place: &Place, args: &CreateArgs) -> Result<Exit> {
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
    let plain = set::read(hub, &rule.name, args.trim).await?;
    checked(&rule, &plain, args.allow_empty)?;
    let dir = place.root.join(&rule.path);
    if let Some(dir) = dir.parent() {
        std::fs::create_dir_all(dir).map_err(|error| Error::new(Kind::Failed, error))?;
    }
    let (vault, identities, path) = (place.vault.clone(), place.identities(hub, &Keys::default())?, rule.path.clone());
    let change = aside(hub, move || vault.seal(&rule, &plain, Seen::Nothing, &identities)).await?;
    store.commit(&[rules_change, change]).map_err(told)?;
    hub.ui.status(&format!("{} is created, and has a rule in {}", path.display(), place.rules.file.display()));
    hub.ui.status(&format!("a flake sees it once git knows it: `git add {}`", path.display()));
    Ok(Exit::Success)
}
