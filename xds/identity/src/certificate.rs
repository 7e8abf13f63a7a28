//! What a certificate says about its holder.
//!
//! Promises: a principal comes only from a leaf with exactly one SPIFFE URI and nothing in it that could be read in
//! two ways. It does not check signatures or time: the verifiers do.

use palisade_model::Principal;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::{IdentityError, spiffe};

/// The longest certificate in bytes that is parsed; ours are under 1 KiB.
pub const MAX_CERTIFICATE_BYTES: usize = 16 * 1024;

/// The facts of a leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafFacts {
    /// Its holder.
    pub principal: Principal,
    /// Seconds since the epoch from which it is valid.
    pub not_before: i64,
    /// Seconds since the epoch until which it is valid.
    pub not_after: i64,
    /// Its serial number in hexadecimal.
    pub serial: String,
}

/// The principal of a workload's certificate.
pub fn principal_of(certificate: &CertificateDer<'_>) -> Result<Principal, IdentityError> {
    leaf_facts(certificate).map(|facts| facts.principal)
}

/// The facts of a workload's certificate.
pub fn leaf_facts(certificate: &CertificateDer<'_>) -> Result<LeafFacts, IdentityError> {
    let parsed = parse(certificate)?;
    refuse_signers(&parsed)?;
    let uri = single_uri(&parsed)?;
    let validity = parsed.validity();
    Ok(LeafFacts {
        principal: spiffe::parse_uri(uri)?,
        not_before: validity.not_before.timestamp(),
        not_after: validity.not_after.timestamp(),
        serial: parsed.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect(),
    })
}

/// The trust domain a signing certificate names as its only URI.
pub fn trust_domain_of_root(certificate: &CertificateDer<'_>) -> Result<String, IdentityError> {
    let parsed = parse(certificate)?;
    if !parsed.is_ca() {
        return Err(refused("not a certificate authority's (basicConstraints has no CA)"));
    }
    spiffe::parse_trust_domain_uri(single_uri(&parsed)?)
}

/// The DNS names of an ordinary server certificate, in lower case. No workload certificate is judged by them.
pub fn dns_names(certificate: &CertificateDer<'_>) -> Result<Vec<String>, IdentityError> {
    let parsed = parse(certificate)?;
    let names = parsed.subject_alternative_name().map_err(|_| refused("malformed subjectAltName"))?;
    let names = names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    let dns = names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    Ok(dns.collect())
}

/// Seconds since the epoch until which a certificate of any kind is valid.
pub(crate) fn not_after_of(certificate: &CertificateDer<'_>) -> Result<i64, IdentityError> {
    Ok(parse(certificate)?.validity().not_after.timestamp())
}

/// Whether a certificate may sign others.
pub(crate) fn is_authority(certificate: &CertificateDer<'_>) -> Result<bool, IdentityError> {
    Ok(parse(certificate)?.is_ca())
}

/// Whether a certificate is for this public key, given as the bits of its subjectPublicKey.
pub(crate) fn holds_key(certificate: &CertificateDer<'_>, key: &[u8]) -> Result<bool, IdentityError> {
    Ok(parse(certificate)?.public_key().subject_public_key.data.as_ref() == key)
}

/// The SHA-256 digest of a certificate's DER.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate.as_ref()).as_ref(),
    );
    digest
}

/// Writes certificates as PEM.
pub fn to_pem(certificates: &[CertificateDer<'_>]) -> String {
    use std::fmt::Write;

    use base64::Engine;
    let mut pem = String::new();
    for certificate in certificates {
        let text = base64::engine::general_purpose::STANDARD.encode(certificate.as_ref());
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in text.as_bytes().chunks(64) {
            // Base64 is ASCII; writing to a String cannot fail.
            let _ = writeln!(pem, "{}", String::from_utf8_lossy(line));
        }
        pem.push_str("-----END CERTIFICATE-----\n");
    }
    pem
}

/// Reads every certificate of a PEM text. `what` names the text in errors.
pub fn certificates_from_pem(
    what: &'static str,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = read.map_err(|error| IdentityError::Pem { what, problem: error.to_string() })?;
    if certificates.is_empty() {
        return Err(IdentityError::Pem { what, problem: "it holds no certificate".to_owned() });
    }
    Ok(certificates)
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, IdentityError> {
    if certificate.len() > MAX_CERTIFICATE_BYTES {
        return Err(refused(&format!("longer than {MAX_CERTIFICATE_BYTES} bytes")));
    }
    let (rest, parsed) =
        X509Certificate::from_der(certificate).map_err(|error| refused(&format!("not X.509: {error}")))?;
    if !rest.is_empty() {
        return Err(refused("bytes after its end"));
    }
    Ok(parsed)
}

/// A leaf signs nothing (X509-SVID §4.1, §4.3): one that could would be a second certificate authority.
fn refuse_signers(parsed: &X509Certificate<'_>) -> Result<(), IdentityError> {
    let constraints = parsed.basic_constraints().map_err(|_| refused("unreadable basicConstraints"))?;
    if constraints.is_some_and(|constraints| constraints.value.ca) {
        return Err(refused("a certificate authority's certificate is not a workload's"));
    }
    let usage = parsed.key_usage().map_err(|_| refused("unreadable keyUsage"))?;
    if usage.is_some_and(|usage| usage.value.key_cert_sign() || usage.value.crl_sign()) {
        return Err(refused("its key may sign certificates or revocation lists"));
    }
    Ok(())
}

/// The only URI among the alternative names (X509-SVID §2). DNS names may stand beside it if they name one host;
/// everything else could be shown to somebody as an identity that was never checked, and is refused.
fn single_uri<'a>(parsed: &'a X509Certificate<'_>) -> Result<&'a str, IdentityError> {
    let names = parsed
        .subject_alternative_name()
        .map_err(|_| refused("unreadable or repeated subjectAltName"))?
        .ok_or_else(|| refused("no subjectAltName"))?;
    let mut found = None;
    for name in &names.value.general_names {
        match name {
            GeneralName::URI(uri) => {
                if found.replace(*uri).is_some() {
                    return Err(refused("more than one URI in subjectAltName"));
                }
            }
            GeneralName::DNSName(host) if is_plain_host(host) => {}
            GeneralName::DNSName(_) => return Err(refused("a DNS name that does not name one host")),
            _ => return Err(refused("a name in subjectAltName that is neither URI nor DNS name")),
        }
    }
    found.ok_or_else(|| refused("no URI in subjectAltName"))
}

fn is_plain_host(host: &str) -> bool {
    let ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    !host.is_empty() && host.bytes().all(ok)
}

fn refused(problem: &str) -> IdentityError {
    IdentityError::Certificate(problem.to_owned())
}
