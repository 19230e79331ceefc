//! The paths that a Nix file names, as far as its words alone tell.
//!
//! Source: the Nix manual, "Data types", "Path", and "String literal".

/// What the words of a place in a Nix file are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mode {
    Code,
    /// Between `"` and `"`.
    Text,
    /// Between `''` and `''`.
    IndentedText,
}

/// The relative paths that a Nix file names, such as `./a.nix` and `../modules`. Of one that goes on with what is only known
/// when it is evaluated, as in `./hosts/${name}`, it is what comes before, up to the last slash.
pub(super) fn path_literals(text: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let mut modes = vec![Mode::Code];
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        at += match modes.last() {
            Some(Mode::Text) => in_text(rest, &mut modes),
            Some(Mode::IndentedText) => in_indented_text(rest, &mut modes),
            _ => in_code(rest, &mut modes, &mut found),
        };
    }
    found
}

/// Reads what comes next in code, and says how long it is.
fn in_code<'a>(rest: &'a [u8], modes: &mut Vec<Mode>, found: &mut Vec<&'a [u8]>) -> usize {
    if rest.starts_with(b"#") {
        return until(rest, b"\n");
    } else if rest.starts_with(b"/*") {
        return 2 + until(&rest[2..], b"*/");
    } else if rest.starts_with(b"''") {
        modes.push(Mode::IndentedText);
        return 2;
    }
    match rest[0] {
        b'"' => modes.push(Mode::Text),
        b'{' => modes.push(Mode::Code),
        b'}' => close(modes),
        first if is_of_word(first) => {
            let word = word(rest);
            found.extend(relative_path(word, rest[word.len()..].starts_with(b"${")));
            return word.len();
        }
        _ => {}
    }
    1
}

fn in_text(rest: &[u8], modes: &mut Vec<Mode>) -> usize {
    if rest.starts_with(b"\\") || rest.starts_with(b"$$") {
        return 2;
    } else if rest.starts_with(b"${") {
        modes.push(Mode::Code);
        return 2;
    }
    if rest[0] == b'"' {
        close(modes);
    }
    1
}

fn in_indented_text(rest: &[u8], modes: &mut Vec<Mode>) -> usize {
    if rest.starts_with(b"''\\") {
        return 4;
    } else if rest.starts_with(b"''$") || rest.starts_with(b"'''") {
        return 3;
    } else if rest.starts_with(b"$$") {
        return 2;
    } else if rest.starts_with(b"${") {
        modes.push(Mode::Code);
        return 2;
    } else if rest.starts_with(b"''") {
        close(modes);
        return 2;
    }
    1
}

/// Goes back to what the current mode is within. A file that closes more than it opens goes on as code.
fn close(modes: &mut Vec<Mode>) {
    if modes.len() > 1 {
        modes.pop();
    }
}

/// How long the text is up to the end of `mark`, or to its own.
fn until(text: &[u8], mark: &[u8]) -> usize {
    text.windows(mark.len()).position(|window| window == mark).map_or(text.len(), |at| at + mark.len())
}

/// Bytes of names, numbers and paths. `~`, `<` and `:` belong to them so that what follows these is not taken for a relative
/// path.
fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-+/~<:".contains(&byte)
}

/// A name, with the quotes that may be in one, or a path, up to where a comment or another word begins.
fn word(rest: &[u8]) -> &[u8] {
    let mut is_path = false;
    let ends = rest.iter().enumerate().position(|(at, byte)| {
        is_path = is_path || *byte == b'/';
        let of_name = !is_path && at > 0 && *byte == b'\'';
        !(is_of_word(*byte) || of_name) || (at > 0 && rest[at..].starts_with(b"/*"))
    });
    &rest[..ends.unwrap_or(rest.len())]
}

/// The relative path that a word is, if it is one.
fn relative_path(word: &[u8], goes_on: bool) -> Option<&[u8]> {
    let last_slash = word.iter().rposition(|byte| *byte == b'/')?;
    let is_other = word.starts_with(b"/") || word.iter().any(|byte| b"~<:".contains(byte));
    let path = if goes_on { &word[..last_slash] } else { word };
    (!is_other && !path.is_empty()).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        path_literals(text.as_bytes()).into_iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect()
    }

    #[test]
    fn paths_are_found_in_code_and_nowhere_else() {
        for (text, paths) in [
            ("{ imports = [ ./a.nix ../b/c.nix d/e.nix ]; }", vec!["./a.nix", "../b/c.nix", "d/e.nix"]),
            ("import ./.", vec!["./."]),
            (r#""${./a.txt} ./b.txt""#, vec!["./a.txt"]),
            ("''${./a.txt} ./b.txt ''${./c} ''\\${./d} ''' ./e''", vec!["./a.txt"]),
            ("# ./a.nix\n./b.nix /* ./c.nix */ ./d.nix", vec!["./b.nix", "./d.nix"]),
            (r#""a # b" + ./c.nix"#, vec!["./c.nix"]),
            (r#""\" ./a" "$${./b}" ./c"#, vec!["./c"]),
            ("<nixpkgs/lib> ~/a.nix /etc/a.nix github:o/r https://x.org/y", vec![]),
            ("f: x: f' x'' ./a", vec!["./a"]),
            ("map (n: ./hosts/${n}/default.nix) names", vec!["./hosts"]),
            ("{ a = { b = \"}\"; }; c = ./d; }", vec!["./d"]),
            ("a.b or c - 1", vec![]),
            ("./unfinished", vec!["./unfinished"]),
            ("} } ./a \"", vec!["./a"]),
        ] {
            assert_eq!(found(text), paths, "{text}");
        }
    }
}
