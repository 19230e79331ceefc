//! Which formatter Nix files are formatted with: the flake's own one, or that of RFC 166 which is a part of hubctl.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::findings::aside;
use super::hub::Hub;
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::lint::Staged;
use crate::nix::{FormatCopy, Formatter, GcRoot, Nix, all_files, build};
use crate::state::StateDirs;

/// A formatter that is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(super) enum Which {
    /// The flake's own one, its output `formatter`.
    Flake,
    /// The one of RFC 166, as a part of hubctl.
    Rfc,
}

impl Which {
    /// As it is written on a command line.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Flake => "flake",
            Self::Rfc => "rfc",
        }
    }
}

/// A formatter that can be used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Chosen {
    /// The one of RFC 166.
    Rfc,
    /// A program of the flake's.
    Own(PathBuf),
}

/// A formatter that was chosen.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) chosen: Chosen,
    /// Whether the flake was asked for its own one.
    is_evaluated: bool,
}

/// What was learned of a flake's formatter the last time that it was asked for.
#[derive(Debug, Deserialize, Serialize)]
struct Known {
    /// A hash of the files that are likely to decide it.
    key: String,
    /// The program; nothing where the flake has none.
    program: Option<PathBuf>,
}

/// A flake whose files name none of these has no formatter that it says itself.
const WORDS: [&str; 2] = ["formatter", "treefmt"];

const HINT: &str = "`--formatter rfc` does without it, in the style of RFC 166";

/// The formatter for the `files` of the flake at `root`; its own one is evaluated, as far as that is not known, and built.
pub(super) async fn choose(hub: &Hub, root: &Path, files: &[PathBuf], which: Option<Which>) -> Result<Choice> {
    if which == Some(Which::Rfc) || (which.is_none() && !traces(hub, root, files).await?.are_there) {
        return Ok(Choice { chosen: Chosen::Rfc, is_evaluated: false });
    }
    let (_, evaluator) = hub.load().await.map_err(|error| error.hint(HINT))?;
    let asked = evaluator.formatter(&hub.cancel).await;
    hub.not_stopped()?;
    let asked = asked.map_err(|error| {
        let command = format!("`{}` shows the same", error.command());
        Error::message(Kind::Failed, format!("the flake's formatter does not evaluate: {error}"))
            .hint(command)
            .hint(HINT)
    })?;
    if let Some(formatter) = asked.as_ref().filter(|formatter| !formatter.program.exists()) {
        make(hub, evaluator.nix(), formatter).await?;
    }
    match asked {
        Some(formatter) => Ok(Choice { chosen: Chosen::Own(formatter.program), is_evaluated: true }),
        None if which == Some(Which::Flake) => {
            Err(Error::message(Kind::Usage, "the flake has no output `formatter` for this machine").hint(HINT))
        }
        None => Ok(Choice { chosen: Chosen::Rfc, is_evaluated: true }),
    }
}

/// Remembers what was chosen for the flake as its files are now, for those who must not evaluate anything.
pub(super) async fn remember(hub: &Hub, root: &Path, files: &[PathBuf], choice: &Choice) -> Result<()> {
    if !choice.is_evaluated {
        return Ok(());
    }
    let program = match &choice.chosen {
        Chosen::Own(program) => Some(program.clone()),
        Chosen::Rfc => None,
    };
    let known = Known { key: traces(hub, root, files).await?.key, program };
    if let Err(error) = known.write(root) {
        tracing::warn!(%error, "the formatter is not remembered");
    }
    Ok(())
}

/// The formatter as far as nothing has to be evaluated or built for it; nothing where it is not known.
pub(super) async fn at_hand(hub: &Hub, root: &Path, files: &[PathBuf], which: Option<Which>) -> Result<Option<Chosen>> {
    if which == Some(Which::Rfc) {
        return Ok(Some(Chosen::Rfc));
    }
    let traces = traces(hub, root, files).await?;
    Ok(match Known::read(root).filter(|known| known.key == traces.key) {
        Some(Known { program: Some(program), .. }) => program.exists().then_some(Chosen::Own(program)),
        Some(Known { program: None, .. }) => Some(Chosen::Rfc),
        None => (!traces.are_there && which.is_none()).then_some(Chosen::Rfc),
    })
}

