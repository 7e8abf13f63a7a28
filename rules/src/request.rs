//! The request's part of a transaction: head first, then the body if the policy inspects it.

use std::sync::Arc;

use http::StatusCode;
use palisade_authz::Decision;
use palisade_model::documents::{BodyLimit, BodyReading, OverLimit, Streams};
use palisade_model::record::{Inspection, VerdictFacts};
use palisade_model::{BodyKind, Connection, Denial, Direction, Reason, RequestHead, RuleId};
use palisade_waf::bodies::multipart::Delimiter;
use palisade_waf::{Interruption, InterruptionKind};

use crate::answer::Answer;
use crate::engine::{Engine, Waf};
use crate::stages::{self, Stage};
use crate::upload::{Origin, Upload};
use crate::{Destination, Judgement, Permit, Refused, ResponseStage, Snapshot};

/// Bodies from this size on take long to judge: the Core Rule Set takes some milliseconds for 16 KiB, and a thread's
/// hand-over a few microseconds. A packed body may come to any size. No limit: it decides where a body is judged, not how.
pub const HEAVY_BYTES: usize = 16 * 1024;

/// How often a form is looked at, at most, while it grows by its limit: a look reads it from its beginning.
pub const LOOKS: usize = 8;

/// What a pure engine cannot know of an exchange.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The reference id: unique, and what a refused client is told.
    pub reference: Arc<str>,
    /// Milliseconds since the epoch.
    pub time_ms: u64,
}

/// What is to be done after the head was judged.
#[expect(
    clippy::large_enum_variant,
    reason = "the usual verdict is Forward; boxing it would cost every request an allocation"
)]
#[derive(Debug)]
pub enum Step {
    /// Send it.
    Forward(Permit),
    /// Hold the body until it is judged.
    NeedBody(Box<BodyStage>),
    /// Refuse it.
    Deny(Box<Refused>),
}

/// What is to be done after a piece of body was fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// Feed the next piece.
    More,
    /// The limit is reached and the policy inspects the first part: call `finish`, then stream the rest.
    Enough,
    /// The limit is passed and the policy says reject: call `finish`, which refuses.
    TooLong,
    /// The limit is passed and it may be in a file's bytes: call `look`, which takes as long as the body is.
    Look,
}

/// The judge of a request body. Nothing may reach the upstream before `finish` gave a permit.
#[derive(Debug)]
pub struct BodyStage {
    head: RequestHead,
    destination: Destination,
    transaction: palisade_waf::Transaction,
    waf: Waf,
    judgement: Judgement,
    direction: Direction,
    limit: BodyLimit,
    fed: usize,
    over: bool,
    /// Who asked, if the body may be a form with long files.
    origin: Option<Box<Origin>>,
    /// What stands between the parts of a form that goes on, and how far it is into a file.
    goes_on: Option<(Delimiter, usize)>,
    /// Bytes from which on the form is looked at.
    look_at: usize,
}

/// Judges a head, stage by stage.
pub(crate) fn judge(
    snapshot: &Snapshot,
    connection: &Connection,
    head: RequestHead,
    body: BodyKind,
    exchange: Exchange,
) -> Step {
    let engine = snapshot.enforced();
    let mut judgement = Judgement {
        policy_version: engine.version().clone(),
        staged: snapshot.staged().map(|staged| staged_verdict(staged, connection, &head)),
        matches: Vec::new(),
        inspection: Inspection::None,
        audit: None,
        response_inspection: Inspection::None,
    };
    let destination = match judge_head(engine, connection, &head) {
        Ok(destination) => destination,
        Err(denial) => return Step::Deny(Box::new(Refused { denial, answer: Answer::Status, judgement })),
    };
    let Some(waf) = waf_of(engine, connection.direction) else {
        if body != BodyKind::Empty {
            judgement.inspection = Inspection::Uninspected { why: "no rule set".into() };
        }
        return Step::Forward(permit(head, destination, ResponseStage::unjudged(judgement)));
    };
    let mut transaction = palisade_waf::Transaction::begin(
        waf.engine.clone(),
        connection,
        &head,
        exchange.time_ms,
        &exchange.reference,
    );
    transaction.keep_in(&snapshot.state().collections);
    let origin = (transaction.takes_uploads() && waf.bodies().upload_bytes > 0)
        .then(|| Box::new(Origin { connection: connection.clone(), exchange }));
    judge_content(
        waf.clone(),
        transaction,
        connection.direction,
        (head, destination),
        (body, origin),
        judgement,
    )
}

