//! The version of a policy: a hash of what it says, so that equal policies have equal versions everywhere.

use palisade_model::Policy;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// SHA-256 over the policy's canonical JSON (keys in the order of their bytes, no blanks), 64 hexadecimal digits.
pub fn version_of(policy: &Policy) -> String {
    // A policy is plain data with text keys: serialising it cannot fail.
    let value = serde_json::to_value(policy).unwrap_or_default();
    let mut text = String::new();
    write(&value, &mut text);
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes canonical JSON. `serde_json`'s own order of keys depends on a feature that any dependency may switch on.
fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            text.push('{');
            for (index, (key, value)) in entries.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&Value::String(key.clone()).to_string());
                text.push(':');
                write(value, text);
            }
            text.push('}');
        }
        Value::Array(list) => {
            text.push('[');
            for (index, value) in list.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write(value, text);
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use palisade_model::WorkloadId;

    use super::*;

    #[test]
    fn equal_policies_have_equal_versions_and_every_change_changes_it() {
        let policy = Policy::empty(WorkloadId::local("shop", "payments"));
        let version = version_of(&policy);
        assert_eq!(version.len(), 64);
        assert_eq!(version, version_of(&policy.clone()));
        let mut open = policy.clone();
        open.fail_open = true;
        let mut other = policy.clone();
        other.workload.name = "catalog".into();
        let mut limits = policy;
        limits.limits.uri_bytes += 1;
        let versions = [version, version_of(&open), version_of(&other), version_of(&limits)];
        let distinct: std::collections::BTreeSet<&String> = versions.iter().collect();
        assert_eq!(distinct.len(), versions.len());
    }

    #[test]
    fn keys_are_sorted_whatever_the_map_remembers() {
        let value: Value = serde_json::from_str(r#"{"b":[1,{"z":null,"a":"\u00e4\""}],"a":true}"#).unwrap();
        let mut text = String::new();
        write(&value, &mut text);
        assert_eq!(text, r#"{"a":true,"b":[1,{"a":"ä\"","z":null}]}"#);
    }
}
