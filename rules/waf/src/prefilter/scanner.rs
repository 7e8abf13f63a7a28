//! Which of many literals are somewhere in a text, in any ASCII case: one pass over the text.
//!
//! ```text
//!   literals of 2 bytes:   a table of all pairs of bytes gives a mark, 0 for most; marks are set without asking
//!   of 3 to 16 bytes:      one window of up to 4 bytes of each, the rarest, passes a filter of 32 KiB       build
//!                          where a window passes, the few literals of its word are compared, exactly        entry
//!   what finds no place:   an automaton of its own; of CRS nothing
//! ```
//!
//! The filter's word is found by the first three bytes of a window, its bit by the fourth, so that a literal of three
//! bytes fills a word. Promises: exactly the literals that are there, or all of them of a text that would take longer than
//! [`LOOKS`] allows; at each byte at most [`CROWD`] numbers and twice [`SAME`] literals to compare, whoever wrote the text.
//! In a long text a literal that has nothing left to say is no longer looked for.

mod automaton;
mod build;
mod entry;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use automaton::Automaton;
use build::Builder;
use entry::Entry;

/// Words of the filter: with their 32 bits they fill 32 KiB, which the first cache of today's processors holds.
const WORDS: usize = 1 << WORD_BITS;
const WORD_BITS: u32 = 13;
/// Entries of one word, whose windows are all looked at where the text has one of them. Many of CRS's literals only
/// differ in the byte after a common word: a command and each of twelve separators.
const CROWD: usize = 64;
/// Entries with the same window, of four bytes or of three, which are all compared where a text holds it. With fewer, some
/// of CRS's literals find no place, and every text is read twice.
const SAME: usize = 12;
/// Entries that are looked at for each byte of a text, on the whole, before the text is taken to hold everything. What
/// people and programs send takes up to one a byte at level 4, plain attacks too; bytes that are chosen for it take up to
/// [`CROWD`], which costs more than the rules that may be passed over save.
const LOOKS: usize = 3;
/// Entries that are looked at in any text, since short ones vary.
const FIRST_LOOKS: usize = 16;
/// Bytes that pass the filter in the time of one look.
const PASSES: usize = 2;
/// Marks of pairs, with 0 for none.
const MARKS: usize = 256;
/// Literals below which the tables, of 112 KiB, are not worth their memory: the automaton takes all.
const FEW: usize = 64;
/// Bytes of a text from which a filter of its own, which takes 32 KiB to copy, costs less than it saves.
const LONG: usize = 2048;
/// Windows that are tried in one go.
const BLOCK: usize = 32;
/// Bytes from which on a text has a whole block; for less, a table of the marks that were seen costs more than it saves.
const SHORT: usize = BLOCK + 3;
/// What makes letters of both cases equal, and some other bytes too, four at once.
const FOLD: u32 = 0x2020_2020;

type Filter = [u32; WORDS];
type Marks = [u8; MARKS];

/// How long a scan took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effort {
    /// As long as what people and programs send does.
    Ordinary,
    /// More than half of what is allowed.
    Much,
    /// It was given up.
    TooMuch,
}

/// The literals of one side, each with the bits of the clauses it meets.
#[derive(Debug)]
pub(super) struct Scanner {
    tables: Option<Tables>,
    rest: Option<Automaton>,
}

impl Scanner {
    /// Of literals in ASCII lower case with the clauses that each meets; none if there are too many for an automaton.
    pub(super) fn build(literals: &BTreeMap<Vec<u8>, Vec<usize>>) -> Option<Self> {
        if literals.len() < FEW {
            return Some(Self { tables: None, rest: Automaton::of(literals.iter().collect())? });
        }
        let mut builder = Builder::default();
        // The short ones have the fewest windows to choose from.
        let mut ordered: Vec<_> = literals.iter().collect();
        ordered.sort_by_key(|(literal, _)| literal.len());
        ordered.retain(|(literal, meets)| builder.place(literal, meets).is_none());
        Some(Self { tables: Some(builder.finish()?), rest: Automaton::of(ordered)? })
    }

