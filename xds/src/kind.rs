//! The resource types of `palisade.v1` and the names of their resources.
//!
//! Promises: a type URL maps to one kind and back; an unknown one maps to none, which is refused where it stands in
//! a security position. The order of [`Kind::FRAGMENTS`] is the order in which fragments are sent, so that what is
//! named is there before what names it.

use palisade_model::WorkloadId;

/// A type of resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The list of fragments of one workload's policy.
    Manifest,
    /// `RuleSet`
    RuleSet,
    /// `WafPolicy`
    WafPolicy,
    /// `AuthorizationPolicy`
    AuthorizationPolicy,
    /// `Cluster`
    Cluster,
    /// `Route`
    Route,
    /// `Listener`
    Listener,
}

impl Kind {
    /// The kinds of fragments, in the order in which they are sent.
    pub const FRAGMENTS: [Self; 6] = [
        Self::RuleSet,
        Self::WafPolicy,
        Self::AuthorizationPolicy,
        Self::Cluster,
        Self::Route,
        Self::Listener,
    ];

    /// The kind's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manifest => "Manifest",
            Self::RuleSet => "RuleSet",
            Self::WafPolicy => "WafPolicy",
            Self::AuthorizationPolicy => "AuthorizationPolicy",
            Self::Cluster => "Cluster",
            Self::Route => "Route",
            Self::Listener => "Listener",
        }
    }

    /// Its `type_url` on the wire.
    pub fn type_url(self) -> &'static str {
        match self {
            Self::Manifest => "type.googleapis.com/palisade.v1.Manifest",
            Self::RuleSet => "type.googleapis.com/palisade.v1.RuleSet",
            Self::WafPolicy => "type.googleapis.com/palisade.v1.WafPolicy",
            Self::AuthorizationPolicy => "type.googleapis.com/palisade.v1.AuthorizationPolicy",
            Self::Cluster => "type.googleapis.com/palisade.v1.Cluster",
            Self::Route => "type.googleapis.com/palisade.v1.Route",
            Self::Listener => "type.googleapis.com/palisade.v1.Listener",
        }
    }

    /// The kind of a `type_url`; none if it is not ours.
    pub fn from_type_url(type_url: &str) -> Option<Self> {
        std::iter::once(Self::Manifest).chain(Self::FRAGMENTS).find(|kind| kind.type_url() == type_url)
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The workload a resource or node name `cluster/tenant/namespace/name` stands for; none if it has another shape.
pub fn parse_workload(text: &str) -> Option<WorkloadId> {
    let mut parts = text.split('/');
    let (cluster, tenant, namespace, name) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let complete = [cluster, tenant, namespace, name].iter().all(|part| !part.is_empty());
    if !complete || parts.next().is_some() {
        return None;
    }
    Some(WorkloadId {
        cluster: cluster.into(),
        tenant: tenant.into(),
        namespace: namespace.into(),
        name: name.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generated as pb;
    use prost::Name;

    #[test]
    fn type_urls_are_those_of_the_protos_and_map_back() {
        let generated = [
            (Kind::Manifest, pb::Manifest::type_url()),
            (Kind::RuleSet, pb::RuleSet::type_url()),
            (Kind::WafPolicy, pb::WafPolicy::type_url()),
            (Kind::AuthorizationPolicy, pb::AuthorizationPolicy::type_url()),
            (Kind::Cluster, pb::Cluster::type_url()),
            (Kind::Route, pb::Route::type_url()),
            (Kind::Listener, pb::Listener::type_url()),
        ];
        assert_eq!(generated.len(), Kind::FRAGMENTS.len() + 1);
        for (kind, url) in generated {
            assert_eq!(kind.type_url(), url);
            assert_eq!(Kind::from_type_url(&url), Some(kind));
        }
        assert_eq!(Kind::from_type_url("type.googleapis.com/envoy.config.cluster.v3.Cluster"), None);
        assert_eq!(Kind::from_type_url("/palisade.v1.Route"), None);
    }

    #[test]
    fn a_workload_name_has_four_parts() {
        let id = WorkloadId::local("shop", "web");
        assert_eq!(parse_workload(&id.to_string()), Some(id));
        for text in ["", "a", "a/b/c", "a/b/c/d/e", "a//c/d", "a/b/c/", "/b/c/d"] {
            assert_eq!(parse_workload(text), None, "{text:?}");
        }
    }
}
