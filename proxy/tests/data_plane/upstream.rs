//! Upstreams whose bytes can be read in two ways, or that say more than they were asked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::world::{OK, RawClient, World, find, local};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// Gives its first connection one answer, piece by piece, and every later one [`OK`]; counts connections.
struct Turncoat {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Turncoat {
    async fn start(pieces: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind(local()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let bad = (count.fetch_add(1, Ordering::SeqCst) == 0).then(|| pieces.clone());
                tokio::spawn(async move {
                    let mut seen = Vec::new();
                    loop {
                        let mut piece = [0; 4096];
                        let Ok(read @ 1..) = stream.read(&mut piece).await else { return };
                        seen.extend_from_slice(&piece[..read]);
                        let Some(end) = find(&seen, b"\r\n\r\n") else { continue };
                        seen.drain(..end + 4);
                        for answer in bad.clone().unwrap_or_else(|| vec![OK.into()]) {
                            if stream.write_all(&answer).await.is_err() {
                                return;
                            }
                            tokio::task::yield_now().await;
                        }
                    }
                });
            }
        });
        Self { address, connections }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Sends one request of `method` for the bad answer and another after it.
async fn refused(name: &str, method: &str, pieces: Vec<Vec<u8>>) {
    let origin = Turncoat::start(pieces).await;
    let (world, edge) = World::gateway(origin.address, |_| {}).await;
    let mut client = RawClient::connect(edge).await;
    client.send(GET.replace("GET", method)).await;
    let (status, head, body) = client.response().await.unwrap_or_else(|| panic!("{name}: no answer"));
    assert_eq!(status, 502, "{name}");
    assert!(!head.contains("x-poison"), "{name}: a byte of it reached the client");
    assert!(find(&body, b"poison").is_none(), "{name}: a byte of it reached the client");
    assert_eq!(origin.connections(), 1, "{name}: it was not asked again");
    let records = world.records.wait(1).await;
    assert_eq!(records[0].response.as_ref().unwrap().status, 502, "{name}");
    let mut next = RawClient::connect(edge).await;
    next.send(GET).await;
    assert_eq!(next.response().await.map(|response| response.2), Some(b"ok".to_vec()), "{name}");
    assert_eq!(origin.connections(), 2, "{name}: its connection was used again");
}

const AMBIGUOUS: [(&str, &str, &str); 18] = [
    ("cl_te", "GET", "content-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("two_cl", "GET", "content-length: 6\r\ncontent-length: 6\r\n\r\npoison"),
    ("two_cl_that_differ", "GET", "content-length: 6\r\ncontent-length: 7\r\n\r\npoison"),
    ("cl_list", "GET", "content-length: 6, 6\r\n\r\npoison"),
    ("cl_sign", "GET", "content-length: +6\r\n\r\npoison"),
    ("bare_lf", "GET", "content-length: 6\n\r\n\r\npoison"),
    ("bare_lf_end", "GET", "content-length: 6\n\npoison\r\n\r\n"),
    ("obs_fold", "GET", "content-length: 6\r\nx: a\r\n b\r\n\r\npoison"),
    ("space_before_colon", "GET", "content-length : 6\r\n\r\npoison"),
    ("nul", "GET", "content-length: 6\r\nx: a\0b\r\n\r\npoison"),
    ("te_gzip_chunked", "GET", "transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("te_twice", "GET", "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("te_identity", "GET", "transfer-encoding: identity\r\n\r\npoison"),
    ("chunk_size_0x", "GET", "transfer-encoding: chunked\r\n\r\n0x6\r\npoison\r\n0\r\n\r\n"),
    ("chunk_size_sign", "GET", "transfer-encoding: chunked\r\n\r\n+6\r\npoison\r\n0\r\n\r\n"),
    ("chunk_size_huge", "GET", "transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\npoison"),
    ("chunk_bare_lf", "GET", "transfer-encoding: chunked\r\n\r\n6\npoison\n0\n\n"),
    ("more_than_said", "GET", "content-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nx-poison: 1\r\n\r\n"),
];

#[tokio::test]
async fn a_response_that_can_be_read_in_two_ways_is_502_and_its_connection_is_never_used_again() {
    for (name, method, rest) in AMBIGUOUS {
        let answer = format!("HTTP/1.1 200 OK\r\nx-poison: 1\r\n{rest}");
        refused(name, method, vec![answer.into_bytes()]).await;
    }
    for (name, answer) in [
        ("204_with_length", "HTTP/1.1 204 No Content\r\nx-poison: 1\r\ncontent-length: 6\r\n\r\npoison"),
        ("204_with_body", "HTTP/1.1 204 No Content\r\nx-poison: 1\r\n\r\npoison"),
        ("304_with_body", "HTTP/1.1 304 Not Modified\r\nx-poison: 1\r\n\r\npoison"),
        (
            "304_chunked",
            "HTTP/1.1 304 Not Modified\r\nx-poison: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        ("http10_te", "HTTP/1.0 200 OK\r\nx-poison: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("http2_line", "HTTP/2.0 200 OK\r\nx-poison: 1\r\ncontent-length: 0\r\n\r\n"),
        ("lower_case", "http/1.1 200 OK\r\nx-poison: 1\r\ncontent-length: 0\r\n\r\n"),
        ("status_two_digits", "HTTP/1.1 20 OK\r\nx-poison: 1\r\ncontent-length: 0\r\n\r\n"),
        (
            "103_with_length",
            "HTTP/1.1 103 Early Hints\r\ncontent-length: 6\r\n\r\npoisonHTTP/1.1 200 OK\r\nx-poison: 1\r\n\r\n",
        ),
    ] {
        refused(name, "GET", vec![answer.into()]).await;
    }
}

#[tokio::test]
async fn the_same_is_refused_however_the_bytes_are_cut() {
    for at in [0, 1, 2, 7] {
        let (name, method, rest) = AMBIGUOUS[at];
        let answer = format!("HTTP/1.1 200 OK\r\nx-poison: 1\r\n{rest}");
        let pieces = answer.bytes().map(|byte| vec![byte]).collect();
        refused(name, method, pieces).await;
    }
}

#[tokio::test]
async fn good_responses_pass_however_the_bytes_are_cut_and_their_connection_is_used_again() {
    let answers = [
        ("length", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"),
        (
            "chunked",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
        ),
        (
            "early_hints",
            "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        ),
    ];
    for (name, answer) in answers {
        for size in [1, 3, answer.len()] {
            let pieces = answer.as_bytes().chunks(size).map(<[u8]>::to_vec).collect();
            let origin = Turncoat::start(pieces).await;
            let (_world, edge) = World::gateway(origin.address, |_| {}).await;
            for _ in 0..3 {
                let mut client = RawClient::connect(edge).await;
                client.send(GET.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n")).await;
                let text = client.rest().await;
                assert!(text.starts_with("HTTP/1.1 200 OK"), "{name} by {size}: {text}");
                let plain: String = text.split("\r\n\r\n").skip(1).collect();
                let letters: String = plain.chars().filter(char::is_ascii_lowercase).collect();
                assert_eq!(letters, "hello", "{name} by {size}: {text}");
            }
            assert_eq!(origin.connections(), 1, "{name} by {size}");
        }
    }
}

#[tokio::test]
async fn a_body_that_breaks_in_the_middle_is_cut_and_never_looks_whole() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let listener = TcpListener::bind(local()).await.unwrap();
    let origin = listener.local_addr().unwrap();
    let (go, told) = tokio::sync::oneshot::channel::<()>();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        told.await.unwrap();
        stream.write_all(b"6x\r\npoison\r\n0\r\n\r\n").await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
    });
    let (world, edge) = World::gateway(origin, |_| {}).await;
    let mut client = RawClient::connect(edge).await;
    client.send(GET).await;
    // The good part has left before the broken one comes.
    let head = client.head().await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    go.send(()).unwrap();
    let text = client.rest().await;
    assert!(!text.contains("poison") && !text.ends_with("0\r\n\r\n"), "{text}");
    let records = world.records.wait(1).await;
    assert!(records[0].response.as_ref().unwrap().truncated);
    assert_eq!(world.plane.telemetry.metrics.refusals("edge", "upstream_truncated"), 1);
}

#[tokio::test]
async fn a_response_nobody_asked_for_is_never_taken_for_the_next_answer() {
    let listener = TcpListener::bind(local()).await.unwrap();
    let origin = listener.local_addr().unwrap();
    let (sent, wait) = tokio::sync::oneshot::channel::<()>();
    tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.unwrap();
        let _ = first.read(&mut [0; 4096]).await;
        first.write_all(OK.as_bytes()).await.unwrap();
        // The exchange is over; this would be the answer to the next request.
        let poison = "HTTP/1.1 200 OK\r\nx-poison: 1\r\ncontent-length: 6\r\n\r\npoison";
        wait.await.unwrap();
        first.write_all(poison.as_bytes()).await.unwrap();
        let (mut second, _) = listener.accept().await.unwrap();
        // The proxy left the first connection.
        let _ = second.read(&mut [0; 4096]).await;
        second.write_all(OK.as_bytes()).await.unwrap();
        let _ = first.read(&mut [0; 4096]).await;
        let _ = second.read(&mut [0; 4096]).await;
    });
    let (_world, edge) = World::gateway(origin, |_| {}).await;
    let mut client = RawClient::connect(edge).await;
    client.send(GET).await;
    assert_eq!(client.response().await.map(|response| response.2), Some(b"ok".to_vec()));
    sent.send(()).unwrap();
    // Other tasks run until the poison has arrived and was read.
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    client.send(GET).await;
    let (status, head, body) = client.response().await.unwrap();
    assert!(!head.contains("x-poison"), "{head}");
    assert_eq!((status, body), (200, b"ok".to_vec()));
}

#[tokio::test]
async fn a_body_behind_the_answer_to_head_ends_the_upstream_connection_and_nothing_else() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";
    let origin = Turncoat::start(vec![answer.into()]).await;
    let (_world, edge) = World::gateway(origin.address, |_| {}).await;
    let mut client = RawClient::connect(edge).await;
    client.send(GET.replace("GET", "HEAD")).await;
    assert!(client.head().await.starts_with("http/1.1 200"));
    client.send(GET).await;
    assert_eq!(client.response().await.map(|response| response.2), Some(b"ok".to_vec()));
    assert_eq!(origin.connections(), 2);
}
