//! Identity allowlists with Istio's semantics: a pure function of (policies, connection, head).
//!
//! Promises: no I/O, no clock; a decision names the rule that decided, or the nearest ALLOW rule that failed and why.

#![forbid(unsafe_code)]

use palisade_model::documents::{AuthorizationPolicy, FieldError};
use palisade_model::{Connection, Denial, Reason, RequestHead, RuleId};

/// Why a policy cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("AuthorizationPolicy {namespace}/{name}: {error}")]
pub struct AuthorizationError {
    /// The policy's namespace.
    pub namespace: String,
    /// The policy's name.
    pub name: String,
    /// The field and what is wrong with it.
    pub error: FieldError,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Allowed by a rule, or by the absence of ALLOW policies.
    Allow(Option<RuleId>),
    /// Refused.
    Deny(Denial),
}

/// The compiled policies of one workload.
#[derive(Debug, Default)]
pub struct AuthorizationEngine {}

impl AuthorizationEngine {
    /// Compiles the policies that select a workload.
    pub fn compile(_policies: &[AuthorizationPolicy]) -> Result<Self, AuthorizationError> {
        Ok(Self {})
    }

    /// Decides on a request.
    pub fn http(&self, _connection: &Connection, _head: &RequestHead) -> Decision {
        Decision::Deny(Denial::new(Reason::AuthorizationNotAllowed, None, "face"))
    }

    /// Decides on a connection whose bytes are opaque.
    pub fn tcp(&self, _connection: &Connection) -> Decision {
        Decision::Deny(Denial::new(Reason::AuthorizationNotAllowed, None, "face"))
    }
}
