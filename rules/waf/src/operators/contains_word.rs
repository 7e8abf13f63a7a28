//! `@containsWord`: the argument is in the value, and no ASCII letter is next to it. Case counts.

use memchr::memmem;

/// Whether it is so. An empty argument is in every value.
pub(super) fn matches(value: &[u8], argument: &[u8]) -> bool {
    if argument.is_empty() {
        return true;
    }
    let is_boundary =
        |at: Option<usize>| at.and_then(|at| value.get(at)).is_none_or(|byte| !byte.is_ascii_alphabetic());
    let finder = memmem::Finder::new(argument);
    let mut from = 0;
    while let Some(found) = value.get(from..).and_then(|rest| finder.find(rest)) {
        let at = from + found;
        if is_boundary(at.checked_sub(1)) && is_boundary(Some(at + argument.len())) {
            return true;
        }
        from = at + 1;
    }
    false
}
