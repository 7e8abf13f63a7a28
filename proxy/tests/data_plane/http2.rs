//! HTTP/2 and gRPC, end to end over cleartext with prior knowledge, and their limits.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use palisade_model::Protocol;
use palisade_model::record::VerdictFacts;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::wrappers::ReceiverStream;

use crate::world::{PATIENCE, World, authorization, local, policy_to};

type Out = http_body_util::combinators::BoxBody<Bytes, Infallible>;
type Seen = Arc<Mutex<Vec<(String, HeaderMap)>>>;

/// Echoes each message as it comes, then trailers that hold what the request's trailers held.
async fn echo(seen: Seen, request: Request<Incoming>) -> Result<Response<Out>, Infallible> {
    seen.lock().unwrap().push((request.uri().path().to_owned(), request.headers().clone()));
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Frame<Bytes>, Infallible>>(4);
    tokio::spawn(async move {
        let mut body = request.into_body();
        let mut trailers = HeaderMap::new();
        while let Some(Ok(frame)) = body.frame().await {
            match frame.into_data() {
                Ok(data) => sender.send(Ok(Frame::data(data))).await.unwrap(),
                Err(frame) => trailers = frame.into_trailers().unwrap(),
            }
        }
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let _ = sender.send(Ok(Frame::trailers(trailers))).await;
    });
    let mut response = Response::new(StreamBody::new(ReceiverStream::new(receiver)).boxed());
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    Ok(response)
}

async fn origin() -> (SocketAddr, Seen) {
    let listener = TcpListener::bind(local()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Seen::default();
    let log = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let log = log.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| echo(log.clone(), request));
                let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    (address, seen)
}

type Body = http_body_util::combinators::BoxBody<Bytes, Infallible>;

