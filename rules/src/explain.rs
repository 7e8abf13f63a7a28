//! Why a request or connection would be permitted or refused: the same judgement as in the data path, told stage by
//! stage.
//!
//! Promises: the verdict is the one that [`Snapshot::request`] gives; nothing here decides. What is told names the
//! policy's rules, principals and addresses, and never a header value or a body.

use std::fmt;
use std::sync::Arc;

use palisade_authz::Decision;
use palisade_model::record::{RuleMatch, VerdictFacts};
use palisade_model::{BodyKind, Connection, Denial, Direction, Reason, RequestHead, RuleId};
use serde::Serialize;

use crate::request::route;
use crate::stages::{self, Stage};
use crate::{Destination, Engine, Exchange, Feed, Judgement, Snapshot, Step};

/// The answer to "what would happen, and why".
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The version of the policy that judged.
    pub policy_version: Arc<str>,
    /// What would be decided.
    pub verdict: VerdictFacts,
    /// The rule that decides: the one that denies, else the ALLOW rule that took it.
    pub rule: Option<RuleId>,
    /// One sentence.
    pub sentence: String,
    /// Every stage of the way in order, reached or not.
    pub stages: Vec<StageOutcome>,
    /// The WAF rules that matched, enforced or detected.
    pub matches: Vec<RuleMatch>,
    /// What the staged policy would decide on the head, if one is staged.
    pub staged: Option<VerdictFacts>,
}

/// What one stage came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StageOutcome {
    /// The stage.
    pub stage: Stage,
    /// What it came to.
    pub outcome: Outcome,
    /// The rule, route or reason, in words.
    pub detail: String,
}

/// What a stage came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// It had no objection.
    Passed,
    /// It refused.
    Denied,
    /// The policy asks nothing of it.
    NotAsked,
    /// An earlier stage refused.
    NotReached,
}

impl Explanation {
    /// Whether the request or connection would be permitted.
    pub fn is_permit(&self) -> bool {
        self.verdict == VerdictFacts::Permit
    }
}

/// Explains a request with its whole body, which may be empty.
pub fn request(
    snapshot: &Snapshot,
    connection: &Connection,
    head: RequestHead,
    body: &[u8],
    exchange: Exchange,
) -> Explanation {
    let engine = snapshot.enforced();
    let kind = match u64::try_from(body.len()) {
        Ok(0) => BodyKind::Empty,
        Ok(length) => BodyKind::Length(length),
        Err(_) => BodyKind::Unknown,
    };
    let authorization = match stages::request(connection.direction).contains(&Stage::Authorization) {
        true if !engine.permits_unjudged() => Some(engine.authorization.http(connection, &head)),
        _ => None,
    };
    let route = route(engine, connection, &head);
    let step = match snapshot.request(connection, head, kind, exchange) {
        Step::NeedBody(mut stage) => {
            if stage.feed(body) == Feed::Look {
                stage.look();
            }
            stage.finish()
        }
        Step::Forward(permit) => Ok(permit),
        Step::Deny(refused) => Err(refused),
    };
    let (verdict, judgement) = match step {
        Ok(permit) => (Ok(()), permit.into_exchange().2.finish()),
        Err(refused) => (Err(refused.denial), refused.judgement),
    };
    let walk = Walk { engine, direction: connection.direction, denial: verdict.as_ref().err() };
    let told = |stage: &Stage| match stage {
        Stage::Route => walk.tell(*stage, route.as_ref().ok().map(route_detail)),
        Stage::Authorization => walk.tell(*stage, authorization_detail(authorization.as_ref())),
        Stage::WafRequest | Stage::WafResponse => walk.tell(*stage, waf_detail(engine, &judgement)),
    };
    let stages = stages::request(connection.direction).iter().map(told).collect();
    finish(engine, verdict, authorization.as_ref(), stages, judgement)
}

/// Explains a connection whose bytes are opaque.
pub fn connection(snapshot: &Snapshot, connection: &Connection) -> Explanation {
    let engine = snapshot.enforced();
    let verdict = snapshot.connection(connection).map(drop);
    let judged =
        stages::tcp(connection.direction).contains(&Stage::Authorization) && !engine.permits_unjudged();
    let authorization = judged.then(|| engine.authorization.tcp(connection));
    let walk = Walk { engine, direction: connection.direction, denial: verdict.as_ref().err() };
    let stages = stages::tcp(connection.direction)
        .iter()
        .map(|stage| walk.tell(*stage, authorization_detail(authorization.as_ref())))
        .collect();
    let staged = snapshot.staged().map(|staged| match staged.connection(connection) {
        Ok(_) => VerdictFacts::Permit,
        Err(denial) => VerdictFacts::Deny(denial),
    });
    let judgement = Judgement {
        policy_version: engine.version().clone(),
        staged,
        matches: Vec::new(),
        inspection: palisade_model::record::Inspection::Uninspected { why: "tcp".to_owned() },
        audit: None,
        response_inspection: palisade_model::record::Inspection::None,
    };
    finish(engine, verdict, authorization.as_ref(), stages, judgement)
}

