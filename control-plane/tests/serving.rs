//! From join token to policy to event, over real loopback sockets; and what a sidecar is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use palisade_control_plane::serve::start;
use palisade_identity::bootstrap::{control_plane_principal, enrol, renew};
use palisade_identity::{IdentityError, IdentityStore, JoinToken, channel};
use palisade_model::record::{ConnectionFacts, Inspection, RECORD_VERSION, VerdictFacts};
use palisade_model::{Denial, Direction, Policy, Reason, RequestRecord, WorkloadId};
use palisade_store::{JoinTokenRecord, Store};
use palisade_telemetry::exporter::{ExporterOptions, exporter};
use palisade_xds::client::{Client, ClientOptions, PolicyUpdate};
use support::{House, allow, eventually, house, options, workload};
use tokio::sync::mpsc;

/// A house with two workloads, `shop/web` and `shop/cart`, each with an allowlist.
async fn two_workloads() -> House {
    let house = house().await;
    for name in ["web", "cart"] {
        assert_eq!(house.put("WorkloadEntry", "shop", name, &workload("shop", name, name)).await.status, 200);
        let policy = allow("shop", name, name, &format!("/{name}"));
        assert_eq!(house.put("AuthorizationPolicy", "shop", name, &policy).await.status, 200);
    }
    house
}

async fn join_token(house: &House, name: &str, more: &str) -> JoinToken {
    let request = format!(r#"{{"namespace":"shop","workload":"{name}"{more}}}"#);
    let made = house.call("POST", "/api/v1/join-tokens", &request).await;
    assert_eq!(made.status, 201, "{}", made.body);
    made.text("token").parse().unwrap()
}

async fn join(house: &House, name: &str) -> Arc<IdentityStore> {
    let token = join_token(house, name, "").await;
    let enrolled = enrol(&house.running.grpc.to_string(), &token).await.unwrap();
    assert_eq!(enrolled.workload, Some(WorkloadId::local("shop", name)));
    IdentityStore::new(enrolled.svid)
}

async fn connect(
    address: String,
    identity: Arc<IdentityStore>,
) -> Result<tonic::transport::Channel, IdentityError> {
    let expected = control_plane_principal("mesh.example")?;
    channel::connect(&address, identity.client_config(vec![expected], &[b"h2"])?).await
}

/// A sidecar's subscription as `claimed`.
fn subscribe(house: &House, identity: Arc<IdentityStore>, claimed: &str) -> Subscription {
    let options = ClientOptions {
        backoff_min: Duration::from_millis(10),
        backoff_max: Duration::from_millis(50),
        ..ClientOptions::default()
    };
    let client = Client::new(WorkloadId::local("shop", claimed), None, options).unwrap();
    let status = client.status();
    let (sender, updates) = mpsc::channel(1);
    let address = house.running.grpc.to_string();
    tokio::spawn(client.run(move || connect(address.clone(), identity.clone()), sender));
    Subscription { updates, status }
}

struct Subscription {
    updates: mpsc::Receiver<PolicyUpdate>,
    status: tokio::sync::watch::Receiver<palisade_xds::client::ClientStatus>,
}

impl Subscription {
    async fn next(&mut self) -> PolicyUpdate {
        let next = tokio::time::timeout(Duration::from_secs(30), self.updates.recv()).await;
        next.expect("a policy comes").expect("the client runs")
    }
}

fn paths(policy: &Policy) -> String {
    serde_json::to_string(&policy.authorization).unwrap()
}

#[tokio::test]
async fn a_join_token_leads_to_an_svid_and_to_its_own_policy_and_changes_follow() {
    let house = two_workloads().await;
    let identity = join(&house, "web").await;
    assert_eq!(identity.current().principal().to_string(), "mesh.example/ns/shop/sa/web");
    let mut sidecar = subscribe(&house, identity, "web");
    let first = sidecar.next().await;
    assert!(paths(&first.policy).contains("/web") && !paths(&first.policy).contains("/cart"));
    let version = first.version.clone();
    first.accept();
    let sidecar_of = async |house: &House| {
        let workloads = house.call("GET", "/api/v1/workloads", "").await.json();
        let web = workloads.as_array().unwrap().iter().find(|w| w["name"] == "web").unwrap().clone();
        web["sidecar"].clone()
    };
    eventually("the ACK in the status", async || {
        let status = sidecar_of(&house).await;
        (status["acked"] == true && status["version"] == version.as_str() && status["current"] == true)
            .then_some(())
    })
    .await;
    let changed = allow("shop", "web", "web", "/changed");
    assert_eq!(house.put("AuthorizationPolicy", "shop", "web", &changed).await.status, 200);
    let second = sidecar.next().await;
    assert!(paths(&second.policy).contains("/changed"));
    second.reject("will not do it");
    eventually("the NACK in the status", async || {
        let status = sidecar_of(&house).await;
        let error = status["error"].as_str().unwrap_or_default().to_owned();
        (status["acked"] == false && error.contains("will not do it")).then_some(())
    })
    .await;
    let metrics = house.call_as(None, "GET", "/metrics", "").await.body;
    for line in [
        "palisade_xds_connections 1",
        "palisade_xds_responses_total{outcome=\"accepted\"} 1",
        "palisade_xds_responses_total{outcome=\"rejected\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}: {metrics}");
    }
}

