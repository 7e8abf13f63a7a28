//! The response body: unpacked and decoded for the rules of phase 4. What the client gets is the original.

use bytes::Bytes;
use palisade_model::documents::{OverLimit, Unknown};
use palisade_seclang::{Allow, EngineMode, Phase};

use crate::bodies::charset;
use crate::bodies::coding::{self, Coding, End};
use crate::held;
use crate::transaction::{Interruption, InterruptionKind, Transaction};

/// A range of a packed body cannot be unpacked.
const PARTIAL_CONTENT: &[u8] = b"206";
const PARTIAL: &str = "a part of a packed body cannot be unpacked";

impl Transaction {
    /// Why a response body is not inspected, where the WafPolicy inspects response bodies; none if it is. To be asked
    /// after phase 3.
    pub fn response_body_uninspected(&self) -> Option<&'static str> {
        if self.mode == EngineMode::Off {
            return Some("the rule engine is off");
        }
        if self.allowed == Some(Allow::Transaction) {
            return Some("a rule allows the request");
        }
        if !self.response_body_access {
            return Some("response body access is off");
        }
        if !self.response_type_is_wanted() {
            return Some("its content type is not inspected");
        }
        let unread = self.response_codings().err();
        unread.filter(|_| self.engine.settings.bodies.unknown_encodings == Unknown::Uninspected)
    }

    /// Whether the answer has a body at all: not to HEAD, not with a status that has none.
    pub fn response_has_body(&self) -> bool {
        let Some(response) = &self.state.facts.response else { return false };
        let bodiless = matches!(response.status.as_ref(), b"101" | b"204" | b"304");
        let empty = response.headers.first(b"content-length").is_some_and(|length| length.as_ref() == b"0");
        !bodiless && !empty && self.state.facts.request.method.as_ref() != b"HEAD"
    }

    /// The codings to undo, or why they cannot be.
    fn response_codings(&self) -> Result<Vec<Coding>, &'static str> {
        let Some(response) = &self.state.facts.response else { return Ok(Vec::new()) };
        let headers =
            response.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"content-encoding"));
        let codings = coding::codings(headers.map(|(_, value)| value.as_ref()))?;
        if response.status.as_ref() == PARTIAL_CONTENT && !codings.is_empty() {
            return Err(PARTIAL);
        }
        Ok(codings)
    }

    /// Whether rules have seen less than the whole response body.
    pub fn response_body_is_cut(&self) -> bool {
        self.state.facts.response.as_ref().is_some_and(|response| response.truncated)
    }

    /// Phase 4. `complete`: whether the whole body was fed.
    pub fn response_body(&mut self, complete: bool) -> Option<Interruption> {
        let held = held::take(&mut self.held);
        let (body, complete) =
            if held.is_empty() { (held, complete) } else { self.read_response(held, complete) };
        self.audit.keep_response_body(&body, complete);
        if let Some(response) = &mut self.state.facts.response {
            response.truncated = !complete;
            response.body = (!body.is_empty()).then_some(body);
        }
        self.run(Phase::ResponseBody)
    }

    /// Whether unpacking the body may take longer than its length tells.
    pub fn response_body_is_packed(&self) -> bool {
        let response = self.state.facts.response.as_ref();
        response.is_some_and(|response| response.headers.first(b"content-encoding").is_some())
    }

    /// The body that rules see, and whether it is all of it.
    fn read_response(&mut self, body: Bytes, complete: bool) -> (Bytes, bool) {
        let codings = self.response_codings();
        let Some(response) = &self.state.facts.response else { return (body, complete) };
        let content_type = response.headers.first(b"content-type").map(Bytes::as_ref).unwrap_or_default();
        let charset = charset::declared(content_type);
        let (body, complete) = match codings {
            Ok(codings) if codings.is_empty() => (body, complete),
            Ok(codings) => self.unpack_response(&codings, &body, complete),
            Err(why) => {
                if self.engine.settings.bodies.unknown_encodings == Unknown::Reject {
                    self.interrupt_for(InterruptionKind::BodyUnsupported, &format!("the response: {why}"));
                }
                (body, complete)
            }
        };
        // Bytes that are not in their charset are judged as they are: nothing waits for them to be text.
        match charset.body(&body, complete) {
            Ok(Some(text)) => (Bytes::from(text), complete),
            Ok(None) | Err(_) => (body, complete),
        }
    }

    fn unpack_response(&mut self, codings: &[coding::Coding], wire: &Bytes, complete: bool) -> (Bytes, bool) {
        let Some(limit) = self.engine.settings.response_limit else { return (wire.clone(), complete) };
        let limit = self.response_body_limit(limit);
        let decoded = coding::decode(codings, wire, limit.max_bytes);
        let whole = match decoded.end {
            End::Whole => complete,
            End::Cut if !complete => false,
            // A download that unpacks to much is no attack: its first part is judged.
            End::Over | End::Bomb if limit.over == OverLimit::InspectPrefix => false,
            End::Over | End::Bomb => {
                self.interrupt_for(
                    InterruptionKind::BodyTooLarge,
                    "the response unpacks to more than the policy inspects",
                );
                false
            }
            End::Cut | End::Fault(_) => {
                self.interrupt_for(
                    InterruptionKind::BodyMalformed,
                    "the response is not in its content encoding",
                );
                false
            }
        };
        (Bytes::from(decoded.bytes), whole)
    }
}
