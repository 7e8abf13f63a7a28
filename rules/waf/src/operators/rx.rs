//! `@rx`: a regular expression is somewhere in the value. Captures its groups.
//!
//! Expressions are PCRE's as far as linear time allows (see [`super::dialect`]): bytes, `.` matches every byte, `^` and
//! `$` are the ends of the value, letters and classes are ASCII.

use std::sync::Arc;

use regex_automata::meta::{Builder, Config, Regex};
use regex_automata::util::syntax;
use regex_syntax::hir::Hir;

use super::pattern::Pattern;
use super::{Captures, Interner, dialect};

/// Bytes of one pattern. CRS's longest has 12,126.
pub const PATTERN_BYTES: usize = 64 * 1024;
/// Bytes of one pattern's automaton. CRS's biggest needs under 1 MiB; counted repetitions of repetitions explode.
pub const NFA_BYTES: usize = 8 * 1024 * 1024;
/// Groups in groups in groups.
pub const NEST_LIMIT: u32 = 100;
/// Bytes of the table that one pattern may fill with states while it searches, for each thread. The default of 2 MiB
/// would come to half a gigabyte a thread over CRS's patterns.
pub const HYBRID_CACHE_BYTES: usize = 256 * 1024;

/// A compiled expression.
#[derive(Clone, Debug)]
pub(super) struct Rx {
    pattern: Arc<Pattern>,
}

impl Rx {
    pub(super) fn compile(pattern: &str, interner: &mut Interner) -> Result<Self, String> {
        Ok(Self { pattern: interner.expression(pattern)? })
    }

    pub(super) fn matches(&self, value: &[u8], captures: Option<&mut Captures>) -> bool {
        match captures {
            Some(captures) => self.pattern.captures(value, captures),
            None => self.pattern.is_match(value),
        }
    }
}

/// The syntax tree of a pattern in SecLang's dialect. The error says what is wrong with it.
pub(super) fn parse(pattern: &str) -> Result<Hir, String> {
    if pattern.len() > PATTERN_BYTES {
        return Err(format!("the pattern has {} bytes, and the limit is {PATTERN_BYTES}", pattern.len()));
    }
    let translated = dialect::translate(pattern)?;
    let config =
        syntax::Config::new().unicode(false).utf8(false).dot_matches_new_line(true).nest_limit(NEST_LIMIT);
    syntax::parse_with(&translated, &config).map_err(|error| {
        let error = error.to_string();
        // The last line is the sentence; those before it draw the pattern, which the caller's diagnostic does too.
        let sentence = error.lines().last().unwrap_or_default();
        format!("the pattern cannot be compiled: {}", sentence.strip_prefix("error: ").unwrap_or(sentence))
    })
}

/// Compiles a syntax tree.
pub(super) fn build(tree: &Hir) -> Result<Regex, String> {
    let config = Config::new()
        .utf8_empty(false)
        .nfa_size_limit(Some(NFA_BYTES))
        .hybrid_cache_capacity(HYBRID_CACHE_BYTES);
    Builder::new().configure(config).build_from_hir(tree).map_err(|error| match error.size_limit() {
        Some(_) => format!("the pattern's automaton is over the limit of {NFA_BYTES} bytes"),
        None => format!("the pattern cannot be compiled: {error}"),
    })
}

/// Compiles a pattern in SecLang's dialect. The error says what is wrong with it, and names the limit if it is one of
/// [`PATTERN_BYTES`], [`NFA_BYTES`] and [`NEST_LIMIT`].
pub fn compile(pattern: &str) -> Result<Regex, String> {
    build(&parse(pattern)?)
}
