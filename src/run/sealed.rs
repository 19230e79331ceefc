//! Whether a host can decrypt what its new system will want to, found out before anything is built for it, and whether it has
//! that once the system runs.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use super::activate::{Contact, unknown};
use super::context::Wants;
use super::host::HostPart;
use super::prepare::{Origin, Prepared};
use super::stop::Stop;
use crate::nix::{Sealed, SealedSecret, SealedValue};
use crate::plan::{Action, Doubt, SealedFile, SopsSource, held, unreadable, unreadable_sops};
use crate::remote::{PATIENT, RunError, live_secrets};
use crate::report::StepName;
use crate::secrets::age::Header;
use crate::secrets::sops::{Format, SopsFile};

/// Declines a host whose keys do not open the secrets of the system that it is to run.
pub(super) async fn check_sealed(part: &HostPart, prepared: &Prepared) -> Result<(), Stop> {
    let (Wants::Flake(evaluator), Origin::Flake(evaluation)) = (&part.wants, &prepared.wanted.origin) else {
        return Ok(());
    };
    let is_activated = matches!(prepared.decision.action, Action::Activate { .. });
    let is_overruled = part.context.job.overruled.contains(&Doubt::Secrets);
    let sealed = &evaluation.sealed;
    if !is_activated || is_overruled || (sealed.secrets.is_empty() && sealed.sops.secrets.is_empty()) {
        return Ok(());
    }
    let (source, sealed) = (evaluator.source().path.as_path().to_path_buf(), evaluation.sealed.clone());
    let reading = tokio::task::spawn_blocking(move || {
        let (files, sources) = (headers(&source, &sealed), sources(&source, &sealed));
        (sealed, files, sources)
    });
    // A file that is not there any more is nothing that a host's key could help with.
    let Ok((sealed, files, sources)) = reading.await else { return Ok(()) };
    let keys = &prepared.access.facts.host_keys;
    let of_agenix = unreadable(&part.host, keys, &sealed, &files);
    match of_agenix.or_else(|| unreadable_sops(&part.host, keys, &sealed.sops, &sources)) {
        Some(objection) => Err(Stop::objection(StepName::Probe, objection)),
        None => Ok(()),
    }
}

/// The headers of the secrets' files in a source. Those that are elsewhere are left out.
fn headers(source: &Path, sealed: &Sealed) -> Vec<SealedFile> {
    let header = |(name, file): (&String, &String)| {
        let opened = File::open(source.join(file)).ok()?;
        Some(SealedFile { name: name.clone(), file: file.clone(), header: Header::read(opened) })
    };
    let in_source = sealed.secrets.iter().filter_map(|secret| Some((&secret.name, secret.file.as_ref()?)));
    in_source.filter_map(header).collect()
}

/// The files of SOPS in a source. Those that are elsewhere, or cannot be read, are left out.
fn sources(source: &Path, sealed: &Sealed) -> Vec<SopsSource> {
    let one = |wanted: &SealedValue| {
        let file = wanted.place.file.clone()?;
        let bytes = std::fs::read(source.join(&file)).ok()?;
        let format = wanted.format.as_deref().and_then(Format::named).unwrap_or_else(|| Format::of(Path::new(&file)));
        Some(SopsSource { wanted: wanted.clone(), read: SopsFile::parse(format, &bytes), file })
    };
    sealed.sops.secrets.iter().filter_map(one).collect()
}

/// What helps where secrets are not there.
pub(super) const LACK_HINT: &str =
    "`hubctl secrets status --live` tells how they are now; the host's journal tells why, under agenix's name";

/// What a host lacks, as part of a sentence.
pub(super) fn lack(secrets: &[String]) -> Option<String> {
    (!secrets.is_empty()).then(|| format!("secrets are missing: {}", secrets.join(", ")))
}

/// Looks whether the secrets of the system that a part's host runs by now are there, over as many connections as it takes. Which are
/// not, the part knows then.
pub(super) async fn see_secrets(
    part: &mut HostPart,
    prepared: &Prepared,
    mut contact: Contact,
) -> Result<Contact, Stop> {
    let Origin::Flake(evaluation) = &prepared.wanted.origin else { return Ok(contact) };
    let sealed = &evaluation.sealed;
    let paths: BTreeSet<_> = sealed.places().filter_map(|secret| secret.path.as_deref()).collect();
    let is_overruled = part.context.job.overruled.contains(&Doubt::Secrets);
    // A specialisation may have others.
    if paths.is_empty() || is_overruled || prepared.wanted.runs() != &prepared.wanted.toplevel {
        return Ok(contact);
    }
    let found = loop {
        match live_secrets(&contact.remote, &paths, PATIENT, false).await {
            Ok(found) => break found,
            Err(RunError::Lost(_) | RunError::TimedOut(_)) => {
                let lost = || unknown("the system is live, but the host was not reached again to look for its secrets");
                contact = contact.regain(part).await.ok_or_else(lost)?;
            }
            // Whoever may not look does not know.
            Err(RunError::NotElevated { .. }) => return Ok(contact),
        }
    };
    let source = match &part.wants {
        Wants::Flake(evaluator) => Some(evaluator.source().path.as_path().to_path_buf()),
        _ => None,
    };
    let may_be_empty = |secret: &SealedSecret| {
        let place = source.as_ref().zip(secret.file.as_ref()).map(|(source, file)| source.join(file));
        let header = place.and_then(|file| File::open(file).ok()).and_then(|file| Header::read(file).ok());
        header.is_none_or(|header| header.plaintext_len() == 0)
    };
    let lacking = held(sealed, found, may_be_empty)
        .into_iter()
        .filter(|one| one.problems.iter().any(|problem| problem.is_lack()));
    part.missing_secrets = lacking.filter_map(|one| Some(format!("{} ({})", one.name?, one.live.path))).collect();
    Ok(contact)
}
