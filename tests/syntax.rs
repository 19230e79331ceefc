//! `check-syntax` says of a file what Nix itself says of it: `nix-instantiate --parse`, on files that are right, on files that are
//! wrong in every way that Nix knows, and on files that were right before something was changed in them at random.
#![expect(clippy::disallowed_methods, reason = "Nix is asked as a user would")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod nix_files;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use hubctl::lint::{Report, Severity, check_syntax};
use nix_files::{Files, Numbers, changed};

/// Files that Nix reads.
const RIGHT: &[&str] = &[
    "{ }",
    "{ lib, ... }: { a = lib.mkIf true { }; }",
    "{ a, b ? a, ... }@all: [ a b all ]",
    "all@{ a, }: a",
    "{ }: 1",
    "x: y: x y",
    "let a = 1; b = a; in b",
    "let a.b = 1; a.c = 2; in a",
    "let inherit (builtins) map toString; in map toString",
    "let inherit ({ a = 1; }) \"a\"; in a",
    "let { a = 1; body = a; }",
    "rec { a = b; b = 1; }",
    "rec { a.b = c; c = 1; }",
    "{ a.b = 1; a.c = 2; a = { d = 3; }; }",
    "{ a = { b = 1; }; a = { c = 2; }; }",
    "{ a = { b.c = 1; }; a.b.d = 2; }",
    "{ a = rec { x = 1; }; a.y = x; }",
    "{ a = ({ b = 1; }); a.c = 2; }",
    "{ \"a\" = 1; b.\"c d\" = 2; ${\"e\"} = 3; }",
    "let n = \"x\"; in { ${n} = 1; a.${n}.b = 2; \"${n}y\" = 3; }",
    "let n = \"x\"; in { ${n} = 1; ${n} = 2; }",
    "with builtins; anything",
    "with builtins; let x = anything; in { inherit x nothing; }",
    "{ inherit; }",
    "let a = { or = 1; }; in a.or or 2",
    "let f = x: x; or = 1; in f or",
    "a: a.b.c or [ ] ++ [ 1 ]",
    "a: a ? b.c && !a ? d",
    "a: b: a == b || a != b -> a < 1",
    "a: -1 + -a * 2 / 3 - 4",
    "a: !a && !(a || !a)",
    "a: b: a // b // { c = 1; }",
    "if true then 1 else if false then 2 else 3",
    "assert true; 1",
    "[ 1 2.5 .5 1.e3 1.5e-3 \"a\" ./b ../c/d /e ~/f <nixpkgs> <a/b> a:b http://x.org/y?z=1 ]",
    "a: ./b/${a}/c + \"/d\"",
    "''\n  a ${toString 1} ''${b} ''\\n ''' $$ \n''",
    "\"a ${\"b ${\"c\"}\"} \\${d} $${e} \\\"\"",
    "# a comment\n1 /* and\nanother */ # last",
    "(x: x) 1",
    "[ (x: x) ({ a }: a) ]",
    "builtins.map (x: x) [ __curPos __nixPath ]",
    "let a' = 1; b-c = 2; _ = 3; in a' + b-c + _",
    "rec { inherit ({ a = 1; }) a; b = a; }",
    "{ a }: rec { inherit a; b = a; }",
    "let x = 1; in { inherit x; y = rec { inherit x; z = x; }; }",
    "x: with x; with y; z",
    "9223372036854775807",
    "{ a.b = { c = 1; }; a.b.d = 2; }",
    "\r\n{\r\n}\r\n",
    "let f = { a ? b, b ? 1 }: a; in f",
    "x: x.\"a\".${\"b\"}.c",
    "x: x.${x}.y or (z: z)",
];

