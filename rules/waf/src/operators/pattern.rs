//! A regular expression as `@rx` asks it: first whether it matches, then, if a rule wants to know, where.
//!
//! The first question is answered by a static automaton where that is small, which needs no memory of the thread that
//! asks; else by the general engine. What is captured is found only after a match. Memory that a thread needs to search
//! is its own and bounded by [`WORKER_CACHE_BYTES`].

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::meta::{Cache, Regex};
use regex_automata::nfa::thompson;
use regex_automata::{Anchored, Input};
use regex_syntax::hir::{Hir, Look};

use super::{Captures, rx};
use crate::prefilter::{Needs, needs_of};

/// Bytes of one static automaton. Of CRS 4.28's 294 expressions 186 fit; four times as much would fit 15 more, for nearly
/// twice the time to compile them.
pub const STATIC_BYTES: usize = 32 * 1024;
/// States of an expression above which no static automaton is tried: of CRS's larger ones hardly one fits, and trying
/// them took three quarters of the time.
const STATIC_STATES: usize = 150;
/// Bytes of the states of an expression that may have so many.
const STATIC_NFA_BYTES: usize = 256 * 1024;
/// Bytes that a thread keeps to search with, for all expressions together, after any search.
pub const WORKER_CACHE_BYTES: usize = 3 * 1024 * 1024;

/// A compiled expression.
#[derive(Debug)]
pub(crate) struct Pattern {
    /// Tells its memory from that of others.
    id: u64,
    source: String,
    /// Answers whether it matches, if it is small.
    quick: Option<dense::DFA<Vec<u32>>>,
    /// Whether every match begins where the value does, and nothing but the whole match is captured: the static automaton
    /// then knows all of it.
    is_prefix: bool,
    /// Answers everything. Built at once where there is no static automaton, else when it is first needed.
    general: OnceLock<Option<Regex>>,
    pub(super) needs: Arc<Needs>,
}

impl Pattern {
    /// Compiles a pattern in SecLang's dialect, under the limits of [`super::compile_regex`].
    pub(super) fn compile(source: &str) -> Result<Self, String> {
        static IDS: AtomicU64 = AtomicU64::new(0);
        let tree = rx::parse(source)?;
        let quick = quick(&tree);
        let general = OnceLock::new();
        if quick.is_none() {
            // It is empty.
            let _ = general.set(Some(rx::build(&tree)?));
        }
        Ok(Self {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            source: source.to_owned(),
            quick,
            is_prefix: tree.properties().look_set_prefix().contains(Look::Start)
                && tree.properties().explicit_captures_len() == 0,
            general,
            needs: Arc::new(needs_of(&tree)),
        })
    }

    /// Bytes that it takes for everybody.
    pub(super) fn memory_usage(&self) -> usize {
        let quick = self.quick.as_ref().map_or(0, |quick| quick.memory_usage());
        let general = self.general.get().and_then(Option::as_ref).map_or(0, Regex::memory_usage);
        quick + general + self.source.len()
    }

    /// Whether it is somewhere in the value.
    pub(super) fn is_match(&self, value: &[u8]) -> bool {
        let input = Input::new(value).earliest(true);
        match self.quick.as_ref().map(|quick| quick.try_search_fwd(&input)) {
            Some(Ok(found)) => found.is_some(),
            // No byte makes these automata give up, but the general engine would know.
            Some(Err(_)) | None => self
                .search(|regex, cache| regex.search_half_with(cache, &input).is_some())
                .unwrap_or_default(),
        }
    }

    /// The same, with the groups of the first match.
    pub(super) fn captures(&self, value: &[u8], captures: &mut Captures) -> bool {
        if self.is_prefix
            && let Some(quick) = &self.quick
            && let Ok(found) = quick.try_search_fwd(&Input::new(value))
        {
            let found = found.and_then(|end| value.get(..end.offset()));
            found.into_iter().for_each(|text| captures.set(0, text));
            return found.is_some();
        }
        if self.quick.is_some() && !self.is_match(value) {
            return false;
        }
        let input = Input::new(value).anchored(Anchored::No);
        let found = self.search(|regex, cache| {
            if regex.captures_len() == 1 {
                let Some(found) = regex.search_with(cache, &input) else { return false };
                captures.set(0, value.get(found.range()).unwrap_or_default());
                return true;
            }
            let mut groups = regex.create_captures();
            regex.search_captures_with(cache, &input, &mut groups);
            for (group, span) in groups.iter().enumerate() {
                if let Some(bytes) = span.and_then(|span| value.get(span.range())) {
                    captures.set(group, bytes);
                }
            }
            groups.is_match()
        });
        found.unwrap_or(self.quick.is_some())
    }

