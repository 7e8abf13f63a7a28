//! The story of one request, the same for inbound, outbound and gateway.
//!
//! Promises: whatever becomes of a request, its [`Ending`] leaves one record; a refusal is one value that is rendered
//! in one place; the upstream sees nothing before the verdict on what the policy inspects.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use palisade_http::response::{Asked, check};
use palisade_http::{Malformed, head};
use palisade_model::{BodyKind, Connection, RawHead, RequestHead};
use palisade_rules::{Exchange, Permit, ResponseBody, ResponseStage, Step};

use super::body;
use crate::deny::{self, Dropped, Limit, Refusal, Transport, Upstream, Way};
use crate::downstream::Downstream;
use crate::headers;
use crate::http::body::{FromUpstream, Progress, Timed};
use crate::http::guarded_io::{Arrived, Line};
use crate::http::{InBody, OutBody};
use crate::telemetry::Ending;
use crate::upgrade;
use crate::upstream::{self, Answer, Stamp};

/// An HTTP/1 request: what hyper read, and what the guard says it is.
pub async fn http1(
    downstream: Arc<Downstream>,
    line: Line,
    arrived: Option<Arrived>,
    request: Request<Incoming>,
) -> Result<Response<OutBody>, Dropped> {
    let mut ending = Ending::begin(downstream.clone(), downstream.plane.current.load());
    let asks_upgrade = request.headers().contains_key(http::header::UPGRADE);
    let arrived = match arrived {
        Some(Arrived::Head(raw)) => Ok(Some(*raw)),
        Some(Arrived::Refused(refusal)) => Err(refusal),
        None => Err(Transport::Protocol.into()),
    };
    let outcome = match arrived {
        Ok(raw) => exchange(&mut ending, raw, request).await,
        Err(refusal) => Err(refusal),
    };
    // What the guard found in the body says more than what hyper or the upstream made of it.
    let broken = ending.progress().is_some_and(|progress| progress.broken());
    let outcome = match outcome {
        Err(refusal) if broken => Err(line.broken().unwrap_or(refusal)),
        other => other,
    };
    let response = conclude(ending, outcome, false)?;
    if asks_upgrade {
        line.upgraded(response.status() == StatusCode::SWITCHING_PROTOCOLS);
    }
    Ok(response)
}

/// An HTTP/2 request.
pub async fn http2(
    downstream: Arc<Downstream>,
    request: Request<Incoming>,
) -> Result<Response<OutBody>, Dropped> {
    let mut ending = Ending::begin(downstream.clone(), downstream.plane.current.load());
    let grpc = deny::is_grpc(request.headers());
    let outcome = exchange(&mut ending, None, request).await;
    conclude(ending, outcome, grpc)
}

/// Renders what came out of an exchange; the record is written when the body is gone.
fn conclude(
    mut ending: Box<Ending>,
    outcome: Result<Response<OutBody>, Refusal>,
    grpc: bool,
) -> Result<Response<OutBody>, Dropped> {
    Ok(match outcome {
        Ok(response) => {
            ending.note_status(response.status().as_u16());
            ending.note_response_headers(response.headers());
            response.map(|body| body.with_ending(ending))
        }
        Err(refusal) if refusal.way() == Way::Reset && refusal.denial().is_some() => {
            ending.refuse(refusal);
            return Err(Dropped);
        }
        Err(refusal) => {
            let text = &ending.text;
            let response = if grpc { refusal.grpc_response(text) } else { refusal.response(text) };
            ending.refuse(refusal);
            ending.note_response_headers(response.headers());
            response.map(|body| body.with_ending(ending))
        }
    })
}

