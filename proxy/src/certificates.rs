//! Ordinary server certificates of a gateway, by name, from a directory: `<name>.crt` and `<name>.key`, PEM.
//!
//! Promises: the certificate whose names fit the SNI is shown, an exact name before a wildcard; without SNI or a fit,
//! the listener's first; a changed file is taken into use without a restart, a broken one keeps the one before. No
//! session is resumed without its ticket keys leaving the process: tickets are off.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::tls::{H2, HTTP11};

/// How often the directory is looked at.
const POLL: Duration = Duration::from_secs(1);

/// Why a certificate is not in use.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct CertificateError {
    file: PathBuf,
    problem: String,
}

/// All certificates of the directory.
#[derive(Debug, Default)]
pub struct Certificates {
    by_name: ArcSwap<HashMap<String, Arc<Loaded>>>,
}

#[derive(Debug)]
struct Loaded {
    key: Arc<CertifiedKey>,
    names: Vec<String>,
    stamp: Stamp,
}

type Stamp = (Option<SystemTime>, Option<SystemTime>);

impl Certificates {
    /// Loads the directory, and again whenever a file changes.
    pub fn watch(self: &Arc<Self>, directory: PathBuf) {
        self.load(&directory);
        let this = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(POLL).await;
                let (again, path) = (this.clone(), directory.clone());
                if tokio::task::spawn_blocking(move || again.load(&path)).await.is_err() {
                    tracing::error!("reading certificates broke");
                }
            }
        });
    }

    /// Loads what changed in the directory.
    pub fn load(&self, directory: &Path) {
        let before = self.by_name.load_full();
        let mut now = HashMap::new();
        let Ok(entries) = std::fs::read_dir(directory) else {
            tracing::warn!(directory = %directory.display(), "the certificate directory cannot be read");
            return;
        };
        let mut changed = false;
        for path in entries.flatten().map(|entry| entry.path()) {
            let Some(name) = name_of(&path) else { continue };
            let known = before.get(&name);
            let stamp = stamp(&path);
            if let Some(known) = known.filter(|known| known.stamp == stamp) {
                now.insert(name, known.clone());
                continue;
            }
            match read(&path, stamp) {
                Ok(loaded) => {
                    tracing::info!(name, names = ?loaded.names, "certificate in use");
                    now.insert(name, Arc::new(loaded));
                    changed = true;
                }
                Err(error) => {
                    tracing::warn!(%error, "certificate refused; the one before stays in use");
                    if let Some(known) = known {
                        now.insert(name, known.clone());
                    }
                }
            }
        }
        if changed || now.len() != before.len() {
            self.by_name.store(Arc::new(now));
        }
    }

    /// A configuration for a listener that shows these certificates.
    pub fn server_config(self: &Arc<Self>, names: &[String]) -> Result<Arc<ServerConfig>, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Resolver { all: self.clone(), names: names.to_vec() }));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        config.alpn_protocols = vec![H2.to_vec(), HTTP11.to_vec()];
        Ok(Arc::new(config))
    }

    fn choose(&self, names: &[String], sni: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let all = self.by_name.load();
        let offered: Vec<_> = names.iter().filter_map(|name| all.get(name)).collect();
        let fits = |wanted: &str| offered.iter().find(|one| one.names.iter().any(|name| name == wanted));
        let chosen = sni.and_then(|sni| {
            let sni = sni.to_ascii_lowercase();
            let wildcard = sni.split_once('.').map(|(_, rest)| format!("*.{rest}"));
            fits(&sni).or_else(|| wildcard.and_then(|wildcard| fits(&wildcard)))
        });
        chosen.or(offered.first()).map(|one| one.key.clone())
    }
}

#[derive(Debug)]
struct Resolver {
    all: Arc<Certificates>,
    names: Vec<String>,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.all.choose(&self.names, hello.server_name())
    }
}

fn name_of(path: &Path) -> Option<String> {
    (path.extension()? == "crt").then(|| path.file_stem()?.to_str().map(str::to_owned)).flatten()
}

fn stamp(path: &Path) -> Stamp {
    let modified = |path: &Path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    (modified(path), modified(&path.with_extension("key")))
}

fn read(path: &Path, stamp: Stamp) -> Result<Loaded, CertificateError> {
    let fail = |file: &Path, problem: String| CertificateError { file: file.to_owned(), problem };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| fail(path, error.to_string()))?;
    let leaf = chain.first().ok_or_else(|| fail(path, "no certificate in it".to_owned()))?;
    let names = dns_names(leaf).map_err(|problem| fail(path, problem))?;
    let key_file = path.with_extension("key");
    let key = PrivateKeyDer::from_pem_file(&key_file).map_err(|error| fail(&key_file, error.to_string()))?;
    let key =
        aws_lc_rs::sign::any_supported_type(&key).map_err(|error| fail(&key_file, error.to_string()))?;
    let key = CertifiedKey::new(chain, key);
    key.keys_match().map_err(|error| fail(&key_file, error.to_string()))?;
    Ok(Loaded { key: Arc::new(key), names, stamp })
}

fn dns_names(leaf: &CertificateDer<'_>) -> Result<Vec<String>, String> {
    palisade_identity::certificate::dns_names(leaf).map_err(|error| error.to_string())
}
