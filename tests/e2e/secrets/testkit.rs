//! The test vectors of age's makers: each says of itself what has to come of it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use hubctl::secrets::age::{AgeError, Header, Identities, Nobody};
use sha2::{Digest as _, Sha256};

/// The variable that names the folder of the vectors.
const FOLDER: &str = "HUBCTL_AGE_TESTKIT";

/// A vector.
struct Vector {
    name: String,
    expected: String,
    payload: Option<String>,
    identities: Vec<String>,
    passphrase: bool,
    file: Vec<u8>,
}

impl Vector {
    fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        let end = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap();
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let values = |key: &str| {
            let key = format!("{key}: ");
            head.lines().filter_map(|line| line.strip_prefix(&key)).map(str::to_owned).collect::<Vec<_>>()
        };
        let mut file = bytes[end + 2..].to_vec();
        if !values("compressed").is_empty() {
            file = inflated(&file);
        }
        Self {
            name: path.file_name().unwrap().to_string_lossy().into_owned(),
            expected: values("expect").remove(0),
            payload: values("payload").pop(),
            identities: values("identity"),
            passphrase: !values("passphrase").is_empty(),
            file,
        }
    }

    fn check(&self) -> Result<(), String> {
        let mut identities = Identities::new(Arc::new(Nobody));
        for identity in &self.identities {
            identities.add_text("the vector", identity).map_err(|error| error.to_string())?;
        }
        let found = identities.decrypt(&self.file);
        match (self.expected.as_str(), found) {
            ("success", Err(AgeError::Passphrase)) if self.passphrase => Ok(()),
            ("success", Ok(plain)) => {
                Header::of(&self.file).map_err(|error| format!("its header is refused: {error}"))?;
                let digest = format!("{:x}", Sha256::digest(&*plain));
                if self.payload.as_ref() == Some(&digest) { Ok(()) } else { Err("other content".to_owned()) }
            }
            ("success", Err(error)) => Err(format!("it fails: {error}")),
            (_, Ok(_)) => Err(format!("it succeeds, and should be a {}", self.expected)),
            (_, Err(_)) => Ok(()),
        }
    }
}

/// What zlib packed.
fn inflated(packed: &[u8]) -> Vec<u8> {
    let code = "import sys, zlib; sys.stdout.buffer.write(zlib.decompress(sys.stdin.buffer.read()))";
    let mut command = Command::new("python3");
    let mut child = command.args(["-c", code]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(packed).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    output.stdout
}

#[test]
#[expect(clippy::print_stderr, reason = "what is left out is said")]
fn the_vectors_of_age_come_out_as_they_should() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from).filter(|folder| folder.is_dir()) else {
        eprintln!("skipped: {FOLDER} names no folder of age's test vectors (github.com/C2SP/CCTV, age/testdata)");
        return;
    };
    let vectors: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| Vector::read(&entry.unwrap().path())).collect();
    let wrong: Vec<_> =
        vectors.iter().filter_map(|one| Some(format!("{}: {}", one.name, one.check().err()?))).collect();
    assert_eq!(wrong, Vec::<String>::new());
    assert!(vectors.len() > 100, "only {} vectors were found", vectors.len());
}
