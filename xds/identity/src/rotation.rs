//! When to renew. Pure: time and randomness are passed in.

/// The share of the validity by which renewals are spread, to either side of half-life.
pub const JITTER: f64 = 0.10;

/// When an SVID valid from `not_before` to `not_after` is to be renewed: at half-life ± [`JITTER`] of the validity.
/// `random` is in 0..=1. All times are seconds since the epoch.
pub fn renew_at(not_before: i64, not_after: i64, random: f64) -> i64 {
    let validity = not_after.saturating_sub(not_before).max(0) as f64;
    let random = if random.is_finite() { random.clamp(0.0, 1.0) } else { 0.5 };
    let share = 0.5 + JITTER * (2.0 * random - 1.0);
    not_before.saturating_add((validity * share) as i64)
}

/// The longest pause between two attempts to renew, in seconds.
pub const MAX_RETRY_SECONDS: u64 = 150;

/// The pause after `failures` failed attempts in a row: doubling from 1 s, at most [`MAX_RETRY_SECONDS`], of which
/// `random` (0..=1) takes up to a quarter away, so that sidecars do not come back in step.
pub fn retry_after(failures: u32, random: f64) -> std::time::Duration {
    let doubled = 1u64.checked_shl(failures.saturating_sub(1)).unwrap_or(MAX_RETRY_SECONDS);
    let random = if random.is_finite() { random.clamp(0.0, 1.0) } else { 0.0 };
    std::time::Duration::from_secs_f64(doubled.min(MAX_RETRY_SECONDS) as f64 * (1.0 - random / 4.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewal_is_at_half_life_with_a_tenth_of_jitter() {
        let day = 86_400;
        assert_eq!(renew_at(1_000, 1_000 + day, 0.5), 1_000 + day / 2);
        assert_eq!(renew_at(0, 100, 0.0), 40);
        assert_eq!(renew_at(0, 100, 1.0), 60);
    }

    #[test]
    fn strange_input_never_leaves_the_validity() {
        for random in [f64::NAN, f64::INFINITY, -5.0, 7.0] {
            let at = renew_at(0, 100, random);
            assert!((40..=60).contains(&at), "{random} gave {at}");
        }
        assert_eq!(renew_at(100, 50, 0.5), 100, "an inverted validity is renewed at once");
    }

    #[test]
    fn retries_back_off_to_the_limit() {
        let whole: Vec<u64> = (1..=10).map(|failures| retry_after(failures, 0.0).as_secs()).collect();
        assert_eq!(whole, [1, 2, 4, 8, 16, 32, 64, 128, 150, 150]);
        assert_eq!(retry_after(u32::MAX, 0.0).as_secs(), MAX_RETRY_SECONDS);
        assert_eq!(retry_after(3, 1.0).as_secs(), 3);
    }
}
