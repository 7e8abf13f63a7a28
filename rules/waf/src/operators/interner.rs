//! Equal patterns and phrase lists are compiled once, for all engines of the process that live at a time.

use std::collections::HashMap;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use regex_automata::meta::Regex;

use super::pattern::Pattern;
use super::rx;
use super::shared::Shared;
use crate::prefilter::Needs;

/// Bytes of all automata of one rule set: patterns and phrase lists. CRS 4.28's take 10 MB; every process that enforces
/// the rule set keeps them.
pub const AUTOMATA_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of one phrase list. All of CRS 4.28's lists together have 170 kB; the automaton takes some 20 times that.
pub const PHRASE_LIST_BYTES: usize = 512 * 1024;
/// Bytes of one phrase. CRS 4.28's longest, a line of a web shell, has 2,188.
pub const PHRASE_BYTES: usize = 4096;
/// Bytes of a phrase list up to which it is compiled to the fastest kind of automaton, which takes up to a kilobyte for
/// each of them.
const FAST_PHRASES: usize = 2048;

/// The automata of all engines.
static EXPRESSIONS: Shared<String, Pattern> = Shared::new();
static PHRASES: Shared<Vec<Vec<u8>>, AhoCorasick> = Shared::new();

/// Compiled patterns by their source. Lives as long as a compilation; the engine keeps what it uses.
#[derive(Debug, Default)]
pub struct Interner {
    patterns: HashMap<String, Arc<Regex>>,
    expressions: HashMap<String, Arc<Pattern>>,
    phrases: HashMap<Vec<Vec<u8>>, Arc<AhoCorasick>>,
    /// What the automata take. A pattern that is too large counts as the most it may take, so that neither memory nor
    /// time is without end.
    bytes: usize,
}

impl Interner {
    /// The compiled form of a pattern in SecLang's dialect (see [`super::compile_regex`] for the errors).
    pub fn pattern(&mut self, pattern: &str) -> Result<Arc<Regex>, String> {
        if let Some(known) = self.patterns.get(pattern) {
            return Ok(known.clone());
        }
        self.has_room()?;
        let compiled = Arc::new(rx::compile(pattern).inspect_err(|_| self.refused())?);
        self.keep(compiled.memory_usage())?;
        self.patterns.insert(pattern.to_owned(), compiled.clone());
        Ok(compiled)
    }

    /// The same for `@rx`, which asks first whether it matches at all.
    pub(super) fn expression(&mut self, pattern: &str) -> Result<Arc<Pattern>, String> {
        if let Some(known) = self.expressions.get(pattern) {
            return Ok(known.clone());
        }
        self.has_room()?;
        let compiled = match EXPRESSIONS.get(pattern) {
            Some(shared) => shared,
            None => {
                let compiled = Pattern::compile(pattern).inspect_err(|_| self.refused())?;
                let compiled = Arc::new(compiled);
                EXPRESSIONS.insert(pattern.to_owned(), &compiled);
                compiled
            }
        };
        self.keep(compiled.memory_usage())?;
        self.expressions.insert(pattern.to_owned(), compiled.clone());
        Ok(compiled)
    }

    /// Counts a pattern that was refused.
    fn refused(&mut self) {
        self.bytes = self.bytes.saturating_add(rx::NFA_BYTES);
    }

    /// Whether one more automaton may be built.
    fn has_room(&self) -> Result<(), String> {
        if self.bytes <= AUTOMATA_BYTES {
            return Ok(());
        }
        Err(format!(
            "the patterns and phrases of the rule set take more than {AUTOMATA_BYTES} bytes when compiled"
        ))
    }

    fn keep(&mut self, bytes: usize) -> Result<(), String> {
        self.bytes = self.bytes.saturating_add(bytes);
        self.has_room()
    }

    /// How many patterns were compiled.
    pub fn patterns_compiled(&self) -> usize {
        self.patterns.len() + self.expressions.len()
    }

    /// What a value must hold to match a pattern.
    pub(super) fn needs(&mut self, pattern: &str) -> Option<Arc<Needs>> {
        Some(self.expression(pattern).ok()?.needs.clone())
    }

