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

/// Words of a row that are joined at once.
const WORDS: usize = 4;

/// What each byte says: the sets that it is in, and the clauses that it meets.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// The sets of bytes that each transformation needs, by their places; a text that meets all of them may change.
    needs: Vec<u64>,
    /// The first word of the first one has the sets, all others the clauses.
    blocks: Vec<Block>,
}

/// Four words of the rows of all bytes.
#[derive(Debug)]
struct Block {
    rows: [[u64; WORDS]; 256],
    /// The bytes that say something here: most letters and digits do not.
    speaks: ByteSet,
}

impl Block {
    const EMPTY: Self = Self { rows: [[0; WORDS]; 256], speaks: ByteSet::NONE };

    /// What these bytes say together.
    #[inline]
    fn joined(&self, present: &ByteSet) -> [u64; WORDS] {
        // Written out: this is what each text costs, whatever the compiler makes of iterators.
        let [mut first, mut second, mut third, mut fourth] = [0; WORDS];
        present.both(&self.speaks).each(|byte| {
            if let Some([one, two, three, four]) = self.rows.get(usize::from(byte)) {
                first |= one;
                second |= two;
                third |= three;
                fourth |= four;
            }
        });
        [first, second, third, fourth]
    }
}

impl Rows {
    /// The rows of clauses, each with its bit, and of transformations.
    pub(super) fn of(clauses: &[(usize, ByteSet)], kinds: &[Transformation]) -> Self {
        let met = clauses.iter().filter(|(_, set)| *set != ByteSet::NONE);
        let words = met.clone().map(|(bit, _)| bit / 64 + 1).max().unwrap_or(0);
        let mut blocks = Vec::new();
        blocks.resize_with((words + 1).div_ceil(WORDS), || Block::EMPTY);
        let mut rows = Self { needs: Vec::new(), blocks };
        for (bit, set) in met {
            rows.set(set, 1 + bit / 64, bit % 64);
        }
        let mut sets: Vec<ByteSet> = Vec::new();
        for kind in kinds {
            let mut need = 0;
            for set in transformations::changes(*kind) {
                let place = sets.iter().position(|known| known == set).unwrap_or_else(|| {
                    sets.push(*set);
                    sets.len() - 1
                });
                need |= if place < FEATURES { 1 << place } else { 0 };
            }
            rows.needs.push(need);
        }
        for (place, set) in sets.iter().enumerate().take(FEATURES) {
            rows.set(set, 0, place);
        }
        rows
    }

    fn set(&mut self, bytes: &ByteSet, word: usize, bit: usize) {
        let Some(block) = self.blocks.get_mut(word / WORDS) else { return };
        block.speaks.extend(bytes);
        for byte in bytes.iter() {
            let row = block.rows.get_mut(usize::from(byte));
            if let Some(word) = row.and_then(|row| row.get_mut(word % WORDS)) {
                *word |= 1 << bit;
            }
        }
    }

    /// Sets the clauses that these bytes meet. Gives the transformations that may change a text of these bytes.
    pub(super) fn mark(&self, present: &ByteSet, hits: &mut [u64]) -> Kinds {
        let Some((first, others)) = self.blocks.split_first() else { return Kinds::MAX };
        let [met, joined @ ..] = first.joined(present);
        let mut hits = hits.iter_mut();
        // The words come first: where the hits end, no more of them is taken.
        joined.into_iter().zip(&mut hits).for_each(|(word, hits)| *hits |= word);
        for block in others {
            block.joined(present).into_iter().zip(&mut hits).for_each(|(word, hits)| *hits |= word);
        }
        let mut may = 0;
        for (place, need) in self.needs.iter().enumerate() {
            may |= u64::from(met & need == *need) << (place % 64);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_say_of_every_byte_what_transformations_say() {
        let kinds = [Transformation::HtmlEntityDecode, Transformation::Lowercase, Transformation::Length];
        let rows = Rows::of(&[], &kinds);
        for text in [&b""[..], b"a", b"A", b"&x", b"&#1", b"&TA", b"\xff\x00"] {
            let present = ByteSet::of(text);
            let expected = kinds.iter().enumerate().fold(0, |all, (place, kind)| {
                all | u64::from(transformations::may_change(*kind, &present)) << place
            });
            assert_eq!(rows.mark(&present, &mut []), expected, "{text:?}");
        }
    }

    #[test]
    fn rows_mark_the_clauses_that_bytes_meet() {
        let mut clauses: Vec<_> = (0..65).map(|bit| (bit, ByteSet::listed(b"a"))).collect();
        clauses.push((65, ByteSet::listed(b"\xff")));
        clauses.push((260, ByteSet::NONE));
        clauses.push((250, ByteSet::listed(b"z")));
        let rows = Rows::of(&clauses, &[]);
        let mut hits = [0; 4];
        rows.mark(&ByteSet::of(b"xa"), &mut hits);
        assert_eq!(hits, [u64::MAX, 1, 0, 0]);
        rows.mark(&ByteSet::of(b"\xff"), &mut hits);
        assert_eq!(hits, [u64::MAX, 3, 0, 0]);
        rows.mark(&ByteSet::of(b"z"), &mut hits);
        assert_eq!(hits, [u64::MAX, 3, 0, 1 << (250 - 192)], "a word of the second block");
    }
}
