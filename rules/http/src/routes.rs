//! Route match: a table compiled once, searched per request.

use std::sync::Arc;

use palisade_model::RequestHead;
use palisade_model::policy::{Route, WeightedCluster};

/// A compiled route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompiledRoute {
    /// Its name.
    pub name: Arc<str>,
    /// Where it goes.
    pub backends: Arc<[WeightedCluster]>,
    /// Milliseconds up to the response head.
    pub timeout_ms: Option<u64>,
}

/// Why a route cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("routes[{index}] {name}: {problem}")]
pub struct RouteError {
    /// Its index in the policy.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// What is wrong.
    pub problem: String,
}

/// All routes of a policy.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {}

impl RouteTable {
    /// Compiles routes in order of precedence.
    pub fn compile(_routes: &[Route]) -> Result<Self, RouteError> {
        Ok(Self {})
    }

    /// The first route of the listener that takes the request. `outbound`: whether the listener is an outbound HTTP
    /// listener, which routes without listener names apply to.
    pub fn find(&self, _listener: &str, _outbound: bool, _head: &RequestHead) -> Option<&CompiledRoute> {
        None
    }
}
