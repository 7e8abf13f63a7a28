//! What the bytes of a text alone say: which clauses one of them meets, and which transformations may change the text.
//!
//! A row for each byte value; the rows of all bytes that a text holds, together, are what is known.

use palisade_seclang::Transformation;

use super::needs::ByteSet;
use crate::transformations;

/// Sets of bytes that transformations need; a transformation whose sets do not fit is always tried.
const FEATURES: usize = 64;

/// A set of transformations of one rule set, by their places; there are fewer than 64.
pub(super) type Kinds = u64;

/// The transformations of one rule set with what they need to change something.
#[derive(Debug)]
pub(super) struct Changes {
    /// The sets that each needs, by their places; a text that meets all of them may change.
    needs: Vec<u64>,
    /// The sets that each byte is in.
    rows: [u64; 256],
}

impl Changes {
    /// The rows of transformations.
    pub(super) fn of(kinds: &[Transformation]) -> Self {
        let mut sets: Vec<ByteSet> = Vec::new();
        let mut needs = Vec::new();
        for kind in kinds {
            let mut need = 0;
            for set in transformations::changes(*kind) {
                let place = sets.iter().position(|known| known == set).unwrap_or_else(|| {
                    sets.push(*set);
                    sets.len() - 1
                });
                need |= if place < FEATURES { 1 << place } else { 0 };
            }
            needs.push(need);
        }
        let mut rows = [0; 256];
        for (place, set) in sets.iter().enumerate().take(FEATURES) {
            for byte in set.iter() {
                if let Some(row) = rows.get_mut(usize::from(byte)) {
                    *row |= 1 << place;
                }
            }
        }
        Self { needs, rows }
    }

    /// The transformations that may change a text of these bytes.
    pub(super) fn may(&self, present: &ByteSet) -> Kinds {
        let met = present.iter().fold(0, |met, byte| met | self.rows.get(usize::from(byte)).unwrap_or(&0));
        let mut may = 0;
        for (place, need) in self.needs.iter().enumerate() {
            may |= u64::from(met & need == *need) << (place % 64);
        }
        may
    }
}

/// The clauses that single bytes meet.
#[derive(Debug, Default)]
pub(super) struct Rows {
    words: usize,
    /// `words` for each byte value.
    rows: Vec<u64>,
}

impl Rows {
    /// Rows of clauses, which are in their places.
    pub(super) fn of(clauses: &[ByteSet]) -> Self {
        let words = clauses.len().div_ceil(64);
        let mut rows = vec![0; 256 * words];
        for (place, set) in clauses.iter().enumerate() {
            for byte in set.iter() {
                if let Some(word) = rows.get_mut(usize::from(byte) * words + place / 64) {
                    *word |= 1 << (place % 64);
                }
            }
        }
        Self { words, rows }
    }

    /// Sets the clauses that these bytes meet.
    pub(super) fn mark(&self, present: &ByteSet, hits: &mut [u64]) {
        for byte in present.iter() {
            let from = usize::from(byte) * self.words;
            let row = self.rows.get(from..from + self.words).unwrap_or_default();
            hits.iter_mut().zip(row).for_each(|(word, more)| *word |= more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_say_of_every_byte_what_the_sets_say() {
        let kinds = [Transformation::HtmlEntityDecode, Transformation::Lowercase, Transformation::Length];
        let changes = Changes::of(&kinds);
        for text in [&b""[..], b"a", b"A", b"&x", b"&#1", b"&TA", b"\xff\x00"] {
            let present = ByteSet::of(text);
            let expected = kinds.iter().enumerate().fold(0, |all, (place, kind)| {
                all | u64::from(transformations::may_change(*kind, &present)) << place
            });
            assert_eq!(changes.may(&present), expected, "{text:?}");
        }
    }

    #[test]
    fn rows_mark_the_clauses_that_bytes_meet() {
        let mut clauses = vec![ByteSet::listed(b"a"); 65];
        clauses.push(ByteSet::listed(b"\xff"));
        let rows = Rows::of(&clauses);
        let mut hits = [0, 0];
        rows.mark(&ByteSet::of(b"xa"), &mut hits);
        assert_eq!(hits, [u64::MAX, 1]);
        rows.mark(&ByteSet::of(b"\xff"), &mut hits);
        assert_eq!(hits, [u64::MAX, 3]);
    }
}
