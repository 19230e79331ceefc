//! Evaluation: the hosts that a flake has, and what a host's toplevel would be.

use std::borrow::Cow;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::option;
use super::program::Nix;
use super::source::Source;
use super::store_path::StorePath;
use super::{features, formatter, health};
use crate::process::{Cancel, Cmd, Failure};

/// How long one evaluation may take. Import from derivation builds while evaluating, hence the length.
const DEADLINE: Duration = Duration::from_secs(2 * 60 * 60);

/// Where in a flake a system stands, such as `nixosConfigurations."p620"`; or a home, in `homeConfigurations`.
#[derive(Clone, Copy, Debug)]
pub struct SystemAttr<'a> {
    /// The flake output.
    pub output: &'a str,
    /// The attribute in it.
    pub name: &'a str,
}

/// What a host's configuration evaluates to.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Evaluation {
    /// The toplevel's derivation.
    pub drv: StorePath,
    /// The toplevel's output path, whether it is built or not.
    pub out: StorePath,
    /// The Nix system that it is for, such as `x86_64-linux`.
    pub system: String,
    /// `networking.hostName`, where the configuration has one.
    pub host_name: Option<String>,
    /// What it decrypts when it is activated.
    #[serde(default)]
    pub sealed: Sealed,
}

/// The secrets that a system decrypts when it is activated, by the options of agenix and of sops-nix.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sealed {
    /// The secrets, by name.
    pub secrets: Vec<SealedSecret>,
    /// The files on the host with the keys that open them.
    pub identities: Vec<String>,
    /// Those of sops-nix.
    #[serde(default)]
    pub sops: SealedSops,
}

impl Sealed {
    /// What is to lie on the host in the clear, by either.
    pub fn places(&self) -> impl Iterator<Item = &SealedSecret> {
        self.secrets.iter().chain(self.sops.secrets.iter().map(|value| &value.place))
    }
}

/// The secrets that a system takes from files of SOPS when it is activated.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SealedSops {
    /// The secrets, by name.
    pub secrets: Vec<SealedValue>,
    /// The files on the host with the ssh keys that open them, once they are converted to keys of age.
    pub ssh_keys: Vec<String>,
    /// Whether keys open them too of which the configuration does not tell what they are.
    pub has_other_keys: bool,
}

/// A secret that a system takes from a file of SOPS.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct SealedValue {
    /// It as what lies on the host in the clear, where it makes no difference what decrypted it.
    #[serde(flatten)]
    pub place: SealedSecret,
    /// The value that is taken, such as `database/password`; all of the file where it is empty.
    pub key: Option<String>,
    /// The format of the file, such as `yaml`.
    pub format: Option<String>,
}

impl SealedValue {
    /// Whether one value of the file is taken, and not all of it.
    pub fn is_one_value(&self) -> bool {
        let has_values = self.format.as_deref().is_none_or(|format| matches!(format, "yaml" | "json"));
        has_values && self.key.as_deref().is_some_and(|key| !key.is_empty())
    }
}

/// A secret that a system decrypts when it is activated.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct SealedSecret {
    /// Its name in the configuration.
    pub name: String,
    /// Its file, relative to the source's root, where it is in the source.
    pub file: Option<String>,
    /// Where it is put in the clear.
    #[serde(default)]
    pub path: Option<String>,
    /// Who may read it there, as `chmod` takes it.
    #[serde(default)]
    pub mode: Option<String>,
    /// Whose it is.
    #[serde(default)]
    pub owner: Option<String>,
    /// Which group's it is.
    #[serde(default)]
    pub group: Option<String>,
}

impl SealedSecret {
    /// Whether everybody on the host may read it.
    pub fn is_world_readable(&self) -> bool {
        let Some(mode) = self.mode.as_deref() else { return false };
        if let Ok(bits) = u32::from_str_radix(mode, 8) {
            return bits & 0o004 != 0;
        }
        mode.split(',').any(|clause| {
            let Some(at) = clause.find(['+', '=']) else { return false };
            let (who, what) = clause.split_at(at);
            what.contains('r') && (who.is_empty() || who.contains(['o', 'a']))
        })
    }
}

