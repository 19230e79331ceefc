//! `hubctl secrets exec`.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use clap::Args;
use zeroize::Zeroizing;

use super::args::Keys;
use super::place::{Place, aside, repository, told};
use super::sops;
use crate::cli::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::process::{Cmd, End, Failure};
use crate::secrets::sops::{SopsSecret, Step, steps};
use crate::secrets::{Rule, Scratch, ScratchError, SecretsError};

#[derive(Args, Debug)]
pub(super) struct ExecArgs {
    /// A secret, and the variable that its content goes to: without one, the secret's name in capitals, as `API_TOKEN` for
    /// `secrets/api-token.age`. Of a file of SOPS, each value at its top goes to the variable that it is named as.
    #[arg(value_name = "NAME[=VAR]", required_unless_present = "files")]
    names: Vec<String>,
    /// A secret that goes to a file in memory; the variable, without one the secret's name in capitals with `_FILE`, holds its path.
    #[arg(long = "file", value_name = "NAME[=VAR]")]
    files: Vec<String>,
    /// Only this value of the one SOPS file that is named, such as `database/password`.
    #[arg(long = "value", value_name = "PATH[=VAR]")]
    values: Vec<String>,
    #[command(flatten)]
    keys: Keys,
    /// The program and its arguments.
    #[arg(value_name = "COMMAND", last = true, required = true)]
    command: Vec<OsString>,
}

/// How the program gets a secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    Variable,
    File,
}

/// A secret that the command line asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Wanted {
    name: String,
    variable: Option<String>,
    way: Way,
}

/// A variable of the program. None of it has a `Debug`.
struct Given {
    variable: String,
    way: Way,
    /// How the file is called, where it is one: what programs see of a format is often that.
    file: String,
    content: Zeroizing<Vec<u8>>,
}

pub(super) async fn run(hub: &Hub, args: &ExecArgs) -> Result<Exit> {
    let given = collect(hub, args).await?;
    check(&given)?;
    hub.not_stopped()?;
    Scratch::sweep();
    let mut command = Cmd::new(&args.command[0]).args(&args.command[1..]);
    let mut files = Vec::new();
    for one in given {
        command = match one.way {
            Way::Variable => command.env(one.variable, OsString::from_vec(one.content.to_vec())),
            Way::File => {
                let file = Scratch::new(&one.file, &one.content, false).map_err(no_file)?;
                let path = file.file().to_path_buf();
                files.push(file);
                command.env(one.variable, path)
            }
        };
    }
    let ended = command.stand_in().await;
    // Whatever became of the program, it needs them no more.
    drop(files);
    Ok(Exit::Program(ended.map_or_else(|failure| code_of(hub, &failure), |()| 0)))
}

/// The exit code that says how the program ended, as shells have it.
fn code_of(hub: &Hub, failure: &Failure) -> u8 {
    let code = match failure.end {
        End::Code(code) => code,
        End::Signal(signal) => 128 + signal,
        End::NotFound | End::Io(_) | End::TimedOut(_) | End::Cancelled => {
            let program = failure.command.split(' ').next().unwrap_or_default();
            hub.ui.error(&Error::message(Kind::Usage, format!("`{program}` {}", failure.end)));
            if matches!(failure.end, End::NotFound) { 127 } else { 126 }
        }
    };
    u8::try_from(code).unwrap_or(u8::MAX)
}

fn no_file(error: ScratchError) -> Error {
    match error {
        ScratchError::OnDisk => Error::new(Kind::Refused, error)
            .hint("mount a tmpfs at /dev/shm, or give the secret in a variable, without --file"),
        ScratchError::Io(error) => Error::new(Kind::Failed, error),
    }
}

/// All that the command line asks for, in the clear.
async fn collect(hub: &Hub, args: &ExecArgs) -> Result<Vec<Given>> {
    let root = repository(hub)?;
    let (mut of_sops, mut of_agenix) = (Vec::new(), Vec::new());
    for one in wanted(args)? {
        match sops::named(&root, &one.name)? {
            Some(secret) => of_sops.push((one, secret)),
            None => of_agenix.push(one),
        }
    }
    let values: Vec<_> = args.values.iter().map(|word| split(word)).collect::<Result<_>>()?;
    if !values.is_empty() && (of_sops.len() != 1 || !of_agenix.is_empty()) {
        return Err(Error::message(Kind::Usage, "--value is for one file of SOPS, and nothing else")
            .hint("name that file alone, or leave --value out"));
    }
    let mut given = Vec::new();
    if !of_agenix.is_empty() {
        given.extend(agenix(hub, of_agenix, &args.keys).await?);
    }
    for (one, secret) in of_sops {
        let identities = sops::identities(hub, &root, &args.keys, Some(&secret)).await?;
        let values = values.clone();
        given.extend(
            aside(hub, move || {
                let found = of_file(&one, &secret, &values, &identities);
                found.map_err(|error| SecretsError::sops(&secret.path, error))
            })
            .await?,
        );
    }
    Ok(given)
}

async fn agenix(hub: &Hub, wanted: Vec<Wanted>, keys: &Keys) -> Result<Vec<Given>> {
    let place = Place::of(hub).await?;
    let rule = |one: Wanted| place.rules.get(&one.name).map(|rule| (one, rule.clone())).map_err(told);
    let rules: Vec<(Wanted, Rule)> = wanted.into_iter().map(rule).collect::<Result<_>>()?;
    let (vault, identities) = (place.vault.clone(), place.identities(hub, keys)?);
    aside(hub, move || {
        let open = |(one, rule): &(Wanted, Rule)| {
            vault.open(rule, &identities).map(|(_, plain)| one.given(&rule.path.with_extension(""), plain))
        };
        rules.iter().map(open).collect()
    })
    .await
}

