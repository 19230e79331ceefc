//! Nix files in the one form that RFC 166 gives them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::finding::Finding;
use super::run::{Checked, Report, Staged, Text, in_parallel, read_all, report, text_of, unread};
use super::source::Source;
use super::{guard, parse, syntax};
use crate::files::{self, Mode};

/// The name of what the formatter cannot do.
const FORMAT: &str = "format";

/// How deep an expression may be, as [`guard`] counts: the formatter goes down each level several calls deep.
const DEEPEST: usize = 2_000;

/// More rounds than it takes until a text stays as it is.
const ROUNDS: usize = 4;

/// What became of files that were formatted.
#[derive(Debug, Default)]
pub struct Formatted {
    /// How many files were read.
    pub files: usize,
    /// Those that are not in the form, or were not.
    pub changed: Vec<PathBuf>,
    /// What keeps files from being formatted.
    pub wrong: Report,
}

/// What is done to a file that is not in the form.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Layout {
    /// It is told.
    Check,
    /// It is replaced, whole or not at all.
    Write,
}

/// Formats `files` below `root`.
pub fn format(root: &Path, files: &[PathBuf], layout: Layout) -> io::Result<Formatted> {
    let look = |source: Source| -> io::Result<Looked> {
        match formatted(&source) {
            Err(findings) => Ok(Looked::Wrong(wrong(source, findings))),
            Ok(text) if text == source.text() => Ok(Looked::AsIs),
            Ok(text) => {
                let path = PathBuf::from(source.path());
                if layout == Layout::Write {
                    files::write(&root.join(&path), text.as_bytes(), Mode::AsBefore)?;
                }
                Ok(Looked::Changed(path))
            }
        }
    };
    let unreadable = |source, finding| Ok(Looked::Wrong(Checked { source, findings: vec![finding] }));
    let (mut changed, mut failed, mut count) = (Vec::new(), Vec::new(), 0);
    for looked in read_all(files, |path| utf8_of(&root.join(path)), look, unreadable)? {
        count += 1;
        match looked? {
            Looked::AsIs => {}
            Looked::Changed(path) => changed.push(path),
            Looked::Wrong(checked) => failed.push(checked),
        }
    }
    Ok(Formatted { files: count, changed, wrong: report(failed) })
}

/// What is in a file, where nothing of it would be lost.
fn utf8_of(path: &Path) -> Text {
    let read = text_of(path)?;
    let is_lost = |bytes: &Vec<u8>| std::str::from_utf8(bytes).is_err();
    Some(match read {
        Ok(bytes) if is_lost(&bytes) => Err(io::Error::new(io::ErrorKind::InvalidData, "it is no UTF-8")),
        read => read,
    })
}

/// The texts of `files` below `root` that are Nix, for another formatter, and what is wrong with the others.
pub fn formattable(root: &Path, files: &[PathBuf]) -> io::Result<(Staged, Report)> {
    let look = |source: Source| match parse::parse(source.text()) {
        Ok(_) => Ok((source.path().to_owned(), source.text().to_owned())),
        Err(findings) => Err(unread(source, findings).0),
    };
    let unreadable = |source, finding| Err(Checked { source, findings: vec![finding] });
    let (mut texts, mut wrong) = (Staged::new(), Vec::new());
    for looked in read_all(files, |path| utf8_of(&root.join(path)), look, unreadable)? {
        match looked {
            Ok((path, text)) => drop(texts.insert(path, text)),
            Err(checked) => wrong.push(checked),
        }
    }
    Ok((texts, report(wrong)))
}

/// Those of some texts that are Nix.
pub fn nix_among(texts: &Staged) -> io::Result<Staged> {
    let texts: Vec<_> = texts.iter().collect();
    let read =
        in_parallel(&texts, |(path, text)| parse::parse(text).is_ok().then(|| ((*path).clone(), (*text).clone())))?;
    Ok(read.into_iter().flatten().collect())
}

