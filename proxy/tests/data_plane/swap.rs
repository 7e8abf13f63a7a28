//! Policies change and processes end while requests are under way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use palisade_model::record::VerdictFacts;
use palisade_model::{Policy, Protocol};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::world::{OK, PATIENCE, RawClient, RawOrigin, World, authorization, local, policy_to};

/// Swaps per run; `PALISADE_SWAPS` says more for a soak.
const SWAPS: u32 = 100;

fn swaps() -> u32 {
    std::env::var("PALISADE_SWAPS").ok().and_then(|text| text.parse().ok()).unwrap_or(SWAPS)
}

/// Even versions refuse `/odd`, odd versions refuse `/even`: who mixes two versions refuses both or neither.
fn version(origin: SocketAddr, number: u32) -> Policy {
    let mut policy = policy_to(origin, Protocol::Http);
    let refused = if number.is_multiple_of(2) { "/odd" } else { "/even" };
    policy.authorization = vec![authorization(
        "one-of-two",
        json!({"action": "DENY", "rules": [{"to": [{"operation": {"paths": [refused]}}]}]}),
    )];
    policy
}

#[tokio::test]
async fn policies_are_swapped_under_load_and_no_request_fails_or_mixes_two_of_them() {
    let origin = RawOrigin::start(OK).await;
    let (world, edge) = World::gateway(origin.address, |_| {}).await;
    world.enforce(version(origin.address, 0), "0");
    let stop = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = ["/odd", "/even", "/odd", "/even"]
        .into_iter()
        .map(|path| {
            let stop = stop.clone();
            tokio::spawn(async move {
                let mut client = RawClient::connect(edge).await;
                let (mut passed, mut refused) = (0, 0);
                while !stop.load(Ordering::Relaxed) {
                    client.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
                    match client.response().await.expect("an answer").0 {
                        200 => passed += 1,
                        403 => refused += 1,
                        other => panic!("{path}: {other}"),
                    }
                }
                (passed, refused)
            })
        })
        .collect();
    for number in 1..=swaps() {
        let before = world.records.all().len();
        world.enforce(version(origin.address, number), &number.to_string());
        world.records.wait(before + 2).await;
    }
    stop.store(true, Ordering::Relaxed);
    let (mut passed, mut refused) = (0, 0);
    for task in load {
        let counts = task.await.unwrap();
        passed += counts.0;
        refused += counts.1;
    }
    println!("{} swaps, {passed} passed, {refused} refused, none failed", swaps());
    assert!(passed > 0 && refused > 0);
    for record in world.records.wait(passed + refused).await {
        let number: u32 = record.policy_version.parse().unwrap();
        let path = record.request.unwrap().path;
        let expected = (path == "/odd") == number.is_multiple_of(2);
        assert_eq!(matches!(record.verdict, VerdictFacts::Deny(_)), expected, "{path} by version {number}");
    }
}

#[tokio::test]
async fn a_drain_finishes_what_was_accepted_and_then_closes() {
    let listener = TcpListener::bind(local()).await.unwrap();
    let (world, edge) = World::gateway(listener.local_addr().unwrap(), |_| {}).await;
    let mut idle = RawClient::connect(edge).await;
    let mut busy = RawClient::connect(edge).await;
    busy.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    // The origin has the request, so it is surely under way when the drain begins.
    let (mut origin, _) = listener.accept().await.unwrap();
    let mut byte = [0];
    origin.read_exact(&mut byte).await.unwrap();
    world.plane.drain.start();
    assert!(world.plane.drain.open() >= 1, "the busy connection is waited for");
    origin.write_all(OK.as_bytes()).await.unwrap();
    let text = busy.rest().await;
    assert!(
        text.starts_with("HTTP/1.1 200") && text.ends_with("ok"),
        "the accepted request got its answer: {text}"
    );
    assert_eq!(idle.rest().await, "", "an idle connection is closed");
    assert_eq!(world.plane.drain.finished(PATIENCE).await, 0);
    assert!(tokio::net::TcpStream::connect(edge).await.is_err(), "nothing is accepted any more");
}

#[tokio::test]
async fn a_drain_under_load_loses_no_accepted_request() {
    let origin = RawOrigin::start(OK).await;
    let (world, edge) = World::gateway(origin.address, |_| {}).await;
    let load: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn(async move {
                let mut client = RawClient::connect(edge).await;
                let mut answered = 0;
                loop {
                    if client.try_send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.is_err() {
                        return answered;
                    }
                    match client.response().await {
                        Some((status, head, _)) => {
                            assert_eq!(status, 200);
                            answered += 1;
                            if head.contains("connection: close") {
                                return answered;
                            }
                        }
                        // Closed between two requests: the next one was not accepted.
                        None => return answered,
                    }
                }
            })
        })
        .collect();
    world.records.wait(50).await;
    world.plane.drain.start();
    let mut answered = 0;
    for task in load {
        answered += task.await.unwrap();
    }
    assert_eq!(world.plane.drain.finished(PATIENCE).await, 0);
    let records = world.records.all();
    let complete =
        records.iter().filter(|record| record.response.as_ref().is_some_and(|facts| !facts.truncated));
    assert_eq!(complete.count(), answered, "every exchange that began was answered");
    assert_eq!(records.len(), answered);
}
