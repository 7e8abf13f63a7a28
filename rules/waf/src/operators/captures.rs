//! What an operator captured: the values for `TX:0` to `TX:9`.

/// How many values there are.
pub const CAPTURES: usize = 10;

/// The values for `TX:0` to `TX:9`. Groups that took no part in the match are absent; the engine removes their
/// variables, so that a rule never reads what an earlier one left there.
#[derive(Clone, Debug, Default)]
pub struct Captures {
    /// The values, one after the other.
    text: Vec<u8>,
    /// From where to where each group is, if its bit is set in `present`.
    groups: [(usize, usize); CAPTURES],
    present: u16,
}

impl Captures {
    /// The value of a group.
    pub fn get(&self, group: usize) -> Option<&[u8]> {
        let (from, to) = *self.groups.get(group)?;
        if self.present >> group & 1 == 1 { self.text.get(from..to) } else { None }
    }

    /// Every group with its value, if it has one.
    pub fn iter(&self) -> impl Iterator<Item = (usize, Option<&[u8]>)> {
        (0..CAPTURES).map(|group| (group, self.get(group)))
    }

    /// Whether nothing was captured.
    pub fn is_empty(&self) -> bool {
        self.present == 0
    }

    /// Forgets every value and keeps the room.
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.present = 0;
    }

    /// Bytes of the room.
    pub(crate) fn room(&self) -> usize {
        self.text.capacity()
    }

    /// Groups from ten on are not kept.
    pub(super) fn set(&mut self, group: usize, value: &[u8]) {
        if let Some(slot) = self.groups.get_mut(group) {
            let from = self.text.len();
            self.text.extend_from_slice(value);
            *slot = (from, self.text.len());
            self.present |= 1 << group;
        }
    }
}
