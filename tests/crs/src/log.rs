//! Matched rules as log lines, in the form in which ModSecurity writes them: `[id "942100"] [msg "…"] [data "…"] …`.

use palisade_model::record::RuleMatch;
use serde_json::Value;

/// A rule that matched.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its id.
    pub id: u64,
    /// The line.
    pub text: String,
}

impl Line {
    /// The line of a match.
    pub fn of(found: &RuleMatch) -> Self {
        let mut text = format!("Palisade: Warning. Matched at {}.", found.target);
        let mut part = |name: &str, value: &str| text.push_str(&format!(" [{name} \"{value}\"]"));
        part("id", &found.id.to_string());
        part("msg", &found.message);
        if let Some(severity) = &found.severity {
            part("severity", severity);
        }
        for tag in &found.tags {
            part("tag", tag);
        }
        Self { id: found.id, text }
    }

    /// The lines of an audited exchange, as the audit log has them.
    pub fn audited(line: &Value) -> Vec<Self> {
        let matches =
            line.pointer("/H/matches").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let line = |found: &Value| {
            let text = found.get("message")?.as_str()?.to_owned();
            Some(Self { id: found.get("id")?.as_u64()?, text })
        };
        matches.iter().filter_map(line).collect()
    }
}
