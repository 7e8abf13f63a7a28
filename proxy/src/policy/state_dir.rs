//! The private directory that survives a restart: the last good policy, and the SVID with its key.
//!
//! Promises: the directory is 0700 and its files 0600; a file is written beside its place and renamed, so that there
//! is always a whole one; a file whose checksum is wrong is not read. It encrypts nothing: who can read the directory
//! as this user can read the process's memory too.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use palisade_model::Policy;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Bytes of one kept file; a policy with every rule set inline is smaller.
const MAX_BYTES: u64 = 256 * 1024 * 1024;
const POLICY: &str = "policy.json";
const IDENTITY: &str = "identity.json";

/// Why something could not be kept or read again.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file system said no.
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
    /// The content is not what was written.
    #[error("{0}: {1}")]
    Damaged(PathBuf, String),
}

/// The directory.
#[derive(Clone, Debug)]
pub struct StateDir {
    directory: PathBuf,
}

/// A kept policy.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptPolicy {
    /// Its version.
    pub version: String,
    /// The policy.
    pub policy: Policy,
}

/// A kept identity, all PEM.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptIdentity {
    /// The SVID and its intermediates.
    pub chain: String,
    /// Its private key.
    pub key: String,
    /// The roots.
    pub bundle: String,
}

impl StateDir {
    /// Opens or makes the directory, and closes it to others.
    pub fn open(directory: &Path) -> Result<Self, StateError> {
        let fail = |error| StateError::Io(directory.to_owned(), error);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(fail)?;
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).map_err(fail)?;
        Ok(Self { directory: directory.to_owned() })
    }

    /// Keeps the policy in force.
    pub fn keep_policy(&self, policy: &Policy, version: &str) -> Result<(), StateError> {
        #[derive(Serialize)]
        struct Kept<'a> {
            version: &'a str,
            policy: &'a Policy,
        }
        self.keep(POLICY, &Kept { version, policy })
    }

    /// The policy that was kept; none if there was never one.
    pub fn policy(&self) -> Result<Option<KeptPolicy>, StateError> {
        self.read(POLICY)
    }

    /// Keeps the identity in use.
    pub fn keep_identity(&self, identity: &KeptIdentity) -> Result<(), StateError> {
        self.keep(IDENTITY, identity)
    }

    /// The identity that was kept; none if there was never one.
    pub fn identity(&self) -> Result<Option<KeptIdentity>, StateError> {
        self.read(IDENTITY)
    }

    fn keep<T: Serialize>(&self, name: &str, value: &T) -> Result<(), StateError> {
        let path = self.directory.join(name);
        let damaged = |error: serde_json::Error| StateError::Damaged(path.clone(), error.to_string());
        let json = serde_json::to_vec(value).map_err(damaged)?;
        let beside = self.directory.join(format!("{name}.new"));
        let write = || -> io::Result<()> {
            let _ = fs::remove_file(&beside);
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
            file.write_all(checksum(&json).as_bytes())?;
            file.write_all(b"\n")?;
            file.write_all(&json)?;
            file.sync_all()?;
            fs::rename(&beside, &path)
        };
        write().map_err(|error| StateError::Io(path.clone(), error))
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StateError> {
        let path = self.directory.join(name);
        let Some(bytes) = bounded(&path, MAX_BYTES)? else { return Ok(None) };
        let damaged = |problem: String| StateError::Damaged(path.clone(), problem);
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (sum, json) = end
            .and_then(|end| bytes.split_at_checked(end))
            .ok_or_else(|| damaged("no checksum".to_owned()))?;
        let json = json.get(1..).unwrap_or_default();
        if sum != checksum(json).as_bytes() {
            return Err(damaged("the checksum is wrong".to_owned()));
        }
        serde_json::from_slice(json).map(Some).map_err(|error| damaged(error.to_string()))
    }
}

/// A file of at most so many bytes; none if there is no file.
fn bounded(path: &Path, most: u64) -> Result<Option<Vec<u8>>, StateError> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Ok(metadata) if metadata.len() > most => {
            return Err(StateError::Damaged(path.to_owned(), format!("more than {most} bytes")));
        }
        Ok(_) | Err(_) => {}
    }
    fs::read(path).map(Some).map_err(|error| StateError::Io(path.to_owned(), error))
}

fn checksum(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use palisade_model::WorkloadId;

    use super::*;

    #[test]
    fn what_is_kept_is_read_again_private_and_whole_or_not_at_all() {
        let temporary = tempfile::tempdir().unwrap();
        let directory = temporary.path().join("state");
        let state = StateDir::open(&directory).unwrap();
        assert!(state.policy().unwrap().is_none());
        let policy = Policy::empty(WorkloadId::local("shop", "web"));
        state.keep_policy(&policy, "7").unwrap();
        let kept = state.policy().unwrap().unwrap();
        assert_eq!((kept.version.as_str(), &kept.policy), ("7", &policy));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&directory), mode(&directory.join(POLICY))), (0o700, 0o600));

        let mut bytes = fs::read(directory.join(POLICY)).unwrap();
        *bytes.last_mut().unwrap() = b' ';
        fs::write(directory.join(POLICY), &bytes).unwrap();
        assert!(matches!(state.policy(), Err(StateError::Damaged(..))));
        fs::write(directory.join(POLICY), b"").unwrap();
        assert!(matches!(state.policy(), Err(StateError::Damaged(..))));
    }

    #[test]
    fn a_file_under_and_at_the_limit_is_read_and_over_it_refused_unread() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join(POLICY);
        assert_eq!(bounded(&path, 10).unwrap(), None);
        for (bytes, good) in [(9, true), (10, true), (11, false)] {
            fs::write(&path, vec![b'x'; bytes]).unwrap();
            assert_eq!(bounded(&path, 10).is_ok(), good, "{bytes}");
        }
        // Only its length is there: reading it would take the memory.
        fs::File::create(&path).unwrap().set_len(MAX_BYTES + 1).unwrap();
        let error = StateDir::open(temporary.path()).unwrap().policy().unwrap_err().to_string();
        assert!(error.contains("more than 268435456 bytes"), "{error}");
    }
}
