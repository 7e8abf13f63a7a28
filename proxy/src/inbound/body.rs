//! The body gate: holds what the policy inspects, within the process's budget, until the verdict.
//!
//! Promises: no byte of a held body goes on before its verdict; what was held is replayed in order, without a copy;
//! memory is bounded per request by the policy and over all requests by the process; a long judgement does not stop
//! other connections. `100 Continue` is sent by hyper when the first piece is asked for, which is after the head was
//! allowed.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use palisade_rules::{BodyStage, Feed, Permit, Refused, ResponseStage};
use tokio::task::JoinError;

use crate::deny::{Limit, Refusal, Transport, Upstream};
use crate::http::body::{FromUpstream, Held, Timed};
use crate::http::upload::{Budget, UploadBody};
use crate::http::{BodyFault, InBody, OutBody};
use crate::limits::Hold;
use crate::plane::Plane;
use crate::policy::Active;

/// Pieces on hold.
#[derive(Debug)]
struct Pieces {
    pieces: VecDeque<Bytes>,
    bytes: usize,
    hold: Option<Hold>,
}

impl Pieces {
    fn new() -> Self {
        Self { pieces: VecDeque::new(), bytes: 0, hold: None }
    }

    /// Takes a piece, if the process may hold that much.
    fn push(&mut self, piece: Bytes, plane: &Plane, active: &Active) -> Result<(), Refusal> {
        let bound = active.limits().buffered_bytes;
        let taken = match &mut self.hold {
            Some(hold) => hold.grow(piece.len(), bound),
            None => {
                self.hold = plane.buffered.take(piece.len(), bound);
                self.hold.is_some()
            }
        };
        if !taken {
            return Err(Limit::BufferedBytes.into());
        }
        self.bytes += piece.len();
        self.pieces.push_back(piece);
        Ok(())
    }
}

/// Holds a request body until the policy permits it; what is returned begins with what was held.
pub async fn gate(
    plane: &Plane,
    active: &Active,
    mut stage: Box<BodyStage>,
    mut body: Timed,
) -> Result<(Permit, InBody), Refusal> {
    let mut pieces = Pieces::new();
    let mut trailers: Option<HeaderMap> = None;
    let mut behind = Bytes::new();
    while let Some(frame) = poll_fn(|cx| body.poll_piece(cx)).await {
        let frame = frame.map_err(client_fault)?;
        let piece = match frame.into_data() {
            Ok(piece) => piece,
            Err(frame) => {
                trailers = frame.into_trailers().ok();
                continue;
            }
        };
        let (fed, feed, after) = feed_stage(plane, active, stage, piece, &mut pieces).await?;
        (stage, behind) = (fed, after);
        if feed != Feed::More {
            break;
        }
    }
    let mut permit = judge(plane, stage, pieces.bytes).await?;
    if let Some(upload) = permit.take_upload() {
        let bound = active.limits().buffered_bytes;
        let hold = pieces.hold.or_else(|| plane.buffered.take(0, bound)).ok_or(Limit::BufferedBytes)?;
        let budget = Budget { hold, bound };
        let turns = plane.judging.clone();
        let body = UploadBody::new(pieces.pieces, behind, body, upload, budget, turns);
        return Ok((permit, InBody::Upload(Box::new(body))));
    }
    if !behind.is_empty() {
        pieces.push(behind, plane, active)?;
    }
    let rest = (!body.progress().ended()).then_some(body);
    let held = Held { pieces: pieces.pieces, rest, trailers, hold: pieces.hold };
    Ok((permit, InBody::Held(Box::new(held))))
}

/// Feeds a piece as far as the stage takes it; what is behind that was not fed.
async fn feed_stage(
    plane: &Plane,
    active: &Active,
    mut stage: Box<BodyStage>,
    mut piece: Bytes,
    pieces: &mut Pieces,
) -> Result<(Box<BodyStage>, Feed, Bytes), Refusal> {
    loop {
        let now = piece.split_to(stage.room().min(piece.len()));
        let mut feed = stage.feed(&now);
        if feed == Feed::Look {
            (stage, feed) = look(plane, stage).await?;
        }
        if feed != Feed::TooLong {
            pieces.push(now, plane, active)?;
        }
        if feed != Feed::More || piece.is_empty() {
            return Ok((stage, feed, piece));
        }
    }
}

async fn look(plane: &Plane, mut stage: Box<BodyStage>) -> Result<(Box<BodyStage>, Feed), Refusal> {
    let looked = plane.judging.run(move || {
        let feed = stage.look();
        (stage, feed)
    });
    looked.await.map_err(broke)
}

/// The judge broke: nothing was permitted.
fn broke(error: JoinError) -> Refusal {
    tracing::error!(%error, "a body could not be judged");
    Limit::BufferedBytes.into()
}

async fn judge(plane: &Plane, stage: Box<BodyStage>, bytes: usize) -> Result<Permit, Refusal> {
    let verdict = if !stage.is_heavy(bytes) {
        stage.finish()
    } else {
        plane.judging.run(move || stage.finish()).await.map_err(broke)?
    };
    verdict.map_err(Refusal::Denied)
}

fn client_fault(fault: BodyFault) -> Refusal {
    match fault {
        BodyFault::Timeout => Limit::BodyTimeout.into(),
        BodyFault::Broken(_) | BodyFault::Trailers(_) | BodyFault::Refused => Transport::Protocol.into(),
    }
}

/// Holds a response body as far as the policy inspects it. `silence`: how long the rest may stall.
pub async fn hold_response(
    plane: &Plane,
    active: &Active,
    mut stage: ResponseStage,
    mut body: Incoming,
    silence: Option<Duration>,
) -> Result<(ResponseStage, OutBody), Refusal> {
    let mut pieces = Pieces::new();
    let mut trailers = None;
    let mut complete = false;
    let limit = active.duration(|limits| limits.response_timeout_ms);
    loop {
        let frame = match tokio::time::timeout(limit, body.frame()).await {
            Err(_) => return Err(Upstream::ResponseTimeout.into()),
            Ok(None) => {
                complete = true;
                break;
            }
            Ok(Some(Err(_))) => return Err(Upstream::Reset.into()),
            Ok(Some(Ok(frame))) => frame,
        };
        match frame.into_data() {
            Ok(piece) => {
                let feed = stage.feed(&piece);
                pieces.push(piece, plane, active)?;
                if feed != Feed::More {
                    break;
                }
            }
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    let (stage, verdict) = judge_response(plane, stage, complete, pieces.bytes).await?;
    verdict.map_err(Refusal::Denied)?;
    let rest = (!complete).then(|| FromUpstream::new(body, silence));
    Ok((stage, OutBody::held(Held { pieces: pieces.pieces, rest, trailers, hold: pieces.hold })))
}

type Judged = (ResponseStage, Result<(), Box<Refused>>);

async fn judge_response(
    plane: &Plane,
    mut stage: ResponseStage,
    complete: bool,
    bytes: usize,
) -> Result<Judged, Refusal> {
    if !stage.is_heavy(bytes) {
        let verdict = stage.body(complete);
        return Ok((stage, verdict));
    }
    let judged = plane.judging.run(move || {
        let verdict = stage.body(complete);
        (stage, verdict)
    });
    judged.await.map_err(broke)
}
