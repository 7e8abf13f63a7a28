//! What an operator captured: the values for `TX:0` to `TX:9`.

/// How many values there are.
pub const CAPTURES: usize = 10;

/// The values for `TX:0` to `TX:9`. Groups that took no part in the match are absent; the engine removes their
/// variables, so that a rule never reads what an earlier one left there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captures {
    values: [Option<Vec<u8>>; CAPTURES],
}

impl Captures {
    /// The value of a group.
    pub fn get(&self, group: usize) -> Option<&[u8]> {
        self.values.get(group)?.as_deref()
    }

    /// Every group with its value, if it has one.
    pub fn iter(&self) -> impl Iterator<Item = (usize, Option<&[u8]>)> {
        self.values.iter().map(Option::as_deref).enumerate()
    }

    /// Whether nothing was captured.
    pub fn is_empty(&self) -> bool {
        self.values.iter().all(Option::is_none)
    }

    pub(super) fn clear(&mut self) {
        self.values = Default::default();
    }

    /// Groups from ten on are not kept.
    pub(super) fn set(&mut self, group: usize, value: &[u8]) {
        if let Some(slot) = self.values.get_mut(group) {
            *slot = Some(value.to_vec());
        }
    }
}
