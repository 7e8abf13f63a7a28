//! One exchange from its first byte to its last, and the one record it leaves.
//!
//! Promises: however an exchange ends (answered, refused, broken off, dropped) its [`Ending`] is dropped exactly
//! once, and that writes the record, counts it, and gives the upstream connection back if it may be used again.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, Method, Version};
use palisade_model::audit::{AuditTrail, REDACTED, is_credential};
use palisade_model::record::{Inspection, RECORD_VERSION, RequestFacts, ResponseFacts, VerdictFacts};
use palisade_model::{Authority, RequestHead, RequestRecord};
use palisade_rules::{Judgement, ResponseStage};

use super::audit::{Audited, audited};
use super::{Span, connection_facts, denial_of, epoch_ms};
use crate::deny::{Refusal, Upstream};
use crate::downstream::Downstream;
use crate::http::BodyFault;
use crate::http::body::Progress;
use crate::policy::Active;
use crate::reference::Reference;
use crate::upstream::{Cluster, Lease};

/// The status a record shows when the client went away before it was answered (nginx's number).
const CLIENT_GONE: u16 = 499;

/// What a record says of a request, noted cheaply: most exchanges make no record.
#[derive(Debug)]
struct Noted {
    method: Method,
    authority: Authority,
    path: String,
    query: Option<String>,
    version: Version,
    raw: Vec<(Bytes, Bytes)>,
}

impl Noted {
    fn facts(self) -> RequestFacts {
        RequestFacts {
            method: self.method.as_str().to_owned(),
            host: self.authority.to_string(),
            path: self.path,
            query: self.query,
            headers: headers(&self.raw),
            protocol: format!("{:?}", self.version),
        }
    }
}

/// One exchange, until it is over.
#[derive(Debug)]
pub struct Ending {
    downstream: Arc<Downstream>,
    /// The policy that judged.
    pub active: Arc<Active>,
    /// Its number.
    pub reference: Reference,
    /// Its reference id.
    pub text: Arc<str>,
    /// When its head was read.
    pub time_ms: u64,
    started: Instant,
    request: Option<Noted>,
    span: Option<Span>,
    judge: Option<ResponseStage>,
    judgement: Option<Judgement>,
    refusal: Option<Refusal>,
    cluster: Option<Arc<Cluster>>,
    progress: Option<Arc<Progress>>,
    lease: Option<Lease>,
    status: u16,
    response_bytes: u64,
    response_headers: Option<HeaderMap>,
    complete: bool,
}

impl Ending {
    /// An exchange begins.
    pub fn begin(downstream: Arc<Downstream>, active: Arc<Active>) -> Box<Self> {
        downstream.begin();
        let reference = Reference::next();
        Box::new(Self {
            downstream,
            active,
            reference,
            text: reference.text(),
            time_ms: epoch_ms(),
            started: Instant::now(),
            request: None,
            span: None,
            judge: None,
            judgement: None,
            refusal: None,
            cluster: None,
            progress: None,
            lease: None,
            status: CLIENT_GONE,
            response_bytes: 0,
            response_headers: None,
            complete: false,
        })
    }

    /// The client's connection.
    pub fn downstream(&self) -> &Arc<Downstream> {
        &self.downstream
    }

    /// Notes what a record will say of the request; cheap unless headers are wanted.
    pub fn note_request(&mut self, head: &RequestHead) {
        let wanted = self.downstream.plane.telemetry.wants_headers();
        self.span = Span::of(&head.headers, &self.downstream, self.reference);
        self.request = Some(Noted {
            method: head.method.clone(),
            authority: head.authority.clone(),
            path: head.path.clone(),
            query: head.query.clone(),
            version: head.version,
            raw: if wanted { head.raw.headers.clone() } else { Vec::new() },
        });
    }

    /// Its place in a sampled trace.
    pub fn span(&self) -> Option<Span> {
        self.span
    }

    /// Notes the streamed request body.
    pub fn note_progress(&mut self, progress: Arc<Progress>) {
        self.progress = Some(progress);
    }

    /// Notes who was asked.
    pub fn note_cluster(&mut self, cluster: Arc<Cluster>) {
        self.cluster = Some(cluster);
    }

    /// Notes the judge of the response; its phase 5 runs when the exchange is over.
    pub fn note_judge(&mut self, stage: ResponseStage) {
        self.judge = Some(stage);
    }

    /// Notes the upstream connection.
    pub fn note_lease(&mut self, lease: Lease) {
        self.lease = Some(lease);
    }

    /// Notes the status that is sent.
    pub fn note_status(&mut self, status: u16) {
        self.status = status;
    }

    /// Notes the headers that are sent, if an audit log has them.
    pub fn note_response_headers(&mut self, headers: &HeaderMap) {
        if self.downstream.plane.telemetry.audits() {
            self.response_headers = Some(headers.clone());
        }
    }

    /// The streamed request body, if there is one.
    pub fn progress(&self) -> Option<&Arc<Progress>> {
        self.progress.as_ref()
    }

    /// The exchange was refused.
    pub fn refuse(&mut self, refusal: Refusal) {
        self.status = refusal.status().as_u16();
        if let Refusal::Denied(refused) = &refusal {
            self.judgement = Some(refused.judgement.clone());
        }
        self.refusal = Some(refusal);
        self.lease = None;
    }

    /// Body bytes left for the client.
    pub fn count(&mut self, bytes: usize) {
        self.response_bytes += bytes as u64;
    }

