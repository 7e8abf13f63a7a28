//! The real programs together: hot swap under load, restarts without the control plane, bad documents.
//!
//! Long counts run in full with `PALISADE_SOAK=1` (`cargo xtask soak`); the tests run a stated fraction.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing
)]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use palisade_tests::house::House;
use palisade_tests::process::{programs, wait_until};
use palisade_tests::{http as client, process};
use tokio::net::TcpStream;

/// One house at a time: each takes the first free ports it finds.
static ONE_HOUSE: Mutex<()> = Mutex::new(());

struct Running {
    house: House,
    _one: std::sync::MutexGuard<'static, ()>,
    _dir: tempfile::TempDir,
}

fn start() -> Running {
    let one = ONE_HOUSE.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = tempfile::tempdir().unwrap();
    let house = House::start(&programs().unwrap(), dir.path()).unwrap();
    Running { house, _one: one, _dir: dir }
}

fn gateway(house: &House) -> SocketAddr {
    SocketAddr::from((house.member("gateway").unwrap().address, house.ports.gateway))
}

/// How many swaps the full count has.
const SWAPS: u32 = 1_000;
/// How many the tests run: enough to meet every interleaving of slow bodies and swaps many times.
const SWAPS_IN_TESTS: u32 = 50;

/// Rules of version `version`: what phase 1 of a version has set, its later phases must find. A transaction judged by
/// a mix of two versions answers 500 or 502. The path `/version-N` tells whether version N is enforced.
fn versioned_rules(version: u32) -> String {
    format!(
        "apiVersion: palisade.dev/v1alpha1\nkind: RuleSet\nmetadata: {{name: demo-rules, namespace: shop}}\nspec:\n  sources:\n  \
         - name: versioned.conf\n    text: |\n      SecRuleEngine On\n      SecRequestBodyAccess On\n      \
         SecAction \"id:1,phase:1,pass,nolog,setvar:tx.version={version}\"\n      \
         SecRule TX:version \"!@streq {version}\" \"id:2,phase:2,deny,status:500\"\n      \
         SecRule TX:version \"!@streq {version}\" \"id:3,phase:3,deny,status:502\"\n      \
         SecRule REQUEST_URI \"@streq /version-{version}\" \"id:4,phase:1,deny,status:418\"\n"
    )
}

#[derive(Default)]
struct Load {
    answered: AtomicU64,
    wrong: Mutex<Vec<String>>,
    over: AtomicBool,
}

impl Load {
    fn note(&self, outcome: Result<u16, String>) {
        match outcome {
            Ok(200) => {
                self.answered.fetch_add(1, Ordering::Relaxed);
            }
            Ok(status) => self.wrong.lock().unwrap().push(format!("status {status}")),
            Err(error) => self.wrong.lock().unwrap().push(error),
        }
    }
}

/// A form in two pieces with a pause between, so that swaps fall into the middle of transactions.
fn slow_form() -> StreamBody<impl futures_core::Stream<Item = Result<Frame<Bytes>, std::convert::Infallible>>>
{
    StreamBody::new(SlowForm { step: 0, pause: None })
}

/// `a=1`, a pause of 5 ms, `&b=2`.
struct SlowForm {
    step: u8,
    pause: Option<std::pin::Pin<Box<tokio::time::Sleep>>>,
}

impl futures_core::Stream for SlowForm {
    type Item = Result<Frame<Bytes>, std::convert::Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        use std::task::Poll;
        match self.step {
            0 => {
                self.step = 1;
                self.pause = Some(Box::pin(tokio::time::sleep(Duration::from_millis(5))));
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"a=1")))))
            }
            1 => {
                let pause = self.pause.as_mut().unwrap();
                std::task::ready!(pause.as_mut().poll(cx));
                self.step = 2;
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"&b=2")))))
            }
            _ => Poll::Ready(None),
        }
    }
}

fn form_request(address: SocketAddr, http2: bool) -> http::request::Builder {
    let target = if http2 { format!("http://{address}/form") } else { "/form".to_owned() };
    let request = Request::post(target).header("content-type", "application/x-www-form-urlencoded");
    if http2 { request } else { request.header("host", address.to_string()) }
}

async fn load_http1(address: SocketAddr, load: Arc<Load>) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    while !load.over.load(Ordering::Relaxed) {
        // One kept-alive connection for the whole test: if it breaks, that is a failure.
        let exchange = async {
            sender.ready().await.map_err(|error| format!("http1 ready: {error}"))?;
            let request = form_request(address, false).body(slow_form()).unwrap();
            let response = sender.send_request(request).await.map_err(|error| format!("http1: {error}"))?;
            let status = response.status().as_u16();
            response.into_body().collect().await.map_err(|error| format!("http1 body: {error}"))?;
            Ok(status)
        };
        let outcome: Result<u16, String> = exchange.await;
        let broken = outcome.is_err();
        load.note(outcome);
        if broken {
            return;
        }
    }
}

async fn load_http2(address: SocketAddr, load: Arc<Load>) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let streams: Vec<_> = (0..4)
        .map(|_| {
            let (mut sender, load) = (sender.clone(), load.clone());
            tokio::spawn(async move {
                while !load.over.load(Ordering::Relaxed) {
                    let exchange = async {
                        sender.ready().await.map_err(|error| format!("http2 ready: {error}"))?;
                        let request = form_request(address, true).body(slow_form()).unwrap();
                        let response =
                            sender.send_request(request).await.map_err(|error| format!("http2: {error}"))?;
                        let status = response.status().as_u16();
                        response
                            .into_body()
                            .collect()
                            .await
                            .map_err(|error| format!("http2 body: {error}"))?;
                        Ok(status)
                    };
                    let outcome: Result<u16, String> = exchange.await;
                    let broken = outcome.is_err();
                    load.note(outcome);
                    if broken {
                        return;
                    }
                }
            })
        })
        .collect();
    for stream in streams {
        stream.await.unwrap();
    }
}

