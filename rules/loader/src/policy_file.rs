//! The policy file of a standalone proxy (`palisade-proxy --policy FILE`), described in `docs/policy-file.md`.
//!
//! It is what `palisade render` prints (`kind: Policy` with the fields of a policy), plus what only the process needs:
//! identity, certificates, the admin address, and rule sets by path.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use palisade_model::documents::{AuthorizationPolicy, KINDS, Metadata, RuleSet, WafPolicy};
use palisade_model::policy::{Cluster, Listener, ListenerRole, ROOT_NAMESPACE, Route};
use palisade_model::{Limits, Policy, WorkloadId};
use serde::{Deserialize, Serialize};

use crate::documents::check_version;
use crate::file::read_text;
use crate::limits::MAX_FILE_BYTES;
use crate::yaml::{self, Text};
use crate::{LoadError, default_rules, rule_set, version_of};

/// `apiVersion` of a policy file.
pub const API_VERSION: &str = "palisade.dev/v1alpha1";
/// `kind` of a policy file.
pub const KIND: &str = "Policy";

/// A policy file that was read, with everything it names by path.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyFile {
    /// The policy; its `rule_sets` hold those by path too.
    pub policy: Policy,
    /// [`version_of`] the policy.
    pub version: String,
    /// Who the proxy is.
    pub identity: Option<IdentityFiles>,
    /// The directory of a gateway's certificates.
    pub certificates: Option<PathBuf>,
    /// Where the admin pages are served.
    pub admin: Option<SocketAddr>,
    /// The directories of rule sets by path: what to watch beside the file itself.
    pub rule_set_directories: Vec<PathBuf>,
}

/// PEM files of an identity. Relative paths in the file are relative to it; these are complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFiles {
    /// The X.509-SVID with its intermediates.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The roots that peers' SVIDs are verified with.
    pub trust_bundle: PathBuf,
    /// The trust domain of the roots.
    pub trust_domain: String,
}

/// The file as it is written. It lists the fields of [`Policy`] again, because serde cannot both flatten a struct and
/// refuse unknown fields; `into_policy` does not compile if one is missing.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    api_version: String,
    kind: String,
    workload: WorkloadId,
    #[serde(default)]
    required_features: BTreeSet<String>,
    #[serde(default)]
    fail_open: bool,
    #[serde(default)]
    root_namespace: Option<String>,
    #[serde(default)]
    authorization: Vec<AuthorizationPolicy>,
    #[serde(default)]
    waf: Vec<WafPolicy>,
    #[serde(default)]
    rule_sets: Vec<RuleSet>,
    #[serde(default)]
    listeners: Vec<Listener>,
    #[serde(default)]
    routes: Vec<Route>,
    #[serde(default)]
    clusters: Vec<Cluster>,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    identity: Option<WrittenIdentity>,
    #[serde(default)]
    certificates: Option<PathBuf>,
    #[serde(default)]
    admin: Option<SocketAddr>,
    #[serde(default)]
    rule_set_paths: Vec<RuleSetPath>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WrittenIdentity {
    certificate: PathBuf,
    key: PathBuf,
    trust_bundle: PathBuf,
    trust_domain: String,
}

/// A rule set by path.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RuleSetPath {
    name: String,
    #[serde(default)]
    namespace: Option<String>,
    directory: PathBuf,
    include: Vec<String>,
}

/// A policy as a policy file: what `palisade render` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rendered<'a> {
    api_version: &'a str,
    kind: &'a str,
    #[serde(flatten)]
    policy: &'a Policy,
}

/// Reads a policy file and everything it names by path, but the PEM files (the proxy watches those by itself).
pub fn load(path: &Path) -> Result<PolicyFile, LoadError> {
    let text = read_text(path, MAX_FILE_BYTES)?;
    parse(&path.display().to_string(), &text, path.parent().unwrap_or(Path::new("")))
}

/// Reads the text of a policy file. Relative paths in it begin at `directory`.
pub fn parse(file_name: &str, text: &str, directory: &Path) -> Result<PolicyFile, LoadError> {
    if text.len() > MAX_FILE_BYTES {
        let problem = format!("{} bytes; {MAX_FILE_BYTES} are allowed", text.len());
        return Err(LoadError::file(file_name, problem));
    }
    let place = Text { file: file_name, text, lines_before: 0 };
    let mut written: Written = yaml::read(place)?;
    if written.kind != KIND {
        let problem = format!("{:?} is not a policy file; kind: {KIND} is", written.kind);
        return Err(crate::documents::at_key(place, "kind", problem));
    }
    check_version(place, Some(&written.api_version), KIND, API_VERSION)?;
    let mut rule_set_directories = Vec::new();
    for by_path in std::mem::take(&mut written.rule_set_paths) {
        let (rule_set, read_from) = by_path.read(directory)?;
        written.rule_sets.push(rule_set);
        rule_set_directories.push(read_from);
    }
    add_default_rules(&mut written);
    check(file_name, &written)?;
    let identity = written.identity.take().map(|identity| IdentityFiles {
        certificate: directory.join(identity.certificate),
        key: directory.join(identity.key),
        trust_bundle: directory.join(identity.trust_bundle),
        trust_domain: identity.trust_domain,
    });
    let certificates = written.certificates.take().map(|certificates| directory.join(certificates));
    let admin = written.admin;
    let policy = written.into_policy();
    let version = version_of(&policy);
    Ok(PolicyFile { policy, version, identity, certificates, admin, rule_set_directories })
}

