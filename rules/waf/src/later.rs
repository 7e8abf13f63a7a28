//! Which names of `TX` rules of later phases may read, so that a request that waits for its response does not hold the
//! others: the Core Rule Set makes some for each argument, and reads them in the same phase.
//!
//! Promise: what any later rule, or the audit log, could read of `TX` by its name, its beginning or an expression is
//! told; too much is, where a name is only known when the rule runs. Names of a rule set's own have slots and stay
//! anyway.

use std::sync::Arc;

use bytes::Bytes;
use palisade_seclang::VariableKind;
use regex_automata::meta::Regex;

use crate::audit::SCORES;
use crate::engine::{Action, Change, Engine, Link, Rule};
use crate::values::{Selector, Target};

/// What the rules after one phase may read of `TX`.
#[derive(Debug, Default)]
pub(crate) struct Later {
    /// In lower case, ascending.
    names: Vec<Bytes>,
    /// In lower case.
    beginnings: Vec<Bytes>,
    expressions: Vec<Arc<Regex>>,
}

impl Later {
    /// What is read after each phase.
    pub(crate) fn of(engine: &Engine) -> [Self; 5] {
        [1, 2, 3, 4, 5].map(|phase| {
            let mut later = Self::default();
            later.names.extend(SCORES.map(|name| Bytes::from_static(name.as_bytes())));
            let rules = engine.rules.iter().filter(|rule| rule.phase as usize > phase);
            rules.for_each(|rule| later.add(rule));
            later.names.sort_unstable();
            later.names.dedup();
            later.names.shrink_to_fit();
            later
        })
    }

    /// Whether a name, in lower case, may be read.
    pub(crate) fn reads(&self, name: &[u8]) -> bool {
        self.names.binary_search_by(|known| known.as_ref().cmp(name)).is_ok()
            || self.beginnings.iter().any(|start| name.starts_with(start))
            || self.expressions.iter().any(|expression| expression.is_match(name))
    }

    fn add(&mut self, rule: &Rule) {
        for member in rule.macros().flat_map(|text| text.members_of(VariableKind::Tx)) {
            match member {
                Some(name) => self.add_name(name),
                None => self.beginnings.push(Bytes::new()),
            }
        }
        rule.links.iter().for_each(|link| self.add_link(link));
    }

    fn add_link(&mut self, link: &Link) {
        for Target { selector, .. } in
            link.targets.iter().filter(|target| target.variable == VariableKind::Tx)
        {
            match selector {
                Selector::All => self.beginnings.push(Bytes::new()),
                Selector::Exact(name) => self.add_name(name),
                Selector::Beginning(start) => self.beginnings.push(start.clone()),
                Selector::Regex(expression) => self.expressions.push(expression.clone()),
            }
        }
        for action in &link.actions {
            // What is added to is read.
            if let Action::Set { collection: VariableKind::Tx, key, change: Change::By(..) } = action {
                match key.literal() {
                    Some(name) => self.add_name(&name),
                    None => self.beginnings.push(key.beginning().to_ascii_lowercase().into()),
                }
            }
        }
    }

    fn add_name(&mut self, name: &[u8]) {
        self.names.push(name.to_ascii_lowercase().into());
    }
}

#[cfg(test)]
mod tests {
    use palisade_model::documents::{Metadata, RuleSet, RuleSetSpec, SourceFile, WafPolicySpec};

    use super::*;

    /// What is read after the second phase.
    fn later(rules: &str) -> Later {
        let source = SourceFile { name: "test.conf".into(), text: rules.into() };
        let set = RuleSet {
            api_version: String::new(),
            kind: String::new(),
            metadata: Metadata::default(),
            spec: RuleSetSpec { sources: vec![source], ..RuleSetSpec::default() },
        };
        let engine = Engine::compile_slow(&set, &WafPolicySpec::of("test")).unwrap();
        let [_, second, ..] = Later::of(&engine);
        second
    }

    #[test]
    fn whatever_a_later_rule_could_read_is_told() {
        for rule in [
            "SecRule TX:Count_ARGS:a \"@gt 1\" \"id:1,phase:3,pass\"",
            "SecRule &TX:count_args:a \"@gt 1\" \"id:1,phase:5,pass\"",
            "SecRule TX:/^count_/ \"@gt 1\" \"id:1,phase:3,pass\"",
            "SecRule TX \"@gt 1\" \"id:1,phase:4,pass\"",
            "SecRule &TX \"@gt 1\" \"id:1,phase:4,pass\"",
            "SecRule ARGS \"@rx a\" \"id:1,phase:3,pass,chain\"\nSecRule TX:count_args:a \"@gt 1\"",
            "SecRule ARGS \"@gt %{tx.count_args:a}\" \"id:1,phase:3,pass\"",
            "SecAction \"id:1,phase:3,pass,msg:'%{TX.count_args:a}'\"",
            "SecAction \"id:1,phase:3,pass,logdata:'%{TX.count_args:a}',log,auditlog\"",
            "SecAction \"id:1,phase:3,pass,tag:'%{TX.count_args:a}'\"",
            "SecAction \"id:1,phase:3,status:302,redirect:'/%{tx.count_args:a}'\"",
            "SecAction \"id:1,phase:3,pass,setvar:'tx.other=%{tx.count_args:a}'\"",
            "SecAction \"id:1,phase:3,pass,setvar:'tx.count_args:a=+1'\"",
            "SecAction \"id:1,phase:3,pass,setvar:'tx.COUNT_%{tx.other}=+1'\"",
        ] {
            assert!(later(rule).reads(b"count_args:a"), "{rule}");
        }
    }

    #[test]
    fn what_no_later_rule_reads_is_not() {
        for rule in [
            "SecRule TX:/^count_/ \"@gt 1\" \"id:1,phase:2,pass\"",
            "SecRule TX:count_args:b|TX:/^countless/|!TX:count_args:a \"@gt 1\" \"id:1,phase:3,pass\"",
            "SecAction \"id:1,phase:3,pass,setvar:'tx.count_args:a=1',setvar:'tx.number_%{tx.other}=+1'\"",
        ] {
            assert!(!later(rule).reads(b"count_args:a"), "{rule}");
        }
        assert!(later("").reads(b"blocking_inbound_anomaly_score"), "the audit log tells it");
    }
}
