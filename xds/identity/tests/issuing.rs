//! From join token to SVID to renewal, over real loopback sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use palisade_identity::authority::SVID_VALIDITY;
use palisade_identity::bootstrap::{control_plane_principal, enrol, renew};
use palisade_identity::service::{Attested, Attestor, NotAttested, certificates};
use palisade_identity::{CertificateAuthority, ClientAuth, IdentityStore, JoinToken, Svid, WorkloadKey};
use palisade_model::{Principal, WorkloadId};
use rustls_pki_types::CertificateDer;
use support::{DOMAIN, authority, principal, svid_trusting};
use tokio::net::TcpListener;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;

/// Tokens with one use each, and principals that may not renew.
#[derive(Clone, Default)]
struct Records {
    tokens: Arc<Mutex<BTreeMap<String, Attested>>>,
    withdrawn: Arc<Mutex<Vec<Principal>>>,
}

impl Attestor for Records {
    async fn spend(&self, digest: &str) -> Result<Attested, NotAttested> {
        let found = self.tokens.lock().unwrap().remove(digest);
        found.ok_or_else(|| NotAttested::Refused("unknown".to_owned()))
    }

    async fn renew(&self, principal: &Principal) -> Result<(), NotAttested> {
        let withdrawn = self.withdrawn.lock().unwrap().contains(principal);
        if withdrawn { Err(NotAttested::Refused("withdrawn".to_owned())) } else { Ok(()) }
    }
}

struct ControlPlane {
    address: String,
    records: Records,
    ca: Arc<CertificateAuthority>,
}

impl ControlPlane {
    fn token(&self) -> JoinToken {
        let token = JoinToken::generate(self.ca.root()).unwrap();
        let attested =
            Attested { workload: WorkloadId::local("shop", "web-1"), principal: principal("shop", "web") };
        self.records.tokens.lock().unwrap().insert(token.digest(), attested);
        token
    }
}

