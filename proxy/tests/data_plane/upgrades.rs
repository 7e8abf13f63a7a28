//! WebSocket over HTTP/1.1: two byte streams after a 101, and not before.

use std::net::SocketAddr;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::world::{OK, RawClient, RawOrigin, World, authorization, find, local, policy_to};
use palisade_model::Protocol;

const ASK: &str = "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                      sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Answers an upgrade with 101, says what came before it, then echoes.
async fn echo_after_101() -> SocketAddr {
    let listener = TcpListener::bind(local()).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while find(&head, b"\r\n\r\n").is_none() {
                    head.push(stream.read_u8().await.unwrap());
                }
                stream.write_all(SWITCH.as_bytes()).await.unwrap();
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    address
}

async fn switched(edge: SocketAddr) -> RawClient {
    let mut client = RawClient::connect(edge).await;
    client.send(ASK).await;
    let (status, head, _) = client.response().await.unwrap();
    assert_eq!(status, 101);
    assert!(head.contains("upgrade: websocket") && head.contains("sec-websocket-accept: "), "{head}");
    client
}

#[tokio::test]
async fn an_accepted_upgrade_carries_bytes_both_ways() {
    let (world, edge) = World::gateway(echo_after_101().await, |_| {}).await;
    let mut client = switched(edge).await;
    for word in ["hello", "again"] {
        client.send(word).await;
        let mut back = [0; 5];
        client.stream.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, word.as_bytes());
    }
    let records = world.records.wait(1).await;
    assert_eq!(records[0].response.as_ref().unwrap().status, 101);
}

#[tokio::test]
async fn framing_41_bytes_after_the_upgrade_wait_for_the_101_and_a_refused_upgrade_stays_http() {
    // This origin knows no upgrades: the bytes behind the head are the next request, judged like any other.
    let origin = RawOrigin::start(OK).await;
    let (_world, edge) = World::gateway(origin.address, |policy| {
        policy.authorization = vec![authorization(
            "no-admin",
            json!({"action": "DENY", "rules": [{"to": [{"operation": {"paths": ["/admin*"]}}]}]}),
        )];
    })
    .await;
    let mut client = RawClient::connect(edge).await;
    client.send(format!("{ASK}GET /admin HTTP/1.1\r\nhost: a\r\n\r\n")).await;
    assert_eq!(client.response().await.unwrap().0, 200);
    assert_eq!(client.response().await.unwrap().0, 403);
    assert!(!origin.text().contains("admin"), "{}", origin.text());
}

#[tokio::test]
async fn an_open_upgrade_ends_when_a_new_policy_refuses_it() {
    let address = echo_after_101().await;
    let (world, edge) = World::gateway(address, |_| {}).await;
    let mut client = switched(edge).await;
    let mut policy = policy_to(address, Protocol::Http);
    policy.authorization = vec![authorization(
        "no-chat",
        json!({"action": "DENY", "rules": [{"to": [{"operation": {"paths": ["/chat"]}}]}]}),
    )];
    world.enforce(policy, "2");
    assert_eq!(client.rest().await, "");
}
