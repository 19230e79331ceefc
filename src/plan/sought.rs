//! The system that a host is to have.

use crate::nix::StorePath;
use crate::remote::Facts;

/// The system that a host is to have: what it boots, and which form of that it runs.
#[derive(Clone, Copy, Debug)]
pub struct Sought<'a> {
    /// The toplevel, which is what is booted.
    pub toplevel: &'a StorePath,
    /// The specialisation that is to run in its place, if one is.
    pub specialisation: Option<&'a str>,
}

impl<'a> Sought<'a> {
    /// The system without a specialisation.
    pub fn plain(toplevel: &'a StorePath) -> Self {
        Self { toplevel, specialisation: None }
    }

    /// Whether it is what runs. Of a specialisation that is known only while its system is the boot default.
    pub fn runs(&self, facts: &Facts) -> bool {
        match self.specialisation {
            None => facts.current.as_ref() == Some(self.toplevel),
            Some(name) => self.boots(facts) && facts.specialisation.as_deref() == Some(name),
        }
    }

    /// Whether it is the boot default.
    pub fn boots(&self, facts: &Facts) -> bool {
        facts.profile.as_ref() == Some(self.toplevel)
    }

    /// Whether it runs in another form than is wanted, with another specialisation or with one too few.
    pub fn runs_otherwise(&self, facts: &Facts) -> bool {
        let in_some_form = facts.current.as_ref() == Some(self.toplevel) || facts.specialisation.is_some();
        self.boots(facts) && in_some_form && !self.runs(facts)
    }
}
