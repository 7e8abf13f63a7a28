//! `@verifySVNR`: an Austrian social security number by its check digit, the fourth.

use super::verify::{digits, weighted};

/// Whether the digits pass.
pub(super) fn is_valid(candidate: &[u8]) -> bool {
    let digits = digits(candidate);
    let Some(&check) = digits.get(3) else { return false };
    let all_equal = digits.iter().all(|&digit| digit == check);
    digits.len() == 10 && !all_equal && weighted(&digits, [3, 7, 9, 0, 5, 8, 4, 2, 1, 6]) % 11 == check
}
