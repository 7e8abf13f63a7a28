//! `@beginsWith`: the value begins with the argument. Case counts.

/// Whether it is so.
pub(super) fn matches(value: &[u8], argument: &[u8]) -> bool {
    value.starts_with(argument)
}
