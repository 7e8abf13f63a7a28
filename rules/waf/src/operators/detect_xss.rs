//! `@detectXSS`: libinjection sees a script in the value. Captures the value. Behind this file alone, so that the
//! detector can be replaced.

use std::panic::catch_unwind;

use super::Captures;

/// Whether it does. A detector that fails on a value must not take the process with it: what it cannot read counts as
/// an attack.
pub(super) fn matches(value: &[u8], captures: Option<&mut Captures>) -> bool {
    let found = catch_unwind(|| libinjectionrs::detect_xss(value).is_injection()).unwrap_or(true);
    if let (true, Some(captures)) = (found, captures) {
        captures.set(0, value);
    }
    found
}