/// What a file of SOPS gives: single values, all that stand at its top, or the whole of it.
fn of_file(
    one: &Wanted,
    secret: &SopsSecret,
    values: &[(String, Option<String>)],
    identities: &crate::secrets::age::Identities,
) -> std::result::Result<Vec<Given>, crate::secrets::sops::SopsError> {
    if !values.is_empty() {
        let value = |(path, variable): &(String, Option<String>)| {
            let content = secret.open(Some(&steps(path)), identities)?;
            let variable = variable.clone().unwrap_or_else(|| of_steps(&steps(path)));
            Ok(one.given_as(variable.clone(), variable, content))
        };
        return values.iter().map(value).collect();
    }
    let by_names = one.way == Way::Variable && one.variable.is_none() && secret.has_names();
    if by_names {
        let found = secret.variables(identities)?;
        return Ok(found.into_iter().map(|(name, content)| one.given_as(name.clone(), name, content)).collect());
    }
    Ok(vec![one.given(&secret.path, secret.open(None, identities)?)])
}

impl Wanted {
    /// The secret in the file `path`, without the ending that says that it is encrypted.
    fn given(&self, path: &Path, content: Zeroizing<Vec<u8>>) -> Given {
        let name = path.file_name().unwrap_or(OsStr::new("")).to_string_lossy();
        let usual = || capitals(&name) + if self.way == Way::File { "_FILE" } else { "" };
        self.given_as(self.variable.clone().unwrap_or_else(usual), name.into_owned(), content)
    }

    fn given_as(&self, variable: String, file: String, mut content: Zeroizing<Vec<u8>>) -> Given {
        // As with `$(…)` in a shell: few programs want the end of a line in a variable.
        if self.way == Way::Variable && content.last() == Some(&b'\n') {
            content.pop();
        }
        Given { variable, way: self.way, file, content }
    }
}

fn wanted(args: &ExecArgs) -> Result<Vec<Wanted>> {
    let one = |way: Way| move |word: &String| split(word).map(|(name, variable)| Wanted { name, variable, way });
    args.names.iter().map(one(Way::Variable)).chain(args.files.iter().map(one(Way::File))).collect()
}

/// A name, and the variable behind it.
fn split(word: &str) -> Result<(String, Option<String>)> {
    match word.rsplit_once('=') {
        None => Ok((word.to_owned(), None)),
        Some((name, variable)) if !name.is_empty() && is_variable(variable) => {
            Ok((name.to_owned(), Some(variable.to_owned())))
        }
        Some((_, variable)) => Err(Error::message(Kind::Usage, format!("`{variable}` is no name of a variable"))
            .hint("it is letters, digits and `_`, as in `api-token=TOKEN`")),
    }
}

fn is_variable(name: &str) -> bool {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    !name.is_empty() && name.chars().all(fits) && !name.starts_with(|first: char| first.is_ascii_digit())
}

fn capitals(name: &str) -> String {
    let letter = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' };
    name.chars().map(letter).collect()
}

fn of_steps(steps: &[Step]) -> String {
    let word = |step: &Step| match step {
        Step::Key(key) => capitals(key),
        Step::Index(index) => index.to_string(),
    };
    steps.iter().map(word).collect::<Vec<_>>().join("_")
}

/// Whether variables can be what they are to be.
fn check(given: &[Given]) -> Result<()> {
    let mut known = BTreeSet::new();
    for Given { variable, way, content, .. } in given {
        if !is_variable(variable) {
            return Err(Error::message(Kind::Usage, format!("`{variable}` is no name of a variable"))
                .hint("name one behind the secret: `NAME=VAR`"));
        }
        if !known.insert(variable) {
            return Err(Error::message(Kind::Usage, format!("two secrets are to be in {variable}"))
                .hint("name another variable behind one of them: `NAME=VAR`"));
        }
        if *way == Way::Variable && content.contains(&0) {
            return Err(Error::message(Kind::Usage, format!("what is to be in {variable} has a zero byte in it"))
                .hint("no variable can hold that; --file gives it as a file"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_named_or_follows_from_the_secret() {
        let split = |word: &str| split(word).map_err(|error| error.to_string());
        assert_eq!(split("api-token=TOKEN").unwrap(), ("api-token".to_owned(), Some("TOKEN".to_owned())));
        assert_eq!(split("a=b=C_1").unwrap(), ("a=b".to_owned(), Some("C_1".to_owned())));
        assert_eq!(split("api-token").unwrap().1, None);
        assert!(split("a=1B").unwrap_err().contains("`1B` is no name"));
        assert!(split("=B").is_err() && split("a=").is_err());
        let named = |way| {
            Wanted { name: String::new(), variable: None, way }.given(Path::new("s/api-token"), Zeroizing::default())
        };
        assert_eq!(
            (named(Way::Variable).variable, named(Way::File).variable),
            ("API_TOKEN".to_owned(), "API_TOKEN_FILE".to_owned())
        );
        assert_eq!(of_steps(&steps("db/users/0")), "DB_USERS_0");
    }

    #[test]
    fn what_no_variable_can_hold_is_refused() {
        let given = |variable: &str, way, content: &[u8]| Given {
            variable: variable.to_owned(),
            way,
            file: String::new(),
            content: Zeroizing::new(content.to_vec()),
        };
        assert!(check(&[given("A", Way::Variable, b"x"), given("B", Way::File, b"\0")]).is_ok());
        assert!(check(&[given("A", Way::Variable, b"\0")]).is_err());
        assert!(check(&[given("A", Way::Variable, b"x"), given("A", Way::File, b"x")]).is_err());
        assert!(check(&[given("1A", Way::Variable, b"x")]).is_err());
    }
}
