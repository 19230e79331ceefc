//! Where SOPS looks for private keys, in its order.

use std::ffi::OsString;
use std::path::PathBuf;

use zeroize::Zeroizing;

/// A place where private keys may be.
pub enum Source {
    /// A file that has to be there, because somebody named it.
    Named(PathBuf),
    /// A file that is used if it is there.
    Usual(PathBuf),
    /// Keys themselves.
    Text {
        /// The variable that they are in.
        origin: &'static str,
        /// The keys, one a line.
        text: Zeroizing<String>,
    },
    /// A command that prints keys. It is told whose key is wanted in `SOPS_AGE_RECIPIENT`.
    Command {
        /// The variable that it is in.
        origin: &'static str,
        /// The program and its arguments.
        words: Vec<String>,
    },
}

/// The places that the environment names, and the usual ones.
pub fn sources(variable: impl Fn(&str) -> Option<OsString>) -> Vec<Source> {
    let path = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let text = |name: &str| path(name).and_then(|value| value.into_os_string().into_string().ok());
    let command = |origin: &'static str| {
        let words = text(origin).and_then(|line| shlex::split(&line)).filter(|words| !words.is_empty());
        words.map(|words| Source::Command { origin, words })
    };
    let home = path("HOME");
    let ssh = home.iter().flat_map(|home| ["id_ed25519", "id_rsa"].map(|name| home.join(".ssh").join(name)));
    let config = path("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")));
    // Several keys may stand in one line of the variable.
    let keys = text("SOPS_AGE_KEY").map(Zeroizing::new).map(|text| Source::Text {
        origin: "SOPS_AGE_KEY",
        text: Zeroizing::new(text.split_whitespace().collect::<Vec<_>>().join("\n")),
    });
    let mut found = Vec::new();
    found.extend(path("SOPS_AGE_SSH_PRIVATE_KEY_FILE").map(Source::Named));
    found.extend(command("SOPS_AGE_SSH_PRIVATE_KEY_CMD"));
    found.extend(ssh.map(Source::Usual));
    found.extend(keys);
    found.extend(path("SOPS_AGE_KEY_FILE").map(Source::Named));
    found.extend(command("SOPS_AGE_KEY_CMD"));
    found.extend(config.map(|config| Source::Usual(config.join("sops/age/keys.txt"))));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(variables: &[(&str, &str)]) -> Vec<String> {
        let variable =
            |name: &str| variables.iter().find(|(there, _)| *there == name).map(|(_, value)| (*value).into());
        let one = |source: Source| match source {
            Source::Named(path) => format!("named {}", path.display()),
            Source::Usual(path) => format!("usual {}", path.display()),
            Source::Text { origin, text } => format!("{origin} {}", text.lines().count()),
            Source::Command { origin, words } => format!("{origin} {words:?}"),
        };
        sources(variable).into_iter().map(one).collect()
    }

    #[test]
    fn keys_are_looked_for_in_the_order_of_sops() {
        let all = [
            ("HOME", "/home/me"),
            ("SOPS_AGE_KEY", "AGE-SECRET-KEY-1A AGE-SECRET-KEY-1B\nAGE-SECRET-KEY-1C"),
            ("SOPS_AGE_KEY_CMD", "pass show 'my key'"),
            ("SOPS_AGE_KEY_FILE", "/keys"),
            ("SOPS_AGE_SSH_PRIVATE_KEY_FILE", "/ssh"),
            ("SOPS_AGE_SSH_PRIVATE_KEY_CMD", "cat /x"),
        ];
        let expected = [
            "named /ssh",
            r#"SOPS_AGE_SSH_PRIVATE_KEY_CMD ["cat", "/x"]"#,
            "usual /home/me/.ssh/id_ed25519",
            "usual /home/me/.ssh/id_rsa",
            "SOPS_AGE_KEY 3",
            "named /keys",
            r#"SOPS_AGE_KEY_CMD ["pass", "show", "my key"]"#,
            "usual /home/me/.config/sops/age/keys.txt",
        ];
        assert_eq!(shown(&all), expected);
    }

    #[test]
    fn what_is_empty_is_not_there() {
        assert_eq!(
            shown(&[("SOPS_AGE_KEY", ""), ("SOPS_AGE_KEY_CMD", ""), ("XDG_CONFIG_HOME", "/c")]),
            ["usual /c/sops/age/keys.txt"]
        );
    }
}
