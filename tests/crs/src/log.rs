//! Matched rules as log lines, in the form in which ModSecurity writes them: `[id "942100"] [msg "…"] [data "…"] …`.

use palisade_model::record::RuleMatch;

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
}