    pub(super) fn phrases(&mut self, mut phrases: Vec<Vec<u8>>) -> Result<Arc<AhoCorasick>, String> {
        let bytes: usize = phrases.iter().map(Vec::len).sum();
        if bytes > PHRASE_LIST_BYTES {
            return Err(format!("the phrases have {bytes} bytes, and the limit is {PHRASE_LIST_BYTES}"));
        }
        if let Some(long) = phrases.iter().find(|phrase| phrase.len() > PHRASE_BYTES) {
            return Err(format!("a phrase has {} bytes, and the limit is {PHRASE_BYTES}", long.len()));
        }
        phrases.iter_mut().for_each(|phrase| phrase.make_ascii_lowercase());
        if let Some(known) = self.phrases.get(&phrases) {
            return Ok(known.clone());
        }
        self.has_room()?;
        let compiled = match PHRASES.get(&phrases) {
            Some(shared) => shared,
            None => {
                let kind =
                    if bytes <= FAST_PHRASES { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA };
                let built = AhoCorasick::builder()
                    .kind(Some(kind))
                    .ascii_case_insensitive(true)
                    .match_kind(MatchKind::Standard)
                    .build(&phrases)
                    .map_err(|error| format!("the phrases cannot be compiled: {error}"))?;
                let compiled = Arc::new(built);
                PHRASES.insert(phrases.clone(), &compiled);
                compiled
            }
        };
        self.keep(compiled.memory_usage())?;
        self.phrases.insert(phrases, compiled.clone());
        Ok(compiled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn automata_are_kept_up_to_their_limit_and_a_refused_pattern_counts_as_the_most_it_may_take() {
        let mut interner = Interner::default();
        interner.bytes = AUTOMATA_BYTES - interner.pattern("abc").unwrap().memory_usage();
        assert!(interner.pattern("abc").is_ok(), "what is known costs nothing");
        let size = rx::compile("abd").unwrap().memory_usage();
        for (left, fits) in [(size + 1, true), (size, true), (size - 1, false)] {
            let mut interner = Interner { bytes: AUTOMATA_BYTES - left, ..Interner::default() };
            assert_eq!(interner.pattern("abd").is_ok(), fits, "{left} bytes are left for {size}");
        }
        let mut interner = Interner::default();
        let too_large = |n: usize| format!("(?:a{{1000}}){{{}}}", 1_000 + n);
        assert!((0..20).all(|n| interner.pattern(&too_large(n)).is_err()));
        assert!(interner.pattern("x").unwrap_err().contains("rule set take more than"));
        assert!(
            interner.bytes <= AUTOMATA_BYTES + rx::NFA_BYTES,
            "after the limit nothing is tried: {}",
            interner.bytes
        );
    }

    #[test]
    fn equal_patterns_of_two_rule_sets_are_one() {
        let [mut first, mut second] = [Interner::default(), Interner::default()];
        let one = first.expression("only here [0-9]+").unwrap();
        assert!(Arc::ptr_eq(&one, &second.expression("only here [0-9]+").unwrap()));
        let list = || vec![b"only".to_vec(), b"here".to_vec()];
        assert!(Arc::ptr_eq(&first.phrases(list()).unwrap(), &second.phrases(list()).unwrap()));
        assert_eq!(first.bytes, second.bytes, "each rule set counts what it uses");
    }

    #[test]
    fn a_phrase_list_at_the_limit_is_built_and_one_byte_more_is_refused() {
        let build = |bytes: usize| {
            let mut list = vec![b"7 bytes".to_vec(); bytes / 7];
            list.push(vec![b'x'; bytes % 7]);
            let mut interner = Interner::default();
            interner.phrases(list).map(|_| interner.bytes)
        };
        assert!(build(PHRASE_LIST_BYTES - 1).is_ok(), "one under");
        assert!(build(PHRASE_LIST_BYTES).unwrap() < AUTOMATA_BYTES, "at the limit");
        assert!(build(PHRASE_LIST_BYTES + 1).unwrap_err().contains("524289 bytes"), "one over");
        let one = |bytes: usize| Interner::default().phrases(vec![vec![b'x'; bytes]]).is_ok();
        assert_eq!([PHRASE_BYTES - 1, PHRASE_BYTES, PHRASE_BYTES + 1].map(one), [true, true, false]);
    }
}
