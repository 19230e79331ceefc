//! The substituters that builds fetch from: which of them answer.
//!
//! Nix finds out anew with every build that one does not, and takes its time for it: seconds when it is refused, minutes when
//! nobody answers. So each is asked once per run, in Nix's own way (its proxies, certificates and names), and builds are told of
//! those alone that answer.

use std::fmt;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;

use super::program::Nix;
use crate::process::{Cancel, Cmd, End, Failure};

/// How long a substituter may take to let itself be connected to, and then to answer, in whole seconds.
const PATIENCE: &str = "2";

/// How long asking one may take in all, on a machine that is busy.
const DEADLINE: Duration = Duration::from_secs(60);

/// After how long one that failed at once is asked a second time.
const SECOND_TRY: Duration = Duration::from_millis(300);

/// What curl says of a server that does not answer, by its numbers: names that do not resolve, connections that are not made or
/// break, time that is up. Source: libcurl-errors(3).
const NO_ANSWER: &[u32] = &[5, 6, 7, 28, 35, 52, 55, 56];

/// The substituters of a run.
#[derive(Debug)]
pub struct Substituters {
    nix: Nix,
    asks: bool,
    settled: OnceCell<Nix>,
}

/// A substituter that does not answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Silent {
    /// Its address.
    pub url: String,
    /// What was heard instead of an answer.
    pub why: String,
}

impl Silent {
    /// What helps.
    pub const HINT: &str = "what it has is fetched from others, or built; if Nix's daemon reaches it and only this user does not, \
                            set `ask-substituters = false` under [nix] in hub.toml";
}

impl fmt::Display for Silent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the substituter {} does not answer, and is left out of this run: {}", self.url, self.why)
    }
}

impl Substituters {
    /// Those that builds with this Nix would use.
    pub fn new(nix: Nix) -> Self {
        Self { nix, asks: true, settled: OnceCell::new() }
    }

    /// Those that builds with this Nix would use, whether they answer or not.
    pub fn unasked(nix: Nix) -> Self {
        Self { asks: false, ..Self::new(nix) }
    }

    /// Nix, told to build with the substituters that answer. The first call asks them, and tells those that do not.
    pub async fn nix(&self, cancel: &Cancel, on_silent: impl FnMut(&Silent)) -> &Nix {
        self.settled.get_or_init(|| self.settle(cancel, on_silent)).await
    }

    async fn settle(&self, cancel: &Cancel, on_silent: impl FnMut(&Silent)) -> Nix {
        let nix = self.nix.clone();
        // Where they cannot be found out, Nix goes by what it knows itself.
        let urls = if self.asks { self.urls(cancel).await.unwrap_or_default() } else { Vec::new() };
        let silent = self.ask(&urls, cancel).await;
        if silent.is_empty() || cancel.is_requested() {
            return nix;
        }
        silent.iter().for_each(on_silent);
        let answering: Vec<_> = urls.into_iter().filter(|url| silent.iter().all(|one| one.url != *url)).collect();
        nix.building_with([("substituters".to_owned(), answering.join(" "))])
    }

    /// All of them, in order.
    async fn urls(&self, cancel: &Cancel) -> Result<Vec<String>, Failure> {
        let settings: Value =
            serde_json::from_str(&self.nix.effective_build_settings(cancel).await?).unwrap_or_default();
        // Without this nothing is fetched at all.
        if settings["substitute"]["value"] == false {
            return Ok(Vec::new());
        }
        let urls = settings["substituters"]["value"].as_array().into_iter().flatten();
        let urls: Vec<_> = urls.filter_map(Value::as_str).map(str::to_owned).collect();
        // A command line is no place for a password.
        Ok(if urls.iter().any(|url| has_password(url)) { Vec::new() } else { urls })
    }

    /// Asks all that are reached over a network, at once, and gives those that do not answer, in order.
    async fn ask(&self, urls: &[String], cancel: &Cancel) -> Vec<Silent> {
        let mut asked = JoinSet::new();
        for (at, url) in urls.iter().enumerate().filter(|(_, url)| is_remote(url)) {
            let (nix, url, cancel) = (self.nix.clone(), url.clone(), cancel.clone());
            asked.spawn(async move { (at, answers(&nix, &url, &cancel).await.err().map(|why| Silent { url, why })) });
        }
        let mut answers = asked.join_all().await;
        answers.sort_by_key(|(at, _)| *at);
        answers.into_iter().filter_map(|(_, silent)| silent).collect()
    }
}

/// Whether a substituter is reached over a network, and in a way that tells by its answer whether it is there.
fn is_remote(url: &str) -> bool {
    ["http://", "https://", "ssh://", "ssh-ng://"].iter().any(|scheme| url.starts_with(scheme))
}

/// Whether an address holds a password: `scheme://user:password@host`.
fn has_password(url: &str) -> bool {
    let authority = url.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
    authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}

