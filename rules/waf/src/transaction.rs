//! One exchange on its way through the phases: the face of the engine at run time.
//!
//! Promises: hostile traffic never panics and never errs, it is judged; an interruption is final; phase 5 always runs.
//! Bodies are held up to what the caller feeds.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use palisade_model::record::RuleMatch;
use palisade_model::{Connection, RequestHead, ResponseHead};
use palisade_seclang::{Allow, EngineMode, Phase};

use crate::audit::Audit;
use crate::body_limits::BodyLimits;
use crate::budget::WorkBudget;
use crate::collection::Store;
use crate::engine::Engine;
use crate::facts::{Facts, ResponseFacts};
use crate::held;
use crate::persistent::Opened;
use crate::prefilter::{Bits, Folding, Program};
use crate::request_body::{Declared, processor_of};
use crate::scratch::{Scratch, Use};
use crate::state::State;
use crate::trace::Trace;

/// What ended a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterruptionKind {
    /// A rule's disruptive action.
    Rule,
    /// The work budget, or a limit of the engine, was passed.
    WorkBudget,
    /// The body is not what its head declares, and no rule judges that.
    BodyMalformed,
    /// The body is of a form that is not read, and the policy refuses those.
    BodyUnsupported,
    /// The body unpacks to more than the policy inspects.
    BodyTooLarge,
}

/// A transaction was ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interruption {
    /// What ended it.
    pub kind: InterruptionKind,
    /// The rule's id; 0 if no rule ended it.
    pub rule: u64,
    /// The status to answer with.
    pub status: StatusCode,
    /// One sentence without matched bytes.
    pub explanation: String,
    /// Where a `redirect` leads.
    pub redirect: Option<Bytes>,
    /// Whether no answer is to be sent at all (`drop`).
    pub drop: bool,
}

/// One exchange on its way through the phases. Call the methods in the order in which they are written.
pub struct Transaction {
    pub(crate) engine: Arc<Engine>,
    pub(crate) state: State,
    pub(crate) mode: EngineMode,
    pub(crate) allowed: Option<Allow>,
    pub(crate) request_body_access: bool,
    pub(crate) response_body_access: bool,
    pub(crate) force_request_body: bool,
    /// Rules that `ctl` removed, as indices.
    pub(crate) removed_rules: Bits,
    /// The records of persistent collections that are open.
    pub(crate) opened: Opened,
    pub(crate) body_limits: BodyLimits,
    pub(crate) interruption: Option<Interruption>,
    pub(crate) matches: Vec<RuleMatch>,
    pub(crate) audit: Audit,
    /// Whether what was decided at compile time holds.
    pub(crate) folding: Folding,
    /// What the fast path knows, and room for what comes in.
    pub(crate) scratch: Scratch,
    /// See [`Transaction::keep_trace`].
    pub(crate) trace: Option<Box<Trace>>,
    /// What was fed of the body that comes next.
    pub(crate) held: BytesMut,
    /// Where in it bytes of files are missing that went on without being held, and how many.
    pub(crate) passed: Vec<(usize, u64)>,
    /// What the head says of the body's form.
    pub(crate) declared: OnceLock<Declared>,
}

impl Drop for Transaction {
    /// The room is for the next transaction.
    fn drop(&mut self) {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.store = self.state.tx.take_slots();
        scratch.texts = std::mem::take(&mut self.state.arena);
        scratch.held = std::mem::take(&mut self.held);
        scratch.removed_rules = std::mem::take(&mut self.removed_rules);
        let Facts { request, body, response, .. } = &mut self.state.facts;
        scratch.keep(Use::Headers, std::mem::take(&mut request.headers));
        scratch.keep(Use::Cookies, std::mem::take(&mut request.cookies));
        scratch.keep(Use::Query, std::mem::take(&mut request.args_get));
        scratch.keep(Use::Body, std::mem::take(&mut body.args_post));
        if let Some(response) = response {
            scratch.keep(Use::Response, std::mem::take(&mut response.headers));
        }
        scratch.give_back();
    }
}

impl fmt::Debug for Transaction {
    /// Without what came in: bodies and headers do not belong in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("mode", &self.mode)
            .field("matches", &self.matches.len())
            .field("interruption", &self.interruption)
            .finish_non_exhaustive()
    }
}