/// WAF phase 1, and phase 2 where there is no body to wait for.
fn judge_content(
    waf: Waf,
    mut transaction: palisade_waf::Transaction,
    direction: Direction,
    (head, destination): (RequestHead, Destination),
    (body, origin): (BodyKind, Option<Box<Origin>>),
    mut judgement: Judgement,
) -> Step {
    if matches!(Streaming::of(&head), Some(Streaming::Grpc)) && waf.bodies().grpc == Streams::Uninspected {
        transaction.admit_content_type();
    }
    if let Some(interruption) = transaction.request_headers() {
        return deny(&waf, interruption, transaction, judgement, Reason::WafRequest);
    }
    let streaming = Streaming::of(&head);
    if let Some(streaming) = streaming
        && streaming.choice(&waf.bodies()) == Streams::Reject
    {
        return refuse_stream(streaming, transaction, judgement);
    }
    if streaming.is_none()
        && body != BodyKind::Empty
        && let Some(interruption) = transaction.refuse_request_body()
    {
        return deny(&waf, interruption, transaction, judgement, Reason::WafRequest);
    }
    let limit = transaction.request_body_limit(waf.request_limit());
    if let (Some(streaming), true) = (streaming, body != BodyKind::Empty) {
        judgement.inspection = Inspection::Uninspected { why: streaming.as_str().into() };
    } else if body != BodyKind::Empty && transaction.wants_request_body() {
        let most = (limit.max_bytes as u64).max(origin.as_ref().map_or(0, |_| waf.bodies().upload_bytes));
        let declared_over = matches!(body, BodyKind::Length(length) if length > most);
        let stage = BodyStage {
            head,
            destination,
            transaction,
            waf,
            judgement,
            direction,
            limit,
            fed: 0,
            over: declared_over && limit.over == OverLimit::Reject,
            origin,
            goes_on: None,
            look_at: limit.max_bytes,
        };
        if stage.over {
            // A declared length over the limit is refused before a byte of it is read.
            return match stage.finish() {
                Ok(permit) => Step::Forward(permit),
                Err(refused) => Step::Deny(refused),
            };
        }
        return Step::NeedBody(Box::new(stage));
    } else if body != BodyKind::Empty {
        let why = transaction.request_body_uninspected().unwrap_or("request body access is off");
        judgement.inspection = Inspection::Uninspected { why: why.into() };
    }
    if let Some(interruption) = transaction.request_body(true) {
        return deny(&waf, interruption, transaction, judgement, Reason::WafRequest);
    }
    let response = ResponseStage::judged(transaction, waf, judgement, direction);
    Step::Forward(permit(head, destination, response))
}

impl BodyStage {
    /// The head that waits for its body.
    pub fn head(&self) -> &RequestHead {
        &self.head
    }

    /// How many bytes will be held at most.
    pub fn limit(&self) -> usize {
        self.limit.max_bytes
    }

    /// Whether judging `held` bytes may take long, so that other requests should not wait for it.
    pub fn is_heavy(&self, held: usize) -> bool {
        held >= HEAVY_BYTES || self.transaction.request_body_is_packed()
    }

    /// How many bytes may be fed at once: a form is looked at where its limit is passed, however it comes.
    pub fn room(&self) -> usize {
        if self.origin.is_none() {
            return usize::MAX;
        }
        (self.look_at + 1).saturating_sub(self.fed).max(1)
    }

    /// Feeds the next piece of the body, in order.
    pub fn feed(&mut self, bytes: &[u8]) -> Feed {
        if self.origin.is_some() {
            return self.feed_form(bytes);
        }
        let room = self.limit.max_bytes.saturating_sub(self.fed);
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.transaction.request_body_feed(taken);
        self.fed += taken.len();
        if bytes.len() <= room {
            return Feed::More;
        }
        match self.limit.over {
            OverLimit::InspectPrefix => {
                self.judgement.inspection = Inspection::Prefix { bytes: self.fed as u64 };
                Feed::Enough
            }
            OverLimit::Reject => {
                self.over = true;
                Feed::TooLong
            }
        }
    }

    /// Feeds the next piece of a form: over the limit it may go on if that is in a file's bytes. A form is looked at
    /// [`LOOKS`] times and no oftener, since pieces may be single bytes.
    fn feed_form(&mut self, bytes: &[u8]) -> Feed {
        self.transaction.request_body_feed(bytes);
        self.fed += bytes.len();
        if self.fed > self.look_at { Feed::Look } else { Feed::More }
    }

