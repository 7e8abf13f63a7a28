//! Equal patterns and phrase lists are compiled once for each engine.

use std::collections::HashMap;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};
use regex_automata::meta::Regex;

use super::rx;
use crate::prefilter::{Needs, needs_of};

/// Compiled patterns by their source. Lives as long as a compilation; the engine keeps what it uses.
#[derive(Debug, Default)]
pub struct Interner {
    patterns: HashMap<String, Arc<Regex>>,
    phrases: HashMap<Vec<Vec<u8>>, Arc<AhoCorasick>>,
    needs: HashMap<String, Option<Arc<Needs>>>,
}

impl Interner {
    /// The compiled form of a pattern in SecLang's dialect (see [`super::compile_regex`] for the errors).
    pub fn pattern(&mut self, pattern: &str) -> Result<Arc<Regex>, String> {
        if let Some(known) = self.patterns.get(pattern) {
            return Ok(known.clone());
        }
        let compiled = Arc::new(rx::compile(pattern)?);
        self.patterns.insert(pattern.to_owned(), compiled.clone());
        Ok(compiled)
    }

    /// How many patterns were compiled.
    pub fn patterns_compiled(&self) -> usize {
        self.patterns.len()
    }

    /// What a value must hold to match a pattern.
    pub(super) fn needs(&mut self, pattern: &str) -> Option<Arc<Needs>> {
        if let Some(known) = self.needs.get(pattern) {
            return known.clone();
        }
        let needs = rx::tree(pattern).map(|tree| Arc::new(needs_of(&tree)));
        self.needs.insert(pattern.to_owned(), needs.clone());
        needs
    }

    pub(super) fn phrases(&mut self, mut phrases: Vec<Vec<u8>>) -> Result<Arc<AhoCorasick>, String> {
        phrases.iter_mut().for_each(|phrase| phrase.make_ascii_lowercase());
        if let Some(known) = self.phrases.get(&phrases) {
            return Ok(known.clone());
        }
        let built = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .build(&phrases)
            .map_err(|error| format!("the phrases cannot be compiled: {error}"))?;
        let compiled = Arc::new(built);
        self.phrases.insert(phrases, compiled.clone());
        Ok(compiled)
    }
}
