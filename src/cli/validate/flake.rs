//! What is not well with a flake's lock file and its outputs, as findings in its files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use jiff::Timestamp;

use crate::error::Error;
use crate::fleet::FeatureProblem;
use crate::lint::{Checked, Finding, Severity, Source};
use crate::nix::{BY_SYSTEM, EvalError, LockTrouble, lock_troubles};

/// What is not well with the lock file of the flake at `root`.
pub(super) fn of_lock(root: &Path, now: Timestamp) -> Option<Checked> {
    let text = fs::read_to_string(root.join("flake.lock")).ok()?;
    let lock = serde_json::from_str(&text).unwrap_or_default();
    let source = Source::new("flake.lock", text);
    let findings: Vec<_> = lock_troubles(&lock, now).iter().map(|trouble| of_trouble(&source, trouble)).collect();
    (!findings.is_empty()).then_some(Checked { source, findings })
}

fn of_trouble(source: &Source, trouble: &LockTrouble) -> Finding {
    let (rule, severity, input, message, hint) = match trouble {
        LockTrouble::Twice { input, same_as } => {
            let hint = format!("delete one of them, or write `inputs.{input}.follows = \"{same_as}\";`");
            let message = format!("the inputs `{input}` and `{same_as}` are the same");
            ("input-twice", Severity::Warning, input, message, hint)
        }
        LockTrouble::Apart { input, own } => {
            let message = format!("`{input}` is another copy of what the input `{own}` is");
            let path = input.replace('/', ".inputs.");
            let hint = format!("write `inputs.{path}.follows = \"{own}\";` where nothing speaks against one for both");
            ("input-apart", Severity::Note, input, message, hint)
        }
        LockTrouble::Old { input, days, is_nixpkgs } => {
            let severity = if *is_nixpkgs { Severity::Warning } else { Severity::Note };
            let message = format!("the newest change in the input `{input}` was made {days} days ago");
            ("input-old", severity, input, message, format!("`hubctl update {input}` looks for a newer one"))
        }
    };
    let name = input.rsplit('/').next().unwrap_or(input);
    finding(source, &format!("\"{name}\""), (rule, severity), message, hint)
}

/// The outputs that Nix knows.
const OUTPUTS: &[&str] = &[
    "apps",
    "bundlers",
    "checks",
    "darwinConfigurations",
    "darwinModules",
    "devShell",
    "devShells",
    "flakeModules",
    "formatter",
    "homeConfigurations",
    "homeManagerModules",
    "homeModules",
    "hydraJobs",
    "legacyPackages",
    "lib",
    "nixosConfigurations",
    "nixosModule",
    "nixosModules",
    "overlay",
    "overlays",
    "packages",
    "schemas",
    "templates",
];

/// The kinds of systems that Nix knows best.
const SYSTEMS: &[&str] = &[
    "aarch64-darwin",
    "aarch64-linux",
    "armv6l-linux",
    "armv7l-linux",
    "i686-linux",
    "powerpc64le-linux",
    "riscv64-linux",
    "x86_64-darwin",
    "x86_64-freebsd",
    "x86_64-linux",
];

/// The outputs of the flake at `root` that nothing looks for, because their names are those of others but for a slip.
pub(super) fn of_outputs(root: &Path, outputs: &BTreeMap<String, Vec<String>>) -> Option<Checked> {
    let source = source_of(root);
    let of_name = outputs.keys().filter_map(|name| {
        let near = slip(name, OUTPUTS)?;
        Some((name, format!("nothing looks for the output `{name}`"), near))
    });
    let systems = outputs.iter().filter(|(name, _)| BY_SYSTEM.contains(&name.as_str()));
    let of_system = systems.flat_map(|(name, systems)| systems.iter().map(move |system| (name, system)));
    let of_system = of_system.filter_map(|(name, system)| {
        let near = slip(system, SYSTEMS)?;
        Some((system, format!("`{name}.{system}` is of no system that there is"), near))
    });
    let findings = of_name.chain(of_system).map(|(word, message, near)| {
        let rule = ("unknown-output", Severity::Error);
        finding(&source, word, rule, message, format!("did you mean `{near}`?"))
    });
    let findings: Vec<_> = findings.collect();
    (!findings.is_empty()).then_some(Checked { source, findings })
}

/// Names that features of the flake at `root` speak of, and that no feature has.
pub(super) fn of_features(root: &Path, unknown: &[FeatureProblem]) -> Option<Checked> {
    let hint = || "`hubctl features` shows which there are".to_owned();
    let of = |source: &Source, problem: &FeatureProblem| {
        finding(source, "outputs", ("host-features", Severity::Error), problem.to_string(), hint())
    };
    let source = source_of(root);
    let findings: Vec<_> = unknown.iter().map(|problem| of(&source, problem)).collect();
    (!findings.is_empty()).then_some(Checked { source, findings })
}

/// Why the flake at `root` cannot be loaded, so that nothing of its hosts is known.
pub(super) fn of_load(root: &Path, error: &Error) -> Checked {
    let source = source_of(root);
    let rule = ("flake-evaluation", Severity::Error);
    let hints = error.all_hints().join("\n");
    let found = finding(&source, "outputs", rule, error.to_string(), hints);
    let findings = vec![Finding { hint: found.hint.clone().filter(|hint| !hint.is_empty()), ..found }];
    Checked { source, findings }
}

/// What Nix says of the flake at `root` as a whole.
pub(super) fn of_check(root: &Path, error: &EvalError) -> Checked {
    let hint = format!("`{}` shows the same", error.command());
    let source = source_of(root);
    let findings = vec![finding(&source, "outputs", ("flake-check", Severity::Error), error.to_string(), hint)];
    Checked { source, findings }
}

fn source_of(root: &Path) -> Source {
    Source::new("flake.nix", fs::read_to_string(root.join("flake.nix")).unwrap_or_default())
}

/// The one of `known` that was meant with a name that is none of them.
fn slip(name: &str, known: &[&'static str]) -> Option<&'static str> {
    let is_near = |other: &&&str| name.len() > 3 && strsim::osa_distance(name, other) <= 2;
    if known.contains(&name) { None } else { known.iter().find(is_near).copied() }
}

/// A finding at the first place that has `word`.
fn finding(
    source: &Source,
    word: &str,
    (rule, severity): (&'static str, Severity),
    message: String,
    hint: String,
) -> Finding {
    let at = source.text().find(word).unwrap_or_default();
    let end = if source.text()[at..].starts_with(word) { at + word.len() } else { at };
    Finding::other((rule, severity), at..end, message, Some(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_in_the_names_of_outputs_are_found_and_other_names_are_not() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("flake.nix"), "{ outputs = _: { nixosConfiguration = 1; }; }").unwrap();
        let output =
            |name: &str, systems: &[&str]| (name.to_owned(), systems.iter().map(|one| (*one).to_owned()).collect());
        let found = |outputs: [(String, Vec<String>); 2]| {
            let checked = of_outputs(dir.path(), &outputs.into());
            checked.map(|checked| {
                checked.findings.into_iter().map(|one| (one.span, one.hint.unwrap())).collect::<Vec<_>>()
            })
        };
        assert_eq!(found([output("colmena", &[]), output("packages", &["x86_64-linux"])]), None);
        assert_eq!(
            found([output("nixosConfiguration", &[]), output("packages", &["x86_64-linus"])]).unwrap(),
            [
                (17..35, "did you mean `nixosConfigurations`?".to_owned()),
                (0..0, "did you mean `x86_64-linux`?".to_owned())
            ]
        );
    }
}
