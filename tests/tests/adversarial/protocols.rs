//! What must work through all of this: streams, trailers, upgrades, order, reuse.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::authority::{Authority, tls_client};
use crate::frames::{DATA, END_HEADERS, END_STREAM, HEADERS, Http2, Outcome, WINDOW_UPDATE, block, frame};
use crate::stage::{Client, GOOD, Origin, Stage};
use crate::tls::inbound;

const MEGABYTES: usize = 10;

/// An origin that speaks HTTP/2 and echoes: each DATA at once, trailers with trailers.
pub fn http2_echo() -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let log = log.clone();
            std::thread::spawn(move || echo(stream, &log));
        }
    });
    (address, seen)
}

fn echo(stream: TcpStream, log: &Mutex<Vec<u8>>) {
    let mut server = Http2 { client: Client::over(stream) };
    if server.client.bytes(24).is_none() {
        return;
    }
    server.send(&frame(crate::frames::SETTINGS, 0, 0, &[]));
    let mut open = std::collections::HashSet::new();
    while let Some((kind, flags, id, payload)) = server.next() {
        match kind {
            HEADERS => {
                log.lock().unwrap().extend_from_slice(&payload);
                if open.insert(id) {
                    let fields: [(&[u8], &[u8]); 2] =
                        [(b":status", b"200"), (b"content-type", b"application/grpc")];
                    server.send(&frame(HEADERS, END_HEADERS, id, &block(&fields)));
                }
            }
            DATA if !payload.is_empty() => server.send(&frame(DATA, 0, id, &payload)),
            _ => {}
        }
        if matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 {
            let trailers: [(&[u8], &[u8]); 2] = [(b"grpc-status", b"0"), (b"grpc-message", b"fine")];
            server.send(&frame(HEADERS, END_HEADERS | END_STREAM, id, &block(&trailers)));
        }
    }
}

/// A bidirectional stream with trailers both ways.
fn grpc<S: Read + Write>(client: &mut Http2<S>) {
    let mut fields = Http2::get("/shop.Cart/Watch");
    fields[0].1 = b"POST";
    fields.extend([(&b"content-type"[..], &b"application/grpc"[..]), (b"te", b"trailers")]);
    client.send(&frame(HEADERS, END_HEADERS, 1, &block(&fields)));
    let data = |client: &mut Http2<S>, text: &[u8]| {
        client.send(&frame(DATA, 0, 1, text));
        loop {
            let (kind, _, id, payload) = client.next().expect("an echo");
            if (kind, id) == (DATA, 1) && !payload.is_empty() {
                return payload;
            }
        }
    };
    // Each message is answered while the request is open.
    for message in [&b"\0\0\0\0\x03one"[..], b"\0\0\0\0\x03two"] {
        assert_eq!(data(client, message), message);
    }
    client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[(b"x-checksum", b"42")])));
    loop {
        let (kind, flags, id, payload) = client.next().expect("trailers");
        if (kind, id) == (HEADERS, 1) && flags & END_STREAM != 0 {
            assert!(!payload.is_empty());
            return;
        }
    }
}

#[test]
fn protocol_grpc_flows_both_ways_with_trailers_through_the_gateway_and_through_mtls() {
    let (address, seen) = http2_echo();
    let stage = Stage::with(Origin::ok(), |policy| {
        policy["clusters"][0]["endpoints"][0]["address"] = address.to_string().into();
        policy["clusters"][0]["protocol"] = "grpc".into();
    });
    grpc(&mut Http2::connect(&stage));
    assert!(!seen.lock().unwrap().is_empty());
    let mut denied = Http2::connect(&stage);
    denied.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&Http2::get("/admin.Service/Call"))));
    assert_eq!(denied.outcome(1), Outcome::Status(403));

    let authority = Authority::new("cluster.local");
    let mut origin = Origin::ok();
    origin.address = http2_echo().0;
    let stage = inbound(&authority, origin, "grpc");
    let config = Authority::client(&authority.leaf(|_| {}), &["h2"]);
    let tls = tls_client(stage.edge, config, "web.shop").unwrap();
    assert_eq!(tls.conn.alpn_protocol(), Some(&b"h2"[..]));
    grpc(&mut Http2::over(Client::over(tls)));
}

#[test]
fn protocol_a_websocket_carries_bytes_both_ways() {
    let origin = Origin::start(Arc::new(|seen, stream| {
        assert!(seen.head.to_lowercase().contains("sec-websocket-key: dghlihnhbxbszsbub25jzq=="));
        let switch = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                      sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        stream.write_all(switch.as_bytes()).unwrap();
        let mut back = stream.try_clone().unwrap();
        let _ = std::io::copy(stream, &mut back);
        false
    }));
    let stage = Stage::new(origin);
    let mut client = Client::connect(stage.edge);
    client.send(
        "GET /good HTTP/1.1\r\nhost: shop.example\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n",
    );
    let head = client.head().unwrap();
    assert_eq!(head.status, 101);
    assert!(head.head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{}", head.head);
    for text in [&b"\x81\x85\x01\x02\x03\x04ifolk"[..], b"GET /admin HTTP/1.1\r\n\r\n", &[0; 70_000]] {
        client.send(text);
        assert_eq!(client.bytes(text.len()).unwrap(), text);
    }
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.rest(), "");
}

