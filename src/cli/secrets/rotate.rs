//! `hubctl secrets rotate`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::args::Keys;
use super::generated::{Generated, tell_generated};
use super::place::{repository, store, told};
use super::values::{Renewed, Values, agenix};
use super::{set, sops};
use crate::cli::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::report::Output;
use crate::secrets::ToRotate;
use crate::secrets::generate::Generator;
use crate::secrets::rotation::Target;
use crate::secrets::sops::Format;

#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line, and most may be set together")]
pub(super) struct RotateArgs {
    /// Secrets, by name or glob; one value of a SOPS file as `FILE#database/password`.
    #[arg(value_name = "NAME", required_unless_present = "due")]
    names: Vec<String>,
    /// Only those that are due: older than their `max-age` in hub.toml, or listed in secrets.to-rotate. Without names, all of those.
    #[arg(long, conflicts_with_all = ["generate", "stdin", "value"])]
    due: bool,
    /// How the new value is made, whatever hub.toml says: password, passphrase, hex, base64, ssh-key, age-key, wireguard, htpasswd or
    /// mkpasswd, with options as in `password:length=40`.
    #[arg(long, value_name = "KIND", conflicts_with = "stdin")]
    generate: Option<Generator>,
    /// Reads the new value of one secret from standard input.
    #[arg(long)]
    stdin: bool,
    /// Only this value of a SOPS file, such as `database/password`, which has to be there.
    #[arg(long, value_name = "PATH")]
    value: Option<String>,
    /// Leaves out a line break at the end of what is read.
    #[arg(long, requires = "stdin")]
    trim: bool,
    /// Tells what would get a new value and how, and changes nothing.
    #[arg(long)]
    dry_run: bool,
    /// Shows a password, of which the secret is the hash, on a terminal too.
    #[arg(long)]
    reveal: bool,
    #[command(flatten)]
    keys: Keys,
}

/// A new value to be, for a secret and its copies.
pub(super) struct Turn {
    secret: Target,
    copies: Vec<Target>,
    /// How it is made; read from standard input otherwise.
    generator: Option<Generator>,
    public_key: Option<PathBuf>,
    clear: Option<Target>,
}

/// What is told of a turn. No value is in it.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Told<'a> {
    secret: &'a Target,
    how: &'static str,
    copies: &'a [Target],
    public_key_file: Option<&'a PathBuf>,
    clear: Option<&'a Target>,
}

pub(super) async fn run(hub: &Hub, args: &RotateArgs) -> Result<Exit> {
    let root = repository(hub)?;
    let place = agenix(hub, &root).await?;
    let values = Values::of(hub, &root, place.as_ref().map(|place| (place, &place.rules)))?;
    let store = if args.dry_run { None } else { Some(store(hub, &root)?) };
    let (turns, left) = turns(&values, chosen(hub, &values, args).await?, args)?;
    if let [first, ..] = &left[..]
        && !args.due
    {
        return Err(Error::message(Kind::Usage, format!("nothing says how {first} gets a new value"))
            .hint(format!("--generate KIND, --stdin, or `generate` of [secrets.\"{first}\"] in hub.toml")));
    }
    let Some(store) = store else {
        tell_plan(hub, &turns, &left)?;
        return Ok(exit(hub, &left));
    };
    let (mut renewed, mut generated) = (Vec::new(), Vec::new());
    for turn in &turns {
        turn.renew(&mut renewed, &mut generated);
    }
    if let ([turn], true) = (&turns[..], args.stdin) {
        let plain = set::read(hub, &turn.secret.to_string(), args.trim).await?;
        renewed.push(Renewed { secret: turn.secret.clone(), plain, how: "stdin", allow_empty: false });
    }
    Generated::may_be_told(hub, &generated, args.reveal)?;
    let secrets: Vec<_> = renewed.iter().map(|one| &one.secret).collect();
    let identities = values.identities(hub, &secrets, &args.keys).await?;
    let mut changes = values.changes(hub, renewed, &identities).await?;
    changes.extend(Generated::files(&root, &generated)?);
    store.commit(&changes).map_err(told)?;
    tell(hub, &turns, &left, &generated)?;
    Ok(exit(hub, &left))
}

