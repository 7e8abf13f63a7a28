//! The SVID in use, and TLS configurations that always use the newest one.
//!
//! Promises: a rotation is one atomic store; the next handshake of every configuration made here uses it, without
//! rebuilding a configuration or closing a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use palisade_model::Principal;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ServerConfig, SignatureScheme};

use crate::verify::{MeshClientVerifier, MeshServerVerifier, provider};
use crate::{IdentityError, Svid};

/// Whether a server insists on a client certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// No certificate, no handshake.
    Required,
    /// A client may come without; one that shows a certificate must show a good one. For the control plane, where
    /// a workload that has no SVID yet asks for its first.
    Optional,
}

/// The SVID in use.
#[derive(Debug)]
pub struct IdentityStore {
    current: ArcSwap<Svid>,
    generation: AtomicU64,
}

impl IdentityStore {
    /// Starts with a first SVID.
    pub fn new(svid: Svid) -> Arc<Self> {
        Arc::new(Self { current: ArcSwap::from_pointee(svid), generation: AtomicU64::new(1) })
    }

    /// The SVID in use.
    pub fn current(&self) -> Arc<Svid> {
        self.current.load_full()
    }

    /// How many SVIDs there have been, from 1.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Takes a new SVID into use. One of another identity is refused, since connections judge peers by the trust
    /// domain and peers know us by the principal.
    pub fn rotate(&self, svid: Svid) -> Result<u64, IdentityError> {
        let current = self.current.load();
        if svid.principal() != current.principal() {
            return Err(IdentityError::Certificate(format!(
                "an SVID of {} cannot take the place of one of {}",
                svid.principal(),
                current.principal()
            )));
        }
        self.current.store(Arc::new(svid));
        Ok(self.generation.fetch_add(1, Ordering::AcqRel) + 1)
    }

    /// A configuration to serve workloads of our trust domain with. `alpn` in order of preference, e.g.
    /// `[b"h2", b"http/1.1"]`; empty: no ALPN.
    pub fn server_config(
        self: &Arc<Self>,
        client_auth: ClientAuth,
        alpn: &[&[u8]],
    ) -> Result<Arc<ServerConfig>, IdentityError> {
        let verifier = MeshClientVerifier::new(self.clone(), client_auth);
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::new(Resolver(self.clone())));
        // A resumed session skips certificate verification.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Arc::new(config))
    }

    /// A configuration to call a workload with. The server must prove one of `expected`; an empty list refuses every
    /// server.
    pub fn client_config(
        self: &Arc<Self>,
        expected: Vec<Principal>,
        alpn: &[&[u8]],
    ) -> Result<Arc<ClientConfig>, IdentityError> {
        let verifier = MeshServerVerifier::new(self.clone(), expected);
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous() // The verifier checks the chain and, instead of a host name, the SPIFFE ID.
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::new(Resolver(self.clone())));
        config.resumption = Resumption::disabled();
        config.enable_early_data = false;
        // Peers are found by identity, not by name.
        config.enable_sni = false;
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Arc::new(config))
    }
}

#[derive(Debug)]
struct Resolver(Arc<IdentityStore>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.current.load().certified.clone())
    }
}

impl ResolvesClientCert for Resolver {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.current.load().certified.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
