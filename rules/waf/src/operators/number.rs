//! `@eq`, `@ge`, `@gt`, `@le`, `@lt`: integers as C's `atoi` reads them. White space before, a sign, digits; the rest is
//! not looked at; what has no digits is zero. What does not fit saturates.

use crate::transformations::bytes::is_space;

/// `@eq`
pub(super) fn eq(value: &[u8], argument: &[u8]) -> bool {
    integer(value) == integer(argument)
}

/// `@ge`
pub(super) fn ge(value: &[u8], argument: &[u8]) -> bool {
    integer(value) >= integer(argument)
}

/// `@gt`
pub(super) fn gt(value: &[u8], argument: &[u8]) -> bool {
    integer(value) > integer(argument)
}

/// `@le`
pub(super) fn le(value: &[u8], argument: &[u8]) -> bool {
    integer(value) <= integer(argument)
}

/// `@lt`
pub(super) fn lt(value: &[u8], argument: &[u8]) -> bool {
    integer(value) < integer(argument)
}

fn integer(text: &[u8]) -> i64 {
    let start = text.iter().take_while(|&&byte| is_space(byte)).count();
    let (sign, digits) = match text.get(start..).unwrap_or_default() {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] | digits => (1, digits),
    };
    digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0i64, |number, byte| number.saturating_mul(10).saturating_add(sign * i64::from(byte - b'0')))
}