    /// Sets the bits of every literal that is in a text, or all if that would take too long.
    pub(super) fn scan(&self, text: &[u8], hits: &mut [u64]) -> Effort {
        let mut looks = usize::MAX;
        self.scan_within(text, hits, &mut looks)
    }

    /// The same for at most so many looks, of which those that it took are taken.
    pub(super) fn scan_within(&self, text: &[u8], hits: &mut [u64], looks: &mut usize) -> Effort {
        let whole = Patience::of(text).0;
        let passes = text.len() / PASSES;
        let mut patience = Patience(looks.saturating_sub(passes).min(whole));
        let most = patience.0;
        let found = patience.is_left().and_then(|()| self.search(text, hits, &mut patience));
        let spent = most - patience.0;
        *looks = looks.saturating_sub(passes + spent);
        if found.is_none() {
            hits.fill(u64::MAX);
            return Effort::TooMuch;
        }
        if spent > whole / 2 { Effort::Much } else { Effort::Ordinary }
    }

    /// None if it would take too long; what was found until then is set.
    fn search(&self, text: &[u8], hits: &mut [u64], patience: &mut Patience) -> Option<()> {
        if let Some(tables) = &self.tables {
            tables.scan(text, hits, patience)?;
        }
        if let Some(rest) = &self.rest {
            rest.scan(text, hits);
        }
        Some(())
    }
}

/// The literals that found a place.
#[derive(Debug)]
struct Tables {
    /// The mark of each pair of bytes, the first one low.
    pairs: Box<[u8; 1 << 16]>,
    /// The bits of each mark.
    marks: Vec<Meets>,
    /// Which windows are those of entries. A bit counts from the top.
    filter: Box<Filter>,
    /// Where the entries of each word begin, and where the last ones end.
    starts: Box<[u16; WORDS + 1]>,
    entries: Vec<Entry>,
    /// Lists of bits, one after the other.
    bits: Vec<u32>,
}

/// How many entries may still be looked at in a text.
struct Patience(usize);

impl Patience {
    fn of(text: &[u8]) -> Self {
        Self(FIRST_LOOKS.saturating_add(text.len().saturating_mul(LOOKS)))
    }

    #[inline]
    fn spend(&mut self, looks: usize) {
        self.0 = self.0.saturating_sub(looks);
    }

    #[inline]
    fn is_left(&self) -> Option<()> {
        (self.0 > 0).then_some(())
    }
}

/// A list of bits.
#[derive(Clone, Copy, Debug, Default)]
struct Meets {
    from: u32,
    count: u32,
}

/// The filter's word of a folded window: of its first three bytes, as the factor shifts the fourth out.
#[inline]
fn word(window: u32) -> usize {
    (window.wrapping_mul(0x9E37_7900) >> (u32::BITS - WORD_BITS)) as usize
}

/// The bit of a window in its word, moved to the top: of the fourth byte, without what tells cases apart.
#[inline]
fn to_the_top(word: u32, window: u32) -> u32 {
    word << ((window >> 24) & 31)
}

