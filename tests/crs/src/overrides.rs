//! The reviewed list of tests that a strict front end answers with a refusal before any rule runs.
//!
//! An entry that is not needed any more is an error, and so is one that names no test of a file that is there.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::suite::Named;

/// How many there may be in the whole suite; more, and it is not the Core Rule Set that is run.
pub const MOST: usize = 30;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    test: String,
    reason: String,
}

/// The list, with a reason each.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    reasons: BTreeMap<String, String>,
}

impl Overrides {
    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> Result<Self> {
        let entries: Vec<Entry> = serde_saphyr::from_str(text)?;
        let mut reasons = BTreeMap::new();
        for Entry { test, reason } in entries {
            ensure!(reason.len() > 10, "{test}: a reason is expected");
            ensure!(reasons.insert(test.clone(), reason).is_none(), "{test} is there twice");
        }
        ensure!(reasons.len() <= MOST, "{} overrides; {MOST} are allowed", reasons.len());
        Ok(Self { reasons })
    }

    /// Why a test is overridden, if it is.
    pub fn reason(&self, test: &str) -> Option<&str> {
        self.reasons.get(test).map(String::as_str)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.reasons.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.reasons.is_empty()
    }

    /// Entries for rules that the suite has tests for, that name none of those tests.
    pub fn unknown(&self, suite: &[Named]) -> Vec<String> {
        let names_rule = |name: &str, rule: u64| name.split('-').next() == Some(&rule.to_string());
        let known = |name: &str| suite.iter().any(|test| test.name == name);
        let there = |name: &str| suite.iter().any(|test| names_rule(name, test.rule));
        self.reasons.keys().filter(|name| there(name) && !known(name)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read_and_bounded_at_under_and_over() {
        let list = |count: usize| -> String {
            (0..count).map(|n| format!("- {{test: 1-{n}, reason: no HTTP version}}\n")).collect()
        };
        assert_eq!(Overrides::parse(&list(MOST - 1)).unwrap().len(), MOST - 1);
        assert_eq!(Overrides::parse(&list(MOST)).unwrap().len(), MOST);
        assert!(Overrides::parse(&list(MOST + 1)).is_err());
        assert!(Overrides::parse("- {test: 1-1, reason: x}").is_err(), "without a reason");
    }

    #[test]
    fn an_entry_for_no_test_of_a_file_that_is_there_is_unknown() {
        let overrides = Overrides::parse(
            "- {test: 1-2, reason: no HTTP version}\n- {test: 2-1, reason: no HTTP version}",
        );
        let suite = [Named { name: "1-1".into(), rule: 1, stages: Err(String::new()) }];
        assert_eq!(overrides.unwrap().unknown(&suite), ["1-2"]);
    }
}