    /// Searches with the thread's memory; none if the general engine cannot be built, which a small pattern's always can.
    fn search<T>(&self, search: impl FnOnce(&Regex, &mut Cache) -> T) -> Option<T> {
        let regex = self.general.get_or_init(|| rx::compile(&self.source).ok()).as_ref()?;
        Some(WORKER.with(|worker| match worker.try_borrow_mut() {
            Ok(mut worker) => worker.search(self.id, regex, search),
            Err(_) => search(regex, &mut regex.create_cache()),
        }))
    }
}

/// The static automaton of an expression, if it is small.
fn quick(tree: &Hir) -> Option<dense::DFA<Vec<u32>>> {
    let states = thompson::Config::new()
        .utf8(false)
        .nfa_size_limit(Some(STATIC_NFA_BYTES))
        .which_captures(thompson::WhichCaptures::None);
    let nfa = thompson::Compiler::new().configure(states).build_from_hir(tree).ok()?;
    if nfa.states().len() > STATIC_STATES {
        return None;
    }
    let limits = dense::Config::new()
        .start_kind(StartKind::Unanchored)
        .dfa_size_limit(Some(STATIC_BYTES))
        .determinize_size_limit(Some(STATIC_BYTES));
    dense::Builder::new().configure(limits).build_from_nfa(&nfa).ok()
}

thread_local! {
    static WORKER: RefCell<Worker> = RefCell::default();
}

/// What a thread keeps to search with.
#[derive(Debug, Default)]
struct Worker {
    /// By the expression, with its bytes.
    caches: HashMap<u64, (Cache, usize)>,
    bytes: usize,
}

impl Worker {
    fn search<T>(&mut self, id: u64, regex: &Regex, search: impl FnOnce(&Regex, &mut Cache) -> T) -> T {
        let (cache, bytes) = self.caches.entry(id).or_insert_with(|| (regex.create_cache(), 0));
        let found = search(regex, cache);
        let before = std::mem::replace(bytes, cache.memory_usage());
        self.bytes = (self.bytes + *bytes).saturating_sub(before);
        if self.bytes > WORKER_CACHE_BYTES {
            *self = Self::default();
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_expressions_have_a_static_automaton_and_large_ones_do_not() {
        assert!(Pattern::compile("(?i)union.*select").unwrap().quick.is_some());
        assert!(Pattern::compile("a{400}b").unwrap().quick.is_none());
        assert!(
            Pattern::compile("[ab]{0,60}a[ab]{20}").unwrap().quick.is_none(),
            "few states, but 2^20 sets of them"
        );
    }

    #[test]
    fn both_engines_agree() {
        for pattern in [
            "a|b",
            "(?i)x.y$",
            "^abc",
            "\\bor\\b",
            "",
            "(a)(b)?",
            "[^\\x00-\\x7f]",
            "a.*b",
            "$",
            "^.*$",
            "^a*?",
            "^(?:x|xy)",
            "^[^b]*",
            "^(a)b",
            "^a|b",
            "(?:^a|^X).?",
        ] {
            let quick = Pattern::compile(pattern).unwrap();
            assert!(quick.quick.is_some(), "{pattern}");
            let general = rx::compile(pattern).unwrap();
            for value in ["", "a", "b", "X\ny", "xyz", "1 or 2", "color", "ab", "é", "a\n\nb", "zab"] {
                let expected = general.find(value.as_bytes());
                assert_eq!(quick.is_match(value.as_bytes()), expected.is_some(), "{pattern} on {value:?}");
                let mut captures = Captures::default();
                assert_eq!(quick.captures(value.as_bytes(), &mut captures), expected.is_some());
                let expected = expected.map(|found| &value.as_bytes()[found.range()]);
                assert_eq!(captures.get(0), expected, "{pattern} on {value:?}");
            }
        }
    }

    #[test]
    fn a_thread_keeps_its_memory_under_the_limit() {
        // Each has more sets of states than its memory holds, and the value leads through many of them.
        let patterns: Vec<Pattern> =
            (0..40).map(|n| Pattern::compile(&format!("a[ab]{{{}}}c", 20 + n)).unwrap()).collect();
        let mut random = 1_u32;
        let value: Vec<u8> = (0..6_000)
            .map(|_| {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if random >> 31 == 0 { b'a' } else { b'b' }
            })
            .collect();
        let mut most = 0;
        for pattern in patterns.iter().chain(&patterns) {
            pattern.is_match(&value);
            let bytes = WORKER.with(|worker| worker.borrow().bytes);
            assert!(bytes <= WORKER_CACHE_BYTES, "{bytes}");
            let counted: usize = WORKER
                .with(|worker| worker.borrow().caches.values().map(|(cache, _)| cache.memory_usage()).sum());
            assert_eq!(bytes, counted);
            most = most.max(bytes);
        }
        assert!(most > WORKER_CACHE_BYTES / 2, "the test fills the memory: {most}");
    }
}
