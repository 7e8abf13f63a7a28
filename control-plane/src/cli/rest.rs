//! One call to a running control plane.

use anyhow::{Context, Result, bail};
use clap::Args;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Bytes};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// The longest answer that is read, in bytes: problems of a large rule set with their places. Whoever answers need not
/// be our server.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// Where the control plane is, and with which token.
#[derive(Debug, Args)]
pub(super) struct Server {
    /// The REST address of a running control plane: host:port.
    #[arg(long, default_value = "127.0.0.1:15080")]
    server: String,
    /// A file with the API token; otherwise the environment variable PALISADE_TOKEN.
    #[arg(long)]
    token_file: Option<std::path::PathBuf>,
}

impl Server {
    /// Posts JSON and gives the JSON answer.
    pub(super) async fn post(&self, path: &str, body: &serde_json::Value) -> Result<serde_json::Value> {
        self.send(http::Method::POST, path, body.to_string()).await
    }

    /// Puts a JSON document in force.
    pub(super) async fn put(&self, path: &str, body: String) -> Result<serde_json::Value> {
        self.send(http::Method::PUT, path, body).await
    }

    async fn send(&self, method: http::Method, path: &str, body: String) -> Result<serde_json::Value> {
        let token = match &self.token_file {
            Some(path) => {
                std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?
            }
            None => std::env::var("PALISADE_TOKEN")
                .context("an API token is needed: --token-file or PALISADE_TOKEN")?,
        };
        let socket = TcpStream::connect(&self.server)
            .await
            .with_context(|| format!("connect to the control plane at {}", self.server))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
        tokio::spawn(connection);
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.server)
            .header("authorization", format!("Bearer {}", token.trim()))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = read(response.into_body()).await?;
        let answer: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        if status.is_success() {
            return Ok(answer);
        }
        let text = |field: &str| answer.get(field).and_then(|text| text.as_str()).unwrap_or_default();
        match text("place") {
            "" => bail!("{status}: {}", text("error")),
            place => bail!("{status}: {place}: {}", text("error")),
        }
    }
}

/// A whole answer, if it is not too long.
async fn read<B: Body<Error: std::error::Error + Send + Sync + 'static>>(body: B) -> Result<Bytes> {
    let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
    Ok(body.map_err(|error| anyhow::anyhow!("the answer cannot be read: {error}"))?.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_under_and_at_the_limit_is_read_and_over_it_refused() {
        for (bytes, good) in
            [(MAX_ANSWER_BYTES - 1, true), (MAX_ANSWER_BYTES, true), (MAX_ANSWER_BYTES + 1, false)]
        {
            let answer = read(Full::new(Bytes::from(vec![b' '; bytes]))).await;
            assert_eq!(answer.ok().map(|answer| answer.len()), good.then_some(bytes));
        }
    }
}
