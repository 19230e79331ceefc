//! The command line of agenix, for scripts and habits: hubctl takes it when it is called by that name.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Parser;

use super::args::Keys;
use super::edit::EditArgs;
use super::place::{Place, aside, begin, told};
use super::secret::Secret;
use super::set::SetArgs;
use super::show::ShowArgs;
use super::{edit, set, show, sops};
use crate::cli::args::Global;
use crate::cli::hub::Hub;
use crate::error::{Error, Exit, Kind, Result, nearest};
use crate::secrets::{Rule, SecretsError};

/// Edits, decrypts and encrypts anew the secrets of secrets.nix, as agenix does.
///
/// This is hubctl, called as agenix: all secrets change at once or none does, and what is edited is in memory alone. It has more to offer
/// under its own name; see `hubctl secrets --help`.
#[derive(Debug, Parser)]
#[command(
    name = "agenix",
    version = concat!(env!("CARGO_PKG_VERSION"), " (hubctl)"),
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "RULES names the file of rules, instead of ./secrets.nix. What is not typed at a terminal but piped in becomes the \
                  content that -e writes; otherwise EDITOR edits it."
)]
pub(in crate::cli) struct Agenix {
    /// Edits FILE with $EDITOR, or writes to it what is piped in.
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["rekey", "decrypt"])]
    edit: Option<PathBuf>,
    /// Encrypts all secrets anew, to those whom their rules name.
    #[arg(short, long, conflicts_with = "decrypt")]
    rekey: bool,
    /// Prints the content of FILE.
    #[arg(short, long, value_name = "FILE")]
    decrypt: Option<PathBuf>,
    /// Decrypts with this private key; may be given more than once. Without it, with `~/.ssh/id_rsa` and `~/.ssh/id_ed25519`.
    #[arg(short, long, value_name = "KEY")]
    identity: Vec<PathBuf>,
    /// Tells more.
    #[arg(short, long)]
    verbose: bool,
}

impl Agenix {
    /// Whether the program was called by agenix's name.
    pub(in crate::cli) fn is_called(args: &[OsString]) -> bool {
        args.first().is_some_and(|name| Path::new(name).file_name().is_some_and(|name| name == "agenix"))
    }

    /// Reads the words of the command line. What comes of wrong ones, and of a wish for help, is to be printed.
    pub(in crate::cli) fn parse(args: &[OsString]) -> std::result::Result<Self, clap::Error> {
        Self::try_parse_from(args)
    }

    /// What these words ask of every command.
    pub(in crate::cli) fn global(&self) -> Global {
        Global { verbose: self.verbose, ..Global::default() }
    }

    pub(in crate::cli) async fn run(&self, hub: &Hub) -> Result<Exit> {
        let place = self.place(hub).await?;
        let keys = Keys { identities: self.identity.clone() };
        if self.rekey {
            let rules = place.rules.list.clone();
            return anew(hub, &place, rules, &keys).await;
        }
        let (Some(file), decrypts) = (self.decrypt.as_ref().or(self.edit.as_ref()), self.decrypt.is_some()) else {
            return Err(
                Error::message(Kind::Usage, "neither -e, -d nor -r says what to do").hint("see `agenix --help`")
            );
        };
        let rule = rule(&place, file)?.clone();
        let name = rule.name.clone();
        // agenix's way to have one secret encrypted anew.
        let does_nothing = || std::env::var_os("EDITOR").is_some_and(|editor| editor == ":");
        let is_piped = !rustix::termios::isatty(std::io::stdin());
        if !decrypts && !is_piped && does_nothing() {
            return anew(hub, &place, vec![rule], &keys).await;
        }
        let secret = Secret::of_agenix(place, rule)?;
        if decrypts {
            show::show(hub, secret, &ShowArgs { name, value: None, reveal: true, keys }).await
        } else if is_piped {
            set::set(hub, secret, &SetArgs { name, ..SetArgs::default() }).await
        } else {
            let args = EditArgs { name, allow_empty: false, allow_disk_temp: false, keys };
            edit::by_editor(hub, secret, &args, &["EDITOR"]).await
        }
    }

    /// The rules that are named, whose secrets are below the directory at hand wherever they stand themselves.
    async fn place(&self, hub: &Hub) -> Result<Place> {
        let here = std::env::current_dir().map_err(|error| Error::new(Kind::Failed, error))?;
        let named = std::env::var_os("RULES").filter(|name| !name.is_empty());
        let named = PathBuf::from(named.unwrap_or_else(|| "secrets.nix".into()));
        let unreadable = |error: std::io::Error| {
            Error::message(Kind::Config, format!("the rules in {} cannot be read: {error}", named.display()))
                .hint("run it in the directory of secrets.nix, or have RULES name that file")
        };
        let rules = here.join(&named).canonicalize().map_err(unreadable)?;
        let Some(root) = root(&here, &rules) else {
            return Err(Error::message(
                Kind::Config,
                format!("{} is in no repository with {}", named.display(), here.display()),
            )
            .hint("run it where the secrets are, and have RULES in the same repository"));
        };
        begin(hub, &root)?;
        let below = |path: &Path| path.strip_prefix(&root).unwrap_or(path).to_path_buf();
        let (file, dir) = (below(&rules), below(&here));
        Place::with_rules(hub, root, &file, &dir).await
    }
}

