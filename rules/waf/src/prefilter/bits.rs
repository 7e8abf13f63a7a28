//! A set of small numbers: the rules of a phase by their place in it.

/// A set of numbers below a bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    /// An empty set of numbers below `bound`.
    pub(crate) fn new(bound: usize) -> Self {
        Self(vec![0; bound.div_ceil(64)])
    }

    /// Makes room for numbers below `bound`.
    pub(crate) fn reach(&mut self, bound: usize) {
        if self.0.len() < bound.div_ceil(64) {
            self.0.resize(bound.div_ceil(64), 0);
        }
    }

    /// Takes every number away and keeps the room.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Adds a number; one that is not below the bound is left out.
    pub(crate) fn insert(&mut self, number: usize) {
        if let Some(word) = self.0.get_mut(number / 64) {
            *word |= 1 << (number % 64);
        }
    }

    /// Takes a number away.
    pub(crate) fn remove(&mut self, number: usize) {
        if let Some(word) = self.0.get_mut(number / 64) {
            *word &= !(1 << (number % 64));
        }
    }

    /// Whether a number is in the set.
    pub(crate) fn contains(&self, number: usize) -> bool {
        self.0.get(number / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// The first number that is not below `from`.
    pub(crate) fn next(&self, from: usize) -> Option<usize> {
        let mut place = from / 64;
        let mut word = self.0.get(place)? & (u64::MAX << (from % 64));
        while word == 0 {
            place += 1;
            word = *self.0.get(place)?;
        }
        Some(place * 64 + word.trailing_zeros() as usize)
    }

    /// Takes all of another set's place, without a new allocation where there is room.
    pub(crate) fn copy(&mut self, other: &Self) {
        self.0.clear();
        self.0.extend_from_slice(&other.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_in_order_up_to_the_bound() {
        let mut bits = Bits::new(130);
        for number in [0, 63, 64, 129, 400] {
            bits.insert(number);
        }
        bits.remove(63);
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(number) = bits.next(from) {
            found.push(number);
            from = number + 1;
        }
        assert_eq!(found, [0, 64, 129]);
        assert!(bits.contains(64) && !bits.contains(63) && !bits.contains(400));
        bits.reach(401);
        bits.insert(400);
        assert!(bits.contains(64) && bits.contains(400), "there is room now");
        bits.clear();
        assert!(!bits.contains(64) && bits.next(0).is_none());
    }
}
