//! `t:none`: clears the inherited transformations. The compiler drops them; applied, it changes nothing.

use std::borrow::Cow;
use crate::prefilter::ByteSet;

/// See [`super::changes`].
pub(super) const CHANGES: &[ByteSet] = &[ByteSet::NONE];

/// Applies it. Borrowed: nothing changed.
pub fn apply(input: &[u8]) -> Cow<'_, [u8]> {
    Cow::Borrowed(input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::bytes::check;

    #[test]
    fn changes_nothing() {
        check(
            apply,
            &[
                (b"", b""),
                (b"%41 \0", b"%41 \0"),
            ],
        );
    }
}