    /// Looks at a form that is longer than the limit.
    pub fn look(&mut self) -> Feed {
        let delimiter = self.transaction.upload_delimiter();
        if let (Some(delimiter), Some(open)) = (delimiter, self.transaction.open_upload())
            && open > delimiter.length()
        {
            self.judgement.inspection = Inspection::Prefix { bytes: self.fed as u64 };
            self.goes_on = Some((delimiter, open));
            return Feed::Enough;
        }
        match self.limit.over {
            _ if self.fed <= 2 * self.limit.max_bytes && self.transaction.has_file() => {
                self.look_at = self.fed + self.limit.max_bytes / LOOKS;
                Feed::More
            }
            OverLimit::InspectPrefix => {
                self.judgement.inspection = Inspection::Prefix { bytes: self.fed as u64 };
                Feed::Enough
            }
            OverLimit::Reject => {
                self.over = true;
                Feed::TooLong
            }
        }
    }

    /// The refusal of what was fed, by its rules.
    fn refuse(self, interruption: Interruption) -> Box<Refused> {
        refused(&self.waf, interruption, self.transaction, self.judgement, Reason::WafRequest)
    }

    /// Judges what was fed.
    pub fn finish(mut self) -> Result<Permit, Box<Refused>> {
        if self.over && self.fed > 0 && self.origin.is_some() && self.transaction.upload_is_malformed() {
            // It is not its length that is wrong with it.
            self.judgement.inspection = Inspection::Prefix { bytes: self.fed as u64 };
            if let Some(interruption) = self.transaction.request_body(false) {
                return Err(self.refuse(interruption));
            }
        }
        if self.over {
            let text =
                format!("the body is longer than the {} bytes the policy inspects", self.limit.max_bytes);
            let denial = Denial::new(Reason::BodyTooLarge, None, text);
            self.judgement.close(&mut self.transaction);
            return Err(Box::new(Refused { denial, answer: Answer::Status, judgement: self.judgement }));
        }
        let complete = !matches!(self.judgement.inspection, Inspection::Prefix { .. });
        if complete {
            self.judgement.inspection = Inspection::Full { bytes: self.fed as u64 };
        }
        let form = self.goes_on.as_ref().map(|_| self.transaction.request_body_held().to_vec());
        if let Some(interruption) = self.transaction.request_body(complete) {
            return Err(self.refuse(interruption));
        }
        if complete && self.transaction.request_body_is_cut() {
            // It unpacked to more than the limit.
            self.judgement.inspection = Inspection::Prefix { bytes: self.fed as u64 };
        }
        let upload = match (self.goes_on, self.origin, form) {
            (Some(goes_on), Some(origin), Some(form)) => {
                let (head, waf, judgement) = (self.head.clone(), self.waf.clone(), self.judgement.clone());
                Some(Box::new(Upload::new(*origin, head, waf, judgement, form, goes_on)))
            }
            _ => None,
        };
        let response = ResponseStage::judged(self.transaction, self.waf, self.judgement, self.direction);
        Ok(Permit { upload, ..permit(self.head, self.destination, response) })
    }
}

/// Route and authorization: everything that needs the head alone.
fn judge_head(engine: &Engine, connection: &Connection, head: &RequestHead) -> Result<Destination, Denial> {
    if let Some(denial) = engine.refuses_all() {
        return Err(denial);
    }
    let mut destination = Destination::Application;
    for stage in stages::request(connection.direction) {
        match stage {
            Stage::Route => destination = route(engine, connection, head)?,
            Stage::Authorization if !engine.permits_unjudged() => {
                if let Decision::Deny(denial) = engine.authorization.http(connection, head) {
                    return Err(denial);
                }
            }
            Stage::Authorization | Stage::WafRequest | Stage::WafResponse => {}
        }
    }
    Ok(destination)
}

/// Where a request would go, if anywhere.
pub(crate) fn route(
    engine: &Engine,
    connection: &Connection,
    head: &RequestHead,
) -> Result<Destination, Denial> {
    if connection.direction == Direction::Inbound {
        return Ok(Destination::Application);
    }
    let outbound = connection.direction == Direction::Outbound;
    match engine.routes.find(&connection.listener, outbound, head) {
        Some(route) => Ok(Destination::Clusters {
            route: route.name.clone(),
            backends: route.backends.clone(),
            timeout_ms: route.timeout_ms,
        }),
        None => {
            let text =
                format!("no route of listener {} takes {}{}", connection.listener, head.authority, head.path);
            Err(Denial::new(Reason::NoRoute, None, text))
        }
    }
}

