//! The `sops` block of a file: its recipients, the rule for what is encrypted, the MAC.

use std::collections::{BTreeMap, BTreeSet};

use super::error::SopsError;
use super::rule::Rule;
use super::tree::Field;

/// The version of SOPS whose format is written: the first that knows all that hubctl writes.
pub(super) const VERSION: &str = "3.9.0";

/// Recipients of other kinds than age, by what the block calls their lists.
const FOREIGN: [(&str, &str); 6] = [
    ("kms", "AWS KMS"),
    ("gcp_kms", "GCP KMS"),
    ("hckms", "Huawei Cloud KMS"),
    ("azure_kv", "Azure Key Vault"),
    ("hc_vault", "Vault"),
    ("pgp", "PGP"),
];

/// The data key, encrypted to one recipient.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Wrapped {
    pub(super) recipient: String,
    /// An age file in armor.
    pub(super) enc: String,
}

/// What the block says.
#[derive(Clone, Debug)]
pub(super) struct Metadata {
    pub(super) recipients: Vec<Wrapped>,
    pub(super) last_modified: Field,
    pub(super) mac: Field,
    pub(super) rule: Rule,
    pub(super) mac_only_encrypted: bool,
    /// Kinds of recipients that only `sops` knows.
    pub(super) foreign: Vec<String>,
}

impl Metadata {
    /// Reads the settings of a block.
    pub(super) fn of(fields: &[Field]) -> Result<Self, SopsError> {
        let field = |name: &str| fields.iter().find(|field| field.name == name);
        let needed = |name: &str| field(name).cloned().ok_or_else(|| SopsError::Metadata(format!("has no `{name}`")));
        let threshold = field("shamir_threshold").map_or("0", |field| field.text.as_str());
        if fields.iter().any(|field| field.name.starts_with("key_groups__list_")) || !matches!(threshold, "0" | "") {
            return Err(SopsError::Shamir);
        }
        let last_modified = needed("lastmodified")?;
        if last_modified.text.parse::<jiff::Timestamp>().is_err() {
            return Err(SopsError::Metadata("has a `lastmodified` that is no time".to_owned()));
        }
        Ok(Self {
            recipients: recipients(fields)?,
            last_modified,
            mac: needed("mac")?,
            rule: Rule::among(fields.iter().map(|field| (field.name.as_str(), field.text.as_str())))?,
            mac_only_encrypted: field("mac_only_encrypted").is_some_and(|field| is_true(&field.text)),
            foreign: foreign(fields),
        })
    }
}

fn is_true(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True")
}

fn foreign(fields: &[Field]) -> Vec<String> {
    let there: BTreeSet<_> =
        fields.iter().filter_map(|field| field.name.split_once("__list_")).map(|(list, _)| list).collect();
    FOREIGN.iter().filter(|(list, _)| there.contains(list)).map(|(_, shown)| (*shown).to_owned()).collect()
}

fn recipients(fields: &[Field]) -> Result<Vec<Wrapped>, SopsError> {
    let mut found: BTreeMap<usize, (Option<String>, Option<String>)> = BTreeMap::new();
    for field in fields {
        let Some((index, part)) = field.name.strip_prefix("age__list_").and_then(|rest| rest.split_once("__map_"))
        else {
            continue;
        };
        let Ok(index) = index.parse() else { continue };
        let entry = found.entry(index).or_default();
        match part {
            "recipient" => entry.0 = Some(field.text.trim().to_owned()),
            "enc" => entry.1 = Some(field.text.clone()),
            _ => {}
        }
    }
    let whole = found.into_values().map(|(recipient, enc)| Some(Wrapped { recipient: recipient?, enc: enc? }));
    let damaged = || SopsError::Metadata("has a recipient without its name or its key".to_owned());
    whole.collect::<Option<_>>().ok_or_else(damaged)
}

/// The settings of a new block beside its recipients, in the order in which they are written.
pub(super) fn settings(rule: &Rule, mac_only_encrypted: bool, last_modified: &str, mac: &str) -> Vec<(String, String)> {
    let (name, text) = rule.setting();
    let mut settings = vec![("lastmodified", last_modified), ("mac", mac), ("version", VERSION), (name, text)];
    if mac_only_encrypted {
        settings.push(("mac_only_encrypted", "true"));
    }
    settings.sort_unstable();
    settings.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Vec<Field> {
        let field = |(name, text): &(&str, &str)| Field { name: (*name).into(), text: (*text).into(), span: 0..0 };
        pairs.iter().map(field).collect()
    }

    const WHOLE: &[(&str, &str)] = &[
        ("age__list_0__map_recipient", "age1a"),
        ("age__list_0__map_enc", "A"),
        ("age__list_1__map_enc", "B"),
        ("age__list_1__map_recipient", " age1b"),
        ("lastmodified", "2024-01-02T03:04:05Z"),
        ("mac", "ENC[x]"),
    ];

    #[test]
    fn a_block_is_read() {
        let metadata = Metadata::of(&fields(WHOLE)).unwrap();
        let names: Vec<_> = metadata.recipients.iter().map(|one| one.recipient.as_str()).collect();
        assert_eq!(names, ["age1a", "age1b"]);
        assert!(metadata.foreign.is_empty() && !metadata.mac_only_encrypted);
    }

    #[test]
    fn what_hubctl_cannot_write_to_is_named() {
        let more = [WHOLE, &[("pgp__list_0__map_fp", "X"), ("kms__list_0__map_arn", "Y")]].concat();
        assert_eq!(Metadata::of(&fields(&more)).unwrap().foreign, ["AWS KMS", "PGP"]);
        for shamir in [("key_groups__list_0__map_age__list_0__map_enc", "X"), ("shamir_threshold", "2")] {
            let more = [WHOLE, &[shamir]].concat();
            assert!(matches!(Metadata::of(&fields(&more)), Err(SopsError::Shamir)));
        }
    }

    #[test]
    fn a_block_that_lacks_something_is_refused() {
        for missing in ["age__list_1__map_enc", "lastmodified", "mac"] {
            let left: Vec<_> = WHOLE.iter().filter(|(name, _)| *name != missing).copied().collect();
            assert!(matches!(Metadata::of(&fields(&left)), Err(SopsError::Metadata(_))), "{missing}");
        }
        let wrong = [&WHOLE[..4], &[("lastmodified", "yesterday"), ("mac", "")]].concat();
        assert!(Metadata::of(&fields(&wrong)).is_err());
    }
}
