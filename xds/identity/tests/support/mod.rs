//! What the tests of this crate share: authorities, SVIDs, hostile certificates, handshakes in memory.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use palisade_identity::authority::{ROOT_VALIDITY, SVID_VALIDITY};
use palisade_identity::{CertificateAuthority, IdentityStore, Svid, WorkloadKey};
use palisade_model::Principal;
use rcgen::string::Ia5String;
use rcgen::{CertificateParams, Issuer, KeyPair, SanType};
use rustls::{ClientConfig, ClientConnection, Error, ServerConfig, ServerConnection};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

pub const DOMAIN: &str = "mesh.example";

pub fn authority() -> CertificateAuthority {
    palisade_identity::install_crypto();
    CertificateAuthority::create(DOMAIN, SystemTime::now(), ROOT_VALIDITY).unwrap()
}

pub fn principal(namespace: &str, account: &str) -> Principal {
    Principal::new(DOMAIN, namespace, account).unwrap()
}

pub fn svid(ca: &CertificateAuthority, principal: &Principal) -> Svid {
    svid_trusting(ca, principal, vec![ca.root().clone()])
}

pub fn svid_trusting(
    ca: &CertificateAuthority,
    principal: &Principal,
    bundle: Vec<CertificateDer<'static>>,
) -> Svid {
    let key = WorkloadKey::generate().unwrap();
    let csr = key.signing_request().unwrap();
    let issued = ca.sign(&csr, principal, SVID_VALIDITY, SystemTime::now()).unwrap();
    Svid::from_issued(issued.chain, &key, bundle).unwrap()
}

pub fn store(ca: &CertificateAuthority, namespace: &str, account: &str) -> Arc<IdentityStore> {
    IdentityStore::new(svid(ca, &principal(namespace, account)))
}

/// A leaf signed by `ca` with whatever `change` makes of it: what a broken or hostile authority would sign.
pub fn strange_leaf(
    ca: &CertificateAuthority,
    change: impl FnOnce(&mut CertificateParams),
) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.not_before = (SystemTime::now() - Duration::from_secs(60)).into();
    params.not_after = (SystemTime::now() + Duration::from_secs(3600)).into();
    params.subject_alt_names = vec![uri("spiffe://mesh.example/ns/shop/sa/web")];
    change(&mut params);
    let signer = Issuer::from_ca_cert_der(ca.root(), KeyPair::from_pem(&ca.key_pem()).unwrap()).unwrap();
    let leaf = params.signed_by(&key, &signer).unwrap().der().clone();
    (leaf, PrivateKeyDer::Pkcs8(key.serialize_der().into()))
}

pub fn uri(text: &str) -> SanType {
    SanType::URI(Ia5String::try_from(text).unwrap())
}

pub fn dns(text: &str) -> SanType {
    SanType::DnsName(Ia5String::try_from(text).unwrap())
}

/// Both ends after a handshake in memory.
pub struct Handshake {
    pub client: ClientConnection,
    pub server: ServerConnection,
}

pub fn shake(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> Result<Handshake, Error> {
    let name = ServerName::try_from("peer.invalid").unwrap();
    let mut client = ClientConnection::new(client.clone(), name)?;
    let mut server = ServerConnection::new(server.clone())?;
    // A TLS 1.3 handshake takes three flights; ten rounds leave room for alerts.
    for _ in 0..10 {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        let mut read = wire.as_slice();
        while !read.is_empty() {
            server.read_tls(&mut read).unwrap();
            server.process_new_packets()?;
        }
        let mut wire = Vec::new();
        server.write_tls(&mut wire).unwrap();
        let mut read = wire.as_slice();
        while !read.is_empty() {
            client.read_tls(&mut read).unwrap();
            client.process_new_packets()?;
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking(), "the handshake came to no end");
    Ok(Handshake { client, server })
}