/// How far the judgement came.
struct Walk<'a> {
    engine: &'a Engine,
    direction: Direction,
    /// What ended it, if something did.
    denial: Option<&'a Denial>,
}

impl Walk<'_> {
    /// What a stage came to; `passed` is its detail if it had no objection, none if it was not asked.
    fn tell(&self, stage: Stage, passed: Option<String>) -> StageOutcome {
        let told = |outcome, detail: String| StageOutcome { stage, outcome, detail };
        if let Some(denial) = self.denial {
            let order = stages::request(self.direction);
            let place = |wanted: Stage| order.iter().position(|stage| *stage == wanted);
            match stage_of(denial.reason) {
                Some(denying) if denying == stage => {
                    return told(Outcome::Denied, denial.explanation.clone());
                }
                Some(denying) if place(denying) > place(stage) => {}
                _ => return told(Outcome::NotReached, "an earlier refusal ended the walk".to_owned()),
            }
        }
        match passed {
            Some(detail) => told(Outcome::Passed, detail),
            None if self.engine.permits_unjudged() => {
                told(Outcome::NotAsked, "failOpen is in force".to_owned())
            }
            None => told(Outcome::NotAsked, "the policy asks nothing here".to_owned()),
        }
    }
}

/// The stage that refuses for a reason; none for a refusal before all stages.
fn stage_of(reason: Reason) -> Option<Stage> {
    match reason {
        Reason::NoRoute => Some(Stage::Route),
        Reason::AuthorizationDenied | Reason::AuthorizationNotAllowed => Some(Stage::Authorization),
        Reason::WafRequest | Reason::BodyTooLarge | Reason::BodyMalformed | Reason::WorkBudget => {
            Some(Stage::WafRequest)
        }
        Reason::WafResponse => Some(Stage::WafResponse),
        Reason::NoPolicy | Reason::Malformed | Reason::Limit | Reason::Upstream | Reason::Transport => None,
    }
}

fn route_detail(destination: &Destination) -> String {
    match destination {
        Destination::Application => "the workload's own application".to_owned(),
        Destination::Clusters { route, backends, .. } => {
            let clusters: Vec<_> = backends.iter().map(|backend| backend.cluster.as_str()).collect();
            format!("route {route} to {}", clusters.join(", "))
        }
    }
}

fn authorization_detail(decision: Option<&Decision>) -> Option<String> {
    match decision? {
        Decision::Allow(Some(rule)) => Some(format!("allowed by {rule}")),
        Decision::Allow(None) => {
            Some("no ALLOW policy selects the workload, and no DENY rule matched".to_owned())
        }
        Decision::Deny(denial) => Some(denial.explanation.clone()),
    }
}

fn waf_detail(engine: &Engine, judgement: &Judgement) -> Option<String> {
    let waf = engine.waf.as_ref()?;
    Some(format!("RuleSet {} matched {} rules", waf.name, judgement.matches.len()))
}

fn finish(
    engine: &Engine,
    verdict: Result<(), Denial>,
    authorization: Option<&Decision>,
    stages: Vec<StageOutcome>,
    judgement: Judgement,
) -> Explanation {
    let (verdict, rule, sentence) = match verdict {
        Err(denial) => {
            let sentence = format!("denied: {}", denial.explanation);
            (VerdictFacts::Deny(denial.clone()), denial.rule, sentence)
        }
        Ok(()) if engine.permits_unjudged() => {
            (VerdictFacts::Permit, None, "permitted unjudged: failOpen is in force".to_owned())
        }
        Ok(()) => match authorization {
            Some(Decision::Allow(Some(rule))) => {
                (VerdictFacts::Permit, Some(rule.clone()), format!("permitted: allowed by {rule}"))
            }
            Some(_) => (VerdictFacts::Permit, None, "permitted: nothing forbids it".to_owned()),
            None => (VerdictFacts::Permit, None, "permitted: the callee's sidecar will judge it".to_owned()),
        },
    };
    let Judgement { policy_version, staged, matches, .. } = judgement;
    Explanation { policy_version, verdict, rule, sentence, stages, matches, staged }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.sentence)?;
        if let VerdictFacts::Deny(denial) = &self.verdict {
            writeln!(f, "  reason   {} (status {})", denial.reason.as_str(), denial.status.as_u16())?;
        }
        if let Some(rule) = &self.rule {
            writeln!(f, "  rule     {rule}")?;
        }
        writeln!(f, "  policy   {}", self.policy_version)?;
        for StageOutcome { stage, outcome, detail } in &self.stages {
            writeln!(f, "  {:<14} {:<11} {detail}", stage.as_str(), outcome.as_str())?;
        }
        for matched in &self.matches {
            let mode = if matched.detect_only { "detected" } else { "matched" };
            writeln!(f, "  {mode} rule {} in {}: {}", matched.id, matched.target, matched.message)?;
        }
        match &self.staged {
            Some(VerdictFacts::Permit) => writeln!(f, "  the staged policy would permit the head"),
            Some(VerdictFacts::Deny(denial)) => writeln!(f, "  the staged policy would deny: {denial}"),
            None => Ok(()),
        }
    }
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Denied => "denied",
            Self::NotAsked => "not asked",
            Self::NotReached => "not reached",
        }
    }
}
