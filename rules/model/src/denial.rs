//! Why an exchange was refused. A verdict, never an `Err`: hostile traffic is not our fault.

use std::fmt;
use std::sync::Arc;

use http::StatusCode;
use serde::{Deserialize, Serialize};

/// The rule that decided.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum RuleId {
    /// A rule of an AuthorizationPolicy.
    #[serde(rename_all = "camelCase")]
    Authorization {
        /// The policy's namespace. Shared, since every allowed request names its rule.
        namespace: Arc<str>,
        /// The policy's name.
        name: Arc<str>,
        /// The rule's index in `spec.rules`; none if the policy has no rules.
        rule: Option<usize>,
    },
    /// A SecLang rule.
    #[serde(rename_all = "camelCase")]
    Waf {
        /// The rule set it is in.
        rule_set: String,
        /// The `id` action.
        id: u64,
    },
    /// A route.
    #[serde(rename_all = "camelCase")]
    Route {
        /// The route's name.
        name: String,
    },
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authorization { namespace, name, rule: Some(rule) } => {
                write!(f, "AuthorizationPolicy {namespace}/{name} rules[{rule}]")
            }
            Self::Authorization { namespace, name, rule: None } => {
                write!(f, "AuthorizationPolicy {namespace}/{name}")
            }
            Self::Waf { rule_set, id } => write!(f, "RuleSet {rule_set} rule {id}"),
            Self::Route { name } => write!(f, "route {name}"),
        }
    }
}

/// What kind of refusal a decision came to. Closed: every value has a row in `docs/denials.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The workload has no policy yet, and does not fail open.
    NoPolicy,
    /// No listener, virtual host or route takes this request.
    NoRoute,
    /// A DENY rule matched.
    AuthorizationDenied,
    /// ALLOW policies are in force and none of their rules matched.
    AuthorizationNotAllowed,
    /// A WAF rule interrupted the transaction in a request phase.
    WafRequest,
    /// A WAF rule interrupted the transaction in a response phase.
    WafResponse,
    /// The request body is longer than what may be inspected, and the policy says reject.
    BodyTooLarge,
    /// The body could not be decoded as what its head declares, and the policy inspects it.
    BodyMalformed,
    /// The transaction used up its work budget and the policy says reject.
    WorkBudget,
    /// The request cannot be read in exactly one way; the explanation names the cause.
    Malformed,
    /// A limit of the data plane was reached; the explanation names it.
    Limit,
    /// The upstream could not be asked or did not answer properly; the explanation says how.
    Upstream,
    /// The connection could not be taken (no mTLS, a failed handshake, …); the explanation says why.
    Transport,
}

impl Reason {
    /// Every reason, for tables and tests.
    pub const ALL: [Self; 13] = [
        Self::NoPolicy,
        Self::NoRoute,
        Self::AuthorizationDenied,
        Self::AuthorizationNotAllowed,
        Self::WafRequest,
        Self::WafResponse,
        Self::BodyTooLarge,
        Self::BodyMalformed,
        Self::WorkBudget,
        Self::Malformed,
        Self::Limit,
        Self::Upstream,
        Self::Transport,
    ];

    /// The name used in metrics, logs and `docs/denials.md`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoPolicy => "no_policy",
            Self::NoRoute => "no_route",
            Self::AuthorizationDenied => "authorization_denied",
            Self::AuthorizationNotAllowed => "authorization_not_allowed",
            Self::WafRequest => "waf_request",
            Self::WafResponse => "waf_response",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyMalformed => "body_malformed",
            Self::WorkBudget => "work_budget",
            Self::Malformed => "malformed",
            Self::Limit => "limit",
            Self::Upstream => "upstream",
            Self::Transport => "transport",
        }
    }

    /// The status a refusal for this reason has, where the rule itself does not say one.
    pub fn status(self) -> StatusCode {
        match self {
            Self::NoPolicy | Self::WorkBudget | Self::Limit | Self::Upstream => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::AuthorizationDenied
            | Self::AuthorizationNotAllowed
            | Self::WafRequest
            | Self::Transport => StatusCode::FORBIDDEN,
            Self::WafResponse => StatusCode::BAD_GATEWAY,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyMalformed | Self::Malformed => StatusCode::BAD_REQUEST,
        }
    }
}

/// A refusal: what kind, which rule, and the sentence for whoever may read the event. The client never sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Denial {
    /// What kind of refusal.
    pub reason: Reason,
    /// The rule that decided; for "no ALLOW matched", the nearest one that failed.
    pub rule: Option<RuleId>,
    /// One sentence that explains it, without bodies, tokens or matched bytes.
    pub explanation: String,
    /// The status to answer with.
    #[serde(with = "status_code")]
    pub status: StatusCode,
}

impl Denial {
    /// A denial with its reason's own status.
    pub fn new(reason: Reason, rule: Option<RuleId>, explanation: impl Into<String>) -> Self {
        Self { reason, rule, explanation: explanation.into(), status: reason.status() }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rule {
            Some(rule) => write!(f, "{} by {rule}: {}", self.reason.as_str(), self.explanation),
            None => write!(f, "{}: {}", self.reason.as_str(), self.explanation),
        }
    }
}

mod status_code {
    use http::StatusCode;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(status.as_u16())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StatusCode, D::Error> {
        StatusCode::from_u16(u16::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
