//! How much of a body a rule set wants to be held, beside what the WafPolicy allows.
//!
//! Promises: the smaller of both limits holds, with what its author says of longer bodies; of two that are equal,
//! rejecting wins. A rule set never raises the policy's limit. A rule set that only detects rejects nothing.

use palisade_model::documents::{BodyLimit, OverLimit};
use palisade_seclang::EngineMode;

use crate::transaction::Transaction;

/// What directives and `ctl` say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BodyLimits {
    /// `SecRequestBodyLimit`, `ctl:requestBodyLimit`
    pub(crate) request: Option<u64>,
    /// `SecRequestBodyNoFilesLimit`
    pub(crate) request_without_files: Option<u64>,
    /// `SecRequestBodyLimitAction`
    pub(crate) request_over: OverLimit,
    /// `SecResponseBodyLimit`, `ctl:responseBodyLimit`
    pub(crate) response: Option<u64>,
    /// `SecResponseBodyLimitAction`
    pub(crate) response_over: OverLimit,
}

impl Transaction {
    /// The limit of the request body, after phase 1, given the policy's.
    pub fn request_body_limit(&self, policy: BodyLimit) -> BodyLimit {
        let limits = &self.body_limits;
        // Only a multipart body has files.
        let without_files = match self.state.facts.body.processor.as_ref() {
            b"MULTIPART" => None,
            _ => limits.request_without_files,
        };
        let wanted = limits.request.into_iter().chain(without_files).min();
        stricter(policy, wanted, self.over(limits.request_over))
    }

    /// The limit of the response body, after phase 3, given the policy's.
    pub fn response_body_limit(&self, policy: BodyLimit) -> BodyLimit {
        stricter(policy, self.body_limits.response, self.over(self.body_limits.response_over))
    }

    fn over(&self, wanted: OverLimit) -> OverLimit {
        if self.mode == EngineMode::On { wanted } else { OverLimit::InspectPrefix }
    }
}

fn stricter(policy: BodyLimit, wanted: Option<u64>, over: OverLimit) -> BodyLimit {
    let wanted = wanted.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(usize::MAX);
    if wanted < policy.max_bytes || (wanted == policy.max_bytes && over == OverLimit::Reject) {
        return BodyLimit { max_bytes: wanted, over };
    }
    policy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_limit_holds_with_its_own_action_and_rejecting_wins_a_tie() {
        use OverLimit::{InspectPrefix, Reject};
        let limit = |max_bytes, over| BodyLimit { max_bytes, over };
        for (policy, wanted, over, expected) in [
            (limit(100, InspectPrefix), None, Reject, limit(100, InspectPrefix)),
            (limit(100, InspectPrefix), Some(99), Reject, limit(99, Reject)),
            (limit(100, InspectPrefix), Some(100), Reject, limit(100, Reject)),
            (limit(100, InspectPrefix), Some(101), Reject, limit(100, InspectPrefix)),
            (limit(100, Reject), Some(99), InspectPrefix, limit(99, InspectPrefix)),
            (limit(100, Reject), Some(100), InspectPrefix, limit(100, Reject)),
            (limit(100, Reject), Some(u64::MAX), InspectPrefix, limit(100, Reject)),
        ] {
            assert_eq!(stricter(policy, wanted, over), expected, "{policy:?} {wanted:?} {over:?}");
        }
    }
}
