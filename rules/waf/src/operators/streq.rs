//! `@streq`: the value is the argument. Case counts.

/// Whether it is so.
pub(super) fn matches(value: &[u8], argument: &[u8]) -> bool {
    value == argument
}
