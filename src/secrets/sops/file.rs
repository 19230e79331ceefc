//! A SOPS file: what can be seen of it without a key, and what can be done with one.
//!
//! Every change is made in the text, at the places of what changes, and the result is parsed and opened again before it is
//! given to anybody.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::cipher::{DataKey, Nonce, is_sealed, seal, seal_comment};
use super::error::{At as _, SopsError};
use super::format::{Format, utf8};
use super::keys::{unwrap, wrap};
use super::metadata::{Metadata, Wrapped, settings};
use super::open::{Content, Kind, contents, mac, open};
use super::rule::Rule;
use super::tree::{Document, Edits, Step, same_way, shown, splice};
use super::value::Plain;
use crate::secrets::age::{Ask, Identities, Recipient};

/// An encrypted file. Nothing in it is secret.
#[derive(Clone, Debug)]
pub struct SopsFile {
    format: Format,
    text: String,
    document: Document,
    metadata: Metadata,
}

/// How a new file is to be encrypted.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Which values are encrypted.
    pub rule: Rule,
    /// Whether the MAC is only over those.
    pub mac_only_encrypted: bool,
}

impl SopsFile {
    /// Reads a file.
    pub fn parse(format: Format, bytes: &[u8]) -> Result<Self, SopsError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|_| SopsError::Syntax { line: 1, what: "it is not text in UTF-8".to_owned() })?;
        let document = format.parse(text)?;
        let fields = document.block.as_deref().ok_or(SopsError::NotEncrypted)?;
        let metadata = Metadata::of(fields)?;
        Ok(Self { format, text: text.to_owned(), document, metadata })
    }

    /// Its age recipients, as the file names them.
    pub fn recipients(&self) -> impl Iterator<Item = &str> {
        self.metadata.recipients.iter().map(|one| one.recipient.as_str())
    }

    /// Kinds of recipients that only `sops` can encrypt to.
    pub fn foreign(&self) -> &[String] {
        &self.metadata.foreign
    }

    /// When a value was changed last.
    pub fn last_modified(&self) -> &str {
        &self.metadata.last_modified.text
    }

    /// The file as it is.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How it is encrypted.
    pub fn settings(&self) -> Settings {
        Settings { rule: self.metadata.rule.clone(), mac_only_encrypted: self.metadata.mac_only_encrypted }
    }

    /// The addresses of its values, with whether each is encrypted; no key is needed for that.
    pub fn addresses(&self) -> Result<Vec<(String, bool)>, SopsError> {
        let found = contents(&self.document, &self.metadata.rule)?;
        let values = found.iter().filter(|content| matches!(content.kind, Kind::Value { .. }));
        Ok(values.map(|content| (shown(&content.steps), content.encrypted)).collect())
    }

    /// Whether there are values that the file's own rule has encrypted and that are not: somebody wrote them by hand.
    pub fn has_open_values(&self) -> bool {
        let is_open = |plain: &Plain| match plain {
            Plain::Text(text) => !text.is_empty() && !std::str::from_utf8(text).is_ok_and(is_sealed),
            _ => true,
        };
        let is_open = |content: &Content<'_>| match &content.kind {
            Kind::Value { plain, .. } => content.encrypted && is_open(plain),
            Kind::Comment { .. } => false,
        };
        contents(&self.document, &self.metadata.rule).is_ok_and(|found| found.iter().any(is_open))
    }

    /// Its values as they stand in the file, by their addresses; no key is needed for that.
    pub fn sealed(&self) -> Result<BTreeMap<String, String>, SopsError> {
        let found = contents(&self.document, &self.metadata.rule)?;
        let value = |content: &Content<'_>| match &content.kind {
            Kind::Value { plain, .. } => {
                Some((shown(&content.steps), String::from_utf8_lossy(&plain.bytes()).into_owned()))
            }
            Kind::Comment { .. } => None,
        };
        Ok(found.iter().filter_map(value).collect())
    }

    /// The addresses of the values that stand there otherwise than in `new`, or that it has no more. Under the same data key those are
    /// the ones that are others.
    pub fn replaced_by(&self, new: &Self) -> Result<Vec<String>, SopsError> {
        let new = new.sealed()?;
        let others = self.sealed()?.into_iter().filter(|(address, text)| new.get(address) != Some(text));
        Ok(others.map(|(address, _)| address).collect())
    }

    /// Its data key.
    pub fn data_key(&self, identities: &Identities) -> Result<DataKey, SopsError> {
        unwrap(&self.metadata.recipients, identities)
    }

    /// Checks that the key opens it and that nothing was tampered with.
    pub fn verify(&self, key: &DataKey) -> Result<(), SopsError> {
        open(&self.document, &self.metadata, key).map(drop)
    }

    /// The file in the clear.
    pub fn decrypt(&self, key: &DataKey) -> Result<Zeroizing<Vec<u8>>, SopsError> {
        let opened = open(&self.document, &self.metadata, key)?;
        if self.format == Format::Binary {
            return data(&opened);
        }
        let text = self.plaintext(&opened, true);
        text.or_else(|_| self.plaintext(&opened, false)).map(|text| Zeroizing::new(text.as_bytes().to_vec()))
    }

    /// One value.
    pub fn value(&self, key: &DataKey, address: &[Step]) -> Result<Plain, SopsError> {
        let opened = open(&self.document, &self.metadata, key)?;
        match find(&opened, address)?.kind {
            Kind::Value { ref plain, .. } => Ok(plain.clone()),
            Kind::Comment { .. } => Err(SopsError::NotAValue(shown(address))),
        }
    }

    /// The file with another value in a place that has one. All else keeps its bytes, but the MAC and the time.
    pub fn set(&self, key: &DataKey, address: &[Step], value: Plain, now: Timestamp) -> Result<String, SopsError> {
        self.one_document()?;
        let mut opened = open(&self.document, &self.metadata, key)?;
        let place = find(&opened, address)?;
        let at = opened.iter().position(|content| std::ptr::eq(content, place)).unwrap_or_default();
        let content = &mut opened[at];
        let Kind::Value { leaf, plain } = &mut content.kind else {
            return Err(SopsError::NotAValue(shown(address)));
        };
        *plain = value;
        let new = if content.encrypted {
            self.format.sealed(leaf, &seal(plain, key, &Nonce::random(), &content.aad)?)
        } else {
            self.format.plain(plain, leaf, &self.text, false)?
        };
        let edits = vec![(leaf.span.clone(), new)];
        self.finish(&splice(&self.text, edits), key, &opened, now)
    }

    /// The file from its plaintext after that was edited. What did not change keeps its bytes.
    pub fn edited(&self, key: &DataKey, plaintext: &[u8], now: Timestamp) -> Result<String, SopsError> {
        self.one_document()?;
        let opened = open(&self.document, &self.metadata, key)?;
        let envelope = envelope(self.format, plaintext)?;
        let document = self.format.parse(&envelope)?;
        let contents = new_contents(self.format, &document, &self.metadata.rule, plaintext)?;
        let body = encrypt_body(self.format, &envelope, &contents, key, &nonces(&opened))?;
        let text = self.format.join(&body, &Format::block(&self.text, &self.document))?;
        self.finish(&text, key, &contents, now)
    }

    /// The file under a new data key, for these recipients.
    pub fn rotated(
        &self,
        key: &DataKey,
        recipients: &[Recipient],
        ask: &Arc<dyn Ask>,
        now: Timestamp,
    ) -> Result<(String, DataKey), SopsError> {
        self.one_document()?;
        self.native()?;
        let opened = open(&self.document, &self.metadata, key)?;
        let new = DataKey::random();
        let mut edits = sealed_edits(self.format, &opened, &new, &BTreeMap::new())?;
        edits.extend(self.format.recipients(&self.text, &self.document, &wrap(&new, recipients, ask)?)?);
        let text = self.finish(&splice(&self.text, edits), &new, &opened, now)?;
        Ok((text, new))
    }

    /// The file for these recipients and no others, under the same data key. Only the list of recipients changes.
    ///
    /// Whoever was a recipient before may have kept the data key: [`SopsFile::rotated`] helps against that.
    pub fn for_recipients(
        &self,
        key: &DataKey,
        recipients: &[Recipient],
        ask: &Arc<dyn Ask>,
    ) -> Result<String, SopsError> {
        self.one_document()?;
        self.native()?;
        let opened = open(&self.document, &self.metadata, key)?;
        let kept = |recipient: &Recipient| {
            self.metadata.recipients.iter().find(|one| one.recipient == recipient.to_string()).cloned()
        };
        let mut wrapped: Vec<Wrapped> = Vec::new();
        for recipient in recipients {
            if wrapped.iter().any(|there| there.recipient == recipient.to_string()) {
                continue;
            }
            match kept(recipient) {
                Some(one) => wrapped.push(one),
                None => wrapped.extend(wrap(key, std::slice::from_ref(recipient), ask)?),
            }
        }
        if wrapped.is_empty() {
            return Err(SopsError::NoRecipient);
        }
        let edits = self.format.recipients(&self.text, &self.document, &wrapped)?;
        let text = splice(&self.text, edits).to_string();
        let new = reopened(self.format, &text, key, &opened)?;
        let same =
            new.metadata.recipients.iter().map(|one| &one.recipient).eq(wrapped.iter().map(|one| &one.recipient));
        if same { Ok(text) } else { Err(SopsError::NotWhatWasMeant) }
    }

    /// Whether its recipients are others than these.
    pub fn drifted(&self, recipients: &[Recipient]) -> bool {
        let mut there: Vec<_> = self.recipients().map(str::to_owned).collect();
        let mut wanted: Vec<_> = recipients.iter().map(ToString::to_string).collect();
        there.sort_unstable();
        wanted.sort_unstable();
        wanted.dedup();
        there != wanted
    }

    fn native(&self) -> Result<(), SopsError> {
        if self.foreign().is_empty() { Ok(()) } else { Err(SopsError::Foreign(self.foreign().join(", "))) }
    }

    fn one_document(&self) -> Result<(), SopsError> {
        if self.document.roots.len() < 2 {
            return Ok(());
        }
        Err(SopsError::Unwritable("it has several YAML documents, which hubctl reads but does not change"))
    }

    /// The text without encryption, or an error when it would not read back.
    fn plaintext(&self, opened: &[Content<'_>], blocks: bool) -> Result<Zeroizing<String>, SopsError> {
        let mut edits: Edits = Vec::new();
        for content in opened.iter().filter(|content| content.nonce.is_some()) {
            let new = match &content.kind {
                Kind::Value { leaf, plain } => self.format.plain(plain, leaf, &self.text, blocks).at(&content.path)?,
                Kind::Comment { comment, plain } => self.format.comment(comment, plain)?,
            };
            edits.push((content.span().clone(), new));
        }
        edits.extend(self.document.block_spans.iter().map(|span| (span.clone(), Zeroizing::default())));
        let text = splice(&self.text, edits);
        let document = self.format.parse(&text)?;
        same(self.format, &plain_contents(&document, &self.metadata.rule)?, opened)?;
        Ok(text)
    }

    /// Gives a changed text its MAC, and makes sure that it holds what it should.
    fn finish(&self, text: &str, key: &DataKey, expected: &[Content<'_>], now: Timestamp) -> Result<String, SopsError> {
        let mac = mac(expected, self.metadata.mac_only_encrypted);
        let text = with_mac(self.format, text, key, &mac, now)?;
        reopened(self.format, &text, key, expected)?;
        Ok(text)
    }
}

/// Encrypts a new file.
pub fn create(
    format: Format,
    plaintext: &[u8],
    settings: &Settings,
    recipients: &[Recipient],
    ask: &Arc<dyn Ask>,
    now: Timestamp,
) -> Result<String, SopsError> {
    let key = DataKey::random();
    let envelope = envelope(format, plaintext)?;
    let document = format.parse(&envelope)?;
    if document.roots.len() > 1 {
        return Err(SopsError::Unwritable("it has several YAML documents, which hubctl does not encrypt"));
    }
    let contents = new_contents(format, &document, &settings.rule, plaintext)?;
    let body = encrypt_body(format, &envelope, &contents, &key, &BTreeMap::new())?;
    let block = new_block(format, &body, &wrap(&key, recipients, ask)?, settings)?;
    let text = format.join(&body, &block)?;
    let text = with_mac(format, &text, &key, &mac(&contents, settings.mac_only_encrypted), now)?;
    reopened(format, &text, &key, &contents)?;
    Ok(text)
}

fn new_block(format: Format, body: &str, recipients: &[Wrapped], wanted: &Settings) -> Result<String, SopsError> {
    // The MAC comes last; until then its place is taken.
    let epoch = Timestamp::UNIX_EPOCH.to_string();
    format.new_block(body, recipients, &settings(&wanted.rule, wanted.mac_only_encrypted, &epoch, "none"))
}

/// The envelope of a binary file, which is still empty, and any other file as it is.
fn envelope(format: Format, plaintext: &[u8]) -> Result<Zeroizing<String>, SopsError> {
    let text = if format == Format::Binary { "{\n\t\"data\": \"\"\n}\n" } else { utf8(plaintext)? };
    Ok(Zeroizing::new(text.to_owned()))
}

/// The contents of a plaintext; those of a binary file are all of it, whatever bytes it has.
fn new_contents<'d>(
    format: Format,
    document: &'d Document,
    rule: &Rule,
    plaintext: &[u8],
) -> Result<Vec<Content<'d>>, SopsError> {
    let mut found = plain_contents(document, rule)?;
    if format == Format::Binary {
        for content in &mut found {
            if !content.encrypted {
                return Err(SopsError::Unwritable(
                    "the rule for what is encrypted leaves all of a binary file readable",
                ));
            }
            if let Kind::Value { plain, .. } = &mut content.kind {
                *plain = Plain::Text(Zeroizing::new(plaintext.to_vec()));
            }
        }
    }
    Ok(found)
}

