//! The certificate authority: signs the identity that was attested, whatever the request asks.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use palisade_model::Principal;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber, SubjectPublicKeyInfo,
};
use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

use crate::{IdentityError, certificate, spiffe};

/// How long a root is valid unless told otherwise: ten years.
pub const ROOT_VALIDITY: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// How long an SVID is valid unless told otherwise: a day.
pub const SVID_VALIDITY: Duration = Duration::from_secs(24 * 3600);
/// How far before now a validity starts, so that a peer whose clock is a little behind accepts it.
pub const BACKDATE: Duration = Duration::from_secs(300);
/// The longest certificate signing request in bytes; ours are under 300.
pub const MAX_CSR_BYTES: usize = 8 * 1024;
/// Bytes of randomness in a serial number (RFC 5280 §4.1.2.2 allows 20; the baseline requirements ask for 8).
const SERIAL_BYTES: usize = 16;

/// What was signed.
#[derive(Clone, Debug)]
pub struct Issued {
    /// Leaf first; the root is not in it.
    pub chain: Vec<CertificateDer<'static>>,
    /// Seconds since the epoch until which the leaf is valid.
    pub not_after: i64,
}

/// A root with its key.
pub struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    root_not_after: i64,
    trust_domain: String,
}

impl CertificateAuthority {
    /// Makes a new self-signed root for a trust domain.
    pub fn create(trust_domain: &str, now: SystemTime, validity: Duration) -> Result<Self, IdentityError> {
        spiffe::check_trust_domain(trust_domain)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(authority)?;
        let mut params = CertificateParams::default();
        params.not_before = offset(now.checked_sub(BACKDATE))?;
        params.not_after = offset(now.checked_add(validity))?;
        params.serial_number = Some(serial()?);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, trust_domain);
        params.distinguished_name.push(DnType::CommonName, "Palisade root");
        params.subject_alt_names = vec![uri(&format!("spiffe://{trust_domain}"))?];
        // Workloads are signed by the root itself: nothing below it may sign.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let root = params.self_signed(&key).map_err(authority)?;
        Self::assemble(root.der().clone(), key)
    }

    /// Takes an existing root and its key from PEM texts.
    pub fn from_pem(root: &[u8], key: &str) -> Result<Self, IdentityError> {
        let mut roots = certificate::certificates_from_pem("root certificate", root)?;
        let (Some(root), true) = (roots.pop(), roots.is_empty()) else {
            return Err(authority("exactly one root certificate is needed"));
        };
        let key = KeyPair::from_pem(key).map_err(|_| authority("the key is not PKCS#8 PEM"))?;
        Self::assemble(root, key)
    }

    fn assemble(root: CertificateDer<'static>, key: KeyPair) -> Result<Self, IdentityError> {
        let trust_domain = certificate::trust_domain_of_root(&root)?;
        if !certificate::holds_key(&root, key.public_key_raw())? {
            return Err(authority("the key does not belong to the root certificate"));
        }
        let root_not_after = certificate::not_after_of(&root)?;
        let issuer = Issuer::from_ca_cert_der(&root, key).map_err(authority)?;
        Ok(Self { issuer, root, root_not_after, trust_domain })
    }

    /// The trust domain it signs for.
    pub fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    /// The root certificate.
    pub fn root(&self) -> &CertificateDer<'static> {
        &self.root
    }

    /// The root certificate as PEM.
    pub fn root_pem(&self) -> String {
        certificate::to_pem(std::slice::from_ref(&self.root))
    }

    /// The root's key as PKCS#8 PEM, for wherever keys are kept at rest.
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Signs the key of a request for the principal that was attested. Of the request only the public key is used,
    /// and only after its signature proved that the asker holds the private one. Valid from a little before `now`
    /// until `now + ttl`, but no longer than the root.
    pub fn sign(
        &self,
        csr: &[u8],
        principal: &Principal,
        ttl: Duration,
        now: SystemTime,
    ) -> Result<Issued, IdentityError> {
        if principal.trust_domain() != self.trust_domain {
            return Err(authority(format!("{principal} is not of the trust domain {}", self.trust_domain)));
        }
        let key = checked_key(csr)?;
        let root_end = UNIX_EPOCH.checked_add(Duration::from_secs(self.root_not_after.max(0).unsigned_abs()));
        let end = now.checked_add(ttl).min(root_end);
        let mut params = CertificateParams::default();
        params.not_before = offset(now.checked_sub(BACKDATE))?;
        params.not_after = offset(end)?;
        if params.not_after <= params.not_before {
            return Err(authority("the root has expired"));
        }
        params.serial_number = Some(serial()?);
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![uri(&principal.spiffe_uri())?];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let not_after = params.not_after.unix_timestamp();
        let leaf = params.signed_by(&key, &self.issuer).map_err(authority)?;
        Ok(Issued { chain: vec![leaf.der().clone()], not_after })
    }
}

impl std::fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateAuthority")
            .field("trust_domain", &self.trust_domain)
            .finish_non_exhaustive()
    }
}

/// Whether a request would be signed: it is well formed, P-256, and proves possession of its key.
pub fn check_request(csr: &[u8]) -> Result<(), IdentityError> {
    checked_key(csr).map(drop)
}

/// The public key of a request whose signature is good. P-256 only.
fn checked_key(csr: &[u8]) -> Result<SubjectPublicKeyInfo, IdentityError> {
    let refused = |problem: &str| IdentityError::Csr(problem.to_owned());
    if csr.len() > MAX_CSR_BYTES {
        return Err(IdentityError::Csr(format!("longer than {MAX_CSR_BYTES} bytes")));
    }
    let (rest, request) =
        X509CertificationRequest::from_der(csr).map_err(|_| refused("not PKCS#10 in DER"))?;
    if !rest.is_empty() {
        return Err(refused("bytes after its end"));
    }
    request.verify_signature().map_err(|_| refused("its signature does not prove possession of the key"))?;
    let key = SubjectPublicKeyInfo::from_der(request.certification_request_info.subject_pki.raw)
        .map_err(|_| refused("unsupported kind of key"))?;
    if rcgen::PublicKeyData::algorithm(&key) != &PKCS_ECDSA_P256_SHA256 {
        return Err(refused("only P-256 keys are signed"));
    }
    Ok(key)
}

fn serial() -> Result<SerialNumber, IdentityError> {
    let mut bytes = [0; SERIAL_BYTES];
    SystemRandom::new().fill(&mut bytes).map_err(|_| authority("no randomness"))?;
    // Positive, and of full length.
    bytes[0] = (bytes[0] & 0x7f) | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn uri(text: &str) -> Result<SanType, IdentityError> {
    Ia5String::try_from(text).map(SanType::URI).map_err(authority)
}

fn offset(time: Option<SystemTime>) -> Result<OffsetDateTime, IdentityError> {
    let seconds = time
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .and_then(|since| i64::try_from(since.as_secs()).ok());
    seconds
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .ok_or_else(|| authority("a time out of range"))
}

fn authority(problem: impl std::fmt::Display) -> IdentityError {
    IdentityError::Authority(problem.to_string())
}
