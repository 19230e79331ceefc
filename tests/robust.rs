//! Whatever a file holds, `lint`, `--fix` and `format` come to an end: they read what was changed at random and what is very long, leave
//! Nix that Nix reads, and find nothing more to do in what they made.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod nix_files;

use std::fs;
use std::path::PathBuf;

use hubctl::lint::{Baseline, Before, Fixing, Layout, Levels, RULES, Scope, Source, Suite};
use hubctl::lint::{check_syntax, fix, format, formatted, github, junit, lint, sarif};
use nix_files::{Files, Numbers, changed, words};

/// How often a long text says the same. What were quadratic in it would not come to an end within a test's time.
const LONG: usize = 8_000;

impl Files {
    fn texts(&self) -> Vec<String> {
        self.names.iter().map(|name| fs::read_to_string(self.dir.path().join(name)).unwrap()).collect()
    }

    /// The files with a syntax error.
    fn wrong(&self) -> Vec<String> {
        let report = check_syntax(self.dir.path(), &self.names).unwrap();
        let has_error = |checked: &&hubctl::lint::Checked| {
            checked.findings.iter().any(|finding| finding.severity == hubctl::lint::Severity::Error)
        };
        report.found.iter().filter(has_error).map(|checked| checked.source.path().to_owned()).collect()
    }

    fn lint(&self) -> usize {
        lint(self.dir.path(), &self.names, Scope::All, &Levels::default(), &Before::new()).unwrap().findings().count()
    }

    /// Tells what is found in every form.
    fn tell(&self) {
        let report = lint(self.dir.path(), &self.names, Scope::All, &Levels::default(), &Before::new()).unwrap();
        let drawn = junit(&[Suite::of_files(&report)]).unwrap();
        assert!(drawn.len() < 3000 * report.findings().count(), "excerpts are as long as their files");
        assert!(github(&report).len() > 1000 && sarif(&report).is_object());
        assert!(!Baseline::of(&report).is_empty());
    }

    fn fix(&self, fixing: Fixing) -> usize {
        fix(self.dir.path(), &self.names, &Levels::default(), fixing).unwrap().len()
    }

    fn format(&self) -> Vec<PathBuf> {
        format(self.dir.path(), &self.names, Layout::Write).unwrap().changed
    }
}

/// All examples of all rules' pages.
fn examples() -> Vec<String> {
    let blocks = RULES.iter().flat_map(|rule| rule.page.split("```nix").skip(1));
    let texts = blocks.filter_map(|block| Some(block.split("```").next()?.split_once('\n')?.1.to_owned()));
    texts.collect()
}

#[test]
fn what_is_changed_at_random_is_mended_and_formatted_once_and_stays_nix() {
    let (examples, mut numbers) = (examples(), Numbers(0x1234_5678_9abc_def1));
    assert!(examples.len() > 80, "only {} examples", examples.len());
    let mut texts = examples.clone();
    for _ in 0..4 {
        for text in &examples {
            texts.push(changed(text, &words(&examples[numbers.below(examples.len())]), &mut numbers));
        }
    }
    let files = Files::new(&texts);
    let wrong = files.wrong();
    assert!(wrong.len() > 50 && wrong.len() < texts.len() * 2 / 3, "{} of {} are wrong", wrong.len(), texts.len());
    assert!(files.lint() > 100);
    for fixing in [Fixing::Safe, Fixing::Unsafe] {
        assert!(files.fix(fixing) > 10);
        assert_eq!(files.fix(fixing), 0, "all that can be mended is mended at once");
        assert_eq!(files.wrong(), wrong);
        // What unsafe edits make of files that are formatted may be formatted too.
        let formatted = files.format();
        assert!(fixing == Fixing::Unsafe || !formatted.is_empty());
        assert_eq!(files.wrong(), wrong);
        let before = files.texts();
        assert!(files.format().is_empty());
        assert_eq!(files.texts(), before);
        assert_eq!(files.fix(fixing), 0, "the form of a file makes nothing new to mend");
    }
}

#[test]
fn what_is_long_or_deep_comes_to_an_end() {
    let mut texts = Vec::new();
    for piece in [
        "[",
        "(",
        "{ a = ",
        "!",
        "a ++ ",
        "f ",
        "x: ",
        "\"${",
        "let a = 1; in ",
        "a.",
        "'' ''",
        "# a\n",
        "\\",
        "\u{e4}",
    ] {
        texts.push(piece.repeat(LONG));
    }
    let each = |piece: fn(usize) -> String| (0..LONG).map(piece).collect::<String>();
    texts.push(format!("{{ {} }}", each(|at| format!("a{at} = b: b.c or {at};\n"))));
    texts.push(format!("let {} in 1", each(|at| format!("a{at} = a{};\n", (at + 1) % LONG))));
    texts.push(format!("[ {} ]", each(|at| format!("({at}) \"${{toString {at}}}\" "))));
    texts.push(format!("{{ {} }}: 1", (0..LONG).map(|at| format!("a{at}")).collect::<Vec<_>>().join(", ")));
    texts.push(format!("{{ {} }}", each(|at| format!("services.a{at}.enable = true;\n"))));
    texts.push(format!("{{ x = ''\n{}''; }}", each(|at| format!("  line {at} ''${{a}} $$ x/y.nix\n"))));
    texts.push(format!("{{ {} }}", each(|at| format!("# hubctl: allow unused-binding: {at}\na{at} = 1;\n"))));
    // One line, with a finding every few characters, and some far from what they are about.
    texts.push(format!("[ {} ]", each(|at| format!("(\u{e4}{at} == true) "))));
    texts.push(format!("{{ a = 1; {} }}", each(|_| "a = 1; ".to_owned())));
    texts.push(format!("{{ a = 1; {} }}", each(|_| "\na = 1;".to_owned())));
    texts.push(format!("[ {} ]", each(|at| format!("(with x{at}; with y{at}; z)\n"))));
    texts.push(format!("[ {} ]", each(|at| format!("undefined{at} "))));
    let files = Files::new(&texts);
    files.tell();
    files.fix(Fixing::Unsafe);
    files.format();
    for text in files.texts() {
        // What is formatted stays as it is, and what cannot be formatted is told.
        if let Ok(made) = formatted(&Source::new("a.nix", text.as_str())) {
            assert!(made == text, "{}", &text[..60.min(text.len())]);
        }
    }
}
