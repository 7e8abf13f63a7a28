//! `@endsWith`: the value ends with the argument. Case counts.

/// Whether it is so.
pub(super) fn matches(value: &[u8], argument: &[u8]) -> bool {
    value.ends_with(argument)
}
