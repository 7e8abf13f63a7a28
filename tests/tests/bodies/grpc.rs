//! gRPC over HTTP/2 with the WAF on: four kinds of calls, trailers, and what the Core Rule Set and the policy say.
//!
//! The messages are not read: what the record must say is that.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::stage::{PATIENCE, RULES, Stage, inspection, reason};

/// A body that is written while it is read.
pub struct Pipe(mpsc::Receiver<Frame<Bytes>>);

pub type Feed = mpsc::Sender<Frame<Bytes>>;

pub fn pipe() -> (Feed, Pipe) {
    let (feed, body) = mpsc::channel(1);
    (feed, Pipe(body))
}

impl Body for Pipe {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}

/// A message in gRPC's frame.
fn message(text: &str) -> Bytes {
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    [&[0][..], &length, text.as_bytes()].concat().into()
}

async fn say(feed: &Feed, text: &str) {
    feed.send(Frame::data(message(text))).await.unwrap();
}

/// The texts of all messages in `buffer` that are whole.
fn messages(buffer: &mut Vec<u8>) -> Vec<String> {
    let mut found = Vec::new();
    while buffer.len() >= 5 {
        let length = u32::from_be_bytes(buffer[1..5].try_into().unwrap()) as usize;
        if buffer.len() < 5 + length {
            break;
        }
        let whole: Vec<u8> = buffer.drain(..5 + length).collect();
        found.push(String::from_utf8_lossy(&whole[5..]).into_owned());
    }
    found
}

/// The service: the last word of the path says what it does.
async fn serve(calls: Arc<AtomicUsize>, request: Request<Incoming>) -> Result<Response<Pipe>, Infallible> {
    calls.fetch_add(1, Ordering::AcqRel);
    let (feed, body) = pipe();
    let kind = request.headers().get("content-type").cloned();
    let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    tokio::spawn(async move {
        let mut asked = request.into_body();
        let (mut buffer, mut count) = (Vec::new(), 0);
        let mut last = String::new();
        while let Some(Ok(frame)) = asked.frame().await {
            let Ok(data) = frame.into_data() else { break };
            buffer.extend_from_slice(&data);
            for text in messages(&mut buffer) {
                count += 1;
                if method == "Chat" {
                    say(&feed, &format!("re: {text}")).await;
                }
                last = text;
            }
        }
        match method.as_str() {
            "Unary" => say(&feed, &format!("hello {last}")).await,
            "Upload" => say(&feed, &format!("{count} messages")).await,
            "Watch" => {
                for at in 0..5 {
                    say(&feed, &format!("{last} {at}")).await;
                }
            }
            _ => {}
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        trailers.insert("grpc-message", "fine".parse().unwrap());
        let _ = feed.send(Frame::trailers(trailers)).await;
    });
    let mut response = Response::new(body);
    response.headers_mut().extend(kind.map(|kind| (http::header::CONTENT_TYPE, kind)));
    Ok(response)
}

/// A service that counts its calls.
async fn service() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let calls = Arc::<AtomicUsize>::default();
    let counted = calls.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let calls = counted.clone();
            let service = hyper::service::service_fn(move |request| serve(calls.clone(), request));
            let served = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(served);
        }
    });
    (address, calls)
}

/// A connection to the proxy, and its own address, by which the log names it.
pub async fn client(stage: &Stage) -> (SendRequest<Pipe>, SocketAddr) {
    let stream = TcpStream::connect(stage.proxy.edge).await.unwrap();
    let own = stream.local_addr().unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    (sender, own)
}

fn call(method: &str, kind: &str, body: Pipe) -> Request<Pipe> {
    Request::post(format!("http://shop.example/shop.Cart/{method}"))
        .header("content-type", kind)
        .header("te", "trailers")
        .header("user-agent", "grpc-java-netty/1.75.0")
        .header("accept", "*/*")
        .header("grpc-accept-encoding", "gzip")
        .body(body)
        .unwrap()
}

/// What came of a call.
struct Called {
    status: u16,
    messages: Vec<String>,
    /// Trailers; of an answer without a body, its headers.
    trailers: HeaderMap,
    record: Value,
}

impl Called {
    fn grpc_status(&self) -> Option<&str> {
        self.trailers.get("grpc-status").and_then(|value| value.to_str().ok())
    }
}

