//! The requests a client sends.

use std::collections::HashMap;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::config::core::v3::node::UserAgentVersionType;
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value, value};
use envoy_types::pb::google::rpc::Status;
use palisade_model::WorkloadId;

use crate::kind::Kind;
use crate::limits::ERROR_BYTES;

/// The name of the node metadata field that lists what a sidecar can do.
pub(crate) const FEATURES_FIELD: &str = "features";

/// The node of the first request: whose policy is asked for, and what we can do.
pub(crate) fn node(workload: &WorkloadId, features: &[String]) -> Node {
    let values =
        features.iter().map(|name| Value { kind: Some(value::Kind::StringValue(name.clone())) }).collect();
    let list = Value { kind: Some(value::Kind::ListValue(ListValue { values })) };
    Node {
        id: workload.to_string(),
        cluster: workload.cluster.clone(),
        metadata: Some(Struct { fields: HashMap::from([(FEATURES_FIELD.to_owned(), list)]) }),
        user_agent_name: "palisade".to_owned(),
        user_agent_version_type: Some(UserAgentVersionType::UserAgentVersion(
            env!("CARGO_PKG_VERSION").to_owned(),
        )),
        ..Node::default()
    }
}

/// Subscribes to `name`, saying which versions are already held.
pub(crate) fn subscribe(
    kind: Kind,
    name: String,
    known: impl IntoIterator<Item = (String, String)>,
) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: kind.type_url().to_owned(),
        resource_names_subscribe: vec![name],
        initial_resource_versions: known.into_iter().collect(),
        ..DeltaDiscoveryRequest::default()
    }
}

/// ACK, or NACK with the reason.
pub(crate) fn answer(type_url: String, nonce: String, verdict: Result<(), String>) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url,
        response_nonce: nonce,
        error_detail: verdict.err().map(|reason| Status {
            code: tonic::Code::InvalidArgument as i32,
            message: cut(reason),
            details: Vec::new(),
        }),
        ..DeltaDiscoveryRequest::default()
    }
}

/// At most [`ERROR_BYTES`] of a text, cut at a character.
pub(crate) fn cut(mut text: String) -> String {
    if text.len() > ERROR_BYTES {
        let end = (0..=ERROR_BYTES).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
    text
}
