//! The URL of a store that closures are pushed to, or that hosts substitute from.

use std::fmt;
use std::str::FromStr;

/// The URL of a store, such as `ssh-ng://p620` or `https://cache.example.org`. It is shown without what may be secret in it.
#[derive(Clone, Eq, PartialEq)]
pub struct CacheUrl(String);

/// What cannot be the URL of a store.
#[derive(Debug, thiserror::Error)]
#[error("not the URL of a store: a scheme such as ssh-ng, file, s3, http or https, then `://`, then a place")]
pub struct CacheUrlError;

impl CacheUrl {
    /// The URL with a parameter, unless it has that one already.
    pub(super) fn with(&self, name: &str, value: &str) -> Self {
        if self.parameters().any(|(known, _)| known == name) {
            return self.clone();
        }
        let sign = if self.0.contains('?') { '&' } else { '?' };
        Self(format!("{}{sign}{name}={value}", self.0))
    }

    /// The URL as Nix takes it, with all that may be secret in it.
    pub(super) fn whole(&self) -> &str {
        &self.0
    }

    /// The scheme.
    pub fn scheme(&self) -> &str {
        self.0.split_once("://").map_or("", |(scheme, _)| scheme)
    }

    /// The machine that it is on, without user and port; none for files and buckets.
    pub fn host(&self) -> Option<&str> {
        let (scheme, rest) = self.0.split_once("://")?;
        if !matches!(scheme, "ssh" | "ssh-ng" | "http" | "https") {
            return None;
        }
        let authority = rest.split(['/', '?']).next()?;
        let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
        let host = match place.strip_prefix('[') {
            Some(address) => address.split(']').next()?,
            None => place.split(':').next()?,
        };
        (!host.is_empty()).then_some(host)
    }

    /// Whether it is another machine's store, reached by ssh, rather than a binary cache.
    pub fn is_ssh(&self) -> bool {
        matches!(self.scheme(), "ssh" | "ssh-ng")
    }

    /// Whether whoever reads from it knows by the way there that it is the right one: by the host's ssh key, or because the
    /// files are its own. What comes by other ways needs a signature.
    pub fn vouches_for_itself(&self) -> bool {
        self.is_ssh() || self.scheme() == "file"
    }

    /// `text` without what may be secret in this URL.
    pub(super) fn mask(&self, text: &str) -> String {
        let text = text.replace(&self.0, &self.to_string());
        let (_, rest) = self.0.split_once("://").unwrap_or_default();
        let authority = rest.split('/').next().unwrap_or_default();
        match authority.rsplit_once('@') {
            Some((user, _)) if user.contains(':') => text.replace(user, "…"),
            _ => text,
        }
    }

    fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        let query = self.0.split_once('?').map_or("", |(_, query)| query);
        query.split('&').filter_map(|parameter| parameter.split_once('='))
    }
}

impl FromStr for CacheUrl {
    type Err = CacheUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once("://").ok_or(CacheUrlError)?;
        let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '-' | '.');
        let named = scheme.starts_with(|c: char| c.is_ascii_lowercase()) && scheme.chars().all(known);
        // Nix takes several stores in one setting with blanks between.
        let plain = |c: char| !c.is_whitespace() && !c.is_control();
        if !named || rest.is_empty() || rest.starts_with('?') || !rest.chars().all(plain) {
            return Err(CacheUrlError);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for CacheUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (place, _) = self.0.split_once('?').unwrap_or((&self.0, ""));
        let (scheme, rest) = place.split_once("://").unwrap_or(("", place));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        // The user of ssh is no secret; a password in front of a host is.
        let authority = match authority.rsplit_once('@') {
            Some((user, host)) if user.contains(':') => format!("…@{host}"),
            _ => authority.to_owned(),
        };
        write!(f, "{scheme}://{authority}{path}")
    }
}

impl fmt::Debug for CacheUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> CacheUrl {
        text.parse().unwrap()
    }

    #[test]
    fn the_machine_is_what_a_host_may_be_known_by() {
        let host = |url: &str| url.parse::<CacheUrl>().unwrap().host().map(str::to_owned);
        for (url, wanted) in [
            ("ssh-ng://root@p620?compress=true", Some("p620")),
            ("https://me:secret@cache.example.org:8443/hub", Some("cache.example.org")),
            ("ssh://[fd00::1]:22", Some("fd00::1")),
            ("s3://hub?region=x", None),
            ("file:///srv/cache", None),
        ] {
            assert_eq!(host(url).as_deref(), wanted, "{url}");
        }
    }

    #[test]
    fn only_urls_of_stores_are_taken() {
        for bad in
            ["", "p620", "ssh-ng://", "/srv/cache", "ssh ng://x", "file://a b", "http://?x=y", "SSH://x", "-x://y"]
        {
            assert!(bad.parse::<CacheUrl>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_may_be_secret_is_not_shown() {
        for (given, shown) in [
            ("ssh-ng://me@p620?compress=true", "ssh-ng://me@p620"),
            ("https://me:word@cache.example.org/hub", "https://…@cache.example.org/hub"),
            ("file:///srv/cache?secret-key=/root/key", "file:///srv/cache"),
            ("s3://hub/a@b:c", "s3://hub/a@b:c"),
        ] {
            assert_eq!((url(given).to_string(), format!("{:?}", url(given))), (shown.to_owned(), shown.to_owned()));
        }
    }

    #[test]
    fn what_may_be_secret_is_taken_out_of_texts() {
        let cache = url("https://me:word@cache/hub?token=x");
        let said = "nix copy --to https://me:word@cache/hub?token=x: https://me:word@cache/hub/nix-cache-info: 403";
        assert_eq!(cache.mask(said), "nix copy --to https://…@cache/hub: https://…@cache/hub/nix-cache-info: 403");
    }

    #[test]
    fn parameters_are_added_and_the_users_own_stay() {
        assert_eq!(url("file:///c").with("a", "1").with("b", "2").whole(), "file:///c?a=1&b=2");
        assert_eq!(url("file:///c?a=0").with("a", "1").whole(), "file:///c?a=0");
    }
}
