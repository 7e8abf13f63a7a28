//! Who may talk to whom: handshakes in memory between honest, hostile and rotated peers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use palisade_identity::{CertificateAuthority, ClientAuth, IdentityStore, principal_of};
use palisade_model::Principal;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, HandshakeKind, NamedGroup, ProtocolVersion};
use support::{Handshake, authority, dns, principal, shake, store, strange_leaf, svid, svid_trusting, uri};

fn between(client: &Arc<IdentityStore>, server: &Arc<IdentityStore>) -> Result<Handshake, rustls::Error> {
    let expected = vec![server.current().principal().clone()];
    shake(
        &client.client_config(expected, &[b"h2"]).unwrap(),
        &server.server_config(ClientAuth::Required, &[b"h2", b"http/1.1"]).unwrap(),
    )
}

#[test]
fn both_ends_learn_each_others_principal() {
    let ca = authority();
    let (shop, payments) = (store(&ca, "shop", "web"), store(&ca, "money", "payments"));
    let done = between(&shop, &payments).unwrap();
    let caller = principal_of(&done.server.peer_certificates().unwrap()[0]).unwrap();
    let called = principal_of(&done.client.peer_certificates().unwrap()[0]).unwrap();
    assert_eq!(caller, principal("shop", "web"));
    assert_eq!(called, principal("money", "payments"));
    assert_eq!(done.server.alpn_protocol(), Some(&b"h2"[..]));
}

#[test]
fn it_is_tls_13_with_the_hybrid_key_exchange() {
    let ca = authority();
    let done = between(&store(&ca, "shop", "web"), &store(&ca, "money", "payments")).unwrap();
    assert_eq!(done.client.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    let group = done.client.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, NamedGroup::X25519MLKEM768);
}

#[test]
fn a_server_that_is_not_expected_is_refused() {
    let ca = authority();
    let (shop, other) = (store(&ca, "shop", "web"), store(&ca, "money", "other"));
    let server = other.server_config(ClientAuth::Required, &[]).unwrap();
    for expected in [vec![], vec![principal("money", "payments")], vec![principal("other", "money")]] {
        let client = shop.client_config(expected, &[]).unwrap();
        assert!(shake(&client, &server).is_err());
    }
    let client =
        shop.client_config(vec![principal("money", "payments"), principal("money", "other")], &[]).unwrap();
    assert!(shake(&client, &server).is_ok());
}

#[test]
fn a_client_without_a_certificate_is_refused_unless_the_server_says_optional() {
    let ca = authority();
    let server = store(&ca, "palisade-system", "control-plane");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca.root().clone()).unwrap();
    let expected = server.client_config(vec![principal("palisade-system", "control-plane")], &[]).unwrap();
    let mut anonymous = ClientConfig::clone(&expected);
    anonymous.client_auth_cert_resolver = Arc::new(NoCertificate);
    let anonymous = Arc::new(anonymous);
    assert!(shake(&anonymous, &server.server_config(ClientAuth::Required, &[]).unwrap()).is_err());
    let done = shake(&anonymous, &server.server_config(ClientAuth::Optional, &[]).unwrap()).unwrap();
    assert!(done.server.peer_certificates().is_none());
}

#[derive(Debug)]
struct NoCertificate;

impl rustls::client::ResolvesClientCert for NoCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

type Shape = Box<dyn Fn(&mut CertificateParams)>;