// Adversarial test 110.
#[tokio::test]
async fn a_sidecar_is_refused_another_workloads_policy() {
    let house = two_workloads().await;
    let identity = join(&house, "web").await;
    let mut thief = subscribe(&house, identity.clone(), "cart");
    let error = eventually("the refusal", async || thief.status.borrow().last_error.clone()).await;
    assert!(error.contains("not that workload"), "{error}");
    assert!(thief.updates.try_recv().is_err());
    let mut honest = subscribe(&house, identity, "web");
    honest.next().await.accept();
}

#[tokio::test]
async fn a_client_without_a_certificate_gets_no_policy_and_leaves_no_event() {
    let house = two_workloads().await;
    let identity = join(&house, "web").await;
    let anonymous = move |address: String| {
        let identity = identity.clone();
        async move {
            let expected = control_plane_principal("mesh.example")?;
            let config = identity.client_config(vec![expected], &[b"h2"])?;
            let mut config = rustls::ClientConfig::clone(&config);
            config.client_auth_cert_resolver = Arc::new(NoCertificate);
            channel::connect(&address, Arc::new(config)).await
        }
    };
    let client = Client::new(WorkloadId::local("shop", "web"), None, ClientOptions::default()).unwrap();
    let status = client.status();
    let (sender, mut updates) = mpsc::channel(1);
    let (address, ads) = (house.running.grpc.to_string(), anonymous.clone());
    tokio::spawn(client.run(move || ads(address.clone()), sender));
    let error = eventually("the refusal", async || status.borrow().last_error.clone()).await;
    assert!(error.contains("client certificate"), "{error}");
    assert!(updates.try_recv().is_err());
    let (queue, task) = exporter(ExporterOptions::default());
    queue.event(denial("ref-anonymous", "web"), None, 1);
    let address = house.running.grpc.to_string();
    tokio::spawn(task.run(WorkloadId::local("shop", "web"), move || anonymous(address.clone())));
    eventually("the event to be given up", async || (queue.undelivered() > 0).then_some(())).await;
    let events = house.call("GET", "/api/v1/events", "").await.json();
    assert_eq!(events.as_array().unwrap().len(), 0);
}

#[derive(Debug)]
struct NoCertificate;

impl rustls::client::ResolvesClientCert for NoCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn an_svid_of_another_authority_is_worth_nothing() {
    let house = two_workloads().await;
    let other = two_workloads().await;
    let foreign = join(&other, "web").await;
    assert!(renew(&house.running.grpc.to_string(), &foreign).await.is_err());
    assert!(renew(&other.running.grpc.to_string(), &foreign).await.is_ok());
}

