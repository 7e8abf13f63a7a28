//! A workload's identity document: certificate chain, key, and the roots it trusts others by.

use std::sync::Arc;

use palisade_model::Principal;
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::certificate::{self, LeafFacts};
use crate::verify::provider;
use crate::{IdentityError, WorkloadKey};

/// An X.509-SVID with its key and trust bundle. Immutable: a rotation makes a new one.
pub struct Svid {
    facts: LeafFacts,
    bundle: Vec<CertificateDer<'static>>,
    pub(crate) certified: Arc<CertifiedKey>,
    pub(crate) roots: Arc<RootCertStore>,
    pub(crate) clients: Arc<dyn ClientCertVerifier>,
}

impl Svid {
    /// Checks and takes a chain (leaf first), the leaf's key, and the roots to trust. Several roots may overlap
    /// while a certificate authority is replaced.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        bundle: Vec<CertificateDer<'static>>,
    ) -> Result<Self, IdentityError> {
        let leaf =
            chain.first().ok_or_else(|| IdentityError::Certificate("the chain is empty".to_owned()))?;
        let facts = certificate::leaf_facts(leaf)?;
        let mut roots = RootCertStore::empty();
        for root in &bundle {
            if !certificate::is_authority(root)? {
                let problem = "the trust bundle holds a certificate that is no authority's";
                return Err(IdentityError::Certificate(problem.to_owned()));
            }
            roots.add(root.clone())?;
        }
        if roots.is_empty() {
            return Err(IdentityError::Certificate("the trust bundle is empty".to_owned()));
        }
        let roots = Arc::new(roots);
        let certified = CertifiedKey::from_der(chain, key, &provider())?;
        let clients = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider())
            .build()
            .map_err(|error| IdentityError::Certificate(error.to_string()))?;
        Ok(Self { facts, bundle, certified: Arc::new(certified), roots, clients })
    }

    /// Reads PEM texts: the chain (leaf first), the key, the trust bundle.
    pub fn from_pem(chain: &[u8], key: &[u8], bundle: &[u8]) -> Result<Self, IdentityError> {
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| IdentityError::Pem { what: "private key", problem: error.to_string() })?;
        Self::new(
            certificate::certificates_from_pem("certificate chain", chain)?,
            key,
            certificate::certificates_from_pem("trust bundle", bundle)?,
        )
    }

    /// Takes a chain for a key made here.
    pub fn from_issued(
        chain: Vec<CertificateDer<'static>>,
        key: &WorkloadKey,
        bundle: Vec<CertificateDer<'static>>,
    ) -> Result<Self, IdentityError> {
        Self::new(chain, key.to_der(), bundle)
    }

    /// Who we are.
    pub fn principal(&self) -> &Principal {
        &self.facts.principal
    }

    /// The facts of the leaf.
    pub fn facts(&self) -> &LeafFacts {
        &self.facts
    }

    /// The chain, leaf first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }

    /// The roots.
    pub fn bundle(&self) -> &[CertificateDer<'static>] {
        &self.bundle
    }

    /// Whether it is valid at a time in seconds since the epoch.
    pub fn is_valid_at(&self, now: i64) -> bool {
        (self.facts.not_before..=self.facts.not_after).contains(&now)
    }
}

impl std::fmt::Debug for Svid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Svid")
            .field("principal", &self.facts.principal.to_string())
            .field("serial", &self.facts.serial)
            .field("not_after", &self.facts.not_after)
            .field("roots", &self.bundle.len())
            .finish_non_exhaustive()
    }
}
