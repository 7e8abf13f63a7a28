//! Messages that can be read in two ways: 400, and the upstream saw nothing (notes of the adversarial set in names).

use crate::world::{OK, RawClient, RawOrigin, World};

#[tokio::test]
async fn smuggling_attempts_get_400_and_the_upstream_sees_nothing() {
    let cases: &[(&str, &str)] = &[
        (
            "framing_36_cl_te",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "framing_37_te_te",
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        ),
        ("framing_38_cl_plus", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +5\r\n\r\nhello"),
        (
            "framing_38_cl_twice",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\nhello",
        ),
        ("framing_40_http10_te", "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("host_24_two_hosts", "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n"),
        ("host_missing", "GET / HTTP/1.1\r\n\r\n"),
        ("headers_34_space_before_colon", "GET / HTTP/1.1\r\nhost: a\r\nx : b\r\n\r\n"),
        ("headers_29_nul", "GET / HTTP/1.1\r\nhost: a\r\nx: b\0c\r\n\r\n"),
        ("bare_lf", "GET / HTTP/1.1\nhost: a\n\n"),
        ("obs_fold", "GET / HTTP/1.1\r\nhost: a\r\nx: b\r\n c\r\n\r\n"),
        ("path_18_encoded_nul", "GET /a%00b HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("authority_mismatch", "GET http://b/ HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("garbage", "\x01\x02\x03\x04 garbage garbage garbage\r\n\r\n"),
    ];
    let origin = RawOrigin::start(OK).await;
    let (world, edge) = World::gateway(origin.address, |_| {}).await;
    for (name, bytes) in cases {
        let mut client = RawClient::connect(edge).await;
        client.send(bytes).await;
        let (status, head, _) = client.response().await.unwrap_or_else(|| panic!("{name}: no answer"));
        assert_eq!(status, 400, "{name}");
        assert!(head.contains("x-palisade-reference: "), "{name}: {head}");
        assert_eq!(client.rest().await, "", "{name}: the connection is closed");
    }
    assert_eq!(origin.text(), "");
    assert_eq!(world.records.wait(cases.len()).await.len(), cases.len());
}

#[tokio::test]
async fn a_broken_chunk_after_a_good_head_is_400_with_its_cause() {
    let origin = RawOrigin::start("").await;
    let (world, edge) = World::gateway(origin.address, |_| {}).await;
    let mut client = RawClient::connect(edge).await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0x3\r\n").await;
    let (status, _, _) = client.response().await.unwrap();
    assert_eq!(status, 400);
    assert_eq!(client.rest().await, "");
    world.records.wait(1).await;
    assert_eq!(world.plane.telemetry.metrics.refusals("edge", "chunk_size"), 1);
}

#[tokio::test]
async fn heads_at_the_limits_pass_and_over_them_do_not() {
    let origin = RawOrigin::start(OK).await;
    let (_world, edge) = World::gateway(origin.address, |policy| {
        policy.limits.header_bytes = 1024;
        policy.limits.header_count = 8;
        policy.limits.uri_bytes = 100;
    })
    .await;
    let uri = |length: usize| format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(length - 1));
    let count = |count: usize| format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(count - 1));
    let bytes = |bytes: usize| {
        let head = "GET / HTTP/1.1\r\nhost: a\r\nx: \r\n\r\n";
        head.replace("x: ", &format!("x: {}", "y".repeat(bytes - head.len())))
    };
    let cases = [
        (uri(99), 200),
        (uri(100), 200),
        (uri(101), 414),
        (count(7), 200),
        (count(8), 200),
        (count(9), 431),
        (bytes(1023), 200),
        (bytes(1024), 200),
        (bytes(1025), 431),
    ];
    for (request, expected) in cases {
        let mut client = RawClient::connect(edge).await;
        client.send(&request).await;
        let status = client.response().await.map(|response| response.0);
        assert_eq!(status, Some(expected), "{}", &request[..60.min(request.len())]);
    }
}

#[tokio::test]
async fn a_slow_head_is_408_and_an_idle_connection_is_closed_quietly() {
    let origin = RawOrigin::start(OK).await;
    let (world, edge) = World::gateway(origin.address, |policy| {
        policy.limits.header_timeout_ms = 50;
        policy.limits.idle_timeout_ms = 50;
    })
    .await;
    let mut slow = RawClient::connect(edge).await;
    slow.send("GET / HTTP/1.1\r\nhost:").await;
    assert_eq!(slow.response().await.unwrap().0, 408);
    let mut idle = RawClient::connect(edge).await;
    idle.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(idle.response().await.unwrap().0, 200);
    assert_eq!(idle.rest().await, "");
    assert_eq!(world.plane.telemetry.metrics.refusals("edge", "header_timeout"), 1);
}

#[tokio::test]
async fn a_stalled_body_is_408() {
    let origin = RawOrigin::start("").await;
    let (world, edge) = World::gateway(origin.address, |policy| policy.limits.body_timeout_ms = 50).await;
    let mut client = RawClient::connect(edge).await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc").await;
    assert_eq!(client.response().await.unwrap().0, 408);
    world.records.wait(1).await;
    assert_eq!(world.plane.telemetry.metrics.refusals("edge", "body_timeout"), 1);
}

#[tokio::test]
async fn an_upstream_that_cannot_be_read_in_one_way_is_502() {
    let cases = [
        ("cl_te", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("204_with_length", "HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\nok"),
        (
            "101_unasked",
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        ),
        ("not_http", "hello\r\n\r\n"),
    ];
    for (name, answer) in cases {
        let origin = RawOrigin::start(answer).await;
        let (_world, edge) = World::gateway(origin.address, |_| {}).await;
        let mut client = RawClient::connect(edge).await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(client.response().await.map(|response| response.0), Some(502), "{name}");
    }
}

#[tokio::test]
async fn exhaustion_116_a_client_that_takes_no_byte_of_its_answer_is_left() {
    let body = "x".repeat(32 * 1024 * 1024);
    let origin =
        RawOrigin::start(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
    let (world, edge) = World::gateway(origin.address, |policy| policy.limits.body_timeout_ms = 50).await;
    let mut client = RawClient::connect(edge).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let records = world.records.wait(1).await;
    let facts = records[0].response.as_ref().unwrap();
    assert!(facts.truncated && facts.response_bytes < body.len() as u64, "{facts:?}");
    drop(client);
}