fn data(opened: &[Content<'_>]) -> Result<Zeroizing<Vec<u8>>, SopsError> {
    match find(opened, &[Step::Key("data".to_owned())])?.kind {
        Kind::Value { ref plain, .. } => Ok(plain.bytes()),
        Kind::Comment { .. } => Err(SopsError::NoSuchKey("data".to_owned())),
    }
}

/// The contents of a plaintext.
fn plain_contents<'d>(document: &'d Document, rule: &Rule) -> Result<Vec<Content<'d>>, SopsError> {
    if document.block.is_some() || !document.block_spans.is_empty() {
        return Err(SopsError::AlreadyEncrypted);
    }
    contents(document, rule)
}

fn find<'c, 'd>(opened: &'c [Content<'d>], address: &[Step]) -> Result<&'c Content<'d>, SopsError> {
    let values = opened.iter().filter(|content| matches!(content.kind, Kind::Value { .. }));
    let mut inside = false;
    for content in values {
        if same_way(address, &content.steps) {
            return Ok(content);
        }
        inside |= content.steps.len() > address.len() && same_way(address, &content.steps[..address.len()]);
    }
    let shown = shown(address);
    Err(if inside { SopsError::NotAValue(shown) } else { SopsError::NoSuchKey(shown) })
}

/// What tells a value of one place from all others.
type Sameness = (String, [u8; 32]);

