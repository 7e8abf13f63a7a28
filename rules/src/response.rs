//! The response's part of a transaction.

use palisade_model::documents::{BodyLimit, OverLimit, Streams};
use palisade_model::record::Inspection;
use palisade_model::{Denial, Direction, Reason, ResponseHead};

use crate::answer::Answer;
use crate::engine::Waf;
use crate::request::{HEAVY_BYTES, refused};
use crate::stages::{self, Stage};
use crate::{Feed, Judgement, Refused};

/// The judge of a response: `head`, then `feed` if the body is wanted, then `finish`, always.
#[derive(Debug)]
pub struct ResponseStage {
    judge: Option<Box<Judge>>,
    judgement: Judgement,
}

#[derive(Debug)]
struct Judge {
    transaction: palisade_waf::Transaction,
    waf: Waf,
    fed: usize,
    limit: BodyLimit,
    over: bool,
}

/// What is to be done with a response body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseBody {
    /// Stream it.
    Stream,
    /// Hold up to this many bytes, `feed` them, and call `body` before the first byte leaves.
    Hold(usize),
}

impl ResponseStage {
    pub(crate) fn unjudged(judgement: Judgement) -> Self {
        Self { judge: None, judgement }
    }

    pub(crate) fn judged(
        transaction: palisade_waf::Transaction,
        waf: Waf,
        judgement: Judgement,
        direction: Direction,
    ) -> Self {
        if !stages::response(direction).contains(&Stage::WafResponse) {
            return Self { judge: None, judgement };
        }
        let limit = waf.response_limit().unwrap_or(BodyLimit::RESPONSE);
        Self { judge: Some(Box::new(Judge { transaction, waf, fed: 0, limit, over: false })), judgement }
    }

    /// Whether a response has no end to wait for, and may be silent for long: gRPC and event streams.
    pub fn is_stream(head: &ResponseHead) -> bool {
        streams(head).is_some()
    }

    /// Judges the response head (WAF phase 3; phase 4 too if the body is not held, since its rules also look at head
    /// and score). On a refusal the stage is spent.
    pub fn head(&mut self, head: &ResponseHead) -> Result<ResponseBody, Box<Refused>> {
        let Some(mut judge) = self.judge.take() else { return Ok(ResponseBody::Stream) };
        let mut interruption = judge.transaction.response_headers(head);
        let streaming = streams(head);
        if interruption.is_none()
            && streaming == Some(EVENT_STREAM)
            && judge.waf.bodies().event_streams == Streams::Reject
        {
            let text = "the policy permits nothing that passes uninspected (event-stream)";
            self.judgement.close(&mut judge.transaction);
            let denial = Denial::new(Reason::WafResponse, None, text);
            return Err(Box::new(Refused {
                denial,
                answer: Answer::Status,
                judgement: self.judgement.clone(),
            }));
        }
        if let Some(why) = streaming {
            self.judgement.response_inspection = Inspection::Uninspected { why: why.to_owned() };
        }
        let unread = judge.transaction.response_body_uninspected();
        let inspects = judge.waf.response_limit().is_some();
        let hold = inspects && streaming.is_none() && unread.is_none();
        if let (Some(why), None, true) = (unread, streaming, inspects)
            && judge.transaction.response_has_body()
        {
            self.judgement.response_inspection = Inspection::Uninspected { why: why.to_owned() };
        }
        if interruption.is_none() && !hold {
            interruption = judge.transaction.response_body(true);
        }
        if let Some(interruption) = interruption {
            let Judge { transaction, waf, .. } = *judge;
            return Err(refused(
                &waf,
                interruption,
                transaction,
                self.judgement.clone(),
                Reason::WafResponse,
            ));
        }
        judge.limit = judge.transaction.response_body_limit(judge.limit);
        let limit = judge.limit.max_bytes;
        self.judge = Some(judge);
        Ok(if hold { ResponseBody::Hold(limit) } else { ResponseBody::Stream })
    }

    /// Whether judging `held` bytes may take long, so that other requests should not wait for it.
    pub fn is_heavy(&self, held: usize) -> bool {
        held >= HEAVY_BYTES
            || self.judge.as_ref().is_some_and(|judge| judge.transaction.response_body_is_packed())
    }

    /// Feeds the next piece of a held body.
    pub fn feed(&mut self, bytes: &[u8]) -> Feed {
        let Some(judge) = &mut self.judge else { return Feed::Enough };
        let room = judge.limit.max_bytes.saturating_sub(judge.fed);
        let taken = bytes.get(..room).unwrap_or(bytes);
        judge.transaction.response_body_feed(taken);
        judge.fed += taken.len();
        if bytes.len() <= room {
            return Feed::More;
        }
        match judge.limit.over {
            OverLimit::InspectPrefix => Feed::Enough,
            OverLimit::Reject => {
                judge.over = true;
                Feed::TooLong
            }
        }
    }

    /// Judges the held body (WAF phase 4). `complete`: whether all of it was fed. On a refusal the stage is spent.
    pub fn body(&mut self, complete: bool) -> Result<(), Box<Refused>> {
        let Some(mut judge) = self.judge.take() else { return Ok(()) };
        if judge.over {
            let text = format!(
                "the response is longer than the {} bytes the policy inspects",
                judge.limit.max_bytes
            );
            self.judgement.close(&mut judge.transaction);
            let denial = Denial::new(Reason::WafResponse, None, text);
            return Err(Box::new(Refused {
                denial,
                answer: Answer::Status,
                judgement: self.judgement.clone(),
            }));
        }
        let bytes = judge.fed as u64;
        let interruption = judge.transaction.response_body(complete);
        let whole = complete && !judge.transaction.response_body_is_cut();
        self.judgement.response_inspection =
            if whole { Inspection::Full { bytes } } else { Inspection::Prefix { bytes } };
        if let Some(interruption) = interruption {
            let Judge { transaction, waf, .. } = *judge;
            return Err(refused(
                &waf,
                interruption,
                transaction,
                self.judgement.clone(),
                Reason::WafResponse,
            ));
        }
        self.judge = Some(judge);
        Ok(())
    }

    /// Ends the transaction (WAF phase 5) and gives the facts for the record.
    pub fn finish(mut self) -> Judgement {
        if let Some(mut judge) = self.judge.take() {
            self.judgement.close(&mut judge.transaction);
        }
        self.judgement
    }

    /// Declares that the bodies pass unseen, and why (an upgrade that was accepted, for example).
    pub fn uninspected(&mut self, why: &str) {
        self.judgement.inspection = Inspection::Uninspected { why: why.to_owned() };
    }
}

const EVENT_STREAM: &str = "event-stream";

/// Why a response has no end to wait for, if it has none.
fn streams(head: &ResponseHead) -> Option<&'static str> {
    let value = head.headers.get(http::header::CONTENT_TYPE)?;
    let essence = value.as_bytes().split(|byte| *byte == b';' || *byte == b' ').next().unwrap_or_default();
    if essence.eq_ignore_ascii_case(b"text/event-stream") {
        return Some(EVENT_STREAM);
    }
    let grpc = b"application/grpc".as_slice();
    essence.get(..grpc.len()).is_some_and(|start| start.eq_ignore_ascii_case(grpc)).then_some("grpc")
}