/// A policy as the text of a policy file.
pub fn render(policy: &Policy) -> Result<String, LoadError> {
    let rendered = Rendered { api_version: API_VERSION, kind: KIND, policy };
    serde_saphyr::to_string(&rendered).map_err(|error| LoadError::file("policy", error))
}

impl Written {
    fn into_policy(self) -> Policy {
        Policy {
            workload: self.workload,
            required_features: self.required_features,
            fail_open: self.fail_open,
            root_namespace: self.root_namespace.unwrap_or_else(|| ROOT_NAMESPACE.to_owned()),
            authorization: self.authorization,
            waf: self.waf,
            rule_sets: self.rule_sets,
            listeners: self.listeners,
            routes: self.routes,
            clusters: self.clusters,
            limits: self.limits,
        }
    }
}

impl RuleSetPath {
    fn read(self, base: &Path) -> Result<(RuleSet, PathBuf), LoadError> {
        let directory = base.join(self.directory);
        let mut metadata = Metadata { name: self.name, ..Metadata::default() };
        metadata.namespace = self.namespace.unwrap_or_else(|| "default".to_owned());
        Ok((rule_set::read(&directory, &self.include, metadata)?, directory))
    }
}

/// Adds the rule set that comes with Palisade for policies that ask for it, unless the file brings its own.
fn add_default_rules(written: &mut Written) {
    for wanted in written.waf.iter().filter_map(default_rules::wanted_by) {
        let same = |set: &RuleSet| {
            set.metadata.name == wanted.metadata.name && set.metadata.namespace == wanted.metadata.namespace
        };
        if !written.rule_sets.iter().any(same) {
            written.rule_sets.push(wanted);
        }
    }
}

/// What the types alone cannot say: names are unique, and what is named exists.
fn check(file: &str, written: &Written) -> Result<(), LoadError> {
    unique(file, "listeners", written.listeners.iter().map(|listener| listener.name.clone()))?;
    unique(file, "clusters", written.clusters.iter().map(|cluster| cluster.name.clone()))?;
    unique(file, "routes", written.routes.iter().map(|route| route.name.clone()))?;
    let rule_sets =
        written.rule_sets.iter().map(|set| format!("{}/{}", set.metadata.namespace, set.metadata.name));
    unique(file, "ruleSets", rule_sets)?;
    let has_cluster = |name: &str| written.clusters.iter().any(|cluster| cluster.name == name);
    for (index, listener) in written.listeners.iter().enumerate() {
        if let ListenerRole::OutboundTcp { cluster } = &listener.role
            && !has_cluster(cluster)
        {
            let path = format!("listeners[{index}].role.outboundTcp.cluster");
            return Err(LoadError::field(file, path, format!("no cluster is named {cluster:?}")));
        }
    }
    for (index, route) in written.routes.iter().enumerate() {
        for (at, backend) in route.backends.iter().enumerate() {
            if !has_cluster(&backend.cluster) {
                let path = format!("routes[{index}].backends[{at}].cluster");
                return Err(LoadError::field(
                    file,
                    path,
                    format!("no cluster is named {:?}", backend.cluster),
                ));
            }
        }
        for (at, listener) in route.listeners.iter().enumerate() {
            if !written.listeners.iter().any(|known| known.name == *listener) {
                let path = format!("routes[{index}].listeners[{at}]");
                return Err(LoadError::field(file, path, format!("no listener is named {listener:?}")));
            }
        }
    }
    check_headers(file, written)
}

/// The documents inside carry the kind and version of their place.
fn check_headers(file: &str, written: &Written) -> Result<(), LoadError> {
    let authorization = written.authorization.iter().map(|it| ("authorization", &it.api_version, &it.kind));
    let waf = written.waf.iter().map(|it| ("waf", &it.api_version, &it.kind));
    let rule_sets = written.rule_sets.iter().map(|it| ("ruleSets", &it.api_version, &it.kind));
    let mut seen: (&str, usize) = ("", 0);
    for (list, version, kind) in authorization.chain(waf).chain(rule_sets) {
        seen = if seen.0 == list { (list, seen.1 + 1) } else { (list, 0) };
        let expected = match list {
            "authorization" => "AuthorizationPolicy",
            "waf" => "WafPolicy",
            _ => "RuleSet",
        };
        let known = KINDS.iter().find(|(name, _)| *name == expected).map_or("", |(_, version)| *version);
        let index = seen.1;
        if kind != expected {
            let problem = format!("{kind:?} stands where a {expected} is expected");
            return Err(LoadError::field(file, format!("{list}[{index}].kind"), problem));
        }
        if version != known {
            let problem = format!("{version:?} is not the version of {expected}; {known} is");
            return Err(LoadError::field(file, format!("{list}[{index}].apiVersion"), problem));
        }
    }
    Ok(())
}

fn unique(file: &str, list: &str, names: impl Iterator<Item = String>) -> Result<(), LoadError> {
    let mut seen = BTreeSet::new();
    for (index, name) in names.enumerate() {
        if !seen.insert(name.clone()) {
            let problem = format!("{name:?} is taken by an earlier entry");
            return Err(LoadError::field(file, format!("{list}[{index}]"), problem));
        }
    }
    Ok(())
}