/// Takes what another formatter `made` of the files below `root` whose texts were `before`, as far as it is Nix.
pub fn take(root: &Path, before: &Staged, made: &[(String, Vec<u8>)], layout: Layout) -> io::Result<Formatted> {
    let is_changed =
        |(path, text): &&(String, Vec<u8>)| before.get(path).is_none_or(|before| before.as_bytes() != text);
    let changed: Vec<_> = made.iter().filter(is_changed).collect();
    let taken = in_parallel(&changed, |(path, text)| -> io::Result<_> {
        let Some(text) = std::str::from_utf8(text).ok().filter(|text| parse::parse(text).is_ok()) else {
            let message = "the formatter makes something of this file that is no Nix";
            return Ok(Err(Checked { source: Source::new(path, ""), findings: vec![refused(0..0, message)] }));
        };
        if layout == Layout::Write {
            files::write(&root.join(path), text.as_bytes(), Mode::AsBefore)?;
        }
        Ok(Ok(PathBuf::from(path)))
    })?;
    let mut done = Formatted { files: made.len(), ..Formatted::default() };
    let mut failed = Vec::new();
    for one in taken {
        match one? {
            Ok(path) => done.changed.push(path),
            Err(checked) => failed.push(checked),
        }
    }
    done.wrong = report(failed);
    Ok(done)
}

/// A file that is not formatted, with nothing that must not be shown.
fn wrong(source: Source, findings: Vec<Finding>) -> Checked {
    let is_of_formatter = findings.iter().any(|finding| finding.rule == FORMAT);
    if is_of_formatter {
        Checked { source: Source::new(source.path(), ""), findings }
    } else {
        unread(source, findings).0
    }
}

enum Looked {
    AsIs,
    Changed(PathBuf),
    Wrong(Checked),
}

/// Those of some texts that are not in the form. What is no Nix has none.
pub fn unformatted(texts: &Staged) -> io::Result<Vec<String>> {
    let texts: Vec<_> = texts.iter().collect();
    let loose = in_parallel(&texts, |(path, text)| {
        let made = formatted(&Source::new(path.as_str(), text.as_str()));
        made.is_ok_and(|made| made != **text).then(|| (*path).clone())
    })?;
    Ok(loose.into_iter().flatten().collect())
}

/// A file's text in the form; what keeps it from that where it is no Nix, or where what the formatter makes of it cannot be taken.
pub fn formatted(source: &Source) -> Result<String, Vec<Finding>> {
    let text = source.text();
    if let Some(span) = guard::deeper_than(DEEPEST, text) {
        return Err(vec![syntax::too_deep(span)]);
    }
    parse::parse(text)?;
    let made = stable(text)?;
    // Another program's errors must not become the file's.
    let is_sound = parse::parse(&made).is_ok() && comments(&made) == comments(text);
    if is_sound {
        Ok(made)
    } else {
        Err(vec![refused(0..0, "the formatter would change more than the form of this file")])
    }
}

/// A text formatted until it stays as it is.
fn stable(text: &str) -> Result<String, Vec<Finding>> {
    let once = |text: &str| {
        nixfmt_rs::format(text).map_err(|error| {
            let message = format!("the formatter does not read this: {}", error.message());
            vec![refused(0..0, &message)]
        })
    };
    let mut made = once(text)?;
    if made == text {
        return Ok(made);
    }
    for _ in 0..ROUNDS {
        let again = once(&made)?;
        if again == made {
            return Ok(made);
        }
        made = again;
    }
    Err(vec![refused(0..0, "the formatter makes something else of this file each time")])
}

fn refused(span: std::ops::Range<usize>, message: &str) -> Finding {
    Finding::error(FORMAT, span, message).hint("the file is left as it is")
}