    /// The response is whole; its connection may serve another exchange.
    pub fn complete(&mut self) {
        self.complete = true;
        let request_over = self.progress.as_ref().is_none_or(|progress| progress.ended());
        if let Some(lease) = self.lease.take()
            && request_over
        {
            lease.give_back();
        }
    }

    /// The response broke off after bytes had left.
    pub fn broken(&mut self, fault: &BodyFault) {
        tracing::debug!(%fault, reference = %self.text, "response broke off");
        if self.refusal.is_none() {
            let fault =
                if matches!(fault, BodyFault::Timeout) { Upstream::Stalled } else { Upstream::Truncated };
            self.refusal = Some(Refusal::Upstream(fault));
        }
        self.lease = None;
    }

    fn response_facts(&self) -> ResponseFacts {
        ResponseFacts {
            status: self.status,
            cluster: self.cluster.as_ref().map(|cluster| cluster.name.to_string()),
            truncated: !self.complete,
            duration_us: u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX),
            request_bytes: self.progress.as_ref().map_or(0, |progress| progress.bytes()),
            response_bytes: self.response_bytes,
        }
    }

    fn finish(&mut self) {
        let mut judgement = self.judge.take().map(ResponseStage::finish).or(self.judgement.take());
        self.note_late(&mut judgement);
        let trail = self.audited(judgement.as_mut());
        let plane = self.downstream.plane.clone();
        let telemetry = &plane.telemetry;
        let response = self.response_facts();
        let version = self.request.as_ref().map(|request| request.version);
        telemetry.metrics.exchanged(&self.downstream, version, &response, self.refusal.as_ref());
        let listener = &self.downstream.connection.listener;
        if let Some(refusal) = &self.refusal {
            telemetry.metrics.refused(listener, refusal);
            telemetry.log(refusal, &self.text, &self.downstream.connection);
        }
        if let Some(facts) = &judgement {
            telemetry.metrics.judged(listener, facts);
        }
        let notable = self.refusal.is_some() || judgement.as_ref().is_some_and(is_notable);
        let event = notable || telemetry.wants_flows();
        let span = self.span;
        if !event && span.is_none() && trail.is_none() {
            return;
        }
        let record = self.record(judgement, response);
        if let Some(trail) = trail {
            let cause = self.refusal.as_ref().map(Refusal::as_str);
            let headers = self.response_headers.as_ref();
            telemetry.audit(audited(Audited { record: &record, trail, cause, headers }), span);
        }
        if !event && span.is_none() {
            return;
        }
        if telemetry.access_log {
            tracing::info!(target: "palisade::access", record = %serde_json::to_string(&record).unwrap_or_default());
        }
        match (&telemetry.sink, span) {
            (Some(sink), Some(span)) => sink.span(record, span, notable || sink.wants_flows()),
            (Some(sink), None) if notable || sink.wants_flows() => sink.record(record),
            (Some(_), None) | (None, _) => {}
        }
    }

    /// What became of a long form after its first part had left. If the upstream had answered by then, the status stays
    /// the one that was sent.
    fn note_late(&mut self, judgement: &mut Option<Judgement>) {
        let Some(progress) = &self.progress else { return };
        if let (Some(found), Some(judgement), None) =
            (progress.take_found(), judgement.as_mut(), &self.refusal)
        {
            judgement.replace_request(found);
        }
        if let Some(refusal) = progress.take_refused() {
            if let Refusal::Denied(refused) = &refusal {
                *judgement = Some(refused.judgement.clone());
            }
            self.refusal = Some(refusal);
        }
    }

    /// What the audit log is told; none if it is told nothing.
    fn audited(&self, judgement: Option<&mut Judgement>) -> Option<AuditTrail> {
        if !self.downstream.plane.telemetry.audits() {
            return None;
        }
        let trail = judgement.and_then(|facts| facts.audit.take()).unwrap_or_else(AuditTrail::without_rules);
        trail.is_wanted(self.status, self.refusal.is_some()).then_some(trail)
    }

    fn record(&mut self, judgement: Option<Judgement>, response: ResponseFacts) -> RequestRecord {
        let verdict = match &self.refusal {
            Some(refusal) => VerdictFacts::Deny(denial_of(refusal)),
            None => VerdictFacts::Permit,
        };
        let (policy_version, staged, matches, inspection, response_inspection) = match judgement {
            Some(facts) => {
                let Judgement { policy_version, staged, matches, inspection, response_inspection, .. } =
                    facts;
                (policy_version, staged, matches, inspection, response_inspection)
            }
            None => (self.active.version().clone(), None, Vec::new(), Inspection::None, Inspection::None),
        };
        RequestRecord {
            version: RECORD_VERSION,
            reference: self.text.to_string(),
            time_ms: self.time_ms,
            workload: self.downstream.plane.workload.clone(),
            policy_version: policy_version.to_string(),
            connection: connection_facts(&self.downstream.connection),
            request: self.request.take().map(Noted::facts),
            verdict,
            staged,
            matches,
            inspection,
            response_inspection,
            response: Some(response),
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.finish();
        self.downstream.end();
    }
}

/// Whether a permitted exchange is an event: a WAF rule matched, or the staged policy would have refused it.
fn is_notable(judgement: &Judgement) -> bool {
    !judgement.matches.is_empty() || matches!(judgement.staged, Some(VerdictFacts::Deny(_)))
}

fn headers(raw: &[(Bytes, Bytes)]) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    raw.iter()
        .map(|(name, value)| {
            (text(name), if is_credential(name) { REDACTED.to_owned() } else { text(value) })
        })
        .collect()
}
