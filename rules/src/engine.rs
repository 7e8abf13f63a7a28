//! What was built from a Policy: compiled, immutable, shared by `Arc`.

use std::sync::Arc;

use palisade_authz::{AuthorizationEngine, AuthorizationError, Decision};
use palisade_http::routes::{RouteError, RouteTable};
use palisade_model::documents::{BodyLimit, BodyReading, Mode, RuleSet, WafPolicy};
use palisade_model::policy::FEATURES;
use palisade_model::{Connection, Denial, Direction, Limits, Policy, Reason, WorkloadId};

use crate::TcpPermit;
use crate::stages::{self, Stage};

/// Why a policy cannot be compiled. The last good engine stays in force.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CompileError {
    /// The policy asks for something this version cannot do; ignoring it could open a door.
    #[error("requiredFeatures: this version does not know {0:?}")]
    UnknownFeature(String),
    /// A WafPolicy names a rule set that the policy does not carry.
    #[error("WafPolicy {policy}: rule set {rule_set:?} is not part of the policy")]
    MissingRuleSet {
        /// The WafPolicy.
        policy: String,
        /// The rule set.
        rule_set: String,
    },
    /// More than one WafPolicy selects the workload.
    #[error("WafPolicy {0} and {1} both select this workload; one must be narrowed")]
    ConflictingWafPolicies(String, String),
    /// An AuthorizationPolicy.
    #[error(transparent)]
    Authorization(#[from] AuthorizationError),
    /// A route.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// A rule set.
    #[error("RuleSet {rule_set}: {error}")]
    Waf {
        /// The rule set.
        rule_set: String,
        /// File, line, column, caret.
        error: palisade_waf::CompileError,
    },
}

/// What an engine does with traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Posture {
    /// Judges it.
    Enforce,
    /// Refuses everything: there is no policy.
    NoPolicy,
    /// Permits everything, because `failOpen` says so.
    FailOpen,
}

/// The WAF's part, kept with its source so that an unchanged one is not compiled again.
#[derive(Clone, Debug)]
pub(crate) struct Waf {
    policy: Arc<WafPolicy>,
    rule_set: Arc<RuleSet>,
    pub(crate) engine: Arc<palisade_waf::Engine>,
    pub(crate) name: Arc<str>,
}

impl Waf {
    pub(crate) fn request_limit(&self) -> BodyLimit {
        self.policy.spec.request_body
    }

    pub(crate) fn bodies(&self) -> BodyReading {
        self.policy.spec.bodies
    }

    pub(crate) fn response_limit(&self) -> Option<BodyLimit> {
        self.policy.spec.response_body
    }
}

/// The compiled policy of one workload.
#[derive(Debug)]
pub struct Engine {
    workload: WorkloadId,
    version: Arc<str>,
    posture: Posture,
    limits: Limits,
    pub(crate) routes: RouteTable,
    pub(crate) authorization: AuthorizationEngine,
    pub(crate) waf: Option<Waf>,
}

impl Engine {
    /// Compiles a policy. `previous` lends what has not changed.
    pub fn compile(policy: &Policy, version: &str, previous: Option<&Self>) -> Result<Self, CompileError> {
        for feature in &policy.required_features {
            if !FEATURES.contains(&feature.as_str()) {
                return Err(CompileError::UnknownFeature(feature.clone()));
            }
        }
        Ok(Self {
            workload: policy.workload.clone(),
            version: version.into(),
            posture: Posture::Enforce,
            limits: policy.limits.clone(),
            routes: RouteTable::compile(&policy.routes)?,
            authorization: AuthorizationEngine::compile(&policy.authorization)?,
            waf: compile_waf(policy, previous.and_then(|engine| engine.waf.as_ref()))?,
        })
    }

    /// The engine of a workload that has no policy: it refuses everything.
    pub fn no_policy(workload: WorkloadId) -> Self {
        Self::without_policy(workload, Posture::NoPolicy, "none")
    }

