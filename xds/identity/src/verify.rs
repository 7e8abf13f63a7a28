//! Who may be at the other end of a TLS connection between workloads.
//!
//! Promises: a handshake succeeds only if the peer's chain ends in our trust bundle, now, for the right usage, and its
//! leaf carries exactly one SPIFFE ID of our own trust domain; a server must also be one of the expected principals.

use std::sync::Arc;

use palisade_model::Principal;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, PeerIncompatible,
    RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::{ClientAuth, IdentityError, IdentityStore, certificate};

/// The one cryptography provider: aws-lc-rs, which prefers X25519MLKEM768.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: std::sync::OnceLock<Arc<CryptoProvider>> = std::sync::OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider())).clone()
}

/// The server's side: who calls us.
#[derive(Debug)]
pub struct MeshClientVerifier {
    store: Arc<IdentityStore>,
    client_auth: ClientAuth,
}

impl MeshClientVerifier {
    /// Takes callers of the store's trust domain.
    pub fn new(store: Arc<IdentityStore>, client_auth: ClientAuth) -> Self {
        Self { store, client_auth }
    }
}

impl ClientCertVerifier for MeshClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.client_auth == ClientAuth::Required
    }

    // The bundle may change under a configuration; a client of the mesh has one certificate and needs no hint.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let svid = self.store.current();
        let verified = svid.clients.verify_client_cert(end_entity, intermediates, now)?;
        peer_of_domain(end_entity, svid.principal().trust_domain())?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// The client's side: whom we call.
#[derive(Debug)]
pub struct MeshServerVerifier {
    store: Arc<IdentityStore>,
    expected: Vec<Principal>,
}

impl MeshServerVerifier {
    /// Takes servers that prove one of `expected`, which must be of the store's trust domain.
    pub fn new(store: Arc<IdentityStore>, expected: Vec<Principal>) -> Self {
        Self { store, expected }
    }
}

impl ServerCertVerifier for MeshServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let svid = self.store.current();
        verify_server_chain(end_entity, intermediates, &svid.roots, now)?;
        let principal = peer_of_domain(end_entity, svid.principal().trust_domain())?;
        if !self.expected.contains(&principal) {
            let problem = format!("the server is {principal}, which is not among the expected principals");
            return Err(refuse(IdentityError::Certificate(problem)));
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Whether a server's chain ends in these roots, now.
pub(crate) fn verify_server_chain(
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    roots: &RootCertStore,
    now: UnixTime,
) -> Result<(), Error> {
    let parsed = ParsedCertificate::try_from(end_entity)?;
    let algorithms = provider().signature_verification_algorithms.all;
    verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, algorithms)
}

fn peer_of_domain(end_entity: &CertificateDer<'_>, trust_domain: &str) -> Result<Principal, Error> {
    let principal = certificate::principal_of(end_entity).map_err(refuse)?;
    if principal.trust_domain() != trust_domain {
        let problem = format!("{principal} is not of the trust domain {trust_domain}");
        return Err(refuse(IdentityError::Certificate(problem)));
    }
    Ok(principal)
}

/// An identity error as rustls carries it.
pub(crate) fn refuse(error: IdentityError) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))))
}
