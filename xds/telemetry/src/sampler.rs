//! Which denials of a flood are exported: all up to a threshold per second, then one for many.
//!
//! Promises: every denial is exported, stood for, or counted as left over; memory is bounded whatever is sent. Time is
//! the caller's.

use std::collections::HashMap;

use palisade_model::{Reason, RuleId};

use crate::limits::{FLOOD_INTERVAL, FLOOD_KEYS, FLOOD_THRESHOLD};

/// What makes two denials the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub reason: Reason,
    pub rule: Option<RuleId>,
    pub principal: Option<String>,
}

#[derive(Debug, Default)]
struct Count {
    seen: u64,
    /// Held back since the last one that was exported.
    held: u64,
}

/// The counts of the current second.
#[derive(Debug, Default)]
pub(crate) struct Sampler {
    second: u64,
    counts: HashMap<Key, Count>,
    others: Count,
    left_over: u64,
}

impl Sampler {
    /// How many denials the next one stands for, itself included; none if it is held back.
    pub(crate) fn admit(&mut self, key: Key, now_ms: u64) -> Option<u64> {
        let second = now_ms / 1000;
        if second != self.second {
            self.second = second;
            let held: u64 = self.counts.values().map(|count| count.held).sum();
            self.left_over += held + self.others.held;
            self.counts.clear();
            self.others = Count::default();
        }
        let room = self.counts.len() < FLOOD_KEYS;
        let count = match self.counts.contains_key(&key) || room {
            true => self.counts.entry(key).or_default(),
            false => &mut self.others,
        };
        count.seen += 1;
        if count.seen > FLOOD_THRESHOLD && !(count.seen - FLOOD_THRESHOLD).is_multiple_of(FLOOD_INTERVAL) {
            count.held += 1;
            return None;
        }
        Some(std::mem::take(&mut count.held) + 1)
    }

    /// Denials of past seconds that no exported event stands for.
    pub(crate) fn left_over(&self) -> u64 {
        self.left_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(principal: usize) -> Key {
        Key { reason: Reason::AuthorizationDenied, rule: None, principal: Some(principal.to_string()) }
    }

    #[test]
    fn up_to_the_threshold_all_pass_and_beyond_it_one_stands_for_many() {
        let mut sampler = Sampler::default();
        for _ in 0..FLOOD_THRESHOLD {
            assert_eq!(sampler.admit(key(1), 5_000), Some(1));
        }
        let flood: Vec<_> = (0..2 * FLOOD_INTERVAL).map(|_| sampler.admit(key(1), 5_999)).collect();
        let passed: Vec<_> = flood.iter().flatten().copied().collect();
        assert_eq!(passed, [FLOOD_INTERVAL, FLOOD_INTERVAL]);
        // Others are not held back by it, and a new second begins anew.
        assert_eq!(sampler.admit(key(2), 5_999), Some(1));
        assert_eq!(sampler.admit(key(1), 6_000), Some(1));
    }

    #[test]
    fn nothing_is_lost_uncounted() {
        let mut sampler = Sampler::default();
        let total = 1234;
        let stood_for: u64 = (0..total).filter_map(|_| sampler.admit(key(1), 1_000)).sum();
        sampler.admit(key(1), 2_000);
        assert_eq!(stood_for + sampler.left_over(), total);
        assert!(sampler.left_over() > 0);
    }

    #[test]
    fn the_number_of_keys_is_bounded_at_under_and_over() {
        let mut sampler = Sampler::default();
        for principal in 0..FLOOD_KEYS {
            assert_eq!(sampler.admit(key(principal), 1_000), Some(1));
        }
        assert_eq!(sampler.counts.len(), FLOOD_KEYS);
        let passed = (0..FLOOD_THRESHOLD * 2)
            .filter(|at| sampler.admit(key(FLOOD_KEYS + usize::try_from(*at).unwrap()), 1_000).is_some());
        assert_eq!(passed.count() as u64, FLOOD_THRESHOLD, "what is over shares one count");
        assert_eq!(sampler.counts.len(), FLOOD_KEYS);
    }
}