    /// The engine of a workload whose `failOpen` is set and whose policy could not be had. The only other way to a
    /// permit than a judgement.
    pub fn fail_open(workload: WorkloadId) -> Self {
        Self::without_policy(workload, Posture::FailOpen, "fail-open")
    }

    fn without_policy(workload: WorkloadId, posture: Posture, version: &str) -> Self {
        Self {
            workload,
            version: version.into(),
            posture,
            limits: Limits::default(),
            routes: RouteTable::default(),
            authorization: AuthorizationEngine::default(),
            waf: None,
        }
    }

    /// What the rule set asks for and does not get; see [`palisade_waf::Engine::notes`].
    pub fn notes(&self) -> &[String] {
        self.waf.as_ref().map(|waf| waf.engine.notes()).unwrap_or_default()
    }

    /// Whose engine it is.
    pub fn workload(&self) -> &WorkloadId {
        &self.workload
    }

    /// The version of its policy.
    pub fn version(&self) -> &Arc<str> {
        &self.version
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether traffic passes unjudged because `failOpen` says so.
    pub(crate) fn permits_unjudged(&self) -> bool {
        self.posture == Posture::FailOpen
    }

    /// The denial of a workload without a policy.
    pub(crate) fn refuses_all(&self) -> Option<Denial> {
        let explanation = "this workload has never had a policy, and failOpen is not set";
        (self.posture == Posture::NoPolicy).then(|| Denial::new(Reason::NoPolicy, None, explanation))
    }

    /// Judges a connection whose bytes are opaque.
    pub fn connection(&self, connection: &Connection) -> Result<TcpPermit, Denial> {
        if let Some(denial) = self.refuses_all()
            && connection.direction != Direction::Outbound
        {
            return Err(denial);
        }
        if !self.permits_unjudged() {
            for stage in stages::tcp(connection.direction) {
                if *stage == Stage::Authorization
                    && let Decision::Deny(denial) = self.authorization.tcp(connection)
                {
                    return Err(denial);
                }
            }
        }
        Ok(TcpPermit { connection: connection.clone() })
    }
}

fn compile_waf(policy: &Policy, previous: Option<&Waf>) -> Result<Option<Waf>, CompileError> {
    let waf_policy = match policy.waf.as_slice() {
        [] => return Ok(None),
        [only] => only,
        [first, second, ..] => {
            return Err(CompileError::ConflictingWafPolicies(
                full_name(&first.metadata.namespace, &first.metadata.name),
                full_name(&second.metadata.namespace, &second.metadata.name),
            ));
        }
    };
    if waf_policy.spec.mode == Mode::Off && waf_policy.spec.groups.iter().all(|group| group.mode == Mode::Off)
    {
        return Ok(None);
    }
    let wanted = match waf_policy.spec.rule_set.split_once('/') {
        Some((namespace, name)) => (namespace, name),
        None => (waf_policy.metadata.namespace.as_str(), waf_policy.spec.rule_set.as_str()),
    };
    let found = policy
        .rule_sets
        .iter()
        .find(|set| (set.metadata.namespace.as_str(), set.metadata.name.as_str()) == wanted);
    let Some(rule_set) = found else {
        return Err(CompileError::MissingRuleSet {
            policy: full_name(&waf_policy.metadata.namespace, &waf_policy.metadata.name),
            rule_set: waf_policy.spec.rule_set.clone(),
        });
    };
    if let Some(previous) = previous
        && *previous.policy == *waf_policy
        && *previous.rule_set == *rule_set
    {
        return Ok(Some(previous.clone()));
    }
    let name = full_name(&rule_set.metadata.namespace, &rule_set.metadata.name);
    let engine = palisade_waf::Engine::compile(rule_set, &waf_policy.spec)
        .map_err(|error| CompileError::Waf { rule_set: name.clone(), error })?;
    Ok(Some(Waf {
        policy: Arc::new(waf_policy.clone()),
        rule_set: Arc::new(rule_set.clone()),
        engine: Arc::new(engine),
        name: name.into(),
    }))
}

fn full_name(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}
