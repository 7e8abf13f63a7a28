//! A policy from a file: taken at the start, and again whenever the file, its rule sets or its PEM files change.
//!
//! Promises: a file that is wrong changes nothing and is logged with its place; it is read again only when it changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use palisade_identity::{IdentityError, Svid};
use palisade_loader::policy_file::{IdentityFiles, PolicyFile};
use palisade_loader::{LoadError, policy_file};

use super::update::{UpdateError, Updater};

/// How often the files are looked at.
pub const POLL: Duration = Duration::from_millis(250);
/// Files that are watched, the policy's own among them: a look at each takes some microseconds, four times a second. More
/// are loaded all the same but their changes are not seen.
const WATCHED_FILES: usize = 10_000;

/// Why a policy file is not in force.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file itself.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// What it says.
    #[error(transparent)]
    Update(#[from] UpdateError),
    /// The PEM files it names.
    #[error("{0}: {1}")]
    Pem(PathBuf, std::io::Error),
    /// The identity in them.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The trust domain it declares is not that of the certificate.
    #[error("identity.trustDomain: the certificate is of {0}, not of {1}")]
    TrustDomain(String, String),
}

/// A policy file with how its files looked before they were read: whatever changes them after that is seen.
#[derive(Debug)]
pub struct Watched {
    /// What was read.
    pub file: PolicyFile,
    stamps: Stamps,
    pem: Stamps,
}

/// Reads a policy file off the reactor.
pub async fn load(path: &Path) -> Result<Watched, LoadError> {
    let owned = path.to_owned();
    match tokio::task::spawn_blocking(move || read(&owned)).await {
        Ok(result) => result,
        Err(error) => {
            tracing::error!(%error, "reading the policy file broke");
            read(path)
        }
    }
}

/// The first reading tells which directories to look at, so what they hold is read once more.
fn read(path: &Path) -> Result<Watched, LoadError> {
    let directories = policy_file::load(path)?.rule_set_directories;
    let stamps = stamps(path, &directories);
    let file = policy_file::load(path)?;
    let pem = pem_stamps(&file);
    Ok(Watched { file, stamps, pem })
}

/// The SVID that a policy file names.
pub fn svid(files: &IdentityFiles) -> Result<Svid, FileError> {
    let read = |path: &PathBuf| std::fs::read(path).map_err(|error| FileError::Pem(path.clone(), error));
    let svid = Svid::from_pem(&read(&files.certificate)?, &read(&files.key)?, &read(&files.trust_bundle)?)?;
    let domain = svid.principal().trust_domain();
    if domain != files.trust_domain {
        return Err(FileError::TrustDomain(domain.to_owned(), files.trust_domain.clone()));
    }
    Ok(svid)
}

/// Watches until the process ends. `loaded` is what is in force.
pub async fn watch(path: PathBuf, loaded: Watched, updater: Arc<Updater>) {
    let mut watched = loaded;
    loop {
        tokio::time::sleep(POLL).await;
        let now = stamps(&path, &watched.file.rule_set_directories);
        if now != watched.stamps {
            // A file that cannot be read is not read again before it changes.
            watched.stamps = now;
            if let Some(again) = reload(&path, &updater).await {
                watched = Watched { pem: watched.pem, ..again };
            }
        }
        let now = pem_stamps(&watched.file);
        if now != watched.pem {
            watched.pem = now;
            rotate(&watched.file, &updater);
        }
    }
}

async fn reload(path: &Path, updater: &Updater) -> Option<Watched> {
    match load(path).await {
        Ok(read) => {
            // What is wrong with it was logged, and the one before is in force.
            let _ = updater.put(Arc::new(read.file.policy.clone()), &read.file.version).await;
            Some(read)
        }
        Err(error) => {
            updater.plane().telemetry.metrics.policy_arrived(false);
            tracing::warn!(%error, "policy file refused; the policy before stays in force");
            None
        }
    }
}

fn rotate(file: &PolicyFile, updater: &Updater) {
    let (Some(files), Some(identity)) = (&file.identity, updater.plane().identity()) else { return };
    let rotated = svid(files)
        .map_err(|error| error.to_string())
        .and_then(|svid| identity.store().rotate(svid).map_err(|error| error.to_string()));
    match rotated {
        Ok(generation) => tracing::info!(generation, "the SVID was rotated"),
        Err(error) => tracing::warn!(error, "the new SVID was refused; the one before stays in use"),
    }
}

type Stamps = BTreeMap<PathBuf, Option<(SystemTime, u64)>>;

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn stamps(path: &Path, rule_set_directories: &[PathBuf]) -> Stamps {
    let mut stamps = Stamps::from([(path.to_owned(), stamp(path))]);
    let mut directories = rule_set_directories.to_vec();
    while let Some(directory) = directories.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        for entry in entries.flatten() {
            if stamps.len() >= WATCHED_FILES {
                return stamps;
            }
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => directories.push(entry.path()),
                Ok(_) | Err(_) => {
                    let path = entry.path();
                    let stamp = stamp(&path);
                    stamps.insert(path, stamp);
                }
            }
        }
    }
    stamps
}

fn pem_stamps(file: &PolicyFile) -> Stamps {
    let Some(files) = &file.identity else { return Stamps::new() };
    [&files.certificate, &files.key, &files.trust_bundle]
        .into_iter()
        .map(|path| (path.clone(), stamp(path)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_watched_up_to_the_limit_and_none_over_it() {
        let temporary = tempfile::tempdir().unwrap();
        let (policy, rules) = (temporary.path().join("policy.yaml"), temporary.path().join("rules"));
        std::fs::create_dir_all(rules.join("more")).unwrap();
        for number in 0..WATCHED_FILES - 2 {
            std::fs::write(rules.join(number.to_string()), "").unwrap();
        }
        let watched = || stamps(&policy, std::slice::from_ref(&rules)).len();
        assert_eq!(watched(), WATCHED_FILES - 1, "the policy itself is one");
        for (name, expected) in [("at", WATCHED_FILES), ("over", WATCHED_FILES)] {
            std::fs::write(rules.join("more").join(name), "").unwrap();
            assert_eq!(watched(), expected, "{name}");
        }
    }
}