/// The words of all comments, and how often each stands. Their order and their marks may change.
fn comments(text: &str) -> BTreeMap<&str, usize> {
    let mut words = BTreeMap::new();
    let comments = rnix::tokenize(text).filter(|(kind, _)| *kind == rnix::SyntaxKind::TOKEN_COMMENT);
    let is_mark = |c: char| c.is_whitespace() || "#*/".contains(c);
    for word in comments.flat_map(|(_, comment)| comment.split(is_mark)).filter(|word| !word.is_empty()) {
        *words.entry(word).or_default() += 1;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(text: &str) -> String {
        formatted(&Source::new("a.nix", text)).unwrap()
    }

    #[test]
    fn what_is_formatted_stays_as_it_is_with_all_comments() {
        for (before, after) in [
            ("{foo=1;}", "{ foo = 1; }\n"),
            (
                "# first\n{\n\n\n  a=1; # one\n  /* two */ b = [ 1\n 2 ];\n}\n# last",
                "# first\n{\n\n  a = 1; # one\n  # two\n  b = [\n    1\n    2\n  ];\n}\n# last\n",
            ),
            ("{lib,...}:{a=lib.b;}", "{ lib, ... }: { a = lib.b; }\n"),
            ("{lib,...}:{\na=lib.b;}", "{ lib, ... }: {\n  a = lib.b;\n}\n"),
        ] {
            assert_eq!(made(before), after);
            assert_eq!(made(after), after);
        }
    }

    #[test]
    fn what_another_formatter_makes_is_taken_where_it_is_nix() {
        let root = tempfile::tempdir().unwrap();
        let files = ["a.nix", "b.nix", "c.nix", "d.nix", "latin.nix"].map(PathBuf::from);
        for (file, text) in files.iter().zip([&b"{a=1;}\n"[..], b"{ }\n", b"{ b = 1 }\n", b"{c=1;}\n", b"{ } # \xe4\n"])
        {
            std::fs::write(root.path().join(file), text).unwrap();
        }
        let (texts, wrong) = formattable(root.path(), &files).unwrap();
        assert_eq!(texts.keys().map(String::as_str).collect::<Vec<_>>(), ["a.nix", "b.nix", "d.nix"]);
        let rules: Vec<_> = wrong.findings().map(|finding| finding.rule).collect();
        assert_eq!(rules, ["syntax", "unreadable"], "what is no UTF-8 is left as it is");
        assert_eq!(nix_among(&texts).unwrap(), texts);
        let made: Vec<_> = [("a.nix", "{ a = 1; }\n"), ("b.nix", "{ }\n"), ("d.nix", "{ c = 1 }\n")]
            .map(|(file, text)| (file.to_owned(), text.as_bytes().to_vec()))
            .into();
        for layout in [Layout::Check, Layout::Write] {
            let done = take(root.path(), &texts, &made, layout).unwrap();
            assert_eq!((done.files, done.changed), (3, vec![PathBuf::from("a.nix")]));
            assert_eq!(done.wrong.found.iter().map(|one| one.source.path()).collect::<Vec<_>>(), ["d.nix"]);
            let now = std::fs::read_to_string(root.path().join("a.nix")).unwrap();
            assert_eq!(now == "{ a = 1; }\n", layout == Layout::Write, "{now}");
            assert_eq!(std::fs::read_to_string(root.path().join("d.nix")).unwrap(), "{c=1;}\n");
        }
    }

    #[test]
    fn what_is_no_nix_is_told_as_everywhere() {
        let found = formatted(&Source::new("a.nix", "{ a = 1 }")).unwrap_err();
        assert_eq!((found.len(), found[0].rule), (1, "syntax"));
    }

    #[test]
    fn nothing_that_is_nested_deeply_makes_it_fail() {
        let mut texts = Vec::new();
        for piece in ["[", "(", "{ a = ", "!", "-", "a ++ ", "f ", "x: ", "\"${", "if a then b else ", "let a = ", "a."]
        {
            texts.extend([100, 900, 100_000].map(|count| piece.repeat(count)));
        }
        for (open, close) in
            [("[", "]"), ("(", ")"), ("{ a = ", "; }"), ("x: ", ""), ("a: ", ""), ("if a then b else ", ""), ("f ", "")]
        {
            texts.extend(
                [100, 300, 900].map(|count| format!("a: b: f: {}1{}", open.repeat(count), close.repeat(count))),
            );
        }
        let format_all =
            move || texts.iter().filter(|text| formatted(&Source::new("a.nix", text.as_str())).is_ok()).count();
        let thread = std::thread::Builder::new().stack_size(crate::lint::run::STACK).spawn(format_all).unwrap();
        assert!(thread.join().unwrap() > 5);
    }
}
