//! What a value must hold for an operator to match it: a necessary condition, never a sufficient one.
//!
//! Promise: a value that an operator matches meets the operator's needs. Nothing is promised of the values it does not
//! match. Does not say where in the value something is.

use std::collections::BTreeSet;

/// Bytes of a literal that are kept: two numbers that are quickly compared. Few texts hold the first 16 but not the rest.
pub(crate) const LITERAL_BYTES: usize = 16;
/// Clauses of one operator that are kept. The fourth is rarely what rules a value out, but it costs nothing where another
/// one has.
pub(crate) const CLAUSES: usize = 4;
/// Expected passes of 100 bytes of ordinary text above which a clause is not worth its place.
const USELESS: f64 = 60.0;

/// Bytes of a text from which on a table of its bytes is made first.
const LONG: usize = 512;

/// A set of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ByteSet([u64; 4]);

impl ByteSet {
    /// No byte.
    pub(crate) const NONE: Self = Self([0; 4]);
    /// Every byte.
    pub(crate) const ALL: Self = Self([u64::MAX; 4]);

    /// These bytes.
    pub(crate) const fn listed(mut bytes: &[u8]) -> Self {
        let mut set = Self::NONE;
        while let [byte, rest @ ..] = bytes {
            set = set.with(*byte, *byte);
            bytes = rest;
        }
        set
    }

    /// Also the bytes from one to another, both included.
    pub(crate) const fn with(self, first: u8, last: u8) -> Self {
        let mut set = self;
        let mut byte = first;
        while byte <= last {
            let [low, middle, high, top] = &mut set.0;
            let word = match byte >> 6 {
                0 => low,
                1 => middle,
                2 => high,
                _ => top,
            };
            *word |= 1 << (byte & 63);
            if byte == u8::MAX {
                break;
            }
            byte += 1;
        }
        set
    }

    /// The bytes that a text holds.
    pub(crate) fn of(text: &[u8]) -> Self {
        let mut set = Self::default();
        if text.len() < LONG {
            text.iter().for_each(|byte| set.insert(*byte));
            return set;
        }
        let mut seen = [false; 256];
        for byte in text {
            if let Some(seen) = seen.get_mut(usize::from(*byte)) {
                *seen = true;
            }
        }
        (0..=u8::MAX).zip(seen).filter(|(_, seen)| *seen).for_each(|(byte, _)| set.insert(byte));
        set
    }

    /// Adds a byte.
    pub(crate) fn insert(&mut self, byte: u8) {
        if let Some(word) = self.0.get_mut(usize::from(byte >> 6)) {
            *word |= 1 << (byte & 63);
        }
    }

    /// Adds every byte of another set.
    pub(crate) fn extend(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(word, more)| *word |= more);
    }

    /// The bytes that both hold.
    #[inline]
    pub(crate) fn both(&self, other: &Self) -> Self {
        let ([first, second, third, fourth], [low, middle, high, top]) = (self.0, other.0);
        Self([first & low, second & middle, third & high, fourth & top])
    }

    /// Whether both hold some byte.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0).any(|(word, more)| word & more != 0)
    }

    /// Its bytes in order.
    pub(crate) fn iter(self) -> impl Iterator<Item = u8> {
        (0..=u8::MAX).filter(move |byte| {
            self.0.get(usize::from(byte >> 6)).is_some_and(|word| word >> (byte & 63) & 1 == 1)
        })
    }

    /// Calls `each` with its bytes in order; for few bytes of many, faster than [`Self::iter`].
    #[inline]
    pub(crate) fn each(&self, mut each: impl FnMut(u8)) {
        let mut all = |first: u8, word: u64| {
            let mut left = word;
            while left != 0 {
                // Below 64.
                each(first + left.trailing_zeros() as u8);
                left &= left - 1;
            }
        };
        let [low, middle, high, top] = self.0;
        all(0, low);
        all(64, middle);
        if high | top != 0 {
            all(128, high);
            all(192, top);
        }
    }
}

/// At least one of these is in the value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Clause {
    /// In ASCII lower case, of two bytes or more; in the value in any case.
    pub(crate) literals: BTreeSet<Vec<u8>>,
    /// Exactly these bytes.
    pub(crate) bytes: ByteSet,
}