impl Transaction {
    /// Begins. `time_ms` is the time since the epoch, `unique_id` the reference id.
    pub fn begin(
        engine: Arc<Engine>,
        connection: &Connection,
        head: &RequestHead,
        time_ms: u64,
        unique_id: &str,
    ) -> Self {
        let settings = &engine.settings;
        let mut scratch = Scratch::take();
        let mut facts = Facts::new(connection, head, time_ms, unique_id, settings.arguments(), &mut scratch);
        facts.body.processor = Bytes::from_static(processor_of(&facts.request.headers).as_bytes());
        let names = engine.program.as_ref().map(Program::names);
        let tx = Store::new(names, std::mem::take(&mut scratch.store));
        let mut state = State::new(facts, tx, std::mem::take(&mut scratch.texts));
        state.budget = WorkBudget::of(settings.work_units);
        state.web_app_id = settings.web_app_id.clone();
        for (name, value) in &settings.pinned {
            state.tx.set(name, value.clone(), &mut state.budget);
        }
        Self {
            mode: settings.mode,
            body_limits: settings.body_limits,
            opened: Opened::new(time_ms, settings.collection_timeout),
            audit: Audit::begin(&settings.audit),
            request_body_access: settings.request_body_access,
            response_body_access: settings.response_body_access,
            engine,
            state,
            allowed: None,
            force_request_body: false,
            removed_rules: std::mem::take(&mut scratch.removed_rules),
            interruption: None,
            matches: Vec::new(),
            trace: None,
            folding: Folding::NotBegun,
            held: std::mem::take(&mut scratch.held),
            passed: Vec::new(),
            scratch,
            declared: OnceLock::new(),
        }
    }

    /// Phase 1.
    pub fn request_headers(&mut self) -> Option<Interruption> {
        if self.state.facts.request.over_limit {
            self.interrupt_for(
                InterruptionKind::WorkBudget,
                "the request has more arguments or cookies than the limit",
            );
        }
        self.run(Phase::RequestHeaders)
    }

    /// Phase 2. `complete`: whether the whole body was fed.
    pub fn request_body(&mut self, complete: bool) -> Option<Interruption> {
        let body = held::take(&mut self.held);
        // Arguments are parts of the body, so the response's needs room of its own.
        std::mem::swap(&mut self.held, &mut self.scratch.held_next);
        self.state.facts.body.truncated = !complete;
        self.read_request_body(body, complete);
        if let Some(interruption) = self.run(Phase::RequestBody) {
            return Some(interruption);
        }
        if let Some(why) = self.unjudged_fault() {
            self.interrupt_for(InterruptionKind::BodyMalformed, &why);
        }
        self.interruption.clone()
    }

    /// What is wrong with the body that no rule of the set asks for.
    fn unjudged_fault(&self) -> Option<String> {
        if self.allowed.is_some() {
            return None;
        }
        let (settings, body) = (&self.engine.settings, &self.state.facts.body);
        let error = body.error.clone().filter(|_| !settings.judges_body_errors);
        let form = body.multipart.as_ref().filter(|_| !settings.judges_forms);
        error.or_else(|| form.and_then(|form| form.flags.disagreement()).map(str::to_owned))
    }

    /// Phase 3.
    pub fn response_headers(&mut self, head: &ResponseHead) -> Option<Interruption> {
        self.state.facts.response = Some(ResponseFacts::new(head, &mut self.scratch));
        self.run(Phase::ResponseHeaders)
    }

    /// Whether the response body is wanted for phase 4 (the WafPolicy, SecResponseBodyMimeType, ctl).
    pub fn wants_response_body(&self) -> bool {
        self.response_body_uninspected().is_none()
    }

    pub(crate) fn response_type_is_wanted(&self) -> bool {
        let Some(response) = &self.state.facts.response else { return false };
        let content_type = response.content_type();
        let types = &self.engine.settings.response_types;
        types.iter().any(|wanted| content_type.eq_ignore_ascii_case(wanted.as_bytes()))
    }

    /// A piece of the response body. The caller keeps to the policy's limit.
    pub fn response_body_feed(&mut self, bytes: &[u8]) {
        // Whoever holds a body has asked whether it is wanted.
        if self.response_body_access {
            self.held.extend_from_slice(bytes);
        }
    }

    /// Phase 5; always runs.
    pub fn logging(&mut self) {
        self.run(Phase::Logging);
    }

    /// The rules that matched so far, those with `nolog` left out.
    pub fn matches(&self) -> &[RuleMatch] {
        &self.matches
    }

    /// Work units that are left, for tests.
    #[doc(hidden)]
    pub fn work_units_left(&self) -> u64 {
        self.state.budget.left()
    }

    /// Ends the transaction for another reason than a rule, if the engine may.
    pub(crate) fn interrupt_for(&mut self, kind: InterruptionKind, why: &str) {
        if self.mode != EngineMode::On || self.interruption.is_some() {
            return;
        }
        let status = match kind {
            InterruptionKind::BodyMalformed => StatusCode::BAD_REQUEST,
            InterruptionKind::BodyUnsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            InterruptionKind::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            InterruptionKind::Rule | InterruptionKind::WorkBudget => StatusCode::SERVICE_UNAVAILABLE,
        };
        let explanation = why.to_owned();
        self.interruption =
            Some(Interruption { kind, rule: 0, status, explanation, redirect: None, drop: false });
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method, Version};
    use palisade_model::documents::{Metadata, RuleSet, RuleSetSpec, SourceFile, WafPolicySpec};
    use palisade_model::{Authority, Direction, RawHead, Scheme};