/// Files that Nix does not read.
const WRONG: &[&str] = &[
    "",
    "# nothing but a comment",
    "{",
    "}",
    "{ a = 1 }",
    "{ a = ; }",
    "{ a 1; }",
    "{ a = 1;; }",
    "{ = 1; }",
    "[ 1, 2 ]",
    "[ 1 2",
    "(1",
    "(1;",
    "( )",
    "let a = 1 in a",
    "let a = 1; a",
    "let a = 1; in",
    "let in",
    "if true then 1",
    "if true 1 else 2",
    "with builtins",
    "with builtins; ",
    "assert true 1",
    "{ a, a }: a",
    "{ a }@a: a",
    "a@{ a }: a",
    "{ a b }: a",
    "{ a, ..., b }: a",
    "{ ..., }: 1",
    "{ , }: 1",
    "{ a }",
    "a@b: a",
    "a@{ a1 }@b: a1",
    "x: y",
    "{ a = 1; a = 2; }",
    "{ a.b = 1; a.b = 2; }",
    "{ a.b = 1; a = 2; }",
    "{ a = 1; a.b = 2; }",
    "{ a = { b = 1; }; a.b = 2; }",
    "{ a = { b = 1; }; a = { b = 2; }; }",
    "{ a = 1; \"a\" = 2; }",
    "{ a = 1; ${\"a\"} = 2; }",
    "x: { inherit x; x = 1; }",
    "x: { inherit x x; }",
    "x: { inherit (x) a; inherit (x) a; }",
    "x: { inherit (x) a; a.b = 1; }",
    "let a = 1; a = 2; in a",
    "let a = 1; inherit (builtins) a; in a",
    "let ${\"a\" + \"b\"} = 1; in 1",
    "x: { inherit ${x}; }",
    "x: { inherit \"${x}\"; }",
    "{ ''a'' = 1; }",
    "x: x.''a''",
    "{ ${} = 1; }",
    "x: x ? ",
    "x: x.",
    "x: x . . y",
    "undefined",
    "let a = b; in a",
    "{ a = 1; b = a; }",
    "{ a = 1; } // { inherit a; }",
    "{ a.x = 1; a = rec { y = 2; }; a.z = y; }",
    "x: { a = rec { inherit y; y = 1; }; }",
    "rec { a.b = 1; c = b; }",
    "let f = { a, b ? c }: a; in f",
    "__unknown",
    "or",
    "map x: x",
    "[ x: x ]",
    "1 + x: x",
    "!x: x",
    "x: x.a or y: y",
    "a: a == a == a",
    "a: a < a < a",
    "1 +",
    "* 1",
    "\"a",
    "''a",
    "\"${\"",
    "\"${1\"",
    "\"${1 2}\" }",
    "/* a",
    "1 /* a",
    "$a",
    "a: a/",
    "./a/",
    "{ a = ./b/; }",
    "9223372036854775808",
    "1e999",
    "1.5e",
    "\u{a0}1",
    "{ a\u{a0}= 1; }",
    "\u{feff}{ }",
    "{ a = “b”; }",
    "{ pkgs ? import <nixpkgs> { }; }",
    "{ inherit (builtins map; }",
    "{ inherit map }",
    "@",
    "`",
    "x: x?",
    "{ a: 1 }",
    "{ \"a\": 1 }",
    "{ a = 1, b = 2 }",
    "if a then b else c",
    "rec { a = 1; } b",
    "%",
    "a: a ? ${a} b c }",
];

impl Files {
    /// Whether hubctl takes each for right.
    fn ours(&self) -> Vec<bool> {
        let report = check_syntax(self.dir.path(), &self.names).unwrap();
        assert_eq!(report.files, self.names.len());
        self.names.iter().map(|name| !has_error(&report, name)).collect()
    }

    /// Whether Nix takes all of some files for right, which one run of it tells.
    fn nix(&self, which: &[usize]) -> Output {
        let names = which.iter().map(|at| &self.names[*at]);
        self.asked(Command::new("nix-instantiate").arg("--parse").args(names)).output().unwrap()
    }

    /// The files of which Nix does not say what `ours` say, with what it says.
    fn disagreements(&self, ours: &[bool]) -> Vec<(usize, String)> {
        let (right, wrong): (Vec<_>, Vec<_>) = (0..ours.len()).partition(|at| ours[*at]);
        let mut found = Vec::new();
        self.not_all_right(&right, &mut found);
        // The evaluator does read what is right, and would wait for the rest of what ends too soon.
        assert_eq!(self.read_in_turn(&right).unwrap(), right);
        let (cut, wrong): (Vec<_>, Vec<_>) = wrong.into_iter().partition(|at| self.ends_too_soon(*at));
        for at in cut {
            self.some_right(&[at], &mut found);
        }
        self.some_right(&wrong, &mut found);
        found
    }

    /// Whether hubctl says of a file that it ends too soon.
    fn ends_too_soon(&self, at: usize) -> bool {
        let report = check_syntax(self.dir.path(), &self.names[at..=at]).unwrap();
        report
            .findings()
            .any(|finding| ["end of the file", "not closed"].iter().any(|words| finding.message.contains(words)))
    }

    /// Adds those of `which` that Nix reads, with few runs of it: its interactive evaluator goes on behind a file that is wrong.
    fn some_right(&self, which: &[usize], found: &mut Vec<(usize, String)>) {
        let reads = |at: usize| (at, "Nix reads it".to_owned());
        if let [one] = which {
            found.extend(self.nix(&[*one]).status.success().then(|| reads(*one)));
            return;
        }
        match self.read_in_turn(which) {
            Some(right) => found.extend(right.into_iter().map(reads)),
            None if which.is_empty() => {}
            None => {
                let (left, right) = which.split_at(which.len() / 2);
                self.some_right(left, found);
                self.some_right(right, found);
            }
        }
    }