/// A window that begins somewhere.
#[inline]
fn window(text: &[u8], at: usize) -> Option<u32> {
    text.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn set(bits: &[u32], hits: &mut [u64]) {
    for bit in bits {
        if let Some(word) = hits.get_mut((bit / 64) as usize) {
            *word |= 1 << (bit % 64);
        }
    }
}

impl Tables {
    /// None if it would take too long; what was found until then is set.
    fn scan(&self, text: &[u8], hits: &mut [u64], patience: &mut Patience) -> Option<()> {
        if text.len() < SHORT {
            self.scan_short(text, hits);
            return Some(());
        }
        let mut seen = [0; MARKS];
        let from = if text.len() < LONG {
            self.scan_blocks(text, &mut seen, hits, patience)?
        } else {
            self.scan_long(text, &mut seen, hits, patience)?
        };
        self.scan_rest(text, from, &mut seen, hits);
        self.settle(&seen, hits);
        Some(())
    }

    /// Scans all whole blocks. Gives where the rest begins; none if it would take too long.
    fn scan_blocks(
        &self,
        text: &[u8],
        seen: &mut Marks,
        hits: &mut [u64],
        patience: &mut Patience,
    ) -> Option<usize> {
        let mut from = 0;
        while let Some(block) = text.get(from..).and_then(|rest| rest.first_chunk()) {
            let mut passed = self.sieve(&self.filter, seen, block);
            while let Some(at) = first(&mut passed) {
                if let Some(window) = window(text, from + at) {
                    patience.spend(self.compare(text, from + at, window | FOLD, hits));
                }
            }
            patience.is_left()?;
            from += BLOCK;
        }
        Some(from)
    }

    /// The same with a filter that closes for what is known.
    #[inline(never)]
    fn scan_long(
        &self,
        text: &[u8],
        seen: &mut Marks,
        hits: &mut [u64],
        patience: &mut Patience,
    ) -> Option<usize> {
        let mut filter = *self.filter;
        let mut from = 0;
        while let Some(block) = text.get(from..).and_then(|rest| rest.first_chunk()) {
            let mut passed = self.sieve(&filter, seen, block);
            while let Some(at) = first(&mut passed) {
                if let Some(window) = window(text, from + at)
                    && let Some(left) = self.compare_unknown(text, from + at, window | FOLD, hits, patience)
                    && let Some(word) = filter.get_mut(word(window | FOLD))
                {
                    *word &= left;
                }
            }
            patience.is_left()?;
            from += BLOCK;
        }
        Some(from)
    }

    /// The windows of a block that pass, the first one on top.
    #[inline]
    fn sieve(&self, filter: &Filter, seen: &mut Marks, block: &[u8; BLOCK + 3]) -> u32 {
        let mut passed = 0;
        for group in 0..BLOCK / 8 {
            // The compiler unrolls eight at a time, and then every offset is known to be inside.
            for at in 0..8 {
                if let Some(window) = window(block, group * 8 + at) {
                    self.mark(seen, window as u16);
                    passed = passed << 1 | self.pass(filter, window);
                }
            }
        }
        passed
    }

    /// 1 if a window passes.
    #[inline]
    fn pass(&self, filter: &Filter, window: u32) -> u32 {
        let word = filter.get(word(window | FOLD)).copied().unwrap_or_default();
        to_the_top(word, window) >> 31
    }

    /// Marks a pair.
    #[inline]
    fn mark(&self, seen: &mut Marks, pair: u16) {
        if let Some(mark) = self.pairs.get(usize::from(pair))
            && let Some(seen) = seen.get_mut(usize::from(*mark))
        {
            *seen = 1;
        }
    }

    /// Scans a text of no whole block: few of its pairs have marks, and their bits are set at once.
    fn scan_short(&self, text: &[u8], hits: &mut [u64]) {
        for pair in text.array_windows() {
            let mark = self.pairs.get(usize::from(u16::from_le_bytes(*pair))).copied().unwrap_or_default();
            if mark != 0
                && let Some(meets) = self.marks.get(usize::from(mark))
            {
                set(self.bits(*meets), hits);
            }
        }
        self.compare_rest(text, 0, hits);
    }

    /// Scans from the last whole block on.
    fn scan_rest(&self, text: &[u8], from: usize, seen: &mut Marks, hits: &mut [u64]) {
        let rest = text.get(from..).unwrap_or_default();
        rest.array_windows().for_each(|pair| self.mark(seen, u16::from_le_bytes(*pair)));
        self.compare_rest(text, from, hits);
    }

    /// The windows of what is left from a place on: fewer than a block and three.
    fn compare_rest(&self, text: &[u8], from: usize, hits: &mut [u64]) {
        let rest = text.get(from..).unwrap_or_default();
        // Fewer windows than bits: a block and three bytes would be one more.
        let mut passed = 0_u64;
        for bytes in rest.array_windows() {
            let window = u32::from_le_bytes(*bytes);
            passed = passed << 1 | u64::from(self.pass(&self.filter, window));
        }
        while passed != 0 {
            let at = text.len().saturating_sub(4 + passed.trailing_zeros() as usize);
            passed &= passed - 1;
            if let Some(window) = window(text, at) {
                self.compare(text, at, window | FOLD, hits);
            }
        }
        if let Some([first, second, third]) = rest.last_chunk() {
            // No literal with more bytes than are left is equal, whatever stands for the fourth.
            let window = u32::from_le_bytes([*first, *second, *third, 0]) | FOLD;
            if self.pass(&self.filter, window) == 1 {
                self.compare(text, text.len() - 3, window, hits);
            }
        }
    }

    /// The entries of a folded window's word.
    #[inline]
    fn entries(&self, window: u32) -> &[Entry] {
        let word = word(window);
        let (Some(from), Some(to)) = (self.starts.get(word), self.starts.get(word + 1)) else { return &[] };
        self.entries.get(usize::from(*from)..usize::from(*to)).unwrap_or_default()
    }

    #[inline]
    fn bits(&self, meets: Meets) -> &[u32] {
        let from = meets.from as usize;
        self.bits.get(from..from + meets.count as usize).unwrap_or_default()
    }

    /// Compares the entries of a folded window with the text around it. Gives how many were looked at.
    #[inline]
    fn compare(&self, text: &[u8], at: usize, window: u32, hits: &mut [u64]) -> usize {
        let entries = self.entries(window);
        for entry in entries {
            if entry.has(window) && entry.is_in(text, at) {
                set(self.bits(entry.meets), hits);
            }
        }
        entries.len()
    }

    /// The same for entries that have something to say. Gives what is left of the word if this window has nothing left.
    #[inline]
    fn compare_unknown(
        &self,
        text: &[u8],
        at: usize,
        window: u32,
        hits: &mut [u64],
        patience: &mut Patience,
    ) -> Option<u32> {
        let entries = self.entries(window);
        patience.spend(entries.len());
        let (mut known, mut unknown) = (false, false);
        for entry in entries {
            if entry.has(window) {
                if self.is_known(entry, hits) {
                    known = true;
                } else if entry.is_in(text, at) {
                    set(self.bits(entry.meets), hits);
                    known = true;
                } else {
                    unknown = true;
                }
            }
        }
        (known && !unknown).then(|| self.left(entries, hits))
    }

    /// The bits of the entries of a word that have something to say.
    #[inline(never)]
    fn left(&self, entries: &[Entry], hits: &[u64]) -> u32 {
        let unknown = entries.iter().filter(|entry| !self.is_known(entry, hits));
        unknown.fold(0, |word, entry| word | entry.opens())
    }

    /// Whether all of an entry's bits are set.
    #[inline]
    fn is_known(&self, entry: &Entry, hits: &[u64]) -> bool {
        let is_set =
            |bit: &u32| hits.get((bit / 64) as usize).is_some_and(|word| word >> (bit % 64) & 1 == 1);
        self.bits(entry.meets).iter().all(is_set)
    }

    /// Sets the bits of the marks that were seen.
    fn settle(&self, seen: &Marks, hits: &mut [u64]) {
        let (groups, _) = seen.as_chunks();
        for (group, seen) in groups.iter().take(self.marks.len().div_ceil(8)).enumerate() {
            let mut seen = u64::from_le_bytes(*seen);
            while seen != 0 {
                let mark = group * 8 + seen.trailing_zeros() as usize / 8;
                if let Some(meets) = self.marks.get(mark) {
                    set(self.bits(*meets), hits);
                }
                seen &= seen - 1;
            }
        }
    }
}

/// Takes the topmost bit out. Gives its place from the top.
#[inline]
fn first(bits: &mut u32) -> Option<usize> {
    let place = bits.leading_zeros();
    *bits &= !1_u32.reverse_bits().checked_shr(place)?;
    Some(place as usize)
}
