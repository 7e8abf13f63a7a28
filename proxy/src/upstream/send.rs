//! `send(Permit, body)`: the one place where a request leaves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use hyper::body::{Body as _, Incoming};
use palisade_http::response::Asked;
use palisade_model::{RequestHead, Scheme};
use palisade_rules::{Destination, Permit, ResponseStage};

use super::cluster::{self, Cluster, Wire};
use super::connect::ConnectFault;
use super::pool::{Lease, Pool};
use crate::deny::Upstream;
use crate::downstream::Downstream;
use crate::headers;
use crate::http::InBody;
use crate::http::body::Progress;
use crate::policy::Active;
use crate::reference::Reference;
use crate::telemetry::Span;

/// How often one request tries: an old connection, a new one, another endpoint. More would multiply the load on a cluster
/// that breaks down.
const ATTEMPTS: usize = 3;

/// What an upstream answered.
#[derive(Debug)]
pub struct Answer {
    /// The response.
    pub response: Response<Incoming>,
    /// Who judges it.
    pub stage: ResponseStage,
    /// The connection, to be given back when the body is over.
    pub lease: Lease,
    /// Who answered.
    pub cluster: Arc<Cluster>,
}

/// No answer.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub fault: Upstream,
    /// The stage, for the record.
    pub stage: ResponseStage,
    /// Who should have answered.
    pub cluster: Option<Arc<Cluster>>,
}

/// Who sends, for the headers we set.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// The client's connection.
    pub downstream: &'a Downstream,
    /// The exchange.
    pub reference: Reference,
    /// The exchange's reference id.
    pub text: &'a str,
    /// Its place in a sampled trace.
    pub span: Option<Span>,
}

/// Sends what was permitted and waits for the response head.
///
/// `progress` is that of a streamed body: the response's time limit counts from its end, since an upload may take
/// longer than an answer may.
pub async fn send(
    active: &Active,
    stamp: Stamp<'_>,
    permit: Permit,
    body: InBody,
    progress: Option<&Progress>,
) -> Result<Answer, Box<Failed>> {
    let (head, destination, stage) = permit.into_exchange();
    let (cluster, explicit) = match &destination {
        Destination::Application => (stamp.downstream.listener.application.as_ref(), None),
        Destination::Clusters { backends, timeout_ms, .. } => {
            (cluster::choose(active, backends, stamp.reference.turn()), *timeout_ms)
        }
    };
    let Some(cluster) = cluster.cloned() else {
        return Err(Box::new(Failed { fault: Upstream::UnknownCluster, stage, cluster: None }));
    };
    let wire = cluster.wire(&head);
    let upgrade = head.upgrade.is_some();
    if upgrade && wire == Wire::Http2 {
        return Err(Box::new(Failed { fault: Upstream::NoUpgrade, stage, cluster: Some(cluster) }));
    }
    let request = build(head, body, wire, stamp);
    let sent = match explicit {
        Some(limit) => {
            let limit = Duration::from_millis(limit);
            let attempt = attempt(active, stamp.downstream, &cluster, wire, request);
            tokio::time::timeout(limit, attempt).await.unwrap_or(Err(Upstream::ResponseTimeout))
        }
        None => {
            let attempt = attempt(active, stamp.downstream, &cluster, wire, request);
            within(active.duration(|limits| limits.response_timeout_ms), progress, attempt).await
        }
    };
    match sent {
        Ok((response, lease)) => Ok(Answer { response, stage, lease, cluster }),
        Err(fault) => Err(Box::new(Failed { fault, stage, cluster: Some(cluster) })),
    }
}

/// Waits as long as the client still sends, then at most `limit`.
async fn within<T>(
    limit: Duration,
    progress: Option<&Progress>,
    work: impl Future<Output = Result<T, Upstream>>,
) -> Result<T, Upstream> {
    let mut work = std::pin::pin!(work);
    loop {
        match tokio::time::timeout(limit, work.as_mut()).await {
            Ok(result) => return result,
            Err(_) if progress.is_some_and(|progress| !progress.ended()) => {}
            Err(_) => return Err(Upstream::ResponseTimeout),
        }
    }
}

async fn attempt(
    active: &Active,
    downstream: &Downstream,
    cluster: &Cluster,
    wire: Wire,
    mut request: Request<InBody>,
) -> Result<(Response<Incoming>, Lease), Upstream> {
    let identity = downstream.plane.identity();
    let limit = active.duration(|limits| limits.connect_timeout_ms);
    let mut fresh = false;
    let mut fault = Upstream::NoEndpoint;
    for _ in 0..ATTEMPTS {
        let now_ms = now_ms();
        let endpoint = cluster.pick(now_ms).ok_or(fault)?;
        let mut lease = match endpoint.pool.lease(wire, identity, fresh, limit).await {
            Ok(lease) => lease,
            Err(error) => {
                tracing::debug!(%error, cluster = %cluster.name, "no upstream connection");
                endpoint.pool.failed(now_ms);
                fault = connect_fault(&error);
                if cluster.len() == 1 {
                    break;
                }
                continue;
            }
        };
        let again = replayable(&lease, &request).then(|| copy(&request));
        match exchange(&mut lease, request).await {
            Ok(response) => return Ok((response, lease)),
            Err(Unsent::Whole(unsent)) => request = *unsent,
            Err(Unsent::Lost(error)) => {
                if lease.refused() || error.is_parse() {
                    return Err(Upstream::BadResponse);
                }
                tracing::debug!(%error, cluster = %cluster.name, "upstream broke the exchange off");
                request = again.ok_or(Upstream::Reset)?;
            }
        }
        fault = Upstream::Reset;
        fresh = true;
    }
    Err(fault)
}

