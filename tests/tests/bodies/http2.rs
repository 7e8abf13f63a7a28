//! Bodies over HTTP/2: packed, over the limit, long, slow, and answered before their end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use palisade_tests::origin::{Origin, Reply};
use serde_json::Value;

use crate::early::{Goes, impatient};
use crate::grpc::{Pipe, client, pipe, run};
use crate::long::{CEILING, Check, IN_FLIGHT, LONG, MIB, Peak, World, settled, world};
use crate::packed::gzip;
use crate::stage::{FORM, PATIENCE, RULES, Stage, limits, reason};

fn post(headers: &[(&str, &str)], body: Pipe) -> Request<Pipe> {
    let request = Request::post("http://shop.example/up");
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(body).unwrap()
}

async fn sent(stage: &Stage, request: Request<Pipe>) -> (Response<Incoming>, SocketAddr) {
    let (mut sender, own) = client(stage).await;
    let response = tokio::time::timeout(PATIENCE, sender.send_request(request)).await.unwrap().unwrap();
    (response, own)
}

/// Status, body and record of a request whose body comes in pieces of a hundred bytes.
async fn exchange(stage: &Stage, headers: &[(&str, &str)], body: &[u8]) -> (u16, Bytes, Value) {
    let (feed, pipe) = pipe();
    let body = body.to_vec();
    tokio::spawn(async move {
        for piece in body.chunks(100) {
            if feed.send(Frame::data(Bytes::copy_from_slice(piece))).await.is_err() {
                return;
            }
        }
    });
    let (response, own) = sent(stage, post(headers, pipe)).await;
    let status = response.status().as_u16();
    let body = tokio::time::timeout(PATIENCE, response.into_body().collect()).await.unwrap().unwrap();
    let record = tokio::task::block_in_place(|| stage.proxy.record(own)).unwrap();
    (status, body.to_bytes(), record)
}

#[test]
fn packed_bodies_and_limits_are_the_same_over_http2() {
    run(|| async {
        let origin = Origin::start(|received| {
            let leak = received.body.ends_with(b"leak");
            let body = gzip(if leak { b"the secret" } else { b"nothing" });
            let mut reply = Reply::new(200, "text/html", body);
            reply.headers.push(("content-encoding".into(), "gzip".into()));
            reply
        })
        .unwrap();
        let stage = Stage::new(origin.address, RULES, limits(1_000, "reject"));
        let (form, packed) = (("content-type", FORM), ("content-encoding", "gzip"));
        let long = format!("a={}", "x".repeat(999));
        for (headers, body, expected, why) in [
            (&[form, packed][..], gzip(b"a=attack"), 403, "waf_request"),
            (&[form, packed], gzip(b"a=fine"), 200, ""),
            (&[form, packed], gzip(b"a=leak")[..12].to_vec(), 400, "body_malformed"),
            (&[form, ("content-encoding", "compress")], b"a=fine".to_vec(), 415, "body_malformed"),
            (&[form], b"a=leak".to_vec(), 403, "waf_response"),
            (&[form], long.as_bytes()[..1_000].to_vec(), 200, ""),
            (&[form], long.as_bytes().to_vec(), 413, "body_too_large"),
            (&[form, packed], gzip(long.as_bytes()), 413, "body_too_large"),
        ] {
            let before = origin.received().len();
            let (status, body, record) = exchange(&stage, headers, &body).await;
            assert_eq!((status, reason(&record)), (expected, why), "{record}");
            let reached = origin.received().len() > before;
            assert_eq!(reached, status == 200 || why == "waf_response", "{record}");
            assert_eq!(status == 200, body == gzip(b"nothing"), "as it came, or a reference");
        }
    });
}

#[test]
fn long_bodies_pass_intact_and_slow_ends_slow_the_other_over_http2() {
    run(|| async {
        let World { stage, pattern, written, open } = world("inspectPrefix");
        let peak = Peak::begin(&stage);
        // Up, to an origin that does not read at first.
        open.store(0, Ordering::Release);
        let (feed, body) = pipe();
        let sent_bytes = Arc::<AtomicUsize>::default();
        let (count, bytes) = (sent_bytes.clone(), Bytes::copy_from_slice(&pattern));
        tokio::spawn(async move {
            for at in (0..LONG / MIB).flat_map(|_| (0..MIB).step_by(16 * 1024)) {
                feed.send(Frame::data(bytes.slice(at..at + 16 * 1024))).await.unwrap();
                count.fetch_add(16 * 1024, Ordering::AcqRel);
            }
        });
        let (mut sender, _) = client(&stage).await;
        let length = LONG.to_string();
        let headers = [("content-type", "application/octet-stream"), ("content-length", length.as_str())];
        let answer = tokio::spawn(sender.send_request(post(&headers, body)));
        let taken = tokio::task::block_in_place(|| settled(|| sent_bytes.load(Ordering::Acquire)));
        assert!(taken < IN_FLIGHT, "{taken} bytes were taken for an upstream that reads nothing");
        open.store(1, Ordering::Release);
        let response = tokio::time::timeout(2 * PATIENCE, answer).await.unwrap().unwrap().unwrap();
        assert_eq!(response.headers()["x-intact"], format!("true {LONG}"));
        // Down, to a client that does not read at first.
        let mut request = post(&[], pipe().1);
        *request.method_mut() = http::Method::GET;
        let (response, _) = sent(&stage, request).await;
        let taken = tokio::task::block_in_place(|| settled(|| written.load(Ordering::Acquire)));
        assert!(taken < IN_FLIGHT, "{taken} bytes were taken for a client that reads nothing");
        let (mut body, mut check, mut came) = (response.into_body(), Check::new(&pattern), 0);
        while let Some(frame) = tokio::time::timeout(PATIENCE, body.frame()).await.unwrap() {
            let data = frame.unwrap().into_data().unwrap();
            check.take(&data);
            came += data.len();
        }
        assert!(check.intact && came == LONG, "{came}");
        let grown = peak.grown();
        assert!(grown < CEILING, "{grown} bytes more at its peak");
    });
}

#[test]
fn an_early_answer_reaches_a_client_over_http2() {
    run(|| async {
        for goes in [Goes::Reset, Goes::HalfClosed, Goes::Reads] {
            let stage = Stage::new(impatient(goes), RULES, limits(10_000, "inspectPrefix"));
            for round in 0..5 {
                let (feed, body) = pipe();
                tokio::spawn(async move {
                    let piece = Bytes::from(vec![b'x'; 16 * 1024]);
                    while feed.send(Frame::data(piece.clone())).await.is_ok() {
                        tokio::time::sleep(Duration::from_micros(100)).await;
                    }
                });
                let (response, _) =
                    sent(&stage, post(&[("content-type", "application/octet-stream")], body)).await;
                assert_eq!(response.status(), 507, "{goes:?} {round}");
                let body = tokio::time::timeout(PATIENCE, response.into_body().collect()).await.unwrap();
                assert_eq!(body.unwrap().to_bytes(), "no room\n", "{goes:?} {round}");
            }
        }
    });
}
