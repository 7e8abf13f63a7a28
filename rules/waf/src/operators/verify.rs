//! What the `@verify…` operators share: a pattern finds candidates, and a checksum decides.

use std::sync::Arc;

use regex_automata::Input;
use regex_automata::meta::Regex;

use super::{Captures, Interner};

/// Candidates of one value after which the search goes on behind a candidate instead of one byte after its start:
/// overlapping candidates are what an attacker would make the search quadratic with.
const OVERLAPPING_CANDIDATES: usize = 64;

/// A pattern and a checksum.
#[derive(Clone, Debug)]
pub(super) struct Verify {
    regex: Arc<Regex>,
    is_valid: fn(&[u8]) -> bool,
}

impl Verify {
    pub(super) fn compile(
        pattern: &str,
        is_valid: fn(&[u8]) -> bool,
        interner: &mut Interner,
    ) -> Result<Self, String> {
        Ok(Self { regex: interner.pattern(pattern)?, is_valid })
    }

    /// Whether a candidate is valid; it is captured.
    pub(super) fn matches(&self, value: &[u8], captures: Option<&mut Captures>) -> bool {
        let (mut from, mut candidates) = (0, 0);
        while from <= value.len()
            && let Some(found) = self.regex.search(&Input::new(value).range(from..))
        {
            let candidate = value.get(found.range()).unwrap_or_default();
            if (self.is_valid)(candidate) {
                if let Some(captures) = captures {
                    captures.set(0, candidate);
                }
                return true;
            }
            candidates += 1;
            from = if candidates <= OVERLAPPING_CANDIDATES {
                found.start() + 1
            } else {
                found.end().max(found.start() + 1)
            };
        }
        false
    }
}

/// The digits of a candidate; what separates them is skipped.
pub(super) fn digits(candidate: &[u8]) -> Vec<u32> {
    candidate.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| u32::from(byte - b'0')).collect()
}

/// The sum of the products of digits and weights.
pub(super) fn weighted(digits: &[u32], weights: impl IntoIterator<Item = u32>) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum()
}