#[test]
fn soak_policy_changes_under_load_lose_no_request_and_mix_no_versions() {
    let soak = std::env::var_os("PALISADE_SOAK").is_some();
    let swaps = if soak { SWAPS } else { SWAPS_IN_TESTS };
    let mut running = start();
    let house = &mut running.house;
    let address = gateway(house);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let load = Arc::new(Load::default());
    let mut tasks = vec![runtime.spawn(load_http2(address, load.clone()))];
    tasks.extend((0..4).map(|_| runtime.spawn(load_http1(address, load.clone()))));

    let mut times: Vec<Duration> = Vec::new();
    for version in 1..=swaps {
        let begun = Instant::now();
        house.put("RuleSet", "demo-rules", &versioned_rules(version)).unwrap();
        let probe = format!("/version-{version}");
        wait_until(&format!("version {version} is enforced"), 20, || {
            Ok(client::send(address, "GET", &probe, &[], "")?.status == 418)
        })
        .unwrap();
        times.push(begun.elapsed());
        house.check().unwrap();
    }
    load.over.store(true, Ordering::Relaxed);
    runtime.block_on(async {
        for task in tasks {
            task.await.unwrap();
        }
    });
    times.sort();
    let answered = load.answered.load(Ordering::Relaxed);
    println!(
        "{swaps} of {SWAPS} swaps, {answered} requests; PUT to enforced: median {:?}, worst {:?}",
        times[times.len() / 2],
        times[times.len() - 1]
    );
    let wrong = load.wrong.lock().unwrap();
    assert!(wrong.is_empty(), "{} of {answered} exchanges went wrong: {:?}", wrong.len(), wrong.first());
    assert!(answered > u64::from(swaps), "the load was under way during the swaps: {answered} requests");
}

#[test]
fn sidecars_serve_and_restart_while_the_control_plane_is_away() {
    let mut running = start();
    let house = &mut running.house;
    let address = gateway(house);
    assert!(house.program("control-plane").unwrap().stop(), "the control plane ends by itself");
    let served = |house: &House| client::send(gateway(house), "GET", "/products", &[], "").unwrap();
    assert_eq!(served(house).status, 200, "proxies serve without the control plane");

    for name in ["shop-proxy", "gateway-proxy"] {
        assert!(house.program(name).unwrap().restart().unwrap(), "{name} ends by itself");
    }
    let mut last = String::new();
    process::wait_until("restarted proxies serve from their state directories", 20, || {
        last = format!("{:?}", client::send(address, "GET", "/products", &[], ""));
        Ok(last.contains("status: 200"))
    })
    .unwrap_or_else(|error| {
        let logs = ["shop-proxy", "gateway-proxy"].map(|name| house.program(name).unwrap().log_tail());
        panic!("{error}; last answer {last}; logs:\n{}", logs.join("\n---\n"))
    });
    let out = SocketAddr::from((house.member("intruder").unwrap().address, house.ports.outbound));
    let denied = client::send(out, "GET", "/", &[("host", "shop.shop")], "").unwrap();
    assert_eq!(denied.status, 403, "the last good policy is enforced after the restart: {}", denied.body);
}

#[test]
fn a_bad_document_is_refused_with_its_place_and_changes_nothing() {
    let mut running = start();
    let house = &mut running.house;
    let put = |house: &House, kind: &str, name: &str, body: &str| {
        house.rest_call("PUT", &format!("/api/v1/documents/{kind}/shop/{name}"), body).unwrap()
    };
    let unknown_field = "apiVersion: palisade.dev/v1alpha1\nkind: WafPolicy\nmetadata: {name: edge, namespace: shop}\n\
                         spec:\n  ruleSet: demo-rules\n  paranoia: 2\n";
    let answer = put(house, "WafPolicy", "edge", unknown_field);
    assert!((400..500).contains(&answer.status), "{} {}", answer.status, answer.body);
    assert!(
        answer.body.contains("paranoia") && answer.body.contains("6"),
        "names field and line: {}",
        answer.body
    );

    let bad_rule = versioned_rules(1).replace("@streq /version-1", "@rx (unclosed");
    let answer = put(house, "RuleSet", "demo-rules", &bad_rule);
    assert!((400..500).contains(&answer.status), "{} {}", answer.status, answer.body);
    assert!(answer.body.contains("versioned.conf:6"), "names file and line: {}", answer.body);

    let unknown_kind = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: edge, namespace: shop}\n";
    let answer = put(house, "ConfigMap", "edge", unknown_kind);
    assert!((400..500).contains(&answer.status) && answer.body.contains("ConfigMap"), "{}", answer.body);

    let injection =
        client::send(gateway(house), "GET", "/products?q=1%27%20OR%20%271%27%3D%271", &[], "").unwrap();
    assert_eq!(injection.status, 403, "the last good rules are in force");
}

#[test]
fn a_client_cannot_claim_an_identity_in_a_header() {
    let mut running = start();
    let house = &mut running.house;
    let claim = [
        ("x-forwarded-client-cert", "URI=spiffe://cluster.local/ns/shop/sa/admin"),
        ("x-palisade-principal", "admin"),
    ];
    let answer = client::send(gateway(house), "GET", "/whoami", &claim, "").unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(!answer.body.contains("sa/admin"), "the claim reached the application: {}", answer.body);
    assert!(answer.body.contains("sa/gateway"), "the application sees who really called: {}", answer.body);
}
