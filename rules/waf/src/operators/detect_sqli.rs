//! `@detectSQLi`: SQL is in the value, as libinjection sees it. Captures the fingerprint.

use super::Captures;
use crate::injection;

/// Whether it is so.
pub(super) fn matches(value: &[u8], captures: Option<&mut Captures>) -> bool {
    let Some(fingerprint) = injection::sqli(value) else { return false };
    if let Some(captures) = captures {
        captures.set(0, fingerprint.as_bytes());
    }
    true
}
