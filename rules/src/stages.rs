//! THE table: which engine judges what, on which side, in which order. Everything that runs, runs from here.

use palisade_model::Direction;
use serde::Serialize;

/// One step of a judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    /// Which destination takes it (`palisade-http`).
    Route,
    /// DENY, then ALLOW policies (`palisade-authz`).
    Authorization,
    /// WAF phase 1 on the head, phase 2 with the body (`palisade-waf`).
    WafRequest,
    /// WAF phase 3 on the head, phase 4 with the body, phase 5 at the end (`palisade-waf`).
    WafResponse,
}

impl Stage {
    /// The name that explanations show.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Authorization => "authorization",
            Self::WafRequest => "waf request",
            Self::WafResponse => "waf response",
        }
    }
}

/// The stages of a request in order. The first denial ends the walk.
pub fn request(direction: Direction) -> &'static [Stage] {
    match direction {
        Direction::Inbound | Direction::Gateway => &[Stage::Route, Stage::Authorization, Stage::WafRequest],
        // The workload's own calls: the callee's sidecar judges them, ours finds the way.
        Direction::Outbound => &[Stage::Route],
    }
}

/// The stages of a response in order.
pub fn response(direction: Direction) -> &'static [Stage] {
    match direction {
        Direction::Inbound | Direction::Gateway => &[Stage::WafResponse],
        Direction::Outbound => &[],
    }
}

/// The stages of a connection whose bytes are opaque.
pub fn tcp(direction: Direction) -> &'static [Stage] {
    match direction {
        Direction::Inbound => &[Stage::Authorization],
        Direction::Outbound | Direction::Gateway => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_is_judged_before_content_and_never_skipped_on_a_way_in() {
        for direction in [Direction::Inbound, Direction::Gateway] {
            let stages = request(direction);
            let authorization = stages.iter().position(|stage| *stage == Stage::Authorization);
            let waf = stages.iter().position(|stage| *stage == Stage::WafRequest);
            assert!(authorization.is_some() && authorization < waf);
        }
        assert_eq!(tcp(Direction::Inbound), [Stage::Authorization]);
    }
}
