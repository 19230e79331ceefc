//! The data key and the recipients it is encrypted to.

use std::sync::Arc;

use super::cipher::DataKey;
use super::error::SopsError;
use super::metadata::Wrapped;
use crate::secrets::age::{AgeError, Armor, Ask, Header, Identities, Recipient, encrypt};

/// The data key of a file, from whichever recipient's part an identity opens.
pub(super) fn unwrap(recipients: &[Wrapped], identities: &Identities) -> Result<DataKey, SopsError> {
    // Parts that are for one of the identities by their looks come first, so that no key is asked for in vain.
    let likely = |one: &&Wrapped| Header::of(one.enc.as_bytes()).is_ok_and(|header| identities.may_open(&header));
    let (first, rest): (Vec<_>, Vec<_>) = recipients.iter().partition(likely);
    let mut failure = None;
    for one in first.into_iter().chain(rest) {
        match identities.decrypt(one.enc.as_bytes()) {
            Ok(key) => return DataKey::of(&key),
            Err(AgeError::NoIdentity(tried)) => {
                failure.get_or_insert(AgeError::NoIdentity(tried));
            }
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(AgeError::NoIdentity(_)) | None => {
            let names: Vec<_> = recipients.iter().map(|one| one.recipient.as_str()).collect();
            Err(SopsError::NoIdentity(if names.is_empty() { "none of age".to_owned() } else { names.join(", ") }))
        }
        Some(error) => Err(error.into()),
    }
}

/// The data key encrypted to each of these, one file of age for each.
pub(super) fn wrap(key: &DataKey, recipients: &[Recipient], ask: &Arc<dyn Ask>) -> Result<Vec<Wrapped>, SopsError> {
    if recipients.is_empty() {
        return Err(SopsError::NoRecipient);
    }
    let mut wrapped: Vec<Wrapped> = Vec::with_capacity(recipients.len());
    for recipient in recipients {
        let name = recipient.to_string();
        if wrapped.iter().any(|one| one.recipient == name) {
            continue;
        }
        let enc = encrypt(key.bytes(), std::slice::from_ref(recipient), Armor::Ascii, ask)?;
        let enc = String::from_utf8(enc).map_err(|_| SopsError::BadDataKey)?;
        wrapped.push(Wrapped { recipient: name, enc });
    }
    Ok(wrapped)
}
