//! What a machine prints that fetches a closure for itself, as people read it: in that form it is as much as there are paths,
//! while the one for machines has a line for every few bytes.

use super::log::object_name;

/// A pure fold over what `nix-store --realise` prints.
#[derive(Clone, Debug, Default)]
pub struct Fetching {
    expected: u64,
    begun: u64,
    current: Option<String>,
    last: String,
    /// What was said of a signature; the error itself does not mention it.
    unsigned: Option<String>,
}

impl Fetching {
    /// Takes in one line, and tells whether it says something of how far the whole is. Texts of Nix 2.8 to 2.34.
    pub fn apply(&mut self, line: &str) -> bool {
        let line = line.trim();
        if let Some(path) = line.strip_prefix("copying path '").and_then(|rest| rest.split('\'').next()) {
            self.begun += 1;
            self.current = Some(object_name(path));
            return true;
        }
        if let Some(count) = line.strip_prefix("these ").and_then(|rest| rest.split_once(" paths will be fetched")) {
            self.expected = count.0.parse().unwrap_or_default();
        } else if line.starts_with("this path will be fetched") {
            self.expected = 1;
        } else if !line.is_empty() && !line.starts_with("/nix/store/") && !line.contains("--add-root") {
            line.clone_into(&mut self.last);
            if line.contains("not signed by any of the keys") {
                self.unsigned = Some(line.trim_start_matches("warning: ").to_owned());
            }
        }
        false
    }

    /// Paths done, under way and expected in all.
    pub fn progress(&self) -> (u64, u64, u64) {
        (self.begun.saturating_sub(1), self.begun.min(1), self.expected.max(self.begun))
    }

    /// The name of the path that came last.
    pub fn current(&self) -> Option<&str> {
        self.current.as_deref()
    }

    /// What was said last, which is the error where it failed; or of signatures, which is then its reason.
    pub fn error(&self) -> &str {
        if let Some(unsigned) = &self.unsigned {
            return unsigned;
        }
        if self.last.is_empty() { "no reason given" } else { self.last.trim_start_matches("error: ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/nix/store/7dk65grs535lkn1yic46kvnawvqhm924-linux-6.12.40";

    fn told(lines: &[&str]) -> Fetching {
        let mut fetching = Fetching::default();
        for line in lines {
            fetching.apply(line);
        }
        fetching
    }

    #[test]
    fn paths_are_counted_as_they_come() {
        let copying = format!("copying path '{PATH}' from 'ssh-ng://p510'...");
        let path = format!("  {PATH}");
        let lines =
            ["these 9 paths will be fetched (0.04 MiB download, 1.11 MiB unpacked):", &path, &copying, &copying];
        let fetching = told(&lines);
        assert_eq!((fetching.progress(), fetching.current()), ((1, 1, 9), Some("linux-6.12.40")));
        assert_eq!(told(&["this path will be fetched (0.04 MiB download):"]).progress(), (0, 0, 1));
    }

    #[test]
    fn the_last_word_is_the_error() {
        let fetching = told(&["ssh: connect to host x: No route to host", "error: cannot open connection", ""]);
        assert_eq!(fetching.error(), "cannot open connection");
        assert_eq!(told(&[]).error(), "no reason given");
        let unsigned =
            "the substitute for 'x' from 'http://cache' is not signed by any of the keys in 'trusted-public-keys'";
        assert_eq!(told(&[&format!("warning: {unsigned}"), "error: build of 'x' failed"]).error(), unsigned);
    }
}
