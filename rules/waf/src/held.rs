//! A body that is held, and what holds it once it was read: names and values that are parts of it.
//!
//! Promise: a long body of which less than half is in use is let go, so that what a request holds beside its values is
//! less than they are. Short ones are worth no copies, and their room is for the next request.

use bytes::{Bytes, BytesMut};

use crate::collection::Collection;
use crate::facts::BodyFacts;
use crate::scratch::Arena;

/// Bytes of a body whose room is kept, and which is not looked through for what holds it.
pub(crate) const SHORT_BODY: usize = 64 * 1024;

/// Takes a body. Room that would not be kept goes with it, so that nothing but the body's parts holds it.
pub(crate) fn take(held: &mut BytesMut) -> Bytes {
    let body = held.split().freeze();
    if body.len() + held.capacity() > SHORT_BODY {
        *held = BytesMut::new();
    }
    body
}

/// Copies the parts of a body that was read, if that is less than it is.
pub(crate) fn let_go(body: &Bytes, facts: &mut BodyFacts, arena: &mut Arena) {
    if body.len() <= SHORT_BODY {
        return;
    }
    let whole = body.as_ptr_range();
    let is_part = |text: &Bytes| whole.contains(&text.as_ptr());
    let parts = collections(facts).flat_map(|list| list.iter()).flat_map(<[&Bytes; 2]>::from);
    let used: usize = parts.filter(|text| is_part(text)).map(Bytes::len).sum();
    if used < body.len() / 2 {
        for list in collections(facts) {
            list.change(|text| is_part(text).then(|| arena.copy(text)));
        }
    }
}

/// The collections of what a body says.
fn collections(facts: &mut BodyFacts) -> impl Iterator<Item = &mut Collection> {
    let form =
        facts.multipart.as_mut().map(|form| [&mut form.files, &mut form.sizes, &mut form.part_headers]);
    [&mut facts.args_post, &mut facts.xml].into_iter().chain(form.into_iter().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_too_long_to_be_kept_is_held_by_its_parts_alone() {
        for (bytes, keeps) in [(SHORT_BODY - 1, true), (SHORT_BODY, true), (SHORT_BODY + 1, false)] {
            let mut held = BytesMut::with_capacity(bytes);
            held.resize(bytes / 2, b'x');
            drop(take(&mut held));
            assert_eq!(held.capacity() > 0, keeps, "{bytes}");
        }
    }

    #[test]
    fn a_long_body_of_which_little_is_used_is_let_go() {
        let is_held = |bytes: usize, used: usize| {
            let body = Bytes::from(vec![b'x'; bytes]);
            let mut facts = BodyFacts::default();
            facts.args_post.push("name", body.slice(..used / 2));
            facts.args_post.push(body.slice(used / 2..used), "value");
            let_go(&body, &mut facts, &mut Arena::default());
            let texts: Vec<_> =
                facts.args_post.iter().map(|(name, value)| name.len() + value.len()).collect();
            assert_eq!(texts, [4 + used / 2, used - used / 2 + 5], "the texts are the same");
            !body.is_unique()
        };
        assert_eq!([SHORT_BODY, SHORT_BODY + 1].map(|bytes| is_held(bytes, 10)), [true, false]);
        let half = SHORT_BODY;
        assert_eq!([half - 1, half, half + 1].map(|used| is_held(2 * half, used)), [false, true, true]);
    }
}
