//! A certificate authority that signs what it is asked to, good and bad, and TLS clients that show it.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::stage::PATIENCE;

pub type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A certificate with its key.
pub struct Leaf {
    pem: String,
    der: CertificateDer<'static>,
    key: KeyPair,
}

impl Leaf {
    pub fn chain_pem(&self) -> &str {
        &self.pem
    }

    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }
}

pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root_pem: String,
    domain: String,
}

impl Authority {
    pub fn new(domain: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![uri(&format!("spiffe://{domain}"))];
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let root = params.self_signed(&key).unwrap();
        let root_pem = root.pem();
        Self { issuer: Issuer::new(params, key), root_pem, domain: domain.to_owned() }
    }

    /// A good workload certificate, changed.
    pub fn leaf(&self, change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![uri(&format!("spiffe://{}/ns/shop/sa/web", self.domain))];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let now = time::OffsetDateTime::now_utc();
        params.not_before = now - time::Duration::hours(1);
        params.not_after = now + time::Duration::hours(1);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        Leaf { pem: leaf.pem(), der: leaf.der().clone(), key }
    }

    /// A workload's certificate with these names.
    pub fn named(&self, names: &[&str]) -> Leaf {
        self.leaf(|params| params.subject_alt_names = names.iter().map(|name| uri(name)).collect())
    }

    /// An ordinary server's certificate.
    pub fn ordinary(&self, name: &str) -> Leaf {
        self.leaf(|params| params.subject_alt_names = vec![SanType::DnsName(name.try_into().unwrap())])
    }

    /// Writes the proxy's identity and gives the policy's field.
    pub fn identity(&self, dir: &TempDir) -> Value {
        let leaf = self.named(&[&format!("spiffe://{}/ns/shop/sa/server", self.domain)]);
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("own.crt", leaf.chain_pem());
        write("own.key", &leaf.key_pem());
        write("roots.crt", &self.root_pem);
        json!({
            "certificate": "own.crt", "key": "own.key", "trustBundle": "roots.crt", "trustDomain": self.domain,
        })
    }

    /// A client that shows no certificate.
    pub fn ordinary_client(&self) -> Arc<ClientConfig> {
        config(None, &[])
    }

    /// A client that shows this one.
    pub fn client(leaf: &Leaf, alpn: &[&str]) -> Arc<ClientConfig> {
        config(Some(leaf), alpn)
    }
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn config(leaf: Option<&Leaf>, alpn: &[&str]) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting(provider())));
    let mut config = match leaf {
        Some(leaf) => {
            let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf.key.serialize_der()));
            builder.with_client_auth_cert(vec![leaf.der.clone()], key).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// Connects and shakes hands.
pub fn tls_client(address: SocketAddr, config: Arc<ClientConfig>, sni: &str) -> io::Result<Tls> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let name = ServerName::try_from(sni.to_owned()).unwrap();
    let mut stream = StreamOwned::new(ClientConnection::new(config, name).map_err(io::Error::other)?, stream);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// The attacker does not care who serves.
#[derive(Debug)]
struct Trusting(Arc<CryptoProvider>);

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