/// Calls with these messages, all written before the answer is read.
async fn exchange(stage: &Stage, method: &str, kind: &str, texts: &[&str]) -> Called {
    let (mut sender, own) = client(stage).await;
    let (feed, body) = pipe();
    let sent = sender.send_request(call(method, kind, body));
    let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    let writing = tokio::spawn(async move {
        for text in texts {
            if feed.send(Frame::data(message(&text))).await.is_err() {
                return;
            }
        }
    });
    let response = tokio::time::timeout(PATIENCE, sent).await.unwrap().unwrap();
    let (parts, body) = response.into_parts();
    let collected = tokio::time::timeout(PATIENCE, body.collect()).await.unwrap().unwrap();
    let trailers = collected.trailers().cloned().unwrap_or(parts.headers);
    let mut bytes = collected.to_bytes().to_vec();
    writing.await.unwrap();
    let record = tokio::task::block_in_place(|| stage.proxy.record(own)).unwrap();
    Called { status: parts.status.as_u16(), messages: messages(&mut bytes), trailers, record }
}

fn grpc(policy: &mut Value) {
    policy["clusters"][0]["protocol"] = "grpc".into();
}

pub fn run<F: Future>(test: impl FnOnce() -> F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(test())
}

const GRPC: &str = "application/grpc";

