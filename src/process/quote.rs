//! Quoting for POSIX shells, here and on hosts.

use std::borrow::Cow;

/// `word` so that a POSIX shell, and fish, reads it as one word with just these characters.
pub fn shell_quote(word: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "%+,-./:=@_^#".contains(c);
    // A `#` in front would start a comment, and `=` in front means something to zsh.
    if !word.is_empty() && !word.starts_with(['#', '=']) && word.chars().all(plain) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_misread_them() {
        assert_eq!(shell_quote("/nix/store/x^out"), "/nix/store/x^out");
        assert_eq!(shell_quote(""), "''");
        assert_eq!(shell_quote("a b"), "'a b'");
        assert_eq!(shell_quote("$(id)"), "'$(id)'");
        assert_eq!(shell_quote("it's"), r"'it'\''s'");
    }
}