fn exit(hub: &Hub, left: &[Target]) -> Exit {
    for target in left {
        let hint = format!("`hubctl secrets set`, or `generate` of [secrets.\"{target}\"] in hub.toml");
        hub.ui.warning(&format!("{target} is due, and nothing says how it gets a new value"), Some(&hint));
    }
    if left.is_empty() { Exit::Success } else { Exit::Failed }
}

/// The secrets that are meant.
async fn chosen(hub: &Hub, values: &Values<'_>, args: &RotateArgs) -> Result<BTreeSet<Target>> {
    let named = values.select(&args.names, args.value.as_deref())?;
    if !args.due {
        return Ok(named);
    }
    let files = sops::all(hub, values.root).await?.secrets;
    let standing = values.standing(hub, &files).await?.into_iter().filter(|one| one.due).map(|one| one.secret);
    let listed = ToRotate::read(values.root).map_err(told)?.0;
    let listed = listed.into_iter().map(|due| {
        // A file that is encrypted as a whole is its one value.
        let value = due.value.filter(|_| Format::of(&due.path) != Format::Binary);
        Target { path: due.path, value }
    });
    let due: BTreeSet<_> = standing.chain(listed).collect();
    Ok(if args.names.is_empty() { due } else { due.intersection(&named).cloned().collect() })
}

/// What is to be done, each group of copies once, and the secrets of which nothing says how.
fn turns(values: &Values<'_>, chosen: BTreeSet<Target>, args: &RotateArgs) -> Result<(Vec<Turn>, Vec<Target>)> {
    let (mut turns, mut left, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for secret in chosen {
        if seen.contains(&secret) {
            continue;
        }
        seen.extend(values.care.group(&secret));
        let mut turn = Turn::of(values, secret, args.generate.clone())?;
        if args.stdin {
            (turn.generator, turn.public_key, turn.clear) = (None, None, None);
        }
        if turn.generator.is_some() || args.stdin { turns.push(turn) } else { left.push(turn.secret) }
    }
    if args.stdin && turns.len() > 1 {
        return Err(Error::message(Kind::Usage, "several secrets would get the same value from standard input")
            .hint("name one; `copies` in hub.toml keeps secrets equal that are meant to be"));
    }
    Ok((turns, left))
}

impl Turn {
    /// The new value that `secret` is to get, with all that belongs to it; made by `generator`, or else as hub.toml says.
    pub(super) fn of(values: &Values<'_>, secret: Target, generator: Option<Generator>) -> Result<Self> {
        let mut copies = values.care.group(&secret);
        copies.remove(&secret);
        let policies: Vec<_> = std::iter::once(&secret).chain(&copies).map(|target| values.policy(target)).collect();
        let generator = generator.or_else(|| policies.iter().find_map(|policy| policy.generate.clone()));
        let is = |what: fn(&Generator) -> bool| generator.as_ref().is_some_and(what);
        let clear = policies.iter().find_map(|policy| policy.clear.as_deref()).filter(|_| is(Generator::is_hash));
        let clear = clear.map(|word| clear_of(values, &secret, word)).transpose()?;
        if clear.as_ref().is_some_and(|clear| *clear == secret || copies.contains(clear)) {
            return Err(Error::message(Kind::Config, format!("`clear` of {secret} names the secret itself"))
                .hint("the password needs a secret of its own beside its hash"));
        }
        for target in std::iter::once(&secret).chain(&copies).chain(&clear) {
            may_be_made(values, target, generator.as_ref())?;
        }
        let public_key = policies.iter().find_map(|policy| policy.public_key.clone());
        let public_key = public_key.filter(|_| is(Generator::has_public_key));
        Ok(Self { secret, copies: copies.into_iter().collect(), generator, public_key, clear })
    }

    /// Makes the value, where a generator does.
    pub(super) fn renew(&self, renewed: &mut Vec<Renewed>, generated: &mut Vec<Generated>) {
        let Some(generator) = &self.generator else { return };
        let (made, how) = (generator.make(), generator.kind());
        let new = |secret: &Target, plain| Renewed { secret: secret.clone(), plain, how, allow_empty: false };
        renewed.push(new(&self.secret, made.value));
        let (secret, file) = (self.secret.clone(), self.public_key.clone());
        let mut beside = Generated { secret, public: made.public, file, clear: made.clear };
        if let Some((clear, plain)) = self.clear.as_ref().and_then(|clear| Some((clear, beside.clear.take()?))) {
            renewed.push(new(clear, plain));
        }
        generated.push(beside);
    }
}

fn clear_of(values: &Values<'_>, secret: &Target, word: &str) -> Result<Target> {
    let unknown = || Error::message(Kind::Config, format!("`clear` of {secret} names no secret: `{word}`"));
    values.resolve(word).ok_or_else(|| unknown().hint("make it first: `hubctl secrets create`"))
}

/// A file of SOPS has a form, which no generator makes.
fn may_be_made(values: &Values<'_>, target: &Target, generator: Option<&Generator>) -> Result<()> {
    let is_file = target.value.is_none() && !values.is_agenix(target) && Format::of(&target.path) != Format::Binary;
    if generator.is_none() || !is_file {
        return Ok(());
    }
    Err(Error::message(Kind::Usage, format!("{target} has several values, and a generator makes one"))
        .hint(format!("name the value: `{target}#database/password`")))
}

fn told_of(turn: &Turn) -> Told<'_> {
    Told {
        secret: &turn.secret,
        how: turn.generator.as_ref().map_or("stdin", Generator::kind),
        copies: &turn.copies,
        public_key_file: turn.public_key.as_ref(),
        clear: turn.clear.as_ref(),
    }
}

