//! What the authority signs, and what it refuses to sign.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use palisade_identity::authority::{BACKDATE, MAX_CSR_BYTES, SVID_VALIDITY};
use palisade_identity::certificate::{MAX_CERTIFICATE_BYTES, leaf_facts, trust_domain_of_root};
use palisade_identity::{CertificateAuthority, Svid, WorkloadKey, principal_of};
use palisade_model::Principal;
use rcgen::{CertificateParams, CustomExtension, KeyPair, PKCS_ECDSA_P384_SHA384};
use support::{authority, dns, principal, strange_leaf, uri};

// Adversarial test 109.
#[test]
fn the_attested_principal_is_signed_whatever_the_request_asks() {
    let ca = authority();
    let key = KeyPair::generate().unwrap();
    let mut asked = CertificateParams::default();
    asked.subject_alt_names = vec![uri("spiffe://mesh.example/ns/money/sa/payments"), dns("evil.example")];
    asked.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    asked.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let csr = asked.serialize_request(&key).unwrap();
    let issued = ca.sign(csr.der(), &principal("shop", "web"), SVID_VALIDITY, SystemTime::now()).unwrap();
    assert_eq!(principal_of(&issued.chain[0]).unwrap(), principal("shop", "web"));
    assert_eq!(issued.chain.len(), 1);
}

#[test]
fn validity_starts_a_little_early_and_never_outlives_the_root() {
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let ca = CertificateAuthority::create("mesh.example", now, Duration::from_secs(7200)).unwrap();
    let csr = WorkloadKey::generate().unwrap().signing_request().unwrap();
    let sign = |ttl: u64, at| ca.sign(&csr, &principal("shop", "web"), Duration::from_secs(ttl), at);
    let facts = leaf_facts(&sign(3600, now).unwrap().chain[0]).unwrap();
    assert_eq!(facts.not_before, 1_800_000_000 - BACKDATE.as_secs() as i64);
    assert_eq!(facts.not_after, 1_800_003_600);
    assert_eq!(leaf_facts(&sign(7201, now).unwrap().chain[0]).unwrap().not_after, 1_800_007_200);
    let message = sign(60, now + Duration::from_secs(8000)).unwrap_err().to_string();
    assert!(message.contains("expired"), "{message}");
}

#[test]
fn serial_numbers_differ() {
    let ca = authority();
    let csr = WorkloadKey::generate().unwrap().signing_request().unwrap();
    let serial = || {
        let issued = ca.sign(&csr, &principal("shop", "web"), SVID_VALIDITY, SystemTime::now()).unwrap();
        leaf_facts(&issued.chain[0]).unwrap().serial
    };
    let serials: std::collections::BTreeSet<String> = (0..32).map(|_| serial()).collect();
    assert_eq!(serials.len(), 32);
    assert!(serials.iter().all(|serial| serial.len() == 32));
}

#[test]
fn a_malformed_request_is_refused_and_says_why() {
    let ca = authority();
    let sign = |csr: &[u8]| {
        let message = ca.sign(csr, &principal("shop", "web"), SVID_VALIDITY, SystemTime::now());
        message.err().map(|error| error.to_string())
    };
    let good = WorkloadKey::generate().unwrap().signing_request().unwrap();
    assert_eq!(sign(&good), None);
    assert!(sign(b"").unwrap().contains("PKCS#10"));
    assert!(sign(b"-----BEGIN CERTIFICATE REQUEST-----").unwrap().contains("PKCS#10"));
    assert!(sign(&good[..good.len() - 1]).unwrap().contains("PKCS#10"));
    let mut longer = good.clone();
    longer.push(0);
    assert!(sign(&longer).unwrap().contains("after its end"));
    // The signature's last byte, and the key's: possession is not proven.
    for place in [good.len() - 1, good.len() / 2] {
        let mut forged = good.clone();
        forged[place] ^= 1;
        assert!(sign(&forged).is_some(), "byte {place} did not matter");
    }
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let csr = CertificateParams::default().serialize_request(&p384).unwrap();
    assert!(sign(csr.der()).unwrap().contains("P-256"));
}

#[test]
fn the_request_limit_is_exact() {
    let ca = authority();
    let message = |length: usize| {
        let sign = ca.sign(&vec![0x30; length], &principal("a", "b"), SVID_VALIDITY, SystemTime::now());
        sign.unwrap_err().to_string()
    };
    assert!(!message(MAX_CSR_BYTES).contains("longer"));
    assert!(message(MAX_CSR_BYTES + 1).contains("longer"));
}

#[test]
fn no_bytes_make_the_authority_panic() {
    let ca = authority();
    let good = WorkloadKey::generate().unwrap().signing_request().unwrap();
    let mut refused = 0;
    for place in 0..good.len() {
        let mut bytes = good.clone();
        bytes[place] ^= 0xff;
        refused +=
            usize::from(ca.sign(&bytes, &principal("a", "b"), SVID_VALIDITY, SystemTime::now()).is_err());
    }
    // The parser overlooks a few bits of the outermost framing, which is not signed and carries nothing.
    assert!(refused >= good.len() - 2, "{refused} of {} were refused", good.len());
}