impl Clause {
    /// One of these literals, whatever their case; none if an empty one makes it say nothing.
    pub(crate) fn any_of<'a>(literals: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let mut clause = Self::default();
        for literal in literals {
            match literal {
                [] => return None,
                [byte] => {
                    clause.bytes.insert(byte.to_ascii_lowercase());
                    clause.bytes.insert(byte.to_ascii_uppercase());
                }
                more => {
                    let kept = more.get(..LITERAL_BYTES).unwrap_or(more);
                    clause.literals.insert(kept.to_ascii_lowercase());
                }
            }
        }
        clause.minimise();
        Some(clause)
    }

    /// One of these bytes, exactly.
    pub(crate) fn byte(bytes: ByteSet) -> Self {
        Self { literals: BTreeSet::new(), bytes }
    }

    /// What holds if either holds.
    pub(crate) fn or(mut self, other: &Self) -> Self {
        self.literals.extend(other.literals.iter().cloned());
        self.bytes.extend(&other.bytes);
        self.minimise();
        self
    }

    /// Drops literals that hold another one: wherever they are, that is too.
    fn minimise(&mut self) {
        let all = std::mem::take(&mut self.literals);
        let both_cases = |byte: &u8| {
            let cases = [byte.to_ascii_lowercase(), byte.to_ascii_uppercase()];
            cases.iter().all(|case| self.bytes.meets(&ByteSet::of(&[*case])))
        };
        let mut kept = BTreeSet::new();
        for literal in &all {
            let holds_byte = literal.iter().any(both_cases);
            let holds_other = || {
                (0..literal.len()).any(|from| {
                    let ends = (from + 2)..=literal.len();
                    let mut parts = ends.filter_map(|to| literal.get(from..to));
                    parts.any(|part| part.len() < literal.len() && all.contains(part))
                })
            };
            if !holds_byte && !holds_other() {
                kept.insert(literal.clone());
            }
        }
        self.literals = kept;
    }

    /// How often ordinary text is expected to pass: the smaller the better.
    pub(crate) fn cost(&self) -> f64 {
        100.0 * (likelihood(&self.literals) + self.bytes.iter().map(frequency).sum::<f64>())
    }
}

/// Roughly how often one of these texts begins at a place of ordinary text.
pub(crate) fn likelihood(texts: &BTreeSet<Vec<u8>>) -> f64 {
    let one = |text: &Vec<u8>| text.iter().map(|byte| frequency(*byte)).product::<f64>();
    texts.iter().map(one).sum()
}

/// Roughly how often a byte is in the values of ordinary requests, cases together.
pub(super) fn frequency(byte: u8) -> f64 {
    match byte {
        b' ' => 0.1,
        b'a' | b'e' | b'i' | b'o' | b't' | b'n' | b's' | b'r' => 0.05,
        b'a'..=b'z' | b'0'..=b'9' => 0.02,
        b'A'..=b'Z' => 0.01,
        b'-' | b'.' | b'/' | b'_' | b',' | b'=' | b':' => 0.01,
        b'&' | b'+' | b'%' | b'?' | b';' | b'"' | b'\'' | b'(' | b')' => 0.002,
        b'\n' | b'\r' => 0.003,
        b'!'..=b'~' => 0.001,
        0x80.. => 0.001,
        _ => 0.0001,
    }
}

/// What a value must meet, all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// The most telling clauses, best first; at most [`CLAUSES`].
    pub(crate) clauses: Vec<Clause>,
    /// The fewest bytes.
    pub(crate) bytes: usize,
}

impl Needs {
    /// The needs of an operator that looks for phrases in any case; none if they say nothing.
    pub(crate) fn phrases<'a>(phrases: impl IntoIterator<Item = &'a [u8]> + Clone) -> Option<Self> {
        let bytes = phrases.clone().into_iter().map(<[u8]>::len).min()?;
        let clause = Clause::any_of(phrases)?;
        Some(Self { clauses: vec![clause], bytes })
    }

    /// Keeps the most telling clauses.
    pub(crate) fn of(clauses: Vec<Clause>, bytes: usize) -> Self {
        Self { clauses: best(clauses), bytes }
    }

    /// Whether it says anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.clauses.is_empty() && self.bytes == 0
    }
}

/// The most telling clauses, best first, without those that say too little.
pub(crate) fn best(clauses: Vec<Clause>) -> Vec<Clause> {
    let mut priced: Vec<(f64, Clause)> = clauses.into_iter().map(|clause| (clause.cost(), clause)).collect();
    priced.retain(|(cost, _)| *cost < USELESS);
    priced.sort_by(|left, right| left.0.total_cmp(&right.0));
    priced.dedup_by(|right, left| right.1 == left.1);
    priced.into_iter().take(CLAUSES).map(|(_, clause)| clause).collect()
}