/// The story.
async fn exchange(
    ending: &mut Ending,
    raw: Option<RawHead>,
    request: Request<Incoming>,
) -> Result<Response<OutBody>, Refusal> {
    let (active, downstream) = (ending.active.clone(), ending.downstream().clone());

    // 1. One canonical reading of the head.
    let (mut parts, incoming) = request.into_parts();
    let waiting = parts.extensions.remove::<OnUpgrade>();
    let ended = incoming.is_end_stream();
    let (head, kind) = head::canonical(parts, raw, downstream.scheme(), ended, &active.head_limits)?;
    ending.note_request(&head);

    // 2. Whose request it is: the socket's peer, or whom trusted proxies saw.
    let trusted = client_behind_proxies(&downstream, &head);
    let connection = trusted.as_ref().unwrap_or(&downstream.connection);

    // 3. The verdict on the head.
    let asked = Asked::new(head.method.clone(), head.upgrade.is_some());
    let exchange = Exchange { reference: ending.text.clone(), time_ms: ending.time_ms };
    let step = active.snapshot.request(connection, head, kind, exchange);

    // 4. The verdict on the body, if the policy inspects it. Nothing was sent yet.
    let (permit, body) = match step {
        Step::Deny(refused) => return Err(Refusal::Denied(refused)),
        Step::Forward(permit) => {
            let body = stream(ending, kind, incoming, permit.head());
            (permit, body)
        }
        Step::NeedBody(stage) => {
            let limit = ending.active.duration(|limits| limits.body_timeout_ms);
            let timed = timed(ending, incoming, Some(limit));
            Box::pin(body::gate(&downstream.plane, &active, stage, timed)).await?
        }
    };

    // 5. Spend the permit.
    let again = waiting.as_ref().and_then(|_| upgrade::Again::of(&permit));
    let answer = send(ending, permit, body).await?;

    // 6. The answer is read as strictly, and judged.
    let Answer { response, mut stage, lease, cluster } = answer;
    ending.note_cluster(cluster);
    let (mut parts, incoming) = response.into_parts();
    let ended = incoming.is_end_stream();
    let switched = parts.extensions.remove::<OnUpgrade>();
    let (head, _) = check(&asked, parts, ended).map_err(bad_response)?;
    let hold = match stage.head(&head) {
        Ok(hold) => hold,
        Err(refused) => return Err(Refusal::Denied(refused)),
    };

    // 7. An accepted upgrade leaves HTTP.
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        stage.uninspected("upgrade");
        ending.note_judge(stage);
        let (Some(client), Some(server)) = (waiting, switched) else {
            return Err(Upstream::BadResponse.into());
        };
        upgrade::splice(downstream, client, server, again);
        let mut response = respond(head, OutBody::empty());
        upgrade::confirm(response.headers_mut());
        return Ok(response);
    }

    // 8. The answer's body: held as far as the policy inspects it, then streamed.
    ending.note_lease(lease);
    let limit = ending.active.duration(|limits| limits.idle_timeout_ms);
    // An event stream and gRPC may be silent for as long as they like.
    let silence = (!ResponseStage::is_stream(&head)).then_some(limit);
    let out = judge_response_body(ending, stage, hold, incoming, silence).await?;
    Ok(respond(head, out))
}

async fn send(ending: &mut Ending, permit: Permit, body: InBody) -> Result<Answer, Refusal> {
    let (active, downstream) = (ending.active.clone(), ending.downstream().clone());
    let text = ending.text.clone();
    let span = ending.span();
    let stamp = Stamp { downstream: &downstream, reference: ending.reference, text: &text, span };
    let progress = ending.progress().cloned();
    match upstream::send(&active, stamp, permit, body, progress.as_deref()).await {
        Ok(answer) => Ok(answer),
        Err(failed) => {
            ending.note_judge(failed.stage);
            if let Some(cluster) = failed.cluster {
                ending.note_cluster(cluster);
            }
            if let Some(refusal) = progress.as_ref().and_then(|progress| progress.take_refused()) {
                return Err(refusal);
            }
            match &progress {
                Some(progress) if progress.timed_out() => Err(Limit::BodyTimeout.into()),
                _ => Err(failed.fault.into()),
            }
        }
    }
}

async fn judge_response_body(
    ending: &mut Ending,
    mut stage: ResponseStage,
    hold: ResponseBody,
    incoming: Incoming,
    silence: Option<Duration>,
) -> Result<OutBody, Refusal> {
    let out = match hold {
        ResponseBody::Stream => OutBody::upstream(FromUpstream::new(incoming, silence)),
        ResponseBody::Hold(_) => {
            let plane = ending.downstream().plane.clone();
            let active = ending.active.clone();
            let (judged, out) =
                Box::pin(body::hold_response(&plane, &active, stage, incoming, silence)).await?;
            stage = judged;
            out
        }
    };
    ending.note_judge(stage);
    Ok(out)
}

fn respond(head: palisade_model::ResponseHead, body: OutBody) -> Response<OutBody> {
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    response
}

fn bad_response(malformed: Malformed) -> Refusal {
    tracing::debug!(%malformed, "the upstream's response was refused");
    Upstream::BadResponse.into()
}

fn timed(ending: &mut Ending, incoming: Incoming, limit: Option<Duration>) -> Timed {
    let progress = Arc::new(Progress::default());
    ending.note_progress(progress.clone());
    Timed::new(incoming, limit, progress)
}

fn stream(ending: &mut Ending, kind: BodyKind, incoming: Incoming, head: &RequestHead) -> InBody {
    if kind == BodyKind::Empty {
        return InBody::Empty;
    }
    // A gRPC stream may be silent for as long as it likes; its connection's pings tell whether the peer is there.
    let content_type = head.headers.get(http::header::CONTENT_TYPE);
    let grpc = content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    let limit = (!grpc).then(|| ending.active.duration(|limits| limits.body_timeout_ms));
    InBody::Stream(timed(ending, incoming, limit))
}

fn client_behind_proxies(downstream: &Downstream, head: &RequestHead) -> Option<Connection> {
    let hops = downstream.listener.client_address().trusted_hops;
    let client = headers::trusted_client(&head.headers, hops)?;
    let mut connection = downstream.connection.clone();
    connection.client = client;
    Some(connection)
}
