//! What a transaction tells about its matches: records and explanations, never a matched byte.
//!
//! Messages of rules may hold `%{MATCHED_VAR}` and the like. Here a macro shows its value only if that is a name, a
//! score or part of the rule; everything else shows as `…`.

use bytes::Bytes;
use palisade_model::audit::REDACTED;
use palisade_model::record::RuleMatch;
use palisade_seclang::{EngineMode, VariableKind};

use crate::audit::shown;
use crate::engine::Rule;
use crate::limits::{MATCHES, MESSAGE_BYTES, TARGET_NAME_BYTES};
use crate::macros::Macro;
use crate::transaction::Transaction;

/// Matches that an explanation names; the record has them all.
const EXPLAINED_MATCHES: usize = 8;

impl Transaction {
    /// Records a complete match.
    pub(crate) fn record(&mut self, rule: &Rule) {
        if self.matches.len() >= MATCHES {
            return;
        }
        let target = self.state.matched.last();
        self.matches.push(RuleMatch {
            id: rule.id,
            phase: rule.phase as u8,
            message: self.describe(&rule.message),
            severity: rule.severity.map(|severity| severity.name().to_owned()),
            tags: rule.tags.iter().map(|tag| self.describe(tag)).collect(),
            target: target.map(|value| shown(&value.name(), TARGET_NAME_BYTES)).unwrap_or_default(),
            detect_only: rule.detect_only || self.mode != EngineMode::On,
        });
    }

    /// Why a rule ended the transaction: its message, and what matched before it.
    pub(crate) fn explain(&self, rule: &Rule) -> String {
        let mut explanation = self.describe(&rule.message);
        if explanation.is_empty() {
            explanation = format!("rule {} matched", rule.id);
        }
        let earlier = self.matches.iter().filter(|found| found.id != rule.id && !found.detect_only);
        let named: Vec<String> = earlier
            .clone()
            .take(EXPLAINED_MATCHES)
            .map(|found| format!("{} {} at {}", found.id, found.message, found.target))
            .collect();
        if named.is_empty() {
            if let Some(value) = self.state.matched.last() {
                explanation.push_str(" at ");
                explanation.push_str(&shown(&value.name(), TARGET_NAME_BYTES));
            }
            return explanation;
        }
        explanation.push_str("; matched ");
        explanation.push_str(&named.join("; "));
        let more = earlier.count().saturating_sub(EXPLAINED_MATCHES);
        if more > 0 {
            explanation.push_str(&format!("; and {more} more"));
        }
        explanation
    }

    /// A text without matched bytes.
    fn describe(&self, text: &Macro) -> String {
        shown(&self.expand_for_show(text, false), MESSAGE_BYTES)
    }

    /// An expanded text; with matched bytes only if `all` of it may be shown.
    pub(crate) fn expand_for_show(&self, text: &Macro, all: bool) -> Bytes {
        let expanded = text.expand(|variable, key| {
            let value = self.state.first(variable, key)?;
            let may = all || may_be_shown(variable, key, &value);
            Some(if may { value } else { Bytes::from_static(REDACTED.as_bytes()) })
        });
        expanded.unwrap_or_default()
    }
}

/// Names of `TX` variables that rules count in, or pieces of them. Others may hold what a client sent, of which even
/// digits may be a secret.
const COUNTERS: [&[u8]; 3] = [b"score", b"threshold", b"level"];

/// Digits of a number that is shown.
const COUNTER_DIGITS: usize = 10;

fn may_be_shown(variable: VariableKind, key: Option<&Bytes>, value: &[u8]) -> bool {
    use VariableKind as V;
    match variable {
        V::Rule | V::UniqueId | V::MatchedVarName | V::HighestSeverity => true,
        V::ReqbodyProcessor | V::RequestMethod | V::RequestProtocol | V::ResponseStatus => true,
        V::Tx => {
            let counts = |name: &Bytes| {
                let name = name.to_ascii_lowercase();
                COUNTERS.iter().any(|piece| memchr::memmem::find(&name, piece).is_some())
            };
            let number = value.len() <= COUNTER_DIGITS && value.iter().all(u8::is_ascii_digit);
            number && key.is_some_and(counts)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_and_scores_are_shown() {
        let tx = |name: &'static str, value: &str| {
            may_be_shown(VariableKind::Tx, Some(&Bytes::from_static(name.as_bytes())), value.as_bytes())
        };
        assert!(tx("INBOUND_Anomaly_SCORE", "15"));
        assert!(tx("score", "1234567890") && !tx("score", "12345678901"), "at the limit and one over");
        assert!(!tx("score", "' or 1=1"));
        assert!(!tx("0", "4111111111111111") && !tx("pin", "1234"), "digits may be a secret");
        assert!(!may_be_shown(VariableKind::MatchedVar, None, b"1234"));
        assert!(may_be_shown(VariableKind::MatchedVarName, None, b"ARGS:q"));
    }
}