/// Four kinds of calls through a stage that lets gRPC pass.
async fn four_kinds(stage: &Stage) {
    let unary = exchange(stage, "Unary", GRPC, &["jane"]).await;
    assert_eq!(unary.messages, ["hello jane"], "{}", unary.record);
    let many: Vec<String> = (0..200).map(|at| format!("message {at}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let upload = exchange(stage, "Upload", GRPC, &many).await;
    assert_eq!(upload.messages, ["200 messages"]);
    let watch = exchange(stage, "Watch", "application/grpc+proto", &["tick"]).await;
    assert_eq!(watch.messages, ["tick 0", "tick 1", "tick 2", "tick 3", "tick 4"]);
    for called in [&unary, &upload, &watch] {
        assert_eq!((called.status, called.grpc_status()), (200, Some("0")), "{}", called.record);
        assert_eq!(called.trailers.get("grpc-message").unwrap(), "fine", "trailers are kept");
        assert_eq!(inspection(&called.record, "request"), "uninspected: grpc", "{}", called.record);
        assert_eq!(inspection(&called.record, "response"), "uninspected: grpc", "{}", called.record);
        assert_eq!(called.record["request"]["protocol"], "HTTP/2.0");
    }
    // Both ways at once: each message is answered while the call is open.
    let (mut sender, own) = client(stage).await;
    let (feed, body) = pipe();
    let response = tokio::time::timeout(PATIENCE, sender.send_request(call("Chat", GRPC, body)));
    let mut answers = response.await.unwrap().unwrap().into_body();
    let mut buffer = Vec::new();
    for text in ["one", "two", "three"] {
        say(&feed, text).await;
        let mut heard = Vec::new();
        while heard.is_empty() {
            let frame = tokio::time::timeout(PATIENCE, answers.frame()).await.unwrap().unwrap().unwrap();
            buffer.extend_from_slice(frame.data_ref().expect("no trailers yet"));
            heard = messages(&mut buffer);
        }
        assert_eq!(heard, [format!("re: {text}")]);
    }
    drop(feed);
    let end = tokio::time::timeout(PATIENCE, answers.frame()).await.unwrap().unwrap().unwrap();
    assert_eq!(end.trailers_ref().unwrap().get("grpc-status").unwrap(), "0");
    let record = tokio::task::block_in_place(|| stage.proxy.record(own)).unwrap();
    assert_eq!(inspection(&record, "request"), "uninspected: grpc");
}

#[test]
fn grpc_calls_of_all_kinds_pass_with_their_trailers_and_are_declared_uninspected() {
    run(|| async {
        let (address, _) = service().await;
        let limit = json!({"maxBytes": 100, "over": "reject"});
        let audit = json!({"engine": "on"});
        let spec = json!({"mode": "block", "requestBody": limit, "responseBody": limit, "auditLog": audit});
        let stage = Stage::with(address, RULES, spec, grpc);
        four_kinds(&stage).await;
        // What would be refused in a form passes in a message, and longer than any limit; the record says why.
        let long = "attack ".repeat(100);
        let called = exchange(&stage, "Unary", GRPC, &[&long]).await;
        assert_eq!(called.grpc_status(), Some("0"));
        assert_eq!(inspection(&called.record, "request"), "uninspected: grpc");
        let own = called.record["connection"]["peer"].as_str().unwrap().parse().unwrap();
        let audited = tokio::task::block_in_place(|| stage.proxy.audited(own, PATIENCE)).unwrap();
        for side in ["inspection", "responseInspection"] {
            let said = json!({"inspection": "uninspected", "why": "grpc"});
            assert_eq!(audited[0]["H"][side], said, "the audit log says so too: {}", audited[0]);
        }
        // A call that is silent for long is not broken off.
        let (mut sender, _) = client(&stage).await;
        let (feed, body) = pipe();
        let response = sender.send_request(call("Chat", GRPC, body));
        let mut answers = tokio::time::timeout(PATIENCE, response).await.unwrap().unwrap().into_body();
        tokio::time::sleep(Duration::from_millis(300)).await;
        say(&feed, "still here").await;
        assert!(tokio::time::timeout(PATIENCE, answers.frame()).await.unwrap().is_some());
    });
}

#[test]
fn a_policy_without_grpc_refuses_its_calls_before_the_service_sees_them() {
    run(|| async {
        let (address, calls) = service().await;
        let spec = json!({"mode": "block", "bodies": {"grpc": "reject"}});
        let stage = Stage::with(address, RULES, spec, grpc);
        let called = exchange(&stage, "Unary", GRPC, &["jane"]).await;
        assert_eq!((called.status, called.grpc_status()), (200, Some("7")), "{}", called.record);
        assert_eq!(reason(&called.record), "waf_request");
        assert_eq!(calls.load(Ordering::Acquire), 0);
    });
}

/// The content types of CRS's own list, and one more.
fn allowed(kind: &str) -> String {
    format!(
        "SecAction \"id:900220,phase:1,pass,t:none,nolog,setvar:'tx.allowed_request_content_type=\
         |application/x-www-form-urlencoded| |multipart/form-data| |text/xml| |application/xml| \
         |application/soap+xml| |application/json| |{kind}|'\""
    )
}

/// Whether a call passes, whether 920420 matched, and how often the service was called.
async fn with_crs(before: &str, spec: Value, kind: &str) -> Option<(bool, bool, usize)> {
    let (address, calls) = service().await;
    let stage = tokio::task::block_in_place(|| Stage::with_crs(address, before, spec, grpc))?;
    let called = exchange(&stage, "Unary", kind, &["jane"]).await;
    let matches = called.record["matches"].as_array().unwrap();
    let listed = matches.iter().any(|found| found["id"] == 920_420);
    let passes = called.status == 200 && called.messages == ["hello jane"];
    assert!(passes || calls.load(Ordering::Acquire) == 0, "{}", called.record);
    if passes && kind == GRPC {
        four_kinds(&stage).await;
    }
    Some((passes, listed, calls.load(Ordering::Acquire)))
}

#[test]
fn crs_refuses_grpc_by_its_list_of_types_unless_the_policy_or_the_set_up_allows_it() {
    run(|| async {
        const WEB: &str = "application/grpc-web+proto";
        let block = |more: Value| {
            let mut spec = json!({"mode": "block"});
            spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            spec
        };
        // Where the policy refuses gRPC, CRS's list is in force and says why.
        let strict = with_crs("", block(json!({"bodies": {"grpc": "reject"}})), GRPC).await;
        let Some(strict) = strict else { return };
        assert_eq!(strict, (false, true, 0), "refused, 920420, not called");
        // The policy's word on gRPC is the last one; its default permits it.
        let (passes, listed, _) = with_crs("", block(json!({})), GRPC).await.unwrap();
        assert!(passes && !listed);
        // gRPC-Web is an unknown type like any other: refused by the list as it is shipped.
        assert_eq!(with_crs("", block(json!({})), WEB).await.unwrap(), (false, true, 0));
        // The documented ways: CRS's own set-up, or an exclusion.
        assert_eq!(with_crs(&allowed(WEB), block(json!({})), WEB).await.unwrap(), (true, false, 1));
        let exclude = json!({"exclusions": [{"ids": "920420"}]});
        assert_eq!(with_crs("", block(exclude), WEB).await.unwrap(), (true, false, 1));
    });
}