/// Every shape of certificate that a trusted root could sign but no workload may show, and what it is for.
fn hostile_shapes() -> Vec<(&'static str, Shape)> {
    let names = |names: Vec<rcgen::SanType>| -> Shape {
        Box::new(move |params| params.subject_alt_names = names.clone())
    };
    let good = "spiffe://mesh.example/ns/shop/sa/web";
    vec![
        ("58 NUL in the URI", names(vec![uri("spiffe://mesh.example/ns/shop/sa/web\0.evil")])),
        ("58 NUL in a DNS name", names(vec![uri(good), dns("web\0.evil.example")])),
        ("60 wildcard DNS name", names(vec![uri(good), dns("*.example")])),
        ("60 wildcard URI", names(vec![uri("spiffe://mesh.example/ns/*/sa/web")])),
        ("61 other trust domain", names(vec![uri("spiffe://other.example/ns/shop/sa/web")])),
        ("62 dot segments", names(vec![uri("spiffe://mesh.example/ns/shop/sa/x/../web")])),
        ("no name", names(vec![])),
        ("no URI", names(vec![dns("web.shop")])),
        ("two URIs", names(vec![uri(good), uri("spiffe://mesh.example/ns/money/sa/payments")])),
        ("a mail address", names(vec![uri(good), rcgen::SanType::Rfc822Name("a@b".try_into().unwrap())])),
        ("the trust domain itself", names(vec![uri("spiffe://mesh.example")])),
        ("64 authority as leaf", Box::new(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))),
        ("64 key may sign", Box::new(|params| params.key_usages = vec![KeyUsagePurpose::KeyCertSign])),
        (
            "other usage",
            Box::new(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning]),
        ),
        (
            "expired",
            Box::new(|params| params.not_after = (SystemTime::now() - Duration::from_secs(5)).into()),
        ),
        (
            "not yet valid",
            Box::new(|params| params.not_before = (SystemTime::now() + Duration::from_secs(600)).into()),
        ),
    ]
}

#[test]
fn a_hostile_certificate_is_refused_as_client_and_as_server() {
    let ca = authority();
    let honest = store(&ca, "money", "payments");
    let mut checked = 0;
    for (what, change) in hostile_shapes() {
        let (leaf, key) = strange_leaf(&ca, |params| change(params));
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let shown = Arc::new(CertifiedKey::from_der(vec![leaf], key, &provider).unwrap());
        let resolver = Arc::new(rustls::sign::SingleCertAndKey::from((*shown).clone()));

        let expected = vec![principal("money", "payments")];
        let mut client = ClientConfig::clone(&honest.client_config(expected, &[]).unwrap());
        client.client_auth_cert_resolver = resolver.clone();
        let server = honest.server_config(ClientAuth::Required, &[]).unwrap();
        assert!(shake(&Arc::new(client), &server).is_err(), "{what}: taken as a client");
        let optional = honest.server_config(ClientAuth::Optional, &[]).unwrap();
        let mut client =
            ClientConfig::clone(&honest.client_config(vec![principal("money", "payments")], &[]).unwrap());
        client.client_auth_cert_resolver = resolver.clone();
        assert!(shake(&Arc::new(client), &optional).is_err(), "{what}: taken as an optional client");

        let mut server = rustls::ServerConfig::clone(&server);
        server.cert_resolver = resolver;
        let client = honest.client_config(vec![principal("shop", "web")], &[]).unwrap();
        assert!(shake(&client, &Arc::new(server)).is_err(), "{what}: taken as a server");
        checked += 1;
    }
    assert_eq!(checked, 16);
    // The same way of making certificates gives an acceptable one if nothing is wrong with it.
    let (leaf, key) = strange_leaf(&ca, |_| {});
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let shown = CertifiedKey::from_der(vec![leaf], key, &provider).unwrap();
    let expected = vec![principal("money", "payments")];
    let mut client = ClientConfig::clone(&honest.client_config(expected, &[]).unwrap());
    client.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(shown));
    assert!(shake(&Arc::new(client), &honest.server_config(ClientAuth::Required, &[]).unwrap()).is_ok());
}

#[test]
fn another_authority_of_the_same_trust_domain_is_not_trusted() {
    let (ours, theirs) = (authority(), authority());
    let (shop, impostor) = (store(&ours, "shop", "web"), store(&theirs, "money", "payments"));
    assert!(between(&shop, &impostor).is_err());
    assert!(between(&impostor, &shop).is_err());
}

