//! The WAF engine: a compiled rule set and the transaction that walks its five phases.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::print_stdout,
        clippy::print_stderr
    )
)]

pub mod bodies;
pub mod operators;
pub mod transformations;

use std::sync::Arc;

use http::StatusCode;
use palisade_model::documents::{RuleSet, WafPolicySpec};
use palisade_model::record::RuleMatch;
use palisade_model::{Connection, RequestHead, ResponseHead};

/// Why a rule set cannot be compiled: every problem with file, line, column and caret.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct CompileError(pub String);

/// A compiled rule set, immutable and shared.
#[derive(Debug)]
pub struct Engine {}

impl Engine {
    /// Parses and compiles a complete rule set under a WafPolicy.
    pub fn compile(_rules: &RuleSet, _policy: &WafPolicySpec) -> Result<Self, CompileError> {
        Err(CompileError("the WAF engine has not landed".into()))
    }
}

/// A rule ended the transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interruption {
    /// The rule's id.
    pub rule: u64,
    /// The status to answer with.
    pub status: StatusCode,
    /// One sentence without matched bytes.
    pub explanation: String,
}

/// One exchange on its way through the phases. Call the methods in the order in which they are written.
#[derive(Debug)]
pub struct Transaction {}

impl Transaction {
    /// Begins. `time_ms` is the time since the epoch, `unique_id` the reference id.
    pub fn begin(
        _engine: Arc<Engine>,
        _connection: &Connection,
        _head: &RequestHead,
        _time_ms: u64,
        _unique_id: &str,
    ) -> Self {
        Self {}
    }

    /// Phase 1.
    pub fn request_headers(&mut self) -> Option<Interruption> {
        None
    }

    /// Whether a request body is wanted for phase 2 (SecRequestBodyAccess, ctl:requestBodyAccess).
    pub fn wants_request_body(&self) -> bool {
        false
    }

    /// A piece of the request body. The caller keeps to the policy's limit.
    pub fn request_body_feed(&mut self, _bytes: &[u8]) {}

    /// Phase 2. `complete`: whether the whole body was fed.
    pub fn request_body(&mut self, _complete: bool) -> Option<Interruption> {
        None
    }

    /// Phase 3.
    pub fn response_headers(&mut self, _head: &ResponseHead) -> Option<Interruption> {
        None
    }

    /// Whether the response body is wanted for phase 4 (access, MIME type, ctl).
    pub fn wants_response_body(&self) -> bool {
        false
    }

    /// A piece of the response body. The caller keeps to the policy's limit.
    pub fn response_body_feed(&mut self, _bytes: &[u8]) {}

    /// Phase 4. `complete`: whether the whole body was fed.
    pub fn response_body(&mut self, _complete: bool) -> Option<Interruption> {
        None
    }

    /// Phase 5; always runs.
    pub fn logging(&mut self) {}

    /// The rules that matched so far.
    pub fn matches(&self) -> &[RuleMatch] {
        &[]
    }
}
