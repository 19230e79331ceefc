//! What the three standard streams are, and whether they show colours.

use std::ffi::OsString;
use std::io::{IsTerminal, stderr, stdin, stdout};

use super::style::Palette;

/// What is behind an output stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stream {
    /// A file, a pipe, or nothing.
    Pipe,
    /// A terminal that only knows lines (`TERM=dumb`).
    Dumb,
    /// A terminal that can move its cursor.
    Terminal,
}

impl Stream {
    pub(super) fn is_terminal(self) -> bool {
        self != Self::Pipe
    }
}

/// The three standard streams.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terminal {
    /// Whether somebody can type.
    pub(super) input: bool,
    pub(super) out: Stream,
    pub(super) err: Stream,
    pub(super) out_palette: Palette,
    pub(super) err_palette: Palette,
}

impl Terminal {
    /// Looks at this process's streams and environment.
    pub(super) fn detect() -> Self {
        Self::new(stdin().is_terminal(), stdout().is_terminal(), stderr().is_terminal(), |name| std::env::var_os(name))
    }

    pub(super) fn new(stdin: bool, stdout: bool, stderr: bool, env: impl Fn(&str) -> Option<OsString>) -> Self {
        let dumb = env("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let stream = |is_terminal| match (is_terminal, dumb) {
            (false, _) => Stream::Pipe,
            (true, true) => Stream::Dumb,
            (true, false) => Stream::Terminal,
        };
        let (out, err) = (stream(stdout), stream(stderr));
        Self { input: stdin, out, err, out_palette: palette(out, &env), err_palette: palette(err, &env) }
    }
}

/// `NO_COLOR` forbids, `CLICOLOR_FORCE` demands and `CLICOLOR=0` declines colours, in this order; else a terminal that is
/// not dumb gets them (<https://no-color.org>, <https://bixense.com/clicolors>).
fn palette(stream: Stream, env: impl Fn(&str) -> Option<OsString>) -> Palette {
    let is_set = |name| env(name).is_some_and(|value| !value.is_empty());
    let is_zero = |name| env(name).is_some_and(|value| value == "0");
    let coloured = if is_set("NO_COLOR") {
        false
    } else if is_set("CLICOLOR_FORCE") && !is_zero("CLICOLOR_FORCE") {
        true
    } else {
        stream == Stream::Terminal && !is_zero("CLICOLOR")
    };
    if coloured { Palette::Colour } else { Palette::Plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(terminal: bool, env: &[(&str, &str)]) -> Terminal {
        let env = |name: &str| {
            let found = env.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value)).or_else(|| (name == "TERM").then(|| "xterm".into()))
        };
        Terminal::new(terminal, terminal, terminal, env)
    }

    #[test]
    fn colours_follow_the_conventions() {
        let cases = [
            (true, &[] as &[(&str, &str)], Palette::Colour),
            (false, &[], Palette::Plain),
            (true, &[("NO_COLOR", "1")], Palette::Plain),
            (true, &[("NO_COLOR", "")], Palette::Colour),
            (false, &[("CLICOLOR_FORCE", "1")], Palette::Colour),
            (false, &[("CLICOLOR_FORCE", "0")], Palette::Plain),
            (true, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], Palette::Plain),
            (true, &[("CLICOLOR", "0")], Palette::Plain),
            (true, &[("TERM", "dumb")], Palette::Plain),
        ];
        for (terminal, env, palette) in cases {
            assert_eq!(with(terminal, env).err_palette, palette, "{terminal} {env:?}");
        }
    }

    #[test]
    fn a_dumb_terminal_is_one_whose_cursor_stays_where_it_is() {
        assert_eq!(with(true, &[("TERM", "dumb")]).err, Stream::Dumb);
        assert_eq!(with(true, &[]).err, Stream::Terminal);
        assert_eq!(with(false, &[]).out, Stream::Pipe);
    }
}