    /// Those of `which` that the evaluator imports as the body of a function, which evaluates nothing of them; none where it did not
    /// get to its end. A file that ends too soon has it wait for more.
    fn read_in_turn(&self, which: &[usize]) -> Option<Vec<usize>> {
        let mut lines = Vec::new();
        for at in which {
            let name = format!("function-{at}.nix");
            let text = fs::read_to_string(self.dir.path().join(&self.names[*at])).unwrap();
            fs::write(self.dir.path().join(&name), format!("__nobody:\n{text}")).unwrap();
            // What is answered differs from what is asked, which some versions repeat.
            lines.push(format!("builtins.seq (import ./{name}) (\"right \" + toString {at})\n"));
        }
        lines.push("\"the \" + \"end\"\n".to_owned());
        fs::write(self.dir.path().join("lines"), lines.concat()).unwrap();
        let output = self
            .asked(Command::new("nix").args(["--extra-experimental-features", "nix-command", "repl"]))
            .stdin(fs::File::open(self.dir.path().join("lines")).unwrap())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let right = said.split("\"right ").skip(1).filter_map(|rest| rest.split('"').next()?.parse().ok());
        said.contains("\"the end\"").then(|| right.collect())
    }

    /// A command of Nix's, with nothing of the machine's.
    fn asked<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let home = self.dir.path();
        command
            .current_dir(home)
            .env("HOME", home)
            .env("NIX_STATE_DIR", home.join("state"))
            .env("NIX_STORE_DIR", home.join("store"))
            .env("NIX_PATH", "nixpkgs=/nowhere")
    }

    /// Adds those of `which` that Nix does not read, with few runs of it where there are few.
    fn not_all_right(&self, which: &[usize], found: &mut Vec<(usize, String)>) {
        if which.is_empty() {
            return;
        }
        let output = self.nix(which);
        if output.status.success() {
            return;
        }
        match which {
            [one] => found.push((*one, String::from_utf8_lossy(&output.stderr).into_owned())),
            several => {
                let (left, right) = several.split_at(several.len() / 2);
                self.not_all_right(left, found);
                self.not_all_right(right, found);
            }
        }
    }
}

fn has_error(report: &Report, name: &Path) -> bool {
    let of_file = report.found.iter().filter(|checked| Path::new(checked.source.path()) == name);
    of_file.flat_map(|checked| &checked.findings).any(|finding| finding.severity == Severity::Error)
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn what_nix_reads_is_right_and_what_it_does_not_read_is_wrong() {
    for (all, expected) in [(RIGHT, true), (WRONG, false)] {
        let files = Files::new(&texts(all));
        let ours = files.ours();
        let other: Vec<_> =
            all.iter().zip(&ours).filter(|(_, ours)| **ours != expected).map(|(text, _)| text).collect();
        assert!(other.is_empty(), "hubctl says the other of {other:#?}");
        let disagreements = files.disagreements(&ours);
        let shown: Vec<_> = disagreements.iter().map(|(at, said)| (all[*at], said)).collect();
        assert!(shown.is_empty(), "Nix says the other of {shown:#?}");
    }
}

/// Words that change the meaning of what stands around them.
const WORDS: &[&str] = &[
    "{", "}", "[", "]", "(", ")", ";", ":", ",", "=", ".", "?", "@", "...", "\"", "''", "${", "let", "in", "rec",
    "with", "inherit", "if", "then", "else", "assert", "or", "a", "b", "1", "-", "+", "//", "++", "==", "./a", "#",
    "/*", "<", "!", "&&",
];

#[test]
fn what_is_changed_at_random_is_judged_as_nix_judges_it() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut changed_at_random = Vec::new();
    for _ in 0..3 {
        changed_at_random.extend(RIGHT.iter().map(|text| changed(text, WORDS, &mut numbers)));
    }
    let files = Files::new(&changed_at_random);
    let ours = files.ours();
    let wrong = ours.iter().filter(|ours| !**ours).count();
    assert!(wrong > 30 && wrong < ours.len() - 30, "{wrong} of {} are wrong, which proves little", ours.len());
    let disagreements = files.disagreements(&ours);
    let shown: Vec<_> = disagreements.iter().map(|(at, said)| (&changed_at_random[*at], said)).collect();
    assert!(shown.is_empty(), "Nix says the other of {shown:#?}");
}

#[test]
fn no_text_makes_it_panic_or_hang() {
    let mut numbers = Numbers(42);
    let alphabet: Vec<char> = "{}[]();:,=.?@\"'$\\#/*<>|&!-+ab1 \n\u{e4}\u{a0}~_%".chars().collect();
    let mut all: Vec<String> =
        (0..400).map(|_| (0..numbers.below(60)).map(|_| alphabet[numbers.below(alphabet.len())]).collect()).collect();
    for piece in [
        "[",
        "(",
        "{ a = ",
        "!",
        "-",
        "a ++ ",
        "f ",
        "x: ",
        "\"${",
        "if a then b else ",
        "let a = ",
        "''",
        "''$",
        "{ ",
        "a.",
        "a: ",
    ] {
        all.push(piece.repeat(20_000));
    }
    let files = Files::new(&all);
    assert_eq!(files.ours().len(), all.len());
}
