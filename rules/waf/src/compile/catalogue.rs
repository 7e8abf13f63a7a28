//! Which rules an id range, a tag or a message names: for directives, `ctl` and the WafPolicy.

use std::sync::Arc;

use palisade_seclang::IdRange;
use regex_automata::meta::Regex;

use super::draft::{Draft, in_ranges};
use crate::operators::Interner;

/// An expression over tags or messages.
pub(super) enum Pattern {
    /// The text itself.
    Exact(String),
    /// A regular expression, found anywhere.
    Regex(Arc<Regex>),
}

impl Pattern {
    /// Text without signs of an expression is meant exactly: `attack-sqli` is not also `attack-sqli-test`.
    pub(super) fn new(text: &str, interner: &mut Interner) -> Result<Self, String> {
        if text.contains(['^', '$', '*', '+', '?', '[', '(', '|', '\\']) {
            return interner.pattern(text).map(Self::Regex);
        }
        Ok(Self::Exact(text.to_owned()))
    }

    /// Whether it names a tag or message.
    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(wanted) => wanted == text,
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

/// The rules by what names them, in the order of their indices.
pub(super) struct Catalogue {
    entries: Vec<(u64, Vec<String>, Option<String>)>,
}

impl Catalogue {
    /// The catalogue of the rules that stay.
    pub(super) fn of(drafts: &[Draft]) -> Self {
        Self {
            entries: drafts
                .iter()
                .map(|draft| (draft.id(), draft.tags().collect(), draft.message()))
                .collect(),
        }
    }

    /// How many rules there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The indices, ascending, of rules with these ids.
    pub(super) fn by_id(&self, ranges: &[IdRange]) -> Arc<[usize]> {
        self.choose(|(id, _, _)| in_ranges(ranges, *id))
    }

    /// The indices of rules with a tag.
    pub(super) fn by_tag(&self, tag: &Pattern) -> Arc<[usize]> {
        self.choose(|(_, tags, _)| tags.iter().any(|found| tag.matches(found)))
    }

    /// The indices of rules with a message.
    pub(super) fn by_message(&self, message: &Pattern) -> Arc<[usize]> {
        self.choose(|(_, _, found)| found.as_ref().is_some_and(|found| message.matches(found)))
    }

    fn choose(&self, chosen: impl Fn(&(u64, Vec<String>, Option<String>)) -> bool) -> Arc<[usize]> {
        let all = self.entries.iter().enumerate();
        all.filter(|(_, entry)| chosen(entry)).map(|(index, _)| index).collect()
    }
}
