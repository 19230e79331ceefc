//! The user's editor, told to keep no copies.

use std::path::Path;

use crate::error::{Error, Kind, Result};
use crate::process::Cmd;

/// Editors that leave copies of what they edit unless they are told not to, and how they are told.
const HARDENED: &[(&[&str], &[&str])] = &[
    (&["vim", "gvim", "vimx"], &["-n", "-i", "NONE", "--cmd", "set nobackup nowritebackup noswapfile noundofile"]),
    (&["nvim"], &["-n", "-i", "NONE", "--cmd", "set nobackup nowritebackup noswapfile noundofile"]),
    (&["emacs"], &["--eval", "(setq make-backup-files nil auto-save-default nil create-lockfiles nil)"]),
    (&["nano"], &["--ignorercfiles"]),
];

/// Editors that come back at once unless they are told to wait, and what tells them.
const IMPATIENT: &[(&[&str], &[&str])] = &[
    (&["code", "codium", "code-insiders", "subl", "zed", "zeditor"], &["--wait", "-w"]),
    (&["gvim"], &["-f", "--nofork"]),
];

/// The command that edits `file`, whose directory is the only one where copies may lie. The first of `variables` that is set says which.
pub(super) fn command(file: &Path, dir: &Path, variables: &[&str]) -> Result<Cmd> {
    let set = |name: &&str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let Some(line) = variables.iter().find_map(set) else {
        let unset = match variables {
            [one] => format!("{one} is not set"),
            [.., one, other] => format!("neither {one} nor {other} is set"),
            [] => String::new(),
        };
        return Err(Error::message(Kind::Usage, format!("there is no editor: {unset}"))
            .hint("set one, such as `EDITOR=vim`, or use `hubctl secrets set`"));
    };
    let words = shlex::split(&line).filter(|words| !words.is_empty());
    let Some(words) = words else {
        return Err(Error::message(
            Kind::Usage,
            format!("the editor `{line}` is no command line: its quotes do not match"),
        ));
    };
    let name = Path::new(&words[0]).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if let Some((_, waits)) = IMPATIENT.iter().find(|(names, _)| names.contains(&name.as_str()))
        && !words.iter().any(|word| waits.contains(&word.as_str()))
    {
        return Err(Error::message(Kind::Usage, format!("`{line}` comes back before anything is edited"))
            .hint(format!("have it wait: `EDITOR='{line} {}'`", waits[0])));
    }
    let flags = HARDENED.iter().find(|(names, _)| names.contains(&name.as_str())).map(|(_, flags)| *flags);
    let cmd = Cmd::new(&words[0]).args(flags.unwrap_or_default()).args(&words[1..]).arg(file);
    Ok(cmd.env("TMPDIR", dir).env("TMP", dir).env("TEMP", dir))
}
