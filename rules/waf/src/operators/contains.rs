//! `@contains` and `@strmatch`: the argument is somewhere in the value. An empty argument is in every value. Case counts.

/// Whether it is so.
pub(super) fn matches(value: &[u8], argument: &[u8]) -> bool {
    memchr::memmem::find(value, argument).is_some()
}
