//! `@detectSQLi`: libinjection sees SQL in the value. Captures the fingerprint. Behind this file alone, so that the
//! detector can be replaced.

use std::panic::catch_unwind;

use super::Captures;

/// Whether it does. A detector that fails on a value must not take the process with it: what it cannot read counts as
/// an attack.
pub(super) fn matches(value: &[u8], captures: Option<&mut Captures>) -> bool {
    let Ok(result) = catch_unwind(|| libinjectionrs::detect_sqli(value)) else { return true };
    if !result.is_injection() {
        return false;
    }
    if let (Some(captures), Some(fingerprint)) = (captures, result.fingerprint) {
        captures.set(0, fingerprint.as_str().as_bytes());
    }
    true
}
