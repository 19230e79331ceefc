//! Which files a host does not have.

use std::fmt::Write as _;

use super::script::{Remote, RunError, Script};

/// How many files are asked for at once: a script is one argument, of which Linux takes 128 KiB.
const AT_ONCE: usize = 500;

/// For each list of paths, whether `remote` has none of them. No path may have a blank in its name.
pub async fn absent(remote: &Remote, lists: &[&[String]]) -> Result<Vec<bool>, RunError> {
    let mut absent = vec![false; lists.len()];
    for (chunk, place) in lists.chunks(AT_ONCE).zip(absent.chunks_mut(AT_ONCE)) {
        let (_, printed) = remote.run(&Script::new(script(chunk))).await?;
        for number in printed.lines().filter_map(|line| line.parse::<usize>().ok()) {
            if let Some(absent) = place.get_mut(number) {
                *absent = true;
            }
        }
    }
    Ok(absent)
}

/// A script that prints the numbers of the lists of which no path is there, from 0 on.
fn script(lists: &[&[String]]) -> String {
    let mut script = "while read -r n paths; do\nfor path in $paths; do [ -e \"$path\" ] && continue 2; done\n\
                      echo \"$n\"\ndone <<'END'\n"
        .to_owned();
    for (number, paths) in lists.iter().enumerate() {
        // Writing to a text does not fail.
        let _ = writeln!(script, "{number} {}", paths.join(" "));
    }
    script + "END"
}
