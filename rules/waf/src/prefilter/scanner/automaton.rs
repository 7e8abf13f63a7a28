//! What has no place in the tables: an automaton that takes any literals, for more time a byte.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::set;

/// Literals with their bits.
#[derive(Debug)]
pub(super) struct Automaton {
    automaton: AhoCorasick,
    /// The bits of each literal.
    meets: Vec<Vec<u32>>,
}

impl Automaton {
    /// Of literals with the clauses that each meets: nothing of nothing, and none if there are too many.
    pub(super) fn of(literals: Vec<(&Vec<u8>, &Vec<usize>)>) -> Option<Option<Self>> {
        if literals.is_empty() {
            return Some(None);
        }
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(literals.iter().map(|(literal, _)| literal))
            .ok()?;
        let narrow = |bits: &Vec<usize>| bits.iter().map(|bit| u32::try_from(*bit).ok()).collect();
        let meets = literals.into_iter().map(|(_, bits)| narrow(bits)).collect::<Option<_>>()?;
        Some(Some(Self { automaton, meets }))
    }

    pub(super) fn scan(&self, text: &[u8], hits: &mut [u64]) {
        let mut last = usize::MAX;
        for found in self.automaton.find_overlapping_iter(text) {
            let literal = found.pattern().as_usize();
            if literal != last {
                last = literal;
                set(self.meets.get(literal).map(Vec::as_slice).unwrap_or_default(), hits);
            }
        }
    }
}