enum Unsent {
    /// Nothing of it was sent.
    Whole(Box<Request<InBody>>),
    /// It, or a part of it, may have been seen.
    Lost(hyper::Error),
}

async fn exchange(lease: &mut Lease, request: Request<InBody>) -> Result<Response<Incoming>, Unsent> {
    let sent = match lease {
        Lease::Http1 { sender, answers, .. } => {
            answers.ask(Asked::new(request.method().clone(), request.headers().contains_key(UPGRADE)));
            sender.try_send_request(request).await
        }
        Lease::Http2 { sender, .. } => sender.try_send_request(request).await,
    };
    sent.map_err(|mut error| match error.take_message() {
        Some(request) => Unsent::Whole(Box::new(request)),
        None => Unsent::Lost(error.into_error()),
    })
}

/// Idempotent, without a body, over a connection that had served before: the peer most likely closed it meanwhile.
fn replayable(lease: &Lease, request: &Request<InBody>) -> bool {
    lease.is_reused()
        && matches!(request.body(), InBody::Empty)
        && matches!(
            *request.method(),
            Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
        )
}

fn copy(request: &Request<InBody>) -> Request<InBody> {
    let mut copy = Request::new(InBody::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// The request as it is sent: from the judged head, and our headers.
fn build(head: RequestHead, body: InBody, wire: Wire, stamp: Stamp<'_>) -> Request<InBody> {
    let target = target(&head);
    let mut headers = head.headers;
    headers::stamp(&mut headers, stamp.downstream, stamp.reference, stamp.text, stamp.span);
    let mut request = Request::new(body);
    match wire {
        Wire::Http1 => {
            headers.remove(TE);
            if let Some(protocol) = &head.upgrade {
                ask_upgrade(&mut headers, protocol);
            }
            if request.body().size_hint().exact().is_none() && !headers.contains_key(CONTENT_LENGTH) {
                // Said aloud, since hyper drops the body of a GET whose length is not known.
                headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            }
            *request.uri_mut() = target.map(Uri::from).unwrap_or_default();
        }
        Wire::Http2 => {
            headers.remove(HOST);
            *request.uri_mut() = absolute(&head.authority.to_string(), target, Scheme::Http);
            *request.version_mut() = Version::HTTP_2;
        }
    }
    *request.method_mut() = head.method;
    *request.headers_mut() = headers;
    request
}

fn ask_upgrade(headers: &mut HeaderMap, protocol: &str) {
    if let Ok(value) = HeaderValue::from_str(protocol) {
        headers.insert(UPGRADE, value);
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
}

fn target(head: &RequestHead) -> Option<PathAndQuery> {
    let query = head.query.as_deref();
    let mut bytes = BytesMut::with_capacity(head.path.len() + query.map_or(0, |query| query.len() + 1));
    bytes.extend_from_slice(head.path.as_bytes());
    if let Some(query) = query {
        bytes.extend_from_slice(b"?");
        bytes.extend_from_slice(query.as_bytes());
    }
    PathAndQuery::from_maybe_shared(bytes.freeze()).ok()
}

fn absolute(authority: &str, target: Option<PathAndQuery>, scheme: Scheme) -> Uri {
    let builder = Uri::builder().scheme(scheme.as_str()).authority(authority);
    match target {
        Some(target) => builder.path_and_query(target),
        None => builder.path_and_query("/"),
    }
    .build()
    .unwrap_or_default()
}

fn connect_fault(error: &ConnectFault) -> Upstream {
    match error {
        ConnectFault::Connect(..) | ConnectFault::Http(..) => Upstream::Connect,
        ConnectFault::Timeout(_) => Upstream::ConnectTimeout,
        ConnectFault::Identity(..) | ConnectFault::NoIdentity => Upstream::Identity,
    }
}

/// Milliseconds of a clock that begins with the process.
fn now_ms() -> u64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The cluster of a name, for opaque bytes.
pub fn tcp_pool(active: &Active, name: &str) -> Result<(Arc<Cluster>, Arc<Pool>), Upstream> {
    let cluster = active.cluster(name).ok_or(Upstream::UnknownCluster)?;
    let endpoint = cluster.pick(now_ms()).ok_or(Upstream::NoEndpoint)?;
    Ok((cluster.clone(), endpoint.pool.clone()))
}

#[cfg(test)]
mod tests {
    use palisade_model::limits::RESPONSE_TIMEOUT_MS;
    use tokio::time::{Instant, sleep};

    use super::*;

    const LIMIT: Duration = Duration::from_millis(RESPONSE_TIMEOUT_MS);
    const TICK: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn an_answer_may_take_until_the_limit_and_no_longer() {
        for (time, good) in [(LIMIT - TICK, true), (LIMIT, true), (LIMIT + TICK, false)] {
            let begun = Instant::now();
            let answer = within(LIMIT, None, async {
                sleep(time).await;
                Ok(())
            });
            assert_eq!(answer.await.is_ok(), good, "{time:?}");
            assert_eq!(begun.elapsed(), time.min(LIMIT));
        }
    }
}
