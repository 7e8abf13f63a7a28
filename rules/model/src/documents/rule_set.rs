//! `RuleSet` (`palisade.dev/v1alpha1`): SecLang sources with their data files, complete in itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Metadata;

/// The document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleSet {
    /// `palisade.dev/v1alpha1`
    pub api_version: String,
    /// `RuleSet`
    pub kind: String,
    /// Name and namespace.
    pub metadata: Metadata,
    /// The text.
    pub spec: RuleSetSpec,
}

/// The text of a rule set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleSetSpec {
    /// Rule files in the order in which they are read.
    pub sources: Vec<SourceFile>,
    /// Data files (`@pmFromFile`, `@ipMatchFromFile`) by the relative name that rules use.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, String>,
}

/// One rule file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourceFile {
    /// The name diagnostics show.
    pub name: String,
    /// SecLang.
    pub text: String,
}
