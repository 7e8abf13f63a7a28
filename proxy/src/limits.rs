//! What one process may hold at once: open connections and buffered body bytes.
//!
//! Promises: a slot or a hold gives back what it took when it is dropped. The values come from
//! `palisade_model::Limits` of the policy in force. Limits of one connection or message are set where they act.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A count that may not pass a bound.
#[derive(Debug, Default)]
pub struct Gauge {
    used: AtomicUsize,
}

impl Gauge {
    /// What is in use.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Takes `amount`, unless the sum would pass `bound`.
    pub fn take(self: &Arc<Self>, amount: usize, bound: usize) -> Option<Hold> {
        let mut hold = Hold { gauge: self.clone(), amount: 0 };
        hold.grow(amount, bound).then_some(hold)
    }
}

/// A share of a [`Gauge`].
#[derive(Debug)]
pub struct Hold {
    gauge: Arc<Gauge>,
    amount: usize,
}

impl Hold {
    /// Takes `more` as well, unless the sum of all would pass `bound`.
    pub fn grow(&mut self, more: usize, bound: usize) -> bool {
        let before = self.gauge.used.fetch_add(more, Ordering::Relaxed);
        if before.saturating_add(more) > bound {
            self.gauge.used.fetch_sub(more, Ordering::Relaxed);
            return false;
        }
        self.amount += more;
        true
    }

    /// Holds `amount` from now on: gives back what is not held any more, or takes what is missing, unless the sum of
    /// all would pass `bound`.
    pub fn set(&mut self, amount: usize, bound: usize) -> bool {
        if let Some(less) = self.amount.checked_sub(amount) {
            self.gauge.used.fetch_sub(less, Ordering::Relaxed);
            self.amount = amount;
            return true;
        }
        self.grow(amount - self.amount, bound)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.gauge.used.fetch_sub(self.amount, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_gives_up_to_its_bound_and_takes_back_what_is_dropped() {
        let gauge = Arc::new(Gauge::default());
        let mut hold = gauge.take(9, 10).unwrap();
        assert!(hold.grow(1, 10), "at the bound");
        assert!(!hold.grow(1, 10), "over the bound");
        assert!(gauge.take(1, 10).is_none());
        assert!(hold.set(3, 10) && gauge.used() == 3, "less is always had");
        assert!(!hold.set(11, 10) && gauge.used() == 3, "over the bound nothing changes");
        assert!(hold.set(10, 10) && gauge.used() == 10);
        drop(hold);
        assert_eq!(gauge.used(), 0);
        assert!(gauge.take(10, 10).is_some());
        assert!(gauge.take(11, 10).is_none());
        assert_eq!(gauge.used(), 0);
    }
}