#[tokio::test]
async fn a_used_up_expired_or_foreign_join_token_is_refused() {
    let house = two_workloads().await;
    let address = house.running.grpc.to_string();
    let token = join_token(&house, "web", "").await;
    enrol(&address, &token).await.unwrap();
    assert!(enrol(&address, &token).await.unwrap_err().to_string().contains("join token refused"));
    let twice = join_token(&house, "web", r#","uses":2"#).await;
    enrol(&address, &twice).await.unwrap();
    enrol(&address, &twice).await.unwrap();
    assert!(enrol(&address, &twice).await.is_err());
    let other = two_workloads().await;
    let foreign = join_token(&other, "web", "").await;
    let error = enrol(&address, &foreign).await.unwrap_err().to_string();
    assert!(error.contains("not the one of the join token"), "{error}");
    let audit = house.call("GET", "/api/v1/audit", "").await.body;
    assert!(audit.contains("certificate.join") && audit.contains("every use was taken"), "{audit}");
    assert!(!audit.contains(&token.to_string()));
    let unknown =
        house.call("POST", "/api/v1/join-tokens", r#"{"namespace":"shop","workload":"nobody"}"#).await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn an_expired_join_token_is_refused() {
    let house = two_workloads().await;
    let root = std::fs::read(house.folder.path().join("state/root.pem")).unwrap();
    let root = palisade_identity::certificate::certificates_from_pem("root", &root).unwrap().remove(0);
    let token = JoinToken::generate(&root).unwrap();
    let store = Store::open(&house.folder.path().join("state/palisade.db")).await.unwrap();
    let mut record = JoinTokenRecord {
        digest: token.digest(),
        workload: WorkloadId::local("shop", "web"),
        principal: "mesh.example/ns/shop/sa/web".parse().unwrap(),
        author: "test".to_owned(),
        expires_ms: 1,
        uses_left: 1,
    };
    store.add_join_token(&record).await.unwrap();
    let address = house.running.grpc.to_string();
    let error = enrol(&address, &token).await.unwrap_err().to_string();
    assert!(error.contains("join token refused"), "{error}");
    assert!(house.call("GET", "/api/v1/audit", "").await.body.contains("\"expired\""));
    // The same record with time left is good, so it was the time that refused it.
    let token = JoinToken::generate(&root).unwrap();
    (record.digest, record.expires_ms) = (token.digest(), i64::MAX);
    store.add_join_token(&record).await.unwrap();
    enrol(&address, &token).await.unwrap();
}

#[tokio::test]
async fn a_workload_that_left_the_inventory_gets_no_further_certificate() {
    let house = two_workloads().await;
    let identity = join(&house, "web").await;
    let address = house.running.grpc.to_string();
    let next = renew(&address, &identity).await.unwrap();
    identity.rotate(next.svid).unwrap();
    let unused = join_token(&house, "web", "").await;
    assert_eq!(house.call("DELETE", "/api/v1/documents/WorkloadEntry/shop/web", "").await.status, 200);
    assert!(renew(&address, &identity).await.is_err());
    assert!(enrol(&address, &unused).await.is_err());
}

fn denial(reference: &str, claimed: &str) -> RequestRecord {
    RequestRecord {
        version: RECORD_VERSION,
        reference: reference.to_owned(),
        time_ms: 1,
        workload: WorkloadId::local("shop", claimed),
        policy_version: "v".into(),
        connection: ConnectionFacts {
            listener: "inbound".into(),
            direction: Direction::Inbound,
            peer: "127.0.0.1:1".into(),
            client: "127.0.0.1:1".into(),
            local: "127.0.0.1:2".into(),
            principal: None,
            sni: None,
        },
        request: None,
        verdict: VerdictFacts::Deny(Denial::new(Reason::NoRoute, None, "no route")),
        staged: None,
        matches: Vec::new(),
        inspection: Inspection::None,
        response_inspection: Inspection::None,
        response: None,
    }
}

#[tokio::test]
async fn an_event_is_found_by_its_reference_under_the_workload_that_proved_itself() {
    let house = two_workloads().await;
    let identity = join(&house, "web").await;
    let (queue, task) = exporter(ExporterOptions::default());
    queue.event(denial("ref-1", "cart"), None, 1);
    let address = house.running.grpc.to_string();
    // It claims to be another workload.
    let claimed = WorkloadId::local("shop", "cart");
    tokio::spawn(task.run(claimed, move || connect(address.clone(), identity.clone())));
    let found = eventually("the event", async || {
        let events = house.call("GET", "/api/v1/events?reference=ref-1", "").await.json();
        events.as_array().unwrap().first().cloned()
    })
    .await;
    assert_eq!(found["workload"]["name"], "web", "{found}");
    assert_eq!(found["reason"], "no_route");
    assert_eq!(found["record"]["reference"], "ref-1");
    let other = house.call("GET", "/api/v1/events?workload=shop/cart", "").await;
    assert_eq!(other.json().as_array().unwrap().len(), 0);
    assert_eq!(
        house.call("GET", "/api/v1/events?reference=ref-2", "").await.json().as_array().unwrap().len(),
        0
    );
}

#[tokio::test]
async fn everything_in_force_survives_a_restart() {
    let house = two_workloads().await;
    let before = house.call("GET", "/api/v1/policies/shop/web", "").await.body;
    let House { running, token, folder } = house;
    running.stop().await;
    let running = start(options(folder.path(), None)).await.unwrap();
    assert_eq!(running.first_token, None, "only the first start makes a token");
    let house = House { running, token, folder };
    assert_eq!(house.call("GET", "/api/v1/policies/shop/web", "").await.body, before);
    let identity = join(&house, "web").await;
    subscribe(&house, identity, "web").next().await.accept();
}
