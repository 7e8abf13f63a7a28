//! `Metadata`, `Selector`, `WorkloadId`.

use palisade_model::WorkloadId;
use palisade_model::documents::{Metadata, Selector};

use super::{Converted, FromProto, ToProto, fault};
use crate::generated as pb;

impl ToProto for Metadata {
    type Message = pb::Metadata;

    fn to_proto(&self) -> Converted<pb::Metadata> {
        let Self { name, namespace, labels, annotations } = self.clone();
        if name.is_empty() || namespace.is_empty() {
            return Err(fault("name", "name and namespace must not be empty"));
        }
        Ok(pb::Metadata { name, namespace, labels, annotations })
    }
}

impl FromProto for Metadata {
    type Message = pb::Metadata;

    fn from_proto(message: pb::Metadata) -> Converted<Self> {
        let pb::Metadata { name, namespace, labels, annotations } = message;
        if name.is_empty() {
            return Err(fault("name", "is empty"));
        }
        if namespace.is_empty() {
            return Err(fault("namespace", "is empty"));
        }
        Ok(Self { name, namespace, labels, annotations })
    }
}

impl ToProto for Selector {
    type Message = pb::Selector;

    fn to_proto(&self) -> Converted<pb::Selector> {
        Ok(pb::Selector { match_labels: self.match_labels.clone() })
    }
}

impl FromProto for Selector {
    type Message = pb::Selector;

    fn from_proto(message: pb::Selector) -> Converted<Self> {
        Ok(Self { match_labels: message.match_labels })
    }
}

impl ToProto for WorkloadId {
    type Message = pb::WorkloadId;

    fn to_proto(&self) -> Converted<pb::WorkloadId> {
        // The resource name joins the parts with slashes, so no part may hold one.
        match crate::kind::parse_workload(&self.to_string()).as_ref() == Some(self) {
            true => Ok(pb::WorkloadId {
                cluster: self.cluster.clone(),
                tenant: self.tenant.clone(),
                namespace: self.namespace.clone(),
                name: self.name.clone(),
            }),
            false => Err(fault("", "every part must be there and without a slash")),
        }
    }
}

impl FromProto for WorkloadId {
    type Message = pb::WorkloadId;

    fn from_proto(message: pb::WorkloadId) -> Converted<Self> {
        let pb::WorkloadId { cluster, tenant, namespace, name } = message;
        let id = Self { cluster, tenant, namespace, name };
        id.to_proto().map(|_| id)
    }
}
