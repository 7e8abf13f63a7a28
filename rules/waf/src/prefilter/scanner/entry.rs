//! A literal of three bytes or more: by which window it is found, and the exact comparison.

use super::{FOLD, Meets};

/// The most bytes of an entry: what two ends of eight bytes cover.
pub(super) const LONGEST: usize = 16;

/// A literal. Its ends are its first and its last bytes, eight of each or four or all three; together they are all of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    ends: [u64; 2],
    /// What makes a letter of the text the literal's, where the literal has a letter.
    folds: [u64; 2],
    /// Folded; the fourth byte of a window of three is not looked at.
    window: u32,
    /// How far the window is shifted so that only what counts is left.
    shift: u8,
    /// Bytes before the window.
    offset: u8,
    /// Bytes of the literal.
    len: u8,
    pub(super) meets: Meets,
}

impl Entry {
    /// A literal in lower case that is found by the window at `offset`; none if it is too short, too long, or if the window
    /// is not in it.
    pub(super) fn new(literal: &[u8], offset: usize, meets: Meets) -> Option<Self> {
        let window = folded(literal, offset)?;
        let side = match literal.len() {
            8..=LONGEST => 8,
            4..8 => 4,
            3 => 3,
            _ => return None,
        };
        let (first, last) = (literal.get(..side)?, literal.get(literal.len() - side..)?);
        let fold = |end: &[u8]| {
            let folds: Vec<u8> = end.iter().map(|byte| u8::from(byte.is_ascii_lowercase()) << 5).collect();
            number(&folds)
        };
        Some(Self {
            ends: [number(first), number(last)],
            folds: [fold(first), fold(last)],
            window,
            shift: if literal.len() == 3 { 8 } else { 0 },
            offset: u8::try_from(offset).ok()?,
            len: u8::try_from(literal.len()).ok()?,
            meets,
        })
    }

    /// Whether it is found by a folded window.
    #[inline]
    pub(super) fn has(&self, window: u32) -> bool {
        #[cfg(test)]
        super::tests::WINDOWS.with(|count| count.set(count.get() + 1));
        (self.window ^ window) << (self.shift & 31) == 0
    }

    /// Whether it is in a text whose bytes from `at` on are its window.
    #[inline]
    pub(super) fn is_in(&self, text: &[u8], at: usize) -> bool {
        #[cfg(test)]
        super::tests::COMPARISONS.with(|count| count.set(count.get() + 1));
        let from = at.wrapping_sub(usize::from(self.offset));
        let Some(part) = text.get(from..from.wrapping_add(usize::from(self.len))) else { return false };
        let ends = if let (Some(first), Some(last)) = (part.first_chunk(), part.last_chunk()) {
            [u64::from_le_bytes(*first), u64::from_le_bytes(*last)]
        } else if let (Some(first), Some(last)) = (part.first_chunk(), part.last_chunk()) {
            [u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into()]
        } else if let [first, second, third] = part {
            [u32::from_le_bytes([*first, *second, *third, 0]).into(); 2]
        } else {
            return false;
        };
        let [first, last] = ends;
        let [fold_first, fold_last] = self.folds;
        [first | fold_first, last | fold_last] == self.ends
    }

    /// The bits of its word in the filter.
    pub(super) fn opens(&self) -> u32 {
        if self.shift == 0 {
            // What moves to the top when the word is shifted.
            1_u32.reverse_bits().checked_shr(self.window >> 24 & 31).unwrap_or_default()
        } else {
            u32::MAX
        }
    }

    /// Its window.
    pub(super) fn window(&self) -> u32 {
        self.window
    }
}

/// The folded window of a literal at an offset, of four bytes or all three.
pub(super) fn folded(literal: &[u8], offset: usize) -> Option<u32> {
    let bytes = match literal {
        [first, second, third] if offset == 0 => [*first, *second, *third, 0],
        _ => *literal.get(offset..)?.first_chunk()?,
    };
    Some(u32::from_le_bytes(bytes) | FOLD)
}

/// Up to eight bytes as a number.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