/// What the flake's own formatter makes of texts.
pub(super) async fn run(hub: &Hub, root: &Path, program: &Path, texts: Staged) -> Result<Vec<(String, Vec<u8>)>> {
    let flake = hub.flake()?;
    let known = all_files(&flake, &hub.cancel).await.map_err(|error| Error::new(Kind::Failed, error))?;
    let place = root.to_path_buf();
    let copy = aside(hub, move || FormatCopy::of(&place, &known, &texts)).await?;
    let ended = copy.format(program, flake.is_git(), &hub.cancel).await;
    hub.not_stopped()?;
    ended.map_err(|failure| {
        Error::message(Kind::Failed, format!("the flake's formatter failed, and nothing is changed: {failure}"))
            .hint(HINT)
    })?;
    aside(hub, move || copy.made()).await
}

/// Builds a formatter.
async fn make(hub: &Hub, nix: &Nix, formatter: &Formatter) -> Result<()> {
    let missing = || Error::message(Kind::Failed, format!("there is no {}", formatter.program.display())).hint(HINT);
    let Some(drv) = &formatter.drv else { return Err(missing()) };
    hub.ui.status("building the flake's formatter …");
    let (_, dirs) = hub.state()?;
    let root = Hub::gcroots(&dirs)?.join(format!("{}-formatter", hub.run_id(&dirs)));
    let built = build(nix, drv, &GcRoot::at(root), &hub.cancel, |_, _| ()).await;
    hub.not_stopped()?;
    built.map_err(|error| {
        let message = format!("the flake's formatter does not build: {error}\n{}", error.output.join("\n"));
        Error::message(Kind::Failed, message.trim_end()).hint(HINT)
    })?;
    if formatter.program.exists() { Ok(()) } else { Err(missing()) }
}

/// Whether a flake's files name a formatter, and a hash of what is likely to decide which.
struct Traces {
    are_there: bool,
    key: String,
}

async fn traces(hub: &Hub, root: &Path, files: &[PathBuf]) -> Result<Traces> {
    let (root, files) = (root.to_path_buf(), files.to_vec());
    aside(hub, move || Ok(traces_in(&root, &files))).await
}

fn traces_in(root: &Path, files: &[PathBuf]) -> Traces {
    let (mut hasher, mut are_there) = (blake3::Hasher::new(), false);
    for file in files.iter().map(PathBuf::as_path).chain([Path::new("flake.nix"), Path::new("flake.lock")]) {
        // What cannot be read is told by whoever formats it.
        let text = fs::read(root.join(file)).unwrap_or_default();
        let words = String::from_utf8_lossy(&text);
        let is_named = WORDS.iter().any(|word| words.contains(word));
        let is_input = file == Path::new("flake.lock");
        are_there |= is_named && !is_input;
        if is_named || is_input || file == Path::new("flake.nix") {
            hasher.update(file.as_os_str().as_encoded_bytes()).update(b"\0").update(&text).update(b"\0");
        }
    }
    Traces { are_there, key: hasher.finalize().to_hex().to_string() }
}

impl Known {
    fn place(root: &Path) -> io::Result<PathBuf> {
        let name = blake3::hash(root.as_os_str().as_encoded_bytes()).to_hex();
        Ok(StateDirs::of_user()?.formatters().join(format!("{name}.json")))
    }

    fn read(root: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(Self::place(root).ok()?).ok()?).ok()
    }

    fn write(&self, root: &Path) -> io::Result<()> {
        files::keep(&Self::place(root)?, &serde_json::to_vec(self)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formatter_is_looked_for_where_the_flakes_files_name_one() {
        let root = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| fs::write(root.path().join(file), text).unwrap();
        let files = ["flake.nix", "a.nix", "b.nix"].map(PathBuf::from);
        write("flake.nix", "{ outputs = _: { }; }");
        write("a.nix", "{ }");
        write("flake.lock", "{ \"treefmt\": 1 }");
        let none = traces_in(root.path(), &files);
        assert!(!none.are_there, "an input of that name is no formatter");
        write("a.nix", "{ a = 1; }");
        assert_eq!(traces_in(root.path(), &files).key, none.key);
        write("b.nix", "{ formatter = 1; }");
        let some = traces_in(root.path(), &files);
        assert!(some.are_there);
        write("flake.lock", "{ }");
        assert_ne!(traces_in(root.path(), &files).key, some.key);
    }
}
