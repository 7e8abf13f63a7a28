//! `@within`: the value is somewhere in the argument. An empty value is in every argument. Case counts.

/// Whether it is so.
pub(super) fn matches(value: &[u8], argument: &[u8]) -> bool {
    memchr::memmem::find(argument, value).is_some()
}
