//! `@rxGlobal`: like `@rx`, but every match counts; a later match's groups replace an earlier one's.

use super::{Captures, Interner};
use std::sync::Arc;

use regex_automata::meta::Regex;

/// Matches of one value that are looked at: the last of them is captured, and more tell a rule nothing new.
const MATCHES: usize = 1000;

/// A compiled expression.
#[derive(Clone, Debug)]
pub(super) struct RxGlobal {
    regex: Arc<Regex>,
}

impl RxGlobal {
    pub(super) fn compile(pattern: &str, interner: &mut Interner) -> Result<Self, String> {
        Ok(Self { regex: interner.pattern(pattern)? })
    }

    pub(super) fn matches(&self, value: &[u8], captures: Option<&mut Captures>) -> bool {
        let Some(captures) = captures else { return self.regex.is_match(value) };
        let mut matched = false;
        for groups in self.regex.captures_iter(value).take(MATCHES) {
            matched = true;
            for (group, span) in groups.iter().enumerate() {
                if let Some(bytes) = span.and_then(|span| value.get(span.range())) {
                    captures.set(group, bytes);
                }
            }
        }
        matched
    }
}
