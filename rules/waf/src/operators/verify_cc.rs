//! `@verifyCC`: a payment card number by its check digit (ISO/IEC 7812-1, Luhn).

use super::verify::digits;

/// Whether the digits pass.
pub(super) fn is_valid(candidate: &[u8]) -> bool {
    let digits = digits(candidate);
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, &digit)| match (place % 2, digit * 2) {
            (0, _) => digit,
            (_, doubled) if doubled > 9 => doubled - 9,
            (_, doubled) => doubled,
        })
        .sum();
    !digits.is_empty() && sum.is_multiple_of(10)
}