fn tell_plan(hub: &Hub, turns: &[Turn], left: &[Target]) -> Result<()> {
    let all: Vec<_> = turns.iter().map(told_of).collect();
    let written = if hub.ui.output() == Output::Json {
        hub.ui.data_json(&json!({ "would-rotate": all, "left": left }))
    } else {
        let line = |told: &Told<'_>| format!("{}: {}{}", told.secret, told.how, with_copies(told));
        hub.ui.data(&all.iter().map(line).collect::<Vec<_>>().join("\n"))
    };
    written.map_err(|error| Error::new(Kind::Failed, error))
}

fn with_copies(told: &Told<'_>) -> String {
    let copies = told.copies.iter().map(ToString::to_string);
    let clear = told.clear.map(|clear| format!("its password to {clear}"));
    let file = told.public_key_file.map(|file| format!("its public key to {}", file.display()));
    let all: Vec<_> = copies.chain(clear).chain(file).collect();
    if all.is_empty() { String::new() } else { format!(", also {}", all.join(", ")) }
}

fn tell(hub: &Hub, turns: &[Turn], left: &[Target], generated: &[Generated]) -> Result<()> {
    let all: Vec<_> = turns.iter().map(told_of).collect();
    if hub.ui.output() == Output::Json {
        let keys: Vec<_> = generated.iter().filter_map(Generated::public_json).collect();
        let told = json!({ "rotated": all, "left": left, "public-keys": keys });
        return hub.ui.data_json(&told).map_err(|error| Error::new(Kind::Failed, error));
    }
    for told in &all {
        hub.ui.status(&format!("{} has a new value ({}){}", told.secret, told.how, with_copies(told)));
    }
    match all.len() {
        0 => hub.ui.status("nothing is due that could get a new value"),
        _ => hub.ui.status("hosts have it with their next deployment"),
    }
    tell_generated(hub, generated)
}
