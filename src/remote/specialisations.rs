//! The specialisations of a system that is in a host's store.

use std::collections::BTreeMap;
use std::time::Duration;

use super::script::{Remote, RunError, Script};
use crate::nix::StorePath;

/// How long a host may take to list them.
const DEADLINE: Duration = Duration::from_secs(30);

/// What a line that names one begins with.
const FOUND: &str = "hubctl-specialisation:";

/// The specialisations of `toplevel`, which is in the store at `remote`, with what runs as each.
pub async fn specialisations(remote: &Remote, toplevel: &StorePath) -> Result<BTreeMap<String, StorePath>, RunError> {
    let script = format!(
        "for one in {toplevel}/specialisation/*; do [ -x \"$one/bin/switch-to-configuration\" ] || continue\n\
         printf '{FOUND}%s=%s\\n' \"${{one##*/}}\" \"$(readlink -f \"$one\")\"\ndone; :"
    );
    let (_, printed) = remote.run(&Script::new(script).deadline(DEADLINE)).await?;
    Ok(parse(&printed))
}

fn parse(printed: &str) -> BTreeMap<String, StorePath> {
    let found = printed.lines().filter_map(|line| line.strip_prefix(FOUND)?.rsplit_once('='));
    found.filter_map(|(name, path)| Some((name.to_owned(), path.parse().ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_a_path() {
        let path = "/nix/store/0i3kvkpqpr1i9zx4dbdzvj6dcpqnmhhb-nixos-system-p620-25.11";
        let found = parse(&format!("motd\n{FOUND}gaming={path}\n{FOUND}broken=\n"));
        assert_eq!(found, BTreeMap::from([("gaming".to_owned(), path.parse().unwrap())]));
    }
}
