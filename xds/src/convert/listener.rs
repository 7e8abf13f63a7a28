//! `Listener`.

use palisade_model::policy::{ClientAddress, Listener, ListenerRole};

use super::cluster::{protocol_from_proto, protocol_to_proto};
use super::{Converted, FromProto, ToProto, address, number, required};
use crate::generated as pb;
use pb::listener::Role;

impl ToProto for Listener {
    type Message = pb::Listener;

    fn to_proto(&self) -> Converted<Self::Message> {
        let role = match &self.role {
            ListenerRole::Inbound { application, port, protocol } => Role::Inbound(pb::Inbound {
                application: application.to_string(),
                port: port.map(u32::from),
                protocol: protocol_to_proto(*protocol),
            }),
            ListenerRole::OutboundHttp => Role::OutboundHttp(pb::OutboundHttp {}),
            ListenerRole::OutboundTcp { cluster } => {
                Role::OutboundTcp(pb::OutboundTcp { cluster: cluster.clone() })
            }
            ListenerRole::Gateway { certificates, client_address } => Role::Gateway(pb::GatewayRole {
                certificates: certificates.clone(),
                trusted_hops: client_address.trusted_hops.into(),
                proxy_protocol: client_address.proxy_protocol,
            }),
        };
        Ok(pb::Listener { name: self.name.clone(), address: self.address.to_string(), role: Some(role) })
    }
}

impl FromProto for Listener {
    type Message = pb::Listener;

    fn from_proto(message: Self::Message) -> Converted<Self> {
        let role = match required("role", message.role)? {
            Role::Inbound(inbound) => ListenerRole::Inbound {
                application: address("inbound.application", &inbound.application)?,
                port: inbound.port.map(|port| number("inbound.port", port)).transpose()?,
                protocol: protocol_from_proto("inbound.protocol", inbound.protocol)?,
            },
            Role::OutboundHttp(pb::OutboundHttp {}) => ListenerRole::OutboundHttp,
            Role::OutboundTcp(pb::OutboundTcp { cluster }) => ListenerRole::OutboundTcp { cluster },
            Role::Gateway(pb::GatewayRole { certificates, trusted_hops, proxy_protocol }) => {
                let trusted_hops = number("gateway.trusted_hops", trusted_hops)?;
                ListenerRole::Gateway {
                    certificates,
                    client_address: ClientAddress { trusted_hops, proxy_protocol },
                }
            }
        };
        Ok(Self { name: message.name, address: address("address", &message.address)?, role })
    }
}
