//! Who: the principal of a peer and the name of a workload.
//!
//! A [`Principal`] is always complete and well formed; the parser of SPIFFE URIs is `palisade-identity`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The identity of a peer, as attested by its X.509-SVID: `spiffe://<trust-domain>/ns/<namespace>/sa/<service-account>`.
///
/// Displayed as Istio writes principals: without the `spiffe://` scheme.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Principal {
    trust_domain: String,
    namespace: String,
    service_account: String,
}

/// Why a text is not a principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidPrincipal(pub &'static str);

impl fmt::Display for InvalidPrincipal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "not a principal of the form <trust-domain>/ns/<namespace>/sa/<service-account>: {}",
            self.0
        )
    }
}

impl std::error::Error for InvalidPrincipal {}

impl Principal {
    /// Builds a principal from its three parts.
    ///
    /// Trust domain: lower-case letters, digits, `.`, `-`, `_` (SPIFFE-ID §2.1); path segments: letters, digits,
    /// `.`, `-`, `_`, and never `.` or `..` (SPIFFE-ID §2.2).
    pub fn new(trust_domain: &str, namespace: &str, service_account: &str) -> Result<Self, InvalidPrincipal> {
        let domain_ok =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
        if trust_domain.is_empty() || trust_domain.len() > 255 || !trust_domain.bytes().all(domain_ok) {
            return Err(InvalidPrincipal("trust domain"));
        }
        segment(namespace).map_err(|()| InvalidPrincipal("namespace"))?;
        segment(service_account).map_err(|()| InvalidPrincipal("service account"))?;
        Ok(Self {
            trust_domain: trust_domain.to_owned(),
            namespace: namespace.to_owned(),
            service_account: service_account.to_owned(),
        })
    }

    /// The trust domain, e.g. `cluster.local`.
    pub fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The service account.
    pub fn service_account(&self) -> &str {
        &self.service_account
    }

    /// The SPIFFE ID as a URI.
    pub fn spiffe_uri(&self) -> String {
        format!("spiffe://{self}")
    }
}

fn segment(text: &str) -> Result<(), ()> {
    let ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    if text.is_empty() || text == "." || text == ".." || text.len() > 253 || !text.bytes().all(ok) {
        return Err(());
    }
    Ok(())
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/ns/{}/sa/{}", self.trust_domain, self.namespace, self.service_account)
    }
}

impl std::str::FromStr for Principal {
    type Err = InvalidPrincipal;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(domain), Some("ns"), Some(namespace), Some("sa"), Some(account), None) => {
                Self::new(domain, namespace, account)
            }
            _ => Err(InvalidPrincipal("shape")),
        }
    }
}

impl TryFrom<String> for Principal {
    type Error = InvalidPrincipal;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Principal> for String {
    fn from(principal: Principal) -> Self {
        principal.to_string()
    }
}

/// The full name of a workload. Keys carry all four parts from the first table on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct WorkloadId {
    /// The cluster it runs in.
    #[serde(default = "default_part")]
    pub cluster: String,
    /// The tenant it belongs to.
    #[serde(default = "default_part")]
    pub tenant: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name within the namespace.
    pub name: String,
}

/// Cluster and tenant of whoever has only one of each.
pub const DEFAULT_PART: &str = "default";

fn default_part() -> String {
    DEFAULT_PART.to_owned()
}

impl WorkloadId {
    /// A workload of the default cluster and tenant.
    pub fn local(namespace: &str, name: &str) -> Self {
        Self {
            cluster: default_part(),
            tenant: default_part(),
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for WorkloadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.cluster, self.tenant, self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_survives_a_round_trip() {
        let principal: Principal = "cluster.local/ns/shop/sa/web-1".parse().unwrap();
        assert_eq!(principal.to_string(), "cluster.local/ns/shop/sa/web-1");
        assert_eq!(principal.spiffe_uri(), "spiffe://cluster.local/ns/shop/sa/web-1");
    }

    #[test]
    fn malformed_principals_are_refused() {
        for text in [
            "",
            "a",
            "td/ns/a/sa/",
            "td/ns//sa/b",
            "td/ns/a/sa/b/..",
            "td/ns/a/sa/..",
            "TD/ns/a/sa/b",
            "td/ns/a/sa/b\0",
            "td/ns/a%2f/sa/b",
            "td/sa/a/ns/b",
            "td/ns/a/sa/b/c",
            "*/ns/a/sa/b",
            "td/ns/a b/sa/c",
        ] {
            assert!(text.parse::<Principal>().is_err(), "{text:?} was taken for a principal");
        }
    }
}