/// A question to a flake, whose answer is JSON.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Query {
    attribute: String,
    function: Cow<'static, str>,
    /// What the answer is when the flake has no such attribute; without it, that is an error.
    absent: Option<&'static str>,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// The flake has no such attribute, or the configuration is wrong.
    #[error("{}", reason(.0))]
    Nix(Failure),
    /// The evaluation ended well with something else than was asked for.
    #[error("the answer of `{command}` is not what was asked for: {problem}")]
    Unexpected {
        /// The command, quoted for a shell.
        command: String,
        /// What is wrong with the answer.
        problem: serde_json::Error,
    },
}

impl EvalError {
    /// The command that was run.
    pub fn command(&self) -> &str {
        match self {
            Self::Nix(failure) => &failure.command,
            Self::Unexpected { command, .. } => command,
        }
    }

    /// What Nix printed last, without the notices that say nothing of the error.
    pub fn output(&self) -> Vec<String> {
        match self {
            Self::Nix(failure) => useful_lines(failure).map(str::to_owned).collect(),
            Self::Unexpected { .. } => Vec::new(),
        }
    }

    /// Whether the user's wish to stop ended it.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Nix(failure) if failure.is_cancelled())
    }
}

/// The error itself, which comes after its trace; what is known of the command where Nix printed none.
fn reason(failure: &Failure) -> String {
    let lines: Vec<_> = useful_lines(failure).collect();
    let error =
        |line: &&str| line.trim_start().strip_prefix("error: ").is_some_and(|message| !message.trim().is_empty());
    let Some(at) = lines.iter().rposition(error) else { return failure.to_string() };
    lines[at..].join("\n").trim().trim_start_matches("error: ").to_owned()
}

/// What Nix prints that says nothing of an error. Of the settings that a flake asks for, hubctl itself tells.
const NOTICES: &[&str] = &[
    "warning: Git tree",
    "(use '--show-trace' to show",
    "warning: ignoring untrusted flake configuration setting",
    "Pass '--accept-flake-config' to trust it",
    "Using saved setting for",
];

fn useful_lines(failure: &Failure) -> impl Iterator<Item = &str> {
    let noise = |line: &str| NOTICES.iter().any(|notice| line.contains(notice));
    failure.stderr.iter().map(String::as_str).filter(move |line| !noise(line))
}

/// The function that is applied to a configuration.
const SUMMARY: &str = include_str!("summary.nix");

/// What stands for the source's path in it.
const SOURCE: &str = "@source@";

/// The same for a configuration of home-manager.
const HOME_SUMMARY: &str = "home: let package = home.activationPackage; in \
    { drv = package.drvPath; out = package.outPath; system = package.system; hostName = null; }";

/// The output of configurations of home-manager.
pub const HOMES: &str = "homeConfigurations";

impl Query {
    /// What the toplevel of a system would be; the answer is an [`Evaluation`].
    pub fn system(system: SystemAttr<'_>) -> Self {
        let attribute = format!("{}.\"{}\"", system.output, system.name);
        if system.output == HOMES {
            return Self { attribute, function: HOME_SUMMARY.into(), absent: None };
        }
        Self { attribute: attribute + ".config", function: SUMMARY.into(), absent: None }
    }

    /// The names under one output, such as `nixosConfigurations`; none when the flake has no such output. Evaluates no system.
    pub fn names(output: &str) -> Self {
        Self { attribute: output.to_owned(), function: "builtins.attrNames".into(), absent: Some("[]") }
    }

    /// What an option of a system is, by the names that lead to it; the answer is a [`Looked`](super::Looked).
    pub fn option(system: SystemAttr<'_>, names: &[String]) -> Self {
        let attribute = format!("{}.\"{}\"", system.output, system.name);
        Self { attribute, function: option::function(names).into(), absent: None }
    }

    /// The features of a system; the answer is a [`FeatureLook`](super::FeatureLook) for each, by its name.
    pub fn features(system: SystemAttr<'_>) -> Self {
        let attribute = format!("{}.\"{}\"", system.output, system.name);
        Self { attribute, function: features::FUNCTION.into(), absent: None }
    }

