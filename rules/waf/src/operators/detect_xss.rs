//! `@detectXSS`: a script is in the value, as libinjection sees it. Captures the value.

use super::Captures;
use crate::injection;

/// Whether it is so.
pub(super) fn matches(value: &[u8], captures: Option<&mut Captures>) -> bool {
    let found = injection::xss(value);
    if let (true, Some(captures)) = (found, captures) {
        captures.set(0, value);
    }
    found
}
