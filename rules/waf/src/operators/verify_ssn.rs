//! `@verifySSN`: a United States social security number by its structure. Area 000, 666 and 900-999, group 00 and
//! serial 0000 are never issued; nor are equal or ascending digits, which are placeholders.

use super::verify::digits;

/// Whether the digits pass.
pub(super) fn is_valid(candidate: &[u8]) -> bool {
    let digits = digits(candidate);
    if digits.len() != 9 {
        return false;
    }
    let steps_by =
        |step: u32| digits.iter().zip(digits.iter().skip(1)).all(|(one, next)| *next == one + step);
    let number = digits.iter().fold(0, |number, digit| number * 10 + digit);
    let (area, group, serial) = (number / 1_000_000, number / 10_000 % 100, number % 10_000);
    let issued = area != 0 && area != 666 && area < 900 && group != 0 && serial != 0;
    issued && !steps_by(0) && !steps_by(1)
}