#[test]
fn protocol_server_sent_events_arrive_one_by_one() {
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let gone = Mutex::new(gone);
    let origin = Origin::start(Arc::new(move |_, stream| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        for _ in 0..3 {
            stream.write_all(b"9\r\ndata: x\n\n\r\n").unwrap();
            // The next event is not written before the client has this one.
            gone.lock().unwrap().recv().unwrap();
        }
        stream.write_all(b"0\r\n\r\n").is_ok()
    }));
    let stage = Stage::new(origin);
    let mut client = Client::connect(stage.edge);
    client.send(GOOD);
    assert_eq!(client.head().unwrap().status, 200);
    for _ in 0..3 {
        assert_eq!(client.chunk().unwrap().unwrap(), b"data: x\n\n");
        go.send(()).unwrap();
    }
    assert_eq!(client.chunk().unwrap(), None);
}

#[test]
fn protocol_long_bodies_are_streamed_and_not_held() {
    let origin = Origin::start(Arc::new(|seen, stream| {
        let length = if seen.target() == "/down" { MEGABYTES << 20 } else { 0 };
        let head =
            format!("HTTP/1.1 200 OK\r\nx-got: {}\r\ncontent-length: {length}\r\n\r\n", seen.body.len());
        let piece = vec![b'd'; 1 << 20];
        stream.write_all(head.as_bytes()).is_ok()
            && (0..length >> 20).all(|_| stream.write_all(&piece).is_ok())
    }));
    let stage = Stage::new(origin);
    stage.alive();
    let before = stage.memory();
    for http2 in [false, true] {
        let piece = vec![b'u'; 16_384];
        let pieces = (MEGABYTES << 20) / piece.len();
        if http2 {
            let mut client = Http2::connect(&stage);
            let mut fields = Http2::get("/down");
            client.send(&frame(WINDOW_UPDATE, 0, 0, &0x3fff_0000_u32.to_be_bytes()));
            client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&fields)));
            client.send(&frame(WINDOW_UPDATE, 0, 1, &0x3fff_0000_u32.to_be_bytes()));
            assert_eq!(client.outcome(1), Outcome::Status(200));
            assert_eq!(client.body(1).unwrap().len(), MEGABYTES << 20);
            fields.clear();
            continue;
        }
        let mut client = Client::connect(stage.edge);
        client.send("GET /down HTTP/1.1\r\nhost: shop.example\r\n\r\n");
        assert_eq!(client.answer().unwrap().body.len(), MEGABYTES << 20);
        let length = MEGABYTES << 20;
        client.send(format!("POST /up HTTP/1.1\r\nhost: shop.example\r\ncontent-length: {length}\r\n\r\n"));
        (0..pieces).for_each(|_| client.send(&piece));
        let answer = client.answer().unwrap();
        assert!(answer.head.contains(&format!("x-got: {length}")), "{}", answer.head);
        client.send("POST /up HTTP/1.1\r\nhost: shop.example\r\ntransfer-encoding: chunked\r\n\r\n");
        for _ in 0..pieces {
            client.send(format!("{:x}\r\n", piece.len()));
            client.send(&piece);
            client.send("\r\n");
        }
        client.send("0\r\n\r\n");
        assert_eq!(client.answer().unwrap().status, 200);
    }
    let after = stage.memory();
    assert!(after < before + (8 << 20), "from {before} to {after} bytes for bodies of {MEGABYTES} MiB");
}

#[test]
fn protocol_pipelined_answers_keep_their_order_and_connections_are_used_again() {
    let origin = Origin::start(Arc::new(|seen, stream| {
        let body = seen.target().to_owned();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).is_ok()
    }));
    let stage = Stage::new(origin);
    let mut client = Client::connect(stage.edge);
    let all: String = (0..50)
        .map(|at| {
            format!(
                "GET /{}{at} HTTP/1.1\r\nhost: shop.example\r\n\r\n",
                if at % 5 == 4 { "admin" } else { "g" }
            )
        })
        .collect();
    client.send(all);
    for at in 0..50 {
        let answer = client.answer().unwrap();
        if at % 5 == 4 {
            assert_eq!(answer.status, 403, "{at}");
        } else {
            assert_eq!((answer.status, answer.body), (200, format!("/g{at}").into_bytes()), "{at}");
        }
    }
    assert!(!stage.origin.text().contains("admin"));
}

#[test]
fn protocol_head_has_no_body_and_chunks_with_trailers_arrive() {
    let origin = Origin::start(Arc::new(|seen, stream| {
        let answer = if seen.head.starts_with("HEAD") {
            "HTTP/1.1 200 OK\r\ncontent-length: 12345\r\n\r\n"
        } else {
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n"
        };
        stream.write_all(answer.as_bytes()).is_ok()
    }));
    let stage = Stage::new(origin);
    let mut client = Client::connect(stage.edge);
    client.send("HEAD /good HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    let head = client.head().unwrap();
    assert!(head.head.contains("content-length: 12345"), "{}", head.head);
    let request = "POST /good HTTP/1.1\r\nhost: shop.example\r\nte: trailers\r\ntransfer-encoding: chunked\r\n\
                   trailer: x-sum\r\n\r\n3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nx-sum: 5\r\n\r\n";
    client.send(request);
    let answer = client.answer().unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"ok"[..]));
    let seen = stage.origin.requests();
    let body = String::from_utf8_lossy(&seen[1].body).into_owned();
    assert!(body.starts_with("abcde"), "{body:?}");
    assert!(body == "abcde\r\n\r\n" || body.contains("x-sum: 5"), "{body:?}");
    client.send(GOOD);
    assert_eq!(client.answer().unwrap().status, 200);
}
