//! The facts of one exchange. Events, `explain` and later replay share them; the version lets old records be read.
//!
//! A record never holds bodies, tokens or matched bytes. Paths and header values are personal data: whoever exports
//! a record calls [`RequestRecord::redact`] unless the reader may see them.

use serde::{Deserialize, Serialize};

use crate::audit::REDACTED;
use crate::{Denial, Direction, WorkloadId};

/// The version of the form below.
pub const RECORD_VERSION: u32 = 1;

/// One exchange, or one TCP connection, as it was judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestRecord {
    /// [`RECORD_VERSION`].
    pub version: u32,
    /// The reference id a refused client was given; unique per exchange.
    pub reference: String,
    /// Milliseconds since the epoch when the head was read.
    pub time_ms: u64,
    /// The workload that judged.
    pub workload: WorkloadId,
    /// The version of the policy it was judged by.
    pub policy_version: String,
    /// The facts of the connection.
    pub connection: ConnectionFacts,
    /// The facts of the request; none for raw TCP and for what could not be read.
    pub request: Option<RequestFacts>,
    /// What was decided.
    pub verdict: VerdictFacts,
    /// What the staged policy would have decided, if one is staged.
    pub staged: Option<VerdictFacts>,
    /// The WAF rules that matched, enforced or detected.
    pub matches: Vec<RuleMatch>,
    /// How much of the body the verdict has seen.
    pub inspection: Inspection,
    /// How much of the response's body the verdict has seen.
    #[serde(default)]
    pub response_inspection: Inspection,
    /// What came back.
    pub response: Option<ResponseFacts>,
}

/// The connection's part of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionFacts {
    /// The listener's name.
    pub listener: String,
    /// Its side.
    pub direction: Direction,
    /// The peer's address.
    pub peer: String,
    /// The client's address as decided at the edge.
    pub client: String,
    /// The address it was made to.
    pub local: String,
    /// The peer's principal.
    pub principal: Option<String>,
    /// The server name asked for.
    pub sni: Option<String>,
}

/// The request's part of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestFacts {
    /// The method.
    pub method: String,
    /// The canonical authority.
    pub host: String,
    /// The canonical path.
    pub path: String,
    /// The query string as sent.
    pub query: Option<String>,
    /// Header names and values in order, without credentials.
    pub headers: Vec<(String, String)>,
    /// `HTTP/1.1`, `HTTP/2.0`.
    pub protocol: String,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "verdict", content = "denial")]
pub enum VerdictFacts {
    /// Forwarded.
    Permit,
    /// Refused.
    Deny(Denial),
}

/// A WAF rule that matched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleMatch {
    /// The `id` action.
    pub id: u64,
    /// The phase, 1 to 5.
    pub phase: u8,
    /// The expanded `msg`.
    pub message: String,
    /// The severity's name, if the rule has one.
    pub severity: Option<String>,
    /// The tags.
    pub tags: Vec<String>,
    /// The name of the variable that matched, e.g. `ARGS:q`; not its value.
    pub target: String,
    /// Whether its effects were discarded (detect mode).
    pub detect_only: bool,
}

/// How much of a body the verdict has seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "inspection")]
pub enum Inspection {
    /// There was no body, or nothing inspects it.
    #[default]
    None,
    /// All of it.
    Full {
        /// Its length.
        bytes: u64,
    },
    /// The first part; the rest was streamed by the policy's choice.
    Prefix {
        /// How many bytes were inspected.
        bytes: u64,
    },
    /// Streamed without inspection, and why.
    Uninspected {
        /// E.g. `grpc`, `event-stream`, `websocket`, `tcp`.
        why: String,
    },
}

/// The response's part of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResponseFacts {
    /// The status sent to the client.
    pub status: u16,
    /// The cluster that answered; none if we answered.
    pub cluster: Option<String>,
    /// Whether the response ended before its end (denied, reset, or failed after bytes had left).
    pub truncated: bool,
    /// Microseconds from head to end.
    pub duration_us: u64,
    /// Body bytes from the client.
    pub request_bytes: u64,
    /// Body bytes to the client.
    pub response_bytes: u64,
}

impl RequestRecord {
    /// Removes what may be personal data: query, header values, and path beyond its first segment, in the sentences of
    /// denials too.
    pub fn redact(&mut self) {
        let Some(request) = &mut self.request else { return };
        request.query = request.query.take().map(|_| REDACTED.to_owned());
        for (_, value) in &mut request.headers {
            REDACTED.clone_into(value);
        }
        let whole = std::mem::take(&mut request.path);
        request.path = first_segment(&whole);
        for verdict in [Some(&mut self.verdict), self.staged.as_mut()].into_iter().flatten() {
            verdict.hide_path(&whole);
        }
    }
}

impl VerdictFacts {
    /// Shortens a path to its first segment wherever a denial's sentence names it.
    pub fn hide_path(&mut self, path: &str) {
        let shown = first_segment(path);
        if let Self::Deny(denial) = self
            && shown != path
        {
            denial.explanation = denial.explanation.replace(path, &shown);
        }
    }
}

/// A path without what follows its first segment.
pub fn first_segment(path: &str) -> String {
    match path.get(1..).and_then(|rest| rest.split_once('/')) {
        Some((segment, _)) => format!("/{segment}/{REDACTED}"),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reason;

    #[test]
    fn a_sentence_does_not_tell_a_path_that_is_hidden() {
        let denial = Denial::new(Reason::NoRoute, None, "no route takes shop/accounts/4711 here");
        let mut verdict = VerdictFacts::Deny(denial);
        verdict.hide_path("/accounts");
        verdict.hide_path("/accounts/4711");
        let VerdictFacts::Deny(denial) = verdict else { panic!("a denial") };
        assert_eq!(denial.explanation, "no route takes shop/accounts/… here");
        assert_eq!([first_segment("/"), first_segment("/a"), first_segment("/a/")], ["/", "/a", "/a/…"]);
    }
}
