//! The response body: unpacked and decoded for the rules of phase 4. What the client gets is the original.

use bytes::Bytes;
use palisade_model::documents::{OverLimit, Unknown};
use palisade_seclang::Phase;

use crate::bodies::charset;
use crate::bodies::coding::{self, End};
use crate::transaction::{Interruption, InterruptionKind, Transaction};

/// A range of a compressed body is no compressed body.
const PARTIAL_CONTENT: &[u8] = b"206";

impl Transaction {
    /// Phase 4. `complete`: whether the whole body was fed.
    pub fn response_body(&mut self, complete: bool) -> Option<Interruption> {
        let held = self.held.split().freeze();
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
        let Some(response) = &self.state.facts.response else { return (body, complete) };
        let headers =
            response.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"content-encoding"));
        let codings = coding::codings(headers.map(|(_, value)| value.as_ref()));
        let partial = response.status.as_ref() == PARTIAL_CONTENT;
        let content_type = response.headers.first(b"content-type").map(Bytes::as_ref).unwrap_or_default();
        let charset = charset::declared(content_type);
        let (body, complete) = match codings {
            Ok(codings) if codings.is_empty() || partial => (body, complete),
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
