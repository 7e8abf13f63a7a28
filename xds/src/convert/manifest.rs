//! `Manifest`, `FragmentRef`, `Limits`.

use std::collections::BTreeSet;

use palisade_model::{Limits, WorkloadId};

use super::{Converted, FromProto, ToProto, Within, each, excerpt, fault, number, required};
use crate::generated as pb;
use crate::kind::Kind;

/// A policy as a list of fragments.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Manifest {
    pub workload: WorkloadId,
    /// The content hash; empty while it is computed.
    pub version: String,
    pub fail_open: bool,
    pub root_namespace: String,
    pub required_features: BTreeSet<String>,
    pub limits: Limits,
    pub fragments: Vec<FragmentRef>,
}

/// One fragment of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FragmentRef {
    pub kind: Kind,
    pub name: String,
    /// SHA-256 of the encoded fragment, lower-case hex.
    pub hash: String,
}

impl ToProto for Manifest {
    type Message = pb::Manifest;

    fn to_proto(&self) -> Converted<Self::Message> {
        Ok(pb::Manifest {
            workload: Some(self.workload.to_proto().within("workload")?),
            version: self.version.clone(),
            fail_open: self.fail_open,
            root_namespace: self.root_namespace.clone(),
            required_features: self.required_features.iter().cloned().collect(),
            limits: Some(self.limits.to_proto().within("limits")?),
            fragments: self
                .fragments
                .iter()
                .map(|fragment| pb::FragmentRef {
                    type_url: fragment.kind.type_url().to_owned(),
                    name: fragment.name.clone(),
                    hash: fragment.hash.clone(),
                })
                .collect(),
        })
    }
}

impl FromProto for Manifest {
    type Message = pb::Manifest;

    fn from_proto(message: Self::Message) -> Converted<Self> {
        let pb::Manifest {
            workload,
            version,
            fail_open,
            root_namespace,
            required_features,
            limits,
            fragments,
        } = message;
        Ok(Self {
            workload: WorkloadId::from_proto(required("workload", workload)?).within("workload")?,
            version,
            fail_open,
            root_namespace,
            required_features: required_features.into_iter().collect(),
            limits: Limits::from_proto(required("limits", limits)?).within("limits")?,
            fragments: each("fragments", fragments, reference_from_proto)?,
        })
    }
}

fn reference_from_proto(reference: pb::FragmentRef) -> Converted<FragmentRef> {
    let pb::FragmentRef { type_url, name, hash } = reference;
    // A fragment of an unknown type may be a restriction: it is never skipped.
    match Kind::from_type_url(&type_url) {
        Some(kind) if kind != Kind::Manifest => Ok(FragmentRef { kind, name, hash }),
        _ => Err(fault(
            "type_url",
            format!("`{}` is not a fragment type this version knows", excerpt(&type_url)),
        )),
    }
}

impl ToProto for Limits {
    type Message = pb::Limits;

    fn to_proto(&self) -> Converted<pb::Limits> {
        Ok(pb::Limits {
            header_bytes: number("header_bytes", self.header_bytes)?,
            header_count: number("header_count", self.header_count)?,
            uri_bytes: number("uri_bytes", self.uri_bytes)?,
            connections: number("connections", self.connections)?,
            streams_per_connection: self.streams_per_connection,
            h2_pending_resets: number("h2_pending_resets", self.h2_pending_resets)?,
            h2_local_resets: number("h2_local_resets", self.h2_local_resets)?,
            header_timeout_ms: self.header_timeout_ms,
            body_timeout_ms: self.body_timeout_ms,
            idle_timeout_ms: self.idle_timeout_ms,
            connect_timeout_ms: self.connect_timeout_ms,
            response_timeout_ms: self.response_timeout_ms,
            sniff_timeout_ms: self.sniff_timeout_ms,
            handshake_timeout_ms: self.handshake_timeout_ms,
            drain_timeout_ms: self.drain_timeout_ms,
            buffered_bytes: number("buffered_bytes", self.buffered_bytes)?,
        })
    }
}

impl FromProto for Limits {
    type Message = pb::Limits;

    fn from_proto(message: pb::Limits) -> Converted<Self> {
        Ok(Self {
            header_bytes: number("header_bytes", message.header_bytes)?,
            header_count: number("header_count", message.header_count)?,
            uri_bytes: number("uri_bytes", message.uri_bytes)?,
            connections: number("connections", message.connections)?,
            streams_per_connection: message.streams_per_connection,
            h2_pending_resets: number("h2_pending_resets", message.h2_pending_resets)?,
            h2_local_resets: number("h2_local_resets", message.h2_local_resets)?,
            header_timeout_ms: message.header_timeout_ms,
            body_timeout_ms: message.body_timeout_ms,
            idle_timeout_ms: message.idle_timeout_ms,
            connect_timeout_ms: message.connect_timeout_ms,
            response_timeout_ms: message.response_timeout_ms,
            sniff_timeout_ms: message.sniff_timeout_ms,
            handshake_timeout_ms: message.handshake_timeout_ms,
            drain_timeout_ms: message.drain_timeout_ms,
            buffered_bytes: number("buffered_bytes", message.buffered_bytes)?,
        })
    }
}
