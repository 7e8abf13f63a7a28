//! One service of the demo as a program.

#![forbid(unsafe_code)]

use std::net::SocketAddr;

use anyhow::Result;
use clap::Parser;
use palisade_tests::demo::{Service, serve_http, serve_tcp};
use tokio::net::TcpListener;

/// A small service to be protected.
#[derive(Parser)]
struct Arguments {
    /// Its name: shop, payments, catalog, or any other.
    #[arg(long)]
    name: String,
    /// Where it serves HTTP.
    #[arg(long)]
    listen: SocketAddr,
    /// Where it echoes TCP.
    #[arg(long)]
    listen_tcp: Option<SocketAddr>,
    /// The outbound HTTP listener of its sidecar.
    #[arg(long)]
    outbound: Option<SocketAddr>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(address) = arguments.listen_tcp {
        let listener = TcpListener::bind(address).await?;
        tokio::spawn(serve_tcp(listener, arguments.name.clone()));
    }
    let listener = TcpListener::bind(arguments.listen).await?;
    serve_http(listener, Service { name: arguments.name, outbound: arguments.outbound }).await
}