/// What the staged engine would have decided on the head.
fn staged_verdict(staged: &Engine, connection: &Connection, head: &RequestHead) -> VerdictFacts {
    match judge_head(staged, connection, head) {
        Ok(_) => VerdictFacts::Permit,
        Err(denial) => VerdictFacts::Deny(denial),
    }
}

fn waf_of(engine: &Engine, direction: Direction) -> Option<&Waf> {
    let wanted = stages::request(direction).contains(&Stage::WafRequest);
    engine.waf.as_ref().filter(|_| wanted)
}

/// What is judged on the head and never held whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Streaming {
    /// An upgrade; WebSocket is the only one the guard lets through.
    Upgrade,
    /// gRPC.
    Grpc,
}

impl Streaming {
    fn of(head: &RequestHead) -> Option<Self> {
        if head.upgrade.is_some() {
            return Some(Self::Upgrade);
        }
        // gRPC is HTTP/2 with one content type. Elsewhere the word is an attempt to be passed over unread.
        let mut types = head.headers.get_all(http::header::CONTENT_TYPE).iter();
        let (Some(content_type), None, http::Version::HTTP_2) = (types.next(), types.next(), head.version)
        else {
            return None;
        };
        let content_type = content_type.as_bytes();
        let essence = content_type.split(|byte| *byte == b';' || *byte == b' ').next()?;
        let grpc = essence.eq_ignore_ascii_case(b"application/grpc")
            || essence.get(..17).is_some_and(|start| start.eq_ignore_ascii_case(b"application/grpc+"));
        grpc.then_some(Self::Grpc)
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Upgrade => "upgrade",
            Self::Grpc => "grpc",
        }
    }

    /// What the policy says of it.
    fn choice(self, bodies: &BodyReading) -> Streams {
        match self {
            Self::Upgrade => bodies.web_sockets,
            Self::Grpc => bodies.grpc,
        }
    }
}

/// Refuses what would pass unread.
fn refuse_stream(
    streaming: Streaming,
    mut transaction: palisade_waf::Transaction,
    mut judgement: Judgement,
) -> Step {
    judgement.close(&mut transaction);
    let text = format!("the policy permits nothing that passes uninspected ({})", streaming.as_str());
    let denial = Denial::new(Reason::WafRequest, None, text);
    Step::Deny(Box::new(Refused { denial, answer: Answer::Status, judgement }))
}

fn permit(head: RequestHead, destination: Destination, response: ResponseStage) -> Permit {
    Permit { head, destination, response, upload: None }
}

fn deny(
    waf: &Waf,
    interruption: Interruption,
    transaction: palisade_waf::Transaction,
    judgement: Judgement,
    reason: Reason,
) -> Step {
    Step::Deny(refused(waf, interruption, transaction, judgement, reason))
}

/// A WAF interruption as a refusal. Phase 5 always runs.
pub(crate) fn refused(
    waf: &Waf,
    interruption: Interruption,
    mut transaction: palisade_waf::Transaction,
    mut judgement: Judgement,
    reason: Reason,
) -> Box<Refused> {
    judgement.close(&mut transaction);
    let (reason, rule) = match interruption.kind {
        InterruptionKind::Rule => {
            (reason, Some(RuleId::Waf { rule_set: waf.name.to_string(), id: interruption.rule }))
        }
        InterruptionKind::WorkBudget => (Reason::WorkBudget, None),
        // Whatever is wrong with a response is not the client's fault.
        _ if reason == Reason::WafResponse => {
            let answer = Answer::of(&interruption);
            let denial = Denial::new(reason, None, interruption.explanation);
            return Box::new(Refused { denial, answer, judgement });
        }
        InterruptionKind::BodyMalformed | InterruptionKind::BodyUnsupported => (Reason::BodyMalformed, None),
        InterruptionKind::BodyTooLarge => (Reason::BodyTooLarge, None),
    };
    let answer = Answer::of(&interruption);
    let status =
        if answer.is_lost_redirect(&interruption) { StatusCode::FORBIDDEN } else { interruption.status };
    let denial = Denial { reason, rule, explanation: interruption.explanation, status };
    Box::new(Refused { denial, answer, judgement })
}