/// A control plane that shows `chain_tail` after its leaf and hands out `bundle`.
async fn start(
    ca: CertificateAuthority,
    server: Principal,
    chain_tail: Vec<CertificateDer<'static>>,
    bundle: Vec<CertificateDer<'static>>,
) -> ControlPlane {
    let ca = Arc::new(ca);
    let key = WorkloadKey::generate().unwrap();
    let csr = key.signing_request().unwrap();
    let mut chain = ca.sign(&csr, &server, SVID_VALIDITY, std::time::SystemTime::now()).unwrap().chain;
    chain.extend(chain_tail);
    let svid = Svid::from_issued(chain, &key, vec![ca.root().clone()]).unwrap();
    let config = IdentityStore::new(svid).server_config(ClientAuth::Optional, &[b"h2"]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (accepted, incoming) = tokio::sync::mpsc::channel(8);
    tokio::spawn(async move {
        let acceptor = tokio_rustls::TlsAcceptor::from(config);
        while let Ok((socket, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(socket).await {
                let _ = accepted.send(std::io::Result::Ok(stream)).await;
            }
        }
    });
    let records = Records::default();
    let bundle = Arc::new(ArcSwap::from_pointee(bundle));
    let service = certificates(ca.clone(), bundle, Duration::from_secs(3600), records.clone());
    let server = tonic::transport::Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(ReceiverStream::new(incoming)));
    ControlPlane { address, records, ca }
}

async fn honest() -> ControlPlane {
    let ca = authority();
    let root = vec![ca.root().clone()];
    start(ca, control_plane_principal(DOMAIN).unwrap(), root.clone(), root).await
}

#[tokio::test]
async fn a_join_token_becomes_an_svid_of_the_bound_principal() {
    let control_plane = honest().await;
    let enrolled = enrol(&control_plane.address, &control_plane.token()).await.unwrap();
    assert_eq!(enrolled.svid.principal(), &principal("shop", "web"));
    assert_eq!(enrolled.workload, Some(WorkloadId::local("shop", "web-1")));
    assert_eq!(enrolled.svid.bundle(), [control_plane.ca.root().clone()]);
}

#[tokio::test]
async fn a_used_up_or_unknown_token_is_refused() {
    let control_plane = honest().await;
    let token = control_plane.token();
    enrol(&control_plane.address, &token).await.unwrap();
    let again = enrol(&control_plane.address, &token).await.unwrap_err().to_string();
    assert!(again.contains("join token refused"), "{again}");
    let unknown = JoinToken::generate(control_plane.ca.root()).unwrap();
    let unknown = enrol(&control_plane.address, &unknown).await.unwrap_err().to_string();
    assert!(unknown.contains("join token refused"), "{unknown}");
}

#[tokio::test]
async fn a_token_for_another_root_stops_at_the_handshake_and_is_not_spent() {
    let control_plane = honest().await;
    let other = JoinToken::generate(authority().root()).unwrap();
    let attested =
        Attested { workload: WorkloadId::local("shop", "web-1"), principal: principal("shop", "web") };
    control_plane.records.tokens.lock().unwrap().insert(other.digest(), attested);
    let error = enrol(&control_plane.address, &other).await.unwrap_err().to_string();
    assert!(error.contains("not the one of the join token"), "{error}");
    assert_eq!(control_plane.records.tokens.lock().unwrap().len(), 1, "the secret was sent to a stranger");
}

#[tokio::test]
async fn a_server_that_is_another_workload_is_refused() {
    let ca = authority();
    let root = vec![ca.root().clone()];
    let impostor = start(ca, principal("shop", "control-plane"), root.clone(), root).await;
    let error = enrol(&impostor.address, &impostor.token()).await.unwrap_err().to_string();
    assert!(error.contains("not the control plane"), "{error}");
}

#[tokio::test]
async fn a_server_that_does_not_send_its_root_is_refused() {
    let ca = authority();
    let root = vec![ca.root().clone()];
    let silent = start(ca, control_plane_principal(DOMAIN).unwrap(), vec![], root).await;
    assert!(enrol(&silent.address, &silent.token()).await.is_err());
}

#[tokio::test]
async fn a_bundle_without_the_pinned_root_is_refused() {
    let ca = authority();
    let root = vec![ca.root().clone()];
    let other = vec![authority().root().clone()];
    let strange = start(ca, control_plane_principal(DOMAIN).unwrap(), root, other).await;
    assert!(enrol(&strange.address, &strange.token()).await.is_err());
}

#[tokio::test]
async fn the_svid_in_use_gets_the_next_one() {
    let control_plane = honest().await;
    let first = enrol(&control_plane.address, &control_plane.token()).await.unwrap();
    let serial = first.svid.facts().serial.clone();
    let store = IdentityStore::new(first.svid);
    let next = renew(&control_plane.address, &store).await.unwrap();
    assert_eq!(next.svid.principal(), &principal("shop", "web"));
    assert_ne!(next.svid.facts().serial, serial);
    assert_eq!(next.workload, None);
    assert_eq!(store.rotate(next.svid).unwrap(), 2);
}

#[tokio::test]
async fn a_withdrawn_principal_cannot_renew() {
    let control_plane = honest().await;
    let first = enrol(&control_plane.address, &control_plane.token()).await.unwrap();
    control_plane.records.withdrawn.lock().unwrap().push(principal("shop", "web"));
    let store = IdentityStore::new(first.svid);
    assert!(renew(&control_plane.address, &store).await.is_err());
    assert_eq!(store.generation(), 1, "the still valid certificate stays in use");
}

#[tokio::test]
async fn an_svid_of_another_authority_cannot_renew() {
    let control_plane = honest().await;
    let foreign = authority();
    let roots = vec![control_plane.ca.root().clone(), foreign.root().clone()];
    let store = IdentityStore::new(svid_trusting(&foreign, &principal("shop", "web"), roots));
    assert!(renew(&control_plane.address, &store).await.is_err());
}

#[tokio::test]
async fn a_control_plane_that_is_away_is_an_error_and_not_a_hang() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let token = JoinToken::generate(authority().root()).unwrap();
    let error = enrol(&address, &token).await.unwrap_err().to_string();
    assert!(error.starts_with("certificate service:"), "{error}");
}
