//! Where texts are known by the place of their bytes in memory: a table with open addressing that costs four bytes an entry.

/// The numbers of texts by the places of their bytes.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// A number and one; nothing: free. At least half are free.
    slots: Vec<u32>,
    count: u32,
}

/// Slots of the first table.
const FIRST: usize = 64;

impl Places {
    /// The number of a text for which `is_it`.
    pub(super) fn find(&self, bytes: &[u8], is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mut at = hash(bytes) as usize;
        loop {
            let number = self.slots.get(at & self.slots.len().checked_sub(1)?)?.checked_sub(1)?;
            if is_it(number) {
                return Some(number);
            }
            at += 1;
        }
    }

    /// Adds the next number: they come in order, from 0 on. `text` has those before it.
    pub(super) fn insert<'a>(&mut self, bytes: &[u8], text: impl Fn(u32) -> Option<&'a [u8]>) {
        let number = self.count;
        self.count += 1;
        if self.count as usize * 2 <= self.slots.len() {
            return self.put(hash(bytes), number);
        }
        let slots = (self.slots.len() * 2).max(FIRST);
        // The old table goes before the new one comes.
        self.slots = Vec::new();
        self.slots.resize(slots, 0);
        (0..number).for_each(|number| self.put(text(number).map_or(0, hash), number));
        self.put(hash(bytes), number);
    }

    fn put(&mut self, hash: u32, number: u32) {
        let mask = self.slots.len().saturating_sub(1);
        let mut at = hash as usize;
        while let Some(slot) = self.slots.get_mut(at & mask) {
            if *slot == 0 {
                *slot = number + 1;
                return;
            }
            at += 1;
        }
    }

    /// Forgets everything and keeps the room.
    pub(super) fn clear(&mut self) {
        if self.count > 0 {
            self.slots.fill(0);
            self.count = 0;
        }
    }

    /// Bytes of the room.
    pub(super) fn room(&self) -> usize {
        self.slots.capacity() * size_of::<u32>()
    }
}

/// Of a place in memory, which nobody outside chooses, and of the length.
fn hash(bytes: &[u8]) -> u32 {
    let place = (bytes.as_ptr() as usize as u64).rotate_left(23) ^ bytes.len() as u64;
    let mixed = place.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    u32::try_from(mixed >> 32).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_found_again_while_the_table_grows() {
        let texts: Vec<Vec<u8>> = (0..1_000_u32).map(|number| number.to_le_bytes().to_vec()).collect();
        let mut places = Places::default();
        let find = |places: &Places, wanted: &[u8]| {
            places.find(wanted, |number| {
                texts.get(number as usize).is_some_and(|text| std::ptr::eq(text.as_ptr(), wanted.as_ptr()))
            })
        };
        for (number, text) in (0..).zip(&texts) {
            assert_eq!(find(&places, text), None);
            places.insert(text, |number| texts.get(number as usize).map(Vec::as_slice));
            assert_eq!(find(&places, text), Some(number));
        }
        assert!((0..).zip(&texts).all(|(number, text)| find(&places, text) == Some(number)));
        places.clear();
        assert!(texts.iter().all(|text| find(&places, text).is_none()));
    }
}