#[test]
fn a_principal_of_another_trust_domain_is_not_signed() {
    let ca = authority();
    let csr = WorkloadKey::generate().unwrap().signing_request().unwrap();
    let foreign = Principal::new("other.example", "shop", "web").unwrap();
    assert!(ca.sign(&csr, &foreign, SVID_VALIDITY, SystemTime::now()).is_err());
}

#[test]
fn an_authority_survives_pem() {
    let ca = authority();
    let again = CertificateAuthority::from_pem(ca.root_pem().as_bytes(), &ca.key_pem()).unwrap();
    assert_eq!(again.root(), ca.root());
    assert_eq!(again.trust_domain(), "mesh.example");
    let key = WorkloadKey::generate().unwrap();
    let csr = key.signing_request().unwrap();
    let issued = again.sign(&csr, &principal("a", "b"), SVID_VALIDITY, SystemTime::now()).unwrap();
    let chain = palisade_identity::certificate::to_pem(&issued.chain);
    let svid =
        Svid::from_pem(chain.as_bytes(), key.to_pem().as_bytes(), again.root_pem().as_bytes()).unwrap();
    assert_eq!(svid.principal(), &principal("a", "b"));
}

#[test]
fn an_authority_is_not_made_of_parts_that_do_not_fit() {
    let (ca, other) = (authority(), authority());
    assert!(CertificateAuthority::from_pem(ca.root_pem().as_bytes(), &other.key_pem()).is_err());
    assert!(CertificateAuthority::from_pem(b"", &ca.key_pem()).is_err());
    assert!(CertificateAuthority::from_pem(ca.root_pem().as_bytes(), "").is_err());
    let both = format!("{}{}", ca.root_pem(), other.root_pem());
    assert!(CertificateAuthority::from_pem(both.as_bytes(), &ca.key_pem()).is_err());
    let key = WorkloadKey::generate().unwrap();
    let csr = key.signing_request().unwrap();
    let leaf = ca.sign(&csr, &principal("a", "b"), SVID_VALIDITY, SystemTime::now()).unwrap();
    let leaf_pem = palisade_identity::certificate::to_pem(&leaf.chain);
    assert!(CertificateAuthority::from_pem(leaf_pem.as_bytes(), &key.to_pem()).is_err());
    assert!(trust_domain_of_root(&leaf.chain[0]).is_err());
    assert!(CertificateAuthority::create("UPPER", SystemTime::now(), SVID_VALIDITY).is_err());
}

#[test]
fn an_svid_is_not_made_of_parts_that_do_not_fit() {
    let ca = authority();
    let key = WorkloadKey::generate().unwrap();
    let issued = ca
        .sign(&key.signing_request().unwrap(), &principal("a", "b"), SVID_VALIDITY, SystemTime::now())
        .unwrap();
    let root = vec![ca.root().clone()];
    let other = WorkloadKey::generate().unwrap();
    assert!(Svid::from_issued(issued.chain.clone(), &key, root.clone()).is_ok());
    assert!(Svid::from_issued(issued.chain.clone(), &other, root.clone()).is_err(), "a foreign key");
    assert!(Svid::from_issued(vec![], &key, root.clone()).is_err(), "no chain");
    assert!(Svid::from_issued(issued.chain.clone(), &key, vec![]).is_err(), "no roots");
    assert!(Svid::from_issued(issued.chain.clone(), &key, issued.chain.clone()).is_err(), "a leaf as root");
    assert!(Svid::from_issued(root.clone(), &key, root).is_err(), "a root as leaf");
    assert!(Svid::from_pem(b"x", key.to_pem().as_bytes(), ca.root_pem().as_bytes()).is_err());
}

#[test]
fn a_certificate_under_and_at_its_limit_is_read_and_over_it_refused() {
    let ca = authority();
    let of_length = |length: usize| {
        let mut padding = length - 600;
        // A signature's two numbers have a byte more or less by chance.
        for _ in 0..1000 {
            let (leaf, _) = strange_leaf(&ca, |params| {
                let extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 1], vec![0; padding]);
                params.custom_extensions = vec![extension];
            });
            if leaf.len() == length {
                return leaf;
            }
            padding = padding + length - leaf.len();
        }
        panic!("no certificate of {length} bytes")
    };
    for length in [MAX_CERTIFICATE_BYTES - 1, MAX_CERTIFICATE_BYTES] {
        assert_eq!(principal_of(&of_length(length)).unwrap(), principal("shop", "web"));
    }
    let error = principal_of(&of_length(MAX_CERTIFICATE_BYTES + 1)).unwrap_err().to_string();
    assert!(error.contains("longer than 16384 bytes"), "{error}");
}

#[test]
fn no_bytes_make_the_certificate_reader_panic() {
    let ca = authority();
    let key = WorkloadKey::generate().unwrap();
    let issued = ca
        .sign(&key.signing_request().unwrap(), &principal("a", "b"), SVID_VALIDITY, SystemTime::now())
        .unwrap();
    let good = issued.chain[0].as_ref().to_vec();
    for place in 0..good.len() {
        let mut bytes = good.clone();
        bytes[place] ^= 0xff;
        // Whether a changed byte matters depends on where it is; the signature check finds the rest.
        let _ = principal_of(&bytes.into());
        assert!(principal_of(&good[..place].to_vec().into()).is_err(), "cut at {place}");
    }
}