/// Whether a substituter answers; what was heard instead where it does not.
async fn answers(nix: &Nix, url: &str, cancel: &Cancel) -> Result<(), String> {
    // What Nix remembers of a cache would spare it asking.
    let Ok(forgotten) = TempDir::new() else { return Ok(()) };
    let cmd = command(nix, url, &forgotten);
    let Some(first) = cmd.output(cancel).await.err().as_ref().and_then(silence) else { return Ok(()) };
    if first.is_final {
        return Err(first.why);
    }
    tokio::time::sleep(SECOND_TRY).await;
    cmd.output(cancel).await.err().as_ref().and_then(silence).map_or(Ok(()), |second| Err(second.why))
}

fn command(nix: &Nix, url: &str, forgotten: &TempDir) -> Cmd {
    let ssh = std::env::var("NIX_SSHOPTS").unwrap_or_default();
    nix.build_cmd(nix.version().store_info())
        .args(["--store", url])
        .args(["--option", "connect-timeout", PATIENCE])
        .args(["--option", "stalled-download-timeout", PATIENCE])
        .args(["--option", "download-attempts", "1"])
        .env("XDG_CACHE_HOME", forgotten.path())
        .env("NIX_CACHE_HOME", forgotten.path())
        .env("NIX_SSHOPTS", format!("-o BatchMode=yes -o ConnectTimeout={PATIENCE} {ssh}"))
        .deadline(DEADLINE)
}

/// What was heard of a substituter that did not answer.
#[derive(Debug, Eq, PartialEq)]
struct Silence {
    why: String,
    /// Whether there is no use in asking a second time: that it takes long is found out.
    is_final: bool,
}

/// What a failure says of a substituter that does not answer; none of one that answers with something else than what Nix wants,
/// and none of what is wrong here.
fn silence(failure: &Failure) -> Option<Silence> {
    let is_final = matches!(failure.end, End::TimedOut(_));
    if is_final {
        return Some(Silence { why: "no answer".to_owned(), is_final });
    }
    let lines = || failure.stderr.iter().map(String::as_str);
    if let Some((_, why)) = lines().find_map(|line| line.split_once("unable to download '")?.1.split_once("': ")) {
        let number = why.split_once('(').and_then(|(_, rest)| rest.split_once(')')?.0.parse().ok());
        let silent = number.is_some_and(|number| NO_ANSWER.contains(&number)) || why.starts_with("HTTP error 5");
        return silent.then(|| Silence { why: why.to_owned(), is_final: number == Some(28) });
    }
    let broken = ["cannot open connection to remote store", "failed to start SSH connection", "cannot connect to"];
    if !broken.iter().any(|text| failure.mentions(text)) {
        return None;
    }
    let of_ssh = lines().find(|line| line.starts_with("ssh: ")).or_else(|| lines().next_back());
    Some(Silence { why: of_ssh.unwrap_or("no answer").to_owned(), is_final })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(lines: &[&str]) -> Option<(String, bool)> {
        let stderr = lines.iter().map(|line| (*line).to_owned()).collect();
        let failure = Failure { command: "nix".to_owned(), end: End::Code(1), stderr };
        silence(&failure).map(|silence| (silence.why, silence.is_final))
    }

    #[test]
    fn what_is_no_answer_is_told_from_an_answer_of_another_kind() {
        let download =
            |why: &str| heard(&[&format!("error: unable to download 'http://c.example/nix-cache-info': {why}")]);
        for (why, is_final) in [
            ("Couldn't connect to server (7)", false),
            ("Could not resolve hostname (6) Could not resolve host: c.example", false),
            ("HTTP error 503 ('Busy')", false),
            ("Timeout was reached (28)", true),
            ("Timeout was reached (28) Operation too slow. Less than 1 bytes/sec transferred the last 2 seconds", true),
        ] {
            assert_eq!(download(why), Some((why.to_owned(), is_final)));
        }
        for why in ["HTTP error 403", "HTTP error 401 ('Unauthorized')", "SSL peer certificate was not OK (60)"] {
            assert_eq!(download(why), None, "{why}");
        }
        assert_eq!(heard(&["error: 'http://c.example' does not appear to be a binary cache"]), None);
        assert_eq!(heard(&["error: don't know how to open Nix store 'ssh-x://'"]), None);
    }

    #[test]
    fn a_host_that_ssh_does_not_reach_is_no_answer() {
        let refused = "ssh: connect to host c.example port 22: Connection refused";
        let of_old =
            "error: cannot open connection to remote store 'ssh-ng://c.example': error: unexpected end-of-file";
        let of_new = "error: failed to start SSH connection to 'c.example'";
        for error in [of_old, of_new] {
            assert_eq!(heard(&["Store URL: ssh-ng://c.example", refused, error]), Some((refused.to_owned(), false)));
        }
    }

    #[test]
    fn only_what_is_reached_over_a_network_is_asked() {
        assert!(is_remote("https://cache.nixos.org/") && is_remote("ssh-ng://c") && is_remote("ssh://c?x=y"));
        assert!(has_password("https://me:secret@cache.example/x") && !has_password("ssh://me@cache.example:22/x"));
        assert!(!has_password("https://cache.example/a:b@c") && !has_password("file:///a"));
        for url in ["file:///cache", "/cache", "local", "daemon", "s3://bucket", "unix:///run/x"] {
            assert!(!is_remote(url), "{url}");
        }
    }
}
