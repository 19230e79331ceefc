//! The hub's binary cache: closures are pushed to it, and a command has a host substitute from it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cache_url::CacheUrl;
use super::copy::{CopyError, CopyTrouble, Copying, Source, run_copy, ssh_config_file, ssh_options};
use super::log::{BuildState, LogLine};
use super::program::Nix;
use super::source::percent_encode;
use super::store_path::StorePath;
use crate::process::{Cancel, Cmd, Failure, shell_quote};

/// How long an upload may take.
const UPLOAD_DEADLINE: Duration = Duration::from_secs(24 * 60 * 60);

/// How long signing, or reading a key, may take.
const SIGN_DEADLINE: Duration = Duration::from_secs(10 * 60);

/// How long a host waits for a connection to the cache, in seconds.
const CONNECT_SECONDS: u32 = 10;

/// A cache, and how closures get there and from there to the hosts.
#[derive(Clone, Debug)]
pub struct Cache {
    /// The store that closures are pushed to.
    pub url: CacheUrl,
    /// The store that hosts substitute from; without it, the same.
    pub substituter: Option<CacheUrl>,
    /// A program that uploads in Nix's place, with its first arguments; the paths follow. Empty for none.
    pub upload: Vec<String>,
    /// The key that signs what is pushed.
    pub secret_key: Option<PathBuf>,
    /// The keys of the cache that hosts are to accept.
    pub public_keys: Vec<String>,
    /// The user's ssh configuration, where it is not ssh's default.
    pub ssh_config: Option<PathBuf>,
}

/// Why closures did not get to the cache.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// Nix could not copy them there.
    #[error("{0}")]
    Copy(CopyError),
    /// The upload tool failed.
    #[error("the upload tool failed: {0}")]
    Upload(Failure),
    /// They could not be signed.
    #[error("it cannot be signed: {0}")]
    Sign(Failure),
    /// The upload tool reads this machine's store, and they are in another one.
    #[error("the upload tool takes what is in this machine's store, and this was built elsewhere")]
    Elsewhere,
}

impl PushError {
    /// What was run and what it said, where something was run.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Copy(error) => Some(&error.failure),
            Self::Upload(failure) | Self::Sign(failure) => Some(failure),
            Self::Elsewhere => None,
        }
    }

    /// What helps.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Copy(error) => hint_of_copy(error.kind),
            Self::Upload(_) => Some(
                "it is `upload` under [cache] in hub.toml, and gets the systems' store paths as its last arguments",
            ),
            Self::Sign(_) => Some(
                "it is `secret-key-file` under [cache] in hub.toml: a key of `nix-store --generate-binary-cache-key`",
            ),
            Self::Elsewhere => Some("leave `upload` or `build-on` out"),
        }
    }
}

/// What helps when it is the cache that Nix could not copy to.
fn hint_of_copy(trouble: CopyTrouble) -> Option<&'static str> {
    match trouble {
        CopyTrouble::Untrusted => Some(
            "the store that is pushed to must trust the ssh user (`nix.settings.trusted-users` there), or what you build \
             must be signed with a key that it knows",
        ),
        CopyTrouble::Disconnected => {
            Some("Nix's own ssh goes there: the URL's host must be one that `ssh HOST` reaches without a question")
        }
        CopyTrouble::NoSpace => Some("free space in the cache"),
        CopyTrouble::NoNix | CopyTrouble::Other => None,
    }
}

impl Cache {
    /// The store that hosts substitute from.
    pub fn substituter(&self) -> &CacheUrl {
        self.substituter.as_ref().unwrap_or(&self.url)
    }

    /// Pushes the closures of `paths`, each path of them once. What the cache has is left out.
    pub async fn push(
        &self,
        nix: &Nix,
        paths: &[StorePath],
        from: Source<'_>,
        cancel: &Cancel,
        on_event: impl FnMut(&BuildState, Option<&LogLine>) + Send,
    ) -> Result<(), PushError> {
        let ended = self.push_by(nix, paths, from, cancel, on_event).await;
        ended.map_err(|error| self.masked(error))
    }

    async fn push_by(
        &self,
        nix: &Nix,
        paths: &[StorePath],
        from: Source<'_>,
        cancel: &Cancel,
        mut on_event: impl FnMut(&BuildState, Option<&LogLine>) + Send,
    ) -> Result<(), PushError> {
        if let Some((program, words)) = self.upload.split_first() {
            let Source::Local = from else { return Err(PushError::Elsewhere) };
            let paths = paths.iter().map(StorePath::as_str);
            let cmd = Cmd::new(program).args(words).args(paths).deadline(UPLOAD_DEADLINE);
            let state = BuildState::default();
            let ended = cmd.output_with(cancel, |line| on_event(&state, Some(&LogLine::Message(line.to_owned()))));
            return ended.await.map(drop).map_err(PushError::Upload);
        }
        let mut to = self.url.clone();
        if let Some(key) = &self.secret_key {
            if self.url.is_ssh() {
                self.sign(nix, key, paths, from, cancel).await?;
            } else {
                to = to.with("secret-key", &percent_encode(&key.to_string_lossy()));
            }
        }
        let copying = Copying { paths, from, to: to.whole(), reached_by: None, config_file: self.ssh_config.as_ref() };
        run_copy(nix, &copying, cancel, &mut on_event).await.map_err(|failure| PushError::Copy(CopyError::of(failure)))
    }

