//! `@pm`: one of many phrases is in the value. ASCII case does not count. Captures what matched.
//!
//! Phrases are separated by white space; `|41 42|` writes bytes in hexadecimal.

use std::sync::Arc;

use aho_corasick::AhoCorasick;

use super::{Captures, Interner};
use crate::transformations::bytes::hex_pair;

/// The automaton.
#[derive(Clone, Debug)]
pub(super) struct Pm {
    automaton: Arc<AhoCorasick>,
}

impl Pm {
    /// Compiles phrases; at least one.
    pub(super) fn compile(phrases: Vec<Vec<u8>>, interner: &mut Interner) -> Result<Self, String> {
        if phrases.is_empty() {
            return Err("no phrase is named".into());
        }
        Ok(Self { automaton: interner.phrases(phrases)? })
    }

    /// Whether one of them is in the value; the one that ends first is captured.
    pub(super) fn matches(&self, value: &[u8], captures: Option<&mut Captures>) -> bool {
        let Some(captures) = captures else { return self.automaton.is_match(value) };
        let Some(found) = self.automaton.find(value) else { return false };
        captures.set(0, value.get(found.range()).unwrap_or_default());
        true
    }
}

/// Reads the argument.
pub(super) fn phrases(argument: &str) -> Result<Vec<Vec<u8>>, String> {
    if argument.bytes().filter(|&byte| byte == b'|').count() % 2 == 1 {
        return Err("a | without its partner (bytes in hexadecimal are written |41 42|)".into());
    }
    let mut phrases = Vec::new();
    let mut phrase = Vec::new();
    for (index, part) in argument.split('|').enumerate() {
        if index % 2 == 1 {
            phrase.extend(hexadecimal(part)?);
            continue;
        }
        for byte in part.bytes() {
            if !byte.is_ascii_whitespace() {
                phrase.push(byte);
            } else if !phrase.is_empty() {
                phrases.push(std::mem::take(&mut phrase));
            }
        }
    }
    if !phrase.is_empty() {
        phrases.push(phrase);
    }
    Ok(phrases)
}

fn hexadecimal(part: &str) -> Result<Vec<u8>, String> {
    let pairs = part.split_ascii_whitespace();
    let bytes = pairs.map(|pair| hex_pair(pair.as_bytes(), 0).filter(|_| pair.len() == 2));
    bytes
        .collect::<Option<Vec<u8>>>()
        .ok_or_else(|| format!("|{part}| is not a list of bytes in hexadecimal"))
}
