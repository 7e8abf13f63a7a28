//! The load generator: closed loop, N connections, each sends the next request when the last was answered.
//!
//! It measures the proxies' processor time per request, not latency; every answer is read to its end and its status
//! is checked. The last line is one JSON object.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use clap::Parser;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Sends requests and counts answers.
#[derive(Clone, Parser)]
struct Arguments {
    /// Whom to load.
    #[arg(long)]
    target: SocketAddr,
    /// The Host header.
    #[arg(long, default_value = "bench.local")]
    host: String,
    /// The path.
    #[arg(long, default_value = "/api/items?id=7")]
    path: String,
    /// How many connections.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// How long, in seconds.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// The status every answer must have.
    #[arg(long, default_value_t = 200)]
    expect: u16,
    /// Directory with root.pem, client.pem, client.key: speak mTLS.
    #[arg(long)]
    identity: Option<PathBuf>,
    /// One request a connection: measures handshakes.
    #[arg(long)]
    reconnect: bool,
    /// A file with the request as one JSON object: method, target, headers (pairs), body (bytes). Else a GET of --path.
    #[arg(long)]
    request: Option<PathBuf>,
    /// So many requests on each connection, however long it takes.
    #[arg(long)]
    requests: Option<u64>,
}

/// What is sent, made once.
struct Prepared {
    head: http::request::Parts,
    body: Bytes,
}

#[derive(Default)]
struct Counts {
    answered: AtomicU64,
    wrong: AtomicU64,
    failed: AtomicU64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let arguments = Arguments::parse();
    let tls = arguments.identity.as_deref().map(client_config).transpose()?;
    let request = Arc::new(prepare(&arguments)?);
    let counts = Arc::new(Counts::default());
    let begun = Instant::now();
    let end = begun + Duration::from_secs_f64(arguments.seconds);
    let tasks: Vec<_> = (0..arguments.connections)
        .map(|_| {
            tokio::spawn(connection(arguments.clone(), request.clone(), tls.clone(), end, counts.clone()))
        })
        .collect();
    for task in tasks {
        task.await?;
    }
    let (answered, wrong) = (counts.answered.load(Ordering::Relaxed), counts.wrong.load(Ordering::Relaxed));
    let failed = counts.failed.load(Ordering::Relaxed);
    println!(
        "{}",
        serde_json::json!({"answered": answered, "wrong": wrong, "failed": failed, "seconds": begun.elapsed().as_secs_f64()})
    );
    ensure!(answered > 0, "no answer at all");
    Ok(())
}

/// One connection's loop, until the end of time.
async fn connection(
    arguments: Arguments,
    request: Arc<Prepared>,
    tls: Option<TlsConnector>,
    end: Instant,
    counts: Arc<Counts>,
) {
    let mut sender: Option<SendRequest<Full<Bytes>>> = None;
    let mut sent = 0;
    while arguments.requests.map_or_else(|| Instant::now() < end, |wanted| sent < wanted) {
        sent += 1;
        let mut ready = match sender.take() {
            Some(sender) => sender,
            None => match connect(&arguments, tls.as_ref()).await {
                Ok(sender) => sender,
                Err(_) => {
                    counts.failed.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                }
            },
        };
        match exchange(&request, &mut ready).await {
            Ok(status) => {
                counts.answered.fetch_add(1, Ordering::Relaxed);
                if status != arguments.expect {
                    counts.wrong.fetch_add(1, Ordering::Relaxed);
                }
                sender = (!arguments.reconnect).then_some(ready);
            }
            Err(_) => {
                counts.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

async fn connect(arguments: &Arguments, tls: Option<&TlsConnector>) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(arguments.target).await?;
    stream.set_nodelay(true)?;
    match tls {
        None => {
            let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            Ok(sender)
        }
        Some(tls) => {
            let stream = tls.connect(ServerName::try_from("localhost")?, stream).await?;
            let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            Ok(sender)
        }
    }
}

/// The request of the file, or a plain GET.
fn prepare(arguments: &Arguments) -> Result<Prepared> {
    let Some(file) = &arguments.request else {
        let request = Request::get(arguments.path.as_str())
            .header("host", arguments.host.as_str())
            .header("user-agent", "bench-load/1.0")
            .header("accept", "application/json");
        return Ok(Prepared { head: request.body(())?.into_parts().0, body: Bytes::new() });
    };
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let asked: Asked = serde_json::from_str(&text).with_context(|| format!("read {}", file.display()))?;
    let mut request = Request::builder().method(asked.method.as_str()).uri(asked.target.as_str());
    for (name, value) in &asked.headers {
        request = request.header(name.as_str(), value.as_str());
    }
    Ok(Prepared { head: request.body(())?.into_parts().0, body: asked.body.into() })
}

/// A request as the file has it.
#[derive(serde::Deserialize)]
struct Asked {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

async fn exchange(prepared: &Prepared, sender: &mut SendRequest<Full<Bytes>>) -> Result<u16> {
    sender.ready().await?;
    let request = Request::from_parts(prepared.head.clone(), Full::new(prepared.body.clone()));
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(status)
}

fn client_config(dir: &std::path::Path) -> Result<TlsConnector> {
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(dir.join("client.pem"))?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(dir.join("client.key")).context("client.key")?;
    let mut config = ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer))
        .with_client_auth_cert(chain, key)?;
    // A resumed handshake is not the handshake that is measured.
    config.resumption = rustls::client::Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The load generator takes any server: what is measured is the server's work, not the client's.
#[derive(Debug)]
struct AnyServer;

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ED25519]
    }
}
