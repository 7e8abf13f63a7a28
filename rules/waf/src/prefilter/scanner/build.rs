//! Gives each literal its place in the tables: a mark of its pair, or the window by which it is found.
//!
//! Of a literal's windows the one is taken that ordinary texts hold least, and that has fewest others in its word.

use std::collections::HashMap;

use super::entry::{Entry, LONGEST, folded};
use super::{CROWD, MARKS, Meets, SAME, Tables, WORDS, word};
use crate::prefilter::needs::{LITERAL_BYTES, frequency};

const _: () = assert!(LITERAL_BYTES <= LONGEST, "what needs keep must have an entry");

/// Tables that are being filled.
pub(super) struct Builder {
    pairs: Vec<u8>,
    marks: Vec<Meets>,
    /// The mark of each list of bits.
    marked: HashMap<Vec<usize>, u8>,
    words: Vec<Vec<Entry>>,
    /// Entries of all words.
    count: u16,
    bits: Vec<u32>,
    lists: HashMap<Vec<usize>, Meets>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            pairs: vec![0; 1 << 16],
            // The first mark is that of no pair.
            marks: vec![Meets::default()],
            marked: HashMap::new(),
            words: vec![Vec::new(); WORDS],
            count: 0,
            bits: Vec::new(),
            lists: HashMap::new(),
        }
    }
}

impl Builder {
    /// Gives a literal a place; none if there is none.
    pub(super) fn place(&mut self, literal: &[u8], meets: &[usize]) -> Option<()> {
        if literal.iter().any(u8::is_ascii_uppercase) {
            return None;
        }
        match literal {
            [first, second] => self.place_pair([*first, *second], meets),
            _ => self.place_entry(literal, meets),
        }
    }

    /// The place of a list of bits; equal lists are one.
    fn list(&mut self, meets: &[usize]) -> Option<Meets> {
        if let Some(known) = self.lists.get(meets) {
            return Some(*known);
        }
        let bits: Vec<u32> = meets.iter().map(|bit| u32::try_from(*bit).ok()).collect::<Option<_>>()?;
        let list =
            Meets { from: u32::try_from(self.bits.len()).ok()?, count: u32::try_from(bits.len()).ok()? };
        self.bits.extend(bits);
        self.lists.insert(meets.to_vec(), list);
        Some(list)
    }

    fn place_pair(&mut self, pair: [u8; 2], meets: &[usize]) -> Option<()> {
        let mark = match self.marked.get(meets) {
            Some(known) => *known,
            None if self.marks.len() == MARKS => return None,
            None => {
                let mark = u8::try_from(self.marks.len()).ok()?;
                let list = self.list(meets)?;
                self.marks.push(list);
                self.marked.insert(meets.to_vec(), mark);
                mark
            }
        };
        let [first, second] = pair.map(|byte| [byte, byte.to_ascii_uppercase()]);
        for first in first {
            for second in second {
                *self.pairs.get_mut(usize::from(u16::from_le_bytes([first, second])))? = mark;
            }
        }
        Some(())
    }

    fn place_entry(&mut self, literal: &[u8], meets: &[usize]) -> Option<()> {
        let count = self.count.checked_add(1)?;
        let windows = 0..literal.len().saturating_sub(3).max(1);
        let priced = windows.filter_map(|offset| Some((offset, self.price(literal, offset)?)));
        let (offset, _) = priced.min_by(|left, right| left.1.total_cmp(&right.1))?;
        // What is too short or too long has no entry.
        Entry::new(literal, offset, Meets::default())?;
        let entry = Entry::new(literal, offset, self.list(meets)?)?;
        self.words.get_mut(word(entry.window()))?.push(entry);
        self.count = count;
        Some(())
    }

    /// What it costs to find a literal by a window; none if there is no room for it.
    fn price(&self, literal: &[u8], offset: usize) -> Option<f64> {
        let window = folded(literal, offset)?;
        let others = self.words.get(word(window))?;
        let same = others.iter().filter(|entry| entry.window() == window).count();
        if others.len() >= CROWD || same >= SAME {
            return None;
        }
        let bytes = literal.iter().skip(offset).take(4);
        let crowd = f64::from(u8::try_from(others.len()).ok()?);
        Some(bytes.map(|byte| frequency(*byte)).product::<f64>() * (1.0 + crowd))
    }

    /// The tables; none if something does not fit, which is then a fault of this module.
    pub(super) fn finish(self) -> Option<Tables> {
        let mut filter = vec![0; WORDS];
        let mut starts = vec![0];
        let mut entries = Vec::with_capacity(usize::from(self.count));
        for (word, list) in filter.iter_mut().zip(self.words) {
            *word = list.iter().fold(0, |word, entry| word | entry.opens());
            entries.extend(list);
            starts.push(u16::try_from(entries.len()).ok()?);
        }
        Some(Tables {
            pairs: self.pairs.try_into().ok()?,
            marks: self.marks,
            filter: filter.try_into().ok()?,
            starts: starts.try_into().ok()?,
            entries,
            bits: self.bits,
        })
    }
}
