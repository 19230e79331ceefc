//! What can be wrong with a SOPS file.

use thiserror::Error;

/// Why a SOPS file cannot be read or written. No message holds a value of the file.
#[derive(Debug, Error)]
pub enum SopsError {
    /// It is not in the format that its name says.
    #[error("line {line}: {what}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        what: String,
    },
    /// It has no block of SOPS.
    #[error("it is not encrypted by SOPS: it has no `sops` block")]
    NotEncrypted,
    /// It has a block of SOPS where none may be.
    #[error("it has a `sops` block already, or a key that is reserved for it")]
    AlreadyEncrypted,
    /// The block of SOPS lacks something or says what cannot be.
    #[error("its `sops` block {0}")]
    Metadata(String),
    /// Its data key is in pieces, of which each group of keys holds one.
    #[error("its key is shared between groups of keys (Shamir)")]
    Shamir,
    /// It has recipients that only `sops` can write to.
    #[error("it has recipients that hubctl cannot encrypt to: {0}")]
    Foreign(String),
    /// None of the identities is one of its recipients.
    #[error("none of the identities opens it; its recipients are {0}")]
    NoIdentity(String),
    /// What a recipient's part holds is no key.
    #[error("what it holds for its recipients is no data key of 32 bytes")]
    BadDataKey,
    /// A value that should be encrypted is not.
    #[error("a value is not encrypted as SOPS does it")]
    NotSealed,
    /// A value was changed, or moved to another key.
    #[error("a value was changed, or moved from another key, since it was encrypted")]
    Tampered,
    /// An encrypted value is not what its type says.
    #[error("a value is not of the type that it was encrypted as")]
    BadPlaintext,
    /// The type of a value is none of SOPS's.
    #[error("a value has the unknown type `{0}`")]
    UnknownType(String),
    /// The same, for the value of a key.
    #[error("`{key}`: {source}")]
    At {
        /// The path of the key.
        key: String,
        /// What is wrong with its value.
        source: Box<SopsError>,
    },
    /// The values are not those over which the MAC was made.
    #[error("its MAC does not match: values were changed, added, removed or put in another order without SOPS")]
    MacMismatch,
    /// A value is too large for AES-GCM.
    #[error("a value is too large to be encrypted")]
    TooLarge,
    /// There is no value at this address.
    #[error("it has no value `{0}`")]
    NoSuchKey(String),
    /// What stands there is not a single value.
    #[error("`{0}` is not a single value")]
    NotAValue(String),
    /// A value that no variable can hold, since it is below another key.
    #[error("`{0}` is below another key, so that it is no variable")]
    NotFlat(String),
    /// The format has no way to write it.
    #[error("{0}")]
    Unwritable(&'static str),
    /// What was written does not read back as it was meant, so it is not used.
    #[error("the changed file does not read back as it was meant")]
    NotWhatWasMeant,
    /// A rule of `.sops.yaml` or of the `sops` block has an expression that is none.
    #[error("`{0}` is not a regular expression")]
    Regex(String),
    /// There is nobody to encrypt to.
    #[error("it would have no recipient")]
    NoRecipient,
    /// A rule of `.sops.yaml` is not as SOPS wants it.
    #[error("{0}")]
    Rules(String),
    /// No rule of `.sops.yaml` is for the file.
    #[error("no rule of .sops.yaml matches its path")]
    NoRule,
    /// A change of `.sops.yaml` would change more than it should.
    #[error(".sops.yaml names the recipients in a way that hubctl cannot change without changing more")]
    TooClever,
    /// There is no file yet.
    #[error("it is not there yet")]
    Missing,
    /// Whoever runs this could not read the file any more.
    #[error("none of your identities would be a recipient any more")]
    LocksOut,
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// The layer of age failed.
    #[error(transparent)]
    Age(#[from] crate::secrets::age::AgeError),
}

impl SopsError {
    /// What the user can do; `file` as it is to be written in a command.
    pub fn hint(&self, file: &str) -> Option<String> {
        match self {
            Self::Shamir | Self::Foreign(_) => {
                Some(format!("use the `sops` program for this one, such as `sops {file}` or `sops updatekeys {file}`"))
            }
            Self::MacMismatch | Self::Tampered => Some(format!(
                "look at what changed with `git log -p {file}`; a merge of two changes breaks the MAC too: \
                 take one side, and make the other change again"
            )),
            Self::NoIdentity(_) => Some(
                "give an identity with `--identity`, in SOPS_AGE_KEY_FILE or in ~/.config/sops/age/keys.txt".to_owned(),
            ),
            Self::NoSuchKey(_) | Self::NotAValue(_) => Some("write the path as `a/b/0`".to_owned()),
            Self::NotFlat(_) => Some(format!(
                "name the values with --value, or the variable that all of the file is to be in: `{file}=VAR`"
            )),
            Self::NoRule => Some(format!("add a rule to .sops.yaml whose `path_regex` matches `{file}`")),
            Self::TooClever => Some("change it by hand".to_owned()),
            Self::Missing => Some(format!("give it a content: `hubctl secrets set {file}`")),
            Self::LocksOut => Some("add your key to its rule in .sops.yaml, or do it with --force".to_owned()),
            Self::At { source, .. } => source.hint(file),
            Self::Age(error) => error.hint(),
            _ => None,
        }
    }
}

/// Names the key whose value is at fault.
pub(super) trait At<T> {
    /// Adds the path of a key to an error.
    fn at(self, path: &[String]) -> Result<T, SopsError>;
}

impl<T> At<T> for Result<T, SopsError> {
    fn at(self, path: &[String]) -> Result<T, SopsError> {
        self.map_err(|source| SopsError::At { key: path.join("/"), source: Box::new(source) })
    }
}
