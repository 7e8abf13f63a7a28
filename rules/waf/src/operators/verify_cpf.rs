//! `@verifyCPF`: a Brazilian taxpayer number by its two check digits. Eleven equal digits are never issued.

use super::verify::{digits, weighted};

/// Whether the digits pass.
pub(super) fn is_valid(candidate: &[u8]) -> bool {
    let digits = digits(candidate);
    let &[first, .., tenth, eleventh] = digits.as_slice() else { return false };
    if digits.len() != 11 || digits.iter().all(|&digit| digit == first) {
        return false;
    }
    let check = |sum: u32| if sum % 11 < 2 { 0 } else { 11 - sum % 11 };
    tenth == check(weighted(&digits, (2..=10).rev())) && eleventh == check(weighted(&digits, (2..=11).rev()))
}