    /// The flake's own formatter for a kind of machines; the answer is a [`Formatter`](super::Formatter), or nothing.
    pub fn formatter(system: &str) -> Self {
        Self {
            attribute: format!("formatter.\"{system}\""),
            function: formatter::FUNCTION.into(),
            absent: Some("null"),
        }
    }

    /// The names of all options of a system with the names of their types, but for those that the flake at `source` itself
    /// declares; the answer is a map.
    pub fn options(system: SystemAttr<'_>, source: &Source) -> Self {
        let attribute = format!("{}.\"{}\"", system.output, system.name);
        let function = include_str!("options.nix").replace("@source@", &source.path.to_string());
        Self { attribute, function: function.into(), absent: None }
    }

    /// What a system's modules say of it; the answer is a [`Health`](super::Health).
    pub fn health(system: SystemAttr<'_>) -> Self {
        let attribute = format!("{}.\"{}\"", system.output, system.name);
        Self { attribute, function: health::FUNCTION.into(), absent: None }
    }

    /// What tells this question from others.
    pub fn subject(&self) -> String {
        format!("{} | {}", self.attribute, self.function)
    }

    /// Reads an answer.
    pub fn read<T: DeserializeOwned>(&self, nix: &Nix, source: &Source, answer: &str) -> Result<T, EvalError> {
        serde_json::from_str(answer)
            .map_err(|problem| EvalError::Unexpected { command: self.command(nix, source).display(), problem })
    }

    pub(super) fn command(&self, nix: &Nix, source: &Source) -> Cmd {
        // The source was locked before. Some versions of Nix would write a lock file that is missing into the store.
        nix.flake_cmd(&["eval", "--json", "--no-write-lock-file", "--option", "eval-cache", "false"])
            .arg(format!("{}#{}", source.reference(), self.attribute))
            .args(["--apply", &*self.function.replace(SOURCE, source.path.as_str())])
            .deadline(DEADLINE)
    }

    /// The answer of a command that ended.
    pub(super) fn answer(&self, ended: Result<crate::process::Output, Failure>) -> Result<String, EvalError> {
        match (ended, self.absent) {
            (Ok(output), _) => Ok(output.text()),
            (Err(failure), Some(absent)) if failure.mentions("does not provide attribute") => Ok(absent.to_owned()),
            (Err(failure), _) => Err(EvalError::Nix(failure)),
        }
    }
}

/// Asks a flake. Each line that Nix prints (warnings, traces, the error) goes to `on_line`.
pub async fn ask(
    nix: &Nix,
    source: &Source,
    query: &Query,
    cancel: &Cancel,
    on_line: impl FnMut(&str) + Send,
) -> Result<String, EvalError> {
    let cmd = nix.with_own_cache(query.command(nix, source)).map_err(EvalError::Nix)?;
    query.answer(cmd.output_with(cancel, on_line).await)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::End;

    #[test]
    fn a_mode_says_whether_everybody_reads() {
        let of =
            |mode: &str| SealedSecret { mode: Some(mode.to_owned()), ..SealedSecret::default() }.is_world_readable();
        assert!(["0444", "644", "0754", "a=r", "u=rw,o=r", "+r"].into_iter().all(of));
        assert!(!["0400", "440", "0751", "u=r,g=r,o=", "u=r", "o-r", "x"].into_iter().any(of));
        assert!(!SealedSecret::default().is_world_readable());
    }

    fn shown(stderr: &str) -> String {
        let stderr = stderr.lines().map(str::to_owned).collect();
        EvalError::Nix(Failure { command: "nix eval".to_owned(), end: End::Code(1), stderr }).to_string()
    }

    #[test]
    fn an_error_is_told_without_its_trace_and_notices() {
        assert_eq!(
            shown("error: p620 is misconfigured\n(use '--show-trace' to show detailed location information)"),
            "p620 is misconfigured"
        );
        let of_newer = "warning: Git tree '/hub' is dirty\nerror:\n       … while calling the 'throw' builtin\n         at /hub/flake.nix:1:1:\n\n       error: two\n       lines";
        assert_eq!(shown(of_newer), "two\n       lines");
        assert_eq!(shown(""), "`nix` exited with code 1");
    }
}
