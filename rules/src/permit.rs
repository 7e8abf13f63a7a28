//! Permission as a value nobody can forge.
//!
//! ```compile_fail
//! // A permit has no public constructor: forwarding an unjudged request does not type-check.
//! let permit = palisade_rules::Permit { head: unreachable!(), destination: unreachable!(), response: unreachable!(), upload: None };
//! ```
//! ```compile_fail
//! // A permit is good for one request: it cannot be copied.
//! fn twice(permit: palisade_rules::Permit) -> (palisade_rules::Permit, palisade_rules::Permit) {
//!     (permit.clone(), permit)
//! }
//! ```

use std::sync::Arc;

use palisade_model::audit::AuditTrail;
use palisade_model::policy::WeightedCluster;
use palisade_model::record::{Inspection, RuleMatch, VerdictFacts};
use palisade_model::{Connection, Denial, RequestHead};

use crate::upload::Upload;
use crate::{Answer, ResponseStage};

/// Permission to forward one request. It owns the head that was judged and the way it goes.
#[derive(Debug)]
#[must_use = "a permit that is not used is a request that is never sent"]
pub struct Permit {
    pub(crate) head: RequestHead,
    pub(crate) destination: Destination,
    pub(crate) response: ResponseStage,
    /// Boxed: few requests have it.
    pub(crate) upload: Option<Box<Upload>>,
}

impl Permit {
    /// The head that was judged.
    pub fn head(&self) -> &RequestHead {
        &self.head
    }

    /// Where it goes.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// The judge of the rest of the body, if the permit is for its first part only. Whoever sends the body on asks for it.
    pub fn take_upload(&mut self) -> Option<Box<Upload>> {
        self.upload.take()
    }

    /// Spends the permit: the head to send, where to send it, and the stage that judges the answer.
    pub fn into_exchange(self) -> (RequestHead, Destination, ResponseStage) {
        (self.head, self.destination, self.response)
    }
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The application behind an inbound listener.
    Application,
    /// One of these clusters, by weight.
    Clusters {
        /// The route that chose them.
        route: Arc<str>,
        /// The clusters and their shares.
        backends: Arc<[WeightedCluster]>,
        /// Milliseconds up to the response head, if the route says.
        timeout_ms: Option<u64>,
    },
}

/// Permission to splice one connection's opaque bytes, until the next policy swap judges it again.
#[derive(Debug)]
#[must_use = "a permit that is not used is a connection that is never spliced"]
pub struct TcpPermit {
    pub(crate) connection: Connection,
}

impl TcpPermit {
    /// The connection that was judged.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }
}

/// What a judgement leaves for the record, whatever the verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The version of the policy that judged.
    pub policy_version: Arc<str>,
    /// What the staged policy would have decided.
    pub staged: Option<VerdictFacts>,
    /// The WAF rules that matched.
    pub matches: Vec<RuleMatch>,
    /// How much of the request body was seen.
    pub inspection: Inspection,
    /// How much of the response body was seen.
    pub response_inspection: Inspection,
    /// What the audit log is told; none if no WAF judged.
    pub audit: Option<AuditTrail>,
}

impl Judgement {
    /// Ends a transaction (WAF phase 5) and takes what it found.
    pub(crate) fn close(&mut self, transaction: &mut palisade_waf::Transaction) {
        transaction.logging();
        self.matches = transaction.matches().to_vec();
        self.audit = Some(transaction.audit_trail());
    }
}

/// What was found in a long form after its first part had left. It is of the whole form, phases 1 and 2.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The WAF rules that matched.
    pub matches: Vec<RuleMatch>,
    /// What the audit log is told of them.
    pub audit: AuditTrail,
}

/// The phase that judges a request's body.
const REQUEST_BODY: u8 = 2;

impl Judgement {
    /// Puts what the whole form came to in the place of what its first part came to.
    pub fn replace_request(&mut self, found: Found) {
        let later = self.matches.drain(..).filter(|found| found.phase > REQUEST_BODY);
        self.matches = found.matches.into_iter().chain(later.collect::<Vec<_>>()).collect();
        let Some(audit) = &mut self.audit else { return };
        let later = audit.matches.drain(..).filter(|found| found.phase > REQUEST_BODY);
        audit.matches = found.audit.matches.into_iter().chain(later.collect::<Vec<_>>()).collect();
        for (name, score) in found.audit.scores {
            match audit.scores.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = score.max(*known),
                None => audit.scores.push((name, score)),
            }
        }
        audit.files = found.audit.files;
        if audit.show != found.audit.show {
            // A rule sanitised something in the rest: nothing of this exchange is shown.
            audit.show = found.audit.show;
            (audit.request_body, audit.form, audit.response_body) = (None, None, None);
            audit.matches.retain(|found| found.phase <= REQUEST_BODY);
        }
    }
}

/// A refusal with what is known about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// The denial.
    pub denial: Denial,
    /// What the client gets instead of an answer.
    pub answer: Answer,
    /// The facts for the record.
    pub judgement: Judgement,
}
