//! A `stateVersion` that is another one than before.

use super::{Check, Rule};
use crate::lint::file;
use crate::lint::finding::Finding;
use crate::lint::source::Source;
use crate::lint::tree::{StateVersion, Tree, state_versions};

pub(super) const RULE: Rule = rule!("state-version-changed", Warning, Check::Tree(check));

fn check(tree: &Tree<'_>) -> Vec<(String, Finding)> {
    let mut found = Vec::new();
    for (path, text) in tree.before {
        let Some(facts) = tree.files.get(path.as_str()) else { continue };
        let source = Source::new(path.as_str(), text.as_str());
        let (Some(before), _) = file::read(&source) else { continue };
        let before = state_versions(&before);
        found.extend(changed(&before, &facts.state_versions).map(|finding| (path.clone(), finding)));
    }
    found
}

/// What says another release than the same option of the same file said before. One of several is not told from the others.
fn changed(before: &[StateVersion], now: &[StateVersion]) -> impl Iterator<Item = Finding> {
    let only = |all: &[StateVersion], option: &str| {
        let mut of_option = all.iter().filter(|version| version.option == option);
        of_option.next().cloned().filter(|_| of_option.next().is_none())
    };
    let pair = |option: &String| Some((only(before, option)?, only(now, option)?));
    let options: std::collections::BTreeSet<_> = now.iter().map(|version| version.option.clone()).collect();
    let pairs: Vec<_> = options.iter().filter_map(pair).collect();
    pairs.into_iter().filter(|(old, new)| old.release != new.release).map(|(old, new)| {
        let message = format!("`{}` was \"{}\" in the last commit", new.option, old.release);
        Finding::at(new.span, message)
            .label("data that are there stay as they are, and modules expect others")
            .hint(format!("leave it at \"{}\": a newer system runs with an old state version", old.release))
    })
}
