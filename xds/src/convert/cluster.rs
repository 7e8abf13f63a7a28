//! `Cluster` and `Protocol`.

use palisade_model::policy::{Cluster, Endpoint, UpstreamTls};
use palisade_model::{Principal, Protocol};

use super::{Converted, FromProto, ToProto, address, each, excerpt, fault, required};
use crate::generated as pb;

impl ToProto for Cluster {
    type Message = pb::Cluster;

    fn to_proto(&self) -> Converted<Self::Message> {
        let tls = match &self.tls {
            UpstreamTls::None => pb::cluster::Tls::Plaintext(pb::Plaintext {}),
            UpstreamTls::Mesh(principals) => pb::cluster::Tls::Mesh(pb::MeshTls {
                principals: principals.iter().map(Principal::to_string).collect(),
            }),
        };
        Ok(pb::Cluster {
            name: self.name.clone(),
            endpoints: self
                .endpoints
                .iter()
                .map(|endpoint| pb::Endpoint {
                    address: endpoint.address.to_string(),
                    weight: endpoint.weight,
                })
                .collect(),
            protocol: protocol_to_proto(self.protocol),
            tls: Some(tls),
        })
    }
}

impl FromProto for Cluster {
    type Message = pb::Cluster;

    fn from_proto(message: Self::Message) -> Converted<Self> {
        let pb::Cluster { name, endpoints, protocol, tls } = message;
        // An unset oneof is how an unknown kind of TLS looks to this version: it must not become plaintext.
        let tls = match required("tls", tls)? {
            pb::cluster::Tls::Plaintext(pb::Plaintext {}) => UpstreamTls::None,
            pb::cluster::Tls::Mesh(pb::MeshTls { principals }) => {
                UpstreamTls::Mesh(each("mesh.principals", principals, |text| {
                    text.parse().map_err(|error| fault("", format!("`{}` is {error}", excerpt(&text))))
                })?)
            }
        };
        let endpoints = each("endpoints", endpoints, |endpoint| {
            Ok(Endpoint { address: address("address", &endpoint.address)?, weight: endpoint.weight })
        })?;
        Ok(Self { name, endpoints, protocol: protocol_from_proto("protocol", protocol)?, tls })
    }
}

pub(super) fn protocol_to_proto(protocol: Protocol) -> i32 {
    match protocol {
        Protocol::Auto => pb::Protocol::Auto,
        Protocol::Http => pb::Protocol::Http,
        Protocol::Http2 => pb::Protocol::Http2,
        Protocol::Grpc => pb::Protocol::Grpc,
        Protocol::Tcp => pb::Protocol::Tcp,
    }
    .into()
}

pub(super) fn protocol_from_proto(field: &str, protocol: i32) -> Converted<Protocol> {
    match pb::Protocol::try_from(protocol) {
        Ok(pb::Protocol::Auto) => Ok(Protocol::Auto),
        Ok(pb::Protocol::Http) => Ok(Protocol::Http),
        Ok(pb::Protocol::Http2) => Ok(Protocol::Http2),
        Ok(pb::Protocol::Grpc) => Ok(Protocol::Grpc),
        Ok(pb::Protocol::Tcp) => Ok(Protocol::Tcp),
        Ok(pb::Protocol::Unspecified) | Err(_) => {
            Err(fault(field, format!("{protocol} is not a protocol this version knows")))
        }
    }
}
