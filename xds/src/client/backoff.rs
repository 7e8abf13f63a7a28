//! How long to wait before the next connection: doubled each time, half of it by chance.

use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// The waits of one client.
#[derive(Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    attempts: u32,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, attempts: 0 }
    }

    /// A connection worked: the next wait is a short one again.
    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }

    /// The next wait: between half of the doubled time and all of it, where `chance` says.
    pub(crate) fn next(&mut self, chance: u64) -> Duration {
        // 2^16 times any useful minimum is over any useful maximum.
        let full = self.min.saturating_mul(1 << self.attempts.min(16)).min(self.max);
        self.attempts = self.attempts.saturating_add(1);
        let half = full / 2;
        half + half.mul_f64((chance % 1024) as f64 / 1023.0)
    }
}

/// A number nobody else has: the standard library seeds its hashers by chance. Not for secrets.
pub(crate) fn chance() -> u64 {
    std::hash::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_maximum_and_keep_within_half() {
        let (min, max) = (Duration::from_millis(100), Duration::from_secs(1));
        let mut low = Backoff::new(min, max);
        let mut high = Backoff::new(min, max);
        for full in [100, 200, 400, 800, 1000, 1000, 1000] {
            let full = Duration::from_millis(full);
            assert_eq!(low.next(0), full / 2);
            assert_eq!(high.next(1023), full);
        }
        low.reset();
        assert_eq!(low.next(0), min / 2);
    }

    #[test]
    fn many_failures_do_not_overflow() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
        let last = (0..100).map(|_| backoff.next(chance())).last().unwrap();
        assert!(last >= Duration::from_secs(15) && last <= Duration::from_secs(30));
    }
}