/// Encrypts those secrets anew that have a file, to those whom their rules name.
async fn anew(hub: &Hub, place: &Place, rules: Vec<Rule>, keys: &Keys) -> Result<Exit> {
    let store = place.store(hub)?;
    let (vault, identities) = (place.vault.clone(), place.identities(hub, keys)?);
    let mut there = Vec::with_capacity(rules.len());
    for rule in rules {
        if vault.is_there(&rule.path).map_err(told)? {
            there.push(rule);
        } else {
            hub.ui.warning(&format!("{} is not there yet", rule.path.display()), None);
        }
    }
    let count = there.len();
    let changes = aside(hub, move || vault.rekey(&there.iter().collect::<Vec<_>>(), &identities, false)).await?;
    store.commit(&changes).map_err(told)?;
    hub.ui.status(&format!("{count} encrypted anew"));
    Ok(Exit::Success)
}

/// What both directories are in: the flake, the repository, or else the nearest directory.
fn root(here: &Path, rules: &Path) -> Option<PathBuf> {
    let both = || here.ancestors().filter(|dir| rules.starts_with(dir) && dir.parent().is_some());
    let with = |name: &str| both().find(|dir| dir.join(name).exists());
    with("flake.nix").or_else(|| with(".git")).or_else(|| both().next()).map(Path::to_path_buf)
}

/// The rule of a file, however its path is written.
fn rule<'a>(place: &'a Place, file: &Path) -> Result<&'a Rule> {
    let here = std::env::current_dir().map_err(|error| Error::new(Kind::Failed, error))?;
    let path = sops::below(&place.root, &here.join(file));
    let is = |rule: &&Rule| path.as_ref() == Some(&rule.path);
    place.rules.list.iter().find(is).ok_or_else(|| {
        let word = file.display().to_string();
        let names = || place.rules.list.iter().map(|rule| rule.name.as_str());
        let near = names().find(|name| Path::new(name).ends_with(file)).or_else(|| nearest(&word, names()));
        let nearest = near.map(str::to_owned);
        told(SecretsError::NoRule { word, nearest })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> std::result::Result<Agenix, bool> {
        let words: Vec<OsString> = std::iter::once(&"agenix").chain(words).map(OsString::from).collect();
        Agenix::parse(&words).map_err(|error| error.use_stderr())
    }

    #[test]
    fn the_words_of_agenix_are_understood() {
        let edit = parsed(&["-e", "a.age", "-i", "one", "--identity", "two", "-v"]).unwrap();
        assert_eq!((edit.edit, edit.identity.len(), edit.verbose), (Some("a.age".into()), 2, true));
        assert!(parsed(&["--rekey"]).unwrap().rekey);
        assert_eq!(parsed(&["-d", "a.age"]).unwrap().decrypt, Some("a.age".into()));
        for (words, is_error) in [
            (&["-h"][..], false),
            (&["--version"], false),
            (&[], true),
            (&["-x"], true),
            (&["-e"], true),
            (&["a.age"], true),
        ] {
            assert_eq!(parsed(words).map(drop), Err(is_error), "{words:?}");
        }
    }

    #[test]
    fn hubctl_is_agenix_by_its_name_alone() {
        let called = |name: &str| Agenix::is_called(&[name.into(), "-r".into()]);
        assert!(called("agenix") && called("/usr/bin/agenix"));
        assert!(!called("hubctl") && !called("/agenix/hubctl") && !Agenix::is_called(&[]));
    }

    #[test]
    fn the_root_has_the_rules_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str| std::fs::create_dir_all(dir.path().join(name)).unwrap();
        make("hub/.git");
        make("hub/secrets/deep");
        let at = |here: &str, rules: &str| {
            let found = root(&dir.path().join(here), &dir.path().join(rules))?;
            Some(found.strip_prefix(dir.path()).ok()?.to_path_buf())
        };
        assert_eq!(at("hub/secrets", "hub/secrets/secrets.nix"), Some("hub".into()));
        assert_eq!(at("hub/secrets/deep", "hub/secrets.nix"), Some("hub".into()));
        std::fs::write(dir.path().join("hub/secrets/flake.nix"), "").unwrap();
        assert_eq!(at("hub/secrets/deep", "hub/secrets/secrets.nix"), Some("hub/secrets".into()));
        assert_eq!(at("hub/secrets/deep", "hub/secrets.nix"), Some("hub".into()));
        assert_eq!(root(Path::new("/srv/a"), Path::new("/etc/secrets.nix")), None);
    }
}
