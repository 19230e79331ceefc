//! What is to be said of a flake's source before anything is done with it.

use super::hub::Hub;
use crate::nix::{Ballast, Unseen, Weight, unseen_hint};
use crate::report::units;

/// How many of the files that the flake does not see are named.
const UNSEEN_NAMED: usize = 5;

impl Hub {
    /// Names files that the flake does not see although its code names them.
    pub(super) fn warn_of_unseen(&self, unseen: &[Unseen]) {
        let named = &unseen[..unseen.len().min(UNSEEN_NAMED)];
        let message = match unseen {
            [] => return,
            [one] => format!("the flake does not see {one}"),
            all => {
                let heading = format!("the flake does not see {} files", all.len());
                let more = (all.len() > named.len()).then(|| format!("and {} more", all.len() - named.len()));
                let lines: Vec<_> =
                    std::iter::once(heading).chain(named.iter().map(Unseen::to_string)).chain(more).collect();
                lines.join("\n")
            }
        };
        self.ui.warning(&message, Some(&unseen_hint(named.iter().map(|one| one.file.as_path()))));
    }

    /// Says that the source is large, and where that comes from.
    pub(super) fn warn_of_ballast(&self, ballast: &Ballast) {
        let weight = |weight: Weight| format!("{} files, {}", units::count(weight.files), units::bytes(weight.bytes));
        let heading = format!("the flake's source is large: {} that are not Nix", weight(ballast.all));
        let places = ballast.places.iter().map(|(place, of_place)| format!("{place}: {}", weight(*of_place)));
        let lines: Vec<_> = std::iter::once(heading).chain(places).collect();
        let hint = "each change of the flake has all of it hashed and copied: take out of git what no host needs, and make \
                    an input or a fetch of the rest, which is copied once";
        self.ui.warning(&lines.join("\n"), Some(hint));
    }

    /// Tells the settings that the flake asks for in vain.
    pub(super) fn tell_left_out(&self, names: &[String]) {
        if !names.is_empty() {
            let message =
                format!("the flake's nixConfig sets what it may not, which is left out: {}", names.join(", "));
            let hint = "if you trust the flake with all of it: --accept-flake-config for one run, or `accept-flake-config = true` \
                        under [nix] in hub.toml";
            self.ui.warning(&message, Some(hint));
        }
    }
}
