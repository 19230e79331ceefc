//! The values of a file as variables of an environment.

use zeroize::Zeroizing;

use super::super::open::{Kind, open};
use super::super::tree::{Step, shown};
use super::super::value::Plain;
use super::{DataKey, SopsError, SopsFile};

/// Names of variables with their values, in the clear.
pub type Variables = Vec<(String, Zeroizing<Vec<u8>>)>;

impl SopsFile {
    /// The values at the top with their keys, in their order. A value below another key is an error: no variable holds a tree.
    pub fn variables(&self, key: &DataKey) -> Result<Variables, SopsError> {
        let mut found = Vec::new();
        for content in open(&self.document, &self.metadata, key)? {
            let Kind::Value { plain, .. } = content.kind else { continue };
            match content.steps.as_slice() {
                [Step::Key(name)] => found.push((name.clone(), text(&plain))),
                steps => return Err(SopsError::NotFlat(shown(steps))),
            }
        }
        Ok(found)
    }
}

/// A value as a program reads it: truth is written as in the file, and not as it is encrypted.
fn text(plain: &Plain) -> Zeroizing<Vec<u8>> {
    match plain {
        Plain::Bool(truth) => Zeroizing::new(truth.to_string().into_bytes()),
        plain => plain.bytes(),
    }
}
