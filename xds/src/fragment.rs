//! One fragment of a policy: its name, its bytes, its hash, and the way back.
//!
//! Promises: the same content has the same bytes and so the same hash everywhere; [`decode`] accepts only what it
//! understood to the last byte.

use palisade_model::documents::{AuthorizationPolicy, FieldError, Metadata, RuleSet, WafPolicy};
use palisade_model::policy::{Cluster, Listener, Route};
use prost::Message;
use sha2::{Digest, Sha256};

use crate::convert::{Converted, FromProto, Manifest, ToProto};
use crate::error::WireError;
use crate::kind::Kind;
use crate::limits::FRAGMENT_BYTES;

/// A fragment in model form.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fragment {
    RuleSet(RuleSet),
    WafPolicy(WafPolicy),
    AuthorizationPolicy(AuthorizationPolicy),
    Cluster(Cluster),
    Route(Route),
    Listener(Listener),
}

/// A fragment as it is sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Encoded {
    pub kind: Kind,
    pub name: String,
    pub hash: String,
    pub bytes: Vec<u8>,
}

/// SHA-256, lower-case hex.
pub(crate) fn hash(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// What has a place in a policy: its kind and the name it has among its kind.
pub(crate) trait Part: ToProto {
    const KIND: Kind;
    /// The resource name. Listeners, routes and clusters have no namespace of their own: they lie in the workload's.
    fn resource_name(&self, workload_namespace: &str) -> String;
}

fn document_name(kind: Kind, metadata: &Metadata) -> String {
    format!("{kind}/{}/{}", metadata.namespace, metadata.name)
}

macro_rules! document {
    ($type:ident) => {
        impl Part for $type {
            const KIND: Kind = Kind::$type;

            fn resource_name(&self, _: &str) -> String {
                document_name(Self::KIND, &self.metadata)
            }
        }
    };
}

macro_rules! local {
    ($type:ident) => {
        impl Part for $type {
            const KIND: Kind = Kind::$type;

            fn resource_name(&self, workload_namespace: &str) -> String {
                format!("{}/{workload_namespace}/{}", Self::KIND, self.name)
            }
        }
    };
}

document!(RuleSet);
document!(WafPolicy);
document!(AuthorizationPolicy);
local!(Cluster);
local!(Route);
local!(Listener);

/// Encodes a part of a policy.
pub(crate) fn encode<P>(part: &P, workload_namespace: &str) -> Result<Encoded, WireError>
where
    P: Part<Message: Message>,
{
    let name = part.resource_name(workload_namespace);
    let message = part.to_proto().map_err(|error| WireError::Field { resource: name.clone(), error })?;
    let bytes = message.encode_to_vec();
    bounded(&name, bytes.len())?;
    Ok(Encoded { kind: P::KIND, hash: hash(&bytes), name, bytes })
}

fn bounded(name: &str, bytes: usize) -> Result<(), WireError> {
    match bytes > FRAGMENT_BYTES {
        true => Err(WireError::TooLarge {
            resource: name.to_owned(),
            found: bytes,
            limit: FRAGMENT_BYTES,
            unit: "bytes",
        }),
        false => Ok(()),
    }
}

/// Reads a fragment that came as `name` with the version `version`.
pub(crate) fn decode(
    kind: Kind,
    name: &str,
    version: &str,
    bytes: &[u8],
    workload_namespace: &str,
) -> Result<Fragment, WireError> {
    bounded(name, bytes.len())?;
    let found = hash(bytes);
    if found != version {
        return Err(WireError::Hash {
            resource: name.to_owned(),
            expected: crate::convert::excerpt(version),
            found,
        });
    }
    let namespace = workload_namespace;
    match kind {
        Kind::RuleSet => exactly(name, bytes, namespace).map(Fragment::RuleSet),
        Kind::WafPolicy => exactly(name, bytes, namespace).map(Fragment::WafPolicy),
        Kind::AuthorizationPolicy => exactly(name, bytes, namespace).map(Fragment::AuthorizationPolicy),
        Kind::Cluster => exactly(name, bytes, namespace).map(Fragment::Cluster),
        Kind::Route => exactly(name, bytes, namespace).map(Fragment::Route),
        Kind::Listener => exactly(name, bytes, namespace).map(Fragment::Listener),
        Kind::Manifest => Err(WireError::inconsistent(name, "a manifest is not a fragment")),
    }
}

fn exactly<P, M>(name: &str, bytes: &[u8], workload_namespace: &str) -> Result<P, WireError>
where
    P: Part<Message = M> + FromProto<Message = M>,
    M: Message + Default,
{
    let part: P = understood(name, bytes)?;
    let found = part.resource_name(workload_namespace);
    match found == name {
        true => Ok(part),
        false => Err(WireError::Name { resource: name.to_owned(), found: crate::convert::excerpt(&found) }),
    }
}

/// Reads a message into its model type, and refuses it if the model does not say everything the bytes say.
fn understood<P, M>(name: &str, bytes: &[u8]) -> Result<P, WireError>
where
    P: ToProto<Message = M> + FromProto<Message = M>,
    M: Message + Default,
{
    let resource = || name.to_owned();
    let in_field = |error: FieldError| WireError::Field { resource: resource(), error };
    let message = M::decode(bytes)
        .map_err(|error| WireError::Malformed { resource: resource(), why: error.to_string() })?;
    let value = P::from_proto(message).map_err(in_field)?;
    let again: Converted<M> = value.to_proto();
    match again.map_err(in_field)?.encode_to_vec() == bytes {
        true => Ok(value),
        false => Err(WireError::NotUnderstood { resource: resource() }),
    }
}

/// Encodes a manifest and sets its version.
pub(crate) fn encode_manifest(manifest: &mut Manifest) -> Result<Vec<u8>, WireError> {
    let resource = manifest.workload.to_string();
    let in_field = |error| WireError::Field { resource: resource.clone(), error };
    manifest.version = String::new();
    manifest.version = hash(&manifest.to_proto().map_err(in_field)?.encode_to_vec());
    let bytes = manifest.to_proto().map_err(in_field)?.encode_to_vec();
    bounded(&resource, bytes.len())?;
    Ok(bytes)
}

/// Reads a manifest and checks its version.
pub(crate) fn decode_manifest(name: &str, version: &str, bytes: &[u8]) -> Result<Manifest, WireError> {
    bounded(name, bytes.len())?;
    let manifest: Manifest = understood(name, bytes)?;
    let mut again = manifest.clone();
    encode_manifest(&mut again)?;
    if again.version != manifest.version || version != manifest.version {
        return Err(WireError::Hash {
            resource: name.to_owned(),
            expected: crate::convert::excerpt(version),
            found: again.version,
        });
    }
    if manifest.workload.to_string() != name {
        return Err(WireError::Name { resource: name.to_owned(), found: manifest.workload.to_string() });
    }
    Ok(manifest)
}
