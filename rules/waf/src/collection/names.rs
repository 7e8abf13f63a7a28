//! The names of `TX` that a rule set writes itself, each with a place.

use std::sync::Arc;

use bytes::Bytes;
use regex_automata::meta::Regex;

use crate::operators::CAPTURES;

/// Places of the table for each name: probes are short, and the table of CRS's names takes some KiB.
const SPARSE: usize = 4;

/// The names that a rule set writes itself, and texts that the fast path set by their place. Shared by all transactions
/// of an engine.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// In lower case, ascending.
    names: Vec<Bytes>,
    texts: Vec<Bytes>,
    /// The place of each name, counted from 1, near where its hash points; a power of two of them.
    table: Vec<u32>,
    /// The places of `0` to `9`, if they all have one.
    captures: Option<[usize; CAPTURES]>,
    /// The names that each selector finds.
    found: Vec<(Arc<Regex>, Vec<usize>)>,
}

impl Names {
    /// Names, in lower case and ascending, and texts. `selectors` are the expressions that rules select names with.
    pub(crate) fn new(names: Vec<Bytes>, texts: Vec<Bytes>, selectors: &[Arc<Regex>]) -> Self {
        let mut table = vec![0_u32; (names.len() * SPARSE).next_power_of_two()];
        for (place, name) in (1..).zip(&names) {
            let free = probes(table.len(), name).find(|at| table.get(*at) == Some(&0));
            if let Some(entry) = free.and_then(|at| table.get_mut(at)) {
                *entry = place;
            }
        }
        let mut known = Self { names, texts, table, captures: None, found: Vec::new() };
        let digits: Vec<usize> = (b'0'..=b'9').filter_map(|digit| known.find(&[digit])).collect();
        known.captures = digits.try_into().ok();
        for selector in selectors {
            if known.found_by(selector).is_none() {
                let names = known.names.iter().enumerate();
                let found = names.filter(|(_, name)| selector.is_match(name.as_ref()));
                let found = found.map(|(place, _)| place).collect();
                known.found.push((selector.clone(), found));
            }
        }
        known
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// The place of a name in any case.
    pub(crate) fn find(&self, name: &[u8]) -> Option<usize> {
        for at in probes(self.table.len(), name) {
            let place = (*self.table.get(at)? as usize).checked_sub(1)?;
            if self.names.get(place)?.eq_ignore_ascii_case(name) {
                return Some(place);
            }
        }
        None
    }

    /// The place of what a group captured.
    pub(super) fn capture(&self, group: usize) -> Option<usize> {
        self.captures.as_ref()?.get(group).copied()
    }

    /// The name at a place.
    pub(super) fn name(&self, place: usize) -> &Bytes {
        static NONE: Bytes = Bytes::new();
        self.names.get(place).unwrap_or(&NONE)
    }

    /// A shared text.
    pub(super) fn text(&self, text: usize) -> Option<&Bytes> {
        self.texts.get(text)
    }

    /// The places of the names that begin like this, in lower case.
    pub(super) fn beginning(&self, start: &[u8]) -> std::ops::Range<usize> {
        let from = self.names.partition_point(|name| name.as_ref() < start);
        let begin = |name: &&Bytes| name.starts_with(start);
        from..from + self.names.get(from..).unwrap_or_default().iter().take_while(begin).count()
    }

    /// The places of the names that a selector finds, ascending; none: it was not asked before.
    pub(super) fn found_by(&self, selector: &Arc<Regex>) -> Option<&[usize]> {
        let known = self.found.iter().find(|(known, _)| Arc::ptr_eq(known, selector));
        known.map(|(_, found)| found.as_slice())
    }
}

/// Where a name may be in a table of so many places.
fn probes(places: usize, name: &[u8]) -> impl Iterator<Item = usize> {
    // The same for both cases of a letter. That some other bytes meet too costs a comparison.
    let mix = |hash: u64, word: u64| {
        (hash.rotate_left(5) ^ (word | 0x2020_2020_2020_2020)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    };
    let (words, rest) = name.as_chunks::<8>();
    let hash = words.iter().fold(name.len() as u64, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    let hash = rest.iter().fold(hash, |hash, byte| mix(hash, (*byte).into()));
    let start = (hash >> 32) as usize;
    (0..places).map(move |step| (start + step) & places.wrapping_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(of: impl Iterator<Item = String>) -> Names {
        let mut names: Vec<Bytes> = of.map(Bytes::from).collect();
        names.sort_unstable();
        Names::new(names, Vec::new(), &[])
    }

    #[test]
    fn every_name_is_found_in_any_case_and_no_other() {
        let known = names((0..1000).map(|number| format!("tx_name_{number}")));
        for number in 0..1000 {
            let place = known.find(format!("TX_Name_{number}").as_bytes()).unwrap();
            assert_eq!(known.name(place), &format!("tx_name_{number}"));
        }
        for other in ["", "tx_name_", "tx_name_1000", "tx\x7fname_1", "uy_name_1"] {
            assert_eq!(known.find(other.as_bytes()), None, "{other}");
        }
        assert_eq!(Names::default().find(b"a"), None);
        assert_eq!(names(std::iter::empty()).find(b"a"), None);
    }

    #[test]
    fn captures_have_places_if_all_ten_names_do() {
        let known = names((0..11).map(|number| number.to_string()));
        assert_eq!(known.capture(9), known.find(b"9"));
        assert_eq!(known.capture(10), None);
        assert_eq!(names((0..9).map(|number| number.to_string())).capture(0), None);
    }

    #[test]
    fn names_that_begin_alike_are_a_range() {
        let known = names(["a", "b", "b_1", "b_2", "c"].map(str::to_owned).into_iter());
        assert_eq!(known.beginning(b"b_"), 2..4);
        assert_eq!(known.beginning(b""), 0..5);
        assert_eq!(known.beginning(b"d"), 5..5);
    }
}