async fn connect(address: SocketAddr) -> SendRequest<Body> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn request(path: &str, body: Body) -> Request<Body> {
    Request::builder()
        .method("POST")
        .uri(format!("http://shop.example{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body)
        .unwrap()
}

#[tokio::test]
async fn a_grpc_stream_flows_both_ways_at_once_with_trailers_both_ways() {
    let (address, seen) = origin().await;
    let world = World::new(None);
    let mut policy = policy_to(address, Protocol::Grpc);
    // A stream may be silent between messages for longer than a body may.
    policy.limits.body_timeout_ms = 1;
    world.enforce(policy, "1");
    let edge = world.listen("edge", gateway());
    let mut sender = connect(edge).await;
    let (messages, receiver) = tokio::sync::mpsc::channel::<Result<Frame<Bytes>, Infallible>>(1);
    let body = StreamBody::new(ReceiverStream::new(receiver)).boxed();
    let sent = sender.send_request(request("/shop.Cart/Watch", body));
    let exchange = async {
        messages.send(Ok(Frame::data(Bytes::from_static(b"one")))).await.unwrap();
        let mut response = sent.await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        // The answer to the first message comes while the request is still open.
        let first = response.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "one");
        messages.send(Ok(Frame::data(Bytes::from_static(b"two")))).await.unwrap();
        assert_eq!(response.frame().await.unwrap().unwrap().into_data().unwrap(), "two");
        let mut trailers = HeaderMap::new();
        trailers.insert("x-checksum", HeaderValue::from_static("42"));
        messages.send(Ok(Frame::trailers(trailers))).await.unwrap();
        drop(messages);
        response.frame().await.unwrap().unwrap().into_trailers().unwrap()
    };
    let trailers = tokio::time::timeout(PATIENCE, exchange).await.expect("the stream hangs");
    assert_eq!(
        (trailers["grpc-status"].as_bytes(), trailers["x-checksum"].as_bytes()),
        (b"0".as_slice(), b"42".as_slice())
    );
    let (path, headers) = seen.lock().unwrap()[0].clone();
    assert_eq!((path.as_str(), &headers["te"]), ("/shop.Cart/Watch", &HeaderValue::from_static("trailers")));
    let records = world.records.wait(1).await;
    let facts = records[0].response.as_ref().unwrap();
    assert_eq!((facts.request_bytes, facts.response_bytes, facts.truncated), (6, 6, false));
}

fn gateway() -> palisade_model::policy::ListenerRole {
    palisade_model::policy::ListenerRole::Gateway {
        certificates: Vec::new(),
        client_address: Default::default(),
    }
}

fn empty() -> Body {
    Full::new(Bytes::new()).boxed()
}

#[tokio::test]
async fn a_denied_stream_leaves_the_others_of_its_connection_alone_and_has_a_reference() {
    let (address, _) = origin().await;
    let world = World::new(None);
    let mut policy = policy_to(address, Protocol::Http2);
    policy.authorization = vec![authorization(
        "no-admin",
        json!({"action": "DENY", "rules": [{"to": [{"operation": {"paths": ["/admin*"]}}]}]}),
    )];
    world.enforce(policy, "1");
    let edge = world.listen("edge", gateway());
    let mut sender = connect(edge).await;
    let refused = sender.send_request(request("//admin/x", empty())).await.unwrap();
    assert_eq!(refused.status(), StatusCode::OK, "gRPC clients read no other status");
    assert_eq!(&refused.headers()["grpc-status"], "7");
    assert_eq!(refused.headers()["grpc-message"], refused.headers()["x-palisade-reference"]);
    assert_eq!(&refused.headers()["content-type"], "application/grpc");
    assert!(http_body::Body::is_end_stream(refused.body()), "trailers only");
    let mut plain = request("//admin/x", empty());
    plain.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc-web"));
    let plain = sender.send_request(plain).await.unwrap();
    assert_eq!(plain.status(), StatusCode::FORBIDDEN);
    assert!(
        plain.headers().contains_key("x-palisade-reference") && !plain.headers().contains_key("grpc-status")
    );
    assert_eq!(sender.send_request(request("/shop", empty())).await.unwrap().status(), StatusCode::OK);
    let records = world.records.wait(1).await;
    assert!(matches!(records[0].verdict, VerdictFacts::Deny(_)));
}

#[tokio::test]
async fn headers_44_connection_headers_and_bad_lengths_on_http2_are_refused() {
    let (address, seen) = origin().await;
    let world = World::new(None);
    world.enforce(policy_to(address, Protocol::Http2), "1");
    let edge = world.listen("edge", gateway());
    let mut sender = connect(edge).await;
    let mut bad = request("/a", empty());
    bad.headers_mut().insert("content-length", HeaderValue::from_static("5"));
    // An empty body that claims five bytes: hyper's server may end the stream itself, but nobody may answer 200.
    let answered = sender.send_request(bad).await.map(|response| response.status());
    assert!(answered.as_ref().map_or(true, |status| *status == StatusCode::BAD_REQUEST), "{answered:?}");
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn streams_over_the_limit_wait_and_none_fails() {
    const LIMIT: u32 = 4;
    let (address, seen) = origin().await;
    let world = World::new(None);
    let mut policy = policy_to(address, Protocol::Http2);
    policy.limits.streams_per_connection = LIMIT;
    world.enforce(policy, "1");
    let edge = world.listen("edge", gateway());
    let mut sender = connect(edge).await;
    // The first answer comes with the limit; before it a client may only guess.
    assert_eq!(sender.send_request(request("/a", empty())).await.unwrap().status(), StatusCode::OK);
    let all: Vec<_> = (0..LIMIT * 3)
        .map(|_| {
            let mut sender = sender.clone();
            tokio::spawn(async move { sender.send_request(request("/a", empty())).await.unwrap().status() })
        })
        .collect();
    for one in all {
        assert_eq!(tokio::time::timeout(PATIENCE, one).await.unwrap().unwrap(), StatusCode::OK);
    }
    assert_eq!(seen.lock().unwrap().len() as u32, LIMIT * 3 + 1);
}

#[tokio::test]
async fn grpc_requests_are_refused_with_the_code_of_their_cause() {
    let dead = TcpListener::bind(local()).await.unwrap().local_addr().unwrap();
    let world = World::new(None);
    world.enforce(policy_to(dead, Protocol::Http2), "1");
    let edge = world.listen("edge", gateway());
    let mut sender = connect(edge).await;
    for (path, status) in [("/a", "14"), ("/%00", "3")] {
        let refused = sender.send_request(request(path, empty())).await.unwrap();
        assert_eq!(
            (refused.status(), refused.headers()["grpc-status"].to_str().unwrap()),
            (StatusCode::OK, status)
        );
    }
    let statuses: Vec<_> =
        world.records.wait(2).await.iter().map(|record| record.response.as_ref().unwrap().status).collect();
    assert_eq!(statuses, [503, 400], "events name the status of the cause");
}
