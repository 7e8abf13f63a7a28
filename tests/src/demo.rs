//! The demo application: one small HTTP service (and a TCP echo) that can play every part of the demo.
//!
//! ```text
//!   gateway ──▶ shop ──▶ payments   GET /charge
//!                    └─▶ catalog    GET /products
//!            intruder ──▶ payments  (nobody allowed it)
//! ```
//! It knows nothing of Palisade: it calls others through the address in `outbound`, by `Host`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One service of the demo.
#[derive(Clone, Debug)]
pub struct Service {
    /// `shop`, `payments`, `catalog`, or any other name.
    pub name: String,
    /// The outbound HTTP listener of its sidecar.
    pub outbound: Option<SocketAddr>,
}

/// Serves HTTP until the process ends.
pub async fn serve_http(listener: TcpListener, service: Service) -> Result<()> {
    let service = Arc::new(service);
    loop {
        let (stream, _) = listener.accept().await?;
        let service = service.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let service = service.clone();
                async move { Ok::<_, Infallible>(service.answer(request).await) }
            });
            // A connection that fails is the client's loss; the demo goes on.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

/// Echoes TCP lines behind the service's name until the process ends.
pub async fn serve_tcp(listener: TcpListener, name: String) -> Result<()> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        let greeting = format!("{name}: ");
        tokio::spawn(async move {
            let mut buffer = [0_u8; 1024];
            while let Ok(length) = stream.read(&mut buffer).await {
                let Some(bytes) = buffer.get(..length).filter(|bytes| !bytes.is_empty()) else { break };
                if stream.write_all(greeting.as_bytes()).await.is_err()
                    || stream.write_all(bytes).await.is_err()
                {
                    break;
                }
            }
        });
    }
}

impl Service {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let caller = request
            .headers()
            .get("x-forwarded-client-cert")
            .and_then(|value| value.to_str().ok())
            .unwrap_or("nobody we know")
            .to_owned();
        let (parts, body) = request.into_parts();
        let length = body.collect().await.map(|body| body.to_bytes().len()).unwrap_or_default();
        let answer = match (self.name.as_str(), path.as_str()) {
            ("shop", "/checkout") => self.call("payments.shop", "/charge").await,
            ("shop", "/products") => self.call("catalog.shop", "/products").await,
            (_, "/steal") => self.call("payments.shop", "/charge").await,
            ("payments", "/charge") => Ok((StatusCode::OK, json!({"charged": "42.00 EUR"}))),
            ("catalog", "/products") => Ok((StatusCode::OK, json!({"products": ["oak stake", "iron nail"]}))),
            _ => Ok((
                StatusCode::OK,
                json!({"path": path, "method": parts.method.as_str(), "bodyBytes": length}),
            )),
        };
        let (status, content) = match answer {
            Ok(answer) => answer,
            Err(error) => (StatusCode::BAD_GATEWAY, json!({"error": format!("{error:#}")})),
        };
        let text = json!({"service": self.name, "caller": caller, "answer": content}).to_string() + "\n";
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = status;
        response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
        response
    }

    /// Calls another service the way any program would: by its name, through the way out.
    async fn call(&self, host: &str, path: &str) -> Result<(StatusCode, serde_json::Value)> {
        let outbound = self.outbound.context("this service has no way out")?;
        let stream = TcpStream::connect(outbound).await.context("connect to the sidecar")?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = Request::get(path).header("host", host).body(Empty::<Bytes>::new())?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        let content = serde_json::from_slice(&body)
            .unwrap_or_else(|_| serde_json::Value::String(String::from_utf8_lossy(&body).trim().to_owned()));
        Ok((status, content))
    }
}
