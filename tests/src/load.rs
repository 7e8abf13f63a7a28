//! Traffic while policies change: kept-alive HTTP/1.1 connections and one HTTP/2 connection, whose bodies have a pause
//! in the middle, so that swaps fall into the middle of transactions.
//!
//! Promise: a connection that breaks, or an answer that is not 200, is noted as wrong. Does not limit itself: it runs
//! until [`Load::end`].

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// Kept-alive HTTP/1.1 connections.
const CONNECTIONS: usize = 4;
/// Streams of the HTTP/2 connection.
const STREAMS: usize = 4;

/// Rules of version `version`: what phase 1 of a version has set, its later phases must find. A transaction judged by
/// a mix of two versions answers 500 or 502. The path `/version-N` tells whether version N is enforced.
pub fn rules(version: u32) -> String {
    format!(
        "SecRuleEngine On\nSecRequestBodyAccess On\n\
         SecAction \"id:1,phase:1,pass,nolog,setvar:tx.version={version}\"\n\
         SecRule TX:version \"!@streq {version}\" \"id:2,phase:2,deny,status:500\"\n\
         SecRule TX:version \"!@streq {version}\" \"id:3,phase:3,deny,status:502\"\n\
         SecRule REQUEST_URI \"@streq /version-{version}\" \"id:4,phase:1,deny,status:418\"\n"
    )
}

/// Traffic that is under way.
pub struct Load {
    counts: Arc<Counts>,
    tasks: Vec<JoinHandle<Result<()>>>,
    runtime: Runtime,
}

/// What became of the exchanges.
#[derive(Debug)]
pub struct Outcome {
    /// Exchanges that were answered with 200.
    pub answered: u64,
    /// All others.
    pub wrong: Vec<String>,
}

#[derive(Default)]
struct Counts {
    answered: AtomicU64,
    wrong: Mutex<Vec<String>>,
    over: AtomicBool,
}

impl Load {
    /// Begins to send forms to `address`.
    pub fn start(address: SocketAddr) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let counts = Arc::new(Counts::default());
        let mut tasks = vec![runtime.spawn(http2(address, counts.clone()))];
        tasks.extend((0..CONNECTIONS).map(|_| runtime.spawn(http1(address, counts.clone()))));
        Ok(Self { counts, tasks, runtime })
    }

    /// Exchanges that were answered with 200 so far.
    pub fn answered(&self) -> u64 {
        self.counts.answered.load(Ordering::Relaxed)
    }

    /// Lets every exchange end that has begun, and gives what became of all.
    pub fn end(self) -> Result<Outcome> {
        self.counts.over.store(true, Ordering::Relaxed);
        for task in self.tasks {
            self.runtime.block_on(task).context("a task of the load")??;
        }
        let wrong = std::mem::take(&mut *self.counts.wrong.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Outcome { answered: self.counts.answered.load(Ordering::Relaxed), wrong })
    }
}

impl Counts {
    /// Notes an exchange; gives whether its connection can go on.
    fn note(&self, outcome: Result<u16>) -> bool {
        let wrong = match &outcome {
            Ok(200) => {
                self.answered.fetch_add(1, Ordering::Relaxed);
                return true;
            }
            Ok(status) => format!("status {status}"),
            Err(error) => format!("{error:#}"),
        };
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).push(wrong);
        outcome.is_ok()
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// `a=1`, a pause of 5 ms, `&b=2`.
#[derive(Default)]
struct SlowForm {
    step: u8,
    pause: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Body for SlowForm {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let bytes = match self.step {
            0 => b"a=1".as_slice(),
            1 => {
                let pause =
                    self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(Duration::from_millis(5))));
                ready!(pause.as_mut().poll(cx));
                b"&b=2"
            }
            _ => return Poll::Ready(None),
        };
        self.step += 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(bytes)))))
    }
}

fn request(address: SocketAddr, http2: bool) -> Result<Request<SlowForm>> {
    let target = if http2 { format!("http://{address}/form") } else { "/form".to_owned() };
    let request = Request::post(target).header("content-type", "application/x-www-form-urlencoded");
    let request = if http2 { request } else { request.header("host", address.to_string()) };
    Ok(request.body(SlowForm::default())?)
}

/// One kept-alive connection for the whole time: if it breaks, that is wrong.
async fn http1(address: SocketAddr, counts: Arc<Counts>) -> Result<()> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    while !counts.is_over() {
        let exchange = async {
            sender.ready().await.context("HTTP/1.1 connection")?;
            let response = sender.send_request(request(address, false)?).await.context("HTTP/1.1 request")?;
            let status = response.status().as_u16();
            response.into_body().collect().await.context("HTTP/1.1 body")?;
            Ok(status)
        };
        if !counts.note(exchange.await) {
            break;
        }
    }
    Ok(())
}

async fn http2(address: SocketAddr, counts: Arc<Counts>) -> Result<()> {
    let stream = TcpStream::connect(address).await?;
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let streams: Vec<_> = (0..STREAMS)
        .map(|_| {
            let (mut sender, counts) = (sender.clone(), counts.clone());
            tokio::spawn(async move {
                while !counts.is_over() {
                    let exchange = async {
                        sender.ready().await.context("HTTP/2 connection")?;
                        let sent = sender.send_request(request(address, true)?).await;
                        let response = sent.context("HTTP/2 request")?;
                        let status = response.status().as_u16();
                        response.into_body().collect().await.context("HTTP/2 body")?;
                        Ok(status)
                    };
                    if !counts.note(exchange.await) {
                        break;
                    }
                }
            })
        })
        .collect();
    for stream in streams {
        stream.await?;
    }
    Ok(())
}