    /// Signs closures in this machine's store, for a cache that does not do it as it takes them. What another machine built stays
    /// as that one signed it.
    async fn sign(
        &self,
        nix: &Nix,
        key: &Path,
        paths: &[StorePath],
        from: Source<'_>,
        cancel: &Cancel,
    ) -> Result<(), PushError> {
        let Source::Local = from else { return Ok(()) };
        let cmd = nix.cmd(&["store", "sign", "--recursive", "--key-file"]).arg(key).deadline(SIGN_DEADLINE);
        let paths = paths.iter().map(StorePath::as_str);
        cmd.args(paths).output(cancel).await.map(drop).map_err(PushError::Sign)
    }

    /// Those of `paths` that the cache does not have.
    pub async fn missing(
        &self,
        nix: &Nix,
        paths: &[StorePath],
        cancel: &Cancel,
    ) -> Result<BTreeSet<StorePath>, PushError> {
        let mut cmd = nix.invalid_in(self.url.whole(), paths.iter().map(StorePath::as_str));
        if !self.upload.is_empty() {
            // Where a tool uploads, the URL may be none that Nix can ask.
            cmd = nix.invalid_in(self.substituter().whole(), paths.iter().map(StorePath::as_str));
        }
        let config = ssh_config_file(&[], self.ssh_config.as_ref());
        let config = config.map_err(|error| PushError::Copy(CopyError::of(cmd.failed_to_start(error))))?;
        let asked = cmd.env("NIX_SSHOPTS", ssh_options(config.as_ref())).output(cancel).await;
        let asked = asked.map_err(|failure| self.masked(PushError::Copy(CopyError::of(failure))))?;
        Ok(asked.text().lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// The keys that hosts are to accept: those that are named, and the one that signs.
    pub async fn keys(&self, nix: &Nix, cancel: &Cancel) -> Result<Vec<String>, PushError> {
        let mut keys = self.public_keys.clone();
        if let Some(file) = &self.secret_key {
            let cmd = nix.cmd(&["key", "convert-secret-to-public"]).deadline(SIGN_DEADLINE);
            let secret = std::fs::read(file).map_err(|error| PushError::Sign(cmd.failed_to_start(error)))?;
            let public = cmd.stdin(secret).output(cancel).await.map_err(PushError::Sign)?;
            keys.push(public.text());
        }
        Ok(keys)
    }

    /// A shell command that has a machine fetch the closure of `path` from the cache, or from what it knows itself where that is
    /// nearer. Run by a user that the machine's Nix trusts, it needs no configuration there; of a cache that does not vouch for
    /// itself, it takes what one of `keys` or of the machine's own keys signed.
    pub fn fetch_command(&self, path: &StorePath, keys: &[String]) -> String {
        let mut url = self.substituter().with("priority", "10");
        if url.vouches_for_itself() {
            url = url.with("trusted", "true");
        }
        let mut options = vec![format!("--option extra-substituters {}", shell_quote(url.whole()))];
        if !keys.is_empty() {
            options.push(format!("--option extra-trusted-public-keys {}", shell_quote(&keys.join(" "))));
        }
        // Of a path that is nowhere, nothing is to be built.
        options.push(format!("--option connect-timeout {CONNECT_SECONDS} --option max-jobs 0 --option builders ''"));
        format!(
            "NIX_SSHOPTS=\"$NIX_SSHOPTS -o BatchMode=yes -o ConnectTimeout={CONNECT_SECONDS}\" \
             nix-store --realise {path} {} >/dev/null",
            options.join(" ")
        )
    }

    /// What helps a host that cannot fetch, for the reason `why`.
    pub fn fetch_hint(&self, why: &str) -> String {
        let url = self.substituter();
        if why.contains("not signed") || why.contains("signature") {
            return format!(
                "set `public-keys` under [cache] in hub.toml to the keys that {url} signs with, or `secret-key-file` to sign what is \
                 pushed to it"
            );
        }
        let way = if url.is_ssh() {
            "root there must reach it by ssh without a question"
        } else {
            "it must be reached from there"
        };
        let other =
            if self.substituter.is_some() { "" } else { "; `substituter` under [cache] in hub.toml names another way" };
        format!("{way}{other}")
    }

    /// `text` without what may be secret in the URLs.
    pub fn masked_text(&self, text: &str) -> String {
        let urls = [Some(&self.url), self.substituter.as_ref()].into_iter().flatten();
        urls.fold(text.to_owned(), |text, url| url.mask(&text))
    }

    /// What failed, without what may be secret in the URL.
    fn masked(&self, mut error: PushError) -> PushError {
        let mask = |text: &mut String| {
            *text = self.masked_text(text);
            if let Some(key) = &self.secret_key {
                *text = text.replace(&percent_encode(&key.to_string_lossy()), "…");
            }
        };
        if let PushError::Copy(copy) = &mut error {
            mask(&mut copy.failure.command);
            copy.failure.stderr.iter_mut().for_each(mask);
        }
        error
    }
}