// Adversarial test 61 with a root that both sides trust.
#[test]
fn another_trust_domain_is_refused_even_when_its_root_is_trusted() {
    let ours = authority();
    let theirs =
        CertificateAuthority::create("other.example", SystemTime::now(), Duration::from_secs(3600)).unwrap();
    let bundle = vec![ours.root().clone(), theirs.root().clone()];
    let shop = IdentityStore::new(svid_trusting(&ours, &principal("shop", "web"), bundle.clone()));
    let foreign = Principal::new("other.example", "shop", "web").unwrap();
    let stranger = IdentityStore::new(svid_trusting(&theirs, &foreign, bundle));
    assert!(between(&stranger, &shop).is_err());
    assert!(between(&shop, &stranger).is_err());
}

// Adversarial test 66.
#[test]
fn no_session_is_ever_resumed() {
    let ca = authority();
    let (shop, payments) = (store(&ca, "shop", "web"), store(&ca, "money", "payments"));
    let client = shop.client_config(vec![principal("money", "payments")], &[]).unwrap();
    let server = payments.server_config(ClientAuth::Required, &[]).unwrap();
    for _ in 0..3 {
        let done = shake(&client, &server).unwrap();
        assert_eq!(done.client.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(done.server.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(done.client.tls13_tickets_received(), 0);
    }
    // A client that would resume is given nothing to resume with.
    let mut eager = ClientConfig::clone(&client);
    eager.resumption = rustls::client::Resumption::in_memory_sessions(8);
    let eager = Arc::new(eager);
    for _ in 0..2 {
        assert_eq!(shake(&eager, &server).unwrap().server.handshake_kind(), Some(HandshakeKind::Full));
    }
}

#[test]
fn a_rotation_shows_in_the_next_handshake_of_the_same_configurations() {
    let ca = authority();
    let (shop, payments) = (store(&ca, "shop", "web"), store(&ca, "money", "payments"));
    let client = shop.client_config(vec![principal("money", "payments")], &[]).unwrap();
    let server = payments.server_config(ClientAuth::Required, &[]).unwrap();
    let shown = |done: &Handshake| {
        (
            done.client.peer_certificates().unwrap()[0].clone(),
            done.server.peer_certificates().unwrap()[0].clone(),
        )
    };
    let before = shown(&shake(&client, &server).unwrap());
    assert_eq!(payments.rotate(svid(&ca, &principal("money", "payments"))).unwrap(), 2);
    assert_eq!(shop.rotate(svid(&ca, &principal("shop", "web"))).unwrap(), 2);
    let after = shown(&shake(&client, &server).unwrap());
    assert_ne!(before.0, after.0);
    assert_ne!(before.1, after.1);
    assert_eq!(after.0, payments.current().chain()[0]);
}

#[test]
fn a_rotation_cannot_change_who_we_are() {
    let ca = authority();
    let shop = store(&ca, "shop", "web");
    assert!(shop.rotate(svid(&ca, &principal("money", "payments"))).is_err());
    assert_eq!(shop.current().principal(), &principal("shop", "web"));
    assert_eq!(shop.generation(), 1);
}

#[test]
fn two_roots_overlap_while_the_authority_is_replaced() {
    let (old, new) = (authority(), authority());
    let both = vec![old.root().clone(), new.root().clone()];
    let client = IdentityStore::new(svid_trusting(&old, &principal("shop", "web"), both.clone()));
    let server = IdentityStore::new(svid_trusting(&new, &principal("money", "payments"), both));
    assert!(between(&client, &server).is_ok());
    // The old root is dropped: whoever still shows an SVID of it is refused from the next handshake on.
    let only_new = vec![new.root().clone()];
    server.rotate(svid_trusting(&new, &principal("money", "payments"), only_new)).unwrap();
    assert!(between(&client, &server).is_err());
}
