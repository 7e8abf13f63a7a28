//! Ordinary HTTP/1.1 through a gateway listener.

use palisade_model::Reason;
use palisade_model::policy::Endpoint;
use palisade_model::record::VerdictFacts;
use serde_json::json;

use crate::world::{OK, RawClient, RawOrigin, World, authorization, local};

const GET: &str = "GET /a HTTP/1.1\r\nhost: shop.example\r\n\r\n";

#[tokio::test]
async fn a_kept_alive_connection_carries_many_requests_each_with_one_record() {
    let origin = RawOrigin::start(OK).await;
    let (world, edge) = World::gateway(origin.address, |_| {}).await;
    let mut client = RawClient::connect(edge).await;
    for _ in 0..5 {
        client.send(GET).await;
        let (status, _, body) = client.response().await.unwrap();
        assert_eq!((status, body.as_slice()), (200, b"ok".as_slice()));
    }
    let records = world.records.wait(5).await;
    assert_eq!(records.len(), 5);
    assert!(records.iter().all(|record| record.verdict == VerdictFacts::Permit));
    assert_eq!(origin.text().matches("GET /a HTTP/1.1").count(), 5);
}

#[tokio::test]
async fn what_is_sent_is_the_canonical_form_with_our_headers_only() {
    let origin = RawOrigin::start(OK).await;
    let (_world, edge) = World::gateway(origin.address, |_| {}).await;
    let mut client = RawClient::connect(edge).await;
    client
        .send(
            "GET //a/./%62?x=1 HTTP/1.1\r\nHost: SHOP.example\r\nX-Forwarded-Client-Cert: URI=spiffe://evil\r\n\
             X-Forwarded-For: 6.6.6.6\r\nx-request-id: mine\r\nconnection: keep-alive, x-hop\r\nx-hop: 1\r\n\r\n",
        )
        .await;
    assert_eq!(client.response().await.unwrap().0, 200);
    let seen = origin.text().to_lowercase();
    assert!(seen.starts_with("get /a/b?x=1 http/1.1\r\n"), "{seen}");
    assert!(seen.contains("host: shop.example\r\n"), "{seen}");
    for gone in ["evil", "6.6.6.6", "mine", "x-hop"] {
        assert!(!seen.contains(gone), "{gone} in {seen}");
    }
    assert!(seen.contains("x-forwarded-for: 127.0.0.1\r\n") && seen.contains("x-forwarded-proto: http\r\n"));
    assert!(seen.contains("traceparent: 00-") && seen.contains("x-request-id: "), "{seen}");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_with_a_refusal_in_its_place() {
    let origin = RawOrigin::start(OK).await;
    let (world, edge) = World::gateway(origin.address, |_| {}).await;
    let mut client = RawClient::connect(edge).await;
    let bad = "GET /c HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n";
    client.send(format!("{GET}{GET}{bad}{GET}")).await;
    assert_eq!(client.response().await.unwrap().0, 200);
    assert_eq!(client.response().await.unwrap().0, 200);
    let (status, head, body) = client.response().await.unwrap();
    assert_eq!(status, 400);
    assert!(head.contains("connection: close") && head.contains("x-palisade-reference: "), "{head}");
    assert!(!String::from_utf8(body).unwrap().contains("host"), "the client learns no reason");
    assert_eq!(client.rest().await, "", "nothing after a refusal");
    assert_eq!(origin.text().matches("GET /").count(), 2);
    let records = world.records.wait(3).await;
    assert_eq!(records.len(), 3);
    let VerdictFacts::Deny(denial) = &records[2].verdict else { panic!("{records:?}") };
    assert_eq!(denial.reason, Reason::Malformed);
    assert!(denial.explanation.contains("multiple_hosts"), "{denial:?}");
}

#[tokio::test]
async fn a_denied_request_gets_403_and_a_reference_that_its_record_has() {
    let origin = RawOrigin::start(OK).await;
    let (world, edge) = World::gateway(origin.address, |policy| {
        policy.authorization = vec![authorization(
            "no-admin",
            json!({"action": "DENY", "rules": [{"to": [{"operation": {"paths": ["/admin*"]}}]}]}),
        )];
    })
    .await;
    let mut client = RawClient::connect(edge).await;
    client.send("GET /%61dmin/x HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let (status, head, _) = client.response().await.unwrap();
    assert_eq!(status, 403);
    client.send(GET).await;
    assert_eq!(client.response().await.unwrap().0, 200, "a denial does not end the connection");
    let records = world.records.wait(2).await;
    let VerdictFacts::Deny(denial) = &records[0].verdict else { panic!("{records:?}") };
    assert_eq!(denial.reason, Reason::AuthorizationDenied);
    assert!(head.contains(&records[0].reference), "{head}");
    assert_eq!(origin.text().matches("GET /").count(), 1, "the origin never saw the denied request");
}

#[tokio::test]
async fn no_route_is_404_and_no_policy_is_503() {
    let origin = RawOrigin::start(OK).await;
    let (_world, edge) = World::gateway(origin.address, |policy| policy.routes.clear()).await;
    let mut client = RawClient::connect(edge).await;
    client.send(GET).await;
    assert_eq!(client.response().await.unwrap().0, 404);

    let world = World::new(None);
    let role = palisade_model::policy::ListenerRole::Gateway {
        certificates: Vec::new(),
        client_address: Default::default(),
    };
    let mut client = RawClient::connect(world.listen("edge", role)).await;
    client.send(GET).await;
    assert_eq!(client.response().await.unwrap().0, 503);
    assert_eq!(origin.text(), "");
}

#[tokio::test]
async fn a_dead_upstream_is_503_and_counted() {
    let origin = RawOrigin::start(OK).await;
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (world, edge) = World::gateway(dead, |_| {}).await;
    let mut client = RawClient::connect(edge).await;
    client.send(GET).await;
    assert_eq!(client.response().await.unwrap().0, 503);
    world.records.wait(1).await;
    assert_eq!(world.plane.telemetry.metrics.refusals("edge", "upstream_connect"), 1);
    drop(origin);
}

#[tokio::test]
async fn a_request_tries_three_endpoints_and_not_a_fourth() {
    let origin = RawOrigin::start(OK).await;
    for (before, status) in [(1, 200), (2, 200), (3, 503)] {
        let (world, edge) = World::gateway(origin.address, |policy| {
            let endpoints = &mut policy.clusters[0].endpoints;
            // Their addresses are held at the same time, so that they differ.
            let held: Vec<_> = (0..before).map(|_| std::net::TcpListener::bind(local()).unwrap()).collect();
            for listener in held {
                let address = listener.local_addr().unwrap();
                endpoints.insert(0, Endpoint { address, weight: 1 });
            }
        })
        .await;
        let mut client = RawClient::connect(edge).await;
        client.send(GET).await;
        assert_eq!(client.response().await.unwrap().0, status, "behind {before} dead endpoints");
        // Those that failed are passed over for a while.
        let mut next = RawClient::connect(edge).await;
        next.send(GET).await;
        assert_eq!(next.response().await.unwrap().0, 200, "behind {before} that failed");
        world.records.wait(2).await;
    }
}

#[tokio::test]
async fn a_body_is_streamed_both_ways_and_counted() {
    let origin =
        RawOrigin::start("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
            .await;
    let (world, edge) = World::gateway(origin.address, |_| {}).await;
    let mut client = RawClient::connect(edge).await;
    client.send("POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n").await;
    client.send("2\r\nde\r\n0\r\n\r\n").await;
    client.send("GET /b HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    let text = client.rest().await;
    assert_eq!(text.matches("hello").count(), 2, "{text}");
    let records = world.records.wait(2).await;
    let facts = records[0].response.as_ref().unwrap();
    assert_eq!((facts.request_bytes, facts.response_bytes, facts.truncated), (5, 5, false));
    assert!(origin.text().contains("abc"), "{}", origin.text());
}
