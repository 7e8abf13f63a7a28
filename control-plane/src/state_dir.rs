//! The private state directory, and the seam behind which the certificate authority's key rests.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use palisade_identity::authority::ROOT_VALIDITY;
use palisade_identity::{CertificateAuthority, IdentityError};

/// What can go wrong with the state directory.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file or directory.
    #[error("{path}: {error}")]
    File {
        /// Its path.
        path: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// The certificate authority that was found cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// It is of another trust domain than the one asked for.
    #[error("the certificate authority in {path} is of the trust domain {found}, not {wanted}")]
    TrustDomain {
        /// The directory.
        path: String,
        /// Its trust domain.
        found: String,
        /// The one asked for.
        wanted: String,
    },
}

/// Where the root and its key rest: a file today, a key management service later.
pub trait AuthorityKeys {
    /// Root certificate and key in PEM, if there are any.
    fn load(&self) -> Result<Option<(String, String)>, StateError>;
    /// Keeps them.
    fn save(&self, root: &str, key: &str) -> Result<(), StateError>;
}

/// A directory that only its owner can read.
#[derive(Clone, Debug)]
pub struct StateDir {
    path: PathBuf,
}

impl StateDir {
    /// Makes the directory if it is missing, and makes it private.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
        let at = |error| file_error(path, error);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(at)?;
        Ok(Self { path: path.to_owned() })
    }

    /// The database file.
    pub fn database(&self) -> PathBuf {
        self.path.join("palisade.db")
    }

    /// The root certificate's file; public.
    pub fn root_certificate(&self) -> PathBuf {
        self.path.join("root.pem")
    }

    fn root_key(&self) -> PathBuf {
        self.path.join("root.key")
    }
}

impl AuthorityKeys for StateDir {
    fn load(&self) -> Result<Option<(String, String)>, StateError> {
        let read = |path: PathBuf| match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(file_error(&path, error)),
        };
        match (read(self.root_certificate())?, read(self.root_key())?) {
            (Some(root), Some(key)) => Ok(Some((root, key))),
            (None, None) => Ok(None),
            // Making a new root would silently cut off every workload.
            (Some(_), None) => Err(file_error(&self.root_key(), std::io::ErrorKind::NotFound.into())),
            (None, Some(_)) => Err(file_error(&self.root_certificate(), std::io::ErrorKind::NotFound.into())),
        }
    }

    fn save(&self, root: &str, key: &str) -> Result<(), StateError> {
        write_private(&self.root_key(), key)?;
        write_private(&self.root_certificate(), root)
    }
}

/// The certificate authority at rest, or a new one at the first start.
pub fn certificate_authority(
    keys: &dyn AuthorityKeys,
    trust_domain: &str,
    place: &Path,
    now: SystemTime,
) -> Result<CertificateAuthority, StateError> {
    let authority = match keys.load()? {
        Some((root, key)) => CertificateAuthority::from_pem(root.as_bytes(), &key)?,
        None => {
            let authority = CertificateAuthority::create(trust_domain, now, ROOT_VALIDITY)?;
            keys.save(&authority.root_pem(), &authority.key_pem())?;
            authority
        }
    };
    if authority.trust_domain() != trust_domain {
        return Err(StateError::TrustDomain {
            path: place.display().to_string(),
            found: authority.trust_domain().to_owned(),
            wanted: trust_domain.to_owned(),
        });
    }
    Ok(authority)
}

/// Writes a file that only its owner can read: complete or not at all.
pub fn write_private(path: &Path, text: &str) -> Result<(), StateError> {
    use std::os::unix::fs::OpenOptionsExt;
    let at = |error| file_error(path, error);
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    // A left-over of an interrupted write may have another mode.
    match std::fs::remove_file(&part) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(at(error)),
        _ => {}
    }
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part).map_err(at)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(at)?;
    std::fs::rename(&part, path).map_err(at)
}

fn file_error(path: &Path, error: std::io::Error) -> StateError {
    StateError::File { path: path.display().to_string(), error }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_authority_is_made_once_and_its_files_are_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let state = StateDir::open(&path).unwrap();
        let make = |domain: &str| certificate_authority(&state, domain, &path, SystemTime::now());
        let first = make("mesh.example").unwrap();
        let again = make("mesh.example").unwrap();
        assert_eq!(first.root(), again.root());
        assert!(make("other.example").unwrap_err().to_string().contains("mesh.example"));
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&state.root_key()), 0o600);
    }

    #[test]
    fn a_lost_key_is_an_error_and_not_a_new_root() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        let make = || certificate_authority(&state, "mesh.example", folder.path(), SystemTime::now());
        make().unwrap();
        std::fs::remove_file(state.root_key()).unwrap();
        assert!(make().is_err());
        std::fs::write(state.root_key(), "garbage").unwrap();
        assert!(make().is_err());
    }

    #[test]
    fn a_private_file_replaces_an_open_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "old").unwrap();
        std::fs::write(folder.path().join("token.part"), "left over").unwrap();
        write_private(&path, "new").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(mode(&path), 0o600);
    }
}