fn sameness(content: &Content<'_>) -> Sameness {
    let (name, bytes) = match &content.kind {
        Kind::Value { plain, .. } => (plain.type_name(), plain.bytes()),
        Kind::Comment { plain, .. } => ("comment", Zeroizing::new(plain.as_bytes().to_vec())),
    };
    let mut hash = blake3::Hasher::new();
    hash.update(name.as_bytes()).update(b":").update(&bytes);
    (content.aad.clone(), *hash.finalize().as_bytes())
}

/// The nonces of a file, so that what stays the same keeps its own.
fn nonces(opened: &[Content<'_>]) -> BTreeMap<Sameness, Nonce> {
    opened.iter().filter_map(|content| Some((sameness(content), content.nonce.clone()?))).collect()
}

fn encrypt_body(
    format: Format,
    text: &str,
    contents: &[Content<'_>],
    key: &DataKey,
    nonces: &BTreeMap<Sameness, Nonce>,
) -> Result<Zeroizing<String>, SopsError> {
    Ok(splice(text, sealed_edits(format, contents, key, nonces)?))
}

/// What to change for everything to be encrypted that the rule says.
fn sealed_edits(
    format: Format,
    contents: &[Content<'_>],
    key: &DataKey,
    nonces: &BTreeMap<Sameness, Nonce>,
) -> Result<Edits, SopsError> {
    let mut edits = Vec::new();
    for content in contents.iter().filter(|content| content.encrypted) {
        let nonce = nonces.get(&sameness(content)).cloned().unwrap_or_else(Nonce::random);
        let new = match &content.kind {
            Kind::Value { plain, .. } if plain.is_empty() => continue,
            Kind::Value { leaf, plain } => {
                format.sealed(leaf, &seal(plain, key, &nonce, &content.aad).at(&content.path)?)
            }
            Kind::Comment { plain, .. } if plain.is_empty() => continue,
            Kind::Comment { plain, .. } => Zeroizing::new(seal_comment(plain, key, &nonce, &content.aad)?),
        };
        edits.push((content.span().clone(), new));
    }
    Ok(edits)
}

/// A file with another MAC, made now.
fn with_mac(format: Format, text: &str, key: &DataKey, mac: &str, now: Timestamp) -> Result<String, SopsError> {
    let document = format.parse(text).map_err(|_| SopsError::NotWhatWasMeant)?;
    let fields = document.block.as_deref().ok_or(SopsError::NotWhatWasMeant)?;
    let modified = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let sealed = seal(&Plain::text(mac), key, &Nonce::random(), &modified)?;
    let edits = fields.iter().filter_map(|field| match field.name.as_str() {
        "mac" => Some((field.span.clone(), Zeroizing::new(format.setting(&document, &sealed)))),
        "lastmodified" => Some((field.span.clone(), Zeroizing::new(format.setting(&document, &modified)))),
        _ => None,
    });
    Ok(splice(text, edits.collect()).to_string())
}

/// Reads what was written, and makes sure that it holds what it should.
fn reopened(format: Format, text: &str, key: &DataKey, expected: &[Content<'_>]) -> Result<SopsFile, SopsError> {
    let file = SopsFile::parse(format, text.as_bytes()).map_err(|_| SopsError::NotWhatWasMeant)?;
    let opened = open(&file.document, &file.metadata, key).map_err(|_| SopsError::NotWhatWasMeant)?;
    let readable = opened.iter().any(|content| content.encrypted && content.nonce.is_none() && !is_empty(content));
    if readable {
        return Err(SopsError::NotWhatWasMeant);
    }
    same(format, &opened, expected)?;
    Ok(file)
}

fn is_empty(content: &Content<'_>) -> bool {
    match &content.kind {
        Kind::Value { plain, .. } => plain.is_empty(),
        Kind::Comment { plain, .. } => plain.is_empty(),
    }
}

/// Whether two files say the same.
fn same(format: Format, one: &[Content<'_>], other: &[Content<'_>]) -> Result<(), SopsError> {
    let equal = one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .all(|(one, other)| one.steps == other.steps && same_kind(format, &one.kind, &other.kind));
    if equal { Ok(()) } else { Err(SopsError::NotWhatWasMeant) }
}

fn same_kind(format: Format, one: &Kind<'_>, other: &Kind<'_>) -> bool {
    match (one, other) {
        (Kind::Value { plain: one, .. }, Kind::Value { plain: other, .. }) => {
            // Lines have no types, and no format but YAML has moments.
            let typeless = matches!(format, Format::Env | Format::Ini)
                || [one, other].iter().any(|plain| matches!(plain, Plain::Time(_) | Plain::Bytes(_)));
            one.bytes() == other.bytes() && (typeless || one.type_name() == other.type_name())
        }
        (Kind::Comment { plain: one, .. }, Kind::Comment { plain: other, .. }) => one == other,
        _ => false,
    }
}

mod variables;

pub use variables::Variables;

#[cfg(test)]
mod tests;
