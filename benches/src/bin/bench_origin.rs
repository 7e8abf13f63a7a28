//! The origin behind every proxy that is measured: reads each request to its end and answers with a fixed
//! number of bytes.

#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::net::SocketAddr;

use anyhow::Result;
use bytes::Bytes;
use clap::Parser;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// An HTTP/1.1 origin.
#[derive(Parser)]
struct Arguments {
    /// Where it listens.
    #[arg(long)]
    listen: SocketAddr,
    /// How many bytes each answer has.
    #[arg(long, default_value_t = 1024)]
    bytes: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let body = Bytes::from(vec![b'x'; arguments.bytes]);
    let listener = TcpListener::bind(arguments.listen).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let body = body.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request: Request<Incoming>| {
                let body = body.clone();
                async move {
                    // An answer before the request's end would make the connection useless for the next one.
                    let mut incoming = request.into_body();
                    while let Some(Ok(_)) = incoming.frame().await {}
                    Ok::<_, Infallible>(Response::new(Full::new(body)))
                }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .pipeline_flush(true)
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}