    use super::*;
    use crate::limits::{EVALUATION_UNITS, MATCHES};

    fn engine(text: &str, units: u64) -> Arc<Engine> {
        let source = SourceFile { name: "test.conf".into(), text: text.into() };
        let set = RuleSet {
            api_version: String::new(),
            kind: String::new(),
            metadata: Metadata::default(),
            spec: RuleSetSpec { sources: vec![source], ..RuleSetSpec::default() },
        };
        let policy = WafPolicySpec::of("test");
        let mut engine = Engine::compile(&set, &policy).unwrap();
        engine.settings.work_units = units;
        Arc::new(engine)
    }

    fn begin(engine: &Arc<Engine>) -> Transaction {
        let address = "192.0.2.7:4711".parse().unwrap();
        let connection = Connection {
            listener: "test".into(),
            direction: Direction::Inbound,
            peer: address,
            client: address,
            local: address,
            principal: None,
            sni: None,
            tls: false,
        };
        let head = RequestHead {
            method: Method::GET,
            scheme: Scheme::Http,
            authority: Authority { host: "localhost".into(), port: None },
            path: "/%41%2f".into(),
            query: Some("a=12345678".into()),
            headers: HeaderMap::new(),
            upgrade: None,
            expect_continue: false,
            version: Version::HTTP_2,
            raw: RawHead::default(),
        };
        Transaction::begin(engine.clone(), &connection, &head, 0, "id")
    }

    #[test]
    fn a_transaction_ends_when_its_work_is_used_up() {
        // Nothing is known of what a match of @within must hold, so both ways try it.
        let rule = "SecRule ARGS \"@within x\" \"id:1,phase:1,pass\"\nSecRule ARGS \"@within y\" \"id:2,phase:1,deny\"";
        let cost = 2 * (EVALUATION_UNITS + 8);
        let ended = |units: u64| begin(&engine(rule, units)).request_headers();
        assert_eq!(ended(cost + 1), None, "one under");
        assert_eq!(ended(cost), None, "at the limit");
        let over = ended(cost - 1).unwrap();
        assert_eq!((over.kind, over.rule, over.status.as_u16()), (InterruptionKind::WorkBudget, 0, 503));
    }

    #[test]
    fn an_interruption_is_final_and_phase_5_still_runs() {
        let rules = "SecAction \"id:1,phase:1,deny\"\nSecAction \"id:2,phase:2,pass\"\nSecAction \"id:5,phase:5,pass\"";
        let mut transaction = begin(&engine(rules, 10_000));
        let first = transaction.request_headers();
        assert!(first.is_some());
        assert_eq!(transaction.request_body(true), first);
        transaction.logging();
        let ids: Vec<u64> = transaction.matches().iter().map(|found| found.id).collect();
        assert_eq!(ids, [1, 5]);
    }

    #[test]
    fn without_raw_bytes_the_head_is_written_as_it_would_have_been() {
        let rules = "SecRule REQUEST_LINE \"@streq GET /%41%2f?a=12345678 HTTP/2.0\" \"id:1,phase:1,pass\"\n\
                     SecRule REQUEST_HEADERS:Host \"@streq localhost\" \"id:2,phase:1,pass\"\n\
                     SecRule REQUEST_PROTOCOL \"@streq HTTP/2.0\" \"id:3,phase:1,pass\"\n\
                     SecRule REQUEST_FILENAME \"@streq /A/\" \"id:4,phase:1,pass\"";
        let mut transaction = begin(&engine(rules, 10_000));
        transaction.request_headers();
        let ids: Vec<u64> = transaction.matches().iter().map(|found| found.id).collect();
        assert_eq!(ids, [1, 2, 3, 4]);
    }

    #[test]
    fn matches_are_kept_up_to_their_limit() {
        let rules: String =
            (1..=MATCHES + 1).map(|id| format!("SecAction \"id:{id},phase:1,pass\"\n")).collect();
        let mut transaction = begin(&engine(&rules, u64::MAX));
        transaction.request_headers();
        assert_eq!(transaction.matches().len(), MATCHES);
    }

    #[test]
    fn a_debug_text_shows_nothing_that_came_in() {
        let transaction = begin(&engine("SecRuleEngine On", 10_000));
        assert!(!format!("{transaction:?}").contains("12345678"));
    }
}
