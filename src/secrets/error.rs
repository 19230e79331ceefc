//! What can be wrong with secrets, as a file of the repository has it.

use std::io;
use std::path::{Path, PathBuf};

use super::age::AgeError;
use super::sops::SopsError;
use crate::error::Kind;
use crate::process::Failure;

/// Why something cannot be done with secrets.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// A file of age, or what would become one, is at fault.
    #[error("{}: {error}", path.display())]
    Age {
        /// The file, below the repository's root.
        path: PathBuf,
        /// What is wrong with it.
        error: AgeError,
    },
    /// A file of SOPS, or what would become one, is at fault.
    #[error("{}: {error}", path.display())]
    Sops {
        /// The file, below the repository's root.
        path: PathBuf,
        /// What is wrong with it.
        error: SopsError,
    },
    /// A file cannot be read.
    #[error("{} cannot be read: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Files cannot be changed.
    #[error("{} cannot be changed: {error}", path.display())]
    NotWritten {
        /// The first of them.
        path: PathBuf,
        /// Why.
        error: io::Error,
        /// The first file of which not even the old content could be put back.
        left: Option<PathBuf>,
    },
    /// The process was to end there; a test wanted it.
    #[error("the run ended in the middle")]
    Vanished,
    /// Another run has the repository's lock.
    #[error("another run of hubctl changes the secrets of this repository")]
    Busy,
    /// A path that leads out of the repository.
    #[error("`{}` is no path within the repository", path.display())]
    Outside {
        /// The path.
        path: PathBuf,
    },
    /// There are no rules.
    #[error("there is neither secrets.nix nor secrets/secrets.nix in {}", .0.display())]
    NoRules(PathBuf),
    /// There are rules in two places.
    #[error("there are both secrets.nix and secrets/secrets.nix in {}", .0.display())]
    TwoRules(PathBuf),
    /// The rules are not what rules are.
    #[error("{}{}: {what}", file.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
    Rules {
        /// The file of the rules.
        file: PathBuf,
        /// The line that is wrong, counted from 1.
        line: Option<u32>,
        /// What is wrong.
        what: String,
    },
    /// Nix does not evaluate the rules.
    #[error("{} cannot be evaluated: {failure}{}", file.display(), tail(failure))]
    Evaluation {
        /// The file of the rules.
        file: PathBuf,
        /// What Nix said.
        failure: Failure,
    },
    /// No rule has this name.
    #[error("no rule is named `{word}`")]
    NoRule {
        /// What was asked for.
        word: String,
        /// What may have been meant.
        nearest: Option<String>,
    },
    /// A rule has no file yet.
    #[error("{} is not there yet", .0.display())]
    Missing(PathBuf),
    /// A secret without content.
    #[error("{} would have no content", .0.display())]
    Empty(PathBuf),
    /// What was encrypted does not come out as it went in.
    #[error("{}: what was encrypted is not what was meant: {what}", path.display())]
    NotVerified {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
    },
    /// Whoever runs this could not read the secret any more.
    #[error("{}: none of your identities would be a recipient any more", .0.display())]
    LocksOut(PathBuf),
}

impl SecretsError {
    /// The same error of age, of a file.
    pub fn age(path: &Path, error: AgeError) -> Self {
        Self::Age { path: path.to_path_buf(), error }
    }

    /// The same error of SOPS, of a file.
    pub fn sops(path: &Path, error: SopsError) -> Self {
        Self::Sops { path: path.to_path_buf(), error }
    }

    /// What heading and exit code it has.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Outside { .. }
            | Self::NoRules(_)
            | Self::TwoRules(_)
            | Self::Rules { .. }
            | Self::Evaluation { .. } => Kind::Config,
            Self::NoRule { .. } => Kind::Usage,
            Self::Sops { error: SopsError::LocksOut, .. } | Self::Busy | Self::Empty(_) | Self::LocksOut(_) => {
                Kind::Refused
            }
            _ => Kind::Failed,
        }
    }

    /// What helps.
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Age { error, .. } => return error.hint().into_iter().collect(),
            Self::Sops { path, error } => return error.hint(&path.display().to_string()).into_iter().collect(),
            Self::NotWritten { left: None, .. } => "nothing was changed".to_owned(),
            Self::NotWritten { left: Some(left), .. } => {
                format!("what was begun is finished or taken back by the next `hubctl secrets status`, when {} can be written", left.display())
            }
            Self::Busy => "wait until it has ended".to_owned(),
            Self::Outside { .. } => "names of secrets are paths below the directory of secrets.nix, without `..`".to_owned(),
            Self::NoRules(_) => {
                "write one: `{ \"secrets/name.age\".publicKeys = [ \"ssh-ed25519 …\" ]; }`, with your key and those of the hosts".to_owned()
            }
            Self::TwoRules(_) => "keep one of them; names of secrets are paths below its directory".to_owned(),
            Self::Evaluation { .. } => "rules are evaluated without network, and see no files outside of the repository".to_owned(),
            Self::NoRule { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Self::NoRule { nearest: None, .. } => "`hubctl secrets status` lists them".to_owned(),
            Self::Missing(path) => format!("give it a content: `hubctl secrets set {}`", path.display()),
            Self::Empty(_) => "--allow-empty has it encrypted all the same".to_owned(),
            Self::LocksOut(_) => "add your key to its rule, or do it with --force".to_owned(),
            _ => return Vec::new(),
        };
        vec![hint]
    }
}

fn tail(failure: &Failure) -> String {
    let noise = |line: &&String| !line.starts_with("warning:") && !line.contains("--show-trace");
    failure.stderr.iter().filter(noise).fold(String::new(), |text, line| text + "\n  " + line)
}
